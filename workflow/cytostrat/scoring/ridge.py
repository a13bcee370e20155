"""CytoSig (Jiang 2021): ridge regression of expression on the responses to cytokines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from cytostrat.errors import ScoringError
from cytostrat.scoring.genelists import column_of
from cytostrat.scoring.records import Method

METHOD = Method(
    name="cytosig",
    title="CytoSig (ridge regression on cytokine responses)",
    doi="10.1038/s41592-021-01274-5",
    needs="log",
    comparable_samples=True,
    comparable_sets=True,
    comparable_cohorts=False,
    up_down="the response matrix holds a signed weight per gene",
    ties="not ranked",
    missing=(
        "only genes of both the matrix and the responses enter; a gene that is NaN in a sample "
        "is left out for that sample"
    ),
    meaning=(
        "How much the sample's deviation from the cohort mean looks like the response to the "
        "cytokine, in standard errors (z): it says where a sample stands within this cohort, and "
        "changes when samples are added or removed."
    ),
)


@dataclass(frozen=True)
class Activity:
    """Result of `cytosig`: data frames of samples x cytokines.

    Parameters
    ----------
    beta
        Ridge coefficients of standardised expression on standardised responses.
    se
        Standard deviation of the coefficient over all permutations of the genes.
    z
        Coefficient over `se`.
    p
        Two-sided permutation p, ``(k + 1) / (n + 1)``.
    """

    beta: pd.DataFrame
    se: pd.DataFrame
    z: pd.DataFrame
    p: pd.DataFrame


def cytosig(
    matrix: Any,
    genes: Sequence[str],
    responses: pd.DataFrame,
    *,
    seed: int,
    penalty: float = 1e4,
    n_permutations: int = 1000,
    centre: bool = True,
    threads: int = 1,
    samples: Sequence[str] | None = None,
) -> Activity:
    r"""Estimate the activity of each cytokine in each sample.

    Responses :math:`X` and expression :math:`y` are brought to mean 0 and standard deviation 1
    (n - 1) over the genes they share;

    .. math::

       \beta = (X^T X + \lambda I)^{-1} X^T y = P y.

    Over all permutations of the genes the coefficient has mean 0 and variance
    :math:`\sum_g (P_g - \bar P)^2`, which gives `se` and `z` without sampling; `p` counts
    permutations with a coefficient at least as large.

    Parameters
    ----------
    matrix
        Samples x genes, dense or CSR, on the log scale. NaN: not measured.
    genes
        Gene symbols of the columns, without duplicates.
    responses
        Genes x cytokines, supplied by the user.
    seed
        Seed of the permutations; genes are permuted in the order of their symbols.
    penalty
        :math:`\lambda`.
    n_permutations
        Number of permutations.
    centre
        Take each gene's mean over the samples off first, as the method expects relative
        expression.
    threads
        Number of threads of the linear algebra.
    samples
        Names of the rows; 0, 1, ... if not given.

    Raises
    ------
    ScoringError
        Fewer than 50 common genes, missing or infinite responses, an infinite value, or nothing
        to centre on.

    References
    ----------
    doi:10.1038/s41592-021-01274-5
    """
    from threadpoolctl import threadpool_limits

    columns = column_of(genes)
    if not responses.index.is_unique:
        raise ScoringError("The response matrix names a gene twice; keep one row per gene.")
    common = sorted(gene for gene in responses.index if gene in columns)
    if len(common) < 50:
        raise ScoringError(
            f"The matrix and the response matrix share {len(common)} genes; cytosig needs 50. "
            "Check that both use gene symbols."
        )
    if penalty < 0 or n_permutations < 1:
        raise ScoringError(
            f"cytosig needs a penalty of 0 or more and 1 or more permutations, not {penalty} and "
            f"{n_permutations}."
        )
    x = responses.loc[common].to_numpy(dtype=np.float64)
    y = matrix[:, [columns[gene] for gene in common]]
    y = (y.toarray() if sparse.issparse(y) else np.asarray(y)).astype(np.float64)
    if not np.isfinite(x).all() or np.isinf(y).any():
        raise ScoringError("cytosig found an infinite value, or a missing response.")
    if centre:
        if len(y) < 2:
            raise ScoringError(
                "cytosig takes expression relative to the cohort and has one sample; give "
                "relative values and centre=False."
            )
        measured = ~np.isnan(y)
        number = np.maximum(measured.sum(axis=0), 1)
        y = y - np.where(measured, y, 0.0).sum(axis=0) / number
    results = np.full((4, len(y), x.shape[1]), np.nan)
    patterns, group = np.unique(np.isnan(y), axis=0, return_inverse=True)
    group = group.ravel()
    with threadpool_limits(threads):
        for number, missing in enumerate(patterns):
            rows = np.flatnonzero(group == number)
            if (~missing).sum() >= 50:
                results[:, rows] = _ridge(
                    x[~missing], y[rows][:, ~missing], penalty, n_permutations, seed
                )
    names = range(len(y)) if samples is None else samples
    return Activity(*(pd.DataFrame(part, names, responses.columns) for part in results))


def _ridge(
    x: np.ndarray, y: np.ndarray, penalty: float, n_permutations: int, seed: int
) -> np.ndarray:
    """Return beta, se, z and p, each samples x cytokines; a sample without variation has NaN."""
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        y = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, ddof=1, keepdims=True)
    flat = ~np.isfinite(y).all(axis=1)
    y[flat] = 0.0
    projection = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T)
    beta = y @ projection.T
    # sum (y - mean)^2 / (n - 1) is 1 by the scaling of y
    deviation = projection - projection.mean(axis=1, keepdims=True)
    se = np.broadcast_to(np.sqrt((deviation**2).sum(axis=1)), beta.shape)
    rng = np.random.default_rng(seed)
    larger = np.zeros(beta.shape)
    size = np.abs(beta) * (1 - 1e-12)
    by_gene = np.ascontiguousarray(projection.T)
    for _ in range(n_permutations):
        larger += np.abs(y @ by_gene[rng.permutation(len(by_gene))]) >= size
    out = np.stack([beta, se, beta / se, (larger + 1) / (n_permutations + 1)])
    out[:, flat] = np.nan
    return out
