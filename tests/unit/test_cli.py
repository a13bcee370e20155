"""The console command: what it prints, writes and returns."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from cytostrat import cli
from cytostrat.fetch import cache_path
from cytostrat.provenance import sha256
from tests import public_mirror


@pytest.fixture(scope="module")
def prepared(repository, tmp_path_factory):
    """Forty tumours on disk, and the cohort file drafted from them."""
    folder = tmp_path_factory.mktemp("cohort")
    ids = public_mirror.genes(repository / "resources")
    found = public_mirror.tumours(list(ids["symbol"]), 40, np.random.default_rng(3))
    names = [f"P{number:03d}" for number in range(40)]
    values = pd.DataFrame(found.values.T, index=ids["symbol"], columns=names)
    values.to_csv(folder / "expression.csv")
    pd.DataFrame(
        {
            "id": names,
            "her2_status": np.where(found.facts["her2"], "positive", "negative"),
            "er_status": np.where(found.facts["er"], "positive", "negative"),
            "age": found.facts["age"],
            "histology": "ductal",
        }
    ).to_csv(folder / "patients.csv", index=False)
    files = [folder / "expression.csv", folder / "patients.csv"]
    assert run("draft", *files, "-n", "mine", "-o", folder / "mine.yaml") == 0
    return folder


@pytest.fixture
def cohort(prepared, tmp_path, monkeypatch):
    """A copy of the forty tumours, in which the command is run."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_draft_then_check_of_new_data(cohort, capsys):
    (cohort / "mine.yaml").unlink()
    assert run("draft", "expression.csv", "patients.csv", "--name", "mine") == 0
    drafted = capsys.readouterr().out
    assert "Sure:" in drafted
    assert "columns.her2 is her2_status (negative 28, positive 12; ERBB2 confirms" in drafted
    assert "To check:" in drafted
    assert "Columns not used: histology." in drafted
    assert (cohort / "mine.yaml").is_file()
    assert run("check", "mine.yaml") == 0
    checked = capsys.readouterr().out
    assert "negative 28, positive 12" in checked
    assert "AUC" in checked
    assert "HALLMARK_INTERFERON_ALPHA_RESPONSE  97 of 97 genes" in checked
    assert "Ready for a run." in checked


def test_a_cohort_file_is_not_replaced_without_being_asked(cohort, capsys):
    (cohort / "mine.yaml").write_text("precious")
    assert run("draft", "expression.csv", "patients.csv", "-n", "mine") == 1
    assert "mine.yaml: exists already" in capsys.readouterr().err
    assert (cohort / "mine.yaml").read_text() == "precious"
    assert run("draft", "expression.csv", "patients.csv", "-n", "mine", "--force") == 0
    assert (cohort / "mine.yaml").read_text() != "precious"


def test_errors_are_one_sentence_and_exit_code_1(cohort, capsys):
    assert run("draft", "absent.csv") == 1
    assert capsys.readouterr().err == (
        "cytostrat: absent.csv: no such file or folder; check the path.\n"
    )
    assert run("draft", "expression.csv", "-o", "nowhere/mine.yaml") == 1
    assert "nowhere: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"expression": {"source": "absent.csv"}}, "absent.csv does not exist"),
        ({"expression": {"source": "https://host.org/a.csv"}}, "is not downloaded; run `snakemake"),
        ({"columns": {"her2": "hre2_status"}}, "has no column 'hre2_status'"),
        ({"columns": {"her2": {"column": "her2_status", "values": {"positive": "positive"}}}},
         "holds 'negative' in 28 sample(s)"),
        ({"expected": {"n": 41}}, "key expected.n is 41, but 40 samples are left"),
        ({"expected": {"groups": {"her2": {"positive": 13}}}},
         "expected.groups.her2.positive is 13"),
        ({"expression": {"scale": "counts"}}, "not all are whole numbers"),
        ({"expression": {"gene_ids": "ensembl"}}, "they look like symbol"),
        ({"clinical": [{"source": "patients.csv", "join": {"column": "age", "to": "sample"}}]},
         "is a sample of"),
        ({"colums": {}}, "did you mean 'columns'?"),
    ],
)  # fmt: skip
def test_what_would_stop_a_run_is_said_before_it(cohort, capsys, change, said):
    data = yaml.safe_load((cohort / "mine.yaml").read_text())
    for key, value in change.items():
        old = data.get(key)
        data[key] = {**old, **value} if isinstance(old, dict) else value
    (cohort / "mine.yaml").write_text(yaml.safe_dump(data))
    assert run("check", "mine.yaml") == 1
    out = " ".join(capsys.readouterr().out.split())
    assert said in out
    assert "Not ready." in out


def test_clinical_tables_are_checked_where_expression_is_absent(cohort, capsys):
    assert run("draft", "patients.csv", "-n", "mine", "-f") == 0
    capsys.readouterr()
    assert run("check", "mine.yaml") == 1
    out = capsys.readouterr().out
    assert "absent; the 40 rows of table main instead" in out
    assert "negative 28, positive 12" in out
    assert "AUC" not in out


def test_a_weak_control_and_a_late_event_are_remarks(cohort, capsys):
    table = pd.read_csv("patients.csv")
    table["er_status"] = np.where(np.arange(40) % 2, "positive", "negative")
    table["os_days"], table["os_event"] = np.arange(40) * 900.0, 1
    table.to_csv("patients.csv", index=False)
    assert run("draft", "expression.csv", "patients.csv", "-n", "mine", "-f") == 0
    assert "is 1 the event?" in " ".join(capsys.readouterr().out.split())
    assert run("check", "mine.yaml") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "ESR1 hardly separates er" in out
    assert "OS: 40 of 40 have an event; is 1 the event?" in out
    assert "OS: the longest time is over 60 years" in out


@pytest.mark.parametrize(("column", "gene"), [("her2", "ERBB2"), ("er", "ESR1")])
def test_swapped_values_are_to_be_corrected(cohort, capsys, column, gene):
    data = yaml.safe_load((cohort / "mine.yaml").read_text())
    swapped = {"positive": "negative", "negative": "positive"}
    data["columns"][column] = {"column": f"{column}_status", "values": swapped}
    (cohort / "mine.yaml").write_text(yaml.safe_dump(data))
    assert run("check", "mine.yaml") == 1
    out = " ".join(capsys.readouterr().out.split())
    assert f"To correct before a run: - {gene} separates {column} in reverse (AUC 0.0" in out
    assert (
        f"the values of columns.{column} look swapped; correct columns.{column}.values. Not ready."
    ) in out
    assert "hardly separates" not in out


def test_downloads_and_mirrors_are_looked_in(cohort, capsys):
    url = "https://host.org/data/expression.csv?version=2"
    data = yaml.safe_load((cohort / "mine.yaml").read_text())
    data["expression"]["source"] = {"url": url}
    (cohort / "mine.yaml").write_text(yaml.safe_dump(data))
    for folder, arguments in (("downloads", ()), ("elsewhere", ("--mirror", "elsewhere"))):
        place = cache_path(url, cohort / folder)
        place.parent.mkdir(parents=True)
        shutil.copy("expression.csv", place)
        capsys.readouterr()
        assert run("check", "mine.yaml", *arguments) == 0
        assert "no sha256 is stated" in " ".join(capsys.readouterr().out.split())
        shutil.rmtree(cohort / folder)


@pytest.fixture
def results(tmp_path):
    """A results folder with its record."""
    folder = tmp_path / "work" / "results"
    (folder / "tables").mkdir(parents=True)
    (folder / "report.html").write_text("<html>")
    (folder / "tables" / "effects.tsv").write_text("a\tb\n")
    files = [folder / "report.html", folder / "tables" / "effects.tsv"]
    entries = [
        {"path": str(file.relative_to(tmp_path / "work")), "sha256": sha256(file), "bytes": 1}
        for file in files
    ]
    record = {"run": {"finished": "2026-01-01T00:00:00+00:00"}, "outputs": entries}
    (folder / "provenance.json").write_text(json.dumps(record))
    return folder


def test_untouched_results_are_verified_also_where_they_were_moved(results, tmp_path, capsys):
    assert run("verify", results) == 0
    assert "2 of 2 files are as the run of 2026-01-01" in capsys.readouterr().out
    moved = tmp_path / "archive" / "from_the_cluster"
    shutil.copytree(results, moved)
    assert run("verify", moved) == 0
    (moved / "report.html").write_text("<html >")
    assert run("verify", moved) == 1
    assert run("verify", results) == 0


def test_changed_and_absent_results_are_named(results, capsys):
    (results / "report.html").write_text("<html> nicer numbers")
    (results / "tables" / "effects.tsv").unlink()
    assert run("verify", results) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "report.html has changed since the run" in out
    assert "effects.tsv is gone" in out
    assert "0 of 2 files" in out


@pytest.mark.parametrize("content", [None, "{", "{}", '{"outputs": []}', '{"outputs": [1]}'])
def test_a_folder_without_a_record_is_refused(results, capsys, content):
    record = results / "provenance.json"
    record.unlink() if content is None else record.write_text(content)
    assert run("verify", results) == 1
    assert "provenance.json" in capsys.readouterr().err
