"""UCell (Andreatta 2021): a Mann-Whitney U statistic over the highest ranks of a cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from cytostrat.compiled import compiled
from cytostrat.errors import ScoringError
from cytostrat.scoring.genelists import GeneLists
from cytostrat.scoring.ranking import Ranked, for_ranked
from cytostrat.scoring.records import Method

METHOD = Method(
    name="ucell",
    title="UCell (Mann-Whitney U of the highest ranks)",
    doi="10.1016/j.csbj.2021.06.043",
    needs="any",
    comparable_samples=True,
    comparable_sets=True,
    comparable_cohorts=True,
    up_down="up score minus weight times down score, negative differences set to 0",
    ties="average rank, zeros included",
    missing=(
        "genes absent from the matrix, and genes that are NaN in a sample, get the worst rank "
        "(impute), or are left out of the set (skip)"
    ),
    meaning=(
        "0 where no gene of the set is among the sample's highest-ranked genes, 1 where all of "
        "them stand on top: compare cells, cohorts measured on the same genes, and sets of "
        "similar size."
    ),
)


@compiled
def _statistics(ranks, counts, n_genes, indptr, places, declared, impute, cap, out):
    """Evaluate u of each list, see `ucell`; ranks and sums are doubled, hence whole."""
    for row in range(ranks.shape[0]):
        own = ranks[row]
        top = 2 * (counts[row] + 1)
        for item in range(out.shape[1]):
            start, stop = np.uint64(indptr[item]), np.uint64(indptr[item + 1])
            k = indptr[item + 1] - indptr[item]
            total = 0
            for i in range(start, stop):
                total += min(top - own[np.uint32(places[i])], 2 * cap)
            if counts[row] < n_genes:  # genes that are NaN have doubled rank 0
                for i in range(start, stop):
                    if own[np.uint32(places[i])] == 0:
                        k -= 1
                        total -= min(top, 2 * cap)
            measured = k > 0
            if impute:
                total += 2 * cap * (declared[item] - k)
                k = declared[item]
            lowest = k * (k + 1) / 2.0
            width = k * cap - lowest
            if measured and width > 0:
                out[row, item] = 1.0 - (0.5 * total - lowest) / width
            else:
                out[row, item] = np.nan


def ucell(
    matrix: Any,
    lists: GeneLists,
    *,
    threads: int = 1,
    max_rank: int = 1500,
    missing: str = "impute",
    down_weight: float = 1.0,
) -> np.ndarray:
    r"""Score every signature in every cell.

    Ranks :math:`r` descend and are capped at :math:`m` = `max_rank` (at most the number of
    genes). A list of :math:`k` genes has

    .. math::

       u = 1 - \frac{\sum \min(r_g, m) - k (k + 1) / 2}{k m - k (k + 1) / 2}

    and a signature :math:`\max(0, u_{up} - w\,u_{down})`.

    Parameters
    ----------
    matrix
        Cells x genes, dense, CSR or ranked. NaN: not measured.
    lists
        Gene lists, see `cytostrat.scoring.genelists`.
    threads
        Number of threads.
    max_rank
        Ranks beyond it count as this rank.
    missing
        ``impute``: an absent gene has rank `max_rank`; ``skip``: it is left out of the set.
    down_weight
        :math:`w`, 0 or more.

    Returns
    -------
    numpy.ndarray
        Cells x signatures, between 0 and 1. NaN where none of a list's genes is measured.

    Raises
    ------
    ScoringError
        A value is infinite, an option is out of range, or a list has more genes than `max_rank`.

    References
    ----------
    doi:10.1016/j.csbj.2021.06.043
    """
    if missing not in ("impute", "skip"):
        raise ScoringError(f"ucell knows no missing {missing!r}; use 'impute' or 'skip'.")
    if max_rank < 1 or down_weight < 0:
        raise ScoringError(
            f"ucell needs max_rank of 1 or more and down_weight of 0 or more, not {max_rank} and "
            f"{down_weight}."
        )
    n_cells, n_genes = matrix.shape
    cap = min(max_rank, n_genes)
    sizes = lists.declared if missing == "impute" else lists.present
    if (sizes > cap).any():
        largest = int(np.argmax(sizes))
        owner = lists.names[int(np.argmax((lists.up == largest) | (lists.down == largest)))]
        raise ScoringError(
            f"Gene set {owner!r} has {sizes[largest]} genes, more than the {cap} ranks that ucell "
            "looks at; shorten the set, or score it by another method."
        )
    out = np.empty((n_cells, len(lists.declared)))
    used, places = lists.compact(n_genes)

    def work(ranked: Ranked, start: int, stop: int) -> None:
        _statistics(
            ranked.ranks,
            ranked.counts,
            n_genes,
            lists.indptr,
            places,
            lists.declared,
            missing == "impute",
            cap,
            out[start:stop],
        )

    for_ranked(matrix, work, columns=used, threads=threads)
    scores = lists.difference(out, down_weight)
    return np.maximum(scores, 0.0, out=scores)
