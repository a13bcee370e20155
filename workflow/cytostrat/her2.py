"""HER2 status from the immunohistochemistry score, in-situ hybridisation and a stated call.

Scores are read as ASCO/CAP 2018 reads them (doi:10.1200/JCO.2018.77.8738); the hybridisation
result is taken as reported, because ratio and copy number are rarely published and older
cohorts used other thresholds. The whole rule is `TRUTH_TABLE`; the first row that fits counts.
Missing, indeterminate and not evaluated are missing, never negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

IHC = ("0", "1+", "2+", "3+")
ISH = ("amplified", "not amplified", "equivocal")
CALLS = ("positive", "negative", "equivocal")
COLUMNS = ("her2", "her2_source", "her2_ihc", "her2_ish", "her2_low", "her2_flag")

NONE = "missing"
ANY = "any"


@dataclass(frozen=True)
class Rule:
    """One row of the truth table.

    Parameters
    ----------
    ihc, ish, stated
        Values that fit, each a tuple; `ANY` fits all, `NONE` is a missing value.
    her2
        The status, None is missing.
    source
        What the status rests on.
    flag
        The conflict, empty where there is none.
    """

    ihc: tuple[str, ...]
    ish: tuple[str, ...]
    stated: tuple[str, ...]
    her2: str | None
    source: str | None
    flag: str = ""


_ANY = (ANY,)
_NO = (NONE,)
_LOW = ("0", "1+")
_UNUSABLE = (NONE, "equivocal")
TRUTH_TABLE: tuple[Rule, ...] = (
    Rule(("3+",), ("not amplified",), _ANY, "positive", "ihc+ish", "IHC 3+ but ISH not amplified"),
    Rule(("3+",), ("amplified",), _ANY, "positive", "ihc+ish"),
    Rule(("3+",), _UNUSABLE, _ANY, "positive", "ihc"),
    Rule(("2+",), ("amplified",), _ANY, "positive", "ihc+ish"),
    Rule(("2+",), ("not amplified",), _ANY, "negative", "ihc+ish"),
    Rule(("2+",), _UNUSABLE, _ANY, "equivocal", "ihc"),
    Rule(_LOW, ("amplified",), _ANY, "positive", "ihc+ish", "ISH amplified but IHC {ihc}"),
    Rule(_LOW, ("not amplified",), _ANY, "negative", "ihc+ish"),
    Rule(_LOW, _UNUSABLE, _ANY, "negative", "ihc"),
    Rule(_NO, ("not amplified",), ("positive",), "positive", "stated",
         "stated positive but ISH not amplified"),
    Rule(_NO, ("amplified",), ("negative",), "negative", "stated",
         "stated negative but ISH amplified"),
    Rule(_NO, _ANY, ("positive",), "positive", "stated"),
    Rule(_NO, _ANY, ("negative",), "negative", "stated"),
    Rule(_NO, ("amplified",), ("equivocal", NONE), "positive", "ish"),
    Rule(_NO, ("not amplified",), ("equivocal", NONE), "negative", "ish"),
    Rule(_NO, _UNUSABLE, ("equivocal",), "equivocal", "stated"),
    Rule(_NO, ("equivocal",), _NO, "equivocal", "ish"),
    Rule(_NO, _NO, _NO, None, None),
)  # fmt: skip


def call(
    ihc: str | None, ish: str | None, stated: str | None
) -> tuple[str | None, str | None, str | None, str]:
    """Return status, source, her2_low and flag of one tumour.

    Parameters
    ----------
    ihc
        Score: 0, 1+, 2+ or 3+.
    ish
        amplified, not amplified or equivocal.
    stated
        The cohort's own call: positive, negative or equivocal.

    Returns
    -------
    her2, source, her2_low, flag
        ``her2_low`` is ``low`` for a negative tumour of IHC 1+ (ISH not amplified or unknown)
        or IHC 2+ with ISH not amplified, ``zero`` for a negative one of IHC 0, else None.
        ``flag`` joins the conflicts with "; ".
    """
    values = (ihc or NONE, ish or NONE, stated or NONE)
    rule = next(
        rule
        for rule in TRUTH_TABLE
        if all(
            fits == _ANY or value in fits
            for value, fits in zip(values, (rule.ihc, rule.ish, rule.stated), strict=True)
        )
    )
    flags = [rule.flag.format(ihc=ihc)] if rule.flag else []
    if ihc and stated and _contradicts(stated, ihc, rule.her2):
        flags.append(f"stated {stated} but IHC {ihc}{f' and ISH {ish}' if ish else ''}")
    low = None
    if rule.her2 == "negative" and ihc:
        low = "zero" if ihc == "0" else "low"
    return rule.her2, rule.source, low, "; ".join(flags)


def _contradicts(stated: str, ihc: str, her2: str | None) -> bool:
    """Tell whether a score overrules a stated call; an equivocal call agrees with 2+ only."""
    return ihc != "2+" if stated == "equivocal" else stated != her2


def classify(frame: pd.DataFrame, *, derived: bool = False) -> pd.DataFrame:
    """Apply the truth table to every row.

    Parameters
    ----------
    frame
        Any of the columns ``her2`` (the stated call), ``her2_ihc``, ``her2_ish`` with
        canonical values, missing as None or NaN.
    derived
        Whether the stated call was derived from expression; its source is then `expression`.

    Returns
    -------
    DataFrame
        `COLUMNS`, same index; missing is None.
    """

    def values(column: str) -> list[str | None]:
        if column not in frame:
            return [None] * len(frame)
        series = frame[column]
        return [None if pd.isna(value) else str(value) for value in series]

    ihc, ish, stated = values("her2_ihc"), values("her2_ish"), values("her2")
    rows = []
    for score, hybridisation, own in zip(ihc, ish, stated, strict=True):
        her2, source, low, flag = call(score, hybridisation, own)
        if derived and source == "stated":
            source = "expression"
        rows.append((her2, source, score, hybridisation, low, flag))
    return pd.DataFrame(rows, columns=list(COLUMNS), index=frame.index, dtype=object)


def truth_table() -> pd.DataFrame:
    """Return the truth table as a frame for manuals and reports."""
    return pd.DataFrame(
        [
            {
                "her2_ihc": " or ".join(rule.ihc),
                "her2_ish": " or ".join(rule.ish),
                "stated": " or ".join(rule.stated),
                "her2": rule.her2 or NONE,
                "her2_source": rule.source or NONE,
                "her2_flag": rule.flag.format(ihc="0/1+"),
            }
            for rule in TRUTH_TABLE
        ]
    )
