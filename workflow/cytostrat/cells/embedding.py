"""Coordinates for a picture of the cells: a seeded UMAP of at most a stated number of them.

A picture, not a measurement: distances between groups in it mean little.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cytostrat.cells.profiles import Profile
from cytostrat.cells.storage import take

MAX_CELLS = 20_000


def choose_cells(
    patients: Sequence[str],
    cell_types: Sequence[str | None],
    *,
    max_cells: int = MAX_CELLS,
    seed: int = 0,
) -> np.ndarray:
    """Return the rows of the cells that are drawn, in ascending order.

    All cells where there are no more than `max_cells`. Otherwise every patient and type keeps
    its share (rounded up, so that none vanishes), the rest is drawn by chance from `seed`.
    """
    keys = pd.DataFrame({"patient": list(patients), "type": list(cell_types)}, dtype=object)
    if len(keys) <= max_cells:
        return np.arange(len(keys))
    rng = np.random.default_rng(seed)
    groups = keys.fillna("").groupby(["patient", "type"], sort=True).indices
    share = max_cells / len(keys)
    picked = [
        rng.choice(rows, size=int(np.ceil(share * len(rows))), replace=False)
        for rows in groups.values()
    ]
    return np.sort(np.concatenate(picked))


def labelled(obs: pd.DataFrame, labels: pd.DataFrame, depth: pd.DataFrame) -> pd.DataFrame:
    """Return the canonical columns with the cell types of the analysis, counts and genes.

    The labels as the cohort gives them move to ``given_cell_type`` and ``given_cell_subtype``.
    """
    given = {name: f"given_{name}" for name in ("cell_type", "cell_subtype") if name in obs}
    out = obs.rename(columns=given)
    for frame in (labels, depth):
        for column in frame:
            out[column] = frame[column].to_numpy()
    return out


def drawn_cells(
    obs: pd.DataFrame,
    profile: Profile,
    rows: np.ndarray,
    coordinates: np.ndarray,
    *,
    signatures: Sequence[str],
) -> pd.DataFrame:
    """Return what the picture shows of each drawn cell.

    Parameters
    ----------
    obs
        What `labelled` returned.
    profile
        Scores of all cells.
    rows, coordinates
        What `choose_cells` and `umap` returned.
    signatures
        Signatures whose scores (first method) are kept.

    Returns
    -------
    pandas.DataFrame
        x, y, patient, cell_type, and one column per signature that was scored.
    """
    scores = next(iter(profile.scores.values()))
    kept = [name for name in signatures if name in scores]
    out = pd.DataFrame({"x": coordinates[:, 0], "y": coordinates[:, 1]}).astype(float)
    for column in ("patient", "cell_type"):
        out[column] = obs[column].astype(object).to_numpy()[rows]
    return pd.concat([out, scores[kept].iloc[rows].reset_index(drop=True).astype(float)], axis=1)


def umap(
    counts: Any,
    rows: np.ndarray,
    *,
    n_genes: int = 2000,
    n_components: int = 30,
    n_neighbours: int = 15,
    seed: int = 0,
) -> np.ndarray:
    """Return two coordinates per chosen cell.

    Counts per 10,000 are logged, the `n_genes` most variable genes reduced to `n_components`
    principal components, and these laid out by UMAP (doi:10.21105/joss.00861) from exact
    nearest neighbours, so that `seed` alone decides. In one thread, however many cores there
    are: scanpy's compiled sums take a part per thread, and their last digits with it.

    Parameters
    ----------
    counts
        Cells x genes, in memory or from `cytostrat.cells.storage.open_cells`.
    rows
        Cells to draw, in ascending order.

    Returns
    -------
    numpy.ndarray
        Shape (len(rows), 2), float32; zeros where there are too few cells for a layout (below
        `n_neighbours` + 2).
    """
    if len(rows) < n_neighbours + 2:
        return np.zeros((len(rows), 2), dtype=np.float32)
    import anndata
    import scanpy
    from sklearn.neighbors import KNeighborsTransformer

    with warnings.catch_warnings(), _one_thread():
        # scanpy warns of its own deprecations
        warnings.simplefilter("ignore")
        cells = anndata.AnnData(take(counts, rows).astype(np.float32))
        measured = np.asarray((cells.X > 0).sum(axis=0)).ravel() >= min(3, len(rows))
        cells = cells[:, measured].copy()
        scanpy.pp.normalize_total(cells, target_sum=1e4)
        scanpy.pp.log1p(cells)
        if cells.n_vars > n_genes:
            scanpy.pp.highly_variable_genes(cells, n_top_genes=n_genes)
            cells = cells[:, cells.var["highly_variable"]].copy()
        size = min(n_components, cells.n_obs - 1, cells.n_vars - 1)
        scanpy.pp.pca(cells, n_comps=size, random_state=seed)
        scanpy.pp.neighbors(
            cells,
            n_neighbors=n_neighbours,
            use_rep="X_pca",
            transformer=KNeighborsTransformer(n_neighbors=n_neighbours),
            random_state=seed,
        )
        scanpy.tl.umap(cells, random_state=seed)
    return np.asarray(cells.obsm["X_umap"], dtype=np.float32)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Keep BLAS, OpenMP and numba to one thread inside."""
    import numba
    from threadpoolctl import threadpool_limits

    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        numba.set_num_threads(before)
