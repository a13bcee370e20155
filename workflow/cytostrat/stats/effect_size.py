"""Standardised mean difference of two groups: Hedges' g, its standard error and interval.

The difference is cases minus controls over the pooled within-group standard deviation
(Cohen's d), times the exact correction for small samples (Hedges 1981).

Two variances are in use for g, and the choice matters little beyond 20 samples per group:

* `se` is the large-sample one, 1/n1 + 1/n0 + g^2 / (2 (n1 + n0)) (Hedges & Olkin 1985, eq. 5.14
  with g for d). It is what meta-analysis programs use by default (metafor ``measure="SMD",
  vtype="LS"``), so that a pool made here can be repeated there.
* the interval does not use it: it inverts the noncentral t distribution of the two-sample
  statistic and is exact for normal scores of equal variance, at every sample size.

References
----------
Hedges 1981, doi:10.3102/10769986006002107 (the correction);
Hedges & Olkin 1985, Statistical Methods for Meta-Analysis, chapter 5;
Cumming & Finch 2001, doi:10.1177/0013164401614002 (the interval).
"""

from __future__ import annotations

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
        g = J(n - 2) (mean of cases - mean of controls) / pooled SD; `p` is that of Student's
        t-test with equal variances, which the interval inverts: p < 1 - level exactly where
        the interval excludes zero. NaN where a column does not vary inside the groups.

    Raises
    ------
    EstimationError
        A group holds fewer than two samples.
    """
    g = g_estimate(values, case)
    n1, n0 = int(np.sum(case)), int(np.sum(~case))
    df = n1 + n0 - 2
    correction = small_sample_correction(df)
    scale = np.sqrt(1 / n1 + 1 / n0)
    t = g / correction / scale
    tail = (1 - level) / 2
    return Estimates(
        estimate=g,
        se=np.sqrt(1 / n1 + 1 / n0 + g**2 / (2 * (n1 + n0))),
        low=correction * scale * special.nctdtrinc(df, 1 - tail, t),
        high=correction * scale * special.nctdtrinc(df, tail, t),
        p=bounded_p(2 * stats.t.sf(np.abs(t), df)),
        n=n1 + n0,
        n_case=n1,
        df=df,
    )


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
