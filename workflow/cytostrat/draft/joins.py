"""How the rows of clinical tables find their samples, and samples their patients."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cytostrat.draft.columns import plain
from cytostrat.draft.layout import TCGA

PATIENT = re.compile(r"^(?:patient|subject|donor|case)(?: id| barcode)?$|^orig ident$|^patient id")
SAMPLE = re.compile(r"^sample(?: id|id)?$|^barcode$|^title$|^geo accession$")
TCGA_PATIENT = 12
_PROBED = 200


@dataclass(frozen=True)
class Join:
    """``clinical.join`` of one table.

    Parameters
    ----------
    rule
        What is written in the cohort file.
    n_matched
        Number of samples with a row.
    doubts
        Reasons to look at it.
    """

    rule: dict[str, Any]
    n_matched: int
    doubts: tuple[str, ...] = ()


@dataclass
class Links:
    """Joins of all tables, and how a sample leads to its patient."""

    joins: dict[str, Join] = field(default_factory=dict)
    sample_to_patient: dict[str, Any] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


def guess(
    tables: Mapping[str, pd.DataFrame], samples: Sequence[str], fixed: Mapping[str, str]
) -> Links:
    """Guess the joins.

    Parameters
    ----------
    tables
        Table name to frame of texts.
    samples
        Sample names without surrounding blanks.
    fixed
        Table name to ``patient`` or ``sample``, where the format says which.
    """
    links = Links()
    tcga = bool(samples) and all(TCGA.match(name) for name in samples)
    if tcga:
        links.sample_to_patient = {"rule": "tcga_barcode"}
    waiting = []
    for name, table in tables.items():
        if fixed.get(name) == "patient":
            waiting.append(name)
            continue
        found = _to_samples(table, samples, tcga=tcga)
        if found is None:
            waiting.append(name)
        else:
            links.joins[name] = found
    if not tcga:
        _patients(links, {name: tables[name] for name in links.joins}, needed=bool(waiting))
    for name in waiting:
        links.joins[name] = _to_patients(tables[name], samples, links, tables)
    return links


def sample_column(table: pd.DataFrame) -> str:
    """Return the column that names the rows of a table, by its name or as the first unique one."""
    unique = [c for c in table if table[c].str.strip().nunique() == len(table)]
    named = [c for c in unique if SAMPLE.match(plain(c))]
    named += [c for c in unique if PATIENT.match(plain(c))]
    return (named or unique or [table.columns[0]])[0]


def _to_samples(table: pd.DataFrame, samples: Sequence[str], *, tcga: bool) -> Join | None:
    wanted = set(samples)
    best: tuple[int, int, dict[str, Any]] | None = None
    for column in sorted(table, key=lambda name: not SAMPLE.match(plain(name))):
        values = [value.strip() for value in table[column]]
        for cost, rule in enumerate(_rules(values, samples, tcga=tcga)):
            if best and best[0] == len(wanted) and cost >= best[1]:
                break
            n = _matched(values, samples, rule)
            if n and (best is None or (n, -cost) > (best[0], -best[1])):
                best = (n, cost, {"column": column, **rule})
    if best is None or best[0] < 0.02 * len(wanted):
        return None
    n, _, rule = best
    doubts = [] if n == len(wanted) else [f"{len(wanted) - n} of {len(wanted)} samples have no row"]
    return Join(rule, n, tuple(doubts))


def _rules(values: Sequence[str], samples: Sequence[str], *, tcga: bool) -> list[dict[str, Any]]:
    """Return ways to compare, the simplest first."""
    rules: list[dict[str, Any]] = [{"to": "sample"}]
    if tcga and any(TCGA.match(value) for value in values[:_PROBED]):
        shortest = min(len(value) for value in [*values, *samples] if TCGA.match(value))
        if all(len(value) == TCGA_PATIENT for value in values if TCGA.match(value)):
            return [{"to": "patient"}]
        length = next((n for n in (16, 15) if shortest >= n), TCGA_PATIENT)
        return [*rules, {"to": "sample", "characters": length}]
    prefixes: Counter[str] = Counter()
    suffixes: Counter[str] = Counter()
    for value in values[:_PROBED]:
        for sample in _within(value, samples):
            prefixes[value[: len(value) - len(sample)]] += value.endswith(sample)
            suffixes[value[len(sample) :]] += value.startswith(sample)
    for key, found in (("remove_prefix", prefixes), ("remove_suffix", suffixes)):
        if found and (text := found.most_common(1)[0][0]):
            rules.append({"to": "sample", key: text})
    return rules


def _within(value: str, samples: Sequence[str]) -> list[str]:
    """Return sample names that a value starts or ends with, and adds something to."""
    own = set(samples)
    found = []
    for cut in range(1, min(len(value), 24)):
        found += [text for text in (value[cut:], value[:-cut]) if len(text) >= 3 and text in own]
    return found


def _matched(values: Sequence[str], samples: Sequence[str], rule: Mapping[str, Any]) -> int:
    cut = rule.get("characters") or (TCGA_PATIENT if rule["to"] == "patient" else None)
    own = {
        value.removeprefix(rule.get("remove_prefix", "")).removesuffix(
            rule.get("remove_suffix", "")
        )[:cut]
        for value in values
    }
    return sum(sample[:cut] in own for sample in samples)


def _patients(links: Links, tables: Mapping[str, pd.DataFrame], *, needed: bool) -> None:
    """Find the column that names the patient in a table that is joined by sample."""
    for name, table in tables.items():
        key = links.joins[name].rule["column"]
        for column in table:
            if column == key or not PATIENT.match(plain(column)):
                continue
            values = table[column].str.strip()
            if (values == "").any() or (values.nunique() == len(values) and not needed):
                if (values != "").all():
                    links.doubts.append(f"{column} numbers each row anew: each is one patient")
                continue
            links.sample_to_patient = {"rule": "column", "column": column}
            if sum(column in other for other in tables.values()) > 1 or len(tables) > 1 or needed:
                links.sample_to_patient["table"] = name
            return
    links.sample_to_patient = {"rule": "identity"}
    links.doubts.append("each sample is taken as a patient of its own")


def _to_patients(
    table: pd.DataFrame, samples: Sequence[str], links: Links, tables: Mapping[str, pd.DataFrame]
) -> Join:
    rule = links.sample_to_patient
    patients = list(samples)
    if rule.get("rule") == "tcga_barcode":
        patients = [name[:TCGA_PATIENT] for name in samples]
    elif rule.get("rule") == "column":
        homes = [n for n in links.joins if rule["column"] in tables[n]]
        home = rule.get("table") or (homes[0] if homes else "")
        patients = [text.strip() for text in tables[home][rule["column"]]] if home else patients
    wanted = set(patients)
    counts = {column: len(wanted & {value.strip() for value in table[column]}) for column in table}
    column = max(counts, key=lambda name: counts[name])
    if not counts[column]:
        return Join(
            {"column": sample_column(table), "to": "sample"}, 0,
            ("no value of any column is a sample or patient: name the right column, or a "
             "prefix to take off",),
        )  # fmt: skip
    n = counts[column]
    absent = len(wanted) - n
    doubts = (f"{absent} of {len(wanted)} patients have no row",) if absent else ()
    return Join({"column": column, "to": "patient"}, n, doubts)
