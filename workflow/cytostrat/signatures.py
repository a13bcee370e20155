"""Gene signatures: reading, checking, overlap, and what a cohort holds of them.

A signature is one row of a table (`SIGNATURE_COLUMNS`) and one or two sets of a GMT file. The
table says what the set is for; the GMT file says which genes it holds. Symbols are approved
HGNC symbols, in the files that ship with the project by construction and in a user's files by
the ``symbols`` argument of `read_signatures`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pandas as pd

from cytostrat.errors import SignatureError
from cytostrat.tables import COVERAGE, whole_text

ROLES = ("primary", "secondary", "comparator", "control", "celltype")
DIRECTIONS = ("up", "updown", "unknown")
CONFIDENCES = ("high", "moderate", "low")
SIGNATURE_COLUMNS = (
    "name",
    "title",
    "axis",
    "role",
    "direction",
    "kind",
    "source",
    "version",
    "licence",
    "doi",
    "required",
    "confidence",
    "note",
    "gmt",
)
NOT_EMPTY = ("name", "title", "axis", "kind", "source", "licence", "gmt")
LIST_SEPARATOR = "|"
USER_AXIS = "user"
AMPLICON_CORE = "without amplicon core"
AMPLICON_WIDE = "without 17q12-q21"
DEFAULT_MIN_COVERAGE = 0.6

Symbols = Callable[[str], str | None] | Mapping[str, str]


@dataclass(frozen=True)
class Signature:
    """A named list of genes and what is known about it.

    Parameters
    ----------
    name
        Unique name, as in the GMT file.
    title
        What a reader of the report is told it is.
    up, down
        Approved symbols that rise or fall with the signal, without duplicates, in the order of
        the file; `down` is empty unless `direction` is ``updown``.
    axis
        Cytokine or cell compartment that it stands for, e.g. ``IL1``, ``IFN-I``, ``myeloid``.
    role
        One of `ROLES`. Verdicts rest on primary sets only.
    direction
        ``up``: all genes rise; ``updown``: `up` and `down` are told apart; ``unknown``: the source
        doesn't say, and the genes stand in `up`.
    kind
        How the set was made: response, pathway members, blood module, cell marker, ...
    source, version, licence, doi
        Where it comes from and on which terms.
    required
        Genes that must be present in a cohort for the score to be used.
    confidence
        One of `CONFIDENCES`: how far the set measures what its title says.
    note
        Limits that must be shown wherever the set is; empty where there are none.
    """

    name: str
    title: str
    up: tuple[str, ...]
    down: tuple[str, ...] = ()
    axis: str = ""
    role: str = "secondary"
    direction: str = "up"
    kind: str = ""
    source: str = ""
    version: str = ""
    licence: str = ""
    doi: str = ""
    required: tuple[str, ...] = ()
    confidence: str = "moderate"
    note: str = ""

    @property
    def genes(self) -> tuple[str, ...]:
        """All genes, up before down."""
        return self.up + self.down


def read_gmt(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read a GMT file: per line a set name, a description and genes, separated by tabs.

    Any line end (LF, CRLF, CR), a byte-order mark, blanks around symbols, empty fields and
    repeated genes within a set are accepted; a repeated gene counts once. Symbols keep their
    spelling.

    Returns
    -------
    dict
        Set name to genes, both in file order.

    Raises
    ------
    SignatureError
        The file can't be read as text, a line has no tab (blanks instead of tabs), a set has no
        name or no gene, a name occurs twice, or the file has no set at all.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SignatureError(f"GMT file {path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SignatureError(
            f"GMT file {path} isn't UTF-8 text (byte {error.start}); is it compressed or a "
            "spreadsheet? Save it as plain tab-separated text."
        ) from error
    if "\0" in text:
        raise SignatureError(f"GMT file {path} holds binary content; it is damaged, get it again.")
    sets: dict[str, tuple[str, ...]] = {}
    # splitlines() would also break at form feeds and other separators that may stand in names.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"GMT file {path}, line {number}"
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) == 1:
            raise SignatureError(
                f"{where} has no tab: '{_short(cells[0])}'. A line is the set's name, a "
                "description and the genes, separated by tabs."
            )
        name, genes = cells[0], tuple(dict.fromkeys(cell for cell in cells[2:] if cell))
        if not name:
            raise SignatureError(f"{where} has no set name in its first field; give it one.")
        if not genes:
            raise SignatureError(
                f"{where}: the set '{_short(name)}' has no gene; the second field is a "
                "description, genes start in the third."
            )
        if name in sets:
            raise SignatureError(
                f"{where}: the set '{_short(name)}' occurs a second time; rename one of them."
            )
        sets[name] = genes
    if not sets:
        raise SignatureError(f"GMT file {path} holds no gene set.")
    return sets


def read_signatures(
    table: str | Path,
    *,
    user: Iterable[tuple[str | Path, str | Path]] = (),
    symbols: Symbols | None = None,
) -> dict[str, Signature]:
    """Read the shipped signatures and, after them, a user's own.

    A row of a table takes the set of its own name from the GMT file that it names, which lies
    beside the table; with direction ``updown`` it takes ``<name>_UP`` and ``<name>_DN``. Sets
    that no row names are not read, so a large collection may be given.

    Parameters
    ----------
    table
        TSV file with `SIGNATURE_COLUMNS`; ``required`` separates genes by ``|``.
    user
        Pairs of a GMT file and a table for it. With an empty table every set of the file
        becomes a secondary signature of axis ``user`` and unknown direction; with a table, its
        rows say which sets are read, and its column ``gmt`` is the name of that file.
    symbols
        Maps a user's symbol to the approved one, or to None where it has none (a function, or
        a mapping in which an absent symbol has none); applied to genes and to ``required``.
        Without it symbols are taken as they stand, as those of `table` always are.

    Returns
    -------
    dict
        Name to `Signature`, in file order.

    Raises
    ------
    SignatureError
        A column is absent, a value is outside its vocabulary, a name occurs twice, a GMT file
        or a set isn't there, no gene is left after mapping, a gene is both up and down, or a
        required gene isn't in the set.
    """
    table = Path(table)
    files: dict[str, dict[str, tuple[str, ...]]] = {}
    signatures: dict[str, Signature] = {}
    for number, row in _read_table(table):
        if row["gmt"] and row["gmt"] not in files:
            files[row["gmt"]] = read_gmt(table.parent / row["gmt"])
        where = f"{table}, line {number}"
        _add(signatures, _signature(row, files.get(row["gmt"], {}), where, None), where)
    for gmt, own_table in user:
        gmt, sets = Path(gmt), read_gmt(gmt)
        for where, row in _user_rows(gmt, sets, own_table):
            if row["gmt"] != gmt.name:
                raise SignatureError(
                    f"{where}: column gmt of signature {row['name']} is '{row['gmt']}', but the "
                    f"table is given for {gmt.name}; correct one of them."
                )
            _add(signatures, _signature(row, sets, where, symbols), where)
    return signatures


def written(signatures: Mapping[str, Signature], *, gmt: str) -> tuple[str, str]:
    """Return a table and a GMT text from which `read_signatures` gives the same signatures.

    Parameters
    ----------
    gmt
        Name under which the GMT text will lie beside the table.
    """
    rows, lines = [], []
    for name, signature in signatures.items():
        texts = {
            column: getattr(signature, column, "")
            for column in SIGNATURE_COLUMNS
            if column not in {"required", "gmt"}
        }
        required = LIST_SEPARATOR.join(signature.required)
        rows.append(texts | {"required": required, "gmt": gmt})
        sides = {name: signature.up}
        if signature.direction == "updown":
            sides = {f"{name}_UP": signature.up, f"{name}_DN": signature.down}
        for side, genes in sides.items():
            lines.append("\t".join([side, signature.source or signature.title, *genes]))
    table = pd.DataFrame(rows, columns=list(SIGNATURE_COLUMNS))
    return table.to_csv(sep="\t", index=False, lineterminator="\n"), "\n".join(lines) + "\n"


def _add(signatures: dict[str, Signature], found: Signature, where: str) -> None:
    if found.name in signatures:
        raise SignatureError(
            f"{where}: a signature called {found.name} exists already; rename the set, names "
            "must differ over all files."
        )
    signatures[found.name] = found


def _user_rows(
    gmt: Path, sets: Mapping[str, tuple[str, ...]], table: str | Path
) -> list[tuple[str, dict[str, str]]]:
    if str(table):
        return [(f"{table}, line {number}", row) for number, row in _read_table(Path(table))]
    plain = dict.fromkeys(SIGNATURE_COLUMNS, "") | {
        "axis": USER_AXIS,
        "role": "secondary",
        "direction": "unknown",
        "kind": "given by the user",
        "source": gmt.name,
        "licence": "not stated",
        "confidence": "low",
        "gmt": gmt.name,
    }
    return [(f"GMT file {gmt}", plain | {"name": name, "title": name}) for name in sets]


def _read_table(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return line number and cells of every row."""
    try:
        frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SignatureError(f"Signature table {path} can't be read: {error}.") from error
    if b"\0" in path.read_bytes():
        raise SignatureError(f"Signature table {path} holds binary content; get it again.")
    absent = [column for column in SIGNATURE_COLUMNS if column not in frame]
    if absent:
        raise SignatureError(
            f"Signature table {path} lacks the column(s) {', '.join(absent)}; it must be "
            f"tab-separated with the columns {', '.join(SIGNATURE_COLUMNS)}."
        )
    frame = frame.apply(lambda column: column.str.strip())
    return list(enumerate(frame.to_dict("records"), start=2))


def _signature(
    row: dict[str, str],
    sets: Mapping[str, tuple[str, ...]],
    where: str,
    symbols: Symbols | None,
) -> Signature:
    name = row["name"]
    for column in NOT_EMPTY:
        if not row[column]:
            raise SignatureError(f"{where}: column {column} of signature '{name}' is empty.")
    for column, allowed in (
        ("role", ROLES),
        ("direction", DIRECTIONS),
        ("confidence", CONFIDENCES),
    ):
        if row[column] not in allowed:
            raise SignatureError(
                f"{where}: column {column} of signature {name} is '{row[column]}'; it must be "
                f"one of {', '.join(allowed)}."
            )
    parts = (f"{name}_UP", f"{name}_DN") if row["direction"] == "updown" else (name,)
    absent = [part for part in parts if part not in sets]
    if absent:
        raise SignatureError(
            f"{where}: the file {row['gmt']} holds no set called {' or '.join(absent)} "
            f"(direction {row['direction']}); its first sets are {', '.join(list(sets)[:5])}."
        )
    genes = [_approved(sets[part], symbols) for part in parts]
    for part, found in zip(parts, genes, strict=True):
        if not found:
            raise SignatureError(
                f"{where}: none of the {len(sets[part])} genes of {part} has an approved symbol, "
                f"e.g. {', '.join(sets[part][:5])}; signatures are given as gene symbols."
            )
    up, down = genes[0], genes[1] if len(genes) > 1 else ()
    both = sorted(set(up) & set(down))
    if both:
        raise SignatureError(
            f"{where}: {', '.join(both[:5])} of signature {name} are both up and down."
        )
    listed = [gene.strip() for gene in row["required"].split(LIST_SEPARATOR) if gene.strip()]
    required = _approved(listed, symbols)
    members = {*up, *down}
    missing = [gene for gene in listed if not members.intersection(_approved([gene], symbols))]
    if missing:
        raise SignatureError(
            f"{where}: the required gene(s) {', '.join(missing)} aren't in signature {name}."
        )
    texts = {field.name: row[field.name] for field in fields(Signature) if field.name in row} | {
        "required": required
    }
    return Signature(up=up, down=down, **texts)


def _approved(genes: Iterable[str], symbols: Symbols | None) -> tuple[str, ...]:
    if symbols is None:
        return tuple(genes)
    look_up = symbols.get if isinstance(symbols, Mapping) else symbols
    return tuple(dict.fromkeys(found for found in map(look_up, genes) if found))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def primary(signatures: Mapping[str, Signature]) -> dict[str, Signature]:
    """Return the signatures of role primary: those that verdicts and nulls are about."""
    return {name: one for name, one in signatures.items() if one.role == "primary"}


def without(signature: Signature, genes: Iterable[str]) -> Signature:
    """Return the signature without some genes, e.g. those of the ERBB2 amplicon.

    Raises
    ------
    SignatureError
        No gene would be left.
    """
    gone = frozenset(genes)
    up = tuple(gene for gene in signature.up if gene not in gone)
    down = tuple(gene for gene in signature.down if gene not in gone)
    if not up and not down:
        raise SignatureError(
            f"Signature {signature.name} would hold no gene without {', '.join(sorted(gone)[:5])}."
        )
    required = tuple(gene for gene in signature.required if gene not in gone)
    return replace(signature, up=up, down=down, required=required)


def affected(signature: Signature, genes: Iterable[str]) -> tuple[str, ...]:
    """Return the genes of the signature that `without` would take out, in its own order."""
    gone = frozenset(genes)
    return tuple(gene for gene in signature.genes if gene in gone)


def read_gene_filters(path: str | Path) -> dict[str, frozenset[str]]:
    """Read which genes lie near ERBB2, as the gene filters of the Effects table.

    Parameters
    ----------
    path
        TSV with the columns symbol, core and wide (yes or no).

    Returns
    -------
    dict
        `AMPLICON_CORE` and `AMPLICON_WIDE` to approved symbols, in this order.

    Raises
    ------
    SignatureError
        The file can't be read or lacks a column.
    """
    try:
        table = pd.read_csv(whole_text(path), sep="\t", dtype=str, keep_default_na=False)
        return {
            name: frozenset(table.loc[table[column] == "yes", "symbol"])
            for name, column in ((AMPLICON_CORE, "core"), (AMPLICON_WIDE, "wide"))
        }
    except KeyError as error:
        raise SignatureError(f"Amplicon table {path} lacks the column {error}.") from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise SignatureError(f"Amplicon table {path} can't be read: {error}.") from error


def overlap(signatures: Mapping[str, Signature]) -> pd.DataFrame:
    """Return the Jaccard index of every pair of signatures.

    ``|A & B| / |A | B|`` over all genes, up and down together: symmetric, 1 on the diagonal.

    Returns
    -------
    DataFrame
        Signatures x signatures, float64, in the given order.
    """
    sets = {name: frozenset(signature.genes) for name, signature in signatures.items()}
    rows = [
        [len(a & b) / len(a | b) if a or b else float("nan") for b in sets.values()]
        for a in sets.values()
    ]
    return pd.DataFrame(rows, index=list(sets), columns=list(sets), dtype=float)


@dataclass(frozen=True)
class Coverage:
    """What a cohort holds of a signature.

    Parameters
    ----------
    signature
        Name of the signature.
    n_genes, n_present
        Genes of the signature, and how many the cohort measured.
    missing
        Genes that the cohort didn't measure, in the signature's order.
    usable
        False: the score is shown and flagged, but left out of pools and verdicts.
    note
        Why it isn't usable; empty where it is.
    """

    signature: str
    n_genes: int
    n_present: int
    missing: tuple[str, ...]
    usable: bool
    note: str

    @property
    def fraction(self) -> float:
        """Share of the genes that are present, 0 to 1."""
        return self.n_present / self.n_genes

    def row(self, cohort: str) -> dict[str, object]:
        """Return a row of the Coverage table."""
        return {
            "cohort": cohort,
            "signature": self.signature,
            "n_genes": self.n_genes,
            "n_present": self.n_present,
            "fraction": self.fraction,
            "missing": LIST_SEPARATOR.join(self.missing),
            "usable": self.usable,
            "note": self.note,
        }


def coverage_of(
    signature: Signature,
    genes_present: Iterable[str],
    *,
    min_coverage: float = DEFAULT_MIN_COVERAGE,
) -> Coverage:
    """Say how much of a signature a cohort holds, and whether its score may be used.

    Usable means: at least `min_coverage` of the genes are present (a share equal to it is
    enough), in a two-sided signature on each side, and every required gene is present.

    Parameters
    ----------
    genes_present
        Approved symbols that the cohort measured.
    min_coverage
        Share of the genes, 0 to 1.
    """
    present = genes_present if isinstance(genes_present, set | frozenset) else set(genes_present)
    missing = tuple(gene for gene in signature.genes if gene not in present)
    reasons = []
    for side, genes in (("up", signature.up), ("down", signature.down)):
        found = sum(gene in present for gene in genes)
        # The product is compared, because 3 / 5 < 0.6 must not depend on rounding.
        if genes and found < min_coverage * len(genes) - 1e-9:
            which = f"{side} " if signature.down else ""
            reasons.append(
                f"only {found} of {len(genes)} {which}genes are measured, "
                f"below the share of {min_coverage:g}"
            )
    lacking = [gene for gene in signature.required if gene not in present]
    if lacking:
        reasons.append(f"the required gene {', '.join(lacking)} is not measured")
    return Coverage(
        signature=signature.name,
        n_genes=len(signature.genes),
        n_present=len(signature.genes) - len(missing),
        missing=missing,
        usable=not reasons,
        note="; ".join(reasons),
    )


def coverage(
    signatures: Mapping[str, Signature],
    genes_present: Iterable[str],
    *,
    cohort: str,
    min_coverage: float = DEFAULT_MIN_COVERAGE,
) -> pd.DataFrame:
    """Return the Coverage table of a cohort, one row per signature; see `coverage_of`."""
    present = set(genes_present)
    rows = [
        coverage_of(signature, present, min_coverage=min_coverage).row(cohort)
        for signature in signatures.values()
    ]
    return COVERAGE.conform(pd.DataFrame(rows, columns=list(COVERAGE.columns)))
