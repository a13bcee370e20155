"""AnnData files (.h5ad), and what every HDF5 file is checked for before it is read.

An HDF5 file may point to other files, declare far more than it holds, or hold objects; none of
this is data that a checksum of the file covers, so it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.readers import rows
from cytostrat.readers.expression import Expression, narrow

if TYPE_CHECKING:
    import h5py
    from anndata import AnnData
    from scipy.sparse import csc_matrix, csr_matrix

DEEPEST = 32
MOST_OBJECTS = 100_000
# deflate packs at most 1032 to 1
MOST_PACKED = 2000
SMALL = 1 << 26


@contextmanager
def opened(path: str | Path, what: str) -> Iterator[None]:
    """Check an HDF5 file, and turn whatever reading it raises into one sentence.

    Raises
    ------
    InputError
        The file is absent, no HDF5, damaged, of another layout, points to other files, holds
        objects, or declares more values than can be stored in it.
    """
    import h5py

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; correct the path in the cohort file.")
    try:
        with h5py.File(path, "r") as file:
            _check(path, file)
        yield
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - h5py and anndata raise many kinds for a bad file
        raise InputError(
            f"{path}: can't be read as {what} ({type(error).__name__}); it is cut off, damaged or "
            "of another format, so get it again or correct `format` in the cohort file."
        ) from None


def _check(path: str | Path, file: h5py.File) -> None:
    import h5py

    todo: list[tuple[h5py.Group, int]] = [(file, 0)]
    count = 0
    while todo:
        group, depth = todo.pop()
        count += len(group)
        if depth > DEEPEST or count > MOST_OBJECTS:
            raise InputError(
                f"{path}: holds more than {MOST_OBJECTS} parts or {DEEPEST} levels, which no "
                "matrix needs; export the matrix alone."
            )
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(
                    f"{path}: its part {group.name}/{name} is a link, which a checksum of the file "
                    "does not cover; write the values into the file itself."
                )
            item = group[name]
            if isinstance(item, h5py.Group):
                todo.append((item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                _check_values(path, item)


def _check_values(path: str | Path, values: h5py.Dataset) -> None:
    import h5py

    if values.is_virtual or values.external:
        raise InputError(
            f"{path}: the values of {values.name} lie in another file, which a checksum of this "
            "one does not cover; write them into the file itself."
        )
    kind = values.dtype.kind
    is_text = h5py.check_string_dtype(values.dtype) is not None
    is_record = values.dtype.names is not None
    if kind not in "biufS" and not is_text and not is_record:
        raise InputError(
            f"{path}: {values.name} holds objects ({values.dtype}), not numbers or texts; export "
            "the matrix without them."
        )
    declared = values.size * values.dtype.itemsize if values.size else 0
    stored = values.id.get_storage_size()
    if declared > SMALL + MOST_PACKED * stored:
        raise InputError(
            f"{path}: {values.name} declares {values.shape} values in {stored} bytes; it is "
            "damaged or was never filled, get it again."
        )


def checked_sparse(values: csr_matrix | csc_matrix) -> csr_matrix | csc_matrix:
    """Return a sparse matrix whose indices were compared with its shape.

    Raises
    ------
    ValueError
        An index is outside the matrix; what scipy compiled would read beyond its memory.
    """
    values.check_format(full_check=True)
    return values


def _open(path: str | Path) -> AnnData:
    import anndata

    return anndata.read_h5ad(path, backed="r")


def read_h5ad_matrix(path: str | Path, *, layer: str = "X", stream: bool = False) -> Expression:
    """Read one matrix of an .h5ad file: ``X``, ``raw`` or the name of a layer.

    With `stream` a large CSR matrix stays on disk.

    Raises
    ------
    InputError
        The file can't be read or has no such layer.
    """
    with opened(path, ".h5ad"):
        found = _on_disk(path, layer) if stream else None
        if found is not None:
            return found
        cohort = _open(path)
        try:
            return _layer(path, cohort, layer)
        finally:
            cohort.file.close()


def _on_disk(path: str | Path, layer: str) -> Expression | None:
    """Return a large CSR matrix of an .h5ad file without reading it; None for any other."""
    import h5py
    from anndata.io import read_elem

    file = h5py.File(path, "r")
    names, place = file["var"], "raw/X" if layer == "raw" else layer
    if layer == "raw" and "raw" in file:
        names = file["raw/var"]
    elif layer != "X":
        place = f"layers/{layer}"
    matrix = file.get(place)
    encoding = "" if matrix is None else matrix.attrs.get("encoding-type", "")
    if encoding != "csr_matrix" or matrix["data"].size < rows.IN_MEMORY:
        file.close()
        return None
    genes = tuple(map(str, read_elem(names).index))
    samples = tuple(map(str, read_elem(file["obs"]).index))
    shape = tuple(int(n) for n in matrix.attrs["shape"])
    if shape != (len(samples), len(genes)):
        raise InputError(
            f"{path}: its matrix {layer!r} is {' x '.join(map(str, shape))}, but it names "
            f"{len(samples)} samples and {len(genes)} genes; it is damaged, write it again."
        )
    values = rows.compressed(
        matrix["data"], matrix["indices"], matrix["indptr"][:], len(genes), file=str(path)
    )
    return Expression(values=values, samples=samples, genes=genes, file=str(path))


def _layer(path: str | Path, cohort: AnnData, layer: str) -> Expression:
    from scipy import sparse

    names = cohort.var_names
    if layer == "X":
        values = cohort.X
    elif layer == "raw" and cohort.raw is not None:
        values, names = cohort.raw.X, cohort.raw.var_names
    elif layer in cohort.layers:
        values = cohort.layers[layer]
    else:
        known = ", ".join(
            ["X", *(["raw"] if cohort.raw is not None else []), *filter(None, cohort.layers)]
        )
        raise InputError(
            f"{path}: has no layer {layer!r} (it has {known}); correct expression.layer in the "
            "cohort file."
        )
    values = values[:] if hasattr(values, "shape") else values
    if values.shape != (cohort.n_obs, len(names)):
        raise InputError(
            f"{path}: its matrix {layer!r} is {' x '.join(map(str, values.shape))}, but it names "
            f"{cohort.n_obs} samples and {len(names)} genes; it is damaged, write it again."
        )
    if sparse.issparse(values):
        values = sparse.csr_matrix(checked_sparse(values))
    else:
        values = narrow(np.asarray(values, dtype=np.float64))
    return Expression(
        values=values,
        samples=tuple(map(str, cohort.obs_names)),
        genes=tuple(map(str, names)),
        file=str(path),
    )


def read_h5ad_clinical(path: str | Path) -> pd.DataFrame:
    """Read ``obs`` as a table of texts; the sample name is the column ``obs_names``."""
    import h5py
    from anndata.io import read_elem

    with opened(path, ".h5ad"), h5py.File(path, "r") as file:
        # anndata would read every layer with it, also in backed mode
        table = read_elem(file["obs"])
    out = pd.DataFrame({"obs_names": table.index.astype(str)})
    for column in table:
        values = table[column].astype(object)
        out[str(column)] = values.where(values.notna(), "").map(str).to_numpy()
    return out
