"""The worked example 'Your own cohort' of the manual, run as it is written."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pandas as pd
import pytest
import yaml

from cytostrat import cli, tables
from tests import public_mirror

from .conftest import Workflow


@pytest.fixture(scope="module")
def section(repository):
    """The section's text."""
    manual = (repository / "config" / "README.md").read_text(encoding="utf-8")
    return re.search(r"^## Your own cohort\n(.*?)^## ", manual, re.S | re.M)[1]


@pytest.fixture(scope="module")
def example(section, repository, checkout, tmp_path_factory):
    """The folder of the example, its commands, and how to run the workflow there."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine").mkdir()
    ids = public_mirror.genes(repository / "resources")
    found = public_mirror.tumours(list(ids["symbol"]), 60, np.random.default_rng(4))
    names = [f"T{number}" for number in range(60)]
    facts = found.facts
    pd.DataFrame(found.values.T, index=ids["symbol"], columns=names).to_csv(
        folder / "mine" / "expression.csv"
    )
    ihc = np.where(facts["her2"], "3", np.where(facts["age"] % 2, "1", "0"))
    ihc[:6] = "2"
    patients = {
        "id": names, "age": facts["age"], "ER": facts["er"].astype(int), "HER2_IHC": ihc,
        "HER2_FISH": np.where(ihc == "2", np.where(facts["her2"], "amp", "normal"), ""),
        "months": (facts["time"] / 30.4375).round(2), "dead": facts["event"],
    }  # fmt: skip
    stated = re.search(r"\(a row per tumour:(.*?)\)", section, re.S)[1]
    assert re.findall(r"`(\w+)`", stated) == list(patients)
    pd.DataFrame(patients).to_csv(folder / "mine" / "patients.csv", index=False)
    cohort, config = re.findall(r"```yaml\n(.*?)```", section, re.S)
    (folder / "mine" / "cohort.yaml").write_text(cohort, encoding="utf-8")
    (folder / "mine" / "config.yaml").write_text(config, encoding="utf-8")
    commands = "".join(re.findall(r"```sh\n(.*?)```", section, re.S)).splitlines()
    return folder, [shlex.split(line) for line in commands], Workflow(
        checkout / "Snakefile", folder
    ), facts  # fmt: skip


def test_the_example_runs_as_it_is_written(example, monkeypatch, capsys):
    folder, commands, workflow, facts = example
    monkeypatch.chdir(folder)
    assert [command[0] for command in commands] == ["cytostrat", "cytostrat", "snakemake"]
    drafted, checked, run = commands
    assert cli.main(drafted[1:]) == 0
    written = yaml.safe_load((folder / "mine" / "cohort.yaml").read_text())
    draft = yaml.safe_load((folder / "mine" / "drafted.yaml").read_text())
    assert draft["clinical"][0]["join"] == written["clinical"][0]["join"]
    assert draft["endpoints"] == written["endpoints"]
    for name in ("er", "her2_ihc", "her2_ish"):
        mine, theirs = draft["columns"][name], written["columns"][name]
        assert (mine if isinstance(mine, str) else mine["column"]) == theirs["column"]
    capsys.readouterr()
    assert cli.main(checked[1:]) == 0
    assert "Ready for a run." in capsys.readouterr().out
    workflow(*run[1:])
    results = folder / "results" / "mine"
    assert "My cohort" in (results / "report.html").read_text(encoding="utf-8")
    her2 = tables.read_cohort(results / "cohorts" / "mine.h5ad").obs["her2"]
    assert (her2 == "positive").sum() == facts["her2"].sum()
    effects = tables.read_table(results / "tables" / "effects.tsv", tables.EFFECTS)
    control = effects.query("question == 'control' and endpoint == 'her2'")
    assert control["estimate"].item() > 0.95
    assert cli.main(["verify", str(results)]) == 0


def test_the_example_speaks_only_of_keys_that_exist(section):
    for block in re.findall(r"```yaml\n(.*?)```", section, re.S):
        assert yaml.safe_load(block)["schema_version"] == 1
