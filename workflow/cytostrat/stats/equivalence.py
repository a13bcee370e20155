"""Equivalence by two one-sided tests: is an effect small enough to call 'no difference'?

Reference: Schuirmann 1987, doi:10.1007/BF01068419.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cytostrat.stats.estimates import bounded_p

BOUND = 0.2


@dataclass(frozen=True)
class Equivalence:
    """Result of two one-sided tests.

    Parameters
    ----------
    low, high
        The 1 - 2 alpha interval (90 % for alpha 0.05).
    p
        The larger of the two one-sided p-values.
    equivalent
        Whether the interval lies inside the bounds, which is p < alpha.
    """

    low: float
    high: float
    p: float
    equivalent: bool


def tost(
    estimate: float, se: float, *, df: float = np.inf, bound: float = BOUND, alpha: float = 0.05
) -> Equivalence:
    """Return the two one-sided tests of |effect| < bound, by the t distribution with df.

    A missing estimate, or a standard error that is missing or zero, is never equivalent.
    """
    if not (np.isfinite(estimate) and np.isfinite(se) and se > 0):
        return Equivalence(np.nan, np.nan, np.nan, False)
    reference = stats.norm if np.isinf(df) else stats.t(df)
    half = reference.isf(alpha) * se
    p = max(
        reference.sf((estimate + bound) / se),
        reference.cdf((estimate - bound) / se),
    )
    low, high = estimate - half, estimate + half
    return Equivalence(low, high, float(bounded_p(p)), bool(low > -bound and high < bound))


def tost_from_interval(
    low: float,
    high: float,
    *,
    level: float = 0.95,
    df: float = np.inf,
    bound: float = BOUND,
    alpha: float = 0.05,
) -> Equivalence:
    """Return `tost` for an estimate of which only a symmetric interval is at hand.

    For a pooled row by the modified Hartung-Knapp method df is k - 1.
    """
    reference = stats.norm if np.isinf(df) else stats.t(df)
    se = (high - low) / (2 * reference.isf((1 - level) / 2))
    return tost((low + high) / 2, se, df=df, bound=bound, alpha=alpha)
