"""Linear models fitted to many columns at once, with HC3 standard errors.

References
----------
MacKinnon & White 1985, doi:10.1016/0304-4076(85)90158-7 (HC3);
Long & Ervin 2000, doi:10.1080/00031305.2000.10474549 (why HC3 in small samples);
Fisher 1924 and Bonett & Wright 2000, doi:10.1007/BF02294183 (interval of a correlation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cytostrat.errors import EstimationError
from cytostrat.stats.effect_size import pooled_sd
from cytostrat.stats.estimates import Estimates, as_columns, bounded_p

_ALONE = 1e-10


@dataclass(frozen=True)
class Fit:
    """Least-squares fit of several columns on one design.

    Parameters
    ----------
    coefficients
        Shape (terms, columns).
    se
        HC3 standard errors, same shape.
    residuals
        Shape (samples, columns).
    df
        Residual degrees of freedom, samples minus terms.
    """

    coefficients: np.ndarray
    se: np.ndarray
    residuals: np.ndarray
    df: int

    @property
    def p(self) -> np.ndarray:
        """Two-sided p of every coefficient by the t distribution with `df`, in (0, 1]."""
        with np.errstate(invalid="ignore", divide="ignore"):
            t = np.abs(self.coefficients / self.se)
        return bounded_p(2 * stats.t.sf(t, self.df))


def ols(values: np.ndarray, design: np.ndarray) -> Fit:
    """Fit every column of `values` on `design` by least squares.

    Parameters
    ----------
    values
        Shape (samples, columns); NaN gives NaN for its column.
    design
        Shape (samples, terms), finite, the intercept included by the caller.

    Returns
    -------
    Fit
        With HC3 covariance (X'X)^-1 X' diag(e^2 / (1 - h)^2) X (X'X)^-1. A sample that alone
        determines a term (leverage 1, residual 0) adds nothing: the fit equals the one
        without that sample and its term.

    Raises
    ------
    EstimationError
        The design has a missing value, is rank-deficient, or leaves no residual freedom.
    """
    values = as_columns(values)
    design = np.asarray(design, dtype=float)
    n, terms = design.shape
    if not np.isfinite(design).all():
        raise EstimationError("The design holds a missing or infinite value; leave the sample out.")
    if n <= terms:
        raise EstimationError(f"{n} samples cannot carry {terms} terms.")
    q, r = np.linalg.qr(design)
    diagonal = np.abs(np.diag(r))
    if (diagonal <= 1e-9 * np.maximum(np.linalg.norm(design, axis=0), 1e-300)).any():
        raise EstimationError("The design is rank-deficient: one term repeats the others.")
    inverse = np.linalg.solve(r, q.T)
    coefficients = inverse @ values
    residuals = values - design @ coefficients
    slack = 1 - (q**2).sum(axis=1)
    alone = slack < _ALONE
    weight = np.where(alone, 0.0, 1 / np.where(alone, 1.0, slack))
    se = np.sqrt((inverse * weight) ** 2 @ residuals**2)
    return Fit(coefficients, se, residuals, int(n - terms - alone.sum() + _lost(design, alone)))


def _lost(design: np.ndarray, alone: np.ndarray) -> int:
    """Return how many terms vanish with the samples that alone determine them."""
    if not alone.any():
        return 0
    return design.shape[1] - int(np.linalg.matrix_rank(design[~alone]))


def group_r2(case: np.ndarray, covariates: np.ndarray) -> float:
    """Return the share of the group indicator's variance that the covariates explain."""
    y = np.asarray(case, dtype=float)
    residuals = ols(y, _with_intercept(covariates, len(y))).residuals
    return float(1 - (residuals**2).sum() / ((y - y.mean()) ** 2).sum())


def _with_intercept(covariates: np.ndarray | None, n: int) -> np.ndarray:
    intercept = np.ones((n, 1))
    return intercept if covariates is None else np.hstack([intercept, as_columns(covariates)])


def adjusted_difference(
    values: np.ndarray,
    case: np.ndarray,
    covariates: np.ndarray | None,
    *,
    level: float = 0.95,
) -> Estimates:
    """Return the covariate-adjusted difference of two groups in units of the pooled SD.

    The coefficient of the group indicator in OLS on group, covariates and intercept, over the
    crude pooled within-group standard deviation of the same samples: the unit of Hedges' g, so
    that crude and adjusted numbers can be read side by side. (The factor J of g is left out;
    it is 0.99 at 80 samples.)

    Parameters
    ----------
    values
        Shape (samples, columns).
    case
        Shape (samples,), boolean.
    covariates
        Shape (samples, covariates) without intercept, or None.
    level
        Level of the two-sided interval.

    Returns
    -------
    Estimates
        `p` tests the coefficient with its HC3 standard error and t(n - terms). `se` adds the
        uncertainty of the SD by the delta method, se^2 = (se_HC3 / SD)^2 + estimate^2 / (2
        (n - 2)), as that of g does; the interval is estimate -+ t(n - terms) se. NaN where a
        column does not vary inside the groups.

    Raises
    ------
    EstimationError
        As `ols`; among others where the group is a combination of the covariates.
    """
    values = as_columns(values)
    sd = pooled_sd(values, case)
    design = np.column_stack([np.asarray(case, float), _with_intercept(covariates, len(values))])
    fit = ols(values, design)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = np.where(sd > 0, sd, np.nan)
        estimate = fit.coefficients[0] / unit
        se = np.sqrt((fit.se[0] / unit) ** 2 + estimate**2 / (2 * (len(values) - 2)))
    half = stats.t.isf((1 - level) / 2, fit.df) * se
    return Estimates(
        estimate=estimate, se=se, low=estimate - half, high=estimate + half,
        p=np.where(np.isfinite(estimate), fit.p[0], np.nan),
        n=len(values), n_case=int(np.sum(case)), df=fit.df,
    )  # fmt: skip


def adjusted_estimate(
    values: np.ndarray, case: np.ndarray, covariates: np.ndarray | None
) -> np.ndarray:
    """Return only the estimates of `adjusted_difference`, for thousands of random sets."""
    values = as_columns(values)
    sd = pooled_sd(values, case)
    y = np.asarray(case, dtype=float)
    own = ols(y, _with_intercept(covariates, len(y))).residuals[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (own @ values) / (own @ own) / np.where(sd > 0, sd, np.nan)


def partial_correlation(
    x: np.ndarray,
    y: np.ndarray,
    covariates: np.ndarray | None = None,
    *,
    method: str = "spearman",
    level: float = 0.95,
) -> Estimates:
    """Return the partial correlation of each column of `x` with `y`, given covariates.

    Parameters
    ----------
    x
        Shape (samples, columns).
    y
        Shape (samples,).
    covariates
        Shape (samples, covariates) without intercept, or None for the plain correlation.
    method
        ``spearman`` (all variables replaced by average ranks first) or ``pearson``.
    level
        Level of the two-sided interval.

    Returns
    -------
    Estimates
        Correlation r of the residuals after regression on the covariates. `p` by t = r
        sqrt((n - 2 - c) / (1 - r^2)) with n - 2 - c degrees of freedom; interval by Fisher's z
        with variance 1 / (n - c - 3), times 1 + r^2 / 2 for Spearman (Bonett & Wright); `se` is
        that standard error carried back to the scale of r by 1 - r^2. NaN where a variable
        does not vary once the covariates are taken out.

    Raises
    ------
    EstimationError
        Unknown method, or fewer than covariates + 4 samples, or as `ols`.
    """
    if method not in ("spearman", "pearson"):
        raise EstimationError(f"Correlation method {method!r} is unknown: spearman or pearson.")
    x, y = as_columns(x), np.asarray(y, dtype=float)
    parts = None if covariates is None else as_columns(covariates)
    n, c = len(y), 0 if parts is None else parts.shape[1]
    if n < c + 4:
        raise EstimationError(f"{n} samples cannot carry a correlation given {c} covariates.")
    if method == "spearman":
        x = stats.rankdata(x, axis=0, nan_policy="propagate")
        y = stats.rankdata(y)
        parts = None if parts is None else stats.rankdata(parts, axis=0)
    design = _with_intercept(parts, n)
    rx, ry = ols(x, design).residuals, ols(y, design).residuals[:, 0]
    size_x, size_y = np.sqrt((rx**2).sum(axis=0)), np.sqrt((ry**2).sum())
    tiny = 1e-10 * np.sqrt(n)
    moves = (size_x > tiny * np.abs(x).max(axis=0)) & (size_y > tiny * np.abs(y).max())
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(moves, np.clip(ry @ rx / (size_x * size_y), -1, 1), np.nan)
        df = n - 2 - c
        t = np.abs(r) * np.sqrt(df / (1 - r**2))
        se_z = np.sqrt((1 + (r**2 / 2 if method == "spearman" else 0)) / (n - c - 3))
        z, half = np.arctanh(r), stats.norm.ppf(0.5 + level / 2) * se_z
    return Estimates(
        estimate=r, se=se_z * (1 - r**2), low=np.tanh(z - half), high=np.tanh(z + half),
        p=bounded_p(2 * stats.t.sf(t, df)), n=n, df=df,
    )  # fmt: skip


@dataclass(frozen=True)
class NestedTest:
    """Comparison of two nested linear models, per column.

    Parameters
    ----------
    f, p
        F statistic with (df1, df2) degrees of freedom and its p.
    df1, df2
        Added terms, residual freedom of the full model.
    lr, lr_p
        Likelihood-ratio statistic n log(RSS0 / RSS1) and its p by chi-square with df1.
    r2_gain
        Share of the total variance that the added terms explain.
    """

    f: np.ndarray
    p: np.ndarray
    df1: int
    df2: int
    lr: np.ndarray
    lr_p: np.ndarray
    r2_gain: np.ndarray


def nested_test(values: np.ndarray, reduced: np.ndarray | None, added: np.ndarray) -> NestedTest:
    """Return what `added` terms explain beyond the `reduced` ones.

    Parameters
    ----------
    values
        Shape (samples, columns).
    reduced
        Shape (samples, terms) without intercept, or None for the intercept alone.
    added
        Shape (samples, terms).

    Raises
    ------
    EstimationError
        As `ols`.
    """
    values = as_columns(values)
    small = ols(values, _with_intercept(reduced, len(values)))
    full = ols(values, np.hstack([_with_intercept(reduced, len(values)), as_columns(added)]))
    rss0, rss1 = (small.residuals**2).sum(axis=0), (full.residuals**2).sum(axis=0)
    df1, df2 = small.df - full.df, full.df
    total = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        f = np.maximum(rss0 - rss1, 0) / df1 / (rss1 / df2)
        lr = len(values) * np.log(np.maximum(rss0 / rss1, 1))
        gain = (rss0 - rss1) / total
    return NestedTest(
        f=f, p=bounded_p(stats.f.sf(f, df1, df2)), df1=df1, df2=df2,
        lr=lr, lr_p=bounded_p(stats.chi2.sf(lr, df1)), r2_gain=gain,
    )  # fmt: skip
