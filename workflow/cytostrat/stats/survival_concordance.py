"""Harrell's concordance, and what a score adds to the clinical covariates.

References
----------
Harrell, Lee & Mark 1996, doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4
(concordance, bootstrap correction for optimism); Noma et al. 2021, doi:10.1002/sim.9148 (the
interval of an optimism-corrected measure).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cytostrat.errors import EstimationError
from cytostrat.stats import survival_loops
from cytostrat.stats.survival_models import MAX_ITERATIONS, RiskSets, fit_cox, risk_sets

_FEWEST_REPLICATES = 50
_SAME_RISK = 1e-9
_SETTLED = 1e-6  # a Newton step per SD whose square, the error it leaves, no rank can see


def harrell_c(risk: RiskSets, scores: np.ndarray) -> np.ndarray:
    """Return the share of comparable pairs in which the earlier death has the higher score.

    Parameters
    ----------
    risk
        Risk sets of n patients, without strata. A pair is comparable when the earlier time is a
        death, or both times are equal and one of them is a death; two deaths at one time are
        not. This is the rule of R's ``survival::concordance``.
    scores
        Shape (n, columns), finite; higher means higher risk. Equal scores count one half.

    Returns
    -------
    numpy.ndarray
        Shape (columns,), NaN where no pair is comparable.
    """
    if risk.fresh.sum() != 1:
        raise EstimationError("Concordance is not defined here for stratified risk sets.")
    scores = np.asarray(scores, dtype=float)
    if scores.shape[0] != risk.order.size or not np.isfinite(scores).all():
        raise EstimationError(
            f"The scores must be finite and have {risk.order.size} rows, one per patient."
        )
    ranks = np.empty((scores.shape[1], risk.order.size), dtype=np.int64)
    for column, values in enumerate(scores[risk.order].T):
        ranks[column] = _dense_ranks(values)
    concordant, discordant, tied = survival_loops.concordance_counts(
        ranks, risk.event, risk.start
    ).T
    with np.errstate(invalid="ignore"):
        return (concordant + 0.5 * tied) / (concordant + discordant + tied)


def _dense_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1; values that differ by rounding error only share one."""
    order = np.argsort(values)
    placed = values[order]
    width = _SAME_RISK * max(placed[-1] - placed[0], 0.0)
    ranks = np.empty(values.size, dtype=np.int64)
    ranks[order] = 1 + np.cumsum(np.diff(placed, prepend=placed[0]) > width)
    return ranks


@dataclass(frozen=True)
class ConcordanceGain:
    """Concordance with and without each score.

    Parameters
    ----------
    clinical
        Concordance of the covariates alone, corrected for optimism.
    gain
        Shape (scores,), concordance with the score minus that without, corrected for optimism;
        NaN where a model could not be fitted.
    se, low, high
        Shape (scores,), standard deviation and percentile limits of the bootstrap gain, the
        limits shifted by the optimism.
    replicates
        Shape (scores,), bootstrap samples in which the models could be fitted.
    """

    clinical: float
    gain: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    replicates: np.ndarray


def concordance_gain(
    time: np.ndarray,
    event: np.ndarray,
    *,
    covariates: np.ndarray,
    scores: np.ndarray,
    bootstrap: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> ConcordanceGain:
    """Return what each score adds to the concordance of the covariates.

    A model with one more column fits its own data better even if the column is noise, so the
    apparent gain is corrected: each bootstrap sample refits both models, and the gain there
    minus the gain of the same fits in the original patients is its optimism (Harrell 1996). The
    interval is the percentile interval of the gain in the bootstrap samples, shifted by the mean
    optimism (Noma 2021). All scores share the same bootstrap samples.

    Parameters
    ----------
    time, event
        Shape (n,), positive and boolean. The patients must come in an order that does not
        depend on chance (sorted by name): the resampling goes by position.
    covariates
        Shape (n, covariates), finite, at least one column.
    scores
        Shape (n, scores), finite.
    bootstrap
        Number of bootstrap samples.
    seed
        Seed of the resampling.
    level
        Level of the interval.
    """
    covariates, scores = np.asarray(covariates, dtype=float), np.asarray(scores, dtype=float)
    m = scores.shape[1]
    risk = risk_sets(time, event)
    base, full = _coefficients(risk, covariates, scores)
    clinical, apparent = _gain(risk, covariates, scores, base, full)
    gains = np.full((bootstrap, m), np.nan)
    optimism = np.full((bootstrap, m), np.nan)
    clinical_optimism = np.full(bootstrap, np.nan)
    if np.isfinite(base).all():
        inside, outside = _bootstrap(risk, covariates, scores, base, full, bootstrap, seed)
        gains = inside[:, 1:] - inside[:, :1]
        optimism = gains - (outside[:, 1:] - outside[:, :1])
        clinical_optimism = inside[:, 0] - outside[:, 0]
    replicates = np.isfinite(gains).sum(axis=0)
    enough = (replicates >= min(_FEWEST_REPLICATES, bootstrap)) & np.isfinite(apparent)
    shift = np.full(m, np.nan)
    se, low, high = shift.copy(), shift.copy(), shift.copy()
    tail = 100 * (1 - level) / 2
    if enough.any():
        shift[enough] = np.nanmean(optimism[:, enough], axis=0)
        se[enough] = np.nanstd(gains[:, enough], axis=0, ddof=1)
        limits = np.nanpercentile(gains[:, enough], [tail, 100 - tail], axis=0)
        low[enough], high[enough] = limits - shift[enough]
    known = clinical_optimism[np.isfinite(clinical_optimism)]
    return ConcordanceGain(
        clinical=float(clinical - known.mean()) if known.size else float("nan"),
        gain=apparent - shift,
        se=se,
        low=low,
        high=high,
        replicates=replicates,
    )


def _coefficients(
    risk: RiskSets, covariates: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients of the covariates alone, and beside each score."""
    base = fit_cox(risk, covariates=covariates)
    return base.coef[0], fit_cox(risk, covariates=covariates, scores=scores).coef


def _bootstrap(
    risk: RiskSets,
    covariates: np.ndarray,
    scores: np.ndarray,
    base: np.ndarray,
    full: np.ndarray,
    bootstrap: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return concordances in each bootstrap sample and, with the same fits, in all patients.

    Both are samples x (1 + scores), the covariates alone first. A patient drawn twice is one row
    that counts twice, so the risk sets are derived once.
    """
    n = len(scores)
    rng = np.random.default_rng(seed)
    counts = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(bootstrap)])
    groups = np.repeat(np.arange(len(risk.start) - 1), np.diff(risk.start))
    last = np.lexsort((risk.event, groups))  # deaths last among equal times
    order = risk.order[last]
    spread, sd = covariates.std(axis=0), scores.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    found = survival_loops.bootstrap_concordance(
        np.ascontiguousarray(((covariates - covariates.mean(axis=0)) / spread)[order]),
        np.ascontiguousarray(((scores - scores.mean(axis=0)) / sd)[order].T),
        risk.event[last],
        risk.start,
        np.ascontiguousarray(counts[:, order], dtype=float),
        base * spread,
        np.hstack([full[:, :-1] * spread, full[:, -1:] * sd[:, None]]),
        _SAME_RISK,
        MAX_ITERATIONS,
        _SETTLED,
    )
    return found[:, :, 0], found[:, :, 1]


def _gain(
    risk: RiskSets,
    covariates: np.ndarray,
    scores: np.ndarray,
    base: np.ndarray,
    full: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Return the concordance without a score and the gain with each."""
    if np.isnan(base).any():
        return np.nan, np.full(scores.shape[1], np.nan)
    predictor = covariates @ full[:, :-1].T + scores * full[:, -1]
    fitted = np.isfinite(predictor).all(axis=0)
    all_c = harrell_c(risk, np.column_stack([covariates @ base, np.where(fitted, predictor, 0.0)]))
    return float(all_c[0]), np.where(fitted, all_c[1:] - all_c[0], np.nan)
