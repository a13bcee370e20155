"""Which samples are compared: HER2, HER2-low, ER, the user's groups, other HER2 rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytostrat.contrast.rows import Adjustment, Comparison
from cytostrat.errors import EstimationError
from cytostrat.stats.mixture import two_component_mixture

CONTRAST = "positive - negative"


@dataclass(frozen=True)
class HER2Rule:
    """One way to tell HER2-positive from HER2-negative.

    Parameters
    ----------
    name
        As it stands in the column ``her2_rule``.
    case
        Per sample 1.0, 0.0 or NaN.
    note
        What the rule changed, or why it has no groups.
    """

    name: str
    case: pd.Series
    note: str


def status(clinical: pd.DataFrame, name: str) -> pd.Series:
    """Return a clinical column as text, None throughout where the cohort lacks it."""
    if name in clinical.columns:
        return clinical[name].astype(object)
    return pd.Series(None, index=clinical.index, dtype=object)


def binary(column: pd.Series, case: str = "positive", control: str = "negative") -> pd.Series:
    """Return 1.0 for the case value, 0.0 for the control value, NaN for all others."""
    return column.map({case: 1.0, control: 0.0}).astype(float)


def her2_comparisons(
    clinical: pd.DataFrame, primary: Adjustment, further: Sequence[Adjustment] = ()
) -> Iterator[Comparison]:
    """Yield HER2 positive against negative: all samples, ER-positive, ER-negative."""
    her2, er = binary(status(clinical, "her2")), status(clinical, "er")
    yield Comparison("her2", "all", CONTRAST, her2, (primary, *further))
    for value in ("positive", "negative"):
        yield Comparison(
            "her2", f"er_{value}", CONTRAST, her2.where(er == value), primary.without("er")
        )


def low_comparison(clinical: pd.DataFrame, primary: Adjustment) -> Comparison:
    """Return HER2-low against HER2-zero, both HER2-negative."""
    low = binary(status(clinical, "her2_low"), "low", "zero")
    return Comparison(
        "her2_low", "all", "low - zero", low, (primary,), ("HER2-low", "HER2-zero"),
        note="exploratory",
    )  # fmt: skip


def er_comparisons(clinical: pd.DataFrame, primary: Adjustment) -> Iterator[Comparison]:
    """Yield ER positive against negative: all samples, HER2-positive, HER2-negative."""
    er, her2 = binary(status(clinical, "er")), status(clinical, "her2")
    others = [name for name in primary.covariates if name not in ("er", "her2")]
    yield Comparison("er", "all", CONTRAST, er, (Adjustment.of(["her2", *others]),))
    for value in ("positive", "negative"):
        yield Comparison(
            "er", f"her2_{value}", CONTRAST, er.where(her2 == value),
            primary.without("er", "her2"),
        )  # fmt: skip


def named_comparison(
    clinical: pd.DataFrame, name: str, group: Mapping[str, object], primary: Adjustment
) -> Comparison:
    """Return the comparison of two groups that the configuration names.

    `group` holds ``column``, ``case`` and ``control``; the two are lists of values.

    Raises
    ------
    EstimationError
        A value is in both groups.
    """
    column = str(group["column"])
    cases, controls = (tuple(map(str, group[side])) for side in ("case", "control"))
    both = sorted(set(cases) & set(controls))
    if both:
        raise EstimationError(
            f"Key contrast.groups.{name} names the value {both[0]} of column {column} in case and "
            "in control; leave it in one of the two."
        )
    values = status(clinical, column)
    text = values.where(values.isna(), values.astype(str))
    case = pd.Series(np.nan, index=clinical.index)
    case[text.isin(cases)] = 1.0
    case[text.isin(controls)] = 0.0
    labels = "/".join(cases), "/".join(controls)
    return Comparison(
        f"groups:{name}", "all", f"{labels[0]} - {labels[1]}", case, (primary,), labels,
        note="" if column in clinical.columns else f"column {column} is not in the cohort",
    )  # fmt: skip


def her2_rules(clinical: pd.DataFrame) -> list[HER2Rule]:
    """Return the HER2 rules of the sensitivity grid that rest on clinical evidence.

    Evidence columns are ``her2``, ``her2_flag`` and ``her2_ihc``; a missing value stays
    missing under every rule.
    """
    her2 = status(clinical, "her2")
    primary = binary(her2)
    flag = status(clinical, "her2_flag")
    flagged = (flag.notna() & (flag != "")).to_numpy()
    equivocal = (her2 == "equivocal").to_numpy()
    ihc = status(clinical, "her2_ihc").map({"3+": 1.0, "1+": 0.0, "0": 0.0}).astype(float)
    grid = {
        "flags excluded": primary.mask(flagged),
        "equivocal positive": primary.mask(equivocal, 1.0),
        "equivocal negative": primary.mask(equivocal, 0.0),
        "ihc only": ihc,
    }
    return [HER2Rule(name, case, _moved(primary, case)) for name, case in grid.items()]


def _moved(primary: pd.Series, case: pd.Series) -> str:
    if case.isna().all() and primary.notna().any():
        return "the evidence for this rule is missing in every sample"
    changed = int((primary.fillna(-1) != case.fillna(-1)).sum())
    return f"{changed or 'no'} samples change group under this rule"


def expression_rule(clinical: pd.DataFrame, erbb2: pd.Series | None) -> HER2Rule:
    """Return the HER2 call by a two-component mixture on ERBB2, all samples alike.

    Clinical calls play no part in it; how far the two agree (Cohen's kappa) is in the note.
    """
    nobody = pd.Series(np.nan, index=clinical.index)
    if erbb2 is None:
        return HER2Rule("expression", nobody, "ERBB2 is not measured")
    values = erbb2.reindex(clinical.index)
    try:
        fit = two_component_mixture(values.to_numpy(dtype=float))
    except EstimationError as error:
        return HER2Rule("expression", nobody, str(error))
    if fit.bic_gain <= 0:
        return HER2Rule("expression", nobody, "one component describes ERBB2 as well as two")
    case = binary(pd.Series(fit.call, index=clinical.index, dtype=object))
    clinic = binary(status(clinical, "her2"))
    both = (case.notna() & clinic.notna()).to_numpy()
    note = f"HER2 called from ERBB2 expression, {int(case.isna().sum())} samples left open"
    if both.any():
        kappa = _kappa(case[both].to_numpy(), clinic[both].to_numpy())
        note += f", kappa {kappa:.2f} with the clinical call on {int(both.sum())} samples"
    return HER2Rule("expression", case, note)


def _kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Return Cohen's kappa of two binary calls; 1 where both are one and the same value."""
    chance = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    return float(((a == b).mean() - chance) / (1 - chance)) if chance < 1 else 1.0
