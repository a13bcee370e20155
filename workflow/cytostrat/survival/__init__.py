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

import numpy as np
import pandas as pd

from cytostrat import tables
from cytostrat.stats import notes
from cytostrat.stats.effect_table import NullScores, with_null_p
from cytostrat.stats.score_columns import score_columns, signature_notes
from cytostrat.stats.survival_models import follow_up
from cytostrat.survival.concordance import concordance
from cytostrat.survival.curves import OVERSTATES, km_curves
from cytostrat.survival.hazards import effect_rows, estimate
from cytostrat.survival.models import IMMORTAL_TIME, STRATA, Cohort, Model, Stratum, models
from cytostrat.survival.patients import (
    DAYS_PER_YEAR,
    competing_notes,
    followed,
    one_sample_per_patient,
    recorded_endpoints,
)

__all__ = ["DAYS_PER_YEAR", "IMMORTAL_TIME", "OVERSTATES", "km_curves", "survival_effects"]

PROLIFERATION = "proliferation"


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
    kept, patient_note = one_sample_per_patient(clinical)
    if proliferation is not None:
        clinical = clinical.assign(**{PROLIFERATION: proliferation.reindex(clinical.index)})
    shared = Cohort(
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
        competing=competing_notes(records),
    )
    primary = tuple(adjustment)
    general = [(), primary]
    if proliferation is not None:
        general.append((*primary, PROLIFERATION))
    further = [tuple(names) for names in richer]
    estimated = [
        part
        for model in models(shared, endpoints, general, further, strata)
        for part in estimate(shared, model)
    ]
    rows = with_null_p(estimated, null_scores)
    for endpoint in recorded_endpoints(clinical, endpoints):
        follow = followed(shared.clinical, endpoint)
        model = Model("concordance", endpoint, "all", primary, follow, follow.usable)
        rows.extend(concordance(shared, model, bootstrap=bootstrap, seed=seed))
    rows.extend(_absent(shared, clinical, endpoints))
    return tables.EFFECTS.concat(rows)


def _standardised(values: pd.DataFrame) -> pd.DataFrame:
    """Return scores in SD over the cohort's patients; a constant score becomes 0."""
    sd = values.std(ddof=1)
    size = values.abs().max()
    return (values - values.mean()) / sd.where(sd > 1e-12 * size, np.inf)


def _absent(
    cohort: Cohort, clinical: pd.DataFrame, endpoints: Sequence[str] | None
) -> Iterator[pd.DataFrame]:
    """Yield rows without a number for endpoints that were asked for and are not recorded."""
    if endpoints is None:
        return
    unknown = np.full(len(cohort.clinical), np.nan)
    empty = follow_up(unknown, unknown)
    nobody = np.flatnonzero(empty.usable)
    for endpoint in endpoints:
        if endpoint not in recorded_endpoints(clinical, endpoints):
            model = Model("survival", endpoint, "all", (), empty, empty.usable)
            text = f"not estimated: the cohort does not record {endpoint}"
            yield effect_rows(cohort, model, cohort.values.columns, nobody, note=text)
