"""AUCell (Aibar 2017): area under the recovery curve of a set among the highest-ranked genes."""

from __future__ import annotations

from typing import Any

import numpy as np

from cytostrat.compiled import compiled
from cytostrat.errors import ScoringError
from cytostrat.scoring.genelists import GeneLists
from cytostrat.scoring.ranking import Ranked, for_ranked
from cytostrat.scoring.records import Method

METHOD = Method(
    name="aucell",
    title="AUCell (area under the recovery curve)",
    doi="10.1038/nmeth.4463",
    needs="any",
    comparable_samples=True,
    comparable_sets=False,
    comparable_cohorts=True,
    up_down="score of the up genes minus score of the down genes",
    ties=(
        "mean over all orders of the tied genes, which is the expectation of upstream's random "
        "order"
    ),
    missing=(
        "genes absent from the matrix are left out of the set; a gene that is NaN in a sample is "
        "left out of that sample's ranking and of its set"
    ),
    meaning=(
        "Share of the set found, and how early, among the highest-ranked 5 % of the sample's "
        "genes: 0 where none, 1 where all stand on top; compare cells or samples measured on the "
        "same genes, not one signature with another."
    ),
)


@compiled
def _areas(ranks, spread, counts, indptr, places, fraction, out):
    for row in range(ranks.shape[0]):
        n = counts[row]
        limit = np.int64(np.ceil(fraction * n))
        top = 2 * (n + 1)
        reach = limit + n + 1  # a tie that starts at the limit and ends at n has its middle there
        for item in range(out.shape[1]):
            k = 0
            whole = 0  # twice the area of the genes whose tie does not cross the limit
            part = 0.0
            for i in range(indptr[item], indptr[item + 1]):
                gene = np.uint32(places[i])
                doubled = ranks[row, gene]
                if doubled <= 0:
                    continue
                k += 1
                middle = top - doubled  # twice the descending position
                if middle >= reach:
                    continue
                width = spread[row, gene]
                first = (middle - width) >> 1
                last = (middle + width) >> 1
                if last < limit:
                    whole += 2 * limit - middle
                elif first < limit:
                    inside = limit - first
                    part += inside * (inside + 1) / (2.0 * (width + 1))
            best = min(k, limit - 1)
            area = best * limit - best * (best + 1) / 2.0
            out[row, item] = (0.5 * whole + part) / area if area > 0 else np.nan


def aucell(
    matrix: Any, lists: GeneLists, *, threads: int = 1, fraction: float = 0.05
) -> np.ndarray:
    r"""Score every signature in every cell.

    With descending positions :math:`r`, limit :math:`m = \lceil f n \rceil` among :math:`n`
    measured genes and a list of :math:`k` of them,

    .. math::

       AUC = \frac{\sum_{r_g < m} (m - r_g)}{\sum_{i = 1}^{\min(k, m - 1)} (m - i)},

    the normalised area of upstream's current version. Within a tie each gene takes the mean of
    :math:`\max(0, m - r)` over the positions of the tie.

    Parameters
    ----------
    matrix
        Cells x genes, dense, CSR or ranked. NaN: not measured, left out of that cell.
    lists
        Gene lists, see `cytostrat.scoring.genelists`.
    threads
        Number of threads.
    fraction
        :math:`f`, share of the genes that counts as highly ranked.

    Returns
    -------
    numpy.ndarray
        Cells x signatures, a list's score being between 0 and 1. NaN where none of a list's genes
        is measured, or the limit leaves no position.

    Raises
    ------
    ScoringError
        A value is infinite, or `fraction` is not within 0 and 1.

    References
    ----------
    doi:10.1038/nmeth.4463
    """
    if not 0 < fraction <= 1:
        raise ScoringError(f"aucell needs a fraction above 0 and up to 1, not {fraction}.")
    out = np.empty((matrix.shape[0], len(lists.declared)))
    used, places = lists.compact(matrix.shape[1])

    def work(ranked: Ranked, start: int, stop: int) -> None:
        _areas(
            ranked.ranks,
            ranked.spread,
            ranked.counts,
            lists.indptr,
            places,
            fraction,
            out[start:stop],
        )

    for_ranked(matrix, work, columns=used, tied=True, threads=threads)
    return lists.difference(out)
