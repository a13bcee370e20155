"""Matrices of cells that stay on disk give what they give in memory, and damage is one sentence."""

from __future__ import annotations

import gzip
import io

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from cytostrat import cells, cohortfile, tables
from cytostrat.errors import InputError
from cytostrat.genes import read_index
from cytostrat.harmonise import Streamed, harmonise
from cytostrat.readers import read_clinical, read_expression, rows

# H2AFZ is the former symbol of H2AZ1, so two columns become one
GENES = ["IL1B", "TGFB1", "ERBB2", "ESR1", "MT-CO1", "H2AFZ", "H2AZ1", "nonsense", "CD3E"]
N_CELLS = 57


@pytest.fixture(scope="module")
def index(repository):
    return read_index(repository / "resources/gene_ids.tsv.gz")


def counts(n_cells=N_CELLS):
    values = np.random.default_rng(n_cells).poisson(0.8, (n_cells, len(GENES)))
    values[:, 0] += 1
    return values.astype(np.float32)


def market(path, values, order=None):
    """Write a folder as Cell Ranger does; entries lie in the order of cells unless told."""
    path.mkdir(parents=True)
    cell, gene = np.nonzero(values)
    order = np.arange(len(cell)) if order is None else order(len(cell))
    lines = [f"{gene[i] + 1} {cell[i] + 1} {int(values[cell[i], gene[i]])}" for i in order]
    head = f"%%MatrixMarket matrix coordinate integer general\n%\n{len(GENES)} {len(values)} "
    text = f"{head}{len(lines)}\n" + "".join(f"{line}\n" for line in lines)
    (path / "matrix.mtx.gz").write_bytes(gzip.compress(text.encode()))
    features = "".join(f"ENSG{i}\t{gene}\tGene Expression\n" for i, gene in enumerate(GENES))
    (path / "features.tsv").write_text(features)
    (path / "barcodes.tsv").write_text("".join(f"{path.name}{i}\n" for i in range(len(values))))
    return path


def h5ad(path, values):
    cohort = anndata.AnnData(
        sparse.csr_matrix(values), obs=pd.DataFrame(index=_names(path, values)),
        var=pd.DataFrame(index=GENES),
    )  # fmt: skip
    cohort.write_h5ad(path)
    return path


def tenx_hdf5(path, values):
    matrix = sparse.csr_matrix(values)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"] = matrix.data.astype(np.int32), matrix.indices
        group["indptr"], group["shape"] = matrix.indptr, np.array(matrix.shape[::-1])
        group["barcodes"] = np.array(_names(path, values), dtype="S")
        features = group.create_group("features")
        features["id"], features["name"] = np.array(GENES, dtype="S"), np.array(GENES, dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * len(GENES), dtype="S")
        features["genome"] = np.array(["GRCh38"] * len(GENES), dtype="S")
    return path


def _names(path, values):
    return [f"{path.stem}{i}" for i in range(len(values))]


def shuffled(n):
    return np.random.default_rng(1).permutation(n)


MAKERS = {
    "by cell": (market, "tenx", {}),
    "shuffled": (market, "tenx", {"order": shuffled}),
    "10x hdf5": (tenx_hdf5, "tenx", {}),
    "h5ad": (h5ad, "h5ad", {}),
}


def cohort_of(folder, kind, *, scale="counts"):
    """Write two files of a cohort, of which one cell is left out, and return its cohort file."""
    make, form, options = MAKERS[kind]
    suffix = {"10x hdf5": ".h5", "h5ad": ".h5ad"}.get(kind, "")
    sizes = {"a": N_CELLS, "b": 8}
    files = [make(folder / f"{name}{suffix}", counts(n), **options) for name, n in sizes.items()]
    known = [*(f"a{i}" for i in range(N_CELLS)), *(f"b{i}" for i in range(7))]
    clinical = pd.DataFrame({"cell": known, "patient": [f"P{i % 3}" for i in range(len(known))]})
    clinical.to_csv(folder / "cells.csv", index=False)
    spec = {
        "schema_version": 1, "name": "streamed", "title": "t", "kind": "single_cell",
        "citation": "c", "licence": "MIT", "platform": "p", "namespace": "N",
        "sampling": {"design": "convenience"},
        "expression": {"source": [file.name for file in files], "format": form,
                       "gene_ids": "symbol", "scale": scale},
        "clinical": [{"name": "cells", "source": "cells.csv",
                      "join": {"column": "cell", "to": "sample"}}],
        "sample_to_patient": {"rule": "column", "table": "cells", "column": "patient"},
        "columns": {"batch": "patient", "sample_type": {"constant": "primary"},
                    "sex": {"constant": "female"}},
    }  # fmt: skip
    path = folder / "streamed.yaml"
    path.write_text(yaml.safe_dump(spec), encoding="utf-8")
    return cohortfile.load(path, environ={})


def harmonised(spec, index):
    expression = read_expression(spec["files"], spec, stream=True)
    return harmonise(expression, read_clinical(spec["files"], spec), spec, index)


@pytest.fixture
def streaming(monkeypatch):
    monkeypatch.setattr(rows, "IN_MEMORY", 1)
    monkeypatch.setattr(rows, "ENTRIES", 13)
    monkeypatch.setattr(cells.storage, "CHUNK", 10)


@pytest.mark.parametrize("kind", MAKERS)
def test_on_disk_as_in_memory(tmp_path, index, kind, request):
    spec = cohort_of(tmp_path, kind)
    whole, flow = harmonised(spec, index)
    request.getfixturevalue("streaming")
    streamed, flow_too = harmonised(spec, index)
    assert isinstance(streamed, Streamed)
    cells.write_streamed(streamed, tmp_path / "streamed.h5ad")
    found = tables.read_cohort(tmp_path / "streamed.h5ad")
    assert found.shape == whole.shape == (N_CELLS + 7, len(GENES) - 2)
    assert list(found.var_names) == list(whole.var_names)
    np.testing.assert_array_equal(found.X.toarray(), whole.X.toarray())
    np.testing.assert_array_equal(
        found.layers["counts"].toarray(), whole.layers["counts"].toarray()
    )
    both = counts()[:, [GENES.index("H2AFZ"), GENES.index("H2AZ1")]].sum(axis=1)
    np.testing.assert_array_equal(found[:N_CELLS, "H2AZ1"].layers["counts"].toarray()[:, 0], both)
    pd.testing.assert_frame_equal(flow, flow_too)
    tables.write_cohort(whole, tmp_path / "whole.h5ad")
    expected = tables.read_cohort(tmp_path / "whole.h5ad")
    pd.testing.assert_frame_equal(
        found.obs.astype(object), expected.obs.astype(object), check_dtype=False
    )
    assert found.uns["provenance"] == expected.uns["provenance"]


def spool(text, *, entries, n_genes=3, n_cells=4):
    stream = io.BytesIO(text.encode())
    return rows.spooled(stream, n_genes=n_genes, n_cells=n_cells, entries=entries, file="m.mtx")


def test_spooled_rows_are_those_of_the_file(streaming):
    found = spool("3 1 5\n1 4 2\n2 1 7\n1 1 1\n", entries=4)
    expected = [[1, 7, 5], [0, 0, 0], [0, 0, 0], [2, 0, 0]]
    np.testing.assert_array_equal(found[0:4].toarray(), expected)
    np.testing.assert_array_equal(found[1:1].toarray(), np.empty((0, 3)))
    np.testing.assert_array_equal(
        found[np.array([0, 3])][0:2].toarray(), [expected[0], expected[3]]
    )
    np.testing.assert_array_equal(found[:, [2, 0]][0:1].toarray(), [[5, 1]])


@pytest.mark.parametrize(
    ("text", "entries", "words"),
    [
        ("4 1 1\n", 1, "an entry outside the matrix"),
        ("1 0 1\n", 1, "an entry outside the matrix"),
        ("1 1 1\n2 1 1\n", 1, "more than 1 entries"),
        ("1 1 1\n", 2, "ends after 1 of 2 entries"),
        ("1 one 1\n", 1, "can't be read as a MatrixMarket file"),
        ("1 1\n", 1, "can't be read as a MatrixMarket file"),
    ],
)
def test_a_damaged_file_is_one_sentence(text, entries, words):
    with pytest.raises(InputError, match=f"^m.mtx: .*{words}"):
        spool(text, entries=entries)


def test_rows_that_do_not_fit_are_one_sentence(tmp_path, index, streaming):
    spec = cohort_of(tmp_path, "h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        file["X/indices"][3] = len(GENES)
    with pytest.raises(InputError, match=f"a column beyond its {len(GENES)}"):
        harmonised(spec, index)
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        file["X/indptr"][2] = 10_000
    with pytest.raises(InputError, match="rows do not fit its values"):
        harmonised(spec, index)


def test_large_cells_need_counts(tmp_path, index, streaming):
    spec = cohort_of(tmp_path, "by cell", scale="log2")
    with pytest.raises(InputError, match=r"analysed from counts, but expression\.scale is 'log2'"):
        harmonised(spec, index)
