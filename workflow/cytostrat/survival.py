"""Relate a cohort's scores to the endpoints it records: Cox regression, continuous, no cut.

Output: Effects rows (`cytostrat.tables.EFFECTS`), for every signature, method and endpoint

========================= ======== ===========================================================
question                  scale    meaning
========================= ======== ===========================================================
survival                  log_hr   log hazard ratio per SD of the score (the SD over all
                                   patients of the cohort, also inside strata), crude and
                                   adjusted; Wald interval and p
survival_her2_interaction log_hr   log hazard ratio per SD in HER2-positive minus that in
                                   HER2-negative patients
concordance               c_gain   Harrell's concordance of covariates and score minus that of
                                   the covariates, corrected for optimism; bootstrap interval
========================= ======== ===========================================================

Rules

* a patient counts once: of several samples the one before treatment, then the first by name;
* fewer than ten events per term of the model: a row with a note and no number (Peduzzi 1995);
  an interaction needs ten events in either HER2 group besides;
* time 0, negative times and ties: see `cytostrat.stats.survival_models`;
* proportional hazards are tested by Schoenfeld residuals. Where the score fails, the row says so
  and two more rows give the effect in the first years and after, each a model of its own. Where
  a text covariate fails, one more row gives it a baseline hazard per level,
  ``strata(er)+age``;
* ``null_p`` is the share of random sets whose score statistic is at least as far from zero
  (Venet 2011); ``power_limit`` the smallest log hazard ratio per SD that the events could have
  shown with 80 % power (Hsieh & Lavori 2000; for an interaction 2.8 standard errors);
* an endpoint that censors deaths of other causes, as its record says or, where it doesn't, as the
  endpoint is usually defined (`cytostrat.tables.CENSORING_OTHER_DEATHS`), has a cause-specific
  hazard: its rows say so, and its curves say that they overstate the risk (Putter 2007);
* every patient counts as under observation from time 0; no entry time is known. A stratum of
  patients by a treatment that was given later says so on its rows (immortal time, Suissa 2008);
* Kaplan-Meier curves are by thirds of the score fixed beforehand and for display only.

References
----------
Peduzzi et al. 1995, doi:10.1016/0895-4356(95)00048-8; Venet et al. 2011,
doi:10.1371/journal.pcbi.1002240; Hsieh & Lavori 2000, doi:10.1016/S0197-2456(00)00104-5;
Hollaender et al. 2004, doi:10.1002/sim.1611 (why no cut is optimised); Putter, Fiocco & Geskus
2007, doi:10.1002/sim.2712 (competing risks); Suissa 2008, doi:10.1093/aje/kwm324 (immortal time).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from cytostrat import tables
from cytostrat.errors import EstimationError
from cytostrat.stats import Estimates, notes, power
from cytostrat.stats.design import covariate_design
from cytostrat.stats.effect_table import Estimated, NullScores, effect_frame, with_null_p
from cytostrat.stats.score_columns import blocks_of_equal_gaps, score_columns, signature_notes
from cytostrat.stats.survival_concordance import concordance_gain
from cytostrat.stats.survival_curves import kaplan_meier
from cytostrat.stats.survival_models import (
    FollowUp,
    RiskSets,
    explained_share,
    fit_cox,
    follow_up,
    null_model,
    risk_sets,
    score_test,
)

Stratum = Mapping[str, str]
"""Clinical column to the value that all members have; empty for everybody."""

STRATA: dict[str, Stratum] = {
    "all": {},
    "her2_positive": {"her2": "positive"},
    "her2_negative": {"her2": "negative"},
    "er_positive": {"er": "positive"},
    "er_negative": {"er": "negative"},
    "endocrine_er_positive_her2_negative": {
        "endocrine": "yes",
        "er": "positive",
        "her2": "negative",
    },
}
PROLIFERATION = "proliferation"
DAYS_PER_YEAR = 365.25
THIRDS = ("low", "middle", "high")
CAUSE_SPECIFIC = "cause-specific hazard: other deaths are censored"
OVERSTATES = "the curve overstates the risk where other deaths are common, which it censors"
LATER_TREATMENTS = ("chemo", "endocrine", "treatment")
IMMORTAL_TIME = (
    "the stratum is of a treatment given after time 0, which its patients lived to receive "
    "(immortal time)"
)


@dataclass(frozen=True)
class _Cohort:
    """What every row of one cohort shares; all frames hold one row per patient."""

    name: str
    clinical: pd.DataFrame
    values: pd.DataFrame
    positions: np.ndarray
    signature_notes: Mapping[str, str]
    crude_note: str
    patient_note: str
    events_per_term: int
    hazards_alpha: float
    split_years: float
    competing: Mapping[str, str]


@dataclass(frozen=True)
class _Model:
    """One endpoint in one stratum under one adjustment.

    `member` marks the patients of the stratum, `unrecorded` names what defines it and the cohort
    lacks, `baselines` the covariates that get a baseline hazard per level, not a coefficient.
    """

    question: str
    endpoint: str
    stratum: str
    covariates: tuple[str, ...]
    follow: FollowUp
    member: np.ndarray
    unrecorded: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()
    interaction: bool = False
    stratum_note: str = ""

    @property
    def adjustment(self) -> str:
        parts = [f"strata({name})" for name in self.baselines]
        return "+".join([*parts, *self.covariates]) or "none"


def survival_effects(
    clinical: pd.DataFrame,
    scores: pd.DataFrame,
    coverage: pd.DataFrame,
    signatures: Collection[str],
    *,
    cohort: str,
    sampling: Mapping[str, object] | None = None,
    endpoints: Sequence[str] | None = None,
    records: Mapping[str, Mapping[str, object]] | None = None,
    adjustment: Sequence[str] = ("er", "age"),
    richer: Sequence[Sequence[str]] = (),
    proliferation: pd.Series | None = None,
    strata: Mapping[str, Stratum] = STRATA,
    null_scores: NullScores | None = None,
    events_per_term: int = 10,
    hazards_alpha: float = 0.05,
    split_years: float = 3.0,
    bootstrap: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the Effects rows of survival, its HER2 interaction, and concordance.

    Parameters
    ----------
    clinical
        Canonical clinical columns with ``<endpoint>_time`` (days) and ``<endpoint>_event``
        (0/1), index sample.
    scores
        Scores rows of this cohort (bulk).
    coverage
        Coverage rows of this cohort.
    signatures
        Names of the signatures to test (a mapping will do); one without scores keeps its rows,
        with a note.
    cohort
        Name of the cohort.
    sampling
        ``sampling`` of the provenance; crude effects that it shapes say so.
    endpoints
        Endpoints to use; by default all that the clinical frame has. One that it lacks gives
        rows with a note.
    records
        ``endpoints`` of the provenance: name to record, whose ``competing`` says whether other
        deaths are censored; where it is missing or None the endpoint's name decides.
    adjustment
        Covariates of the primary adjusted row, the same in every cohort. A covariate that
        defines a stratum is left out inside it.
    richer
        Further sets of covariates, each a row of its own in the stratum of everybody.
    proliferation
        Proliferation score per sample; adds the row of the primary adjustment plus it.
    strata
        Name to the values of its members, ``{"er": "positive", "endocrine": "yes"}``.
    null_scores
        (signature, method) to samples x random sets in the row order of `clinical`; asked once
        per signature and method.
    events_per_term
        Fewest events per coefficient.
    hazards_alpha
        Level of the test of proportional hazards.
    split_years
        Where the time axis is split if proportional hazards fail.
    bootstrap, seed
        Bootstrap samples of the concordance gain and their seed.

    Returns
    -------
    pandas.DataFrame
        Conforms to `cytostrat.tables.EFFECTS`.

    Raises
    ------
    EstimationError
        The scores are of samples that the clinical frame does not hold, an event is not 0 or 1,
        or an endpoint is unknown.
    """
    kept, patient_note = _one_sample_per_patient(clinical)
    if proliferation is not None:
        clinical = clinical.assign(**{PROLIFERATION: proliferation.reindex(clinical.index)})
    shared = _Cohort(
        name=cohort,
        clinical=clinical.iloc[kept],
        values=_standardised(score_columns(scores, clinical.index, signatures).iloc[kept]),
        positions=kept,
        signature_notes=signature_notes(coverage),
        crude_note=notes.sampling_note(sampling),
        patient_note=patient_note,
        events_per_term=events_per_term,
        hazards_alpha=hazards_alpha,
        split_years=split_years,
        competing=_competing(records),
    )
    primary = tuple(adjustment)
    general = [(), primary]
    if proliferation is not None:
        general.append((*primary, PROLIFERATION))
    further = [tuple(names) for names in richer]
    estimated = [
        part
        for model in _models(shared, endpoints, general, further, strata)
        for part in _estimate(shared, model)
    ]
    rows = with_null_p(estimated, null_scores)
    for endpoint in _recorded(clinical, endpoints):
        follow = _follow(shared.clinical, endpoint)
        model = _Model("concordance", endpoint, "all", primary, follow, follow.usable)
        rows.extend(_concordance(shared, model, bootstrap=bootstrap, seed=seed))
    rows.extend(_absent(shared, clinical, endpoints))
    return tables.EFFECTS.concat(rows)


def _one_sample_per_patient(clinical: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Return the positions of one sample per patient, sorted by name, and what was left out."""
    order = np.argsort(clinical.index.astype(str).to_numpy(), kind="stable")
    frame = clinical.iloc[order]
    later = np.zeros(len(frame), dtype=bool)
    if "timepoint" in frame:
        later = frame["timepoint"].isin(["during", "after"]).to_numpy()
    again = np.zeros(len(frame), dtype=bool)
    if "patient" in frame:
        patient = frame["patient"].where(~later)
        again = (patient.duplicated() & patient.notna()).to_numpy()
    clauses = []
    if later.any():
        clauses.append(f"{int(later.sum())} samples taken during or after treatment left out")
    if again.any():
        clauses.append(f"{int(again.sum())} further samples of the same patients left out")
    return order[~later & ~again], notes.join(clauses)


def _standardised(values: pd.DataFrame) -> pd.DataFrame:
    """Return scores in SD over the cohort's patients; a constant score becomes 0."""
    sd = values.std(ddof=1)
    size = values.abs().max()
    return (values - values.mean()) / sd.where(sd > 1e-12 * size, np.inf)


def _recorded(clinical: pd.DataFrame, endpoints: Sequence[str] | None) -> list[str]:
    wanted = tables.ENDPOINTS if endpoints is None else endpoints
    unknown = [name for name in wanted if name not in tables.ENDPOINTS]
    if unknown:
        raise EstimationError(
            f"Endpoint {unknown[0]} is not one of {', '.join(tables.ENDPOINTS)}; "
            "correct the list of endpoints."
        )
    return [
        name
        for name in wanted
        if {f"{name}_time", f"{name}_event"} <= set(clinical.columns)
        and clinical[f"{name}_time"].notna().any()
    ]


def _competing(records: Mapping[str, Mapping[str, object]] | None) -> dict[str, str]:
    """Return the note of each endpoint on other deaths, empty where they are events."""
    out = {}
    for name in tables.ENDPOINTS:
        stated = (records or {}).get(name, {}).get("competing")
        usual = name in tables.CENSORING_OTHER_DEATHS
        why = f", as {name} is usually defined" if stated is None else ""
        out[name] = f"{CAUSE_SPECIFIC}{why}" if (usual if stated is None else stated) else ""
    return out


def _follow(clinical: pd.DataFrame, endpoint: str) -> FollowUp:
    try:
        return follow_up(clinical[f"{endpoint}_time"], clinical[f"{endpoint}_event"])
    except EstimationError as error:
        raise EstimationError(f"Endpoint {endpoint}: {error}") from error


def _models(
    cohort: _Cohort,
    endpoints: Sequence[str] | None,
    general: Sequence[tuple[str, ...]],
    further: Sequence[tuple[str, ...]],
    strata: Mapping[str, Stratum],
) -> Iterator[_Model]:
    """Yield every model once: strata by adjustments, then the HER2 interaction.

    The sets of covariates in `further` are for everybody only: subgroups lack the events.
    """
    clinical = cohort.clinical
    for endpoint in _recorded(clinical, endpoints):
        follow = _follow(clinical, endpoint)
        for stratum, rule in strata.items():
            member = follow.usable
            unrecorded = tuple(name for name in rule if not _has(clinical, name))
            for column, value in rule.items():
                inside = clinical[column] == value if column in clinical else False
                member = member & np.asarray(inside)
            sets = general if rule else [*general, *further]
            for names in _distinct(sets, without=rule):
                yield _Model(
                    "survival", endpoint, stratum, names, follow, member, unrecorded,
                    stratum_note="" if set(rule).isdisjoint(LATER_TREATMENTS) else IMMORTAL_TIME,
                )  # fmt: skip
        known = follow.usable
        if recorded := _has(clinical, "her2"):
            known = known & clinical["her2"].isin(["positive", "negative"]).to_numpy()
        for names in _distinct(general[:2], without=["her2"]):
            yield _Model(
                "survival_her2_interaction", endpoint, "all", names, follow, known & recorded,
                () if recorded else ("her2",), interaction=True,
            )  # fmt: skip


def _distinct(
    sets: Sequence[tuple[str, ...]], *, without: Collection[str]
) -> Iterator[tuple[str, ...]]:
    """Yield sets of covariates less those named, each once."""
    yield from dict.fromkeys(tuple(name for name in names if name not in without) for names in sets)


def _has(clinical: pd.DataFrame, name: str) -> bool:
    return name in clinical and bool(clinical[name].notna().any())


def _estimate(cohort: _Cohort, model: _Model) -> Iterator[Estimated]:
    """Yield the fits of one model for all scores, with those that failing hazards call for."""
    for scored, columns in blocks_of_equal_gaps(cohort.values):
        yield from _estimate_block(cohort, model, scored, cohort.values.columns[columns])


def _estimate_block(
    cohort: _Cohort, model: _Model, scored: np.ndarray, keys: pd.MultiIndex, *, split: bool = True
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
        return Estimated(_rows(cohort, model, keys, used, note=notes.join(note, shared_note)))

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
    few = _too_few(cohort, model, used, size, modifier)
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
        _rows(cohort, model, keys, used, estimates, power_limit=limit, note=own),
        lambda sets: statistic(sets[cohort.positions]),
        observed=lambda: statistic(cohort.values[keys].to_numpy()),
    )
    if split and not model.interaction:
        yield from _other_forms(cohort, model, scored, keys, failing, drifting)


def _hazards_note(term: str, p: float) -> str:
    return f"proportional hazards fail for {term} (Schoenfeld p = {p:.2g})"


def _drifting(
    cohort: _Cohort, risk: RiskSets, covariates: np.ndarray, terms: Sequence[str]
) -> dict[str, float]:
    """Return the covariates whose hazards are not proportional in the model without a score."""
    if not terms:
        return {}
    p = fit_cox(risk, covariates=covariates, test_hazards=True).ph_p[0]
    return {
        term: value for term, value in zip(terms, p, strict=True) if value < cohort.hazards_alpha
    }


def _other_forms(
    cohort: _Cohort,
    model: _Model,
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


def _periods(cohort: _Cohort, model: _Model) -> Iterator[_Model]:
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


def _too_few(
    cohort: _Cohort, model: _Model, used: np.ndarray, terms: int, modifier: np.ndarray | None
) -> str:
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


def _concordance(
    cohort: _Cohort, model: _Model, *, bootstrap: int, seed: int
) -> Iterator[pd.DataFrame]:
    """Yield the concordance gain of every score over the primary covariates."""
    labels = {"contrast": "with score - without", "scale": "c_gain"}
    for scored, columns in blocks_of_equal_gaps(cohort.values):
        keys = cohort.values.columns[columns]
        rows = model.member & scored
        clinical = cohort.clinical.loc[rows]
        used, design_notes = np.flatnonzero(rows), ()
        try:
            if not rows.any():
                raise EstimationError("no patient has both follow-up and a score")
            design = covariate_design(clinical, model.covariates)
            used, design_notes = np.flatnonzero(rows)[design.complete], design.notes
            terms = design.matrix.shape[1] + 1
            if terms == 1:
                raise EstimationError("no covariate is left to compare with")
            few = _too_few(cohort, model, used, terms, None)
            if few:
                raise EstimationError(few.removeprefix("not estimated: "))
        except EstimationError as error:
            note = notes.join(f"not estimated: {error}", design_notes, model.follow.note)
            yield _rows(cohort, model, keys, used, note=note, **labels)
            continue
        gain = concordance_gain(
            model.follow.time[used],
            model.follow.event[used],
            covariates=design.matrix,
            scores=cohort.values[keys].to_numpy()[used],
            bootstrap=bootstrap,
            seed=seed,
        )
        own = [
            notes.join(
                "not estimated: the model with the score has no finite fit"
                if np.isnan(estimate)
                else f"concordance of {model.adjustment} alone {gain.clinical:.3f}; "
                f"{replicates} bootstrap samples",
                design_notes,
                model.follow.note,
                cohort.patient_note,
                cohort.competing[model.endpoint],
            )
            for estimate, replicates in zip(gain.gain, gain.replicates, strict=True)
        ]
        untested = np.full(len(keys), np.nan)
        estimates = Estimates(gain.gain, gain.se, gain.low, gain.high, untested, n=used.size)
        yield _rows(cohort, model, keys, used, estimates, note=own, **labels)


def _absent(
    cohort: _Cohort, clinical: pd.DataFrame, endpoints: Sequence[str] | None
) -> Iterator[pd.DataFrame]:
    """Yield rows without a number for endpoints that were asked for and are not recorded."""
    if endpoints is None:
        return
    unknown = np.full(len(cohort.clinical), np.nan)
    empty = follow_up(unknown, unknown)
    nobody = np.flatnonzero(empty.usable)
    for endpoint in endpoints:
        if endpoint not in _recorded(clinical, endpoints):
            model = _Model("survival", endpoint, "all", (), empty, empty.usable)
            text = f"not estimated: the cohort does not record {endpoint}"
            yield _rows(cohort, model, cohort.values.columns, nobody, note=text)


def _rows(
    cohort: _Cohort,
    model: _Model,
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


def km_curves(
    clinical: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    cohort: str,
    signatures: Collection[str],
    method: str,
    endpoints: Sequence[str] | None = None,
    records: Mapping[str, Mapping[str, object]] | None = None,
    tick_years: float = 1.0,
) -> pd.DataFrame:
    """Return Kaplan-Meier curves by thirds of the score, for figures only.

    The limits are the 1/3 and 2/3 quantiles of the score over all patients of the cohort, fixed
    without a look at the outcome; nothing is tested.

    Parameters
    ----------
    clinical, scores, cohort, endpoints, records
        As in `survival_effects`.
    signatures
        Names of the signatures to draw.
    method
        The scoring method to draw.
    tick_years
        Distance of the rows that carry the numbers at risk.

    Returns
    -------
    pandas.DataFrame
        `cohort`, `endpoint`, `signature`, `method`, `group` (low, middle, high), `time` (days),
        `at_risk` (just before `time`), `events`, `censored`, `survival`, `low`, `high`, `tick`,
        `note`. Rows with `tick` stand at whole multiples of `tick_years` and carry the survival
        reached by then; the others are the steps of the curve, the first at time 0. A group
        without a patient has no rows; a signature whose thirds cannot be formed has
        one row with a note.
    """
    kept, _ = _one_sample_per_patient(clinical)
    values = score_columns(scores[scores["method"] == method], clinical.index, signatures)
    competing = _competing(records)
    parts = []
    for endpoint in _recorded(clinical, endpoints):
        follow = _follow(clinical.iloc[kept], endpoint)
        for signature in sorted(signatures):
            labels = {
                "cohort": cohort, "endpoint": endpoint, "signature": signature, "method": method,
            }  # fmt: skip
            column = (signature, method)
            score = values[column].to_numpy()[kept] if column in values else np.array([np.nan])
            known = score[np.isfinite(score)]
            lower, upper = np.quantile(known, [1 / 3, 2 / 3]) if known.size else (0.0, 0.0)
            if not lower < upper:
                note = "no thirds: the score is missing or has too few values"
                parts.append(pd.DataFrame([{**labels, "group": "", "tick": False, "note": note}]))
                continue
            third = np.where(score <= lower, 0, np.where(score <= upper, 1, 2))
            for number, name in enumerate(THIRDS):
                rows = follow.usable & np.isfinite(score) & (third == number)
                if rows.any():
                    curve = _curve(follow.time[rows], follow.event[rows], tick_years)
                    note = notes.join(follow.note, OVERSTATES if competing[endpoint] else "")
                    parts.append(curve.assign(**labels, group=name, note=note))
    order = [
        "cohort", "endpoint", "signature", "method", "group", "time", "at_risk", "events",
        "censored", "survival", "low", "high", "tick", "note",
    ]  # fmt: skip
    if not parts:
        return pd.DataFrame(columns=order)
    return pd.concat(parts, ignore_index=True).reindex(columns=order)


def _curve(time: np.ndarray, event: np.ndarray, tick_years: float) -> pd.DataFrame:
    """Return one curve from time 0 on, with rows at the ticks."""
    steps = kaplan_meier(time, event)
    start = {"time": 0.0, "at_risk": time.size, "events": 0, "censored": 0, "survival": 1.0}
    steps = pd.concat([pd.DataFrame([start]), steps], ignore_index=True).assign(tick=False)
    ticks = np.arange(0.0, time.max() + 1e-9, tick_years * DAYS_PER_YEAR)
    reached = np.searchsorted(steps["time"].to_numpy(), ticks, side="right") - 1
    at_ticks = steps.iloc[reached].assign(
        time=ticks,
        at_risk=[int((time >= tick).sum()) for tick in ticks],
        events=0,
        censored=0,
        tick=True,
    )
    return pd.concat([steps, at_ticks], ignore_index=True)
