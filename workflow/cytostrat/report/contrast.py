"""The HER2 contrast of a signature as a line of the report shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cytostrat.report import facts, wording
from cytostrat.report.facts import ReportInputs


@dataclass(frozen=True)
class Contrast:
    """The HER2 contrast of one signature that a line of the report shows.

    Parameters
    ----------
    where
        Cohorts behind it, in words.
    crude
        Row of all patients with HER2 status; None where there is none.
    same
        Crude row in the patients of `adjusted`; None where it is not of the same ones.
    adjusted
        Row of the primary adjustment.
    pooled
        Whether enough cohorts are pooled for a verdict.
    differ, usable
        In how many of the usable cohorts the adjusted estimate is a difference by the rule.
    verb
        What may be said of it.
    lacks
        What single cohorts lack to be called a difference; empty where a pool answers.
    differs
        Whether the pooled estimate is a difference by the rule of the verdicts.
    seen
        Cohorts that are usable.
    """

    where: str
    crude: pd.Series | None
    same: pd.Series | None
    adjusted: pd.Series | None
    pooled: bool
    differ: int
    usable: int
    verb: str
    lacks: str
    differs: bool
    seen: tuple[str, ...]

    @property
    def shown(self) -> pd.Series | None:
        """The adjusted row, the crude one where there is none."""
        return self.adjusted if self.adjusted is not None else self.crude

    @property
    def after(self) -> str:
        """What adjustment did, from the same patients; empty where they are not at hand."""
        return "" if self.same is None else wording.adjusted_verb(self.same, self.adjusted)

    @property
    def drawn(self) -> list[dict[str, Any]]:
        """Rows of a strip: before and after adjustment, in the same patients."""
        return [
            {**row.to_dict(), "kind": kind}
            for kind, row in (("before", self.same), ("adjusted", self.adjusted))
            if row is not None
        ]


def her2_contrast(inputs: ReportInputs, name: str) -> Contrast:
    """Return the pooled HER2 contrast, or that of the only cohort.

    A direction is named only of a difference by the rule of the verdicts that is pooled over as
    many cohorts as a pooled verdict takes; of fewer it is said in how many they differ.
    """
    if name not in inputs.contrasts:
        inputs.contrasts[name] = _her2_contrast(inputs, name)
    return inputs.contrasts[name]


def _her2_contrast(inputs: ReportInputs, name: str) -> Contrast:
    kinds = (facts.CRUDE, facts.SAME, facts.ADJUSTED)
    by_cohort = {
        cohort: {kind: facts.her2_effect(inputs, name, cohort, kind=kind) for kind in kinds}
        for cohort in inputs.cohorts
    }
    rows = {kind: facts.pooled_effect(inputs, name, kind=kind) for kind in kinds}
    is_pool = rows[facts.CRUDE] is not None or rows[facts.ADJUSTED] is not None
    if is_pool:
        k = next(
            int(rows[kind]["k"]) for kind in (facts.ADJUSTED, facts.CRUDE) if rows[kind] is not None
        )
        where = "fixed effect of 2 cohorts" if k == 2 else f"{wording.plural(k, 'cohort')} pooled"
    else:
        known = {
            cohort: own
            for cohort, own in by_cohort.items()
            if own[facts.CRUDE] is not None or own[facts.ADJUSTED] is not None
        }
        where = "cohorts shown one by one" if known else ""
        if len(known) == 1:
            ((where, rows),) = known.items()
    crude, same, adjusted = (rows[kind] for kind in kinds)
    usable = [
        own[facts.ADJUSTED] for own in by_cohort.values()
        if facts.usable(inputs, own[facts.ADJUSTED])
    ]  # fmt: skip
    lacks = {row["cohort"]: facts.lacking(inputs, row) for row in usable}
    differ = sum(not missing for missing in lacks.values())
    enough = is_pool and adjusted is not None and adjusted["k"] >= inputs.rule["min_cohorts"]
    lacking = facts.lacking(inputs, adjusted) if enough else []
    if usable and not any(map(facts.tested, [adjusted] if enough else usable)):
        verb = "described only: in no declared family, not compared with random sets"
        lacks = {}
    elif enough:
        verb = wording.contrast_verb(adjusted, lacking)
    elif usable:
        verb = f"differs in {differ} of {wording.plural(len(usable), 'usable cohort')}"
    else:
        verb = "no usable adjusted estimate"
    return Contrast(
        where=where,
        crude=crude,
        same=same if facts.comparable(same, adjusted) else None,
        adjusted=adjusted,
        pooled=bool(enough),
        differ=differ,
        usable=len(usable),
        verb=verb,
        lacks=""
        if enough
        else "; ".join(
            f"{cohort}: {', '.join(missing)}" for cohort, missing in lacks.items() if missing
        ),
        differs=bool(enough) and not lacking,
        seen=tuple(row["cohort"] for row in usable),
    )


def il1_agreement(inputs: ReportInputs) -> str:
    """Say whether the primary IL1 surrogates agree in sign, which an IL1 statement needs."""
    rows = [
        her2_contrast(inputs, signature.name).shown
        for signature in inputs.primary()
        if signature.axis == "IL1"
    ]
    rows = [row for row in rows if row is not None and wording.finite(row["estimate"])]
    if len(rows) < 2:
        return "Fewer than two IL1 surrogates could be estimated, so no IL1 statement is made."
    if len({float(row["estimate"]) > 0 for row in rows}) > 1:
        return "The IL1 surrogates disagree in sign, so no IL1 statement is made."
    if any(float(row["low"]) <= 0 <= float(row["high"]) for row in rows):
        return (
            "The IL1 surrogates agree in sign, but an interval holds zero: their sign supports no "
            "statement."
        )
    return "The IL1 surrogates agree in sign."
