"""Moderated t-statistics of one coefficient for all genes at once.

The variance of each gene is drawn towards a common value, by a scaled inverse chi-square prior
whose two parameters are estimated from all genes. No trend of the variance with the mean level
is modelled. Checked against R limma (``lmFit``, ``eBayes``).

Reference: Smyth 2004, doi:10.2202/1544-6115.1027.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from cytostrat.errors import EstimationError
from cytostrat.stats.estimates import bounded_p

BATCH = 50


@dataclass(frozen=True)
class Moderated:
    """Moderated contrast of every gene.

    Parameters
    ----------
    coefficient
        Shape (genes,), in the unit of the values (log2 fold change).
    t, p
        Moderated t and its two-sided p; NaN for a gene with a missing value.
    df
        Total degrees of freedom.
    prior_df, prior_variance
        Of the prior; infinite `prior_df` means that all genes share one variance.
    """

    coefficient: np.ndarray
    t: np.ndarray
    p: np.ndarray
    df: float
    prior_df: float
    prior_variance: float


@dataclass(frozen=True)
class _Residuals:
    """Genes with the covariates taken out; all that a contrast still needs."""

    basis: np.ndarray
    values: np.ndarray
    squares: np.ndarray
    complete: np.ndarray

    def effects(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each gene's projection on each label, and the length of the labels.

        Both after the covariates are taken out of the label.
        """
        left = labels - (labels @ self.basis) @ self.basis.T
        length = np.linalg.norm(left, axis=1, keepdims=True)
        if (length <= 1e-6 * np.linalg.norm(labels, axis=1, keepdims=True)).any():
            raise EstimationError("The groups follow from the covariates.")
        return (left / length).astype(self.values.dtype) @ self.values, length


def _residuals(values: np.ndarray, covariates: np.ndarray | None) -> _Residuals:
    values = np.asarray(values)
    n = len(values)
    if values.dtype.kind != "f":
        values = values.astype(float)
    terms = np.ones((n, 1))
    if covariates is not None:
        terms = np.column_stack([terms, np.asarray(covariates, dtype=float)])
    if n <= terms.shape[1] + 1:
        raise EstimationError(f"{n} samples cannot carry {terms.shape[1] + 1} terms.")
    basis, r = np.linalg.qr(terms)
    if (np.abs(np.diag(r)) <= 1e-9 * np.linalg.norm(terms, axis=0)).any():
        raise EstimationError("The design is rank-deficient: one term repeats the others.")
    complete = np.isfinite(values).all(axis=0)
    if complete.sum() < 2:
        raise EstimationError("Fewer than two genes have a value in every sample.")
    left = values[:, complete]
    # centred before the projection, so that single precision loses nothing to the mean level
    left = left - left.mean(axis=0, dtype=float).astype(values.dtype)
    slim = basis.astype(values.dtype)
    left -= slim @ (slim.T @ left)
    return _Residuals(basis, left, np.einsum("ij,ij->j", left, left, dtype=float), complete)


def moderated_t(
    values: np.ndarray, case: np.ndarray, covariates: np.ndarray | None = None
) -> Moderated:
    """Return the moderated contrast of cases against controls for every gene.

    Parameters
    ----------
    values
        Shape (samples, genes), log scale. A gene with a missing value gives NaN.
    case
        Shape (samples,), boolean or numeric.
    covariates
        Shape (samples, covariates) without intercept, or None.

    Raises
    ------
    EstimationError
        The groups follow from the covariates, no residual freedom is left, fewer than two genes
        are complete, or most genes do not vary.
    """
    rest = _residuals(values, covariates)
    effect, length = rest.effects(np.asarray(case, dtype=float)[None])
    effect = effect[0].astype(float)
    t, df, prior_df, prior_variance = _moderate(effect, rest)
    genes = np.full((2, rest.complete.size), np.nan)
    genes[:, rest.complete] = effect / length[0, 0], t
    return Moderated(
        coefficient=genes[0], t=genes[1], p=bounded_p(2 * stats.t.sf(np.abs(genes[1]), df)),
        df=df, prior_df=prior_df, prior_variance=prior_variance,
    )  # fmt: skip


def permuted_moderated_t(
    values: np.ndarray, labels: np.ndarray, covariates: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Yield the moderated t of every gene for each row of `labels`, shape (labellings, samples).

    The covariates are taken out of the genes once and the labellings go through in batches, so
    a thousand of them on 3,000 samples x 20,000 genes take seconds.
    """
    rest = _residuals(values, covariates)
    for start in range(0, len(labels), BATCH):
        effects, _ = rest.effects(labels[start : start + BATCH].astype(float))
        for effect in effects.astype(float):
            t = np.full(rest.complete.size, np.nan)
            t[rest.complete] = _moderate(effect, rest)[0]
            yield t


def _moderate(effect: np.ndarray, rest: _Residuals) -> tuple[np.ndarray, float, float, float]:
    """Return t, its degrees of freedom, and freedom and scale of the prior."""
    df = len(rest.values) - rest.basis.shape[1] - 1
    variance = np.maximum(rest.squares - effect**2, 0) / df
    prior_df, prior_variance = _prior(variance, df)
    if np.isinf(prior_df):
        posterior, total = np.full_like(variance, prior_variance), np.inf
    else:
        total = df + prior_df
        posterior = (prior_df * prior_variance + df * variance) / total
    return (
        effect / np.sqrt(posterior),
        min(total, float(df * variance.size)),
        prior_df,
        prior_variance,
    )


def _prior(variance: np.ndarray, df: int) -> tuple[float, float]:
    """Return degrees of freedom and scale of the prior by the moments of log variances.

    Variances below 1e-5 of their median are lifted to it, so that a gene without any spread
    does not decide the prior.
    """
    median = np.median(variance)
    if median == 0:
        raise EstimationError("More than half of the genes do not vary; no variance to share.")
    lifted = np.maximum(variance, 1e-5 * median)
    e = np.log(lifted) - special.digamma(df / 2) + np.log(df / 2)
    excess = e.var(ddof=1) - special.polygamma(1, df / 2)
    if excess <= 0:
        return np.inf, float(lifted.mean())
    half = optimize.brentq(
        lambda log_x: special.polygamma(1, np.exp(log_x)) - excess, -30, 30, xtol=1e-12
    )
    prior_df = 2 * float(np.exp(half))
    scale = np.exp(e.mean() + special.digamma(prior_df / 2) - np.log(prior_df / 2))
    return prior_df, float(scale)
