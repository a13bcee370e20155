"""Which clinical column says what, and which of its values means what.

A guess rests on the column's name and on its values; where both fit it is sure, otherwise it
carries the reason to look at it. A value that is not understood is drafted as missing, never as
negative, and said; a column of which hardly a value is understood is named instead. Columns that
look like HER2, ER or PR but were derived from expression or copy number are never taken: they are
listed for the reader.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cytostrat.errors import CytostratError
from cytostrat.harmonise.clinical import Tables, canonical, fold

MOST_VALUES = 40
SHOWN = 6
UNREAD = "?"
_CODES_OF_MISSING = frozenset({"9", "99", "-1", "-9"})

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
    unread
        Values that are not understood and so written as missing, with how often they occur.
    """

    key: str
    value: dict[str, Any]
    table: str
    column: str
    doubts: tuple[str, ...] = ()
    found: str = ""
    unread: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Field:
    """How one canonical column is recognised: by name, then by values.

    `values` maps each value to a canonical one, to None (missing) or to `UNREAD`; it returns None
    where the column is another's.
    """

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


def kinds(mapping: Mapping[str, Any]) -> set[Any]:
    """Return the canonical values that a map leads to."""
    return set(mapping.values()) - {None, UNREAD}


def _by_level(read: Callable[[str], Any], values: Sequence[str], *, fewest: int = 1) -> Any:
    """Read each value by itself; below `fewest` canonical values none counts as understood."""
    out = {level: read(fold(level)) for level in distinct(values)}
    return out if len(kinds(out)) >= fewest else dict.fromkeys(out, UNREAD)


def _binary(values: Sequence[str]) -> bool:
    """Tell whether the numbers among the values are 0 and 1 alone, codes of missing apart."""
    numbers = {fold(value) for value in values if re.match(r"[+-]?\d", value.strip())}
    return bool(numbers & {"0", "1"}) and numbers - _CODES_OF_MISSING <= {"0", "1"}


def _receptor(values: Sequence[str], *, words: Mapping[str, str] | None = None) -> Any:
    """Map the words for positive and negative, or 0 and 1."""
    names = {"+": "positive", "-": "negative", "=": "equivocal", **(words or {})}

    def by_word(text: str) -> Any:
        for pattern, mark in ((_POSITIVE, "+"), (_NEGATIVE, "-"), (_EQUIVOCAL, "=")):
            if pattern.match(text):
                return names[mark]
        return None if UNCLEAR.match(text) else UNREAD

    def by_number(text: str) -> Any:
        return {"1": names["+"], "0": names["-"]}.get(text, by_word(text))

    out = _by_level(by_word, values)
    return _by_level(by_number, values) if not kinds(out) and _binary(values) else out


def _two_groups(values: Sequence[str]) -> Any:
    return {
        level: None if value == "equivocal" else value for level, value in _receptor(values).items()
    }


def _ish(values: Sequence[str]) -> Any:
    return _receptor(values, words={"+": "amplified", "-": "not amplified"})


def _score(values: Sequence[str]) -> Any:
    def read(text: str) -> Any:
        if match := _IHC.match(text):
            return "0" if match[1] == "0" else f"{match[1]}+"
        return None if UNCLEAR.match(text) else UNREAD

    written = any(re.match(r"[1-3]\s?\+", value.strip()) for value in values)
    return _by_level(read, values, fewest=1 if written else 3)


def _by_table(table: Mapping[str, Any]) -> Callable[[Sequence[str]], Any]:
    """Read by a table of words; its 0 and 1 count where no other number occurs."""

    def look(values: Sequence[str]) -> Any:
        binary = _binary(values)
        return _by_level(
            lambda text: UNREAD if text in {"0", "1"} and not binary else table.get(text, UNREAD),
            values,
        )

    return look


_yes_no = _by_table(
    {"1": "yes", "yes": "yes", "y": "yes", "true": "yes", "treated": "yes",
     "0": "no", "no": "no", "n": "no", "false": "no", "untreated": "no", "unknown": None}
)  # fmt: skip
_response = _by_table(
    {"pcr": "yes", "1": "yes", "yes": "yes", "cr": "yes", "rd": "no", "0": "no", "no": "no",
     "non-pcr": "no", "npcr": "no", "no pcr": "no", "nopcr": "no"}
)  # fmt: skip


def _matched(pattern: re.Pattern[str], convert: Callable[[str], Any], fewest: int) -> Callable:
    def read(text: str) -> Any:
        if match := pattern.match(text):
            return convert(match[1])
        return None if UNCLEAR.match(text) else UNREAD

    return lambda values: _by_level(read, values, fewest=fewest)


def _named(table: Mapping[str, str], fewest: int = 1) -> Callable:
    def read(text: str) -> Any:
        text = re.sub(r"^brca[._ ]", "", text)
        hit = [name for pattern, name in table.items() if re.fullmatch(pattern, text)]
        return hit[0] if hit else None if UNCLEAR.match(text) else UNREAD

    return lambda values: _by_level(read, values, fewest=fewest)


def _number(low: float, high: float) -> Callable:
    def look(values: Sequence[str]) -> Any:
        numbers = pd.to_numeric(pd.Series(list(values)), errors="coerce")
        if numbers.nunique() < min(5, numbers.notna().sum()):
            return None
        good = numbers.between(low, high)
        words = [text for text, ok in zip(values, good, strict=True) if not ok]
        return dict.fromkeys(distinct(words), UNREAD)

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
    "pam50": _Field(_is(r"pam50|claudin|intrinsic|subtype"), _named(_PAM50, 2),
                    _is(r"histolog")),
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
    unread: list[tuple[str, str, str]] = []
    for name, rules in FIELDS.items():
        if name.startswith("cell_") and kind != "single_cell":
            continue
        candidates, foreign = _candidates(name, rules, tables, remarks)
        if not candidates:
            unread += [(name, *place) for place in foreign]
            continue
        best, *others = sorted(candidates, key=lambda item: item[0])
        guesses.append(_chosen(name, rules, best[1:], [item[1:] for item in others], tables))
    if not any(guess.key == "columns.her2" for guess in guesses):
        guesses += _combined(tables, {guess.key for guess in guesses})
    used = {(guess.table, guess.column) for guess in guesses}
    found = {guess.key for guess in guesses}
    remarks += [
        f"{column} is not used: its name speaks of {name}, but too few of its values "
        f"({_shown(Counter(present(tables[table][column])))}) are understood; map them under "
        f"columns.{name}.values"
        for name, table, column in unread
        if (table, column) not in used and f"columns.{name}" not in found
    ]
    return guesses, list(dict.fromkeys(remarks))


def shortened(names: Sequence[str], most: int) -> str:
    """Return names as a list in words, cut after `most` where more than one is cut."""
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} others"


def _shown(counts: Mapping[str, int]) -> str:
    """Return values with how often they occur, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return shortened([f"{value!r} ({n})" for value, n in ordered], SHOWN)


def unread_values(mapping: Mapping[str, Any], values: Sequence[str]) -> Counter[str]:
    """Return the values that are not understood, with how often they occur."""
    return Counter(value for value in values if mapping.get(value) == UNREAD)


def mostly_read(unread: Mapping[str, int], values: Sequence[str]) -> bool:
    """Tell whether most values, or most of the different ones, are understood."""
    n_values, n_levels = len(values), len(set(values))
    most = 2 * sum(unread.values()) < n_values or 2 * len(unread) < n_levels
    return most and len(unread) <= MOST_VALUES


def _candidates(
    name: str, rules: _Field, tables: Mapping[str, pd.DataFrame], remarks: list[str]
) -> tuple[list[tuple[Any, ...]], list[tuple[str, str]]]:
    """Return (rank, table, column, map, values) of the columns that fit by name and values.

    The second list has table and column of those that fit by name alone.
    """
    found, foreign = [], []
    for table, frame in tables.items():
        for position, column in enumerate(frame.columns):
            words = plain(str(column))
            if not rules.name.search(words) or (rules.avoid and rules.avoid.search(words)):
                continue
            values = present(frame[column])
            if not values:
                continue
            if rules.derived and _DERIVED.search(words):
                if kinds(_receptor(values)) or re.search(r"snp6|mgc|sgc|predict", words):
                    remarks.append(
                        f"{column} is not used: it looks like {name.split('_')[0].upper()}, but "
                        "its name speaks of expression, copy number, a later tumour or a part of "
                        "an assay"
                    )
                continue
            mapping = rules.values(values)
            if mapping is None:
                continue
            unread = unread_values(mapping, values)
            if not mostly_read(unread, values):
                foreign.append((table, column))
                continue
            order = _PREFERRED.get(name, ())
            rank = next((n for n, pattern in enumerate(order) if re.search(pattern, words)), 9)
            n_read = len(values) - sum(unread.values())
            found.append(((rank, -n_read, bool(unread), position), table, column, mapping, values))
    return found, foreign


def _chosen(
    name: str, rules: _Field, best: Any, others: list[Any], tables: Mapping[str, pd.DataFrame]
) -> Guess:
    table, column, mapping, values = best
    unread = unread_values(mapping, values)
    mapping = as_missing(mapping)
    doubts = []
    for other_table, other, other_map, other_values in others[:3]:
        if not _same(tables[table][column], tables[other_table][other]):
            doubts.append(f"{other} ({_counts(other_values, as_missing(other_map))}) would fit too")
    read = {level: value for level, value in mapping.items() if level not in unread}
    if name in {"her2", "er", "pr"} and {fold(key) for key in read} <= {"0", "1"}:
        doubts.append("0 is read as negative and 1 as positive")
    for level, value in read.items():
        if value is None and name not in {"stage"} and not UNCLEAR.match(fold(level)):
            doubts.append(f"{level!r} is read as missing")
    if unread:
        doubts.append(unread_doubt(f"columns.{name}.values", unread))
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
    return Guess(
        f"columns.{name}", value, table, column, tuple(doubts), _counts(values, mapping), unread
    )


def as_missing(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return a map in which what is not understood is missing."""
    return {level: None if value == UNREAD else value for level, value in mapping.items()}


def unread_doubt(key: str, unread: Mapping[str, int]) -> str:
    """Say which values are not understood, how often they occur, and where to map them."""
    verb = "are" if len(unread) > 1 else "is"
    return (
        f"{_shown(unread)} {verb} not understood and read as missing; map under {key}, or "
        "list under missing_values"
    )


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
            values = present(frame[column])
            levels = distinct(values)
            subtype = "subtype" in plain(column)
            unread = Counter(value for value in values if fold(value) not in _SUBTYPES)
            if not levels or not mostly_read(unread, values):
                continue
            if not subtype and (unread or len(levels) < 2):
                continue
            doubts = (
                "HER2 and ER are read off one column of subtypes; where it says HER2+ alone, ER "
                "is not known",
            )
            out = []
            for position, name in enumerate(("her2", "er")):
                mapping = {
                    level: _SUBTYPES.get(fold(level), (None, None))[position] for level in levels
                }
                if f"columns.{name}" not in taken and set(mapping.values()) - {None}:
                    said = (
                        (*doubts, unread_doubt(f"columns.{name}.values", unread))
                        if unread
                        else doubts
                    )
                    out.append(Guess(f"columns.{name}", {"column": column, "values": mapping},
                                     table, column, said, _counts(values, mapping),
                                     unread))  # fmt: skip
            return out
    return []
