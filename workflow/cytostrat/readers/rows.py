"""Matrices of cells that stay on disk: slices of rows come as CSR, nothing else is in memory.

Below `IN_MEMORY` stored values a matrix is read as a whole; above it `Rows` takes its place.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from cytostrat.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

IN_MEMORY = 20_000_000
CHUNK = 4000
ENTRIES = 4_000_000


class Rows:
    """Samples (or cells) x genes, read a range of rows at a time.

    Parameters
    ----------
    read
        First and last row (exclusive) to these rows.
    shape
        Number of rows and columns.
    """

    def __init__(self, read: Callable[[int, int], csr_matrix], shape: tuple[int, int]) -> None:
        self.read = read
        self.shape = shape

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """Return a slice of rows as CSR; chosen rows or columns as another `Rows`."""
        if isinstance(key, slice):
            start, stop, _ = key.indices(self.shape[0])
            return self.read(start, max(start, stop))
        if isinstance(key, tuple):
            columns = np.asarray(key[1])
            return self.mapped(lambda block, _: block[:, columns], len(columns))
        return self._taken(np.asarray(key))

    def mapped(self, change: Callable[[csr_matrix, slice], csr_matrix], n_columns: int) -> Rows:
        """Return the rows changed block by block; `change` gets a block and which rows it is."""
        return Rows(
            lambda start, stop: change(self.read(start, stop), slice(start, stop)),
            (self.shape[0], n_columns),
        )

    def _taken(self, positions: np.ndarray) -> Rows:
        """Return rows at ascending positions."""

        def read(start: int, stop: int) -> csr_matrix:
            own = positions[start:stop]
            if not len(own):
                return self.read(0, 0)
            return self.read(int(own[0]), int(own[-1]) + 1)[own - own[0]]

        return Rows(read, (len(positions), self.shape[1]))

    def blocks(self, chunk: int = CHUNK) -> Iterator[csr_matrix]:
        """Yield all rows, `chunk` at a time."""
        for start in range(0, self.shape[0], chunk):
            yield self.read(start, min(start + chunk, self.shape[0]))


def stacked(parts: Sequence[Any]) -> Rows:
    """Return matrices of the same columns, in memory or not, as one."""
    edges = np.cumsum([0, *(part.shape[0] for part in parts)])

    def read(start: int, stop: int) -> csr_matrix:
        from scipy import sparse

        found = [
            sparse.csr_matrix(part[max(start - first, 0) : min(stop, last) - first])
            for part, first, last in zip(parts, edges[:-1], edges[1:], strict=True)
            if first < stop and last > start
        ]
        return sparse.csr_matrix(sparse.vstack(found)) if found else _empty(parts[0].shape[1])

    return Rows(read, (int(edges[-1]), parts[0].shape[1]))


def _empty(n_columns: int) -> csr_matrix:
    from scipy import sparse

    return sparse.csr_matrix((0, n_columns), dtype=np.float32)


def compressed(data: Any, indices: Any, indptr: np.ndarray, n_columns: int, *, file: str) -> Rows:
    """Return rows whose values and column numbers lie on disk (HDF5 or a mapped file).

    Parameters
    ----------
    data, indices
        Anything whose slices are arrays.
    indptr
        Where each row begins, and the end.
    n_columns
        Number of columns.
    file
        Name used in messages.

    Raises
    ------
    InputError
        At once where `indptr` does not fit; on reading where a column number does not, or where
        the file can't be read.
    """
    from scipy import sparse

    indptr = np.asarray(indptr).astype(np.int64)
    n_stored = data.shape[0]
    if (
        not len(indptr) or indptr[0] != 0 or indptr[-1] != n_stored
        or indices.shape[0] != n_stored or (np.diff(indptr) < 0).any()
    ):  # fmt: skip
        raise InputError(f"{file}: its rows do not fit its values; it is damaged, get it again.")

    def read(start: int, stop: int) -> csr_matrix:
        low, high = int(indptr[start]), int(indptr[stop])
        try:
            values = np.array(data[low:high], dtype=np.float32)
            columns = np.asarray(indices[low:high])
        except Exception as error:  # noqa: BLE001 - h5py raises many kinds for a bad file
            raise InputError(
                f"{file}: can't be read ({type(error).__name__}); it is cut off or damaged, get it "
                "again."
            ) from None
        if len(columns) and (columns.min() < 0 or columns.max() >= n_columns):
            raise InputError(
                f"{file}: has values of a column beyond its {n_columns}; it is damaged, get it "
                "again."
            )
        block = sparse.csr_matrix(
            (values, columns.astype(np.int32), (indptr[start : stop + 1] - low).astype(np.int32)),
            shape=(stop - start, n_columns),
        )
        block.sum_duplicates()
        return block

    return Rows(read, (len(indptr) - 1, n_columns))


def spooled(stream: IO[bytes], *, n_genes: int, n_cells: int, entries: int, file: str) -> Rows:
    """Bring the entries of a MatrixMarket file into the order of cells, in temporary files.

    Parameters
    ----------
    stream
        The file after its head: one entry (gene, cell, value) per line, numbered from 1.
    n_genes, n_cells, entries
        What the head declares.
    file
        Name used in messages.

    Raises
    ------
    InputError
        An entry is no three numbers or outside the matrix, or there are more or fewer of them.
    """
    genes, cells, values = Scratch("i4"), Scratch("i4"), Scratch("f4")
    per_cell = np.zeros(n_cells, dtype=np.int64)
    done, ordered, last = 0, True, -1
    for gene, cell, value in _entries(stream, file):
        stop = done + len(gene)
        outside = gene.min() < 0 or gene.max() >= n_genes or cell.min() < 0 or cell.max() >= n_cells
        if stop > entries or outside:
            what = "an entry outside the matrix" if outside else f"more than {entries} entries"
            raise InputError(f"{file}: has {what} that its head declares; get it again.")
        for scratch, numbers in ((genes, gene), (cells, cell), (values, value)):
            scratch.add(numbers)
        per_cell += np.bincount(cell, minlength=n_cells)
        ordered = ordered and cell[0] >= last and bool((np.diff(cell) >= 0).all())
        done, last = stop, cell[-1]
    if done != entries:
        raise InputError(f"{file}: ends after {done} of {entries} entries; get it again.")
    indptr = np.concatenate([[0], np.cumsum(per_cell)])
    if not ordered:
        genes, values = _by_cell(genes, cells, values, indptr)
    return compressed(values, genes, indptr, n_genes, file=file)


def _entries(stream: IO[bytes], file: str) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the entries, numbered from 0."""
    import pandas as pd

    try:
        parts = pd.read_csv(
            stream,
            sep=r"\s+",
            header=None,
            names=["gene", "cell", "value"],
            dtype={"gene": np.int32, "cell": np.int32, "value": np.float32},
            comment="%",
            chunksize=ENTRIES,
        )
        for part in parts:
            gene, cell, value = (part[name].to_numpy() for name in part)
            if np.isnan(value).any():
                raise ValueError("an entry has no value")
            yield gene - 1, cell - 1, value
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{file}: can't be read as a MatrixMarket file ({str(error).strip()[:80]}); get it "
            "again, or correct `format` in the cohort file."
        ) from None


def _by_cell(
    genes: Scratch, cells: Scratch, values: Scratch, indptr: np.ndarray
) -> tuple[np.memmap, np.memmap]:
    """Put the entries of each cell together, in their order in the file."""
    n = genes.shape[0]
    to_genes, to_values = _mapped("i4", n), _mapped("f4", n)
    free = indptr[:-1].copy()
    for start in range(0, n, ENTRIES):
        part = slice(start, min(start + ENTRIES, n))
        order = np.argsort(cells[part], kind="stable")
        cell = cells[part][order]
        first = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])
        count = np.diff(np.r_[first, len(cell)])
        place = np.repeat(free[cell[first]] - first, count) + np.arange(len(cell))
        to_genes[place] = genes[part][order]
        to_values[place] = values[part][order]
        free[cell[first]] += count
    return to_genes, to_values


class Scratch:
    """Numbers in a temporary file: added at the end, read by slices, gone when nobody needs them.

    Parameters
    ----------
    kind
        Type of the numbers.
    """

    def __init__(self, kind: str) -> None:
        self.kind = np.dtype(kind)
        self.file = tempfile.TemporaryFile(prefix="cytostrat-")  # noqa: SIM115 - lives on
        weakref.finalize(self, self.file.close)
        self.shape = (0,)

    def add(self, values: np.ndarray) -> None:
        """Write numbers at the end."""
        self.file.write(np.ascontiguousarray(values, dtype=self.kind).data)
        self.shape = (self.shape[0] + len(values),)

    def __getitem__(self, key: slice) -> np.ndarray:
        """Read a slice."""
        start, stop, _ = key.indices(self.shape[0])
        size = self.kind.itemsize
        self.file.flush()
        found = os.pread(self.file.fileno(), (stop - start) * size, start * size)
        return np.frombuffer(found, dtype=self.kind)


def _mapped(kind: str, n: int) -> np.memmap:
    with tempfile.TemporaryFile(prefix="cytostrat-") as file:
        return np.memmap(file, dtype=kind, mode="w+", shape=(n,))
