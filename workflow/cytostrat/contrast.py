"""Contrast a cohort's scores between HER2, ER and other groups, crude and adjusted.

Output: Effects rows (`cytostrat.tables.EFFECTS`), for every signature and method

========== ==================================================================================
scale      meaning
========== ==================================================================================
hedges_g   difference of two groups over the pooled within-group SD, corrected for small
           samples; interval from the noncentral t distribution; p by Mann-Whitney
auc        probability that a case scores above a control; interval by DeLong; the same p
adjusted_g coefficient of the group in OLS with covariates, over the crude pooled within-group
           SD; HC3 interval and p
mean_z     mean of the score, standardised over the cohort, in one ER x HER2 cell; no test
========== ==================================================================================

Samples without the group, the score or (adjusted rows) a covariate are left out; n counts the
samples used. ``power_limit`` is the smallest effect, in the row's own scale, that a two-sided
test at 0.05 would have found with 80 % power at this n. What cannot be estimated is a row with
a note and no number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats as distributions

from cytostrat import tables
from cytostrat.errors import EstimationError
from cytostrat.signatures import Signature
from cytostrat.stats import Estimates, notes, power
from cytostrat.stats.design import Design, covariate_design
from cytostrat.stats.effect_size import hedges_g
from cytostrat.stats.estimates import SMALLEST_P, UNDERFLOW_NOTE
from cytostrat.stats.linear import adjusted_difference, adjusted_estimate, group_r2
from cytostrat.stats.permutation import empirical_p
from cytostrat.stats.rank import SEPARATION_NOTE, auc

PRIMARY = "primary"
ALL_GENES = "all genes"
CELLS = {
    "er+/her2+": ("positive", "positive"),
    "er+/her2-": ("positive", "negative"),
    "er-/her2+": ("negative", "positive"),
    "er-/her2-": ("negative", "negative"),
}
RESIDUAL_FREEDOM = 10

NullScores = Callable[[str, str], np.ndarray | None]


@dataclass(frozen=True)
class Adjustment:
    """Covariates of one adjusted row.

    Parameters
    ----------
    covariates
        Columns of the clinical frame or of the covariate scores.
    name
        As it stands in the Effects table.
    """

    covariates: tuple[str, ...]
    name: str

    @classmethod
    def of(cls, covariates: Sequence[str], *, mediator: bool = False) -> Adjustment:
        """Return the adjustment named by its covariates, ``er+age``."""
        name = "+".join(covariates) + (" (mediator)" if mediator else "")
        return cls(tuple(covariates), name)


@dataclass(frozen=True)
class Comparison:
    """Two groups of samples under one question.

    Parameters
    ----------
    question, stratum, contrast, her2_rule, gene_filter
        As they stand in the Effects table.
    case
        Per sample 1.0 (first group), 0.0 (second group) or NaN (in neither).
    adjustments
        The adjusted rows beside the crude ones.
    names
        What the two groups are called in notes.
    note
        Said on every row.
    """

    question: str
    stratum: str
    contrast: str
    case: pd.Series
    adjustments: tuple[Adjustment, ...] = ()
    names: tuple[str, str] = ("positive", "negative")
    her2_rule: str = PRIMARY
    gene_filter: str = ALL_GENES
    note: str = ""


@dataclass(frozen=True)
class _Cohort:
    """What every row of one cohort shares."""

    name: str
    clinical: pd.DataFrame
    values: pd.DataFrame
    signature_notes: Mapping[str, str]
    min_group: int
    crude_note: str
    null_scores: NullScores | None = field(default=None)


def contrast_effects(
    clinical: pd.DataFrame,
    scores: pd.DataFrame,
    coverage: pd.DataFrame,
    signatures: Mapping[str, Signature],
    *,
    cohort: str,
    sampling: Mapping[str, object] | None = None,
    adjustment: Sequence[str] = ("er", "age"),
    min_group: int = 5,
) -> pd.DataFrame:
    """Return the Effects rows of HER2, ER and their four cells.

    Parameters
    ----------
    clinical
        Canonical clinical columns, index sample.
    scores
        Scores rows of this cohort (bulk: `cell_type` empty).
    coverage
        Coverage rows of this cohort.
    signatures
        The signatures to contrast; one without scores keeps its rows, with a note.
    cohort
        Name of the cohort.
    sampling
        ``design`` and ``on`` of the provenance; crude effects of a case-control design say so.
    adjustment
        Covariates of the primary adjusted row, the same in every cohort. Inside ER strata er
        is not a covariate, and in the question ``er`` her2 takes its place.
    min_group
        Fewest samples in the smaller group for an estimate.

    Returns
    -------
    pandas.DataFrame
        Conforms to `cytostrat.tables.EFFECTS`.

    Raises
    ------
    EstimationError
        The scores are of samples that the clinical frame does not hold.
    """
    shared = _cohort(
        clinical, scores, coverage, signatures,
        cohort=cohort, sampling=sampling, min_group=min_group,
    )  # fmt: skip
    primary = Adjustment.of(adjustment)
    frames = [
        row
        for comparison in (
            *her2_comparisons(clinical, primary=primary),
            *er_comparisons(clinical, primary=primary),
        )
        for row in _compare(shared, comparison)
    ]
    frames.extend(_cells(shared))
    return tables.EFFECTS.concat(frames)


def binary(column: pd.Series) -> pd.Series:
    """Return 1.0 for positive, 0.0 for negative, NaN for equivocal and missing."""
    return column.map({"positive": 1.0, "negative": 0.0}).astype(float)


def _column(clinical: pd.DataFrame, name: str) -> pd.Series:
    if name in clinical.columns:
        return clinical[name].astype(object)
    return pd.Series(None, index=clinical.index, dtype=object)


def _without(adjustment: Adjustment, *dropped: str) -> tuple[Adjustment, ...]:
    left = tuple(name for name in adjustment.covariates if name not in dropped)
    return (Adjustment.of(left),) if left else ()


def her2_comparisons(
    clinical: pd.DataFrame, *, primary: Adjustment, case: pd.Series | None = None
) -> list[Comparison]:
    """Return HER2 positive against negative: all samples, ER-positive, ER-negative."""
    her2 = binary(_column(clinical, "her2")) if case is None else case
    er = _column(clinical, "er")
    out = [Comparison("her2", "all", "positive - negative", her2, (primary,))]
    for status in ("positive", "negative"):
        inside = her2.where(er == status)
        out.append(
            Comparison(
                "her2", f"er_{status}", "positive - negative", inside, _without(primary, "er")
            )
        )
    return out


def er_comparisons(clinical: pd.DataFrame, *, primary: Adjustment) -> list[Comparison]:
    """Return ER positive against negative: all samples, HER2-positive, HER2-negative."""
    er = binary(_column(clinical, "er"))
    her2 = _column(clinical, "her2")
    others = [name for name in primary.covariates if name not in ("er", "her2")]
    out = [Comparison("er", "all", "positive - negative", er, (Adjustment.of(["her2", *others]),))]
    for status in ("positive", "negative"):
        inside = er.where(her2 == status)
        out.append(
            Comparison(
                "er", f"her2_{status}", "positive - negative", inside,
                _without(primary, "er", "her2"),
            )
        )  # fmt: skip
    return out


def _cohort(
    clinical: pd.DataFrame,
    scores: pd.DataFrame,
    coverage: pd.DataFrame,
    signatures: Mapping[str, Signature],
    *,
    cohort: str,
    sampling: Mapping[str, object] | None,
    min_group: int,
    null_scores: NullScores | None = None,
) -> _Cohort:
    design = (sampling or {}).get("design")
    return _Cohort(
        name=cohort,
        clinical=clinical,
        values=wide_scores(scores, clinical.index, signatures),
        signature_notes=_signature_notes(coverage),
        min_group=min_group,
        crude_note=notes.CASE_CONTROL if design == "case_control" else "",
        null_scores=null_scores,
    )


def _signature_notes(coverage: pd.DataFrame) -> dict[str, str]:
    out = {}
    for row in coverage.itertuples():
        if row.n_present == 0:
            out[row.signature] = notes.join("no gene of the set is measured", notes.UNUSABLE)
        elif not row.usable:
            out[row.signature] = notes.UNUSABLE
    return out


def wide_scores(
    scores: pd.DataFrame, samples: pd.Index, signatures: Mapping[str, Signature]
) -> pd.DataFrame:
    """Return scores as samples x (signature, method), NaN where a sample has no score.

    Every named signature gets a column per method of the frame, all NaN where it was not
    scored; signatures that are not named are left out.

    Raises
    ------
    EstimationError
        The scores name samples that are not among `samples`.
    """
    foreign = sorted(set(scores["sample"]) - set(samples))
    if foreign:
        raise EstimationError(
            f"The scores hold {len(foreign)} samples that the clinical frame lacks, "
            f"among them {', '.join(foreign[:5])}; score and contrast the same cohort file."
        )
    methods = sorted(scores["method"].unique())
    columns = pd.MultiIndex.from_product([sorted(signatures), methods])
    wide = scores.pivot(index="sample", columns=["signature", "method"], values="score")
    return wide.reindex(index=samples, columns=columns).astype(float)


def _blocks(values: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rows, columns) masks: columns that are missing in the same samples go together."""
    finite = np.isfinite(values.to_numpy())
    _, pattern = np.unique(finite, axis=1, return_inverse=True)
    for number in range(pattern.max() + 1 if pattern.size else 0):
        columns = pattern.reshape(-1) == number
        yield finite[:, columns][:, 0], columns


def _compare(cohort: _Cohort, comparison: Comparison) -> Iterator[pd.DataFrame]:
    """Yield the crude and adjusted rows of one comparison."""
    member = comparison.case.notna().to_numpy()
    for scored, columns in _blocks(cohort.values):
        rows = member & scored
        keys = cohort.values.columns[columns]
        case = comparison.case.to_numpy()[rows] == 1
        values = cohort.values.to_numpy()[np.ix_(rows, columns)]
        clinical = cohort.clinical.loc[rows]
        yield from _crude(cohort, comparison, keys, values, case, rows)
        for adjustment in comparison.adjustments:
            yield _adjusted(cohort, comparison, adjustment, keys, values, case, clinical, rows)


def _too_small(cohort: _Cohort, comparison: Comparison, case: np.ndarray, scored: bool) -> str:
    if not scored:
        return "no sample has a score"
    counts = (int(case.sum()), int((~case).sum()))
    for name, count in zip(comparison.names, counts, strict=True):
        if count < max(cohort.min_group, 2):
            return (
                f"not estimated: {count} samples are {name}, "
                f"at least {max(cohort.min_group, 2)} are needed"
            )
    return ""


def _crude(
    cohort: _Cohort,
    comparison: Comparison,
    keys: pd.MultiIndex,
    values: np.ndarray,
    case: np.ndarray,
    rows: np.ndarray,
) -> Iterator[pd.DataFrame]:
    small = _too_small(cohort, comparison, case, bool(cohort.values[keys].notna().any(axis=None)))
    n1, n0 = int(case.sum()), int((~case).sum())
    if small:
        empty = _nothing(len(keys), case)
        for scale in ("hedges_g", "auc"):
            yield _rows(cohort, comparison, keys, empty, scale, note=small)
        return
    g, area = hedges_g(values, case), auc(values, case)
    flat = np.where(np.isnan(g.estimate), "the score does not vary inside the groups", "")
    yield _rows(
        cohort, comparison, keys, g, "hedges_g",
        p=np.where(np.isnan(g.estimate), np.nan, area.p), note=flat,
        power_limit=power.detectable_g(n1, n0),
        null_p=_null_p(
            cohort, keys, g.estimate, rows, lambda null: hedges_g(null, case).estimate
        ),
    )  # fmt: skip
    separated = np.where(np.isin(area.estimate, (0.0, 1.0)), SEPARATION_NOTE, "")
    yield _rows(
        cohort, comparison, keys, area, "auc", note=separated,
        power_limit=power.detectable_auc(n1, n0),
    )  # fmt: skip


def _adjusted(
    cohort: _Cohort,
    comparison: Comparison,
    adjustment: Adjustment,
    keys: pd.MultiIndex,
    values: np.ndarray,
    case: np.ndarray,
    clinical: pd.DataFrame,
    rows: np.ndarray,
) -> pd.DataFrame:
    def without_number(note: str, used: np.ndarray) -> pd.DataFrame:
        return _rows(
            cohort, comparison, keys, _nothing(len(keys), used), "adjusted_g",
            adjustment=adjustment.name, note=note,
        )  # fmt: skip

    scored = bool(cohort.values[keys].notna().any(axis=None))
    small = _too_small(cohort, comparison, case, scored)
    if small:
        return without_number(small, case)
    try:
        design = covariate_design(clinical, adjustment.covariates)
    except EstimationError as error:
        return without_number(f"not estimated: {error}", case)
    used = case[design.complete]
    small = _too_small(cohort, comparison, used, scored)
    if small:
        return without_number(notes.join(small, design.notes), used)
    if len(used) - design.matrix.shape[1] - 2 < RESIDUAL_FREEDOM:
        text = f"not estimated: fewer than {RESIDUAL_FREEDOM} residual degrees of freedom"
        return without_number(notes.join(text, design.notes), used)
    return _fitted(
        cohort, comparison, adjustment, keys, values[design.complete], used, design, rows
    )


def _fitted(
    cohort: _Cohort,
    comparison: Comparison,
    adjustment: Adjustment,
    keys: pd.MultiIndex,
    values: np.ndarray,
    case: np.ndarray,
    design: Design,
    rows: np.ndarray,
) -> pd.DataFrame:
    covariates = design.matrix if design.matrix.shape[1] else None
    try:
        fitted = adjusted_difference(values, case, covariates)
    except EstimationError:
        return _rows(
            cohort, comparison, keys, _nothing(len(keys), case), "adjusted_g",
            adjustment=adjustment.name,
            note=notes.join("not estimated: the groups follow from the covariates", design.notes),
        )  # fmt: skip
    r2 = 0.0 if covariates is None else group_r2(case, covariates)
    inside = np.flatnonzero(rows)[design.complete]
    return _rows(
        cohort, comparison, keys, fitted, "adjusted_g", adjustment=adjustment.name,
        note=notes.join(design.notes),
        power_limit=power.detectable_g(int(case.sum()), int((~case).sum()), r2=r2),
        null_p=_null_p(
            cohort, keys, fitted.estimate, inside,
            lambda null: adjusted_estimate(null, case, covariates),
        ),
    )  # fmt: skip


def _null_p(
    cohort: _Cohort,
    keys: pd.MultiIndex,
    estimate: np.ndarray,
    rows: np.ndarray,
    estimator: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return the empirical p of each column against the random sets matched to it."""
    out = np.full(len(keys), np.nan)
    if cohort.null_scores is None:
        return out
    for column, (signature, method) in enumerate(keys):
        null = cohort.null_scores(signature, method)
        if null is not None and np.isfinite(estimate[column]):
            out[column] = empirical_p(estimate[column], estimator(null[rows]))
    return out


def _nothing(columns: int, case: np.ndarray) -> Estimates:
    missing = np.full(columns, np.nan)
    return Estimates(
        missing, missing, missing, missing, missing, n=len(case), n_case=int(case.sum())
    )


def _rows(
    cohort: _Cohort,
    comparison: Comparison,
    keys: pd.MultiIndex,
    estimates: Estimates,
    scale: str,
    *,
    adjustment: str = "none",
    p: np.ndarray | None = None,
    power_limit: float = np.nan,
    null_p: np.ndarray | float = np.nan,
    note: str | np.ndarray = "",
) -> pd.DataFrame:
    tested = estimates.p if p is None else p
    own = np.broadcast_to(np.asarray(note, dtype=object), (len(keys),))
    crude = cohort.crude_note if adjustment == "none" else ""
    signatures = keys.get_level_values(0)
    return pd.DataFrame(
        {
            "cohort": cohort.name,
            "question": comparison.question,
            "endpoint": "",
            "stratum": comparison.stratum,
            "signature": signatures,
            "method": keys.get_level_values(1),
            "contrast": comparison.contrast,
            "her2_rule": comparison.her2_rule,
            "gene_filter": comparison.gene_filter,
            "adjustment": adjustment,
            "n": estimates.n,
            "n_case": estimates.n_case,
            "events": np.nan,
            "estimate": estimates.estimate,
            "scale": scale,
            "se": estimates.se,
            "low": estimates.low,
            "high": estimates.high,
            "p": tested,
            "family": "",
            "q": np.nan,
            "null_p": null_p,
            "power_limit": np.where(np.isnan(estimates.estimate), np.nan, power_limit),
            "note": [
                notes.join(
                    text,
                    UNDERFLOW_NOTE if value == SMALLEST_P else "",
                    comparison.note,
                    crude,
                    cohort.signature_notes.get(signature, ""),
                )
                for text, value, signature in zip(own, tested, signatures, strict=True)
            ],
        }
    )


def _cells(cohort: _Cohort) -> Iterator[pd.DataFrame]:
    """Yield the mean standardised score of each ER x HER2 cell."""
    values = cohort.values
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = values.std(ddof=1)
        z = (values - values.mean()) / sd.where(sd > 0)
    er, her2 = _column(cohort.clinical, "er"), _column(cohort.clinical, "her2")
    for stratum, (er_status, her2_status) in CELLS.items():
        inside = ((er == er_status) & (her2 == her2_status)).to_numpy()
        comparison = Comparison("er_her2_cells", stratum, "mean", pd.Series(dtype=float))
        for scored, columns in _blocks(values):
            cell = z.to_numpy()[np.ix_(inside & scored, columns)]
            n = len(cell)
            keys = values.columns[columns]
            if n < 2:
                text = f"not estimated: {n} samples in the cell, at least 2 are needed"
                estimates = _nothing(len(keys), np.zeros(n, dtype=bool))
            else:
                text = "" if n >= cohort.min_group else f"only {n} samples in the cell"
                mean, se = cell.mean(axis=0), cell.std(axis=0, ddof=1) / np.sqrt(n)
                half = distributions.t.isf(0.025, n - 1) * se
                untested = np.full(len(keys), np.nan)
                estimates = Estimates(mean, se, mean - half, mean + half, untested, n=n)
            yield _rows(cohort, comparison, keys, estimates, "mean_z", note=text)
