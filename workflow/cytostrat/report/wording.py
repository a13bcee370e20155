"""Sentences and numbers of the report, written the same way everywhere.

A sentence never says more than its numbers: a direction is named only where the interval leaves
out "no difference", and an association with outcome is called prognostic, never predictive.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MINUS = "\u2212"
NOT_ESTIMATED = "not estimated"

RESEARCH_USE = (
    "For research use only. Nothing here is treatment advice: a signature measured in a tumour "
    "that was not treated with a drug cannot tell who would benefit from that drug."
)


@dataclass(frozen=True)
class Scale:
    """How an estimate of one scale is written and where "no difference" lies.

    Parameters
    ----------
    label
        Short name before the number.
    null
        Value that means no difference, on the scale of the Effects table.
    exponentiate
        Whether the printed number is exp(estimate), e.g. a hazard ratio.
    meaning
        One sentence that explains the number.
    reach
        Distance from no difference at which a small drawing ends, unless the drawings of a
        column choose their own.
    """

    label: str
    null: float = 0.0
    exponentiate: bool = False
    meaning: str = ""
    reach: float = 1.0


SCALES = {
    "hedges_g": Scale(
        "g",
        meaning="Hedges' g: difference of the two group means in units of their pooled standard "
        "deviation, corrected for small samples.",
    ),
    "adjusted_g": Scale(
        "adjusted g",
        meaning="Regression coefficient of the group, given the covariates, divided by the pooled "
        "within-group standard deviation: the units of g.",
    ),
    "auc": Scale(
        "AUC",
        null=0.5,
        reach=0.5,
        meaning="Probability that a random member of the first group scores higher than a random "
        "member of the second.",
    ),
    "mean_z": Scale("mean z", meaning="Mean of the score standardised over the cohort."),
    "log_hr": Scale(
        "HR",
        exponentiate=True,
        meaning="Hazard ratio per standard deviation of the score (Cox model).",
        reach=math.log(2),
    ),
    "log_or": Scale(
        "OR",
        exponentiate=True,
        meaning="Odds ratio per standard deviation.",
        reach=math.log(4),
    ),
    "partial_rho": Scale(
        "partial \u03c1",
        meaning="Correlation given the covariates of the row.",
        reach=0.5,
    ),
    "paired_d": Scale(
        "paired d", meaning="Mean change within patients over the standard deviation of changes."
    ),
    "r2": Scale("R\u00b2", meaning="Share of the score's variance explained.", reach=0.5),
    "es": Scale("ES", meaning="Enrichment score of GSEA along the ranked genes."),
    "c_gain": Scale(
        "gain in concordance",
        meaning="Harrell's concordance with the score minus that of the covariates alone.",
        reach=0.1,
    ),
    "share": Scale("share", meaning="Share of a gene's transcripts that lie in one cell type."),
    "fraction": Scale("fraction", meaning="Share of the cells of a type with a transcript."),
    "fraction difference": Scale(
        "difference of fractions", meaning="One cell type minus the other cells of the patient."
    ),
    "umi_per_10k": Scale(
        "transcripts per 10,000", meaning="Transcripts of the gene per 10,000 of the cell type."
    ),
    "umi_per_10k difference": Scale(
        "difference in transcripts per 10,000",
        meaning="One cell type minus the other cells of the patient.",
    ),
    "score": Scale("score", meaning="Mean score of the cells of a type."),
    "score difference": Scale(
        "difference of scores", meaning="One cell type minus the other cells of the patient."
    ),
}
QUESTIONS = {
    "her2": "HER2-positive against HER2-negative",
    "her2_low": "HER2-low against HER2-zero",
    "er": "ER-positive against ER-negative",
    "er_her2_cells": "mean score in the four ER \u00d7 HER2 groups",
    "control": "positive controls: ERBB2 against HER2, ESR1 against ER",
    "survival": "outcome per standard deviation of the score",
    "survival_her2_interaction": "whether the hazard ratio differs by HER2",
    "concordance": "gain in concordance over clinical covariates",
    "association": "partial correlation with another variable",
    "stage_trend": "trend over stage",
    "enrichment": "where the genes of a set stand in the ranked contrast (GSEA), exploratory",
    "infiltration": "share of the score explained by infiltration",
    "nested": "what a score adds to a comparator",
    "response": "baseline score and response",
    "response_change": "change under treatment and response",
    "panel_1998": "the cytokine panel of the 1998 trial",
    "cell_source": "which cells carry the signal",
    "cell_her2": "HER2 contrast within a cell type",
    "cell_coupling": "coupling between cell types of a patient",
}
ENDPOINTS = {
    "OS": "overall survival",
    "DSS": "disease-specific survival",
    "DFI": "disease-free interval",
    "RFS": "relapse-free survival",
    "DRFS": "distant relapse-free survival",
    "PFI": "progression-free interval",
}
STRATA = {
    "all": "all",
    "er_positive": "ER-positive",
    "er_negative": "ER-negative",
    "her2_positive": "HER2-positive",
    "her2_negative": "HER2-negative",
}
MISSING = ("", "nan", "none", "<na>")


def scale_of(name: str) -> Scale:
    """Return the record of a scale; an unknown one is shown under its own name."""
    return SCALES.get(name, Scale(name.replace("_", " ")))


def is_missing(value: Any) -> bool:
    """Whether a cell of a table or clinical frame holds nothing."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return str(value).strip().lower() in MISSING


def finite(value: Any) -> bool:
    """Whether a value is a number that can be drawn."""
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def number(value: Any, digits: int = 2) -> str:
    """Write a number with a true minus sign; "not estimated" where there is none."""
    if not finite(value):
        return NOT_ESTIMATED
    text = f"{float(value):.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def count(value: Any) -> str:
    """Write a whole number with a separator of thousands; an en dash where there is none."""
    return f"{int(value):,}" if finite(value) else "\u2013"


def percent(value: Any) -> str:
    """Write a fraction as a whole percentage, never rounding up to 100 or down to 0."""
    if not finite(value):
        return "\u2013"
    share = float(value)
    whole = round(100 * share)
    if whole == 100 and share < 1:
        return "> 99 %"
    if whole == 0 and share > 0:
        return "< 1 %"
    return f"{whole} %"


def p_value(value: Any, name: str = "p") -> str:
    """Write a p-value; below 0.001 only that."""
    if not finite(value):
        return ""
    return f"{name} < 0.001" if float(value) < 0.001 else f"{name} = {float(value):.3f}"


def on_scale(value: Any, scale: str) -> float:
    """Return an estimate as it is printed, e.g. a hazard ratio for a log hazard ratio."""
    if not finite(value):
        return math.nan
    exponentiate = scale_of(scale).exponentiate
    return math.exp(min(float(value), 50.0)) if exponentiate else float(value)


def estimate(row: Any, *, label: bool = True, digits: int = 2) -> str:
    """Write estimate and 95 % interval of an Effects or Pooled row.

    Parameters
    ----------
    row
        Anything with ``estimate``, ``low``, ``high`` and ``scale``.
    label
        Whether the name of the scale stands before the number.
    digits
        Decimal places.
    """
    scale = row["scale"]
    if not finite(row["estimate"]):
        if finite(row["low"]) and finite(row["high"]):
            low, high = (number(on_scale(row[key], scale), digits) for key in ("low", "high"))
            return f"({low} to {high})"
        return NOT_ESTIMATED
    value = number(on_scale(row["estimate"], scale), digits)
    text = f"{scale_of(scale).label} {value}" if label else value
    if finite(row["low"]) and finite(row["high"]):
        low = number(on_scale(row["low"], scale), digits)
        high = number(on_scale(row["high"], scale), digits)
        text += f" ({low} to {high})"
    return text


def side(row: Any) -> int:
    """Return 1 or -1 where the interval lies on one side of no difference, else 0."""
    null = scale_of(row["scale"]).null
    if finite(row["low"]) and float(row["low"]) > null:
        return 1
    if finite(row["high"]) and float(row["high"]) < null:
        return -1
    return 0


def contrast_verb(row: Any, lacking: Sequence[str] = ()) -> str:
    """Say in words on which side a HER2 contrast lies, or what it lacks to be called one.

    Parameters
    ----------
    row
        Anything with ``estimate``, ``low``, ``high`` and ``scale``.
    lacking
        What the estimate lacks by the rule of the verdicts; nothing where it is a difference.
    """
    if not finite(row["estimate"]):
        return "not estimated"
    if not (finite(row["low"]) and finite(row["high"])):
        return "no interval, so no direction is named"
    if side(row) == 0:
        return "no clear difference"
    if lacking:
        return f"not shown to differ: {', '.join(lacking)}"
    return "higher in HER2-positive" if side(row) > 0 else "lower in HER2-positive"


def adjusted_verb(before: Any, after: Any) -> str:
    """Say what adjustment did to a HER2 contrast in the same patients.

    No direction is named; where the interval lies is told of each of the two alone, because a
    change from clear to unclear is no test of the change.
    """
    moved = (
        f"In the same patients adjustment moves it from {estimate(before, label=False)} to "
        f"{estimate(after, label=False)}"
    )
    first, then = side(before), side(after)
    if first and then:
        return f"{moved}: {'on the same side' if first == then else 'to the other side'} of zero."
    return {
        (False, False): f"{moved}; both intervals hold zero.",
        (True, False): f"{moved}, an interval that holds zero.",
        (False, True): f"{moved}, an interval that leaves out zero.",
    }[bool(first), bool(then)]


def join_names(names: Iterable[str]) -> str:
    """Join names as in a sentence: a, b and c."""
    items = list(names)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def plural(n: int, noun: str, many: str | None = None) -> str:
    """Write a count with its noun."""
    return f"{count(n)} {noun if n == 1 else many or noun + 's'}"


def visible(value: Any) -> str:
    """Return text in which characters that hide or turn text are spelled out.

    Control characters and the Unicode marks that change writing direction are replaced by
    ``<U+202E>``-like names (with angle quotation marks), so that a sample's name is read as it
    is stored. Markup is left alone here; the template escapes it.
    """
    text = str(value)
    return "".join(
        f"\u2039U+{ord(char):04X}\u203a"
        if unicodedata.category(char) in {"Cc", "Cf", "Cs"} and char not in "\t\n"
        else char
        for char in text
    )


def slug(text: str) -> str:
    """Return a name that is safe as an element id and as a file name."""
    out = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")
    if out == text:
        return out
    # Two names that differ only in other characters must not meet in one file.
    return f"{out or 'x'}-{sum((i + 1) * ord(c) for i, c in enumerate(text)) % 0xFFFFF:05x}"


def adjustment_words(adjustment: str) -> str:
    """Write ``er+age`` as in a sentence."""
    words = {"er": "ER", "her2": "HER2", "pam50": "PAM50", "tnf": "TNF", "none": "nothing"}
    return join_names(words.get(part, part.replace("_", " ")) for part in adjustment.split("+"))


def note_of(row: Any) -> str:
    """Return the notes of a row, empty where there is no row or none."""
    return "" if row is None or is_missing(row["note"]) else str(row["note"])


def notes_of(*rows: Any) -> list[str]:
    """Return the notes of several rows, each clause once."""
    seen: dict[str, None] = {}
    for row in rows:
        for part in note_of(row).split("; "):
            if part:
                seen.setdefault(part)
    return list(seen)
