"""Which columns are the time and the event of a survival endpoint, and in which unit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from cytostrat.draft.columns import (
    UNCLEAR,
    UNREAD,
    Guess,
    as_missing,
    distinct,
    kinds,
    mostly_read,
    plain,
    present,
    unread_doubt,
    unread_values,
)
from cytostrat.harmonise.clinical import fold
from cytostrat.tables import CENSORING_OTHER_DEATHS

_ENDPOINTS = {
    "OS": r"\bos\b|overall surv|death|dead|deceased|vital status|died",
    "DSS": r"\bdss\b|disease specific|breast cancer specific|\bbcss\b",
    "DRFS": r"\bdrfs\b|\bdmfs\b|distant (?:relapse|recurrence|metasta)|\bdrfs|\bdistant",
    "RFS": r"\brfs\b|relapse free|recurrence free|\brecurrence",
    "DFI": r"\bdfi\b|\bdfs\b|disease free",
    "PFI": r"\bpfi\b|\bpfs\b|progression free",
}
_TIME = re.compile(r"time|months?|days?|years?|follow ?up|\bt\b|survival$|\bfu\b")
_EVENT = re.compile(r"status|event|censor|dead|death|deceased|died|indicator")
_NOT_EVENT = re.compile(r"cause|reason")
_UNIT = (
    ("days", r"days?\b|\bd\b"),
    ("months", r"months?\b|\bmo\b"),
    ("years", r"years?\b|\byrs?\b"),
)
_DEAD = {
    "1", "dead", "deceased", "died", "death", "event", "yes", "true", "recurred", "relapse",
    "recurred/progressed", "progression", "progressed", "relapsed", "1:deceased", "1:recurred",
    "1:recurred/progressed", "1:progression", "1:died of disease", "1:dead with tumor",
    "metastasis",
}  # fmt: skip
_ALIVE = {
    "0", "alive", "living", "censored", "no", "false", "diseasefree", "disease free",
    "not recurred", "0:living", "0:alive", "0:diseasefree", "0:not recurred", "0:censored",
    "0:alive or dead tumor free", "0:alive or dead of other cause", "no event", "none",
    "no recurrence",
}  # fmt: skip


def guess_endpoints(tables: Mapping[str, pd.DataFrame]) -> list[Guess]:
    """Guess pairs of time and event, and the unit of the time."""
    guesses = []
    used: set[tuple[str, str]] = set()
    for endpoint, pattern in _ENDPOINTS.items():
        best = None
        for table, frame in tables.items():
            pair = _pair(frame, endpoint, re.compile(pattern))
            if pair and (best is None or pair[2] < best[1][2]):
                best = (table, pair)
        if best is None:
            continue
        table, (time, event, _) = best
        if (table, time) in used:
            continue
        used.add((table, time))
        guesses.append(_endpoint(endpoint, table, time, event, tables[table]))
    return guesses


def _pair(
    frame: pd.DataFrame, endpoint: str, pattern: re.Pattern[str]
) -> tuple[str, str, int] | None:
    times = [c for c in frame if _is_time(frame, c)]
    events = [c for c in frame if _events(frame[c]) is not None]
    own_times = [c for c in times if pattern.search(plain(c))]
    own_events = [c for c in events if pattern.search(plain(c)) and not _NOT_EVENT.search(plain(c))]
    rank = 0
    if not own_times and own_events and endpoint == "OS":
        others = "|".join(text for name, text in _ENDPOINTS.items() if name != "OS")
        own_times = [c for c in times if not re.search(others, plain(c))]
        rank = 1
    if not own_times or not own_events:
        return None

    def order(column: str) -> tuple[bool, bool, bool, int]:
        words = plain(column)
        named = bool(_EVENT.search(words)) or words == endpoint.casefold()
        partly = UNREAD in (_events(frame[column]) or {}).values()
        return (partly, not named, "vital" in words, len(words))

    return own_times[0], min(own_events, key=order), rank


def _is_time(frame: pd.DataFrame, column: str) -> bool:
    words = plain(column)
    if not (_TIME.search(words)) or re.search(r"collection|procure|sample days|form|year cancer|"
                                              r"between|timepoint|time point", words):  # fmt: skip
        return False
    values = present(frame[column])
    numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce")
    return len(values) > 1 and numbers.notna().mean() > 0.97 and numbers.nunique() > 2


def _events(series: pd.Series) -> dict[str, Any] | None:
    values = present(series)
    levels = distinct(values)
    if not 1 <= len(levels) <= 6:
        return None
    out: dict[str, Any] = {}
    for level in levels:
        text = fold(level)
        if text in _DEAD or text in _ALIVE:
            out[level] = int(text in _DEAD)
        else:
            out[level] = None if UNCLEAR.match(text) else UNREAD
    unread = unread_values(out, values)
    # without the one word for death, or for life, the rest is no endpoint
    enough = {0, 1} <= kinds(out) and mostly_read(unread, values) if unread else kinds(out)
    return out if enough else None


def _endpoint(name: str, table: str, time: str, event: str, frame: pd.DataFrame) -> Guess:
    doubts = []
    words = plain(time)
    unit = next((unit for unit, pattern in _UNIT if re.search(pattern, words)), "")
    numbers = pd.to_numeric(pd.Series(present(frame[time]), dtype=object), errors="coerce")
    if not unit:
        high = float(numbers.max())
        unit = "days" if high > 600 else "months" if high > 40 else "years"
        if unit != "days" or high < 1500:
            doubts.append(f"the unit is taken as {unit}, because the longest time is {high:g}")
    values = present(frame[event])
    found = _events(frame[event]) or {}
    unread = unread_values(found, values)
    mapping = as_missing(found)
    if unread:
        doubts.append(unread_doubt(f"endpoints.{name}.event_values", unread))
    value: dict[str, Any] = {"time": time, "event": event, "unit": unit}
    if not {fold(key) for key in mapping} <= {"0", "1"}:
        value["event_values"] = mapping
    if name in CENSORING_OTHER_DEATHS:
        value["competing"] = True
    elif name != "OS":
        value["competing"] = False
        doubts.append("a death without relapse is taken as an event, competing: false")
    folded = {fold(key): one for key, one in mapping.items()}
    n_events = sum(folded.get(fold(text)) == 1 for text in values)
    if n_events > 0.7 * len(values):
        doubts.append(f"{n_events} of {len(values)} have an event: is 1 the event?")
    return Guess(
        f"endpoints.{name}", value, table, time, tuple(doubts),
        f"{n_events} events in {len(values)}, longest {numbers.max():g} {unit}", unread,
    )  # fmt: skip
