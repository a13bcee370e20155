"""Delimited text: matrices with genes in rows or columns, and clinical tables."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.readers.expression import Expression, narrow
from cytostrat.readers.text import Member, delimiter_of, open_text, split_line

MISSING_NUMBERS = ("", "NA", "NaN", "nan", "N/A", "n/a", "na", "NULL", "null", "--", "#N/A", ".")
_CELLS_PER_BLOCK = 1_000_000
_PROBE_LINES = 12
_ENSEMBL = re.compile(r"ENSG\d{11}")
# measured on every platform, and the name of no sample
_EVERYWHERE = frozenset({"ACTB", "ERBB2", "ESR1", "GAPDH", "TP53"})


def read_matrix(
    path: str | Path | Member,
    *,
    delimiter: str = "auto",
    decimal: str = ".",
    comment: str = "",
    genes_in_rows: bool = True,
    id_column: str = "",
    drop_columns: Sequence[str] = (),
) -> Expression:
    """Read a matrix of numbers with one column of ids.

    The file is read in blocks of whole lines; a line whose number of fields differs from the
    header's is an error, so a file that was cut off is never padded. A header that lacks the
    name of the id column (as R writes it) is understood.

    Parameters
    ----------
    path
        Text file, compressed or not.
    delimiter
        auto, tab, comma, semicolon, pipe or space.
    decimal
        Decimal mark.
    comment
        Lines that start with this text are left out.
    genes_in_rows
        Whether a row is a gene (otherwise a sample).
    id_column
        Column with the id of a row; the first where empty.
    drop_columns
        Columns that are neither samples nor genes.

    Raises
    ------
    InputError
        A value is no number, a line has too many or too few fields, or a named column does not
        exist.
    """
    with open_text(path) as stream:
        return matrix_from_lines(
            path,
            enumerate(stream, start=1),
            delimiter=delimiter,
            decimal=decimal,
            comment=comment,
            genes_in_rows=genes_in_rows,
            id_column=id_column,
            drop_columns=drop_columns,
        )


def matrix_from_lines(
    path: str | Path | Member,
    numbered_lines: Iterable[tuple[int, str]],
    *,
    delimiter: str = "auto",
    decimal: str = ".",
    comment: str = "",
    genes_in_rows: bool = True,
    id_column: str = "",
    drop_columns: Sequence[str] = (),
) -> Expression:
    """Read a matrix from numbered lines of a file that holds other things too.

    See `read_matrix`; `path` is named in messages only.
    """
    header, lines, mark = _header(path, numbered_lines, delimiter, comment)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{path}: has a header but no rows; get the file again.")
    if len(header) == len(split_line(first[1], mark)) - 1:
        header = ["", *header]
    if id_column and id_column not in map(str.strip, header):
        fields = (split_line(line, mark)[0] for _, line in chain([first], lines))
        if _are_genes(header if genes_in_rows else fields):
            where, turned = ("columns", "rows") if genes_in_rows else ("rows", "columns")
            raise InputError(
                f"{path}: has no column {id_column!r}, which id_column names, and genes in its "
                f"{where}; turn expression.orientation round in the cohort file, from "
                f"genes_in_{turned} to genes_in_{where}, and correct id_column."
            )
    id_at, keep = _columns(path, header, id_column, drop_columns)
    ids: list[str] = []
    blocks: list[np.ndarray] = []
    for numbers, block in _blocks(path, chain([first], lines), mark, len(header)):
        found = _parse_flat(block, mark, decimal, len(header), id_at, keep)
        if found is None:
            frame = _parse(path, "".join(block), mark, decimal, len(header), id_at)
            names = [str(name) for name in frame[id_at]]
            found = names, _numbers(path, frame, keep, id_at, header, numbers)
        ids += found[0]
        blocks.append(narrow(found[1]))
    names = tuple(header[column] for column in keep)
    values = _join(blocks)
    if genes_in_rows:
        values, samples, genes = np.ascontiguousarray(values.T), names, tuple(ids)
    else:
        samples, genes = tuple(ids), names
    return Expression(values=values, samples=samples, genes=genes, file=str(path))


def read_clinical_table(
    path: str | Path | Member, *, delimiter: str = "auto", comment: str = ""
) -> pd.DataFrame:
    """Read a table of texts; nothing is read as missing and no value changes.

    Returns
    -------
    DataFrame
        One column of texts per column of the file; see `numbered` for its name.

    Raises
    ------
    InputError
        A line has more fields than the header.
    """
    with open_text(path) as stream:
        return table_from_lines(
            path, enumerate(stream, start=1), delimiter=delimiter, comment=comment
        )


def table_from_lines(
    path: str | Path | Member,
    numbered_lines: Iterable[tuple[int, str]],
    *,
    delimiter: str = "auto",
    comment: str = "",
) -> pd.DataFrame:
    """Read a table of texts from numbered lines; see `read_clinical_table`."""
    header, lines, mark = _header(path, numbered_lines, delimiter, comment)
    rows: list[list[str]] = []
    for number, line in lines:
        fields = _fields(path, number, line, mark)
        if not rows and len(fields) == len(header) + 1:
            header = ["", *header]
        if len(fields) != len(header):
            raise InputError(
                f"{path}, line {number}: has {len(fields)} fields where the header has "
                f"{len(header)}; the file is cut off or damaged, or the separator is another."
            )
        rows.append(fields)
    if not rows:
        raise InputError(f"{path}: has a header but no rows; get the file again.")
    return pd.DataFrame(rows, columns=numbered(header), dtype=object)


def _fields(path: str | Path | Member, number: int, line: str, mark: str) -> list[str]:
    """Split one line; a quotation mark that is not closed is a mere mark between tabs."""
    if line.count('"') % 2:
        if mark == "\t":
            return line.rstrip("\n").split(mark)
        raise InputError(
            f"{path}, line {number}: a quotation mark is not closed, or a field holds a line "
            "break; correct the line."
        )
    return split_line(line, mark)


def numbered(header: Sequence[str]) -> list[str]:
    """Return column names without stray blanks; one given twice becomes two, (1) and (2)."""
    names = [name.strip() for name in header]
    given = Counter(names)
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(f"{name} ({seen[name]})" if given[name] > 1 else name)
    return out


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].removeprefix("Error tokenizing data. C error: ")


def _header(
    path: str | Path | Member,
    numbered_lines: Iterable[tuple[int, str]],
    delimiter: str,
    comment: str,
) -> tuple[list[str], Iterator[tuple[int, str]], str]:
    """Return the header's fields, the numbered lines after it, and the separator."""
    lines = (
        (number, line)
        for number, line in numbered_lines
        if line.strip() and not (comment and line.startswith(comment))
    )
    probe = list(islice(lines, _PROBE_LINES))
    if not probe:
        raise InputError(f"{path}: holds no lines of data; get the file again.")
    mark = delimiter_of(path, [line for _, line in probe], delimiter)
    return split_line(probe[0][1], mark), chain(probe[1:], lines), mark


def _are_genes(names: Iterable[str]) -> bool:
    """Tell whether names are symbols or Ensembl ids of genes, by genes that none leaves out."""
    found = {name.strip() for name in names}
    n_ensembl = sum(bool(_ENSEMBL.match(name)) for name in found)
    return len(found & _EVERYWHERE) >= 2 or 2 * n_ensembl > len(found)


def _columns(
    path: str | Path | Member, header: list[str], id_column: str, drop_columns: Sequence[str]
) -> tuple[int, list[int]]:
    stripped = [name.strip() for name in header]
    known, dropped = set(stripped), set(drop_columns)
    for name in [id_column, *drop_columns]:
        if name and name not in known:
            raise InputError(
                f"{path}: has no column {name!r} (its first are {', '.join(stripped[:5])}); "
                "correct id_column or drop_columns in the cohort file."
            )
    id_at = stripped.index(id_column) if id_column else 0
    keep = [
        column for column, name in enumerate(stripped) if column != id_at and name not in dropped
    ]
    if not keep:
        raise InputError(
            f"{path}: has one column only; give the separator as `delimiter` in the cohort file."
        )
    return id_at, keep


def _blocks(
    path: str | Path | Member, lines: Iterator[tuple[int, str]], mark: str, width: int
) -> Iterator[tuple[list[int], list[str]]]:
    """Group lines into blocks and check that each has the header's number of fields."""
    size = max(1, _CELLS_PER_BLOCK // width)
    numbers: list[int] = []
    texts: list[str] = []
    for number, line in lines:
        plain = mark != " " and '"' not in line
        fields = line.count(mark) + 1 if plain else len(split_line(line, mark))
        if fields != width:
            raise InputError(
                f"{path}, line {number}: has {fields} fields where the header has {width}; the "
                "file is cut off or damaged, get it again."
            )
        numbers.append(number)
        texts.append(line if line.endswith("\n") else line + "\n")
        if len(texts) == size:
            yield numbers, texts
            numbers, texts = [], []
    if texts:
        yield numbers, texts


def _parse_flat(
    lines: list[str], mark: str, decimal: str, width: int, id_at: int, keep: list[int]
) -> tuple[list[str], np.ndarray] | None:
    """Parse all numbers of a block as one column, twice as fast as thousands of short ones.

    None where this does not apply (quotes, columns between the numbers) or fails: `_parse`
    then reads the block and says what is wrong.
    """
    lead = width - len(keep)
    if mark == " " or keep[0] != lead or any('"' in line for line in lines):
        return None
    ids, numbers = [], []
    for line in lines:
        *fields, rest = line.split(mark, lead)
        ids.append(fields[id_at])
        numbers.append(rest)
    text = "".join(numbers).replace(mark, "\n")
    try:
        column = pd.read_csv(
            io.StringIO(text),
            sep="\t",
            decimal=decimal,
            header=None,
            dtype=np.float64,
            na_values=list(MISSING_NUMBERS),
            keep_default_na=False,
            skip_blank_lines=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError):
        return None
    if column.shape != (len(ids) * len(keep), 1):
        return None
    return ids, column.to_numpy().reshape(len(ids), len(keep))


def _parse(
    path: str | Path | Member, block: str, mark: str, decimal: str, width: int, id_at: int
) -> pd.DataFrame:
    try:
        return pd.read_csv(
            io.StringIO(block),
            sep=r"\s+" if mark == " " else mark,
            decimal=decimal,
            header=None,
            names=range(width),
            dtype={id_at: str},
            na_values={column: MISSING_NUMBERS for column in range(width) if column != id_at},
            keep_default_na=False,
            skip_blank_lines=False,
            low_memory=False,
        )
    except (pd.errors.ParserError, ValueError) as error:
        raise InputError(f"{path}: can't be read as a table ({_first_line(error)}).") from None


def _numbers(
    path: str | Path | Member,
    frame: pd.DataFrame,
    keep: list[int],
    id_at: int,
    header: list[str],
    numbers: list[int],
) -> np.ndarray:
    for column in keep:
        if frame.dtypes[column].kind in "Ob":
            values = frame[column].astype(str)
            wrong = pd.to_numeric(values, errors="coerce").isna() & frame[column].notna()
            row = int(np.flatnonzero(wrong)[0]) if wrong.any() else 0
            raise InputError(
                f"{path}, line {numbers[row]}: column {header[column]!r} of row "
                f"{frame[id_at].iloc[row]!r} holds {values.iloc[row]!r}, which is no number; list "
                "columns that are no samples under drop_columns, or check separator, decimal mark "
                "and orientation in the cohort file."
            )
    return frame[keep].to_numpy(dtype=np.float64)


def _join(blocks: list[np.ndarray]) -> np.ndarray:
    """Stack blocks without holding them all twice."""
    kind = np.result_type(*(block.dtype for block in blocks))
    out = np.empty((sum(map(len, blocks)), blocks[0].shape[1]), dtype=kind)
    start = 0
    while blocks:
        block = blocks.pop(0)
        out[start : start + len(block)] = block
        start += len(block)
    return out
