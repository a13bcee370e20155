"""GEO: series matrix files and platform annotation.

A series matrix has one line per sample attribute, one column per sample. Characteristics are
``key: value`` texts whose key may differ from sample to sample within a line, so they are read
by their own key and never by their line. GEOparse reads SOFT families only, which hold the same
values as one table per sample and need several times the memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from cytostrat.errors import InputError
from cytostrat.readers.delimited import matrix_from_lines, table_from_lines
from cytostrat.readers.expression import Expression
from cytostrat.readers.text import open_text, split_line

GENE_COLUMNS = {
    "symbol": ("Gene symbol", "Gene Symbol", "Symbol", "SYMBOL", "GENE_SYMBOL", "ILMN_Gene"),
    "entrez": ("Gene ID", "ENTREZ_GENE_ID", "Entrez_Gene_ID", "Entrez Gene", "GENE"),
    "ensembl": ("Ensembl", "ENSEMBL_ID", "ENSEMBL"),
}
_ACCESSION = "geo_accession"
_SAMPLE = "!Sample_"
_CHARACTERISTICS = "characteristics_ch"
_TABLE = ("!series_matrix_table_begin", "!series_matrix_table_end")
_PLATFORM_TABLE = ("!platform_table_begin", "!platform_table_end")


def read_series_clinical(path: str | Path) -> pd.DataFrame:
    """Read the samples of a series matrix.

    Returns
    -------
    DataFrame
        One row per sample, texts. Columns: the attributes without ``!Sample_``
        (``geo_accession``, ``title``, ``source_name_ch1``, ...), a second line of the same
        attribute with `` (2)``, and every key of the characteristics; a characteristic named
        like an attribute, or a key given twice for one sample, gets a number too. A value without
        key is in ``characteristics``. What a sample does not have is ''.

    Raises
    ------
    InputError
        The file is no series matrix, or its lines differ in their number of samples.
    """
    attributes: list[tuple[str, list[str]]] = []
    with open_text(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.startswith(_TABLE[0]):
                break
            if line.startswith(_SAMPLE):
                name, *values = split_line(line, "\t")
                name = name.removeprefix(_SAMPLE)
                if attributes and len(values) != len(attributes[0][1]):
                    raise InputError(
                        f"{path}, line {number}: {name} has {len(values)} samples where "
                        f"{attributes[0][0]} has {len(attributes[0][1])}; the file is damaged, "
                        "get it again."
                    )
                attributes.append((name, [value.strip() for value in values]))
    if not any(name == _ACCESSION for name, _ in attributes):
        raise InputError(
            f"{path}: has no line !Sample_geo_accession, so it is no GEO series matrix; correct "
            "`format` in the cohort file, or give the file named *_series_matrix.txt.gz."
        )
    count = len(attributes[0][1])
    rows: list[dict[str, str]] = [{} for _ in range(count)]
    for wanted in (False, True):
        for name, values in attributes:
            if name.startswith(_CHARACTERISTICS) != wanted:
                continue
            channel = "" if name.endswith("ch1") else f" ({name[-3:]})"
            for row, text in zip(rows, values, strict=True):
                key, value = _characteristic(text, channel) if wanted else (name, text)
                if value:
                    row[_free(row, key)] = value
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    return table.where(table.notna(), "")


def _characteristic(text: str, channel: str) -> tuple[str, str]:
    key, mark, value = text.partition(":")
    if not mark:
        return f"characteristics{channel}", text
    return f"{key.strip()}{channel}", value.strip()


def _free(row: dict[str, str], key: str) -> str:
    if key not in row:
        return key
    return next(name for n in itertools.count(2) if (name := f"{key} ({n})") not in row)


def read_series_matrix(path: str | Path) -> Expression:
    """Read the expression table of a series matrix; samples are GSM accessions.

    Raises
    ------
    InputError
        The file has no table, an empty one (the values are then in a supplementary file), or
        one that is cut off.
    """
    with open_text(path) as stream:
        lines = _between(path, stream, _TABLE)
        header = next(lines, None)
        if header is None:
            raise InputError(
                f"{path}: has no table of values, so it is no GEO series matrix; correct `format` "
                "in the cohort file."
            )
        first = next(lines, None)
        if first is None:
            raise InputError(
                f"{path}: its table of values is empty, as for all sequencing series; give the "
                "series' supplementary table as expression.source with format: delimited."
            )
        return matrix_from_lines(
            path, itertools.chain([header, first], lines), delimiter="tab", id_column="ID_REF"
        )


def _between(
    path: str | Path, stream: Iterable[str], marks: tuple[str, str]
) -> Iterator[tuple[int, str]]:
    inside = False
    for number, line in enumerate(stream, start=1):
        if line.startswith(marks[1]):
            return
        if inside:
            yield number, line
        inside = inside or line.startswith(marks[0])
    if inside:
        raise InputError(f"{path}: ends without {marks[1]}, it is cut off; get it again.")


def read_annotation(
    path: str | Path, *, id_column: str = "ID", gene_column: str = "", gene_ids: str = "symbol",
    separator: str = "///",
) -> dict[str, str]:  # fmt: skip
    """Read the genes of a platform's probes.

    GEO's ``GPL*.annot`` files, SOFT platform tables and plain tables with ``#`` comments are
    understood.

    Parameters
    ----------
    path
        The platform's file.
    id_column, gene_column
        Names of the columns; an empty `gene_column` means the usual names for `gene_ids`.
    gene_ids
        symbol, entrez or ensembl.
    separator
        Text between several genes of one probe.

    Returns
    -------
    dict
        Probe to gene, '' for none; several genes stay joined by the separator (a gene named
        twice is one).

    Raises
    ------
    InputError
        A column is absent, or a probe occurs twice with different genes.
    """
    with open_text(path) as stream:
        head = list(itertools.islice(stream, 2000))
        soft = any(line.startswith(_PLATFORM_TABLE[0]) for line in head)
        lines: Iterable[str] = itertools.chain(head, stream)
        numbered = _between(path, lines, _PLATFORM_TABLE) if soft else enumerate(lines, start=1)
        table = table_from_lines(
            path, numbered, delimiter="tab" if soft else "auto", comment="" if soft else "#"
        )
    names = [gene_column] if gene_column else list(GENE_COLUMNS[gene_ids])
    gene = next((name for name in names if name in table), None)
    if id_column not in table or gene is None:
        absent = repr(id_column) if id_column not in table else " or ".join(map(repr, names))
        raise InputError(
            f"{path}: has no column {absent} (it has {', '.join(map(repr, table.columns[:8]))}); "
            "correct expression.annotation.id_column or gene_column in the cohort file."
        )
    out: dict[str, str] = {}
    for probe, text in zip(table[id_column].str.strip(), table[gene], strict=True):
        genes = dict.fromkeys(part.strip() for part in text.split(separator))
        value = separator.join(part for part in genes if part not in ("", "---"))
        if out.setdefault(probe, value) != value:
            raise InputError(
                f"{path}: the probe {probe!r} occurs twice with different genes; correct "
                "expression.annotation.id_column in the cohort file."
            )
    return out


def merge_annotations(parts: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the probes of several platforms; the first platform that knows a probe counts."""
    out: dict[str, str] = {}
    for part in parts:
        for probe, gene in part.items():
            out.setdefault(probe, gene)
    return out
