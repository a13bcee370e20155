"""Which clinical column says what, and which of its values means what.

A guess rests on the column's name and on its values; where both fit it is sure, otherwise it
carries the reason to look at it. Columns that look like HER2, ER or PR but were derived from
expression or copy number are never taken: they are listed for the reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cytostrat.errors import CytostratError
from cytostrat.harmonise.clinical import Tables, canonical, fold

MOST_VALUES = 40
SHOWN = 6

_POSITIVE = re.compile(
    r"^(?:pos(?:i?ti?ve)?\.?|p|\+|yes|y|true|amplified|amp(?:lification)?|over-?expressed|"
    r"(?:her2|er|pr|pgr)\s?(?:\+|pos(?:itive)?))$"
)
_NEGATIVE = re.compile(
    r"^(?:neg(?:ative)?\.?|n|-|no|false|not?[ -]amplified|non-?amplified|not amp|normal|"
    r"(?:her2|er|pr|pgr)\s?(?:-|neg(?:ative)?))$"
)
_EQUIVOCAL = re.compile(r"^(?:equivocal|borderline|\+/-|equiv\.?|low[- ]amplified|intermediate)$")
UNCLEAR = re.compile(r"^(?:i|ind|(?:\d=)?indeterminate|unclear|unknown|undetermined|u|x|nc|nd)$")
_IHC = re.compile(r"^([0-3])\s?\+?$")
_PAM50 = {
    "lum[a_ -]*a|luminal a|luma": "LumA",
    "lum[a_ -]*b|luminal b|lumb": "LumB",
    "her2(?:[- ]?(?:enriched|e))?|erbb2|her2-enriched": "Her2",
    "basal(?:[- ]like)?": "Basal",
    "normal(?:[- ]like)?": "Normal",
    "claudin[- ]?low": "claudin-low",
}
_STAGE = re.compile(r"^(?:stage\s*)?(0|i{1,3}v?|iv|[1-4]|x)(?:s|[abc]\d?)?$")
_GRADE = re.compile(r"^(?:g|grade\s*)?([123]|i{1,3})$")
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4}
_TYPES = {
    "primary": r"primary(?: tumou?r| solid tumou?r)?|tumou?r|primary breast.*|pt",
    "metastasis": r"metasta(?:sis|tic).*|met|lymph node.*",
    "normal": r"(?:solid tissue |adjacent |tumou?r[- ]adjacent )?normal.*|healthy.*",
    "recurrence": r"recurr.*|relapse.*",
}
_DERIVED = re.compile(
    r"snp6|copy|cna|cnv|gistic|mgc|sgc|predict|three ?gene|3 ?gene|bimod|classifier|signature|"
    r"mrna|expression|array|ratio|signal|percent|intensity|cent ?17|method|scale|count|cells|"
    r"^nte |subtype|pam50|mutation"
)
_SUBTYPES = {
    "tnbc": ("negative", "negative"),
    "triple negative": ("negative", "negative"),
    "triple-negative": ("negative", "negative"),
    "er+": ("negative", "positive"),
    "er+/her2-": ("negative", "positive"),
    "hr+/her2-": ("negative", "positive"),
    "her2+": ("positive", None),
    "her2": ("positive", None),
    "her2+/er+": ("positive", "positive"),
    "er+/her2+": ("positive", "positive"),
    "hr+/her2+": ("positive", "positive"),
    "her2+/er-": ("positive", "negative"),
    "er-/her2+": ("positive", "negative"),
}


@dataclass(frozen=True)
class Guess:
    """One entry of the cohort file.

    Parameters
    ----------
    key
        Such as ``columns.her2`` or ``endpoints.OS``.
    value
        What is written there.
    table, column
        Where it comes from.
    doubts
        Reasons to look at it; none means sure.
    found
        What the values are, in words.
    """

    key: str
    value: dict[str, Any]
    table: str
    column: str
    doubts: tuple[str, ...] = ()
    found: str = ""


@dataclass(frozen=True)
class _Field:
    """How one canonical column is recognised: by name, then by values."""

    name: re.Pattern[str]
    values: Callable[[Sequence[str]], dict[str, Any] | None]
    avoid: re.Pattern[str] | None = None
    derived: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


def plain(name: str) -> str:
    """Return a column name in lower case with blanks between its words."""
    text = re.sub(r"([a-z])([A-Z][a-z])", r"\1 \2", name)
    text = re.sub(r"her[ _.-]?2(?:[ _./-]?neu)?", "her2", text.strip().casefold())
    return re.sub(r"[^a-z0-9+]+", " ", text).strip()


def distinct(values: Sequence[str]) -> list[str]:
    """Return the values that occur, in the order of the alphabet."""
    return sorted({value.strip() for value in values}, key=lambda text: (fold(text), text))


def _receptor(values: Sequence[str], *, words: Mapping[str, str] | None = None) -> Any:
    """Map the words for positive and negative, or 0 and 1."""
    names = {"+": "positive", "-": "negative", "=": "equivocal", **(words or {})}
    levels = distinct(values)
    if {fold(level) for level in levels} <= {"0", "1"} and levels:
        return {level: names["+" if fold(level) == "1" else "-"] for level in levels}
    out: dict[str, Any] = {}
    for level in levels:
        text = fold(level)
        if _POSITIVE.match(text):
            out[level] = names["+"]
        elif _NEGATIVE.match(text):
            out[level] = names["-"]
        elif _EQUIVOCAL.match(text):
            out[level] = names["="]
        elif UNCLEAR.match(text):
            out[level] = None
        else:
            return None
    return out if set(out.values()) - {None} else None


def _two_groups(values: Sequence[str]) -> Any:
    out = _receptor(values)
    if out is None:
        return None
    return {level: None if value == "equivocal" else value for level, value in out.items()}


def _ish(values: Sequence[str]) -> Any:
    return _receptor(values, words={"+": "amplified", "-": "not amplified"})


def _score(values: Sequence[str]) -> Any:
    out: dict[str, Any] = {}
    for level in distinct(values):
        match = _IHC.match(fold(level))
        if not match:
            if UNCLEAR.match(fold(level)):
                out[level] = None
                continue
            return None
        out[level] = "0" if match[1] == "0" else f"{match[1]}+"
    return out if len(set(out.values()) - {None}) >= 3 else None


def _yes_no(values: Sequence[str]) -> Any:
    levels = distinct(values)
    table = {"1": "yes", "yes": "yes", "y": "yes", "true": "yes", "treated": "yes",
             "0": "no", "no": "no", "n": "no", "false": "no", "untreated": "no",
             "unknown": None}  # fmt: skip
    out = {level: table.get(fold(level), "?") for level in levels}
    return None if "?" in out.values() or not set(out.values()) - {None} else out


def _response(values: Sequence[str]) -> Any:
    table = {"pcr": "yes", "1": "yes", "yes": "yes", "cr": "yes", "rd": "no", "0": "no", "no": "no",
             "non-pcr": "no", "npcr": "no", "no pcr": "no", "nopcr": "no"}  # fmt: skip
    out = {level: table.get(fold(level), "?") for level in distinct(values)}
    return None if "?" in out.values() else out


def _matched(pattern: re.Pattern[str], convert: Callable[[str], Any], fewest: int) -> Callable:
    def look(values: Sequence[str]) -> Any:
        out: dict[str, Any] = {}
        for level in distinct(values):
            match = pattern.match(fold(level))
            if match is None and not UNCLEAR.match(fold(level)):
                return None
            out[level] = convert(match[1]) if match else None
        return out if len(set(out.values()) - {None}) >= fewest else None

    return look


def _named(table: Mapping[str, str], fewest: int = 1) -> Callable:
    def look(values: Sequence[str]) -> Any:
        out: dict[str, Any] = {}
        for level in distinct(values):
            text = re.sub(r"^brca[._ ]", "", fold(level))
            hit = [name for pattern, name in table.items() if re.fullmatch(pattern, text)]
            if not hit and not UNCLEAR.match(text):
                return None
            out[level] = hit[0] if hit else None
        return out if len(set(out.values()) - {None}) >= fewest else None

    return look


def _number(low: float, high: float, *, share: float = 0.97) -> Callable:
    def look(values: Sequence[str]) -> Any:
        numbers = pd.to_numeric(pd.Series(list(values)), errors="coerce")
        good = numbers.between(low, high)
        if not len(numbers) or good.mean() < share or numbers.nunique() < min(5, len(numbers)):
            return None
        words = [text for text, ok in zip(values, numbers.notna(), strict=True) if not ok]
        return dict.fromkeys(distinct(words))

    return look


def _free(values: Sequence[str]) -> Any:
    n = len(set(values))
    return {} if 2 <= n <= MOST_VALUES else None


def _is(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


FIELDS: dict[str, _Field] = {
    "sample_type": _Field(
        _is(r"sample type(?! id)|tissue type|^tissue$|specimen type"),
        _named({pattern: name for name, pattern in _TYPES.items()}),
    ),
    "sex": _Field(
        _is(r"^(?:sex|gender)( ch1)?$|patient (?:sex|gender)"),
        _named({"f(?:emale)?|woman": "female", "m(?:ale)?|man": "male"}),
    ),
    "age": _Field(_is(r"\bage\b|diagnosis age|age at"), _number(10, 110),
                  _is(r"menopaus|stage|group|days")),
    "her2": _Field(_is(r"her2|erbb2"), _receptor,
                   _is(r"fish|cish|\bish\b|hybrid|score|level result"), derived=True),
    "her2_ihc": _Field(_is(r"her2.*(?:ihc|score|level|immuno)"), _score,
                       _is(r"fish|\bish\b"), derived=True),
    "her2_ish": _Field(_is(r"her2.*(?:fish|cish|\bish\b|hybrid|amplif)"), _ish, derived=True),
    "er": _Field(_is(r"^er\b|\ber (?:status|ihc|positive)|estrogen receptor|\besr1\b|path er"),
                 _two_groups, derived=True),
    "pr": _Field(_is(r"^(?:pr|pgr)\b|\b(?:pr|pgr) (?:status|ihc)|progesterone|path pr"),
                 _two_groups, derived=True),
    "pam50": _Field(_is(r"pam50|claudin|intrinsic|subtype"), _named(_PAM50, 2)),
    "grade": _Field(_is(r"grade|^nhg$|^bmngrd$"),
                    _matched(_GRADE, lambda g: _ROMAN.get(g, g if not g.isdigit() else int(g)), 2),
                    _is(r"predict|mgc|sgc|ggi")),
    "stage": _Field(_is(r"stage"),
                    _matched(_STAGE, lambda s: {"0": None, "x": None}.get(
                        s, _ROMAN.get(s) or (int(s) if s.isdigit() else None)), 2),
                    _is(r"metastasis stage|lymph node stage|tumou?r stage code|\b[tn] stage")),
    "nodes": _Field(_is(r"nodes? (?:examined )?positive|positive.*node|number of positive|"
                        r"positive finding lymph node hematoxylin|n(?:umber)? pos"),
                    _number(0, 90), _is(r"keratin")),
    "tumour_size": _Field(_is(r"tumou?r size|size (?:mm|cm)|pathologic size|^size$"),
                          _number(0, 400)),
    "purity": _Field(_is(r"purity|absolute"), _number(0, 1)),
    "leukocyte": _Field(_is(r"leukocyte (?:fraction|methylation)"), _number(0, 1)),
    "chemo": _Field(_is(r"chemo"), _yes_no, _is(r"neoadjuvant|regimen")),
    "endocrine": _Field(_is(r"endocrine|hormon(?:e|al) therapy|tamoxifen"), _yes_no),
    "treatment": _Field(_is(r"^arm\b|treatment arm|^treatment$|regimen"), _free),
    "timepoint": _Field(
        _is(r"time ?point|biopsy time|^visit$"),
        _named({"before|pre.*|baseline|t0|t1": "before", "during|on.*|t2": "during",
                "after|post.*|surgery|t3": "after"}),
    ),
    "response": _Field(_is(r"\bpcr\b|pathologic response|response"), _response,
                       _is(r"predict|dlda|rcb|percent")),
    "batch": _Field(_is(r"^batch\b|\bbatch|instrument|sequencer|^cohort$|orig ident|plate id|"
                        r"^site$|^centre$|^center$"), _free),
    "cell_type": _Field(_is(r"cell ?type major|^cell ?type$|^cluster$"), _free),
    "cell_subtype": _Field(_is(r"cell ?type (?:subset|minor)"), lambda values:
                           {} if 2 <= len(set(values)) <= 200 else None),
}  # fmt: skip

_PREFERRED = {
    "her2": (r"^her2 status", r"^her2 ihc$|^ihc her2$", r"final", r"\bstatus\b"),
    "er": (r"^er ihc$|er status by ihc|er status ihc", r"^er status", r"\bstatus\b"),
    "pr": (r"^pg?r ihc$|pr status by ihc", r"^pg?r status", r"\bstatus\b"),
    "age": (r"diagnosis",),
    "pam50": (r"pam50", r"claudin"),
    "nodes": (r"hematoxylin",),
}


def present(values: Sequence[Any]) -> list[str]:
    """Return the texts that are not missing by the usual words."""
    rules = Tables({}, {})
    return [str(v).strip() for v in values if not pd.isna(v) and not rules.is_missing(str(v))]


def guess_columns(
    tables: Mapping[str, pd.DataFrame], *, kind: str
) -> tuple[list[Guess], list[str]]:
    """Guess the canonical columns.

    Parameters
    ----------
    tables
        Table name to frame of texts, restricted to rows that have a sample.
    kind
        bulk or single_cell.

    Returns
    -------
    guesses, remarks
        One guess per canonical column that was found, and columns that were passed over.
    """
    guesses: list[Guess] = []
    remarks: list[str] = []
    for name, rules in FIELDS.items():
        if name.startswith("cell_") and kind != "single_cell":
            continue
        candidates = _candidates(name, rules, tables, remarks)
        if not candidates:
            continue
        best, *others = sorted(candidates, key=lambda item: item[0])
        guesses.append(_chosen(name, rules, best[1:], [item[1:] for item in others], tables))
    if not any(guess.key == "columns.her2" for guess in guesses):
        guesses += _combined(tables, {guess.key for guess in guesses})
    return guesses, list(dict.fromkeys(remarks))


def _candidates(
    name: str, rules: _Field, tables: Mapping[str, pd.DataFrame], remarks: list[str]
) -> list[tuple[Any, ...]]:
    """Return (rank, table, column, map, values) of the columns that fit by name and values."""
    found = []
    for table, frame in tables.items():
        for position, column in enumerate(frame.columns):
            words = plain(str(column))
            if not rules.name.search(words) or (rules.avoid and rules.avoid.search(words)):
                continue
            values = present(frame[column])
            if not values:
                continue
            if rules.derived and _DERIVED.search(words):
                if _receptor(values) or re.search(r"snp6|mgc|sgc|predict", words):
                    remarks.append(
                        f"{column} is not used: it looks like {name.split('_')[0].upper()}, but "
                        "its name speaks of expression, copy number, a later tumour or a part of "
                        "an assay"
                    )
                continue
            mapping = rules.values(values)
            if mapping is None:
                continue
            order = _PREFERRED.get(name, ())
            rank = next((n for n, pattern in enumerate(order) if re.search(pattern, words)), 9)
            found.append(((rank, -len(values), position), table, column, mapping, values))
    return found


def _chosen(
    name: str, rules: _Field, best: Any, others: list[Any], tables: Mapping[str, pd.DataFrame]
) -> Guess:
    table, column, mapping, values = best
    doubts = []
    for other_table, other, other_map, other_values in others[:3]:
        if not _same(tables[table][column], tables[other_table][other]):
            doubts.append(f"{other} ({_counts(other_values, other_map)}) would fit too")
    if name in {"her2", "er", "pr"} and {fold(key) for key in mapping} <= {"0", "1"}:
        doubts.append("0 is read as negative and 1 as positive")
    for level, value in mapping.items():
        if value is None and name not in {"stage"} and not UNCLEAR.match(fold(level)):
            doubts.append(f"{level!r} is read as missing")
    value: dict[str, Any] = {"column": column}
    if sum(column in frame for frame in tables.values()) > 1:
        value["table"] = table
    if not _needless(name, column, mapping, values):
        value["values"] = mapping
    if name == "tumour_size":
        numbers = pd.to_numeric(pd.Series(values), errors="coerce")
        if numbers.median() < 8:
            value["multiply"] = 10
            doubts.append(f"the median is {numbers.median():g}, so the unit is taken as cm")
    return Guess(f"columns.{name}", value, table, column, tuple(doubts), _counts(values, mapping))


def _needless(name: str, column: str, mapping: Mapping[str, Any], values: Sequence[str]) -> bool:
    """Tell whether the harmoniser reads these values in the same way without a map."""
    if not mapping:
        return True
    levels = distinct(values)
    tables = Tables({"": pd.DataFrame({column: levels}, dtype=object)}, {"": ""})
    option = {"column": column, "table": "", "values": {}, "constant": None, "multiply": 1}
    try:
        read = canonical(name, option, tables, pd.RangeIndex(len(levels)))
    except CytostratError:
        return False
    return all(
        (pd.isna(got) and mapping[level] is None) or str(got) == str(mapping[level])
        for level, got in zip(levels, read, strict=True)
    )


def _same(left: pd.Series, right: pd.Series) -> bool:
    return len(left) == len(right) and present(left) == present(right)


def _counts(values: Sequence[str], mapping: Mapping[str, Any]) -> str:
    """Say what the values become, the most frequent first."""
    if not mapping:
        n = len(values)
        distinct = len(set(values))
        return f"{n} values, {distinct} different"
    folded = {fold(key): value for key, value in mapping.items()}
    became = pd.Series([str(folded.get(fold(value), "as it is")) for value in values])
    counts = became.replace("None", "missing").value_counts()
    return ", ".join(f"{value} {n}" for value, n in list(counts.items())[:SHOWN])


def _combined(tables: Mapping[str, pd.DataFrame], taken: set[str]) -> list[Guess]:
    """Read HER2 and ER off one column of clinical subtypes (TNBC, ER+, HER2+)."""
    for table, frame in tables.items():
        for column in frame:
            levels = distinct(present(frame[column]))
            if not levels or not {fold(level) for level in levels} <= set(_SUBTYPES):
                continue
            if "subtype" not in plain(column) and len(levels) < 2:
                continue
            doubts = (
                "HER2 and ER are read off one column of subtypes; where it says HER2+ alone, ER "
                "is not known",
            )
            out = []
            for position, name in enumerate(("her2", "er")):
                mapping = {level: _SUBTYPES[fold(level)][position] for level in levels}
                if f"columns.{name}" not in taken and set(mapping.values()) - {None}:
                    values = present(frame[column])
                    out.append(Guess(f"columns.{name}", {"column": column, "values": mapping},
                                     table, column, doubts, _counts(values, mapping)))  # fmt: skip
            return out
    return []
