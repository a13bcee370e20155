"""Combined z-score (Lee 2008): sum of standardised genes over the root of their number."""

from __future__ import annotations

from typing import Any

import numpy as np

from cytostrat.compiled import compiled
from cytostrat.scoring.columns import SMALLEST_SD, for_genes, moments
from cytostrat.scoring.genelists import GeneLists
from cytostrat.scoring.ranking import for_rows
from cytostrat.scoring.records import Method

METHOD = Method(
    name="zscore",
    title="combined z-score",
    doi="10.1371/journal.pcbi.1000217",
    needs="log",
    comparable_samples=True,
    comparable_sets=True,
    comparable_cohorts=False,
    up_down="down genes enter the sum with the opposite sign",
    ties="not ranked",
    missing=(
        "genes absent from the matrix, and genes that do not vary over the cohort, are left out "
        "of the set; so is a gene that is NaN in a sample, for that sample"
    ),
    meaning=(
        "Sum of the set's genes, each in standard deviations from its mean over this cohort: it "
        "says where a sample stands within this cohort, and changes when samples are added or "
        "removed."
    ),
)


@compiled
def _sums(values, indptr, members, totals, numbers):
    for row in range(values.shape[0]):
        for item in range(totals.shape[1]):
            total = 0.0
            k = 0
            for i in range(indptr[item], indptr[item + 1]):
                value = values[row, members[i]]
                if not np.isnan(value):
                    total += value
                    k += 1
            totals[row, item] = total
            numbers[row, item] = k


def zscore(matrix: Any, lists: GeneLists, *, threads: int = 1) -> np.ndarray:
    r"""Score every signature in every sample.

    .. math::

       Z = \frac{\sum_{up} z_g - \sum_{down} z_g}{\sqrt k}, \qquad
       z_g = \frac{x_g - \bar x_g}{s_g}

    with mean and standard deviation (n - 1) of each gene over the samples of the matrix, and
    :math:`k` the number of genes in the sum.

    Parameters
    ----------
    matrix
        Samples x genes, dense or CSR, on the log scale. NaN: not measured.
    lists
        Gene lists, see `cytostrat.scoring.genelists`.
    threads
        Number of threads.

    Returns
    -------
    numpy.ndarray
        Samples x signatures. NaN where none of a list's genes is left in the sample.

    Raises
    ------
    ScoringError
        Fewer than two samples, or an infinite value.

    References
    ----------
    doi:10.1371/journal.pcbi.1000217
    """
    n_samples = matrix.shape[0]
    columns, members = np.unique(lists.members, return_inverse=True)
    standardised = np.empty((n_samples, len(columns)))

    def standardise(values: np.ndarray, start: int, stop: int) -> None:
        _, mean, sd = moments(np.sort(values, axis=1))
        sd[~(sd >= SMALLEST_SD)] = np.nan
        standardised[:, start:stop] = ((values - mean[:, None]) / sd[:, None]).T

    for_genes(matrix, columns, standardise, method="zscore", threads=threads)
    totals = np.empty((n_samples, len(lists.declared)))
    numbers = np.empty(totals.shape)
    members = members.astype(np.int32)

    def add(start: int, stop: int) -> None:
        rows = slice(start, stop)
        _sums(standardised[rows], lists.indptr, members, totals[rows], numbers[rows])

    for_rows(n_samples, add, threads=threads)
    totals[numbers == 0] = np.nan
    number = lists.side(numbers, lists.up) + lists.side(numbers, lists.down)
    with np.errstate(invalid="ignore"):
        return lists.difference(totals) / np.sqrt(number)
