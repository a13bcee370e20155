"""Relate a cohort's scores and genes to each other, as the hypotheses need it.

Output: Effects rows (`cytostrat.tables.EFFECTS`), for every scoring method

============ =========== ====================================================================
question     scale       meaning
============ =========== ====================================================================
association  partial_rho rank correlation of the signature with the endpoint (a gene or another
                         score), given the adjustment
stage_trend  partial_rho rank correlation of the signature with stage, positive nodes or
                         tumour size
infiltration r2          share of the score's variance that cell-marker scores explain, adjusted
                         for their number
nested       partial_rho product-moment correlation of the IL1 score with HER2 status or stage,
                         given the covariates and the TNF score, both without the genes that
                         they have in common: what IL1 adds to TNF; p is that of the F test of
                         the nested models
============ =========== ====================================================================

Rules

* Where both sides are gene sets, or a covariate is one, the signature is scored again without
  the genes it shares with them, so that no gene is related to itself; these rows carry the
  gene filter `WITHOUT_SHARED`.
* ``myeloid`` and ``lymphoid`` are the means of the standardised scores of all usable cell-marker
  sets of that axis. ``purity`` is the cohort's own column; where it isn't recorded its row has a
  note and no number, and ``lymphoid`` beside ``myeloid`` is the adjustment that every cohort
  can make.
* Samples without a variable are left out. A row rests on at least `MIN_SAMPLES` samples.
* ``null_p`` compares with random sets where they are given, in the first adjustment of a
  relation, the one to judge by. The sets are matched to the signature as it was scored: they
  hold none of the genes of the endpoint and the covariates.

References
----------
Olkin & Finn 1995, doi:10.1037/0033-2909.118.1.155 (standard error of R2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from cytostrat import tables
from cytostrat.errors import EstimationError
from cytostrat.signature_scores import wide_scores
from cytostrat.signatures import Signature, without
from cytostrat.stats import Estimates, notes, power
from cytostrat.stats.design import covariate_design
from cytostrat.stats.effect_table import Estimated, NullScores, effect_frame, with_null_p
from cytostrat.stats.estimates import bounded_p
from cytostrat.stats.linear import PERFECT_NOTE, nested_test, partial_correlation
from cytostrat.stats.score_columns import score_columns, signature_notes

ALL_GENES = "all genes"
WITHOUT_SHARED = "without shared genes"
EXPRESSION = "expression"
NUMBERS = ("estimate", "se", "low", "high", "p")
MIN_SAMPLES = 20
RESIDUAL_FREEDOM = 10

TNF = "HALLMARK_TNFA_SIGNALING_VIA_NFKB"
PROLIFERATION = "VENET2011_META_PCNA"
EMT = "HALLMARK_EPITHELIAL_MESENCHYMAL_TRANSITION"
CYTOLYTIC = "ROONEY2015_CYTOLYTIC"
T_CELLS = "DANAHER2017_T_CELLS"

STIMULATORS = ("TGFB", "IL11", "IL2")
INHIBITORS = ("IL12", "IL18", "IFN-I", "IFN-II")
CLINICAL_TRENDS = ("stage", "nodes", "tumour_size")


@dataclass(frozen=True)
class Relation:
    """One endpoint and the signatures and genes that are related to it.

    Parameters
    ----------
    question, endpoint
        As they stand in the Effects table.
    signatures
        Names of signatures on the other side.
    genes
        Single genes on the other side, rows of method `EXPRESSION`.
    adjustments
        Sets of covariates; each is a row. The first is the one to judge by.
    partner
        The signature that is the endpoint, empty where a gene or a clinical column is.
    """

    question: str
    endpoint: str
    signatures: tuple[str, ...]
    adjustments: tuple[tuple[str, ...], ...]
    genes: tuple[str, ...] = ()
    partner: str = ""


@dataclass(frozen=True)
class _Cohort:
    """What every row of one cohort shares; all arrays have the rows of `clinical`."""

    name: str
    clinical: pd.DataFrame
    matrix: np.ndarray
    column: Mapping[str, int]
    measured: frozenset[str]
    signatures: Mapping[str, Signature]
    scores: pd.DataFrame
    signature_notes: Mapping[str, str]
    crude_note: str
    rescored: dict[tuple[str, frozenset[str], str], np.ndarray] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        return sorted(self.scores.columns.get_level_values("method").unique())

    def gene(self, name: str) -> np.ndarray:
        if name not in self.column:
            return np.full(len(self.clinical), np.nan)
        return np.asarray(self.matrix[:, self.column[name]], dtype=float).ravel()

    def score(self, name: str, method: str) -> np.ndarray:
        if (name, method) not in self.scores.columns:
            return np.full(len(self.clinical), np.nan)
        return self.scores[(name, method)].to_numpy()

    def shared(self, name: str, genes: frozenset[str]) -> frozenset[str]:
        """Return the measured genes of a signature that are among the given ones."""
        return self.measured.intersection(self.signatures[name].genes) & genes

    def without(self, name: str, genes: frozenset[str], method: str) -> tuple[np.ndarray, str]:
        """Return a signature's score without the given genes, and a note on how many."""
        shared = self.shared(name, genes)
        if not shared:
            return self.score(name, method), ""
        note = f"{len(shared)} shared genes left out of the signature"
        return self.rescored[(name, shared, method)], note

    def genes_of(self, names: Iterable[str]) -> set[str]:
        known = [self.signatures[name] for name in names if name in self.signatures]
        return {gene for found in known for gene in found.genes}

    def usable(self, axis: str) -> list[str]:
        """Names of the cell-marker sets of an axis that the cohort measures well enough."""
        return [
            name
            for name, found in self.signatures.items()
            if found.role == "celltype" and found.axis == axis and name not in self.signature_notes
        ]


def association_effects(
    clinical: pd.DataFrame,
    scores: pd.DataFrame,
    matrix: np.ndarray,
    genes: Sequence[str],
    coverage: pd.DataFrame,
    signatures: Mapping[str, Signature],
    *,
    cohort: str,
    sampling: Mapping[str, object] | None = None,
    null_scores: NullScores | None = None,
    threads: int = 1,
) -> pd.DataFrame:
    """Return the Effects rows of associations, trends, infiltration and nested models.

    Parameters
    ----------
    clinical
        Canonical clinical columns, index sample.
    scores
        Scores rows of this cohort (bulk).
    matrix
        Samples x genes on the log2 scale, rows as in `clinical`.
    genes
        Approved symbols of its columns.
    coverage
        Coverage rows of this cohort.
    signatures
        Name to signature.
    cohort
        Name of the cohort.
    sampling
        ``sampling`` of the provenance; crude effects that it shapes say so.
    null_scores
        (signature, method, genes that neither the signature nor its sets may hold) to samples x
        random sets in the row order of `clinical`; asked once for each of these.
    threads
        Threads for scoring.

    Returns
    -------
    pandas.DataFrame
        Conforms to `cytostrat.tables.EFFECTS`.

    Raises
    ------
    EstimationError
        The scores are of samples that the clinical frame does not hold, or the matrix has
        another number of rows.
    """
    if matrix.shape[0] != len(clinical):
        raise EstimationError(
            f"The matrix has {matrix.shape[0]} rows and the clinical frame {len(clinical)}; "
            "give both of the same cohort file."
        )
    shared = _Cohort(
        name=cohort,
        clinical=clinical,
        matrix=matrix,
        column={gene: number for number, gene in enumerate(genes)},
        measured=frozenset(genes),
        signatures=signatures,
        scores=score_columns(scores, clinical.index, signatures),
        signature_notes=signature_notes(coverage),
        crude_note=notes.sampling_note(sampling),
    )
    _score_again(shared, threads)
    results = [
        found for relation in relations(signatures) for found in _correlate(shared, relation)
    ]
    results.extend(_infiltration(shared))
    results.extend(_nested(shared))
    return tables.EFFECTS.concat(with_null_p(results, null_scores))


def _of_axes(signatures: Mapping[str, Signature], axes: Iterable[str]) -> tuple[str, ...]:
    wanted = set(axes)
    return tuple(
        name
        for name, found in signatures.items()
        if found.axis in wanted and found.role in ("primary", "secondary")
    )


def judged(signatures: Mapping[str, Signature]) -> dict[str, Signature]:
    """Return the signatures that need random sets: primary ones, or all of an axis without any.

    Verdicts on IL-11, IL-12, IL-18 and TGF-beta have secondary sets to rest on, or none.
    """
    primary = {found.axis for found in signatures.values() if found.role == "primary"}
    related = {name for relation in relations(signatures) for name in relation.signatures}
    return {
        name: found
        for name, found in signatures.items()
        if name in related and (found.role == "primary" or found.axis not in primary)
    }


def relations(signatures: Mapping[str, Signature]) -> list[Relation]:
    """Return what is related to what, the same in every cohort.

    * TGF-beta with the gene IL1B, given myeloid cells and purity (priming of myeloid cells);
    * stimulating and inhibiting cytokines with proliferation and EMT, given ER and purity;
    * IL-2 with cytolytic activity, given ER and T cells (activity beyond the number of T cells);
    * the main axes and the gene IL1B with stage, positive nodes and tumour size.
    """
    infiltrate = ("myeloid", "lymphoid")
    cytokines = _of_axes(signatures, (*STIMULATORS, *INHIBITORS))
    primary = tuple(name for name, found in signatures.items() if found.role == "primary")
    return [
        Relation(
            "association", "IL1B", _of_axes(signatures, ["TGFB"]),
            (infiltrate, ("myeloid", "purity"), ()), genes=("TGFB1",),
        ),
        *(
            Relation(
                "association", endpoint, cytokines,
                (("er", *infiltrate), ("er", "purity"), ()),
                genes=("TGFB1", "IL11", "IL12A", "IL12B", "IL18", "IFNG"), partner=partner,
            )
            for endpoint, partner in (("proliferation", PROLIFERATION), ("emt", EMT))
        ),
        Relation(
            "association", "cytolytic", _of_axes(signatures, ["IL2"]),
            (("er", "t_cells"), ()), genes=("IL2",), partner=CYTOLYTIC,
        ),
        *(
            Relation("stage_trend", endpoint, primary, (("er", "age"), ()), genes=("IL1B",))
            for endpoint in CLINICAL_TRENDS
        ),
    ]  # fmt: skip


def _score_again(cohort: _Cohort, threads: int) -> None:
    """Score every signature that shares genes with the other side without them, all at once."""
    wanted = {
        (name, cohort.shared(name, _genes_across(cohort, relation, covariates)))
        for relation in relations(cohort.signatures)
        for covariates in relation.adjustments
        for name in relation.signatures
    }
    wanted |= {
        (name, cohort.shared(name, frozenset(cohort.genes_of(markers))))
        for markers in _marker_sets(cohort).values()
        for name in _explained_signatures(cohort)
    }
    for name in _primary_il1(cohort):
        common = _common_with_tnf(cohort, name)
        wanted |= {(name, common)} | ({(TNF, common)} if common else set())
    left = {}
    for name, shared in sorted(wanted, key=lambda pair: (pair[0], sorted(pair[1]))):
        rest = cohort.measured.intersection(cohort.signatures[name].genes) - shared
        if shared and rest:
            left[(name, shared)] = without(cohort.signatures[name], shared)
        for method in cohort.methods if shared else ():
            cohort.rescored[(name, shared, method)] = np.full(len(cohort.clinical), np.nan)
    numbered = {str(number): signature for number, signature in enumerate(left.values())}
    for method in cohort.methods if left else ():
        scored = wide_scores(
            cohort.matrix, list(cohort.column), numbered, method=method, threads=threads
        )
        for number, (name, shared) in zip(numbered, left, strict=True):
            cohort.rescored[(name, shared, method)] = scored[number].to_numpy()


def _correlate(cohort: _Cohort, relation: Relation) -> Iterator[Estimated]:
    for method in cohort.methods:
        for covariates in relation.adjustments:
            frame = _covariates(cohort, covariates, method)
            gone = _genes_across(cohort, relation, covariates)
            for name in relation.signatures:
                x, shared = cohort.without(name, gone, method)
                yield _correlation_row(
                    cohort, relation, name, method, covariates, frame, x, shared, gone
                )
    first = cohort.methods[0] if cohort.methods else ""
    for covariates in relation.adjustments:
        frame = _covariates(cohort, covariates, first)
        for name in relation.genes:
            own = "" if name in cohort.column else f"gene {name} is not measured"
            yield _correlation_row(
                cohort, relation, name, EXPRESSION, covariates, frame, cohort.gene(name), own,
                frozenset(),
            )  # fmt: skip


def _genes_across(cohort: _Cohort, relation: Relation, covariates: Sequence[str]) -> frozenset[str]:
    """Return the genes that stand for the endpoint or for a covariate."""
    sets = {name for covariate in covariates for name in _members(cohort, covariate)}
    genes = {relation.endpoint, *cohort.genes_of([*sets, relation.partner])}
    return frozenset(genes)


def _members(cohort: _Cohort, covariate: str) -> list[str]:
    """Return the signatures that a covariate is the mean of; none for a clinical column."""
    if covariate in ("myeloid", "lymphoid"):
        return cohort.usable(covariate)
    return {"t_cells": [T_CELLS], "tnf": [TNF]}.get(covariate, [])


def _covariates(cohort: _Cohort, covariates: Sequence[str], method: str) -> pd.DataFrame:
    """Return the covariates as columns; one that the cohort doesn't have is absent."""
    frame = pd.DataFrame(index=cohort.clinical.index)
    for name in covariates:
        members = _members(cohort, name)
        if members:
            frame[name] = _mean_z([cohort.score(member, method) for member in members])
        elif name in cohort.clinical:
            frame[name] = cohort.clinical[name]
    return frame


def _spread(column: np.ndarray) -> float:
    known = column[np.isfinite(column)]
    return float(known.std()) if known.size else 0.0


def _mean_z(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of the standardised columns; a column that doesn't vary says nothing."""
    varying = [column for column in columns if _spread(column) > 0]
    if not varying:
        return np.full(len(columns[0]), np.nan)
    return np.mean([(column - np.nanmean(column)) / _spread(column) for column in varying], axis=0)


def _endpoint(cohort: _Cohort, relation: Relation, method: str) -> tuple[np.ndarray, str]:
    """Return the values of the endpoint, and why there are none."""
    if relation.partner:
        own = method if method in cohort.methods else next(iter(cohort.methods), "")
        values = cohort.score(relation.partner, own)
        why = f"the score {relation.partner} is missing"
        if cohort.signature_notes.get(relation.partner):
            return np.full(len(values), np.nan), f"{relation.partner}: too few genes are measured"
    elif relation.question == "stage_trend":
        values, why = (
            _ordinal(cohort.clinical, relation.endpoint),
            (f"{relation.endpoint} is not recorded"),
        )
    else:
        values, why = cohort.gene(relation.endpoint), f"gene {relation.endpoint} is not measured"
    return values, "" if np.isfinite(values).any() else why


def _ordinal(clinical: pd.DataFrame, name: str) -> np.ndarray:
    if name not in clinical:
        return np.full(len(clinical), np.nan)
    return pd.to_numeric(clinical[name], errors="coerce").to_numpy(dtype=float)


def _correlation_row(
    cohort: _Cohort,
    relation: Relation,
    name: str,
    method: str,
    covariates: tuple[str, ...],
    frame: pd.DataFrame,
    x: np.ndarray,
    note: str,
    gone: frozenset[str],
) -> Estimated:
    y, why = _endpoint(cohort, relation, method)
    clinical_side = relation.question == "stage_trend" or method == EXPRESSION
    labels = {
        "question": relation.question, "endpoint": relation.endpoint, "signature": name,
        "method": method, "adjustment": "+".join(covariates) or "none", "scale": "partial_rho",
        "contrast": "trend" if relation.question == "stage_trend" else "correlation",
        "gene_filter": ALL_GENES if clinical_side else WITHOUT_SHARED,
    }  # fmt: skip

    def correlation(values: np.ndarray, rows: np.ndarray, design: np.ndarray | None):
        return partial_correlation(values[rows], y[rows], design)

    return _estimate(
        cohort, labels, x, y, frame, covariates, correlation, notes.join(why, note),
        forbidden=gone if covariates == relation.adjustments[0] else None,
    )  # fmt: skip


def _estimate(
    cohort: _Cohort,
    labels: Mapping[str, str],
    x: np.ndarray,
    y: np.ndarray,
    frame: pd.DataFrame,
    covariates: Sequence[str],
    correlation: Callable[..., Estimates],
    note: str,
    *,
    forbidden: frozenset[str] | None,
) -> Estimated:
    """Return one row: the correlation on the samples that have every variable.

    `forbidden` are the genes that random sets may not hold; None where no null is wanted.
    """

    def nothing(n: int, *why: str | Sequence[str]) -> Estimated:
        return Estimated(_row(cohort, labels, n=n, note=notes.join(*why, note)))

    known = np.isfinite(x) & np.isfinite(y)
    if not np.isfinite(x).any() and not note:
        note = "no sample has a score"
    if not known.any():
        text = f"not estimated: {note or 'no sample has both'}"
        return Estimated(_row(cohort, labels, n=0, note=text))
    if known.sum() < MIN_SAMPLES:
        have = int(known.sum())
        return nothing(have, f"not estimated: {have} samples have both, {MIN_SAMPLES} are needed")
    matrix, clauses = None, ()
    if covariates:
        try:
            design = covariate_design(frame.loc[known], covariates)
        except EstimationError as error:
            return nothing(0, f"not estimated: {error}")
        known = known.copy()
        known[np.flatnonzero(known)[~design.complete]] = False
        matrix, clauses = design.matrix if design.terms else None, design.notes
    n, terms = int(known.sum()), 0 if matrix is None else matrix.shape[1]
    if n < MIN_SAMPLES or n - terms - 2 < RESIDUAL_FREEDOM:
        return nothing(n, f"not estimated: {n} samples for {terms} covariates", clauses)
    try:
        found = correlation(x, known, matrix)
    except EstimationError as error:
        return nothing(n, f"not estimated: {error}", clauses)
    own = ""
    if not np.isfinite(found.estimate[0]):
        own = "a variable doesn't vary beyond the covariates"
    elif not np.isfinite(found.se[0]):
        own = PERFECT_NOTE
    row = _row(
        cohort, labels, n=n, power_limit=power.detectable_correlation(n, n_covariates=terms),
        note=notes.join(own, clauses, note), **{name: getattr(found, name)[0] for name in NUMBERS},
    )  # fmt: skip
    if forbidden is None or labels["method"] == EXPRESSION:
        return Estimated(row)
    return Estimated(
        row,
        lambda sets: correlation(sets, known, matrix).estimate,
        forbidden={labels["signature"]: cohort.measured & forbidden},
    )


def _explained_signatures(cohort: _Cohort) -> list[str]:
    return [
        name
        for name, found in cohort.signatures.items()
        if found.role == "primary" or (found.axis == "IL1" and found.role == "secondary")
    ]


def _marker_sets(cohort: _Cohort) -> dict[str, list[str]]:
    myeloid, lymphoid = cohort.usable("myeloid"), cohort.usable("lymphoid")
    return {"myeloid": myeloid, "lymphoid": lymphoid, "myeloid+lymphoid": [*myeloid, *lymphoid]}


def _infiltration(cohort: _Cohort) -> Iterator[Estimated]:
    """Yield how much of each primary and IL1 score cell-marker scores explain."""
    for method in cohort.methods:
        for endpoint, markers in _marker_sets(cohort).items():
            gone = frozenset(cohort.genes_of(markers))
            for name in _explained_signatures(cohort):
                x, note = cohort.without(name, gone, method)
                labels = {
                    "question": "infiltration", "endpoint": endpoint, "signature": name,
                    "method": method, "adjustment": "none", "scale": "r2",
                    "contrast": "variance explained", "gene_filter": WITHOUT_SHARED,
                }  # fmt: skip
                yield Estimated(_explained(cohort, labels, x, markers, method, note))


def _explained(
    cohort: _Cohort,
    labels: Mapping[str, str],
    x: np.ndarray,
    markers: Sequence[str],
    method: str,
    note: str,
) -> pd.DataFrame:
    columns = [cohort.score(name, method) for name in markers]
    columns = [column for column in columns if _spread(column) > 0]
    if not columns:
        return _row(cohort, labels, n=0, note="not estimated: no cell-marker set is usable")
    z = np.column_stack(columns)
    known = np.isfinite(x) & np.isfinite(z).all(axis=1)
    n, k = int(known.sum()), z.shape[1]
    if n < MIN_SAMPLES or n - k - 1 < RESIDUAL_FREEDOM or np.std(x[known]) == 0:
        text = f"not estimated: {n} samples for {k} cell-marker sets"
        return _row(cohort, labels, n=n, note=notes.join(text, note))
    try:
        test = nested_test(x[known], None, z[known])
    except EstimationError as error:
        return _row(cohort, labels, n=n, note=notes.join(f"not estimated: {error}", note))
    r2 = float(test.r2_gain[0])
    adjusted, se = adjusted_r2(r2, n=n, terms=k)
    half = stats.norm.ppf(0.975) * se
    return _row(
        cohort, labels, n=n, estimate=adjusted, se=se, low=max(adjusted - half, 0.0),
        high=min(adjusted + half, 1.0), p=float(test.p[0]),
        note=notes.join(f"{k} cell-marker sets", note),
    )  # fmt: skip


def adjusted_r2(r2: float, *, n: int, terms: int) -> tuple[float, float]:
    """Return R2 adjusted for the number of terms, and its standard error.

    ``1 - (1 - R2) (n - 1) / (n - k - 1)``, not below 0, and the large-sample error
    ``sqrt(4 R2 (1 - R2)^2 (n - k - 1)^2 / ((n^2 - 1) (n + 3)))`` of Olkin & Finn 1995 at that
    value.
    """
    adjusted = max(1 - (1 - r2) * (n - 1) / (n - terms - 1), 0.0)
    variance = 4 * adjusted * (1 - adjusted) ** 2 * (n - terms - 1) ** 2 / ((n**2 - 1) * (n + 3))
    return adjusted, float(np.sqrt(variance))


def _primary_il1(cohort: _Cohort) -> list[str]:
    return [
        name
        for name, found in cohort.signatures.items()
        if found.axis == "IL1" and found.role == "primary"
    ]


def _common_with_tnf(cohort: _Cohort, name: str) -> frozenset[str]:
    """Return the measured genes that a signature shares with that of TNF."""
    return cohort.shared(name, frozenset(cohort.genes_of([TNF])))


def _nested(cohort: _Cohort) -> Iterator[Estimated]:
    """Yield what each primary IL1 score adds to the TNF score, the genes of both left out."""
    her2 = cohort.clinical.get("her2", pd.Series(None, index=cohort.clinical.index, dtype=object))
    outcomes = {
        "her2": her2.map({"positive": 1.0, "negative": 0.0}).to_numpy(dtype=float),
        "stage": _ordinal(cohort.clinical, "stage"),
    }
    covariates = ("er", "age", "tnf")
    tnf_genes = frozenset(cohort.genes_of([TNF]))
    for method in cohort.methods:
        frame = _covariates(cohort, covariates, method)
        for name in _primary_il1(cohort):
            common = _common_with_tnf(cohort, name)
            x, _ = cohort.without(name, common, method)
            note = ""
            if common:
                frame = frame.assign(tnf=cohort.without(TNF, common, method)[0])
                note = f"{len(common)} shared genes left out of the signature and of TNF"
            for endpoint, y in outcomes.items():

                def correlation(
                    values: np.ndarray,
                    rows: np.ndarray,
                    design: np.ndarray | None,
                    y: np.ndarray = y,
                ):
                    return partial_correlation(values[rows], y[rows], design, method="pearson")

                why = "" if np.isfinite(y).any() else f"{endpoint} is not recorded"
                labels = {
                    "question": "nested", "endpoint": endpoint, "signature": name,
                    "method": method, "adjustment": "+".join(covariates),
                    "scale": "partial_rho", "contrast": "added to tnf",
                    "gene_filter": WITHOUT_SHARED,
                }  # fmt: skip
                yield _estimate(
                    cohort, labels, x, y, frame, covariates, correlation,
                    notes.join(why, note), forbidden=tnf_genes,
                )  # fmt: skip


def _row(
    cohort: _Cohort, labels: Mapping[str, str], *, n: int, note: str, **numbers: float
) -> pd.DataFrame:
    """Return one Effects row; `labels` are its texts, `numbers` those of `effect_frame`."""
    power_limit = numbers.pop("power_limit", np.nan)
    found = {name: np.array([numbers.get(name, np.nan)]) for name in NUMBERS}
    found["p"] = bounded_p(found["p"])
    texts = dict(labels)
    key = pd.MultiIndex.from_tuples([(texts.pop("signature"), texts.pop("method"))])
    crude = labels["adjustment"] == "none" and labels["question"] != "infiltration"
    return effect_frame(
        key, Estimates(**found, n=n), cohort=cohort.name, **texts, power_limit=power_limit,
        note=note, shared_note=cohort.crude_note if crude else "",
        signature_notes=cohort.signature_notes,
    )  # fmt: skip
