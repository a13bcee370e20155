"""Cox regression for many scores at once, and the tests that belong to it.

One model per score: fixed covariates (age, ER, ...) stand in every model, the score and, where
asked for, its product with a modifier vary. `fit_cox` maximises the partial likelihood of each;
`score_test` needs one fit without any score and then tests thousands of random sets by matrix
products, which is what makes a null of 1,000 sets per signature affordable.

Rules that hold everywhere in the package

* ties: Efron 1977; times that differ by rounding error only are one time, as R's ``timefix``
  has it (relative tolerance 1.5e-8);
* time 0: the patient stays and is counted at half a day (half the smallest positive time where
  that is not above half a day). Cox regression uses the order of the times only, so this equals
  R, which accepts time 0, and the advice of Stata, which drops such patients unless time is
  moved; a censored patient of time 0 is never at risk and changes no estimate;
* a negative or missing time, or a missing event, takes the patient out and is counted.

References
----------
Cox 1972, doi:10.1111/j.2517-6161.1972.tb00899.x; Efron 1977,
doi:10.1080/01621459.1977.10480613; Grambsch & Therneau 1994, doi:10.1093/biomet/81.3.515;
Venet 2011, doi:10.1371/journal.pcbi.1002240 (random sets as the null); Gould 1999, Stata FAQ
"Failure time, censoring time, and entry time in the Cox model" (time 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cytostrat.errors import EstimationError
from cytostrat.stats import survival_loops
from cytostrat.stats.estimates import bounded_p

HALF_A_DAY = 0.5
_SAME_TIME = float(np.sqrt(np.finfo(float).eps))
MAX_ITERATIONS = 40
_TOLERANCE = 1e-9
_COLLINEAR = 1e-9
_CONSTANT = 1e-10


@dataclass(frozen=True)
class FollowUp:
    """Follow-up of patients after the rule for time 0, missing and negative values.

    Parameters
    ----------
    time
        Shape (patients,), days; positive where `usable`, NaN elsewhere.
    event
        Shape (patients,), boolean; False where not usable.
    usable
        Shape (patients,), boolean.
    n_zero, n_negative, n_missing
        Patients counted at half a day; left out for a negative time; left out for a missing
        time or event.
    """

    time: np.ndarray
    event: np.ndarray
    usable: np.ndarray
    n_zero: int
    n_negative: int
    n_missing: int

    @property
    def note(self) -> str:
        """What the rule did, as clauses joined by '; ', empty where it did nothing."""
        clauses = []
        if self.n_zero:
            clauses.append(f"{self.n_zero} of time 0 counted at half a day")
        if self.n_negative:
            clauses.append(f"{self.n_negative} of negative time left out")
        if self.n_missing:
            clauses.append(f"{self.n_missing} without follow-up left out")
        return "; ".join(clauses)


def follow_up(time: np.ndarray, event: np.ndarray) -> FollowUp:
    """Return follow-up under the package's rule for time 0, missing and negative values.

    Parameters
    ----------
    time
        Shape (patients,), days; NaN where missing.
    event
        Shape (patients,), 0 or 1; NaN where missing.

    Raises
    ------
    EstimationError
        An event is neither 0, 1 nor missing, or a time is infinite.
    """
    time = np.asarray(time, dtype=float).copy()
    event = np.asarray(event, dtype=float)
    strange = ~(np.isnan(event) | (event == 0) | (event == 1))
    if strange.any():
        raise EstimationError(
            f"An event indicator holds {event[strange][0]:g}; it must be 0, 1 or missing."
        )
    if np.isinf(time).any():
        raise EstimationError("A follow-up time is infinite; it must be a number of days.")
    missing = np.isnan(time) | np.isnan(event)
    negative = ~missing & (time < 0)
    usable = ~missing & ~negative
    zero = usable & (time == 0)
    positive = time[usable & ~zero]
    time[zero] = min(HALF_A_DAY, positive.min() / 2) if positive.size else HALF_A_DAY
    time[~usable] = np.nan
    return FollowUp(
        time=time,
        event=usable & (event == 1),
        usable=usable,
        n_zero=int(zero.sum()),
        n_negative=int(negative.sum()),
        n_missing=int(missing.sum()),
    )


@dataclass(frozen=True)
class RiskSets:
    """Rows sorted by stratum and falling time, and the groups of equal times.

    Build it with `risk_sets`; the estimators below take it with covariates in the order of the
    patients, never sorted.
    """

    order: np.ndarray
    event: np.ndarray
    start: np.ndarray
    fresh: np.ndarray
    transform: np.ndarray
    n_events: int


def _merged_times(time: np.ndarray) -> np.ndarray:
    """Return integer codes of the times, rising; times equal up to rounding share one."""
    values, codes = np.unique(time, return_inverse=True)
    gaps = np.diff(values)
    apart = (gaps > _SAME_TIME) & (gaps > _SAME_TIME * np.abs(values).mean())
    return np.concatenate([[0], np.cumsum(apart)])[codes]


def _km_transform(codes: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return 1 - S(t-) of the Kaplan-Meier curve at each time code."""
    deaths = np.bincount(codes, weights=event)
    at_risk = np.bincount(codes)[::-1].cumsum()[::-1]
    survival = np.cumprod(1 - deaths / at_risk)
    return 1 - np.concatenate([[1.0], survival[:-1]])


def risk_sets(time: np.ndarray, event: np.ndarray, *, strata: np.ndarray | None = None) -> RiskSets:
    """Return the risk sets of right-censored data.

    Parameters
    ----------
    time
        Shape (patients,), positive; any unit.
    event
        Shape (patients,), boolean.
    strata
        Shape (patients,); each level gets its own baseline hazard.

    Raises
    ------
    EstimationError
        There is no event, or a time isn't a positive number (see `follow_up`).
    """
    time, event = np.asarray(time, dtype=float), np.asarray(event, dtype=bool)
    if not (np.isfinite(time) & (time > 0)).all():
        raise EstimationError("A follow-up time is not a positive number; use follow_up first.")
    if not event.any():
        raise EstimationError("There is no event, so no hazard ratio can be estimated.")
    levels = np.zeros(time.size, dtype=np.int64)
    if strata is not None:
        levels = np.unique(np.asarray(strata).astype(str), return_inverse=True)[1]
    codes = _merged_times(time)
    order = np.lexsort((-codes, levels))
    sorted_codes, sorted_levels = codes[order], levels[order]
    new_level = np.diff(sorted_levels, prepend=-1) != 0
    new_group = new_level | (np.diff(sorted_codes, prepend=-1) != 0)
    first = np.flatnonzero(new_group)
    g = _km_transform(codes, event)
    g = g - g[codes[event]].mean()
    return RiskSets(
        order=order,
        event=event[order],
        start=np.append(first, time.size),
        fresh=new_level[first],
        transform=g[sorted_codes[first]],
        n_events=int(event.sum()),
    )


@dataclass(frozen=True)
class CoxFits:
    """Fits of one model per score.

    Parameters
    ----------
    coef
        Shape (models, columns), log hazard ratio per unit of each column: the covariates, the
        score, then score x modifier where there is one. NaN where the fit failed.
    covariance
        Shape (models, columns, columns), the inverse of the observed information.
    loglik, loglik_zero
        Shape (models,), log partial likelihood at the maximum and with all coefficients zero.
    ph_chi2
        Shape (models, columns), Schoenfeld score test on one degree of freedom each (transform
        'km', R's ``cox.zph``); NaN where not asked for or not estimable.
    failure
        Shape (models,), text: empty where the fit converged, otherwise why not.
    """

    coef: np.ndarray
    covariance: np.ndarray
    loglik: np.ndarray
    loglik_zero: np.ndarray
    ph_chi2: np.ndarray
    failure: np.ndarray

    @property
    def se(self) -> np.ndarray:
        """Standard errors, shape (models, columns)."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))

    @property
    def p(self) -> np.ndarray:
        """Two-sided Wald p, shape (models, columns)."""
        return bounded_p(2 * stats.norm.sf(np.abs(self.coef / self.se)))

    @property
    def ph_p(self) -> np.ndarray:
        """P-values of `ph_chi2`."""
        return bounded_p(stats.chi2.sf(self.ph_chi2, 1))


def _standardised(columns: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns centred and scaled, the scale, and which of them do not vary."""
    mean = columns.mean(axis=axis, keepdims=True)
    centred = columns - mean
    scale = np.sqrt((centred**2).mean(axis=axis, keepdims=True))
    constant = scale <= _CONSTANT * np.abs(columns).max(axis=axis, initial=0.0, keepdims=True)
    scale = np.where(constant, 1.0, scale)
    return centred / scale, np.squeeze(scale, axis), np.squeeze(constant, axis)


def _check_rows(risk: RiskSets, found: int, what: str) -> None:
    if found != risk.order.size:
        raise EstimationError(f"The {what} have {found} rows, the follow-up has {risk.order.size}.")


def _check(risk: RiskSets, columns: np.ndarray, what: str) -> None:
    _check_rows(risk, columns.shape[0], what)
    if not np.isfinite(columns).all():
        raise EstimationError(f"The {what} hold a missing or infinite value; leave it out first.")


def _sorted_covariates(
    risk: RiskSets, covariates: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariates standardised in sorted order, and their scale."""
    if covariates is None:
        covariates = np.empty((risk.order.size, 0))
    covariates = np.asarray(covariates, dtype=float)
    _check(risk, covariates, "covariates")
    Z, scale, constant = _standardised(covariates[risk.order], 0)
    if constant.any():
        raise EstimationError(f"Covariate {int(np.argmax(constant))} does not vary; leave it out.")
    return np.ascontiguousarray(Z), scale


def _collinear(Z: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return which standardised scores the covariates explain entirely."""
    if Z.shape[1] == 0:
        return np.zeros(len(scores), dtype=bool)
    basis = np.linalg.svd(Z, full_matrices=False)[0]
    explained = ((scores @ basis) ** 2).sum(axis=1) / scores.shape[1]
    return explained > 1 - _COLLINEAR


def explained_share(covariates: np.ndarray | None, scores: np.ndarray) -> np.ndarray:
    """Return the share of each score's variance that the covariates explain (R squared).

    Parameters
    ----------
    covariates
        Shape (patients, columns) or None.
    scores
        Shape (patients, scores).
    """
    if covariates is None or covariates.shape[1] == 0:
        return np.zeros(scores.shape[1])
    basis = np.linalg.svd(covariates - covariates.mean(axis=0), full_matrices=False)[0]
    centred = scores - scores.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = ((basis.T @ centred) ** 2).sum(axis=0) / (centred**2).sum(axis=0)
    return np.clip(share, 0.0, 1.0)


def fit_cox(
    risk: RiskSets,
    *,
    covariates: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    modifier: np.ndarray | None = None,
    names: tuple[str, ...] = (),
    test_hazards: bool = False,
) -> CoxFits:
    """Fit one Cox model per score, or one model of the covariates where no score is given.

    Newton's method with step halving from the fit of the covariates alone, until no coefficient
    (per SD of its column) moves by more than 1e-9.

    Parameters
    ----------
    risk
        Risk sets of the n patients.
    covariates
        Shape (n, covariates), finite, none of them constant; in every model.
    scores
        Shape (n, models), finite.
    modifier
        Shape (n,); adds the column score x modifier. The modifier itself belongs to the
        covariates.
    names
        Names of covariates, score and product, for the message on a failed fit.
    test_hazards
        Whether to run the Schoenfeld test of proportional hazards for every column.

    Returns
    -------
    CoxFits
        A score that is constant, that the covariates determine, or whose likelihood has no
        maximum (separation) has NaN and a sentence in `failure`.

    Raises
    ------
    EstimationError
        Values are missing, lengths differ, a covariate does not vary, or the covariates
        determine each other.
    """
    Z, z_scale = _sorted_covariates(risk, covariates)
    shared = Z.shape[1]
    if scores is None:
        varying = np.empty((1, 0, risk.order.size))
        v_scale, failed = np.empty((1, 0)), np.array([""], dtype=object)
    else:
        varying, v_scale, failed = _varying_columns(risk, Z, scores, modifier)
    first = np.zeros(shared)
    if shared and np.linalg.matrix_rank(Z, tol=1e-8 * np.sqrt(len(Z))) < shared:
        raise EstimationError("The covariates determine one another; leave one of them out.")
    if shared and scores is not None:
        start = fit_cox(risk, covariates=covariates, names=names)
        first = np.nan_to_num(start.coef[0]) * z_scale
    keep = np.flatnonzero(failed == "")
    models, size = len(failed), shared + varying.shape[1]
    coef = np.full((models, size), np.nan)
    covariance = np.full((models, size, size), np.nan)
    ph_chi2 = np.full((models, size), np.nan)
    loglik = np.full((models, 2), np.nan)
    if keep.size:
        beta, cov, code, culprit, loglik[keep], chi2 = survival_loops.fit_many(
            Z, np.ascontiguousarray(varying[keep]), risk.event, risk.start, risk.fresh,
            risk.transform, first, MAX_ITERATIONS, _TOLERANCE, test_hazards,
        )  # fmt: skip
        scale = np.hstack([np.broadcast_to(z_scale, (keep.size, shared)), v_scale[keep]])
        good = code == survival_loops.CONVERGED
        coef[keep[good]] = (beta / scale)[good]
        covariance[keep[good]] = (cov / (scale[:, :, None] * scale[:, None, :]))[good]
        ph_chi2[keep[good]] = chi2[good]
        for model in np.flatnonzero(~good):
            column = int(culprit[model])
            name = names[column] if column < len(names) else f"column {column}"
            failed[keep[model]] = (
                f"no finite estimate: the likelihood has no maximum in {name} (separation)"
            )
        loglik[keep[~good]] = np.nan
    return CoxFits(coef, covariance, loglik[:, 1], loglik[:, 0], ph_chi2, failed)


def _varying_columns(
    risk: RiskSets, Z: np.ndarray, scores: np.ndarray, modifier: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return standardised score columns (models, columns, rows), scales, and failures."""
    scores = np.asarray(scores, dtype=float)
    _check(risk, scores, "scores")
    S, scale, constant = _standardised(scores[risk.order].T, 1)
    failed = np.full(len(S), "", dtype=object)
    failed[_collinear(Z, S)] = "the covariates determine the score"
    failed[constant] = "the score does not vary"
    if modifier is None:
        return S[:, None, :], scale[:, None], failed
    modifier = np.asarray(modifier, dtype=float)[risk.order]
    if not np.isfinite(modifier).all():
        raise EstimationError("The modifier holds a missing or infinite value.")
    # product of the centred score: same model as with the raw one, the main effect is that of
    # patients whose modifier is 0
    product = S * modifier
    spread = np.sqrt((product**2).mean(axis=1))
    spread = np.where(spread > 0, spread, 1.0)
    columns = np.stack([S, product / spread[:, None]], axis=1)
    return columns, np.stack([scale, spread * scale], axis=1), failed


@dataclass(frozen=True)
class ScoreTests:
    """One Newton step from the model without any score, per score.

    Parameters
    ----------
    z
        Shape (models,), signed statistic. Without a modifier, z squared is Rao's score test of
        the score, exactly R's ``coxph(..., init = 0)$score`` beside fitted covariates. With a
        modifier it is the one-step estimate of score x modifier over its standard error.
    coef, se
        Shape (models,), the one-step estimate per unit of the score and its standard error.
    """

    z: np.ndarray
    coef: np.ndarray
    se: np.ndarray


@dataclass(frozen=True)
class NullModel:
    """A fitted model of the covariates, and what the test of any score beside it needs.

    Build it with `null_model`; arrays are in the order of the risk sets.
    """

    weight: np.ndarray
    residual: np.ndarray
    expected: np.ndarray
    deviation: np.ndarray
    totals: np.ndarray
    information: np.ndarray


def null_model(risk: RiskSets, covariates: np.ndarray | None = None) -> NullModel:
    """Fit the covariates alone, for `score_test`.

    Parameters
    ----------
    risk, covariates
        As in `fit_cox`.

    Raises
    ------
    EstimationError
        As in `fit_cox`, or the covariates alone have no finite fit.
    """
    Z, z_scale = _sorted_covariates(risk, covariates)
    weight = np.ones(risk.order.size)
    if Z.shape[1]:
        fitted = fit_cox(risk, covariates=covariates)
        if fitted.failure[0]:
            raise EstimationError(f"The covariates alone have {fitted.failure[0]}.")
        weight = np.exp(Z @ (fitted.coef[0] * z_scale))
    return NullModel(
        weight, *survival_loops.null_model_terms(Z, weight, risk.event, risk.start, risk.fresh)
    )


def score_test(
    risk: RiskSets,
    scores: np.ndarray,
    *,
    covariates: np.ndarray | None = None,
    modifier: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    model: NullModel | None = None,
) -> ScoreTests:
    """Test many scores beside fixed covariates without fitting any of them.

    The score statistic is linear in the score: with m the martingale residuals of the covariate
    model, U = s'm. Its information is I = sum_i a_i s_i^2 - sum_k E_k[s]^2 - I_sz I_zz^-1 I_zs,
    where a_i is the expected number of deaths of patient i and E_k the weighted mean over the
    risk set of death k; one pass over the patients gives all terms.

    Parameters
    ----------
    risk
        Risk sets of the n patients.
    scores
        Shape (n, models), finite; float64 in row order is read in place, others copied.
    covariates, modifier
        As in `fit_cox`.
    rows
        Shape (n,): where the patients of the risk sets stand among the rows of `scores`, which
        may then have more of them; the same array serves many models.
    model
        Where the covariates are fitted already, their model; `covariates` is not read then.

    Returns
    -------
    ScoreTests
        NaN for a score that does not vary, that the covariates determine, or that is missing
        in one of the patients.
    """
    if model is None:
        model = null_model(risk, covariates)
    scores = np.ascontiguousarray(scores, dtype=float)
    if rows is None:
        _check_rows(risk, scores.shape[0], "scores")
    picked = risk.order if rows is None else np.asarray(rows, dtype=np.int64)[risk.order]
    m = np.empty(0) if modifier is None else np.asarray(modifier, dtype=float)[risk.order]
    scale, U, I_z, own = survival_loops.score_terms(
        scores, picked, m, model.weight, model.residual, model.expected, model.deviation,
        risk.event, risk.start, risk.fresh, model.totals,
    )  # fmt: skip
    size = len(U)
    U, I_z = U.T, I_z.transpose(2, 0, 1)
    I_ss = own.T[:, np.add.outer(np.arange(size), np.arange(size))]
    V = I_ss - I_z @ np.linalg.inv(model.information) @ I_z.transpose(0, 2, 1)
    diagonal = np.arange(size)
    with np.errstate(invalid="ignore"):
        usable = (V[:, diagonal, diagonal] > _COLLINEAR * I_ss[:, diagonal, diagonal]).all(axis=1)
    usable &= scale > 0
    V[~usable] = np.eye(size)
    C = np.linalg.inv(V)
    step = (C @ U[:, :, None])[:, -1, 0]
    spread = np.sqrt(C[:, -1, -1])
    scale = np.where(usable, scale, np.nan)
    return ScoreTests(np.where(usable, step / spread, np.nan), step / scale, spread / scale)
