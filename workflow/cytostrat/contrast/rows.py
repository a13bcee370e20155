"""From groups of samples to Effects rows: the one way every contrast takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from cytostrat.errors import EstimationError
from cytostrat.stats import Estimates, notes, power
from cytostrat.stats.design import covariate_design
from cytostrat.stats.effect_size import g_estimate, group_sds, hedges_g
from cytostrat.stats.effect_table import ALL_GENES, PRIMARY, Estimated, effect_frame
from cytostrat.stats.linear import adjusted_difference, adjusted_estimate, group_r2
from cytostrat.stats.rank import SEPARATION_NOTE, auc
from cytostrat.stats.score_columns import blocks_of_equal_gaps
from cytostrat.tables import SAME_PATIENTS

COMPARED = "er+age"
RESIDUAL_FREEDOM = 10
OWN_COVARIATE = "not estimated: the score is the covariate itself"
FLAT = "not estimated: the score does not vary inside the groups"


@dataclass(frozen=True)
class Adjustment:
    """Covariates of one adjusted row.

    Parameters
    ----------
    covariates
        Columns of the clinical frame, or names of covariate signatures.
    name
        As it stands in the Effects table.
    """

    covariates: tuple[str, ...]
    name: str

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the adjustments of the Effects rows that a model makes.

        Beside the adjustment that is pooled stands the crude difference in the same patients.
        """
        return (self.name, SAME_PATIENTS + self.name) if self.name == COMPARED else (self.name,)

    @classmethod
    def of(cls, covariates: Sequence[str], *, mediator: bool = False) -> Adjustment:
        """Return the adjustment named by its covariates, ``er+age``."""
        name = "+".join(covariates) + (" (mediator)" if mediator else "")
        return cls(tuple(covariates), name)

    def without(self, *dropped: str) -> tuple[Adjustment, ...]:
        """Return the adjustment for the other covariates, as none or one element."""
        left = tuple(name for name in self.covariates if name not in dropped)
        return (Adjustment.of(left),) if left else ()


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
    with_auc
        Whether the AUC is wanted beside g.
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
    with_auc: bool = True


@dataclass(frozen=True)
class CohortScores:
    """What every row of one cohort shares.

    Parameters
    ----------
    name
        Name of the cohort.
    clinical
        Canonical clinical columns, index sample.
    values
        Samples x (signature, method), NaN where a sample has no score.
    signature_notes
        Signature to the note that all its rows carry.
    min_group
        Fewest samples in the smaller group.
    crude_note
        Note of all rows without adjustment.
    covariates
        Method to a frame samples x covariate names, made from scores of that method.
    covariate_signatures
        Covariate name to the signature it is the score of; none that the clinic has measured.
    """

    name: str
    clinical: pd.DataFrame
    values: pd.DataFrame
    signature_notes: Mapping[str, str]
    min_group: int = 5
    crude_note: str = ""
    covariates: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    covariate_signatures: Mapping[str, str] = field(default_factory=dict)

    @property
    def fewest(self) -> int:
        """Fewest samples per group for which anything is estimated."""
        return max(self.min_group, 2)

    def frame(self, method: str) -> pd.DataFrame:
        """Return clinical columns and, for covariates that they lack, scores of the method."""
        own = self.covariates.get(method)
        if own is None:
            return self.clinical
        return pd.concat([self.clinical.drop(columns=own.columns, errors="ignore"), own], axis=1)

    def proxies(self, adjustment: Adjustment) -> dict[str, str]:
        """Return the covariates that are scores, with the signature of each."""
        return {
            name: self.covariate_signatures[name]
            for name in adjustment.covariates
            if name in self.covariate_signatures
        }


@dataclass(frozen=True)
class Block:
    """Columns of one method that have scores in the same samples.

    Parameters
    ----------
    method
        Name of the method.
    keys
        (signature, method) of each column.
    scored
        Shape (samples,), True where the columns have a score.
    values
        Shape (samples, columns).
    """

    method: str
    keys: pd.MultiIndex
    scored: np.ndarray
    values: np.ndarray

    def part(self, columns: np.ndarray) -> Block:
        """Return the block of the chosen columns."""
        return Block(self.method, self.keys[columns], self.scored, self.values[:, columns])


def blocks(values: pd.DataFrame) -> Iterator[Block]:
    """Yield the columns method by method, those with scores in the same samples together."""
    for method in values.columns.unique(level=1):
        chosen = values.loc[:, values.columns.get_level_values(1) == method]
        numbers = chosen.to_numpy()
        for scored, columns in blocks_of_equal_gaps(chosen):
            yield Block(method, chosen.columns[columns], scored, numbers[:, columns])


def compare(cohort: CohortScores, comparison: Comparison) -> Iterator[Estimated]:
    """Yield the crude and adjusted Effects rows of one comparison."""
    member = comparison.case.notna().to_numpy()
    for block in blocks(cohort.values):
        rows = member & block.scored
        yield from _crude(cohort, comparison, block, rows)
        for adjustment in comparison.adjustments:
            own = block.keys.get_level_values(0).isin(cohort.proxies(adjustment).values())
            if own.any():
                part = block.part(own)
                yield from _empty_adjusted(
                    cohort, comparison, adjustment, part, rows, OWN_COVARIATE
                )
            if not own.all():
                yield from _adjusted(cohort, comparison, adjustment, block.part(~own), rows)


def _case(comparison: Comparison, rows: np.ndarray) -> np.ndarray:
    return comparison.case.to_numpy()[rows] == 1


def _too_small(cohort: CohortScores, comparison: Comparison, block: Block, case: np.ndarray) -> str:
    if not block.scored.any():
        return "not estimated: no sample has a score"
    counts = (int(case.sum()), int((~case).sum()))
    for name, count in zip(comparison.names, counts, strict=True):
        if count < cohort.fewest:
            return f"not estimated: {count} samples are {name}, at least {cohort.fewest} are needed"
    return ""


def _crude(
    cohort: CohortScores, comparison: Comparison, block: Block, rows: np.ndarray
) -> Iterator[Estimated]:
    case, values = _case(comparison, rows), block.values[rows]
    small = _too_small(cohort, comparison, block, case)
    if small:
        empty = Estimates.nothing(len(block.keys), n=len(case), n_case=int(case.sum()))
        for scale in ("hedges_g", "auc") if comparison.with_auc else ("hedges_g",):
            yield Estimated(effect_rows(cohort, comparison, block.keys, empty, scale, note=small))
        return
    n1, n0 = int(case.sum()), int((~case).sum())
    g, area = hedges_g(values, case), auc(values, case)
    tested = replace(g, p=np.where(np.isnan(g.estimate), np.nan, area.p))
    frame = effect_rows(
        cohort, comparison, block.keys, tested, "hedges_g",
        power_limit=power.detectable_g(n1, n0, sds=group_sds(values, case)),
    )  # fmt: skip
    yield Estimated(frame, lambda null: g_estimate(null[rows], case))
    if comparison.with_auc:
        separated = np.where(np.isin(area.estimate, (0.0, 1.0)), SEPARATION_NOTE, "")
        frame = effect_rows(
            cohort, comparison, block.keys, area, "auc", note=separated,
            power_limit=power.detectable_auc(n1, n0),
        )  # fmt: skip
        yield Estimated(frame)


def _empty_adjusted(
    cohort: CohortScores,
    comparison: Comparison,
    adjustment: Adjustment,
    block: Block,
    rows: np.ndarray,
    note: str,
) -> Iterator[Estimated]:
    case = _case(comparison, rows)
    empty = Estimates.nothing(len(block.keys), n=len(case), n_case=int(case.sum()))
    for name in adjustment.rows:
        yield Estimated(
            effect_rows(
                cohort, comparison, block.keys, empty, "adjusted_g", adjustment=name, note=note
            )
        )


def _adjusted(
    cohort: CohortScores,
    comparison: Comparison,
    adjustment: Adjustment,
    block: Block,
    rows: np.ndarray,
) -> Iterator[Estimated]:
    def empty(note: str, used: np.ndarray) -> Iterator[Estimated]:
        return _empty_adjusted(cohort, comparison, adjustment, block, used, note)

    small = _too_small(cohort, comparison, block, _case(comparison, rows))
    if small:
        return (yield from empty(small, rows))
    try:
        design = covariate_design(cohort.frame(block.method)[rows], adjustment.covariates)
    except EstimationError as error:
        return (yield from empty(f"not estimated: {error}", rows))
    used = np.zeros_like(rows)
    used[np.flatnonzero(rows)[design.complete]] = True
    case = _case(comparison, used)
    small = _too_small(cohort, comparison, block, case)
    if small:
        return (yield from empty(notes.join(small, design.notes), used))
    if len(case) - design.matrix.shape[1] - 2 < RESIDUAL_FREEDOM:
        text = f"not estimated: fewer than {RESIDUAL_FREEDOM} residual degrees of freedom"
        return (yield from empty(notes.join(text, design.notes), used))
    covariates = design.matrix if design.matrix.shape[1] else None
    values = block.values[used]
    try:
        fitted = adjusted_difference(values, case, covariates)
    except EstimationError:
        text = "not estimated: the covariates repeat each other or the groups"
        return (yield from empty(notes.join(text, design.notes), used))

    def rows_of(name: str, estimates: Estimates, r2: float) -> pd.DataFrame:
        return effect_rows(
            cohort, comparison, block.keys, estimates, "adjusted_g", adjustment=name,
            note=notes.join(design.notes, _proxy_notes(cohort, adjustment)),
            power_limit=power.detectable_g(
                int(case.sum()), int((~case).sum()), r2=r2, sds=group_sds(values, case)
            ),
        )  # fmt: skip

    model, *crude = adjustment.rows
    r2 = 0.0 if covariates is None else group_r2(case, covariates)
    yield Estimated(
        rows_of(model, fitted, r2), lambda null: adjusted_estimate(null[used], case, covariates)
    )
    for name in crude:
        yield Estimated(rows_of(name, adjusted_difference(values, case, None), 0.0))


def _proxy_notes(cohort: CohortScores, adjustment: Adjustment) -> list[str]:
    return [
        f"covariate {name} is the score of {signature}"
        + (", whose coverage is low" if signature in cohort.signature_notes else "")
        for name, signature in cohort.proxies(adjustment).items()
    ]


def effect_rows(
    cohort: CohortScores,
    comparison: Comparison,
    keys: pd.MultiIndex,
    estimates: Estimates,
    scale: str,
    *,
    endpoint: str = "",
    adjustment: str = "none",
    power_limit: float | np.ndarray = np.nan,
    note: str | np.ndarray = "",
) -> pd.DataFrame:
    """Return the Effects rows of one comparison, with all notes that belong to them."""
    flat = np.isnan(estimates.estimate)
    own = [
        notes.join(FLAT if missing and "not estimated" not in text else "", text)
        for missing, text in zip(flat, np.broadcast_to(note, flat.shape), strict=True)
    ]
    return effect_frame(
        keys, estimates, cohort=cohort.name, question=comparison.question, endpoint=endpoint,
        stratum=comparison.stratum, contrast=comparison.contrast, her2_rule=comparison.her2_rule,
        gene_filter=comparison.gene_filter, adjustment=adjustment, scale=scale,
        power_limit=power_limit, note=own, signature_notes=cohort.signature_notes,
        shared_note=notes.join(
            comparison.note, cohort.crude_note if adjustment.startswith("none") else ""
        ),
    )  # fmt: skip
