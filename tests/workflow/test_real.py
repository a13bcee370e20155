"""The real tumours through the whole workflow; figures to reproduce are those of the data sets."""

from __future__ import annotations

import pandas as pd
import pytest

from cytostrat import tables

from .conftest import Workflow

TCGA, SCANB, ENSEMBL = "tcga_brca_129", "scanb_400", "tcga_brca_100_ensembl"
CELLS = "wu2021_cid4465"


@pytest.fixture(scope="module")
def real(repository, data_dir, tmp_path_factory):
    run = Workflow(repository / "Snakefile", tmp_path_factory.mktemp("real"))
    config = ["--configfile", str(repository / "tests/workflow/real/config.yaml")]
    env = {"CYTOSTRAT_DATA": str(data_dir)}
    planned = run("--dry-run", *config, env=env).stdout
    for cohort in (TCGA, SCANB, ENSEMBL, CELLS):
        assert f"cohort={cohort}" in planned
    run(*config, env=env)
    return run.directory / "results" / "real"


def test_her2_groups_are_the_published_ones(real):
    stated = {
        TCGA: {"positive": 39, "negative": 90},
        SCANB: {"positive": 42, "negative": 343},
    }
    for cohort, counts in stated.items():
        her2 = tables.read_cohort(real / f"cohorts/{cohort}.h5ad").obs["her2"]
        assert her2.value_counts().to_dict() == counts
    assert tables.read_cohort(real / f"cohorts/{SCANB}.h5ad").obs["her2"].isna().sum() == 15


def test_shared_patients_are_found_and_counted_once(real):
    flow = tables.read_table(real / "tables/flow.tsv", tables.FLOW)
    shared = flow[flow["reason"] == f"patient is in {TCGA}"].set_index("cohort")
    assert shared.loc[ENSEMBL, ["n_in", "n_out"]].tolist() == [100, 85]
    ids = [
        set(tables.read_cohort(real / f"cohorts/{cohort}.h5ad").obs["patient"])
        for cohort in (TCGA, ENSEMBL)
    ]
    assert not ids[0] & ids[1]


def test_positive_controls_are_the_published_ones(real):
    effects = tables.read_table(real / "tables/effects.tsv", tables.EFFECTS)
    control = effects.query("question == 'control' and scale == 'auc'")
    control = control.set_index(["cohort", "endpoint"])
    for key, auc in {
        (TCGA, "her2"): 0.836,
        (TCGA, "er"): 0.96,
        (SCANB, "her2"): 0.91,
        (SCANB, "er"): 0.98,
    }.items():
        assert control.loc[key, "estimate"] == pytest.approx(auc, abs=0.006), key


def test_coverage_shows_the_missing_genes(real):
    coverage = tables.read_table(real / "tables/coverage.tsv", tables.COVERAGE)
    found = coverage.set_index(["cohort", "signature"])
    alpha, il2 = "HALLMARK_INTERFERON_ALPHA_RESPONSE", "HALLMARK_IL2_STAT5_SIGNALING"
    for cohort, n_alpha, n_il2 in ((SCANB, 80, 144), (ENSEMBL, 61, 86)):
        assert found.loc[(cohort, alpha), "n_present"] == n_alpha
        assert found.loc[(cohort, il2), "n_present"] == n_il2
    assert not found.loc[(ENSEMBL, il2), "usable"]
    assert found.loc[(ENSEMBL, il2), "missing"]


def test_pooled_effects_leave_out_what_is_not_measured(real):
    pooled = tables.read_table(real / "tables/pooled.tsv", tables.POOLED)
    row = pooled.query(
        "question == 'her2' and stratum == 'all' and scale == 'adjusted_g' and method == 'ssgsea'"
        " and adjustment == 'er+age' and gene_filter == 'all genes'"
    ).set_index(["signature", "model"])
    assert row.loc[("HALLMARK_INTERFERON_ALPHA_RESPONSE", "random"), "k"] == 3
    assert row.loc[("HALLMARK_IL2_STAT5_SIGNALING", "random"), "k"] == 2
    note = row.loc[("HALLMARK_IL2_STAT5_SIGNALING", "random"), "note"]
    assert ENSEMBL in note
    assert "uninformative" in note


def test_the_report_is_one_file_that_names_the_cohorts(real):
    html = (real / "report.html").read_text(encoding="utf-8")
    for cohort in (TCGA, SCANB, ENSEMBL, CELLS):
        assert cohort in html
    assert f"figures/cells/{CELLS}/umap.svg" in html
    assert "one patient: a description of its cells, no test" in html
    assert "SIMULATED" not in html.split("</title>")[0]
    assert 'http-equiv="Content-Security-Policy"' in html


def test_cells_of_one_patient_are_described_and_not_tested(real):
    effects = tables.read_table(real / "tables/effects.tsv", tables.EFFECTS)
    own = effects[effects["cohort"] == CELLS]
    assert set(own["question"]) == {"cell_source", "cell_her2", "cell_coupling"}
    assert own["p"].isna().all()
    il1b = own[(own["signature"] == "IL1B") & (own["endpoint"] == "share of total")]
    share = il1b.set_index("stratum")
    # 12 transcripts in all, of which one lies in a cell that the mitochondrial rule leaves out;
    # the interval is that of R's binom.test(10, 11)
    assert share.loc["myeloid", ["n", "n_case"]].tolist() == [11, 10]
    assert share.loc["myeloid", "low"] == pytest.approx(0.5872201, abs=1e-6)
    assert share.loc["myeloid", "high"] == pytest.approx(0.9977010, abs=1e-6)
    assert "rank 1 of" in share.loc["myeloid", "note"]
    agreement = pd.read_csv(real / f"qc/{CELLS}.agreement.tsv", sep="\t").squeeze()
    assert agreement["n"] == 1510
    assert agreement["share"] > 0.85
    assert agreement["kappa"] > 0.8
    flow = tables.read_table(real / "tables/flow.tsv", tables.FLOW)
    own = flow[flow["cohort"] == CELLS]
    assert (own["n_in"].iloc[0], own["n_out"].iloc[-1]) == (1564, 1510)
