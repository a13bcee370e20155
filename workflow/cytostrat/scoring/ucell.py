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
def _capped_sums(ranks, counts, indptr, members, max_rank, sums, present):
    for row in range(ranks.shape[0]):
        top = 2 * (counts[row] + 1)
        cap = 2 * max_rank
        for item in range(sums.shape[1]):
            k = 0
            total = 0
            for i in range(indptr[item], indptr[item + 1]):
                doubled = ranks[row, members[i]]
                if doubled > 0:
                    k += 1
                    total += min(top - doubled, cap)
            sums[row, item] = 0.5 * total
            present[row, item] = k


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
    sums = np.empty((n_cells, len(lists.declared)))
    present = np.empty(sums.shape, dtype=np.int32)

    def work(ranked: Ranked, start: int, stop: int) -> None:
        _capped_sums(
            ranked.ranks,
            ranked.counts,
            lists.indptr,
            lists.members,
            cap,
            sums[start:stop],
            present[start:stop],
        )

    for_ranked(matrix, work, threads=threads)
    measured = present > 0
    if missing == "impute":
        sums += cap * (lists.declared - present)
        present[:] = lists.declared
    lowest = present * (present + 1) / 2.0
    width = present * float(cap) - lowest
    usable = measured & (width > 0)
    scores = 1.0 - np.divide(sums - lowest, width, where=usable, out=np.full(sums.shape, np.nan))
    up, down = lists.side(scores, lists.up), lists.side(scores, lists.down)
    return np.maximum(up - down_weight * down, 0.0)
