"""Standardised mean difference of two groups: Hedges' g, its standard error and interval.

The difference is cases minus controls over the pooled within-group standard deviation s
(Cohen's d), times the exact correction for small samples J (Hedges 1981). The groups need not
vary alike, and where the smaller one varies more, formulas that assume so are far too sure: at
15 against 85 samples and a ratio of 1.8 an interval by the noncentral t distribution excludes a
true 0 in 19 % of cohorts. So the two variances stay apart, and the delta method gives

    se^2 = J^2 (w + d^2 u / 2)
    w = (s1^2/n1 + s0^2/n0) / s^2
    u = sum (ni - 1) si^4 / (sum (ni - 1) si^2)^2

w is the variance of the mean difference in units of s^2 with Welch's degrees of freedom v; u is
one over the degrees of freedom of s^2, so d^2 u / 2 is what the uncertainty of s adds. The
interval is g -+ t(df) se with Satterthwaite's degrees of freedom of the sum of both parts,
df = (w + d^2 u / 2)^2 / (w^2/v + (d^2 u / 2)^2 u). Where both variances are equal, se^2 / J^2 is
1/n1 + 1/n0 + d^2 / (2 (n1 + n0 - 2)), the usual one. For differences over an average SD Bonett
(2008) keeps the variances apart in the same way.

References
----------
Hedges 1981, doi:10.3102/10769986006002107 (the correction);
Welch 1947, doi:10.1093/biomet/34.1-2.28, and Satterthwaite 1946, doi:10.2307/3002019 (degrees
of freedom); Bonett 2008, doi:10.1037/1082-989X.13.2.99.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from cytostrat.stats.estimates import Estimates, bounded_p, split_groups


def small_sample_correction(df: float | np.ndarray) -> np.ndarray:
    """Return J(df) = Gamma(df/2) / (sqrt(df/2) Gamma((df-1)/2)), exact; NaN below df = 2."""
    df = np.asarray(df, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_j = special.gammaln(df / 2) - special.gammaln((df - 1) / 2) - 0.5 * np.log(df / 2)
    return np.where(df >= 2, np.exp(log_j), np.nan)


def pooled_sd(values: np.ndarray, case: np.ndarray) -> np.ndarray:
    """Return the pooled within-group standard deviation per column.

    The square root of the summed squared deviations from the two group means over n - 2.
    A column that does not vary inside the groups (up to rounding error) gives 0.
    """
    cases, controls = split_groups(values, case)
    squares = sum(((group - group.mean(axis=0)) ** 2).sum(axis=0) for group in (cases, controls))
    sd = np.sqrt(squares / (len(cases) + len(controls) - 2))
    size = np.maximum(np.abs(cases).max(axis=0), np.abs(controls).max(axis=0))
    return np.where(sd <= 1e-12 * size, 0.0, sd)


def group_sds(values: np.ndarray, case: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the standard deviations of the cases and of the controls, per column."""
    cases, controls = split_groups(values, case)
    return cases.std(axis=0, ddof=1), controls.std(axis=0, ddof=1)


@dataclass(frozen=True)
class Spread:
    """What the spreads of two groups say about a difference in units of the pooled SD.

    Parameters
    ----------
    variance
        w, the variance of the mean difference over the pooled variance.
    df
        Welch's degrees of freedom of `variance`.
    sd_df
        1 / u, the degrees of freedom of the pooled variance; samples - 2 at equal spread.
    """

    variance: np.ndarray
    df: np.ndarray
    sd_df: np.ndarray

    @classmethod
    def of(cls, sds: tuple[np.ndarray, np.ndarray], counts: tuple[int, int]) -> Spread:
        """Return the spread of groups with these SDs and numbers of samples.

        NaN where neither group varies.
        """
        square1, square0 = (np.asarray(sd, dtype=float) ** 2 for sd in sds)
        n1, n0 = counts
        with np.errstate(invalid="ignore", divide="ignore"):
            whole = (n1 - 1) * square1 + (n0 - 1) * square0
            part1, part0 = square1 / n1, square0 / n0
            return cls(
                variance=(part1 + part0) * (n1 + n0 - 2) / whole,
                df=(part1 + part0) ** 2 / (part1**2 / (n1 - 1) + part0**2 / (n0 - 1)),
                sd_df=whole**2 / ((n1 - 1) * square1**2 + (n0 - 1) * square0**2),
            )


def with_unit(
    estimate: np.ndarray, variance: np.ndarray, df: np.ndarray | float, sd_df: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return variance and degrees of freedom of a difference over an estimated SD.

    Parameters
    ----------
    estimate
        The difference in units of the SD.
    variance, df
        Those of the difference were the SD known, `variance` in units of its square.
    sd_df
        Degrees of freedom of the squared SD.

    Returns
    -------
    tuple
        variance + estimate^2 / (2 sd_df) by the delta method, and Satterthwaite's degrees of
        freedom of that sum.
    """
    unit = estimate**2 / (2 * sd_df)
    whole = variance + unit
    with np.errstate(invalid="ignore", divide="ignore"):
        return whole, whole**2 / (variance**2 / df + unit**2 / sd_df)


def hedges_g(values: np.ndarray, case: np.ndarray, *, level: float = 0.95) -> Estimates:
    """Return Hedges' g of cases against controls per column.

    Parameters
    ----------
    values
        Shape (samples, columns). NaN gives NaN for its column.
    case
        Shape (samples,), boolean.
    level
        Level of the two-sided interval.

    Returns
    -------
    Estimates
        g = J(n - 2) (mean of cases - mean of controls) / pooled SD; `se`, interval and `df`
        (one per column) as at the head of this file. `p` is two-sided of g / se by t(df), so
        that p < 1 - level exactly where the interval excludes zero; it decides like Welch's
        t-test but for a few cohorts at the border, and is larger with fewer than ten samples
        in both groups. NaN where a column does not vary inside the groups.

    Raises
    ------
    EstimationError
        A group holds fewer than two samples.
    """
    g = g_estimate(values, case)
    n1, n0 = int(np.sum(case)), int(np.sum(~case))
    correction = small_sample_correction(n1 + n0 - 2)
    spread = Spread.of(group_sds(values, case), (n1, n0))
    variance, df = with_unit(g / correction, spread.variance, spread.df, spread.sd_df)
    se = correction * np.sqrt(variance)
    half = stats.t.isf((1 - level) / 2, df) * se
    return Estimates(
        estimate=g, se=np.where(np.isnan(g), np.nan, se), low=g - half, high=g + half,
        p=bounded_p(2 * stats.t.sf(np.abs(g) / se, df)), n=n1 + n0, n_case=n1, df=df,
    )  # fmt: skip


def g_estimate(values: np.ndarray, case: np.ndarray) -> np.ndarray:
    """Return only the estimates of `hedges_g`, for thousands of random sets."""
    cases, controls = split_groups(values, case)
    sd = pooled_sd(values, case)
    correction = small_sample_correction(len(cases) + len(controls) - 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        d = (cases.mean(axis=0) - controls.mean(axis=0)) / np.where(sd > 0, sd, np.nan)
    return correction * d


def permuted_g(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return Hedges' g for many labellings of the same samples.

    Parameters
    ----------
    values
        Shape (samples, columns), finite.
    labels
        Shape (labellings, samples), boolean; True marks the cases.

    Returns
    -------
    numpy.ndarray
        Shape (labellings, columns). One matrix product gives all group means, so a thousand
        labellings cost little more than one.
    """
    centred = values - values.mean(axis=0)
    n1 = labels.sum(axis=1)[:, None].astype(float)
    n = len(values)
    n0 = n - n1
    sums = labels.astype(float) @ centred
    # the centred columns sum to zero, so the control sum is minus the case sum
    within = (centred**2).sum(axis=0) - sums**2 * (1 / n1 + 1 / n0)
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(np.maximum(within, 0) / (n - 2))
        return small_sample_correction(n - 2) * sums * (1 / n1 + 1 / n0) / sd
