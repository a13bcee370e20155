"""Single cells through the whole workflow: the planted truth comes back, patients are the unit."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from cytostrat import tables

from .conftest import Workflow

NAME, N_PATIENTS = "demo_cells", 8
CONFIG = "config/cells_demo.yaml"


@pytest.fixture(scope="module")
def cells(checkout, tmp_path_factory):
    run = Workflow(checkout / "Snakefile", tmp_path_factory.mktemp("cells"))
    run("--configfile", str(checkout / CONFIG))
    return run


@pytest.fixture(scope="module")
def results(cells):
    return cells.directory / "results/cells_demo"


@pytest.fixture(scope="module")
def effects(results):
    return tables.read_table(results / "tables/effects.tsv", tables.EFFECTS)


def test_contract_of_outputs(results):
    scores = tables.read_table(results / f"scores/{NAME}.tsv.gz", tables.SCORES)
    assert set(scores["method"]) == {"ssgsea", "singscore"}
    assert scores["cell_type"].ne("").all()
    assert scores["sample"].nunique() == N_PATIENTS
    cells = anndata.read_h5ad(results / f"cells/{NAME}.h5ad")
    kept = tables.read_cohort(results / f"cohorts/{NAME}.h5ad")
    assert list(cells.obs_names) == list(kept.obs_names)
    assert {"ucell", "X_umap"} <= set(cells.obsm)
    assert np.isfinite(cells.obsm["ucell"].to_numpy()).all()
    coverage = tables.read_table(results / "tables/coverage.tsv", tables.COVERAGE)
    assert set(coverage["cohort"]) == {NAME}
    assert coverage["usable"].sum() > 20


def test_each_exclusion_of_cells_is_a_row_of_the_flow(results):
    flow = tables.read_table(results / "tables/flow.tsv", tables.FLOW)
    assert (flow["n_in"].iloc[1:].to_numpy() == flow["n_out"].iloc[:-1].to_numpy()).all()
    kept = tables.read_cohort(results / f"cohorts/{NAME}.h5ad")
    assert flow["n_out"].iloc[-1] == kept.n_obs < flow["n_in"].iloc[0]
    steps = list(flow["step"])
    assert steps[-4:] == ["11 counts", "12 genes", "13 mitochondrial share", "14 doublets"]


def test_no_test_counts_cells(effects):
    assert set(effects["question"]) == {"cell_source", "cell_her2", "cell_coupling"}
    tested = effects[effects["p"].notna()]
    assert len(tested) > 100
    assert tested["n"].le(N_PATIENTS).all()
    # the smallest p that eight signs, or four against four patients, can give
    exact = tested[tested["question"] != "cell_coupling"]
    assert exact["p"].ge(2 / 2**N_PATIENTS - 1e-9).all()


def test_the_planted_truth_comes_back(results, effects):
    truth = pd.read_csv(results / f"simulated/{NAME}/truth.tsv", sep="\t", keep_default_na=False)
    key = ["cohort", "question", "stratum", "endpoint", "contrast", "scale"]
    merged = effects.merge(
        truth.rename(columns={"name": "signature"}), on=[*key, "signature"], suffixes=("", "_truth")
    )
    merged["realised"] = pd.to_numeric(merged["realised"])
    sources = merged[merged["question"] == "cell_source"]
    inside = sources["low"].le(sources["realised"]) & sources["realised"].le(sources["high"])
    assert len(sources) == 36
    assert inside.mean() > 0.85
    share = sources[(sources["endpoint"] == "share of total") & (sources["signature"] == "IL1B")]
    share = share.set_index("stratum")["estimate"]
    assert share.idxmax() == "myeloid"
    assert share["myeloid"] > 0.7
    coupling = merged[merged["question"] == "cell_coupling"].squeeze()
    assert 0 < coupling["low"] < coupling["realised"] < coupling["high"]


def test_claims_are_judged_from_cells(results):
    verdicts = tables.read_table(results / "tables/verdicts.tsv", tables.VERDICTS)
    found = verdicts[verdicts["cohort"] == NAME].set_index("claim")["verdict"]
    assert found["il1b_from_myeloid"] == "consistent"
    assert found["tgfb_primes_il1b_cells"] == "consistent"


def test_the_report_shows_cells_patients_and_limits(results):
    html = (results / "report.html").read_text(encoding="utf-8")
    assert 'id="cells"' in html
    names = tables.read_cohorts([NAME], [results / f"cohorts/{NAME}.h5ad"])[NAME].obs_names
    assert len(names) == 8
    assert all(name in html for name in names)
    assert "Marker genes alone would have labelled" in html
    for name in ("dots", "umap", "patients", "composition"):
        assert f"figures/cells/{NAME}/{name}.svg" in html
        assert (results / f"figures/cells/{NAME}/{name}.svg").is_file()


def test_a_second_run_does_nothing(cells, checkout):
    assert "Nothing to be done" in cells("--configfile", str(checkout / CONFIG)).stdout


def test_spread_over_jobs_gives_the_same_bytes(cells, results, checkout, tmp_path):
    config = tmp_path / "config.yaml"
    text = (checkout / CONFIG).read_text(encoding="utf-8")
    cohort = checkout / "config/cohorts/demo_cells.yaml"
    text = text.replace("cohorts/demo_cells.yaml", str(cohort))
    config.write_text(text + "cells: {jobs: 3}\n", encoding="utf-8")
    before = {
        name: (results / f"cells/{NAME}.{name}").read_bytes()
        for name in ("effects.tsv", "sources.tsv", "labels.tsv.gz", "depth.tsv")
    }
    printed = cells("--configfile", str(config), "--until", "cells_summary").stdout
    assert printed.count("rule cells_profile:") == 3
    assert printed.count("rule cells_pseudobulk:") == 3
    for name, content in before.items():
        assert (results / f"cells/{NAME}.{name}").read_bytes() == content, name
