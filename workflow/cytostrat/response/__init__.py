"""Relate scores to the response to treatment, and follow them through treatment.

Output: Effects rows (`cytostrat.tables.EFFECTS`)

=============== ================================ ========= ====================================
question        contrast                         scale     meaning
=============== ================================ ========= ====================================
response        yes - no                         hedges_g  baseline score, responders against
                                                           others; p by Mann-Whitney
response        yes - no                         auc       the same as an area, DeLong interval
response        per sd                           log_or    log odds ratio of response per SD of
                                                           the baseline score, crude and adjusted;
                                                           the adjusted one is the one to judge by
response_change during - before, after - before, paired_d  mean change within patients over its
                after - during                             SD; p by exact sign flips
response_change change (after - before), yes -   hedges_g  change in responders against change
                no (and the others)                        in others; p by Mann-Whitney
panel_1998      as above                         as above  IL1B, IL2, IL6, TNF, IFNG, IL2RA and
                                                           z(IFNG) - mean z(IL1B, IL6, IL2RA)
=============== ================================ ========= ====================================

Rules

* a patient counts once per time point: of several samples the first by name. A cohort without
  time points is one of samples before treatment; where some samples have a time point, those
  without are left out and counted;
* response is a property of the patient: one sample that says it is enough, two that disagree
  are an error. Missing response is never "no";
* strata: all, HER2 and ER groups and, where there are several, each treatment arm. For changes
  also the responders and the others by themselves;
* tumours that are ER-negative or HER2-positive respond more often and differ in immune signals, so
  a crude difference may be case mix. The adjusted model holds ER, HER2, age and the arm; age and
  arm are left out where the cohort doesn't record them, an arm that HER2 determines (or the other
  way round) once, and patients of an arm in which all or none responded, who say nothing;
* fewer than ten responses (or non-responses, whichever are rarer) per term of a logistic model:
  a row with a note and no number (Peduzzi 1996);
* z of the panel: mean and SD over the cohort's samples before treatment. The published trial
  measured proteins in serum and culture, here it is mRNA in the sample: IL2RA stands in for
  soluble IL-2 receptor only as a proxy, and every row of the panel says so;
* ``null_p`` of a signature compares with random sets of genes, that of a gene with the genes next
  to it in mean expression, that of the contrast with contrasts of four such genes.

References
----------
Nicolini et al. 1998, doi:10.1006/cyto.1998.0378 (the panel); Peduzzi et al. 1996,
doi:10.1016/S0895-4356(96)00236-3; `cytostrat.stats.paired`, `cytostrat.stats.logistic`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cytostrat import tables
from cytostrat.response.odds import CASE_MIX, odds_ratio
from cytostrat.response.panel import (
    PANEL_1998,
    PANEL_FALLING,
    PANEL_NOTE,
    NullGenes,
    panel_1998,
    panel_null,
)
from cytostrat.response.patients import Cohort, patient_table, strata
from cytostrat.response.rows import Columns, Emit, picker, two_groups, within_patients
from cytostrat.stats import notes
from cytostrat.stats.effect_table import Estimated, NullScores, with_null_p
from cytostrat.stats.score_columns import blocks_of_equal_gaps, score_columns, signature_notes

__all__ = ["PANEL_1998", "PANEL_FALLING", "PANEL_NOTE", "panel_1998", "response_effects"]

CHANGES = (("during", "before"), ("after", "before"), ("after", "during"))


def response_effects(
    clinical: pd.DataFrame,
    scores: pd.DataFrame,
    coverage: pd.DataFrame,
    signatures: Collection[str],
    *,
    cohort: str,
    expression: pd.DataFrame | None = None,
    definition: str = "",
    sampling: Mapping[str, object] | None = None,
    adjustment: Sequence[str] = CASE_MIX,
    richer: Sequence[Sequence[str]] = (),
    null_scores: NullScores | None = None,
    null_genes: NullGenes | None = None,
    min_group: int = 5,
    permutations: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the Effects rows of response, change during treatment, and the 1998 panel.

    Parameters
    ----------
    clinical
        Canonical clinical columns, index sample; of them `patient`, `timepoint`, `treatment`
        and `response` are used here. Without `response` no row compares responders.
    scores
        Scores rows of this cohort (bulk).
    coverage
        Coverage rows of this cohort.
    signatures
        Names of the signatures; one without scores keeps its rows, with a note.
    cohort
        Name of the cohort.
    expression
        Samples x genes on the log2 scale, with those of `PANEL_1998` that the cohort measures;
        None where the panel is not wanted.
    definition
        What counts as response in this cohort, said on every row that compares responders.
    sampling
        ``sampling`` of the provenance; crude effects that it shapes say so.
    adjustment, richer
        Covariates of the primary and of further logistic models.
    null_scores
        (signature, method) to samples x random sets in the row order of `clinical`.
    null_genes
        Random genes for the panel, rows as in `clinical`; see
        `cytostrat.signature_scores.null_expression`.
    min_group
        Fewest patients in the smaller group.
    permutations, seed
        Sign flips beyond 14 pairs, and their seed.

    Returns
    -------
    pandas.DataFrame
        Conforms to `cytostrat.tables.EFFECTS`; empty where the cohort has neither response nor
        two time points.

    Raises
    ------
    EstimationError
        Samples of one patient disagree on the response, response or time point hold another
        word than the contract's, or scores and clinic are of different samples.
    """
    patients, sample, clauses = patient_table(clinical)
    shared = Cohort(
        name=cohort,
        patients=patients,
        sample=sample,
        notes=signature_notes(coverage),
        crude_note=notes.sampling_note(sampling),
        shared_note=notes.join(f"response: {definition}" if definition else "", clauses),
        min_group=max(min_group, 2),
        permutations=permutations,
        seed=seed,
    )
    scored = Columns(
        score_columns(scores, clinical.index, signatures), "response", "response_change"
    )
    adjustments = [(), tuple(adjustment), *(tuple(names) for names in richer)]
    parts = [*_baseline(shared, scored, adjustments), *_changes(shared, scored)]
    rows = with_null_p(parts, null_scores)
    if expression is not None:
        before = sample["before"][sample["before"] >= 0]
        values, why = panel_1998(expression.reindex(clinical.index), baseline=before)
        panel = Columns(values, "panel_1998", "panel_1998", PANEL_NOTE)
        noted = replace(shared, notes={**shared.notes, **why})
        parts = [*_baseline(noted, panel, adjustments), *_changes(noted, panel)]
        null = None if null_genes is None else panel_null(null_genes, before)
        rows += with_null_p(parts, null)
    return tables.EFFECTS.concat(rows)


def _baseline(
    cohort: Cohort, columns: Columns, adjustments: Sequence[tuple[str, ...]]
) -> Iterator[Estimated]:
    """Yield responders against others before treatment."""
    if not np.isfinite(cohort.responded).any():
        return
    position = cohort.sample["before"]
    frame = columns.values.iloc[position].set_axis(cohort.patients.index, axis=0)
    frame = frame.where(pd.Series(position >= 0, index=frame.index), np.nan)
    known = np.isfinite(cohort.responded) & (position >= 0)
    spread = frame[known].std(ddof=1).to_numpy()
    for stratum, defined_by, member in strata(cohort, by_response=False):
        for scored, picked in blocks_of_equal_gaps(frame):
            rows = np.flatnonzero(member & known & scored)
            emit = Emit(
                cohort, columns, columns.response_question, "response", stratum,
                frame.columns[picked],
            )  # fmt: skip
            case = cohort.responded[rows] == 1
            inside = frame.to_numpy()[np.ix_(rows, picked)]
            yield from two_groups(emit, inside, case, "yes - no", picker(position[rows]))
            done = set()
            for names in adjustments:
                left = tuple(name for name in names if name != defined_by)
                if left not in done:
                    done.add(left)
                    yield odds_ratio(
                        emit, inside, case, left, rows, spread[picked], picker(position[rows])
                    )


def _changes(cohort: Cohort, columns: Columns) -> Iterator[Estimated]:
    """Yield the change within patients, and that of responders against others."""
    values = columns.values.to_numpy()
    told = np.isfinite(cohort.responded)
    for later, earlier in CHANGES:
        to, since = cohort.sample[later], cohort.sample[earlier]
        paired = (to >= 0) & (since >= 0)
        if not paired.any():
            continue
        difference = np.where(paired[:, None], values[to] - values[since], np.nan)
        frame = pd.DataFrame(
            difference, index=cohort.patients.index, columns=columns.values.columns
        )
        contrast = f"{later} - {earlier}"
        for stratum, defined_by, member in strata(cohort, by_response=True):
            for scored, picked in blocks_of_equal_gaps(frame):
                rows = np.flatnonzero(member & paired & scored)
                emit = Emit(
                    cohort, columns, columns.change_question, "", stratum, frame.columns[picked]
                )
                inside = difference[np.ix_(rows, picked)]
                yield within_patients(emit, inside, contrast, picker(to[rows], since[rows]))
                if defined_by == "response" or not told.any():
                    continue
                rows = rows[told[rows]]
                yield from two_groups(
                    emit, difference[np.ix_(rows, picked)], cohort.responded[rows] == 1,
                    f"change ({contrast}), yes - no", picker(to[rows], since[rows]),
                    with_auc=False,
                )  # fmt: skip
