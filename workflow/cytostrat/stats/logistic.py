"""Logistic regression for many scores beside fixed covariates.

References
----------
McCullagh & Nelder 1989, Generalized Linear Models, chapter 4; Albert & Anderson 1984,
doi:10.1093/biomet/71.1.1 (separation); Hsieh, Bloch & Larsen 1998,
doi:10.1002/(SICI)1097-0258(19980730)17:14<1623::AID-SIM871>3.0.CO;2-S (detectable effect).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from cytostrat.errors import EstimationError
from cytostrat.stats.estimates import as_columns, bounded_p

_MAX_ITERATIONS = 40
_TOLERANCE = 1e-9
_COLLINEAR = 1e-9
_CONSTANT = 1e-10


@dataclass(frozen=True)
class LogisticFits:
    """Log odds ratios of the scores, one model each.

    Parameters
    ----------
    coef, se, p
        Shape (scores,): log odds ratio per unit of the score, its standard error from the
        information, two-sided Wald p. NaN where the fit failed.
    failure
        Shape (scores,), text: empty where the fit converged, otherwise why not.
    """

    coef: np.ndarray
    se: np.ndarray
    p: np.ndarray
    failure: np.ndarray


def fit_logistic(
    case: np.ndarray, scores: np.ndarray, *, covariates: np.ndarray | None = None
) -> LogisticFits:
    """Fit one logistic model per score by Newton's method.

    Parameters
    ----------
    case
        Shape (n,), boolean.
    scores
        Shape (n, scores); NaN fails its own column.
    covariates
        Shape (n, covariates), finite; in every model, beside an intercept.

    Returns
    -------
    LogisticFits
        A score that is constant, that the covariates determine, or that separates cases from
        controls (alone or with the covariates) has NaN and a sentence in `failure`.

    Raises
    ------
    EstimationError
        `case` holds one value only, lengths differ, or a covariate is missing or infinite.
    """
    scores = as_columns(scores)
    y, base = _outcome_and_base(case, covariates, len(scores))
    basis = np.linalg.svd(base, full_matrices=False)[0]
    count = scores.shape[1]
    coef, se = np.full(count, np.nan), np.full(count, np.nan)
    failure = np.full(count, "", dtype=object)
    for column in range(count):
        s = scores[:, column]
        if not np.isfinite(s).all():
            failure[column] = "the score is missing"
            continue
        centred = s - s.mean()
        sd = centred.std()
        if sd <= _CONSTANT * np.abs(s).max():
            failure[column] = "the score does not vary"
            continue
        z = centred / sd
        if ((basis.T @ z) ** 2).sum() / len(z) > 1 - _COLLINEAR:
            failure[column] = "the covariates determine the score"
            continue
        beta, information = _newton(y, np.column_stack([base, z]))
        if beta is None:
            failure[column] = "separation: the odds ratio has no finite estimate"
            continue
        coef[column] = beta[-1] / sd
        se[column] = np.sqrt(np.linalg.inv(information)[-1, -1]) / sd
    return LogisticFits(coef, se, bounded_p(2 * stats.norm.sf(np.abs(coef / se))), failure)


def logistic_score_z(
    case: np.ndarray, scores: np.ndarray, *, covariates: np.ndarray | None = None
) -> np.ndarray:
    """Return Rao's score statistic, signed, of each score beside the covariates.

    One fit of the covariates serves all scores: U = s'(y - p), V = s'Ws - s'WX (X'WX)^-1 X'Ws.

    Parameters
    ----------
    case, scores, covariates
        As in `fit_logistic`.

    Returns
    -------
    numpy.ndarray
        Shape (scores,), standard normal under the null; NaN where not estimable.

    Raises
    ------
    EstimationError
        As in `fit_logistic`, or the covariates alone separate cases from controls.
    """
    scores = as_columns(scores)
    y, base = _outcome_and_base(case, covariates, len(scores))
    beta, information = _newton(y, base)
    if beta is None:
        raise EstimationError("The covariates alone separate cases from controls.")
    p = special.expit(base @ beta)
    weight = p * (1 - p)
    centred = scores - scores.mean(axis=0)
    cross = (base * weight[:, None]).T @ centred
    total = weight @ centred**2
    V = total - (cross * np.linalg.solve(information, cross)).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        usable = (V / total > _COLLINEAR) & (
            centred.std(axis=0) > _CONSTANT * np.abs(scores).max(axis=0)
        )
        return np.where(usable, (centred.T @ (y - p)) / np.sqrt(V), np.nan)


def detectable_log_or(
    n: int, n_case: int, *, power: float = 0.8, alpha: float = 0.05, r2: float = 0.0
) -> float:
    """Return the smallest |log odds ratio| per SD: (z_alpha/2 + z_power) / sqrt(n q (1-q) (1-r2)).

    q is the share of cases, r2 the share of the score's variance that the covariates explain.
    """
    if not 0 < n_case < n or not 0 <= r2 < 1:
        return float("nan")
    share = n_case / n
    z = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)
    return float(z / np.sqrt(n * share * (1 - share) * (1 - r2)))


def _outcome_and_base(
    case: np.ndarray, covariates: np.ndarray | None, n: int
) -> tuple[np.ndarray, np.ndarray]:
    case = np.asarray(case)
    if case.dtype != bool or case.shape != (n,):
        raise EstimationError(
            f"The outcome has type {case.dtype} and shape {case.shape}, it must be boolean and "
            f"of shape ({n},)."
        )
    if case.all() or not case.any():
        raise EstimationError("All samples have the same outcome; there is nothing to compare.")
    base = np.ones((n, 1))
    if covariates is not None and covariates.shape[1]:
        if len(covariates) != n or not np.isfinite(covariates).all():
            raise EstimationError(f"The covariates must be finite and have {n} rows.")
        base = np.column_stack([base, covariates])
    return case.astype(float), base


def _newton(y: np.ndarray, X: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Return coefficients and information; no coefficients where the maximum is at infinity."""
    beta = np.zeros(X.shape[1])
    information = np.eye(X.shape[1])
    loglik = -np.inf
    for _ in range(_MAX_ITERATIONS):
        p = special.expit(X @ beta)
        weight = p * (1 - p)
        information = (X * weight[:, None]).T @ X
        if np.linalg.cond(information) > 1 / np.finfo(float).eps:
            return None, information
        step = np.linalg.solve(information, X.T @ (y - p))
        for _ in range(20):
            eta = X @ (beta + step)
            proposed = float(y @ eta - np.logaddexp(0, eta).sum())
            if proposed >= loglik - 1e-9 * (1 + abs(loglik)) or not np.isfinite(loglik):
                break
            step = step / 2
        beta, loglik = beta + step, proposed
        if np.abs(step).max() < _TOLERANCE:
            return beta, information
    return None, information
