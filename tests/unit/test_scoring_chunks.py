"""Cells scored from disk equal cells scored in memory, whatever the chunk."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cytostrat.errors import InputError, ScoringError
from cytostrat.scoring import score, score_chunks


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    rng = np.random.default_rng(12)
    counts = rng.poisson(0.4, size=(53, 90)).astype(np.float32)
    folder = tmp_path_factory.mktemp("cells")
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(53)])
    var = pd.DataFrame(index=[f"G{i}" for i in range(90)])
    whole = ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=var)
    whole.layers["dense"] = np.log1p(counts)
    whole.layers["columns"] = sparse.csc_matrix(counts)
    whole.write_h5ad(folder / "cells.h5ad", compression="gzip")
    return folder / "cells.h5ad", whole


SETS = {"up": (["G1", "G5", "G80"], []), "both": (["G2", "G3"], ["G7", "ABSENT"])}


@pytest.mark.parametrize("rows", [1, 20, 53, 1000])
@pytest.mark.parametrize(("layer", "threads"), [(None, 1), ("dense", 2)])
@pytest.mark.parametrize("method", ["ucell", "ssgsea"])
def test_chunks_change_no_score(cells, rows, layer, threads, method):
    path, whole = cells
    found = pd.concat(
        score_chunks(path, SETS, method=method, rows=rows, layer=layer, threads=threads)
    )
    matrix = whole.X if layer is None else whole.layers[layer]
    wanted = score(matrix, list(whole.var_names), SETS, method=method, samples=whole.obs_names)
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)


def test_what_cannot_be_read_in_parts_is_refused(cells):
    path, _ = cells
    with pytest.raises(ScoringError, match="'gsva' compares samples"):
        next(score_chunks(path, SETS, method="gsva"))
    with pytest.raises(InputError, match="csc_matrix"):
        next(score_chunks(path, SETS, method="ucell", layer="columns"))
    with pytest.raises(InputError, match="has no layers/counts"):
        next(score_chunks(path, SETS, method="ucell", layer="counts"))
    with pytest.raises(InputError, match="0 rows at a time"):
        next(score_chunks(path, SETS, method="ucell", rows=0))
