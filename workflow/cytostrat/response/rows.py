"""Effects rows of one group of patients: two groups, and changes within patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cytostrat.response.patients import Cohort
from cytostrat.stats import Estimates, notes, power
from cytostrat.stats.effect_size import g_estimate, group_sds, hedges_g
from cytostrat.stats.effect_table import Estimated, effect_frame
from cytostrat.stats.paired import (
    detectable_paired_d,
    paired_d,
    paired_d_values,
    smallest_sign_flip_p,
)
from cytostrat.stats.rank import SEPARATION_NOTE, auc

FEWEST_PAIRS = 3


@dataclass(frozen=True)
class Columns:
    """Values to test: samples x (signature, method), and the names their rows carry."""

    values: pd.DataFrame
    response_question: str
    change_question: str
    note: str = ""


def picker(to: np.ndarray, since: np.ndarray | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """Return what takes the values, or the changes, of these samples from all samples."""
    return (lambda sets: sets[to]) if since is None else (lambda sets: sets[to] - sets[since])


@dataclass(frozen=True)
class Emit:
    """The key of a group of rows; a call makes the rows."""

    cohort: Cohort
    columns: Columns
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


def groups_too_small(cohort: Cohort, case: np.ndarray) -> str:
    """Return which group has too few patients, and how many it needs; empty where none has."""
    for name, count in (("responders", case.sum()), ("non-responders", (~case).sum())):
        if count < cohort.min_group:
            return f"{int(count)} {name}, at least {cohort.min_group} are needed"
    return ""


def two_groups(
    emit: Emit,
    values: np.ndarray,
    case: np.ndarray,
    contrast: str,
    pick: Callable[[np.ndarray], np.ndarray],
    *,
    with_auc: bool = True,
) -> Iterator[Estimated]:
    """Yield g, and the area, of responders against others."""
    n, n_case = len(case), int(case.sum())
    small = groups_too_small(emit.cohort, case)
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


def within_patients(
    emit: Emit,
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
