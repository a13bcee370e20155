"""Rank-based single-sample score (Foroutan 2018): the centred mean rank of a set's genes."""

from __future__ import annotations

from typing import Any

import numpy as np

from cytostrat.scoring.compiled import compiled
from cytostrat.scoring.genelists import GeneLists
from cytostrat.scoring.ranking import for_blocks, rank_rows
from cytostrat.scoring.records import Method

METHOD = Method(
    name="singscore",
    title="singscore (centred mean rank)",
    doi="10.1186/s12859-018-2435-4",
    needs="any",
    comparable_samples=True,
    comparable_sets=True,
    comparable_cohorts=True,
    up_down="sum of the centred up score and of the centred, reversed down score",
    ties="lowest rank, as upstream; average on request",
    missing=(
        "genes absent from the matrix are left out of the set; a gene that is NaN in a sample is "
        "left out of that sample's ranking and of its set"
    ),
    meaning=(
        "Mean rank of the set's genes in the sample, scaled to -0.5 (all at the bottom) to 0.5 "
        "(all at the top), or -1 to 1 where the set has up and down genes: compare samples and "
        "cohorts measured on the same genes, and sets of the same kind."
    ),
)


@compiled
def _mean_ranks(ranks, counts, indptr, members, folded, out):
    """Mean rank of each list, scaled by its lowest and highest possible values."""
    n_genes = ranks.shape[1]
    histogram = np.empty(2 * n_genes + 2, np.int64)
    for row in range(ranks.shape[0]):
        n = counts[row]
        rank = ranks[row]
        centre = 0
        if folded.any():
            centre = _centre(rank, n, histogram)
        for item in range(out.shape[1]):
            k = 0
            total = 0
            for i in range(indptr[item], indptr[item + 1]):
                doubled = rank[members[i]]
                if doubled > 0:
                    k += 1
                    total += abs(doubled - centre) if folded[item] else doubled
            size = k // 2 if folded[item] else k
            background = (n + 1) // 2 if folded[item] else n
            if k == 0 or background == size:
                out[row, item] = np.nan
            else:
                lowest = (size + 1) / 2.0
                out[row, item] = (0.5 * total / k - lowest) / (background - size)


@compiled
def _centre(rank, n, histogram):
    """Twice the median of the ranks, rounded up to a whole rank."""
    histogram[:] = 0
    for gene in range(rank.shape[0]):
        histogram[rank[gene]] += 1
    histogram[0] = 0
    lower = -1
    seen = 0
    for doubled in range(histogram.shape[0]):
        seen += histogram[doubled]
        if lower < 0 and seen >= (n + 1) // 2:
            lower = doubled
        if seen >= n // 2 + 1:
            median = (lower + doubled) / 4.0
            return 2 * np.int64(np.ceil(median))
    return 0


def singscore(
    matrix: Any,
    lists: GeneLists,
    *,
    threads: int = 1,
    unknown: frozenset[int] = frozenset(),
    ties: str = "min",
) -> np.ndarray:
    r"""Score every gene list in every sample, between 0 and 1.

    A list of :math:`k` among :math:`n` measured genes with mean ascending rank :math:`\bar R` has

    .. math::

       s = \frac{\bar R - (k + 1) / 2}{n - k}.

    A list of unknown direction is scored with :math:`|R - \lceil \mathrm{median}(R) \rceil|` in
    place of :math:`R`, :math:`\lfloor k/2 \rfloor` in place of :math:`k` and
    :math:`\lceil n/2 \rceil` in place of :math:`n`.

    Parameters
    ----------
    matrix
        Samples x genes, dense or CSR. NaN: not measured, left out of that sample.
    lists
        Gene lists, see `cytostrat.scoring.genelists`.
    threads
        Number of threads.
    unknown
        Numbers of the lists whose direction is not known.
    ties
        ``min`` or ``average``: rank of tied genes.

    Returns
    -------
    numpy.ndarray
        Samples x lists. NaN where none of the list's genes is measured in the sample.

    Raises
    ------
    ScoringError
        A value is infinite.

    References
    ----------
    doi:10.1186/s12859-018-2435-4
    """
    n_lists = len(lists.declared)
    out = np.empty((matrix.shape[0], n_lists))
    folded = np.isin(np.arange(n_lists), sorted(unknown))

    def work(block: Any, start: int, stop: int) -> None:
        ranks, counts = rank_rows(block, minimum=ties == "min")
        _mean_ranks(ranks, counts, lists.indptr, lists.members, folded, out[start:stop])

    for_blocks(matrix, work, threads=threads)
    return out


def combine(values: np.ndarray, lists: GeneLists, unknown: frozenset[int]) -> np.ndarray:
    """Centre the list scores and add up and reversed down; unknown directions stay uncentred."""
    out = np.zeros((values.shape[0], len(lists.names)))
    has_up, has_down = lists.up >= 0, lists.down >= 0
    centred = np.array([up not in unknown for up in lists.up])
    out[:, has_up] += values[:, lists.up[has_up]]
    out[:, has_up & centred] -= 0.5
    out[:, has_down] += 0.5 - values[:, lists.down[has_down]]
    return out
