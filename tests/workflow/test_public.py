"""The public configuration: it plans as shipped, and runs from a mirror, offline.

All cohorts are fetched, harmonised and checked; four of them go on to the report.
"""

from __future__ import annotations

import json

import pytest

from cytostrat import tables
from cytostrat.fetch import read_lock
from tests import public_mirror

from .conftest import Workflow

# no proxy or name can be reached: whatever tried the network would fail
OFFLINE = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def public(repository, checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("public")
    public_mirror.build(folder, repository / "resources", repository / "config")
    run = Workflow(checkout / "Snakefile", folder)
    config = ["--configfile", str(folder / "public.yaml")]
    fetched = run("fetch_all", *config, env=OFFLINE)
    assert "16 of 17 steps" in fetched.stdout
    # every file is there now: the mirror may go, and no network is needed
    (folder / "mirror").rename(folder / "mirror_gone")
    (folder / "mirror").mkdir()
    run("--until", "qc", "cells_quality", *config, env=OFFLINE)
    run("--configfile", str(folder / "some.yaml"), env=OFFLINE)
    return folder


def test_the_shipped_configuration_is_planned(workflow, repository):
    planned = workflow.planned("--configfile", str(repository / "config" / "public.yaml"))
    assert {f"harmonise {cohort}" for cohort in public_mirror.COHORTS} <= planned
    assert {"fetch", "report"} <= planned


def test_all_of_it_runs_offline_from_a_mirror(public):
    results = public / "results" / "public"
    html = (results / "report.html").read_text(encoding="utf-8")
    for cohort in public_mirror.COHORTS:
        n = tables.read_cohort(results / f"harmonised/{cohort}.h5ad").n_obs
        assert n == public_mirror.EXPECTED.get(cohort, 60)
        assert (results / f"cohorts/{cohort}.h5ad").is_file()
    for cohort in public_mirror.ANALYSED:
        assert cohort in html
    lock = read_lock(public / "downloads" / "fetch.lock")
    assert len(lock) == 16
    record = json.loads((results / "provenance.json").read_text())
    assert {entry["sha256"] for entry in record["inputs"]} <= {sha for sha, _ in lock.values()}


def test_exclusions_are_those_of_the_layouts(public):
    files = (public / "results/public/qc").glob("*.flow.tsv")
    flow = tables.FLOW.concat([tables.read_table(file, tables.FLOW) for file in files])
    lost = flow[(flow["n_in"] > flow["n_out"]) & (flow["cohort"] != "gse176078")]
    lost = lost.set_index(["cohort", "reason"])
    out = (lost["n_in"] - lost["n_out"]).to_dict()
    assert out == {
        ("tcga_brca", "sample type not primary"): 3,
        ("tcga_brca", "sex not female"): 1,
        ("scanb_gse96058", "name matches repl"): 3,
    }


def test_a_pool_takes_one_of_two_cohorts_that_may_share_patients(public):
    pooled = tables.read_table(public / "results/public/tables/pooled.tsv", tables.POOLED)
    rows = pooled.query(
        "question == 'her2' and stratum == 'all' and model == 'random'"
        " and signature == 'HALLMARK_INTERFERON_ALPHA_RESPONSE' and gene_filter == 'all genes'"
    ).set_index("adjustment")
    gives_way = "left out: gse20194, which may share patients with gse25066"
    assert gives_way in rows.loc["er+age", "note"]
    assert gives_way in rows.loc["none, patients of er+age", "note"]
    # crude effects of gse25066 stay out of pools, so there the other one need not give way
    assert "left out: gse25066, sampled by her2 (trial)" in rows.loc["none", "note"]
    assert "gse20194" in rows.loc["none", "cohorts"].split(", ")
    assert (rows["k"] == len(public_mirror.ANALYSED) - 1).all()


def test_a_file_that_changed_at_its_source_stops_the_run(public, checkout):
    cohort = public / "cohorts" / "noah_gse50948.yaml"
    text = cohort.read_text()
    try:
        stated = text.split("sha256: ")[1][:64]
        cohort.write_text(text.replace(stated, "a" * 64))
        run = Workflow(checkout / "Snakefile", public)
        config = ["--configfile", str(public / "public.yaml")]
        done = run("fetch_all", *config, check=False, env=OFFLINE)
    finally:
        cohort.write_text(text)
    assert done.returncode != 0
    assert "the stated sha256 is aaaa" in done.stdout
    assert "Traceback" not in done.stdout
