"""Single-sample gene set enrichment (Barbie 2009), un-normalised, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np

from cytostrat.scoring.compiled import compiled
from cytostrat.scoring.genelists import GeneLists
from cytostrat.scoring.ranking import Ranked, for_ranked
from cytostrat.scoring.records import Method

METHOD = Method(
    name="ssgsea",
    title="ssGSEA (un-normalised enrichment score)",
    doi="10.1038/nature08460",
    needs="any",
    comparable_samples=True,
    comparable_sets=False,
    comparable_cohorts=True,
    up_down="score of the up genes minus score of the down genes",
    ties="average rank, for the weight and for the position alike",
    missing=(
        "genes absent from the matrix are left out of the set; a gene that is NaN in a sample is "
        "left out of that sample's ranking and of its set"
    ),
    meaning=(
        "How far the genes of the set stand towards the top of the sample's own ranking, in units "
        "of the area between two running sums: compare samples measured on the same genes, not "
        "one signature with another."
    ),
)


@compiled
def _scores(ranks, counts, indptr, members, power, out):
    """Evaluate the closed form for two samples at a time, which hides half the wait for memory.

    A gene that is not measured has rank 0 and weight 0; it drops out of the sums by itself.
    """
    for first in range(0, ranks.shape[0], 2):
        second = min(first + 1, ranks.shape[0] - 1)
        ranks_a = ranks[first]
        ranks_b = ranks[second]
        for item in range(out.shape[1]):
            start = indptr[item]
            stop = indptr[item + 1]
            weight_a = weighted_a = weight_b = weighted_b = 0.0
            sum_a = sum_b = 0
            for i in range(start, stop):
                gene = np.uint32(members[i])
                rank_a = ranks_a[gene]
                rank_b = ranks_b[gene]
                power_a = power[np.uint32(rank_a)]
                power_b = power[np.uint32(rank_b)]
                weight_a += power_a
                weight_b += power_b
                weighted_a += power_a * rank_a
                weighted_b += power_b * rank_b
                sum_a += rank_a
                sum_b += rank_b
            k = _present(ranks_a, counts[first], members, start, stop)
            out[first, item] = _difference(counts[first], k, weight_a, weighted_a, sum_a)
            k = _present(ranks_b, counts[second], members, start, stop)
            out[second, item] = _difference(counts[second], k, weight_b, weighted_b, sum_b)


@compiled
def _present(ranks, n, members, start, stop):
    k = stop - start
    if n < ranks.shape[0]:
        for i in range(start, stop):
            k -= ranks[members[i]] == 0
    return k


@compiled
def _difference(n, k, weight, weighted, doubled):
    if k == 0 or k == n:
        return np.nan
    return 0.5 * weighted / weight - (n * (n + 1) / 2.0 - 0.5 * doubled) / (n - k)


def ssgsea(matrix: Any, lists: GeneLists, *, threads: int = 1, weight: float = 0.25) -> np.ndarray:
    r"""Score every signature in every sample.

    With :math:`R_g` the ascending rank (average over ties) of gene :math:`g` among the
    :math:`n` genes measured in a sample and a list :math:`S` of :math:`k` of them,

    .. math::

       ES = \frac{\sum_S R_g^{w} R_g}{\sum_S R_g^{w}}
            - \frac{n (n + 1) / 2 - \sum_S R_g}{n - k},

    which is the sum over all positions of the difference of the two running sums. With ties it
    is the walk that passes tied genes together, each position taking their mean step. A
    signature's score is that of its up genes minus that of its down genes.

    Parameters
    ----------
    matrix
        Samples x genes, dense, CSR or ranked. NaN: not measured, left out of that sample.
    lists
        Gene lists, see `cytostrat.scoring.genelists`.
    threads
        Number of threads.
    weight
        Exponent :math:`w`.

    Returns
    -------
    numpy.ndarray
        Samples x signatures, a list's score being between -n and n. NaN where none of a list's
        genes is measured in the sample, or the list holds all that are measured.

    Raises
    ------
    ScoringError
        A value is infinite.

    References
    ----------
    doi:10.1038/nature08460
    """
    n_samples, n_genes = matrix.shape
    out = np.empty((n_samples, len(lists.declared)))
    power = (np.arange(2 * n_genes + 1) / 2.0) ** weight
    power[0] = 0.0

    def work(ranked: Ranked, start: int, stop: int) -> None:
        _scores(ranked.ranks, ranked.counts, lists.indptr, lists.members, power, out[start:stop])

    for_ranked(matrix, work, threads=threads)
    return lists.difference(out)
