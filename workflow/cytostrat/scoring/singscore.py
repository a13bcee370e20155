"""Rank-based single-sample score (Foroutan 2018): the centred mean rank of a set's genes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from cytostrat.compiled import compiled
from cytostrat.errors import ScoringError
from cytostrat.scoring.genelists import GeneLists
from cytostrat.scoring.ranking import Ranked, for_ranked
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
    ties="lowest of their ranks, as upstream; average on request",
    missing=(
        "genes absent from the matrix are left out of the set; a gene that is NaN in a sample is "
        "left out of that sample's ranking and of its set"
    ),
    meaning=(
        "Mean rank of the set's genes in the sample, scaled to run from -0.5 (all at the bottom) "
        "to 0.5 (all at the top), or -1 to 1 with up and down genes: compare samples and cohorts "
        "measured on the same genes, and sets of the same kind."
    ),
)


@compiled
def _mean_ranks(ranks, spread, counts, indptr, members, folded, lowest_of_tie, out):
    """Mean rank of each list, scaled by its lowest and highest possible values."""
    n_genes = ranks.shape[1]
    wanted = np.empty(n_genes, np.int32)
    any_folded = folded.any()
    distance = np.empty(n_genes if any_folded else 0, np.int32)
    histogram = np.empty(2 * n_genes + 2 if any_folded else 0, np.int64)
    for row in range(ranks.shape[0]):
        n = counts[row]
        own = ranks[row]
        if lowest_of_tie:
            tie = spread[row]
            for gene in range(n_genes):
                wanted[gene] = own[gene] - tie[gene] if own[gene] > 0 else 0
        else:
            wanted[:] = own
        if any_folded:
            centre = _centre(wanted, n, histogram)
            for gene in range(n_genes):
                distance[gene] = abs(wanted[gene] - centre) if own[gene] > 0 else 0
        for item in range(out.shape[1]):
            start = indptr[item]
            stop = indptr[item + 1]
            k = stop - start
            if n < n_genes:
                for i in range(start, stop):
                    k -= own[members[i]] == 0
            total = 0
            if folded[item]:
                for i in range(start, stop):
                    total += distance[np.uint32(members[i])]
            else:
                for i in range(start, stop):
                    total += wanted[np.uint32(members[i])]
            size = k // 2 if folded[item] else k
            background = (n + 1) // 2 if folded[item] else n
            if k == 0 or background == size:
                out[row, item] = np.nan
            else:
                out[row, item] = (0.5 * total / k - (size + 1) / 2.0) / (background - size)


@compiled
def _centre(ranks, n, histogram):
    """Twice the median of the ranks, the median being rounded up to a whole rank."""
    histogram[:] = 0
    for gene in range(ranks.shape[0]):
        if ranks[gene] > 0:
            histogram[ranks[gene]] += 1
    lower = -1
    seen = 0
    for doubled in range(histogram.shape[0]):
        seen += histogram[doubled]
        if lower < 0 and 2 * seen >= n:
            lower = doubled
        if 2 * seen > n:
            return 2 * np.int64(np.ceil((lower + doubled) / 4.0))
    return 0


def singscore(
    matrix: Any,
    lists: GeneLists,
    *,
    threads: int = 1,
    unknown: Collection[str] = (),
    ties: str = "min",
) -> np.ndarray:
    r"""Score every signature in every sample.

    A list of :math:`k` among :math:`n` measured genes with mean ascending rank :math:`\bar R` has

    .. math::

       s = \frac{\bar R - (k + 1) / 2}{n - k}

    between 0 and 1. The signature's score is :math:`s_{up} - 1/2`, plus :math:`1/2 - s_{down}`
    where it has down genes. A signature of unknown direction is scored with
    :math:`|R - \lceil \mathrm{median}(R) \rceil|` in place of :math:`R`,
    :math:`\lfloor k/2 \rfloor` in place of :math:`k` and :math:`\lceil n/2 \rceil` in place of
    :math:`n`, and is not centred.

    Parameters
    ----------
    matrix
        Samples x genes, dense, CSR or ranked. NaN: not measured, left out of that sample.
    lists
        Gene lists, see `cytostrat.scoring.genelists`.
    threads
        Number of threads.
    unknown
        Signatures whose genes may move either way; they have no down genes.
    ties
        ``min`` or ``average``: rank of tied genes.

    Returns
    -------
    numpy.ndarray
        Samples x signatures. NaN where none of a list's genes is measured in the sample.

    Raises
    ------
    ScoringError
        A value is infinite, `ties` is not known, or a signature of unknown direction has down
        genes.

    References
    ----------
    doi:10.1186/s12859-018-2435-4
    """
    if ties not in ("min", "average"):
        raise ScoringError(f"singscore knows no ties {ties!r}; use 'min' or 'average'.")
    either = np.isin(np.array(lists.names, dtype=object), list(unknown))
    if (either & (lists.down >= 0)).any():
        name = lists.names[int(np.argmax(either & (lists.down >= 0)))]
        raise ScoringError(
            f"Signature {name!r} is of unknown direction and names down genes; put all its genes "
            "in one list."
        )
    out = np.empty((matrix.shape[0], len(lists.declared)))
    folded = np.isin(np.arange(out.shape[1]), lists.up[either])

    def work(ranked: Ranked, start: int, stop: int) -> None:
        _mean_ranks(
            ranked.ranks,
            ranked.spread,
            ranked.counts,
            lists.indptr,
            lists.members,
            folded,
            ties == "min",
            out[start:stop],
        )

    for_ranked(matrix, work, tied=ties == "min", threads=threads)
    up = lists.side(out, lists.up, absent=0.5) - np.where(either, 0.0, 0.5)
    return up + (0.5 - lists.side(out, lists.down, absent=0.5))
