"""The archive layout of GSE176078 (Wu 2021, doi:10.1038/s41588-021-00911-1).

A ``.tar.gz``, ``.tar`` or folder that holds, in one folder of any name,

* ``count_matrix_sparse.mtx``: Matrix Market, genes x cells, counts;
* ``count_matrix_genes.tsv``: one gene per row of the matrix;
* ``count_matrix_barcodes.tsv``: one cell per column of the matrix;
* ``metadata.csv``: one row per cell, the cell's name in a first column without a name.

Each file may be gzipped. The same four files describe one patient or all 26.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pandas as pd
from scipy import sparse

from cytostrat.errors import InputError
from cytostrat.readers.expression import Expression

MATRIX = "count_matrix_sparse.mtx"
GENES = "count_matrix_genes.tsv"
BARCODES = "count_matrix_barcodes.tsv"
METADATA = "metadata.csv"
CELL_COLUMN = "cell"
ENTRIES_PER_BLOCK = 4_000_000


def read_wu2021_matrix(path: str | Path, *, member: str = "") -> Expression:
    """Read the counts, cells x genes.

    Parameters
    ----------
    path
        Archive or folder.
    member
        Folder inside it, where it holds several.

    Returns
    -------
    Expression
        CSR float32, cells in the order of the barcodes. The matrix is read in blocks, so that
        the peak is little above the 8 bytes per entry of the result.

    Raises
    ------
    InputError
        A file is absent, cut off, of another layout, or does not fit the others.
    """
    with _Bundle.opened(path, member) as bundle:
        genes = bundle.lines(GENES)
        cells = bundle.lines(BARCODES)
        values = _matrix(bundle, len(genes), len(cells))
    return Expression(
        values=values, samples=tuple(cells), genes=tuple(genes), file=f"{path}: {bundle.folder}"
    )


def read_wu2021_clinical(path: str | Path, *, member: str = "") -> pd.DataFrame:
    """Read the metadata as a table of texts; the cell's name is the column ``cell``.

    Raises
    ------
    InputError
        As `read_wu2021_matrix`; also where the first column has a name.
    """
    with _Bundle.opened(path, member) as bundle, bundle.stream(METADATA) as stream:
        try:
            table = pd.read_csv(stream, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise InputError(f"{bundle.name(METADATA)}: can't be read as CSV ({error}).") from None
    first = str(table.columns[0])
    if not first.startswith("Unnamed:"):
        raise InputError(
            f"{bundle.name(METADATA)}: the first column is named {first!r}, but in this layout it "
            "has no name and holds the cells; use format delimited for another table."
        )
    return table.rename(columns={first: CELL_COLUMN})


class _Bundle:
    """The four files, wherever they lie."""

    def __init__(self, path: str | Path, names: list[str], member: str) -> None:
        self.path = path
        self.folder, self.names = _choose(path, names, member)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: str | Path, member: str) -> Iterator[_Bundle]:
        path = Path(path)
        try:
            if path.is_dir():
                files = sorted(file for file in path.rglob("*") if file.is_file())
                yield _Folder(path, [file.relative_to(path).as_posix() for file in files], member)
                return
            with tarfile.open(path, "r:*") as archive:
                yield _Archive(path, archive, member)
        except FileNotFoundError:
            raise InputError(
                f"{path}: no such file; correct the path in the cohort file."
            ) from None
        except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.ReadError) as error:
            raise InputError(
                f"{path}: can't be read as a tar archive ({error}); it is cut off, damaged or "
                "of another format, so get it again or correct `format` in the cohort file."
            ) from None

    def name(self, file: str) -> str:
        """Return a file's name for messages."""
        return f"{self.path}: {self.names[file]}"

    def raw(self, name: str) -> IO[bytes]:
        raise NotImplementedError

    @contextlib.contextmanager
    def stream(self, file: str) -> Iterator[IO[bytes]]:
        with self.raw(self.names[file]) as raw:
            if self.names[file].endswith(".gz"):
                with gzip.open(raw) as plain:
                    yield plain
            else:
                yield raw

    def lines(self, file: str) -> list[str]:
        """Return the first field of every line."""
        with self.stream(file) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig")
            found = [line.split("\t")[0].strip().strip('"') for line in text]
            text.detach()
        while found and not found[-1]:
            found.pop()
        if not found:
            raise InputError(f"{self.name(file)}: the file is empty; get the archive again.")
        return found


class _Folder(_Bundle):
    def raw(self, name: str) -> IO[bytes]:
        return Path(self.path, name).open("rb")


class _Archive(_Bundle):
    def __init__(self, path: str | Path, archive: tarfile.TarFile, member: str) -> None:
        self.archive = archive
        super().__init__(
            path, [item.name for item in archive.getmembers() if item.isfile()], member
        )

    def raw(self, name: str) -> IO[bytes]:
        stream = self.archive.extractfile(name)
        if stream is None:
            raise InputError(f"{self.path}: {name} is no plain file; get the archive again.")
        return stream


def _choose(path: str | Path, names: list[str], member: str) -> tuple[str, dict[str, str]]:
    """Return the folder and, of each of the four files, the full name."""
    folders: dict[str, dict[str, str]] = {}
    for name in names:
        plain = PurePosixPath(name.removesuffix(".gz"))
        if plain.name in (MATRIX, GENES, BARCODES, METADATA):
            folders.setdefault(str(plain.parent), {})[plain.name] = name
    if member:
        folders = {
            folder: files
            for folder, files in folders.items()
            if PurePosixPath(folder).name == member or folder == member
        }
    whole = {folder: files for folder, files in folders.items() if len(files) == 4}
    if len(whole) == 1:
        return next(iter(whole.items()))
    if whole:
        raise InputError(
            f"{path}: holds {len(whole)} data sets ({', '.join(sorted(whole)[:5])}); name one as "
            "`member` in the cohort file, or give each its own cohort file."
        )
    found = sorted({file for files in folders.values() for file in files})
    absent = [file for file in (MATRIX, GENES, BARCODES, METADATA) if file not in found]
    where = f"in the folder {member!r} " if member else ""
    raise InputError(
        f"{path}: {', '.join(absent) or 'one of the four files'} is not {where}there; the layout "
        f"needs {MATRIX}, {GENES}, {BARCODES} and {METADATA} in one folder, and it holds "
        f"{', '.join(names[:5]) or 'nothing'}."
    )


def _matrix(bundle: _Bundle, n_genes: int, n_cells: int) -> sparse.csr_matrix:
    where = bundle.name(MATRIX)
    with bundle.stream(MATRIX) as stream:
        rows, columns, n_entries, is_integer = _header(stream, where)
        if (rows, columns) != (n_genes, n_cells):
            raise InputError(
                f"{where}: has {rows} rows and {columns} columns, but there are {n_genes} genes "
                f"and {n_cells} barcodes; the files are not of one data set."
            )
        genes = np.empty(n_entries, dtype=np.int32)
        values = np.empty(n_entries, dtype=np.float32)
        per_cell = np.zeros(n_cells + 1, dtype=np.int64)
        at, last = 0, 0
        for block in _blocks(stream, where, is_integer):
            end = at + len(block)
            gene, cell = block["gene"].to_numpy(), block["cell"].to_numpy()
            if end > n_entries:
                raise InputError(f"{where}: has more than the {n_entries} entries it announces.")
            if (
                not (gene.min() >= 1 and gene.max() <= n_genes and cell.min() >= 1)
                or cell.max() > n_cells
            ):
                raise InputError(f"{where}: an entry lies outside the matrix; get it again.")
            if cell[0] < last or (np.diff(cell) < 0).any():
                raise InputError(
                    f"{where}: entries are not sorted by cell, which this layout promises; write "
                    "it anew column by column."
                )
            last = int(cell[-1])
            genes[at:end] = gene - 1
            values[at:end] = block["value"].to_numpy()
            per_cell += np.bincount(cell, minlength=n_cells + 1)
            at = end
    if at < n_entries:
        raise InputError(
            f"{where}: is cut off, it announces {n_entries} entries and has {at}; get it again."
        )
    matrix = sparse.csr_matrix((values, genes, np.cumsum(per_cell)), shape=(n_cells, n_genes))
    matrix.sort_indices()
    return matrix


def _header(stream: IO[bytes], where: str) -> tuple[int, int, int, bool]:
    banner = stream.readline().decode("ascii", errors="replace").lower().split()
    if banner[:3] != ["%%matrixmarket", "matrix", "coordinate"] or banner[4:5] != ["general"]:
        raise InputError(
            f"{where}: starts with {' '.join(banner)[:60]!r}, which is no general sparse Matrix "
            "Market file; get it again."
        )
    if banner[3] not in ("integer", "real"):
        raise InputError(f"{where}: holds {banner[3]} entries; counts are integer or real.")
    line = stream.readline()
    while line.startswith(b"%"):
        line = stream.readline()
    size = line.split()
    if len(size) != 3 or not all(part.isdigit() for part in size):
        raise InputError(f"{where}: has no line with its size; get it again.")
    n_rows, n_columns, n_entries = map(int, size)
    return n_rows, n_columns, n_entries, banner[3] == "integer"


def _blocks(stream: IO[bytes], where: str, is_integer: bool) -> Iterator[pd.DataFrame]:
    try:
        yield from pd.read_csv(
            stream,
            sep=" ",
            header=None,
            names=["gene", "cell", "value"],
            dtype={
                "gene": np.int32,
                "cell": np.int32,
                "value": np.int32 if is_integer else np.float32,
            },
            chunksize=ENTRIES_PER_BLOCK,
            index_col=False,
        )
    except pd.errors.EmptyDataError:
        return
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(
            f"{where}: a line is not gene, cell and count ({error}); it is cut off or damaged, get "
            "it again."
        ) from None
