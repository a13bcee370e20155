"""What a score adds to the concordance of the clinic, as Effects rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cytostrat.errors import EstimationError
from cytostrat.stats import Estimates, notes
from cytostrat.stats.design import covariate_design
from cytostrat.stats.score_columns import blocks_of_equal_gaps
from cytostrat.stats.survival_concordance import concordance_gain
from cytostrat.survival.hazards import effect_rows, too_few
from cytostrat.survival.models import Cohort, Model


def concordance(
    cohort: Cohort, model: Model, *, bootstrap: int, seed: int
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
            few = too_few(cohort, model, used, terms, None)
            if few:
                raise EstimationError(few.removeprefix("not estimated: "))
        except EstimationError as error:
            note = notes.join(f"not estimated: {error}", design_notes, model.follow.note)
            yield effect_rows(cohort, model, keys, used, note=note, **labels)
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
        yield effect_rows(cohort, model, keys, used, estimates, note=own, **labels)
