"""Gene identifiers: any usual spelling to the approved HGNC symbol, by one stated rule.

The rule, in this order:

1. An approved symbol is itself, even where it is also an alias of another gene.
2. A previous symbol or alias of exactly one approved symbol becomes that symbol; one that
   several symbols share is ambiguous and dropped.
3. Open reading frames are compared without regard to case (``C11ORF67``); nothing else is,
   so that mouse symbols are never read as human ones.
4. A name that a spreadsheet turned into a date (``1-Mar``, ``2-Sep``) becomes a symbol where
   only one gene can have been meant, otherwise it is ambiguous and dropped.
5. Ensembl ids are compared without version; an id that several symbols share is ambiguous.
6. Everything else is unknown and dropped: the ranking universe is the approved symbols.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.tables import whole_text

_ENSEMBL = re.compile(r"^(ENSG\d{11})(?:\.\d+)?(?:_\d+)?(?:_PAR_Y)?$")
_ENTREZ = re.compile(r"^(\d+)(?:\.0+)?$")
_ORF = re.compile(r"^C(?:\d+|X|Y)ORF\d+", re.IGNORECASE)
_DAY_MONTH = re.compile(r"^(\d{1,2})-([A-Za-z]{3})$")
_MONTH_DAY = re.compile(r"^([A-Za-z]{3})-(\d{1,2})$")
_ISO_DATE = re.compile(r"^\d{4}-(\d{2})-(\d{2})(?:[ T]00:00:00)?$")
_MONTH_STEMS = {
    "feb": ("FEB",),
    "mar": ("MARCH", "MARC", "MAR"),
    "apr": ("APR",),
    "sep": ("SEPT", "SEP"),
    "oct": ("OCT",),
    "nov": ("NOV",),
    "dec": ("DEC",),
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


@dataclass(frozen=True)
class GeneIndex:
    """Approved symbols and the ways to them.

    Parameters
    ----------
    approved
        Approved symbols.
    alias, ensembl, entrez
        Other name to approved symbol, unambiguous ones only.
    ambiguous
        Names and ids that lead to several approved symbols.
    """

    approved: frozenset[str]
    alias: Mapping[str, str]
    ensembl: Mapping[str, str]
    entrez: Mapping[str, str]
    ambiguous: frozenset[str]
    orf: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        *,
        approved: Iterable[str],
        alias: Iterable[tuple[str, str]],
        ensembl: Iterable[tuple[str, str]],
        entrez: Iterable[tuple[str, str]],
    ) -> GeneIndex:
        """Build the index from pairs (other name, approved symbol)."""
        symbols = frozenset(approved)
        ambiguous: set[str] = set()
        names = _unique(alias, symbols, ambiguous)
        names = {name: symbol for name, symbol in names.items() if name not in symbols}
        orf = {s.upper(): s for s in sorted(symbols) if _ORF.match(s)}
        for name, symbol in sorted(names.items()):
            if _ORF.match(name):
                orf.setdefault(name.upper(), symbol)
        return cls(
            approved=symbols,
            alias=names,
            ensembl=_unique(ensembl, symbols, ambiguous),
            entrez=_unique(entrez, symbols, ambiguous),
            ambiguous=frozenset(ambiguous - symbols),
            orf=orf,
        )

    def resolve(self, name: str, kind: str = "symbol") -> tuple[str | None, str]:
        """Return the approved symbol of one id (None where there is none) and its status."""
        name = name.strip()
        if kind == "ensembl":
            match = _ENSEMBL.match(name)
            return self._by_id(match.group(1) if match else name, self.ensembl)
        if kind == "entrez":
            match = _ENTREZ.match(name)
            return self._by_id(match.group(1) if match else name, self.entrez)
        if name in self.approved:
            return name, "approved"
        if name in self.alias:
            return self.alias[name], "renamed"
        month, number = _date(name)
        if month is not None:
            return self._mangled(month, number)
        if name in self.ambiguous:
            return None, "ambiguous"
        if _ORF.match(name) and name.upper() in self.orf:
            return self.orf[name.upper()], "renamed"
        return None, "unknown"

    def _by_id(self, key: str, ids: Mapping[str, str]) -> tuple[str | None, str]:
        if key in ids:
            return ids[key], "approved"
        return None, "ambiguous" if key in self.ambiguous else "unknown"

    def _mangled(self, month: str, number: int) -> tuple[str | None, str]:
        """Return the one gene that a date may have been."""
        originals = [f"{stem}{number}" for stem in _MONTH_STEMS.get(month, ())]
        if any(name in self.ambiguous for name in originals):
            return None, "ambiguous"
        found = {self.resolve(name)[0] for name in originals} - {None}
        if len(found) == 1:
            return found.pop(), "mangled"
        return None, "ambiguous" if found else "unknown"


def _date(name: str) -> tuple[str | None, int]:
    if match := _DAY_MONTH.match(name):
        month, number = match.group(2).lower(), int(match.group(1))
    elif match := _MONTH_DAY.match(name):
        month, number = match.group(1).lower(), int(match.group(2))
    elif match := _ISO_DATE.match(name):
        index = int(match.group(1))
        month, number = (_MONTHS[index - 1] if 1 <= index <= 12 else ""), int(match.group(2))
    else:
        return None, 0
    return (month, number) if month in _MONTHS else (None, 0)


def _unique(
    pairs: Iterable[tuple[str, str]], symbols: frozenset[str], ambiguous: set[str]
) -> dict[str, str]:
    targets: dict[str, set[str]] = defaultdict(set)
    for name, symbol in pairs:
        if name and symbol in symbols:
            targets[name].add(symbol)
    ambiguous.update(name for name, found in targets.items() if len(found) > 1)
    return {name: next(iter(found)) for name, found in targets.items() if len(found) == 1}


def read_gene_table(path: str | Path) -> pd.DataFrame:
    """Read the table of gene ids, texts throughout; ``|`` separates the items of a list.

    Raises
    ------
    InputError
        The file is absent or lacks one of symbol, previous, alias, ensembl, entrez.
    """
    wanted = ["symbol", "previous", "alias", "ensembl", "entrez"]
    try:
        table = pd.read_csv(
            whole_text(path), sep="\t", dtype=str, keep_default_na=False, comment="#"
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the table of gene ids is missing.") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(
            f"{path}: the table of gene ids can't be read ({error}); get it again."
        ) from None
    absent = [column for column in wanted if column not in table]
    if absent:
        raise InputError(
            f"{path}: the table of gene ids lacks the column(s) {', '.join(absent)}; it needs "
            f"{', '.join(wanted)}."
        )
    return table


def read_index(path: str | Path) -> GeneIndex:
    """Read the table of gene ids as an index; see `read_gene_table`."""
    table = read_gene_table(path)

    def pairs(column: str) -> Iterable[tuple[str, str]]:
        for names, symbol in zip(table[column], table["symbol"], strict=True):
            for name in names.split("|"):
                yield name.strip(), symbol

    return GeneIndex.build(
        approved=table["symbol"],
        alias=[*pairs("previous"), *pairs("alias")],
        ensembl=pairs("ensembl"),
        entrez=pairs("entrez"),
    )


def map_ids(ids: Sequence[str], kind: str, index: GeneIndex) -> tuple[np.ndarray, pd.Series]:
    """Map ids to approved symbols.

    Parameters
    ----------
    ids
        Gene ids as the file has them.
    kind
        ``symbol``, ``ensembl`` or ``entrez``.

    Returns
    -------
    symbols, status
        Object array with None where an id is dropped, and per id ``approved``,
        ``renamed``, ``mangled``, ``ambiguous`` or ``unknown``.
    """
    pairs = [index.resolve(str(name), kind) for name in ids]
    symbols = np.array([symbol for symbol, _ in pairs], dtype=object)
    return symbols, pd.Series([status for _, status in pairs], dtype=object)


def guess_kind(ids: Iterable[str]) -> str:
    """Return what most ids look like: ``ensembl``, ``entrez`` or ``symbol``."""
    names = [str(name).strip() for name in ids]
    if not names:
        return "symbol"
    ensembl = sum(bool(_ENSEMBL.match(name)) for name in names)
    entrez = sum(bool(_ENTREZ.match(name)) for name in names)
    if 2 * ensembl > len(names):
        return "ensembl"
    return "entrez" if 2 * entrez > len(names) else "symbol"


def collapse_plan(
    symbols: np.ndarray, ids: Sequence[str], weights: np.ndarray | None
) -> tuple[list[str], list[np.ndarray]]:
    """Group the columns that share a symbol.

    Parameters
    ----------
    symbols
        Approved symbol per column, None for a dropped one.
    ids
        The column's own id; breaks ties, so the file's order changes nothing.
    weights
        Mean per column where one column is kept per gene (log scales); None where the
        columns of a gene are summed (linear scales).

    Returns
    -------
    genes, columns
        Sorted symbols, and per symbol the columns to sum (one column where one is kept).
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for column, symbol in enumerate(symbols):
        if symbol is not None:
            groups[symbol].append(column)
    genes = sorted(groups)
    columns = []
    for gene in genes:
        members = sorted(groups[gene], key=lambda column: (str(ids[column]), column))
        if weights is not None and len(members) > 1:
            members = [max(members, key=lambda column: _rank(weights[column]))]
        columns.append(np.array(members))
    return genes, columns


def _rank(value: float) -> float:
    return -np.inf if np.isnan(value) else float(value)
