"""Cell files (.h5ad) read and written a block of rows at a time.

`anndata` in backed mode leaves only ``X`` on disk and reads every layer; here the layer with the
counts stays on disk too, so that memory does not grow with the number of cells.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from cytostrat.errors import InputError
from cytostrat.tables import storable, whole, write_cohort

CHUNK = 4000
_ROWS_STORED = 1 << 16


@dataclass(frozen=True)
class CellFile:
    """An open cell file.

    Parameters
    ----------
    counts
        Cells x genes; slices of rows come as CSR, nothing else is in memory.
    values
        The same on the log2 scale, or None where the file holds counts only.
    obs
        Canonical columns, one row per cell.
    genes
        Approved symbols.
    provenance
        What harmonise wrote down.
    """

    counts: Any
    values: Any
    obs: pd.DataFrame
    genes: list[str]
    provenance: dict[str, Any]


@contextlib.contextmanager
def open_cells(path: str | Path) -> Iterator[CellFile]:
    """Open a Cohort table of cells without reading its matrices.

    Raises
    ------
    InputError
        The file has no layer ``counts``, or it is not stored by rows.
    """
    import h5py
    from anndata.io import read_elem, sparse_dataset

    with h5py.File(path, "r") as file:
        if "layers" not in file or "counts" not in file["layers"]:
            raise InputError(
                f"{path}: holds no counts, which cells are analysed from; declare `scale: counts` "
                "and give the file with counts."
            )
        stored = {"counts": file["layers/counts"], "values": file.get("X")}
        for name, item in stored.items():
            if item is None or dict(item.attrs).get("encoding-type") == "csr_matrix":
                continue
            raise InputError(
                f"{path}: the {name} are stored as "
                f"{item.attrs.get('encoding-type', 'an unknown kind')}; cells are read by rows, so "
                "write them as CSR."
            )
        text = file["uns/provenance"][()] if "uns/provenance" in file else b"{}"
        yield CellFile(
            counts=sparse_dataset(stored["counts"]),
            values=None if stored["values"] is None else sparse_dataset(stored["values"]),
            obs=read_elem(file["obs"]),
            genes=[str(gene) for gene in read_elem(file["var"]).index],
            provenance=json.loads(text.decode() if isinstance(text, bytes) else text),
        )


def blocks(
    counts: Any, *, start: int = 0, stop: int | None = None, chunk: int = CHUNK
) -> Iterator[tuple[int, sparse.csr_matrix]]:
    """Yield (first row, rows as CSR) of a matrix in memory or on disk.

    Parameters
    ----------
    counts
        CSR matrix, dense array, or what `open_cells` gives.
    start, stop
        Range of rows; `stop` None means the end. Jobs of a scatter take one range each.
    chunk
        Rows per block.
    """
    stop = counts.shape[0] if stop is None else min(stop, counts.shape[0])
    for first in range(start, stop, chunk):
        yield first, _csr(counts[first : min(first + chunk, stop)])


def take(counts: Any, positions: np.ndarray) -> sparse.csr_matrix:
    """Return some rows as CSR; from disk in runs of neighbours, since single rows are slow."""
    positions = np.asarray(positions)
    order = np.argsort(positions, kind="stable")
    ordered = positions[order]
    breaks = np.flatnonzero(np.diff(ordered) > 64) + 1
    parts = []
    for run in np.split(ordered, breaks):
        if len(run):
            part = _csr(counts[int(run[0]) : int(run[-1]) + 1])
            parts.append(part[run - run[0]])
    if not parts:
        return sparse.csr_matrix((0, counts.shape[1]), dtype=np.float32)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return sparse.vstack(parts, format="csr")[back]


def ranges(n_cells: int, n_jobs: int) -> list[tuple[int, int]]:
    """Split rows into at most `n_jobs` ranges of nearly the same length."""
    edges = np.linspace(0, n_cells, max(1, min(n_jobs, n_cells)) + 1).round().astype(int)
    return [(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def part_of(n_cells: int, part: int, n_jobs: int) -> tuple[int, int]:
    """Return the range of one job of a scatter; jobs beyond the number of cells get none."""
    found = ranges(n_cells, n_jobs)
    return found[part] if part < len(found) else (n_cells, n_cells)


def _csr(rows: Any) -> sparse.csr_matrix:
    return sparse.csr_matrix(rows)


def write_cells(
    path: str | Path,
    counts: Iterable[sparse.csr_matrix],
    obs: pd.DataFrame,
    genes: list[str],
    provenance: Mapping[str, Any],
    *,
    values: Iterable[sparse.csr_matrix] | None = None,
) -> None:
    """Write a Cohort table of cells from blocks of rows, whole or not at all.

    Parameters
    ----------
    path
        The .h5ad file.
    counts
        Blocks in the order of `obs`; float32.
    obs, genes, provenance
        As in a Cohort table.
    values
        The same blocks on the log2 scale, written as ``X``.

    Raises
    ------
    InputError
        The blocks have another number of rows than `obs`, or of columns than `genes`.
    """
    import h5py
    from anndata.io import write_elem

    path = Path(path)
    with whole(path) as part, h5py.File(part, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        shape = (len(obs), len(genes))
        for name in ("layers", "obsm", "obsp", "varm", "varp"):
            write_elem(file, name, {})
        _write_rows(file, "layers/counts", counts, shape, path)
        if values is not None:
            _write_rows(file, "X", values, shape, path)
        write_elem(file, "obs", storable(obs))
        write_elem(file, "var", pd.DataFrame(index=pd.Index(genes, name="symbol")))
        text = json.dumps(dict(provenance), sort_keys=True)
        write_elem(file, "uns", {"provenance": text})


def _write_rows(
    file: Any, name: str, rows: Iterable[sparse.csr_matrix], shape: tuple[int, int], path: Path
) -> None:
    group = file.create_group(name)
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
    group.attrs["shape"] = shape
    stored = {
        "data": group.create_dataset(
            "data", (0,), "f4", maxshape=(None,), chunks=(_ROWS_STORED,), compression="lzf"
        ),
        "indices": group.create_dataset(
            "indices", (0,), "i4", maxshape=(None,), chunks=(_ROWS_STORED,), compression="lzf"
        ),
    }
    ends = [np.zeros(1, dtype=np.int64)]
    total = n_rows = 0
    for block in rows:
        if block.shape[1] != shape[1] or n_rows + block.shape[0] > shape[0]:
            raise InputError(f"{path}: a block of {block.shape} does not fit a matrix of {shape}.")
        for key, dataset in stored.items():
            dataset.resize((total + block.nnz,))
            dataset[total:] = getattr(block, key)
        ends.append(block.indptr[1:].astype(np.int64) + total)
        total += block.nnz
        n_rows += block.shape[0]
    if n_rows != shape[0]:
        raise InputError(f"{path}: {n_rows} rows were written, but there are {shape[0]} cells.")
    group.create_dataset("indptr", data=np.concatenate(ends))


def write_cell_scores(
    path: str | Path,
    obs: pd.DataFrame,
    scores: Mapping[str, pd.DataFrame],
    provenance: Mapping[str, Any],
    *,
    drawn: np.ndarray | None = None,
    coordinates: np.ndarray | None = None,
) -> None:
    """Write the per-cell results (.h5ad without a matrix).

    Parameters
    ----------
    path
        The file.
    obs
        Canonical columns and cell types.
    scores
        Method to cells x signatures; stored in ``obsm`` under the method's name.
    provenance
        As in a Cohort table.
    drawn, coordinates
        Rows of the cells in the picture and where they lie; stored as ``obsm["X_umap"]``, NaN
        for cells that are not drawn.
    """
    import anndata

    cells = anndata.AnnData(obs=obs)
    for method, frame in scores.items():
        cells.obsm[method] = frame.set_axis(obs.index, axis=0)
    if drawn is not None and coordinates is not None:
        placed = np.full((len(obs), 2), np.nan, dtype=np.float32)
        placed[drawn] = coordinates
        cells.obsm["X_umap"] = placed
    cells.uns["provenance"] = dict(provenance)
    write_cohort(cells, path)


def write_streamed(cohort: Any, path: str | Path) -> None:
    """Write a harmonised cohort whose matrices are not in memory (`counts`, `X`: `Rows`)."""
    obs = cohort.obs.copy()
    for column in obs.select_dtypes(object):
        # a name per cell stays a text; what repeats is stored once
        if obs[column].nunique() < len(obs):
            obs[column] = obs[column].astype("category")
    write_cells(
        path,
        cohort.counts.blocks(CHUNK),
        obs,
        list(cohort.var.index),
        cohort.uns["provenance"],
        values=cohort.X.blocks(CHUNK),
    )


def keep_cells(
    cells: CellFile,
    keep: np.ndarray,
    path: str | Path,
    obs: pd.DataFrame,
    *,
    warnings: Sequence[str] = (),
) -> None:
    """Write the cells that are kept, block by block; `obs` has one row for each of them.

    `warnings` are added to those of the provenance.
    """
    provenance = dict(cells.provenance)
    provenance["warnings"] = [*provenance.get("warnings", []), *warnings]

    def kept(matrix: Any) -> Iterator[sparse.csr_matrix]:
        for first, block in blocks(matrix):
            yield block[keep[first : first + block.shape[0]]]

    write_cells(
        path,
        kept(cells.counts),
        obs,
        cells.genes,
        provenance,
        values=None if cells.values is None else kept(cells.values),
    )
