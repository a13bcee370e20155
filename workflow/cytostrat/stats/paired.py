"""Change within patients: standardised mean of paired differences.

References
----------
Gibbons, Hedeker & Davis 1993, doi:10.3102/10769986018003271 (standardised mean change);
Becker 1988, doi:10.1111/j.2044-8317.1988.tb00901.x; Cumming & Finch 2001,
doi:10.1177/0013164401614002 (the interval).
"""

from __future__ import annotations

import numpy as np
from scipy import special

from cytostrat.stats.effect_size import small_sample_correction
from cytostrat.stats.estimates import Estimates, as_columns, bounded_p
from cytostrat.stats.permutation import EXACT_UP_TO, sign_flip_p
from cytostrat.stats.power import detectable_noncentrality


def paired_d(
    differences: np.ndarray, *, level: float = 0.95, permutations: int = 9999, seed: int = 0
) -> Estimates:
    """Return the mean difference over the SD of the differences, corrected for small samples.

    Parameters
    ----------
    differences
        Shape (pairs, columns), later minus earlier; NaN gives NaN for its column.
    level
        Level of the two-sided interval.
    permutations, seed
        For the p of more than 14 pairs, see `cytostrat.stats.permutation.sign_flip_p`.

    Returns
    -------
    Estimates
        d = J(n - 1) mean / SD (metafor's ``measure="SMCC"``), `se` = sqrt(1/n + d^2 / (2 n)),
        the interval from the noncentral t distribution. `p` is that of the sign-flip
        permutation of the mean, exact up to 14 pairs, and so may disagree with the interval
        where the differences are far from normal. NaN with fewer than three pairs, or where
        all differences are equal.
    """
    estimate, t, se = _standardised(differences)
    differences = as_columns(differences)
    n = len(differences)
    tail = (1 - level) / 2
    scale = small_sample_correction(n - 1) / np.sqrt(n) if n > 2 else np.nan
    finite = np.isfinite(estimate)
    low, high, p = (np.full(estimate.size, np.nan) for _ in range(3))
    if finite.any():
        low[finite] = scale * special.nctdtrinc(n - 1, 1 - tail, t[finite])
        high[finite] = scale * special.nctdtrinc(n - 1, tail, t[finite])
        p[finite] = sign_flip_p(differences[:, finite], n=permutations, seed=seed)
    return Estimates(estimate, se, low, high, bounded_p(p), n=n, df=n - 1)


def paired_d_values(differences: np.ndarray) -> np.ndarray:
    """Return the estimates of `paired_d` alone, shape (columns,); quick for random sets."""
    return _standardised(differences)[0]


def _standardised(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return d, the t statistic, and the standard error of d."""
    differences = as_columns(differences)
    n, columns = differences.shape
    if n < 3:
        missing = np.full(columns, np.nan)
        return missing, missing, missing
    mean, sd = differences.mean(axis=0), differences.std(axis=0, ddof=1)
    flat = sd <= 1e-12 * np.abs(differences).max(axis=0)
    ratio = mean / np.where(flat, np.nan, sd)
    d = small_sample_correction(n - 1) * ratio
    return d, ratio * np.sqrt(n), np.sqrt(1 / n + d**2 / (2 * n))


def smallest_sign_flip_p(differences: np.ndarray) -> float:
    """Return the smallest p that the exact sign-flip test could give, 0 where it samples."""
    moving = int((np.asarray(differences) != 0).sum())
    return 2.0 ** (1 - moving) if 0 < moving <= EXACT_UP_TO else 0.0


def detectable_paired_d(n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest |d| that a two-sided paired t-test of n pairs finds; NaN below 3."""
    if n < 3:
        return float("nan")
    ncp = detectable_noncentrality(n - 1, power=power, alpha=alpha)
    return float(small_sample_correction(n - 1) * ncp / np.sqrt(n))
