"""The smallest effect that a sample could have seen, at a stated power.

References
----------
Hsieh & Lavori 2000, doi:10.1016/S0197-2456(00)00104-5 (log hazard ratio per SD);
Cohen 1988, Statistical Power Analysis (standardised difference).
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, special, stats

from cytostrat.stats.effect_size import small_sample_correction


def _normal_sum(power: float, alpha: float) -> float:
    return float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))


def detectable_noncentrality(df: int, *, power: float, alpha: float) -> float:
    """Return the noncentrality at which a two-sided t-test of `df` has the stated power."""
    critical = stats.t.isf(alpha / 2, df)

    def shortfall(ncp: float) -> float:
        # The far tail is below 1e-7 from ncp = 4 on, and comes out as NaN in places there.
        far = np.nan_to_num(special.nctdtr(df, ncp, -critical))
        return 1 - special.nctdtr(df, ncp, critical) + far - power

    upper = 2.0
    while shortfall(upper) < 0:
        upper *= 2
    return float(optimize.brentq(shortfall, 0.0, upper, xtol=1e-10))


def detectable_g(
    n_case: int, n_control: int, *, power: float = 0.8, alpha: float = 0.05, r2: float = 0.0
) -> float:
    """Return the smallest |g| that a two-sided t-test finds with the stated power.

    The standardised difference whose noncentral t distribution exceeds the critical value
    with probability `power` (both tails counted), times J, so that it is on the scale of
    Hedges' g. With covariates that explain the share `r2` of the group indicator's variance
    it grows by 1 / sqrt(1 - r2). NaN where a group holds fewer than two samples or r2 is 1.
    """
    if min(n_case, n_control) < 2 or not 0 <= r2 < 1:
        return float("nan")
    df = n_case + n_control - 2
    scale = np.sqrt(1 / n_case + 1 / n_control)
    ncp = detectable_noncentrality(df, power=power, alpha=alpha)
    return float(small_sample_correction(df) * ncp * scale / np.sqrt(1 - r2))


def detectable_auc(
    n_case: int, n_control: int, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Return the AUC above 0.5 of two normal groups that differ by `detectable_g`."""
    g = detectable_g(n_case, n_control, power=power, alpha=alpha)
    return float(stats.norm.cdf(g / np.sqrt(2)))


def detectable_log_hr(
    events: int, *, power: float = 0.8, alpha: float = 0.05, r2: float = 0.0
) -> float:
    """Return the smallest |log hazard ratio| per SD: (z_alpha/2 + z_power) / sqrt(D (1 - r2)).

    D is the number of events and r2 the share of the score's variance that the covariates
    explain. NaN without events.
    """
    if events < 1 or not 0 <= r2 < 1:
        return float("nan")
    return _normal_sum(power, alpha) / float(np.sqrt(events * (1 - r2)))


def detectable_correlation(
    n: int, *, n_covariates: int = 0, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Return the smallest |partial correlation|, by Fisher's z with n - covariates - 3."""
    if n - n_covariates <= 3:
        return float("nan")
    return float(np.tanh(_normal_sum(power, alpha) / np.sqrt(n - n_covariates - 3)))
