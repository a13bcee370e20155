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
_OWN_PATIENT = "each sample is taken as a patient of its own"
_FEWEST_PER_ID = 0.2


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
        found = _to_patients(tables[name], samples, links, tables)
        links.joins[name] = found or _by_beginning(tables[name], samples, links)
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
    ends = True
    for value in values[:_PROBED]:
        for sample in _within(value, samples):
            prefixes[value[: len(value) - len(sample)]] += value.endswith(sample)
            suffixes[value[len(sample) :]] += value.startswith(sample)
            ends &= value.endswith(sample) or _begins(value, sample)
    for key, found in (("remove_prefix", prefixes), ("remove_suffix", suffixes)):
        if found and (text := found.most_common(1)[0][0]):
            rules.append({"to": "sample", key: text})
    lengths = {len(sample) for sample in samples}
    if len(+suffixes) > 1 and len(lengths) == 1 and ends:
        rules.append({"to": "sample", "characters": lengths.pop()})
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
    links.doubts.append(_OWN_PATIENT)


def _to_patients(
    table: pd.DataFrame, samples: Sequence[str], links: Links, tables: Mapping[str, pd.DataFrame]
) -> Join | None:
    rule = links.sample_to_patient
    patients = list(samples)
    if rule.get("rule") == "tcga_barcode":
        patients = [name[:TCGA_PATIENT] for name in samples]
    elif rule.get("rule") == "pattern":
        patients = [re.search(rule["pattern"], name)[1] for name in samples]
    elif rule.get("rule") == "column":
        homes = [n for n in links.joins if rule["column"] in tables[n]]
        home = rule.get("table") or (homes[0] if homes else "")
        patients = [text.strip() for text in tables[home][rule["column"]]] if home else patients
    wanted = set(patients)
    counts = {column: len(wanted & {value.strip() for value in table[column]}) for column in table}
    column = max(counts, key=lambda name: counts[name])
    if not counts[column]:
        return None
    n = counts[column]
    absent = len(wanted) - n
    doubts = (f"{absent} of {len(wanted)} patients have no row",) if absent else ()
    return Join({"column": column, "to": "patient"}, n, doubts)


def _by_beginning(table: pd.DataFrame, samples: Sequence[str], links: Links) -> Join:
    """Join a table whose ids begin the sample names; else say what to give."""
    column, owners = _beginnings(table, samples)
    if owners and links.sample_to_patient.get("rule") == "identity":
        if pattern := _pattern(owners, samples):
            links.sample_to_patient = {"rule": "pattern", "pattern": pattern}
            sample, patient = next(iter(owners.items()))
            links.doubts = [doubt for doubt in links.doubts if doubt != _OWN_PATIENT]
            links.doubts.append(
                f"sample names begin with values of {column}, so {sample!r} is taken as a sample "
                f"of the patient {patient!r}"
            )
            found = [re.search(pattern, sample)[1] for sample in samples]
            absent = len(set(found) - set(owners.values()))
            doubts = (f"{absent} of {len(set(found))} patients have no row",) if absent else ()
            n = len(set(owners.values()))
            return Join({"column": column, "to": "patient"}, n, doubts)
        return Join(
            {"column": column, "to": "patient"}, 0,
            (f"sample names begin with values of {column}: give sample_to_patient the rule "
             "pattern, with an expression whose first group is that beginning",),
        )  # fmt: skip
    return Join(
        {"column": sample_column(table), "to": "sample"}, 0,
        ("no value of any column is a sample or patient, or the beginning of one: name the right "
         "column, or give sample_to_patient the rule pattern",),
    )  # fmt: skip


def _begins(longer: str, shorter: str) -> bool:
    """Tell whether a name begins with another that ends there: Tu10_T1 with Tu10, not Tu1."""
    if not shorter or len(longer) <= len(shorter) or not longer.startswith(shorter):
        return False
    last, following = shorter[-1], longer[len(shorter)]
    return not (last.isdigit() and following.isdigit()) and not (
        last.isalpha() and following.isalpha()
    )


def _beginnings(table: pd.DataFrame, samples: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the column most values of which begin sample names, and the value of each sample."""
    best: tuple[str, dict[str, str]] = ("", {})
    for column in table:
        values = {text.strip() for text in table[column]}
        owners = {}
        for sample in samples:
            cuts = (sample[:end] for end in range(len(sample) - 1, 0, -1))
            own = next((cut for cut in cuts if cut in values and _begins(sample, cut)), "")
            if own:
                owners[sample] = own
        # the name of a site or study begins many samples, but tells none from another
        n = len(set(owners.values()))
        if n >= max(2, _FEWEST_PER_ID * len(owners)) and n > len(set(best[1].values())):
            best = (str(column), owners)
    return best


def _pattern(owners: Mapping[str, str], samples: Sequence[str]) -> str:
    """Return an expression whose first group is the owner of each sample; '' where none is."""
    rests = {sample[len(own) :] for sample, own in owners.items()}
    ends = sorted({re.sub(r"\d+", r"\\d+", _escaped(rest)) for rest in rests})
    lengths = {len(own) for own in owners.values()}
    candidates = [rf"^(.+){ends[0]}$"] if len(ends) == 1 else []
    for mark in sorted({rest[0] for rest in rests if not rest[0].isalnum()}):
        escaped = _escaped(mark)
        candidates += [f"^([^{escaped}]+){escaped}", f"^(.+){escaped}[^{escaped}]+$"]
    if len(lengths) == 1:
        candidates.append(f"^(.{{{lengths.pop()}}})")
    for pattern in candidates:
        found = {sample: re.search(pattern, sample) for sample in samples}
        if all(found.values()) and all(found[name][1] == own for name, own in owners.items()):
            return pattern
    return ""


def _escaped(text: str) -> str:
    return re.escape(text).replace("\\-", "-")
