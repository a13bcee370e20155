"""Clinical values: a cohort's own words to the canonical vocabulary, every value accounted for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cytostrat import her2
from cytostrat.errors import ConfigError, InputError
from cytostrat.tables import NUMERIC_CLINICAL

CATEGORIES: dict[str, tuple[str, ...]] = {
    "sample_type": ("primary", "metastasis", "normal", "recurrence"),
    "sex": ("female", "male"),
    "her2": her2.CALLS,
    "her2_ihc": her2.IHC,
    "her2_ish": her2.ISH,
    "er": ("positive", "negative"),
    "pr": ("positive", "negative"),
    "pam50": ("LumA", "LumB", "Her2", "Basal", "Normal", "claudin-low"),
    "grade": ("1", "2", "3"),
    "stage": ("1", "2", "3", "4"),
    "chemo": ("yes", "no"),
    "endocrine": ("yes", "no"),
    "timepoint": ("before", "during", "after"),
    "response": ("yes", "no"),
}
RANGES = {
    "age": (0, 120),
    "nodes": (0, 200),
    "tumour_size": (0, 500),
    "purity": (0, 1),
    "leukocyte": (0, 1),
}
DAYS = {"days": 1.0, "months": 30.4375, "years": 365.25}

_BLANK = frozenset({
    "", "na", "n/a", "nan", "null", "#n/a", "--", "'--", "---", ".", "?", "not available",
    "not reported", "[not available]", "[not evaluated]", "[not applicable]", "[unknown]",
    "[discrepancy]", "[pending]", "[completed]",
})  # fmt: skip
_UNDETERMINED = frozenset({
    "indeterminate", "[indeterminate]", "not evaluated", "not applicable", "not determined",
    "undetermined", "not done", "not performed", "unknown", "stage x",
})  # fmt: skip
_STAGE = re.compile(r"^(?:stage\s*)?(i{1,3}v?|iv|[1-4])[abc]?\d?$", re.IGNORECASE)
_GRADE = re.compile(r"^(?:g|grade\s*)([123])$")
_NUMBER = re.compile(r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$")
_COMMA = re.compile(r"^[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?$")
_ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4"}


@dataclass
class Tables:
    """Clinical tables already aligned to the samples.

    Parameters
    ----------
    frames
        Table name to a frame of texts with one row per sample; a sample without a row is NaN.
    files
        Table name to the file, for messages.
    missing_values
        Texts that mean missing in this cohort, beside the usual ones.
    """

    frames: Mapping[str, pd.DataFrame]
    files: Mapping[str, str]
    missing_values: frozenset[str] = frozenset()

    def raw(self, column: str, table: str, key: str) -> tuple[pd.Series, str]:
        """Return a column with missing as None, and "file, column" for messages."""
        name = find_table(self.frames, self.files, column, table, key)
        values = self.frames[name][column]
        texts = [None if pd.isna(value) else str(value).strip() for value in values]
        return (
            pd.Series(texts, index=values.index, dtype=object),
            f"{self.files[name]}: column {column!r}",
        )

    def is_missing(self, text: str | None, *, undetermined: bool = False) -> bool:
        """Tell whether a text means that there is no value."""
        if text is None:
            return True
        folded = text.strip().casefold()
        return (
            folded in _BLANK
            or fold(text) in self.missing_values
            or (undetermined and folded in _UNDETERMINED)
        )


def find_table(
    frames: Mapping[str, pd.DataFrame], files: Mapping[str, str], column: str, table: str, key: str
) -> str:
    """Return the table that holds a column.

    Raises
    ------
    ConfigError
        No table, or more than one, has the column; the nearest name is suggested.
    """
    names = [name for name in frames if column in frames[name] and table in ("", name)]
    if len(names) == 1:
        return names[0]
    if names:
        raise ConfigError(
            f"{' and '.join(files[name] for name in names)}: the column {column!r} of key {key} is "
            f"in several tables; add {key}.table with one of {', '.join(names)}."
        )
    searched = [name for name in frames if table in ("", name)]
    if not searched:
        raise ConfigError(
            f"key {key} names the column {column!r}, but the cohort has no clinical table; add "
            "one under clinical."
        )
    known = [str(name) for frame in searched for name in frames[frame].columns]
    twice = [name for name in known if re.fullmatch(re.escape(column) + r" \(\d+\)", name)]
    close = twice or difflib.get_close_matches(column, known, n=3, cutoff=0.5) or known[:5]
    what = "has several columns" if twice else "has no column"
    raise ConfigError(
        f"{' and '.join(files[name] for name in searched)}: {what} {column!r}, which key {key} "
        f"names; use one of its own names, such as {', '.join(map(repr, close))}."
    )


def fold(value: Any) -> str:
    """Return the form in which values are compared: no blanks, no case, 1.0 as 1."""
    text = str(value).strip()
    if re.fullmatch(r"[+-]?\d+\.0+", text):
        text = text.split(".")[0]
    return text.casefold()


_TRUE = {"true": "yes", "on": "yes", "false": "no", "off": "no"}


def _fold_map(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for raw, canonical in values.items():
        folded = fold(raw)
        if folded in out and out[folded] != canonical:
            raise ConfigError(
                f"key {key}.values maps {raw!r} in two ways that differ only in case or blanks; "
                "keep one."
            )
        out[folded] = canonical
    return out


def canonical(name: str, option: Mapping[str, Any], tables: Tables, index: pd.Index) -> pd.Series:
    """Return one canonical column.

    Parameters
    ----------
    name
        Canonical name.
    option
        Its entry in the cohort file.
    tables
        Clinical tables aligned to the samples.
    index
        Sample names.

    Returns
    -------
    Series
        float for numeric columns (missing NaN), otherwise texts (missing None).

    Raises
    ------
    ConfigError, InputError
        A value that neither the map nor the vocabulary knows, or that is out of range.
    """
    key = f"columns.{name}"
    mapping = _fold_map(option["values"], key)
    if option["constant"] is not None:
        raw = pd.Series([str(option["constant"])] * len(index), index=index, dtype=object)
        place = f"key {key}.constant"
    else:
        raw, place = tables.raw(option["column"], option["table"], key)
    if name in NUMERIC_CLINICAL:
        convert = _number(name, option["multiply"], place)
    else:
        convert = _category(name) if name in CATEGORIES else str
    for target in mapping.values():
        if target is not None and convert(str(target)) is None:
            wanted = ", ".join(CATEGORIES[name]) if name in CATEGORIES else "a number"
            raise ConfigError(
                f"key {key}.values maps to {target!r}, which {name} does not know; use one of "
                f"{wanted}, or null for missing."
            )
    must_be_mapped = bool(mapping) and name in CATEGORIES
    unknown: dict[str, int] = {}
    out: list[Any] = []
    for text in raw:
        mapped, found = _lookup(mapping, text)
        if found:
            value = None if mapped is None else convert(str(mapped))
        elif tables.is_missing(text, undetermined=name in CATEGORIES):
            value = None
        else:
            value = None if must_be_mapped else convert(text)
            if value is None:
                unknown[text] = unknown.get(text, 0) + 1
        out.append(value)
    if unknown:
        raise InputError(_unknown_value(name, key, place, unknown, mapping))
    kind = float if name in NUMERIC_CLINICAL else object
    return pd.Series(out, index=index, dtype=kind, name=name)


def _lookup(mapping: Mapping[str, Any], text: str | None) -> tuple[Any, bool]:
    if text is None or not mapping:
        return None, False
    folded = fold(text)
    for key in (folded, _TRUE.get(folded)):
        if key in mapping:
            return mapping[key], True
    return None, False


def _category(name: str) -> Callable[[str], str | None]:
    known = {fold(value): value for value in CATEGORIES[name]}

    def convert(text: str) -> str | None:
        folded = fold(text)
        if name == "stage" and (match := _STAGE.match(folded)):
            return _ROMAN.get(match.group(1), match.group(1))
        if name == "grade" and (match := _GRADE.match(folded)):
            return match.group(1)
        if name == "her2_ihc" and folded in {"1", "2", "3"}:
            return f"{folded}+"
        return known.get(folded)

    return convert


def _number(name: str, factor: float, place: str) -> Callable[[str], float | None]:
    low, high = RANGES[name]

    def convert(text: str) -> float | None:
        number = _float(text)
        if number is None:
            return None
        if not low <= number * factor <= high:
            raise InputError(
                f"{place} holds {text!r}, outside {low} to {high} for {name}; check the column and "
                f"its unit (columns.{name}.multiply converts it)."
            )
        return number * factor

    return convert


def _float(text: str) -> float | None:
    """Return a finite number, None where the text is none."""
    value = float(text) if _NUMBER.match(text) else np.inf
    return value if np.isfinite(value) else None


def _unknown_value(
    name: str, key: str, place: str, unknown: Mapping[str, int], mapping: Mapping[str, Any]
) -> str:
    value, count = max(unknown.items(), key=lambda item: (item[1], item[0]))
    others = f" (and {len(unknown) - 1} other values)" if len(unknown) > 1 else ""
    if name in NUMERIC_CLINICAL:
        if _COMMA.match(value):
            return _comma(place, value, others)
        return (
            f"{place} holds {value!r}{others}, which is no number; map it under {key}.values, or "
            "list it under missing_values."
        )
    close = difflib.get_close_matches(fold(value), [*mapping, *map(fold, CATEGORIES[name])], n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return (
        f"{place} holds {value!r} in {count} sample(s){others}, which key {key}.values does not "
        f"map{hint}; add it with one of {', '.join(CATEGORIES[name])}, or null for missing."
    )


def _comma(place: str, text: str, others: str) -> str:
    return (
        f"{place} holds {text!r}{others}, a number with a comma; if that is the decimal mark, give "
        'the table decimal: "," under clinical in the cohort file, otherwise take it out.'
    )


def endpoint(
    name: str, option: Mapping[str, Any], tables: Tables
) -> tuple[pd.Series, pd.Series, list[str]]:
    """Return time in days, event as 0/1 (float, missing NaN in both), and warnings.

    A sample needs both: where one is missing both become missing. Negative times are missing;
    a time of zero is kept.
    """
    key = f"endpoints.{name}"
    time, time_place = tables.raw(option["time"], option["table"], f"{key}.time")
    event, event_place = tables.raw(option["event"], option["table"], f"{key}.event")
    mapping = _fold_map(option["event_values"], key) or {"0": 0, "1": 1}
    times, events = [], []
    for text in time:
        times.append(np.nan if tables.is_missing(text) else _time(text, time_place, key))
    for text in event:
        mapped, found = _lookup(mapping, text)
        if found:
            events.append(np.nan if mapped is None else float(mapped))
        elif tables.is_missing(text, undetermined=True):
            events.append(np.nan)
        else:
            raise InputError(
                f"{event_place} holds {text!r}, which key {key}.event_values does not map; add it "
                "with 0 (censored), 1 (event) or null (missing)."
            )
    days = pd.Series(times, index=time.index, dtype=float) * DAYS[option["unit"]]
    status = pd.Series(events, index=time.index, dtype=float)
    warnings = []
    if (negative := days < 0).any():
        warnings.append(f"{name}: {int(negative.sum())} negative times read as missing")
        days[negative] = np.nan
    half = days.isna() ^ status.isna()
    if half.any():
        warnings.append(f"{name}: {int(half.sum())} samples with only time or event left out")
    absent = days.isna() | status.isna()
    return days.mask(absent), status.mask(absent), warnings


def _time(text: str, place: str, key: str) -> float:
    value = _float(text)
    if value is None:
        if _COMMA.match(text):
            raise InputError(_comma(place, text, ""))
        raise InputError(
            f"{place} holds {text!r}, which is no time; correct key {key}.time, or list the value "
            "under missing_values."
        )
    return value
