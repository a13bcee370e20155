"""Odds ratios of response under the case mix, as Effects rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from cytostrat.errors import EstimationError
from cytostrat.response.rows import Emit, groups_too_small
from cytostrat.stats import Estimates, notes
from cytostrat.stats.design import Design, covariate_design
from cytostrat.stats.effect_table import Estimated
from cytostrat.stats.logistic import detectable_log_or, fit_logistic, logistic_score_z
from cytostrat.stats.survival_models import explained_share

RESPONSES_PER_TERM = 10
CASE_MIX = ("er", "her2", "age", "treatment")
MAY_BE_ABSENT = ("age", "treatment")


def _case_mix(patients: pd.DataFrame, case: np.ndarray, covariates: Sequence[str]) -> Design:
    """Return the design of a logistic model, less what the cohort can't tell apart."""
    absent = [
        name
        for name in covariates
        if name in MAY_BE_ABSENT and (name not in patients or patients[name].isna().all())
    ]
    names = [name for name in covariates if name not in absent]
    clauses = [f"{name} is not recorded and not adjusted for" for name in absent]
    whole = covariate_design(patients, names)
    kept = whole.complete.copy()
    if "treatment" in names:
        arm = patients["treatment"].astype(str)[whole.complete]
        share = pd.Series(case[whole.complete], index=arm.index).groupby(arm).transform("mean")
        mixed = ((share > 0) & (share < 1)).to_numpy()
        if not mixed.all() and mixed.any():
            kept[np.flatnonzero(kept)[~mixed]] = False
            lost = int((~mixed).sum())
            clauses.append(f"{lost} patients of arms in which all or none responded say nothing")
    design = covariate_design(patients[kept], names)
    matrix = np.column_stack([np.ones(int(kept.sum())), design.matrix])
    ranks = [np.linalg.matrix_rank(matrix[:, : end + 1]) for end in range(matrix.shape[1])]
    own = np.diff(ranks) > 0
    for term in np.array(design.terms, dtype=object)[~own]:
        clauses.append(f"{term} follows from the other covariates and is left out")
    return Design(
        design.matrix[:, own],
        kept,
        tuple(term for term, stays in zip(design.terms, own, strict=True) if stays),
        tuple(dict.fromkeys([*whole.notes, *design.notes, *clauses])),
    )


def odds_ratio(
    emit: Emit,
    values: np.ndarray,
    case: np.ndarray,
    covariates: tuple[str, ...],
    rows: np.ndarray,
    spread: np.ndarray,
    pick: Callable[[np.ndarray], np.ndarray],
) -> Estimated:
    """Return the log odds ratio per SD (`spread`) of the baseline score."""
    labels = {"scale": "log_or", "contrast": "per sd", "adjustment": "+".join(covariates) or "none"}

    def nothing(why: str, used: np.ndarray) -> Estimated:
        return emit.nothing(why, used.size, int(used.sum()), **labels)

    small = groups_too_small(emit.cohort, case)
    if small:
        return nothing(small, case)
    try:
        design = _case_mix(emit.cohort.patients.iloc[rows], case, covariates)
    except EstimationError as error:
        return nothing(str(error), case)
    used, inside = case[design.complete], values[design.complete]
    rarer, terms = int(min(used.sum(), (~used).sum())), design.matrix.shape[1] + 1
    if rarer < RESPONSES_PER_TERM * terms:
        why = (
            f"{rarer} in the smaller group for {terms} term{'s' if terms > 1 else ''}, "
            f"{RESPONSES_PER_TERM} per term are needed"
        )
        return nothing(notes.join(why, design.notes), used)
    fits = fit_logistic(used, inside / np.where(spread > 0, spread, 1), covariates=design.matrix)
    half = stats.norm.ppf(0.975) * fits.se
    share = explained_share(design.matrix, inside)
    table = emit(
        Estimates(
            fits.coef, fits.se, fits.coef - half, fits.coef + half, fits.p,
            n=used.size, n_case=int(used.sum()),
        ),
        power_limit=np.array(
            [detectable_log_or(used.size, int(used.sum()), r2=float(r2)) for r2 in share]
        ),
        note=[
            notes.join(f"not estimated: {text}" if text else "", design.notes)
            for text in fits.failure
        ],
        **labels,
    )  # fmt: skip

    def statistic(sets: np.ndarray) -> np.ndarray:
        return logistic_score_z(used, sets, covariates=design.matrix)

    return Estimated(
        table,
        lambda sets: statistic(pick(sets)[design.complete]),
        observed=lambda: statistic(inside),
    )
