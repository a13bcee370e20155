"""Single-sample gene set enrichment (Barbie 2009), un-normalised, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np

from cytostrat.scoring.genelists import GeneLists
from cytostrat.scoring.ranking import Ranked, for_ranked
from cytostrat.scoring.records import Method
from cytostrat.scoring.ssgsea_loops import closed_form

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

    used, places = lists.compact(n_genes)

    def work(ranked: Ranked, start: int, stop: int) -> None:
        closed_form(ranked.ranks, ranked.counts, lists.indptr, places, used, power, out[start:stop])

    for_ranked(matrix, work, threads=threads)
    return lists.difference(out)
