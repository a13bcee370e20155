"""Meta-analysis of one effect over cohorts: fixed effect, and REML with modified Hartung-Knapp.

statsmodels 0.14 pools by DerSimonian-Laird or Paule-Mandel without the modification that keeps
the Hartung-Knapp interval from being shorter than the ordinary one, so the kernel is written
here and checked against R metafor (``rma(method="REML", test="adhoc")``).

References
----------
Viechtbauer 2005, doi:10.3102/10769986030003261 (REML);
Hartung & Knapp 2001, doi:10.1002/sim.791; Knapp & Hartung 2003, doi:10.1002/sim.1482;
Rover, Knapp & Friede 2015, doi:10.1186/s12874-015-0091-1 (the modification);
Higgins & Thompson 2002, doi:10.1002/sim.1186 (I2);
IntHout et al. 2016, doi:10.1136/bmjopen-2015-010247 (prediction interval).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from cytostrat.errors import EstimationError
from cytostrat.stats.estimates import bounded_p


@dataclass(frozen=True)
class Pool:
    """One pooled effect.

    Parameters
    ----------
    k
        Number of cohorts.
    estimate, se, low, high, p
        The pooled effect, its standard error, interval and two-sided p in (0, 1].
    q, q_p
        Cochran's Q and its p by chi-square with k - 1.
    i2
        Percentage of the variance due to differences between cohorts.
    tau2
        Variance between cohorts; 0 in the fixed-effect model.
    pi_low, pi_high
        Interval for the effect in a further cohort; NaN below three cohorts.
    """

    k: int
    estimate: float
    se: float
    low: float
    high: float
    p: float
    q: float
    q_p: float
    i2: float
    tau2: float
    pi_low: float = np.nan
    pi_high: float = np.nan


def _checked(effects: np.ndarray, se: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, s = np.asarray(effects, dtype=float), np.asarray(se, dtype=float)
    if y.ndim != 1 or y.shape != s.shape or y.size < 2:
        raise EstimationError(
            f"A pool takes two or more effects with as many standard errors, "
            f"{y.size} and {s.size} came."
        )
    if not (np.isfinite(y).all() and np.isfinite(s).all() and (s > 0).all()):
        raise EstimationError("A pool takes finite effects with standard errors above zero.")
    return y, s**2


def _cochran(y: np.ndarray, v: np.ndarray) -> tuple[float, float]:
    w = 1 / v
    q = float((w * (y - (w * y).sum() / w.sum()) ** 2).sum())
    return q, float(bounded_p(special.chdtrc(y.size - 1, q)))


def _i2(tau2: float, v: np.ndarray) -> float:
    """Return 100 tau2 / (tau2 + typical variance), Higgins & Thompson's typical variance."""
    w = 1 / v
    typical = (v.size - 1) * w.sum() / (w.sum() ** 2 - (w**2).sum())
    return float(100 * tau2 / (tau2 + typical))


def fixed_effect(effects: np.ndarray, se: np.ndarray, *, level: float = 0.95) -> Pool:
    """Return the inverse-variance weighted mean with its normal interval.

    `i2` is max(0, 100 (Q - (k - 1)) / Q).

    Raises
    ------
    EstimationError
        Fewer than two cohorts, or a missing effect or standard error.
    """
    y, v = _checked(effects, se)
    w = 1 / v
    estimate, error = float((w * y).sum() / w.sum()), float(np.sqrt(1 / w.sum()))
    half = float(special.ndtri(0.5 + level / 2)) * error
    q, q_p = _cochran(y, v)
    return Pool(
        k=y.size, estimate=estimate, se=error, low=estimate - half, high=estimate + half,
        p=float(bounded_p(2 * special.ndtr(-abs(estimate) / error))), q=q, q_p=q_p,
        i2=max(0.0, 100 * (q - (y.size - 1)) / q) if q > 0 else 0.0, tau2=0.0,
    )  # fmt: skip


def reml_tau2(effects: np.ndarray, se: np.ndarray) -> float:
    """Return the variance between cohorts that maximises the restricted likelihood.

    The derivative of the restricted log-likelihood is searched for downward crossings of zero
    over a wide grid and each is solved by bracketing; the best of them and of zero is taken,
    so that a local maximum, which few cohorts can produce, is not mistaken for the answer.

    Raises
    ------
    EstimationError
        Fewer than two cohorts, or a missing effect or standard error.
    """
    y, v = _checked(effects, se)

    def weights(tau2: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        w = 1 / (v + np.atleast_1d(tau2)[:, None])
        return w, y - (w @ y / w.sum(axis=1))[:, None]

    def log_likelihood(tau2: float) -> float:
        w, e = weights(tau2)
        return float(0.5 * (np.log(w).sum() - np.log(w.sum()) - (w * e**2).sum()))

    def score(tau2: float | np.ndarray) -> np.ndarray:
        w, e = weights(tau2)
        squares = w**2
        return 0.5 * (
            (squares * e**2).sum(axis=1) - w.sum(axis=1) + squares.sum(axis=1) / w.sum(axis=1)
        )

    spread = y.var(ddof=1)
    if spread == 0:
        return 0.0
    top = 10 * (spread + v.max())
    grid = np.concatenate([[0.0], np.geomspace(1e-8 * min(v.min(), spread), top, 200)])
    scores = score(grid)
    best, height = 0.0, log_likelihood(0.0)
    for i in np.flatnonzero((scores[:-1] > 0) & (scores[1:] <= 0)):
        tau2 = float(
            optimize.brentq(lambda t: score(t)[0], grid[i], grid[i + 1], xtol=1e-15, rtol=1e-13)
        )
        if log_likelihood(tau2) > height:
            best, height = tau2, log_likelihood(tau2)
    return best


def random_effects(effects: np.ndarray, se: np.ndarray, *, level: float = 0.95) -> Pool:
    """Return the random-effects pool by REML with the modified Hartung-Knapp interval.

    With weights w = 1 / (se^2 + tau2) the variance of the mean is max(1, H) / sum(w), where
    H = sum(w (y - mean)^2) / (k - 1): the interval by t(k - 1) is never shorter than the one
    without the correction. The prediction interval is mean -+ t(k - 1) sqrt(tau2 + var(mean)),
    given from three cohorts on.

    Raises
    ------
    EstimationError
        Fewer than two cohorts, or a missing effect or standard error.
    """
    y, v = _checked(effects, se)
    k = y.size
    tau2, w, estimate = _reml_mean(y, v)
    inflation = max(1.0, float((w * (y - estimate) ** 2).sum()) / (k - 1))
    error = float(np.sqrt(inflation / w.sum()))
    t = float(special.stdtrit(k - 1, 0.5 + level / 2))
    ahead = t * float(np.sqrt(tau2 + error**2)) if k >= 3 else np.nan
    q, q_p = _cochran(y, v)
    return Pool(
        k=k, estimate=estimate, se=error, low=estimate - t * error, high=estimate + t * error,
        p=float(bounded_p(2 * special.stdtr(k - 1, -abs(estimate) / error))), q=q, q_p=q_p,
        i2=_i2(tau2, v), tau2=tau2, pi_low=estimate - ahead, pi_high=estimate + ahead,
    )  # fmt: skip


def _reml_mean(y: np.ndarray, v: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Return the variance between cohorts, their weights, and the mean under these."""
    tau2 = reml_tau2(y, np.sqrt(v))
    w = 1 / (v + tau2)
    return tau2, w, float((w * y).sum() / w.sum())


def leave_one_out(effects: np.ndarray, se: np.ndarray) -> np.ndarray:
    """Return the k random-effects estimates that each leave one cohort out, in its order.

    Raises
    ------
    EstimationError
        Fewer than three cohorts, or a missing effect or standard error.
    """
    y, v = _checked(effects, se)
    if y.size < 3:
        raise EstimationError(f"Leaving one of {y.size} cohorts out leaves nothing to pool.")
    return np.array([_reml_mean(np.delete(y, i), np.delete(v, i))[2] for i in range(y.size)])
