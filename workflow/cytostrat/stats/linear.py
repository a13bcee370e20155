"""Linear models fitted to many columns at once, with HC3 standard errors.

A robust standard error rests on few samples where one group is small: with 5 of 300 tumours
HER2-positive it has about 4 degrees of freedom, not 296, and a test that takes it for the latter
rejects a true null in 9 % of cohorts. The remedy of Bell and McCaffrey, which Imbens and Kolesar
recommend, matches the variance estimate to a scaled chi-square under a working model of equal
variances. They do it for HC2; here it is done for the weights of HC3. With the residuals e = M y,
M = I - H, the squared standard error of coefficient k is the quadratic form

    se^2 = sum_i D_i e_i^2,  D_i = a_i^2 / (1 - h_i)^2,  a = row k of (X'X)^-1 X'

whose mean is tr(D M) and whose variance is 2 tr(D M D M), both in units of the error variance
and its square. So its degrees of freedom are

    df = tr(D M)^2 / tr(D M D M),

the square of the sum of the eigenvalues of D^1/2 M D^1/2 over the sum of their squares. Unlike
HC2, HC3 is too large on average, by the factor c = tr(D M) / sum_i a_i^2 (5/4 with five against
many). So coefficient / se follows t(df) / sqrt(c), and tests and intervals use that; se itself
stays HC3. Both numbers depend on the design alone: they are found once, however many columns.

References
----------
MacKinnon & White 1985, doi:10.1016/0304-4076(85)90158-7 (HC3);
Long & Ervin 2000, doi:10.1080/00031305.2000.10474549 (why HC3 in small samples);
Imbens & Kolesar 2016, doi:10.1162/REST_a_00552, after Bell & McCaffrey 2002, Survey Methodology
28(2):169-181 (degrees of freedom);
Fisher 1924 and Bonett & Wright 2000, doi:10.1007/BF02294183 (interval of a correlation).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from cytostrat.errors import EstimationError
from cytostrat.stats.effect_size import Spread, group_sds, pooled_sd, with_unit
from cytostrat.stats.estimates import Estimates, as_columns, bounded_p

EXACT_SPEARMAN_UP_TO = 9
PERFECT_NOTE = "perfect correlation: no interval, and no pool can use it (Fisher's z is infinite)"
_ALONE = 1e-10
_PERFECT = 1 - 1e-12


@dataclass(frozen=True)
class Fit:
    """Least-squares fit of several columns on one design.

    Parameters
    ----------
    coefficients
        Shape (terms, columns).
    se
        HC3 standard errors, same shape; NaN where one sample alone determines the coefficient.
    residuals
        Shape (samples, columns).
    df
        Residual degrees of freedom, samples minus terms.
    inverse
        Shape (terms, samples), (X'X)^-1 X'.
    basis
        Shape (samples, terms), orthonormal columns that span the design.
    """

    coefficients: np.ndarray
    se: np.ndarray
    residuals: np.ndarray
    df: int
    inverse: np.ndarray
    basis: np.ndarray

    def reference(self, term: int) -> tuple[float, float]:
        """Return df and c: coefficient / se of the term follows t(df) / sqrt(c).

        As at the head of this file, in a time of samples x terms^2. NaN where one sample alone
        determines the coefficient.
        """
        slack, alone = _slack(self.basis)
        row = np.where(alone, 0.0, self.inverse[term])
        weight = (row / slack) ** 2
        mean = weight @ slack
        inner = self.basis.T @ (self.basis * weight[:, None])
        half_variance = weight**2 @ (2 * slack - 1) + (inner**2).sum()
        if _rests_on(self.inverse[term], alone):
            return np.nan, np.nan
        return float(mean**2 / half_variance), float(mean / (row @ row))


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
        determines a term (leverage 1, residual 0) adds nothing: the fit of the other terms
        equals the one without that sample and its term, and its own term has no standard error.

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
    slack, alone = _slack(q)
    weight = np.where(alone, 0.0, 1 / slack)
    se = np.sqrt((inverse * weight) ** 2 @ residuals**2)
    se[[_rests_on(row, alone) for row in inverse]] = np.nan
    df = n - terms - alone.sum() + _lost(design, alone)
    return Fit(coefficients, se, residuals, int(df), inverse, q)


def _slack(basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 - leverage per sample, 1 where the sample alone determines a term, and where."""
    slack = 1 - (basis**2).sum(axis=1)
    alone = slack < _ALONE
    return np.where(alone, 1.0, slack), alone


def _rests_on(row: np.ndarray, alone: np.ndarray) -> bool:
    """Return whether a coefficient depends on a sample whose residual is 0 whatever it is."""
    return bool((np.abs(row[alone]) > _ALONE * np.abs(row).max()).any())


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
        `p` tests the coefficient by its HC3 standard error and t(df) / sqrt(c), see the head of
        this file. `se` adds the uncertainty of the SD by the delta method, as that of g does:
        se^2 = (se_HC3 / SD)^2 + estimate^2 / (2 sd_df). The interval takes se_HC3^2 / c in its
        place and `df` (one per column), Satterthwaite's for the sum of both parts. NaN where a
        column does not vary inside the groups.

    Raises
    ------
    EstimationError
        As `ols`; among others where the group is a combination of the covariates. One sample
        alone determines the difference.
    """
    values = as_columns(values)
    sd = pooled_sd(values, case)
    n, n_case = len(values), int(np.sum(case))
    fit = ols(values, np.column_stack([np.asarray(case, float), _with_intercept(covariates, n)]))
    freedom, inflation = fit.reference(0)
    if np.isnan(freedom):
        raise EstimationError("One sample alone determines the difference given the covariates.")
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = np.where(sd > 0, sd, np.nan)
        estimate, own = fit.coefficients[0] / unit, (fit.se[0] / unit) ** 2
        p = 2 * stats.t.sf(np.abs(estimate) * np.sqrt(inflation / own), freedom)
        sd_df = Spread.of(group_sds(values, case), (n_case, n - n_case)).sd_df
    variance, df = with_unit(estimate, own / inflation, freedom, sd_df)
    half = stats.t.isf((1 - level) / 2, df) * np.sqrt(variance)
    return Estimates(
        estimate=estimate, se=np.sqrt(with_unit(estimate, own, freedom, sd_df)[0]),
        low=estimate - half, high=estimate + half, p=bounded_p(p), n=n, n_case=n_case, df=df,
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
        sqrt((n - 2 - c) / (1 - r^2)) with n - 2 - c degrees of freedom; for Spearman without
        covariates and up to nine samples it is exact, see `exact_spearman_p`. Interval by
        Fisher's z with variance 1 / (n - c - 3), times 1 + r^2 / 2 for Spearman (Bonett &
        Wright); `se` is that standard error carried back to the scale of r by 1 - r^2, so that
        se / (1 - r^2) is the one of z. At r = 1 and -1 z is infinite: no interval and no `se`
        (the caller says `PERFECT_NOTE`). NaN where a variable does not vary once the covariates
        are taken out.

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
        perfect = np.abs(r) > _PERFECT
        r = np.where(perfect, np.sign(r), r)
        df = n - 2 - c
        p = 2 * stats.t.sf(np.abs(r) * np.sqrt(df / (1 - r**2)), df)
        known = np.where(perfect, np.nan, r)
        se_z = np.sqrt((1 + (known**2 / 2 if method == "spearman" else 0)) / (n - c - 3))
        z, half = np.arctanh(known), stats.norm.ppf(0.5 + level / 2) * se_z
    if method == "spearman" and c == 0 and n <= EXACT_SPEARMAN_UP_TO:
        p = exact_spearman_p(x, y)
    return Estimates(
        estimate=r, se=se_z * (1 - known**2), low=np.tanh(z - half), high=np.tanh(z + half),
        p=bounded_p(p), n=n, df=df,
    )  # fmt: skip


def exact_spearman_p(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the two-sided exact p of Spearman's correlation, by all orders of the samples.

    The share of the n! orders of one variable in which |rho| is at least the observed one;
    conditional on the ties. All n! are counted, so it is meant for up to nine samples.

    Parameters
    ----------
    x
        Ranks of shape (samples, columns), average ranks at ties; a column with NaN or of one
        single value gives NaN.
    y
        Ranks of shape (samples,).
    """
    n = len(y)
    p = np.full(x.shape[1], np.nan)
    if np.ptp(y) == 0:
        return p
    # twice a rank is a whole number, so equal correlations compare as equal
    doubled = np.rint(2 * y).astype(np.int64)
    shuffled, expected = doubled[_orders(n)], doubled.sum()
    found: dict[bytes, np.ndarray] = {}
    for column in np.flatnonzero(np.isfinite(x).all(axis=0) & (np.ptp(x, axis=0) > 0)):
        mine = np.rint(2 * x[:, column]).astype(np.int64)
        ties = np.sort(mine)
        sums = found.get(ties.tobytes())
        if sums is None:
            sums = found[ties.tobytes()] = np.abs(n * (shuffled @ ties) - expected * ties.sum())
        observed = abs(n * int(mine @ doubled) - int(expected * mine.sum()))
        p[column] = (sums >= observed).mean()
    return p


@cache
def _orders(n: int) -> np.ndarray:
    """Return all orders of n things, shape (n!, n)."""
    orders = np.zeros((1, 1), dtype=np.int8)
    for size in range(1, n):
        # the next one goes into every place of every order of those before
        orders = np.vstack([np.insert(orders, place, size, axis=1) for place in range(size + 1)])
    orders.flags.writeable = False
    return orders


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
