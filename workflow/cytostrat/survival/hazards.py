"""Hazard ratios of all scores under one model, as Effects rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from cytostrat.errors import EstimationError
from cytostrat.stats import Estimates, notes, power
from cytostrat.stats.design import covariate_design
from cytostrat.stats.effect_table import Estimated, effect_frame
from cytostrat.stats.score_columns import blocks_of_equal_gaps
from cytostrat.stats.survival_models import (
    RiskSets,
    explained_share,
    fit_cox,
    null_model,
    risk_sets,
    score_test,
)
from cytostrat.survival.models import Cohort, Model
from cytostrat.survival.patients import DAYS_PER_YEAR


def estimate(cohort: Cohort, model: Model) -> Iterator[Estimated]:
    """Yield the fits of one model for all scores, with those that failing hazards call for."""
    for scored, columns in blocks_of_equal_gaps(cohort.values):
        yield from _estimate_block(cohort, model, scored, cohort.values.columns[columns])


def _estimate_block(
    cohort: Cohort, model: Model, scored: np.ndarray, keys: pd.MultiIndex, *, split: bool = True
) -> Iterator[Estimated]:
    rows = model.member & scored
    clinical = cohort.clinical.loc[rows]
    shared_note = notes.join(
        model.follow.note if rows.any() else "",
        cohort.patient_note,
        cohort.competing[model.endpoint],
        model.stratum_note,
    )

    def nothing(note: str, used: np.ndarray) -> Estimated:
        return Estimated(effect_rows(cohort, model, keys, used, note=notes.join(note, shared_note)))

    if not rows.any():
        why = "no patient of the stratum has follow-up"
        if model.unrecorded:
            why = f"the cohort does not record {', '.join(model.unrecorded)}"
        elif not scored.any():
            why = "no sample has a score"
        yield nothing(f"not estimated: {why}", np.flatnonzero(rows))
        return
    try:
        design = covariate_design(clinical, [*model.covariates, *model.baselines])
    except EstimationError as error:
        yield nothing(f"not estimated: {error}", np.flatnonzero(rows))
        return
    used = np.flatnonzero(rows)[design.complete]
    as_column = [
        not any(term.startswith(f"{name}=") for name in model.baselines) for term in design.terms
    ]
    covariates = design.matrix[:, as_column]
    modifier = None
    if model.interaction:
        modifier = (clinical["her2"] == "positive").to_numpy(float)[design.complete]
        covariates = np.column_stack([covariates, modifier])
    size = covariates.shape[1] + (2 if model.interaction else 1)
    few = too_few(cohort, model, used, size, modifier)
    if few:
        yield nothing(notes.join(few, design.notes), used)
        return
    levels = None
    if model.baselines:
        levels = clinical.loc[design.complete, list(model.baselines)].astype(str).agg("|".join, 1)
    risk = risk_sets(model.follow.time[used], model.follow.event[used], strata=levels)
    terms = [term for term, column in zip(design.terms, as_column, strict=True) if column]
    names = (*terms, "her2", "score", "score x her2") if model.interaction else (*terms, "score")
    values = cohort.values[keys].to_numpy()[used]
    try:
        fits = fit_cox(
            risk, covariates=covariates, scores=values, modifier=modifier, names=names,
            test_hazards=not model.interaction,
        )  # fmt: skip
    except EstimationError as error:
        yield nothing(notes.join(f"not estimated: {error}", design.notes), used)
        return
    hazards_p = fits.ph_p[:, -1]
    failing = hazards_p < cohort.hazards_alpha
    drifting = {} if model.interaction else _drifting(cohort, risk, covariates, terms)
    drift_notes = [_hazards_note(term, p) for term, p in drifting.items()]
    own = []
    for column in range(len(keys)):
        hazards = ""
        if failing[column]:
            hazards = _hazards_note("the score", hazards_p[column])
        own.append(
            notes.join(f"not estimated: {fits.failure[column]}" if fits.failure[column] else "",
                       hazards, drift_notes, design.notes, shared_note)
        )  # fmt: skip
    coef, se = fits.coef[:, -1], fits.se[:, -1]
    half = stats.norm.ppf(0.975) * se
    if model.interaction:
        limit = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * se
    else:
        share = explained_share(covariates, values)
        with np.errstate(divide="ignore"):
            limit = power.detectable_log_hr(risk.n_events) / np.sqrt(1 - share)
    estimates = Estimates(
        coef, se, coef - half, coef + half, fits.p[:, -1], n=used.size,
        n_case=None if modifier is None else int(modifier.sum()),
    )  # fmt: skip
    without_score = cache(lambda: null_model(risk, covariates))

    def statistic(scores: np.ndarray) -> np.ndarray:
        tested = score_test(risk, scores, modifier=modifier, rows=used, model=without_score())
        return tested.z

    yield Estimated(
        effect_rows(cohort, model, keys, used, estimates, power_limit=limit, note=own),
        lambda sets: statistic(sets[cohort.positions]),
        observed=lambda: statistic(cohort.values[keys].to_numpy()),
    )
    if split and not model.interaction:
        yield from _other_forms(cohort, model, scored, keys, failing, drifting)


def _hazards_note(term: str, p: float) -> str:
    return f"proportional hazards fail for {term} (Schoenfeld p = {p:.2g})"


def _drifting(
    cohort: Cohort, risk: RiskSets, covariates: np.ndarray, terms: Sequence[str]
) -> dict[str, float]:
    """Return the covariates whose hazards are not proportional in the model without a score."""
    if not terms:
        return {}
    p = fit_cox(risk, covariates=covariates, test_hazards=True).ph_p[0]
    return {
        term: value for term, value in zip(terms, p, strict=True) if value < cohort.hazards_alpha
    }


def _other_forms(
    cohort: Cohort,
    model: Model,
    scored: np.ndarray,
    keys: pd.MultiIndex,
    failing: np.ndarray,
    drifting: Collection[str],
) -> Iterator[Estimated]:
    """Yield the stratified and the time-split rows where proportional hazards fail."""
    text = tuple(
        name for name in model.covariates if any(term.startswith(f"{name}=") for term in drifting)
    )
    if text:
        left = tuple(name for name in model.covariates if name not in text)
        stratified = replace(model, covariates=left, baselines=text)
        yield from _estimate_block(cohort, stratified, scored, keys, split=False)
    if failing.any():
        for period in _periods(cohort, model):
            yield from _estimate_block(cohort, period, scored, keys[failing], split=False)


def _periods(cohort: Cohort, model: Model) -> Iterator[Model]:
    """Yield the model before and after the split.

    Every patient is under observation from time 0, so the risk sets after the split are those
    of the patients still followed then.
    """
    cut = cohort.split_years * DAYS_PER_YEAR
    years = f"{cohort.split_years:g} years"
    follow = model.follow
    late = follow.usable & (np.nan_to_num(follow.time) > cut)
    first = replace(follow, time=np.where(late, cut, follow.time), event=follow.event & ~late)
    yield replace(model, stratum=f"{model.stratum}, first {years}", follow=first)
    yield replace(model, stratum=f"{model.stratum}, after {years}", member=model.member & late)


def too_few(
    cohort: Cohort, model: Model, used: np.ndarray, terms: int, modifier: np.ndarray | None
) -> str:
    """Return why a model cannot be estimated for lack of events; empty where it can."""
    events = model.follow.event[used]
    needed = cohort.events_per_term
    if events.sum() < needed * terms:
        return (
            f"not estimated: {int(events.sum())} events for {terms} "
            f"term{'s' if terms > 1 else ''}, {needed} per term are needed"
        )
    if modifier is not None:
        for name, group in (("positive", modifier == 1), ("negative", modifier == 0)):
            if events[group].sum() < needed:
                return (
                    f"not estimated: {int(events[group].sum())} events in HER2-{name} patients, "
                    f"{needed} are needed"
                )
    return ""


def effect_rows(
    cohort: Cohort,
    model: Model,
    keys: pd.MultiIndex,
    used: np.ndarray,
    estimates: Estimates | None = None,
    *,
    power_limit: np.ndarray | float = np.nan,
    contrast: str = "per sd",
    scale: str = "log_hr",
    note: str | Sequence[str] = "",
) -> pd.DataFrame:
    """Return one row per score; `used` are the positions of the patients in the model."""
    if model.interaction:
        contrast = f"{contrast}, positive - negative"
    return effect_frame(
        keys,
        Estimates.nothing(len(keys), n=used.size) if estimates is None else estimates,
        cohort=cohort.name,
        question=model.question,
        endpoint=model.endpoint,
        stratum=model.stratum,
        contrast=contrast,
        adjustment=model.adjustment,
        scale=scale,
        events=int(model.follow.event[used].sum()),
        power_limit=power_limit,
        note=note,
        shared_note=cohort.crude_note if model.adjustment == "none" else "",
        signature_notes=cohort.signature_notes,
    )
