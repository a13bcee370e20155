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

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from cytostrat import tables
from cytostrat.errors import EstimationError
from cytostrat.stats import Estimates, notes, power
from cytostrat.stats.design import Design, covariate_design
from cytostrat.stats.effect_size import g_estimate, group_sds, hedges_g
from cytostrat.stats.effect_table import Estimated, NullScores, effect_frame, with_null_p
from cytostrat.stats.logistic import detectable_log_or, fit_logistic, logistic_score_z
from cytostrat.stats.paired import (
    detectable_paired_d,
    paired_d,
    paired_d_values,
    smallest_sign_flip_p,
)
from cytostrat.stats.rank import SEPARATION_NOTE, auc
from cytostrat.stats.score_columns import blocks_of_equal_gaps, score_columns, signature_notes
from cytostrat.stats.survival_models import explained_share

PANEL_1998 = ("IL1B", "IL2", "IL6", "TNF", "IFNG", "IL2RA")
PANEL_RISING = "IFNG"
PANEL_FALLING = ("IL1B", "IL6", "IL2RA")
PANEL_NOTE = "mRNA stands in for the serum and culture proteins of the trial"
TIMEPOINTS = ("before", "during", "after")
CHANGES = (("during", "before"), ("after", "before"), ("after", "during"))
FEWEST_PAIRS = 3
RESPONSES_PER_TERM = 10
CASE_MIX = ("er", "her2", "age", "treatment")
MAY_BE_ABSENT = ("age", "treatment")

NullGenes = Callable[[Sequence[str], Sequence[str]], "tuple[np.ndarray, np.ndarray] | None"]
"""(rising, falling genes) to samples x sets x genes of random genes for either side."""


@dataclass(frozen=True)
class _Cohort:
    """One row per patient, and where the patient's samples stand at each time point.

    `sample` holds positions in the clinical frame, -1 where there is no sample.
    """

    name: str
    patients: pd.DataFrame
    sample: Mapping[str, np.ndarray]
    notes: Mapping[str, str]
    crude_note: str
    shared_note: str
    min_group: int
    permutations: int
    seed: int

    @property
    def responded(self) -> np.ndarray:
        """1.0 responder, 0.0 not, NaN unknown."""
        return self.patients["response"].map({"yes": 1.0, "no": 0.0}).to_numpy(dtype=float)


@dataclass(frozen=True)
class _Columns:
    """Values to test: samples x (signature, method), and the names their rows carry."""

    values: pd.DataFrame
    response_question: str
    change_question: str
    note: str = ""


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
    patients, sample, clauses = _patients(clinical)
    shared = _Cohort(
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
    scored = _Columns(
        score_columns(scores, clinical.index, signatures), "response", "response_change"
    )
    adjustments = [(), tuple(adjustment), *(tuple(names) for names in richer)]
    parts = [*_baseline(shared, scored, adjustments), *_changes(shared, scored)]
    rows = with_null_p(parts, null_scores)
    if expression is not None:
        before = sample["before"][sample["before"] >= 0]
        values, why = panel_1998(expression.reindex(clinical.index), baseline=before)
        panel = _Columns(values, "panel_1998", "panel_1998", PANEL_NOTE)
        noted = replace(shared, notes={**shared.notes, **why})
        parts = [*_baseline(noted, panel, adjustments), *_changes(noted, panel)]
        null = None if null_genes is None else _panel_null(null_genes, before)
        rows += with_null_p(parts, null)
    return tables.EFFECTS.concat(rows)


def panel_1998(
    expression: pd.DataFrame, *, baseline: np.ndarray
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the genes of the 1998 trial's panel and their contrast, in SD before treatment.

    Parameters
    ----------
    expression
        Samples x genes on the log2 scale.
    baseline
        Positions of the samples that give mean and SD of each gene, one per patient.

    Returns
    -------
    values
        Samples x (name, ``"gene z"``): the six genes and ``IFNG - mean(IL1B, IL6, IL2RA)``.
        A gene that is absent, or does not vary before treatment, is all NaN, and so is the
        contrast that needs it. Where IFNG and some of the other three are there, one more
        column holds the contrast of those, under a name that says which.
    why
        Column name to the reason why it is NaN, or shorter than the published one.
    """
    z: dict[str, pd.Series] = {}
    why: dict[str, str] = {}
    for gene in PANEL_1998:
        if gene not in expression.columns or expression[gene].isna().all():
            why[gene] = f"{gene} is not measured"
        else:
            base = expression[gene].iloc[baseline].astype(float)
            if base.std(ddof=1) > 1e-12 * base.abs().max():
                z[gene] = (expression[gene].astype(float) - base.mean()) / base.std(ddof=1)
            else:
                why[gene] = f"{gene} does not vary before treatment"
    missing = pd.Series(np.nan, index=expression.index)
    columns = {gene: z.get(gene, missing) for gene in PANEL_1998}
    lacking = [gene for gene in (PANEL_RISING, *PANEL_FALLING) if gene not in z]
    full = _contrast_name(PANEL_FALLING)
    reasons = notes.join([why[gene] for gene in lacking])
    columns[full] = missing
    if not lacking:
        columns[full] = z[PANEL_RISING] - sum(z[g] for g in PANEL_FALLING) / len(PANEL_FALLING)
    else:
        why[full] = f"no contrast without {', '.join(lacking)}: {reasons}"
        left = [gene for gene in PANEL_FALLING if gene in z]
        if PANEL_RISING in z and left:
            short = _contrast_name(left)
            columns[short] = z[PANEL_RISING] - sum(z[gene] for gene in left) / len(left)
            why[short] = f"shorter than the trial's contrast: {reasons}"
    values = pd.DataFrame(columns)
    values.columns = pd.MultiIndex.from_product([values.columns, ["gene z"]])
    return values, why


def _panel_null(null_genes: NullGenes, baseline: np.ndarray) -> NullScores:
    """Return what gives random genes, or random contrasts, for a column of the panel."""

    def mean_z(values: np.ndarray) -> np.ndarray | float:
        if values.shape[2] == 0:
            return 0.0
        base = values[baseline].astype(float)
        spread = base.std(axis=0, ddof=1)
        spread = np.where(spread > 1e-12 * np.abs(base).max(axis=0), spread, np.nan)
        return ((values - base.mean(axis=0)) / spread).mean(axis=2)

    def null(name: str, method: str) -> np.ndarray | None:
        single = name in PANEL_1998
        rising = (name,) if single else (PANEL_RISING,)
        falling = () if single else tuple(gene for gene in PANEL_FALLING if gene in name)
        drawn = null_genes(rising, falling)
        return None if drawn is None else mean_z(drawn[0]) - mean_z(drawn[1])

    return null


def _contrast_name(falling: Sequence[str]) -> str:
    return f"{PANEL_RISING} - mean({', '.join(falling)})"


def _column(clinical: pd.DataFrame, name: str) -> pd.Series:
    if name in clinical.columns:
        column = clinical[name].astype(object)
        return column.where(column.notna() & (column != ""), None)
    return pd.Series(None, index=clinical.index, dtype=object)


def _patients(clinical: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, np.ndarray], list[str]]:
    """Return one row per patient (covariates of the first sample), positions, what was left out."""
    timepoint = _column(clinical, "timepoint")
    response = _column(clinical, "response")
    for name, column, allowed in (
        ("timepoint", timepoint, TIMEPOINTS),
        ("response", response, ("yes", "no")),
    ):
        strange = sorted(set(column.dropna().astype(str)) - set(allowed))
        if strange:
            raise EstimationError(
                f"Column {name} holds '{strange[0]}'; allowed are {', '.join(allowed)} and missing."
            )
    clauses = []
    if timepoint.notna().any():
        unknown = int(timepoint.isna().sum())
        if unknown:
            clauses.append(f"{unknown} samples without a time point left out")
    else:
        timepoint = timepoint.where(timepoint.notna(), "before")
    patient = _column(clinical, "patient")
    patient = patient.where(patient.notna(), clinical.index.to_series().astype(str))
    frame = pd.DataFrame(
        {
            "patient": patient.astype(str).to_numpy(),
            "timepoint": timepoint.to_numpy(),
            "response": response.to_numpy(),
            "treatment": _column(clinical, "treatment").to_numpy(),
            "position": np.arange(len(clinical)),
            "sample": clinical.index.astype(str),
        }
    )
    frame["visit"] = frame["timepoint"].map({name: i for i, name in enumerate(TIMEPOINTS)})
    frame = frame.dropna(subset="visit").sort_values(["patient", "visit", "sample"])
    known = frame.dropna(subset="response").groupby("patient")["response"]
    torn = known.nunique()
    if (torn > 1).any():
        raise EstimationError(
            f"Samples of patient {torn.index[torn > 1][0]} disagree on the response; "
            "correct the clinical table."
        )
    again = frame.duplicated(["patient", "visit"])
    if again.any():
        clauses.append(f"{int(again.sum())} further samples of a patient's time point left out")
    frame = frame[~again]
    names = pd.Index(frame["patient"].unique())
    sample = {}
    for visit in TIMEPOINTS:
        at = frame[frame["timepoint"] == visit].set_index("patient")["position"]
        sample[visit] = at.reindex(names, fill_value=-1).to_numpy(dtype=int)
    first = frame.groupby("patient")["position"].first().reindex(names).to_numpy(dtype=int)
    patients = clinical.iloc[first].set_axis(names, axis=0)
    patients = patients.assign(
        response=known.first().reindex(names),
        treatment=frame.dropna(subset="treatment").groupby("patient")["treatment"].first()
        .reindex(names),
    )  # fmt: skip
    return patients, sample, clauses


def _strata(cohort: _Cohort, *, by_response: bool) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield name, defining column and members: all, HER2, ER, arms, responders and others."""
    yield "all", "", np.ones(len(cohort.patients), dtype=bool)
    for column in ("her2", "er"):
        if column in cohort.patients:
            for status in ("positive", "negative"):
                member = (cohort.patients[column] == status).to_numpy()
                yield f"{column}_{status}", column, member
    arms = sorted(cohort.patients["treatment"].dropna().astype(str).unique())
    if len(arms) > 1:
        for arm in arms:
            member = (cohort.patients["treatment"].astype(str) == arm).to_numpy()
            yield f"treatment: {arm}", "treatment", member
    if by_response and np.isfinite(cohort.responded).any():
        yield "responders", "response", cohort.responded == 1
        yield "non-responders", "response", cohort.responded == 0


def _baseline(
    cohort: _Cohort, columns: _Columns, adjustments: Sequence[tuple[str, ...]]
) -> Iterator[Estimated]:
    """Yield responders against others before treatment."""
    if not np.isfinite(cohort.responded).any():
        return
    position = cohort.sample["before"]
    frame = columns.values.iloc[position].set_axis(cohort.patients.index, axis=0)
    frame = frame.where(pd.Series(position >= 0, index=frame.index), np.nan)
    known = np.isfinite(cohort.responded) & (position >= 0)
    spread = frame[known].std(ddof=1).to_numpy()
    for stratum, defined_by, member in _strata(cohort, by_response=False):
        for scored, picked in blocks_of_equal_gaps(frame):
            rows = np.flatnonzero(member & known & scored)
            emit = _Emit(
                cohort, columns, columns.response_question, "response", stratum,
                frame.columns[picked],
            )  # fmt: skip
            case = cohort.responded[rows] == 1
            inside = frame.to_numpy()[np.ix_(rows, picked)]
            yield from _two_groups(emit, inside, case, "yes - no", _picker(position[rows]))
            done = set()
            for names in adjustments:
                left = tuple(name for name in names if name != defined_by)
                if left not in done:
                    done.add(left)
                    yield _logistic(
                        emit, inside, case, left, rows, spread[picked], _picker(position[rows])
                    )


def _changes(cohort: _Cohort, columns: _Columns) -> Iterator[Estimated]:
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
        for stratum, defined_by, member in _strata(cohort, by_response=True):
            for scored, picked in blocks_of_equal_gaps(frame):
                rows = np.flatnonzero(member & paired & scored)
                emit = _Emit(
                    cohort, columns, columns.change_question, "", stratum, frame.columns[picked]
                )
                inside = difference[np.ix_(rows, picked)]
                yield _within(emit, inside, contrast, _picker(to[rows], since[rows]))
                if defined_by == "response" or not told.any():
                    continue
                rows = rows[told[rows]]
                yield from _two_groups(
                    emit, difference[np.ix_(rows, picked)], cohort.responded[rows] == 1,
                    f"change ({contrast}), yes - no", _picker(to[rows], since[rows]),
                    with_auc=False,
                )  # fmt: skip


def _picker(to: np.ndarray, since: np.ndarray | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """Return what takes the values, or the changes, of these samples from all samples."""
    return (lambda sets: sets[to]) if since is None else (lambda sets: sets[to] - sets[since])


@dataclass(frozen=True)
class _Emit:
    """The key of a group of rows; a call makes the rows."""

    cohort: _Cohort
    columns: _Columns
    question: str
    endpoint: str
    stratum: str
    keys: pd.MultiIndex

    def __call__(
        self,
        estimates: Estimates,
        *,
        scale: str,
        contrast: str,
        adjustment: str = "none",
        power_limit: np.ndarray | float = np.nan,
        note: str | Sequence[str] = "",
    ) -> pd.DataFrame:
        """Return one row per column of the estimates."""
        cohort = self.cohort
        return effect_frame(
            self.keys, estimates, cohort=cohort.name, question=self.question,
            endpoint=self.endpoint, stratum=self.stratum, contrast=contrast,
            adjustment=adjustment, scale=scale, power_limit=power_limit, note=note,
            signature_notes=cohort.notes,
            shared_note=notes.join(
                self.columns.note, cohort.shared_note,
                cohort.crude_note if adjustment == "none" else "",
            ),
        )  # fmt: skip

    def nothing(
        self,
        why: str,
        n: int,
        n_case: int | None = None,
        *,
        scale: str,
        contrast: str,
        **further: str,
    ) -> Estimated:
        """Return rows without a number."""
        empty = Estimates.nothing(len(self.keys), n=n, n_case=n_case)
        note = f"not estimated: {why}"
        return Estimated(self(empty, scale=scale, contrast=contrast, note=note, **further))


def _groups_too_small(cohort: _Cohort, case: np.ndarray) -> str:
    for name, count in (("responders", case.sum()), ("non-responders", (~case).sum())):
        if count < cohort.min_group:
            return f"{int(count)} {name}, at least {cohort.min_group} are needed"
    return ""


def _two_groups(
    emit: _Emit,
    values: np.ndarray,
    case: np.ndarray,
    contrast: str,
    pick: Callable[[np.ndarray], np.ndarray],
    *,
    with_auc: bool = True,
) -> Iterator[Estimated]:
    """Yield g, and the area, of responders against others."""
    n, n_case = len(case), int(case.sum())
    small = _groups_too_small(emit.cohort, case)
    if small:
        for scale in ("hedges_g", "auc")[: 2 if with_auc else 1]:
            yield emit.nothing(small, n, n_case, scale=scale, contrast=contrast)
        return
    g, area = hedges_g(values, case), auc(values, case)
    flat = np.isnan(g.estimate)
    rows = emit(
        replace(g, p=np.where(flat, np.nan, area.p)),
        scale="hedges_g",
        contrast=contrast,
        power_limit=power.detectable_g(n_case, n - n_case, sds=group_sds(values, case)),
        note=np.where(flat, "not estimated: the values do not vary inside the groups", ""),
    )
    yield Estimated(rows, lambda sets: g_estimate(pick(sets), case))
    if with_auc:
        yield Estimated(
            emit(
                area,
                scale="auc",
                contrast=contrast,
                power_limit=power.detectable_auc(n_case, n - n_case),
                note=np.where(np.isin(area.estimate, (0.0, 1.0)), SEPARATION_NOTE, ""),
            )
        )


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


def _logistic(
    emit: _Emit,
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

    small = _groups_too_small(emit.cohort, case)
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


def _within(
    emit: _Emit,
    differences: np.ndarray,
    contrast: str,
    pick: Callable[[np.ndarray], np.ndarray],
) -> Estimated:
    """Return the mean change within patients over its SD."""
    n = len(differences)
    labels = {"scale": "paired_d", "contrast": contrast}
    if n < FEWEST_PAIRS:
        return emit.nothing(
            f"{n} patients with both samples, at least {FEWEST_PAIRS} are needed", n, **labels
        )
    change = paired_d(differences, permutations=emit.cohort.permutations, seed=emit.cohort.seed)
    own = []
    for column in range(differences.shape[1]):
        smallest = smallest_sign_flip_p(differences[:, column])
        if np.isnan(change.estimate[column]):
            own.append("not estimated: all changes are equal")
        elif smallest > 0.05:
            own.append(f"with so few pairs p cannot fall below {smallest:.3g}")
        else:
            own.append("")
    table = emit(change, power_limit=detectable_paired_d(n), note=own, **labels)
    return Estimated(table, lambda sets: paired_d_values(pick(sets)))
