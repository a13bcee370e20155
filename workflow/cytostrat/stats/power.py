"""The smallest effect that a sample could have seen, at a stated power.

References
----------
Hsieh & Lavori 2000, doi:10.1016/S0197-2456(00)00104-5 (log hazard ratio per SD);
Cohen 1988, Statistical Power Analysis (standardised difference).
"""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from cytostrat.stats.effect_size import Spread, small_sample_correction


def _normal_sum(power: float, alpha: float) -> float:
    return float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))


def detectable_noncentrality(
    df: float | np.ndarray, *, power: float, alpha: float
) -> float | np.ndarray:
    """Return the noncentrality at which a two-sided t-test of `df` has the stated power.

    One per element of `df`, by the secant method from the sum of the two t quantiles; NaN
    stays NaN.
    """
    freedom = np.asarray(df, dtype=float)
    critical = stats.t.isf(alpha / 2, freedom)

    def excess(ncp: np.ndarray) -> np.ndarray:
        # The far tail is below 1e-7 from ncp = 4 on, and comes out as NaN in places there.
        far = np.nan_to_num(special.nctdtr(freedom, ncp, -critical))
        return 1 - special.nctdtr(freedom, ncp, critical) + far - power

    before = critical + stats.t.isf(1 - power, freedom)
    at_before = excess(before)
    ncp = before - at_before / stats.norm.pdf(stats.norm.ppf(power))
    for _ in range(50):
        at = excess(ncp)
        open_ = np.abs(at) > 1e-12
        if not open_.any():
            break
        moved = (ncp != before) & open_
        step = np.where(moved, at * (ncp - before) / np.where(moved, at - at_before, 1), 0)
        before, at_before, ncp = ncp, at, ncp - step
    return ncp if ncp.ndim else float(ncp)


def detectable_g(
    n_case: int,
    n_control: int,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    r2: float = 0.0,
    sds: tuple[float | np.ndarray, float | np.ndarray] = (1.0, 1.0),
) -> float | np.ndarray:
    """Return the smallest |g| that Welch's two-sided t-test finds with the stated power.

    The standardised difference whose noncentral t distribution, with Welch's degrees of
    freedom, exceeds the critical value with probability `power` (both tails counted), times J,
    so that it is on the scale of Hedges' g. `sds` are the spreads of cases and controls, of
    which only the ratio matters; arrays give one result per element. With covariates that
    explain the share `r2` of the group indicator's variance it grows by 1 / sqrt(1 - r2). NaN
    where a group holds fewer than two samples, r2 is 1 or neither group varies.
    """
    if min(n_case, n_control) < 2 or not 0 <= r2 < 1:
        return float("nan")
    spread = Spread.of(sds, (n_case, n_control))
    ncp = detectable_noncentrality(spread.df, power=power, alpha=alpha)
    correction = small_sample_correction(n_case + n_control - 2)
    out = np.asarray(correction * ncp * np.sqrt(spread.variance / (1 - r2)))
    return out if out.ndim else float(out)


def detectable_auc(
    n_case: int, n_control: int, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Return the AUC above 0.5 of two normal groups, equally spread, `detectable_g` apart."""
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
