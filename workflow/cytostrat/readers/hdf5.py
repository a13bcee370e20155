"""AnnData files (.h5ad)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.readers.expression import Expression, narrow


def _open(path: str | Path):
    import anndata

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; correct the path in the cohort file.")
    try:
        return anndata.read_h5ad(path, backed="r")
    except Exception as error:  # noqa: BLE001 - h5py and anndata raise many kinds for a bad file
        raise InputError(
            f"{path}: can't be read as .h5ad ({type(error).__name__}); it is cut off, damaged or "
            "of another format, so get it again or correct `format` in the cohort file."
        ) from None


def read_h5ad_matrix(path: str | Path, *, layer: str = "X") -> Expression:
    """Read one matrix of an .h5ad file: ``X``, ``raw`` or the name of a layer.

    Raises
    ------
    InputError
        The file can't be read or has no such layer.
    """
    from scipy import sparse

    cohort = _open(path)
    try:
        names = cohort.var_names
        if layer == "X":
            values = cohort.X
        elif layer == "raw" and cohort.raw is not None:
            values, names = cohort.raw.X, cohort.raw.var_names
        elif layer in cohort.layers:
            values = cohort.layers[layer]
        else:
            known = ", ".join(["X", *(["raw"] if cohort.raw is not None else []), *cohort.layers])
            raise InputError(
                f"{path}: has no layer {layer!r} (it has {known}); correct expression.layer in the "
                "cohort file."
            )
        values = values[:] if hasattr(values, "shape") else values
        if sparse.issparse(values):
            values = sparse.csr_matrix(values)
        else:
            values = narrow(np.asarray(values, dtype=np.float64))
        return Expression(
            values=values,
            samples=tuple(map(str, cohort.obs_names)),
            genes=tuple(map(str, names)),
            file=str(path),
        )
    finally:
        cohort.file.close()


def read_h5ad_clinical(path: str | Path) -> pd.DataFrame:
    """Read ``obs`` as a table of texts; the sample name is the column ``obs_names``."""
    cohort = _open(path)
    try:
        table = cohort.obs.copy()
    finally:
        cohort.file.close()
    out = pd.DataFrame({"obs_names": table.index.astype(str)})
    for column in table:
        values = table[column].astype(object)
        out[str(column)] = values.where(values.notna(), "").map(str).to_numpy()
    return out
