"""The demo run as a user sees it: one command, a report, and no needless work after."""

from __future__ import annotations

import json
import shutil
import zipfile

import pandas as pd
import pytest

from cytostrat import tables
from cytostrat.provenance import sha256

from .conftest import Workflow


@pytest.fixture(scope="module")
def demo(workflow):
    workflow()
    return workflow


def test_contract_of_outputs(demo):
    results = demo.directory / "results"
    for name, table in tables.TABLES.items():
        if name in {"scores", "verdicts"}:
            continue
        frame = tables.read_table(results / "tables" / f"{name}.tsv", table)
        assert len(frame), name
    for cohort in ("demo_rnaseq_counts", "demo_rnaseq_fpkm", "demo_array"):
        scores = tables.read_table(results / "scores" / f"{cohort}.tsv.gz", tables.SCORES)
        assert set(scores["method"]) == {"ssgsea", "singscore"}
        samples = tables.read_cohort(results / "cohorts" / f"{cohort}.h5ad").obs_names
        assert set(scores["sample"]) == set(samples)
    html = (results / "report.html").read_text(encoding="utf-8")
    assert "SIMULATED" in html.split("</title>")[0]
    assert list((results / "figures").rglob("*.svg"))


def test_every_exclusion_adds_up(demo):
    flow = tables.read_table(demo.directory / "results/tables/flow.tsv", tables.FLOW)
    files = (demo.directory / "results/cohorts").glob("*.h5ad")
    assert set(flow["cohort"]) == {file.stem for file in files}
    for cohort, own in flow.groupby("cohort"):
        steps = own.groupby("step", sort=True)
        left = None
        for step, rows in steps:
            lost = (rows["n_in"] - rows["n_out"]).sum()
            n_in = rows["n_in"].max()
            assert left in (None, n_in), (cohort, step)
            left = n_in - lost
        assert left == len(tables.read_cohort(demo.directory / f"results/cohorts/{cohort}.h5ad"))


def test_provenance_names_what_is_there(demo):
    record = json.loads((demo.directory / "results/provenance.json").read_text())
    for entry in record["outputs"]:
        assert sha256(demo.directory / entry["path"]) == entry["sha256"], entry["path"]
    assert {"results/report.html", "results/tables/effects.tsv"} <= {
        entry["path"] for entry in record["outputs"]
    }


def test_snakemake_s_own_report_shows_every_figure_and_table(demo):
    """Each has a caption with the run's settings; nothing is said twice or left unfilled."""
    target = demo.directory / "snakemake.zip"
    assert "WARNING" not in demo("--report", str(target)).stdout
    with zipfile.ZipFile(target) as packed:
        page = packed.read("snakemake/report.html").decode()
    target.unlink()
    start = page.index("var results = {") + len("var results = ")
    shown, _ = json.JSONDecoder().raw_decode(page[start:])
    results = demo.directory / "results"
    expected = [*(results / "figures").rglob("*.svg"), *(results / "tables").glob("*.tsv")]
    assert set(shown) == {
        str(path.relative_to(demo.directory)) for path in (*expected, results / "report.html")
    }
    for path, entry in shown.items():
        assert entry["labels"], path
        assert len(entry["caption"]) > 100, path
        assert "{{" not in entry["caption"], path


def test_a_second_run_does_nothing(demo):
    assert "Nothing to be done" in demo().stdout


def test_a_changed_cohort_reruns_itself_and_what_depends_on_it(demo, checkout, tmp_path):
    config = tmp_path / "config"
    shutil.copytree(checkout / "config", config)
    # the report says how to rerun it, so it follows a configuration that moved
    moved = demo.planned("--configfile", str(config / "config.yaml"))
    assert moved <= {"report", "provenance", "all"}
    cohort = config / "cohorts" / "demo_array.yaml"
    text = cohort.read_text(encoding="utf-8")
    changed = text.replace("licence:", "licence: changed #", 1)
    assert changed != text
    cohort.write_text(changed, encoding="utf-8")
    planned = demo.planned("--configfile", str(config / "config.yaml"))
    cohorts = {job.split()[1] for job in planned if " " in job}
    assert cohorts == {"demo_array"}
    assert {"harmonise demo_array", "score demo_array", "meta", "report"} <= planned
    assert "simulate demo_array" not in planned


def test_an_edit_in_a_package_module_reruns_the_rules_that_use_it(demo, checkout):
    module = checkout / "workflow/cytostrat/contrast/__init__.py"
    text = module.read_text(encoding="utf-8")
    try:
        module.write_text(text + "\n# edited\n", encoding="utf-8")
        planned = demo.planned()
    finally:
        module.write_text(text, encoding="utf-8")
    rules = {job.split()[0] for job in planned}
    assert {"contrast", "meta", "report"} <= rules
    assert not {"harmonise", "qc", "score", "signatures"} & rules
    assert "Nothing to be done" in demo().stdout


def test_same_seed_same_bytes(demo, checkout, tmp_path):
    """Every file of two cohorts up to their effects; `make test-slurm` compares whole runs."""
    again = Workflow(checkout / "Snakefile", tmp_path)
    env = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    stages = ("contrast", "sensitivity", "prerank", "associate", "survival", "response")
    cohorts = ("demo_rnaseq_fpkm", "demo_paired")
    targets = [f"results/{stage}/{cohort}.tsv" for stage in stages for cohort in cohorts]
    again("--cores", "1", *targets, env=env)
    compared = 0
    for file in sorted((tmp_path / "results").rglob("*")):
        relative = file.relative_to(tmp_path)
        if file.is_file() and not {"logs", "benchmarks"} & set(relative.parts):
            assert sha256(file) == sha256(demo.directory / relative), relative
            compared += 1
    assert compared > 2 * len(targets)


def test_unknown_key_in_the_configuration_is_one_sentence(workflow, repository, tmp_path):
    text = (repository / "config/config.yaml").read_text()
    config = tmp_path / "config.yaml"
    config.write_text(text.replace("\nmethods:", "\nmethod:"))
    run = workflow("--configfile", str(config), check=False)
    assert run.returncode != 0
    assert "unknown key 'method'; did you mean 'methods'?" in run.stdout
    assert "Traceback" not in run.stdout


def test_effects_table_speaks_for_every_primary_signature(demo):
    effects = tables.read_table(demo.directory / "results/tables/effects.tsv", tables.EFFECTS)
    main = effects.query("question == 'her2' and stratum == 'all' and method == 'ssgsea'")
    wide = pd.crosstab(main["signature"], main["scale"])
    for scale in ("hedges_g", "adjusted_g"):
        assert (wide.loc["HALLMARK_INTERFERON_ALPHA_RESPONSE", scale]) >= 3
