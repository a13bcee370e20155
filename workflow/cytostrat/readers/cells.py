"""Single-cell matrices: 10x Genomics folders and HDF5, and the archive of Wu et al. 2021.

Wu SZ et al., Nature Genetics 2021;53:1334-1347, doi:10.1038/s41588-021-00911-1 (GSE176078).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.readers import rows
from cytostrat.readers.delimited import read_clinical_table
from cytostrat.readers.expression import Expression
from cytostrat.readers.hdf5 import checked_sparse, opened
from cytostrat.readers.text import Member, drain, open_binary, open_text, pick, pick_all, split_line

if TYPE_CHECKING:
    from scipy.sparse import coo_array, csr_matrix

WU_FILES = {
    "matrix": ("count_matrix_sparse.mtx",),
    "genes": ("count_matrix_genes.tsv",),
    "barcodes": ("count_matrix_barcodes.tsv",),
    "metadata": ("metadata.csv",),
}
TENX_FILES = {
    "matrix": ("matrix.mtx",),
    "genes": ("features.tsv", "genes.tsv"),
    "barcodes": ("barcodes.tsv",),
}
_GENE_EXPRESSION = "Gene Expression"
_MARKET = ["%%MatrixMarket", "matrix", "coordinate"]


def read_wu2021(path: str | Path, *, stream: bool = False) -> Expression:
    """Read the counts of the GSE176078 archive, of a patient's archive, or of either unpacked.

    With `stream` a large matrix goes through temporary files instead of memory.

    Raises
    ------
    InputError
        A file is absent, or their numbers of cells or genes differ.
    """
    path = Path(path)
    files = pick_all(path, {key: WU_FILES[key] for key in ("matrix", "genes", "barcodes")})
    genes = [fields[0] for fields in _rows(files["genes"])]
    barcodes = [fields[0] for fields in _rows(files["barcodes"])]
    return Expression(
        values=_matrix(files["matrix"], len(genes), len(barcodes), stream=stream),
        samples=tuple(barcodes),
        genes=tuple(genes),
        file=str(path),
    )


def read_wu2021_clinical(path: str | Path) -> pd.DataFrame:
    """Read ``metadata.csv`` of the archive; the cell's name is the column ``barcode``."""
    file = pick(Path(path), WU_FILES["metadata"], "metadata")
    table = read_clinical_table(file, delimiter="comma")
    if table.columns[0] != "" or "orig.ident" not in table:
        raise InputError(
            f"{file}: has no unnamed first column or no column 'orig.ident', so it is no metadata "
            "of this archive; correct `format` in the cohort file."
        )
    return table.rename(columns={"": "barcode"})


def read_tenx(path: str | Path, *, gene_ids: str = "symbol", stream: bool = False) -> Expression:
    """Read a filtered matrix of Cell Ranger: a folder, its tar archive, or HDF5.

    Features other than gene expression (antibodies, guides) are left out and counted.

    Parameters
    ----------
    path
        Folder with ``matrix.mtx``, ``features.tsv`` (before version 3 ``genes.tsv``) and
        ``barcodes.tsv``, gzip or not; or the ``.h5`` file.
    gene_ids
        ``ensembl`` takes the first column of the features, ``symbol`` the second.
    stream
        Whether a large matrix stays on disk or goes through temporary files.

    Raises
    ------
    InputError
        A file is absent or of another layout, or numbers of cells or genes differ.
    """
    path = Path(path)
    if path.is_file() and _is_hdf5(path):
        values, features, barcodes = _tenx_hdf5(path, stream=stream)
    else:
        files = pick_all(path, TENX_FILES)
        features = pd.DataFrame(_rows(files["genes"]))
        if features.shape[1] < 2:
            raise InputError(
                f"{files['genes']}: has one column where 10x writes id and name; correct `format` "
                "in the cohort file."
            )
        if features.isna().to_numpy().any():
            raise InputError(
                f"{files['genes']}: its rows have unequal numbers of fields; it is damaged, get it "
                "again."
            )
        barcodes = [fields[0] for fields in _rows(files["barcodes"])]
        values = _matrix(files["matrix"], len(features), len(barcodes), stream=stream)
    notes: tuple[str, ...] = ()
    if features.shape[1] > 2:
        genes = (features[2] == _GENE_EXPRESSION).to_numpy()
        if not genes.all():
            notes = (f"{int((~genes).sum())} features that are no genes left out",)
            values, features = values[:, np.flatnonzero(genes)], features[genes]
    return Expression(
        values=values,
        samples=tuple(barcodes),
        genes=tuple(features[0 if gene_ids == "ensembl" else 1]),
        file=str(path),
        warnings=notes,
    )


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(8) == b"\x89HDF\r\n\x1a\n"


def _tenx_hdf5(
    path: Path, *, stream: bool
) -> tuple[csr_matrix | rows.Rows, pd.DataFrame, list[str]]:
    import scanpy
    from scipy import sparse

    with opened(path, "HDF5 of 10x Genomics"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        found = _tenx_on_disk(path) if stream else None
        if found is not None:
            return found
        cells = scanpy.read_10x_h5(path, gex_only=False)
        values = sparse.csr_matrix(checked_sparse(cells.X), dtype=np.float32)
        features = {0: list(cells.var["gene_ids"]), 1: list(cells.var_names)}
        if "feature_types" in cells.var:
            features[2] = list(cells.var["feature_types"])
        return values, pd.DataFrame(features), list(cells.obs_names)


def _tenx_on_disk(path: Path) -> tuple[rows.Rows, pd.DataFrame, list[str]] | None:
    """Return a large matrix of Cell Ranger 3 or later without reading it; None for any other."""
    import h5py

    file = h5py.File(path, "r")
    matrix = file.get("matrix")
    if matrix is None or "features" not in matrix or matrix["data"].size < rows.IN_MEMORY:
        file.close()
        return None

    def texts(name: str) -> list[str]:
        return [value.decode() for value in matrix[name][:]]

    n_genes, n_cells = (int(n) for n in matrix["shape"][:])
    values = rows.compressed(
        matrix["data"], matrix["indices"], matrix["indptr"][:], n_genes, file=str(path)
    )
    features = pd.DataFrame({0: texts("features/id"), 1: texts("features/name")})
    if "feature_type" in matrix["features"]:
        features[2] = texts("features/feature_type")
    barcodes = texts("barcodes")
    if (len(barcodes), len(features)) != (n_cells, n_genes) or len(values) != n_cells:
        raise InputError(
            f"{path}: has {n_cells} cells and {n_genes} features, but names {len(barcodes)} and "
            f"{len(features)}; it is damaged, get it again."
        )
    return values, features, barcodes


def _rows(file: Path | Member) -> list[list[str]]:
    with open_text(file) as stream:
        return [split_line(line, "\t") for line in stream if line.strip()]


def _matrix(
    file: Path | Member, n_genes: int, n_cells: int, *, stream: bool
) -> csr_matrix | rows.Rows:
    """Read a MatrixMarket file of genes x cells as cells x genes."""
    from scipy import sparse

    n_rows, columns, entries = _declared(file)
    if (n_rows, columns) != (n_genes, n_cells):
        raise InputError(
            f"{file}: has {n_rows} genes x {columns} cells, but the lists beside it have {n_genes} "
            f"and {n_cells}; get the files again, all of one sample."
        )
    # memory for all entries is taken before the first one is read
    if entries > n_rows * columns:
        raise InputError(
            f"{file}: declares {entries} entries for {n_rows} x {columns} values; it is damaged, "
            "get it again."
        )
    with open_binary(file) as content:
        if stream and entries >= rows.IN_MEMORY:
            _skip_head(content)
            found = rows.spooled(
                content, n_genes=n_genes, n_cells=n_cells, entries=entries, file=str(file)
            )
            drain(content)
            return found
        matrix = _market(file, content)
        drain(content)
    return sparse.csr_matrix(matrix.T.astype(np.float32))


def _declared(file: Path | Member) -> tuple[int, int, int]:
    """Return rows, columns and entries that the head of a MatrixMarket file declares."""
    with open_text(file) as stream:
        first = stream.readline().split()
        line = next((line for line in stream if line.strip() and not line.startswith("%")), "")
    numbers = line.split()
    if first[:3] != _MARKET or len(numbers) != 3 or not all(map(str.isdecimal, numbers)):
        raise InputError(
            f"{file}: can't be read as a MatrixMarket file of a sparse matrix (it starts with "
            f"{' '.join(first)[:60]!r}); get it again, or correct `format` in the cohort file."
        )
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def _skip_head(content: IO[bytes]) -> None:
    """Read comments and the line of the numbers of rows, columns and entries."""
    line = content.readline()
    while line.startswith(b"%") or not line.strip():
        line = content.readline()


def _market(file: Path | Member, stream: IO[bytes]) -> coo_array:
    from scipy import io

    try:
        return io.mmread(stream, spmatrix=False).tocoo()
    except (ValueError, OverflowError, AttributeError, MemoryError) as error:
        raise InputError(
            f"{file}: can't be read as a MatrixMarket file ({str(error).strip()[:80]}); get it "
            "again, or correct `format` in the cohort file."
        ) from None
