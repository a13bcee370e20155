"""Scores of cells that stay on disk: some thousand rows of an .h5ad file at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from cytostrat.errors import InputError

if TYPE_CHECKING:
    import h5py


def _text(group: h5py.Group, path: Path) -> np.ndarray:
    """Return the index of ``obs`` or ``var``."""
    import h5py

    if not isinstance(group, h5py.Group) or "_index" not in group.attrs:
        raise InputError(
            f"{path}: {group.name} has no named index; write the file with anndata 0.8 or later."
        )
    index = group[group.attrs["_index"]]
    if isinstance(index, h5py.Group):  # nullable strings
        index = index["values"]
    return index.asstr()[:] if h5py.check_string_dtype(index.dtype) else index[:].astype(str)


def gene_names(path: str | Path) -> np.ndarray:
    """Return the gene symbols of an .h5ad file (index of ``var``)."""
    import h5py  # costs every job 0.1 s, and few read from disk

    with h5py.File(path) as file:
        return _text(file["var"], Path(path))


def read_chunks(
    path: str | Path, *, layer: str | None = None, rows: int = 4096
) -> Iterator[tuple[np.ndarray, Any]]:
    """Read a matrix from an .h5ad file, some rows at a time.

    Parameters
    ----------
    path
        File with a dense or CSR matrix.
    layer
        Name in ``layers``; ``X`` if not given.
    rows
        Number of rows per chunk.

    Yields
    ------
    tuple
        Names of the rows, and the rows (array or CSR).

    Raises
    ------
    InputError
        The layer is absent, or the matrix is stored by columns.
    """
    import h5py

    path = Path(path)
    if rows < 1:
        raise InputError(f"{path} is to be read {rows} rows at a time; give 1 or more.")
    with h5py.File(path) as file:
        key = "X" if layer is None else f"layers/{layer}"
        if key not in file:
            raise InputError(f"{path} has no {key}; it has {', '.join(sorted(file))}.")
        names = _text(file["obs"], path)
        stored = file[key]
        if isinstance(stored, h5py.Dataset):
            for start in range(0, len(names), rows):
                yield names[start : start + rows], stored[start : start + rows]
            return
        encoding = stored.attrs.get("encoding-type")
        if encoding != "csr_matrix":
            raise InputError(
                f"{path} stores {key} as {encoding}; write it as CSR (rows together), so that "
                "cells can be read in turn."
            )
        n_genes = int(stored.attrs["shape"][1])
        indptr = stored["indptr"][:]
        for start in range(0, len(names), rows):
            stop = min(start + rows, len(names))
            span = slice(indptr[start], indptr[stop])
            content = (
                stored["data"][span],
                stored["indices"][span],
                indptr[start : stop + 1] - indptr[start],
            )
            yield names[start:stop], sparse.csr_matrix(content, shape=(stop - start, n_genes))
