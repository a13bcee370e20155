"""A cohort file is checked whole before anything is read, and a slip is named with its remedy."""

from __future__ import annotations

import pytest
import yaml

from cytostrat import cohortfile, her2
from cytostrat.errors import ConfigError
from cytostrat.tables import CLINICAL_COLUMNS, ENDPOINTS
from cytostrat.validation import schema
from tests.cohort_files import SPEC, changed


def check(spec, environ=None, file="/data/cohorts/small.yaml"):
    return cohortfile.check(spec, file=file, environ=environ or {})


def test_defaults_and_short_forms_are_written_out() -> None:
    spec = check(changed(SPEC, columns__age="AGE"))
    assert spec["columns"]["age"] == {
        "column": "AGE", "table": "", "values": {}, "constant": None, "multiply": 1, "derived": "",
    }  # fmt: skip
    assert (spec["title"], spec["namespace"]) == ("small", "small")
    assert set(spec["columns"]) == {"her2", "er", "age"}
    assert spec["endpoints"] == {}
    assert spec["filters"]["sex"] == {"keep": ["female"], "missing": "keep"}
    assert check(changed(SPEC, columns={}))["expression"]["orientation"] == "genes_in_rows"


def test_sources_are_found_from_the_file_the_home_and_the_environment() -> None:
    spec = changed(
        SPEC,
        expression__source=[
            {"url": "https://example.org/a.gz?x=1", "sha256": "a" * 64, "size": 5},
            "~/b.tsv",
        ],
        clinical__0__source="${PLACE}/c.tsv",
        filters__exclude_patients="../gone.txt",
    )
    found = cohortfile.sources(check(spec, {"PLACE": "/x", "HOME": "/home/u"}))
    assert found == [
        ("expression", "https://example.org/a.gz?x=1", "a" * 64, 5),
        ("expression_2", "/home/u/b.tsv", "", None),
        ("clinical_main", "/x/c.tsv", "", None),
        ("exclude_patients", "/data/gone.txt", "", None),
    ]
    assert cohortfile.is_url(found[0].location)
    assert not cohortfile.is_url(found[1].location)


def test_words_that_yaml_reads_as_truth_values_stay_words() -> None:
    text = yaml.safe_dump(changed(SPEC, columns__chemo={"column": "C", "values": {"a": "b"}}))
    spec = yaml.safe_load(text.replace("a: b", "YES: yes\n      NO: no\n      null: null"))
    spec["sampling"] = {True: ["her2"]}
    found = check(spec)
    assert found["columns"]["chemo"]["values"] == {"yes": "yes", "no": "no", "null": None}
    assert found["sampling"]["on"] == ["her2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"platfrom": "x"}, r"unknown key 'platfrom'; did you mean 'platform'"),
        ({"columns__her3": "X"}, r"unknown key 'her3' below columns; did you mean 'her2'"),
        ({"columns__her2__valeus": {}}, r"unknown key 'valeus' below columns.her2; did"),
        ({"expression__scale": "log"}, r"scale has the value 'log'.*one of counts, tpm"),
        ({"expression__gene_ids": "symbols"}, r"gene_ids has the value 'symbols'.*'symbol'"),
        ({"expression": {"source": "a"}}, r"expression lacks the required key 'gene_ids'"),
        ({"name": "../x"}, r"key name has the value '../x'"),
        ({"schema_version": 7}, r"schema_version is 7; this release reads version 1"),
        ({"expression__source": "${NOWHERE}/a"}, r"source is '\$\{NOWHERE\}/a'.*not set"),
        ({"expression__source": "s3://x/y"}, r"neither a path nor an address"),
        ({"expression__source": {"sha256": "a" * 64}}, r"either url or path, but has none"),
        ({"expression__gene_ids": "probe"}, r"'probe', which needs expression.annotation"),
        ({"columns__er": {"column": "E", "table": "labs"}}, r"columns.er.table is 'labs'.*main"),
        ({"columns__er": {"column": "E", "constant": "x"}}, r"columns.er must name either"),
        ({"sample_to_patient": {"rule": "column"}}, r"needs sample_to_patient.column"),
        ({"sample_to_patient": {"rule": "pattern", "pattern": "(a)(b)"}}, r"has 2 groups"),
        ({"filters__exclude_samples": "("}, r"exclude_samples is '\(', which is no reg"),
        ({"expected__groups": {"her2": {"positive": "x"}}}, r"her2.positive has the value"),
        (
            {"endpoints": {"OS": {"time": "t", "event": "e", "unit": "days",
                                  "event_values": {"DEAD": 2}}}},
            r"endpoints.OS.event_values maps 'DEAD' to 2; use 0",
        ),
        (
            {"endpoints": {"OS": {"time": "t", "event": "e", "unit": "days", "competing": True}}},
            r"endpoints.OS.competing is true, but OS counts deaths of any cause",
        ),
        (
            {"endpoints": {"DSS": {"time": "t", "event": "e", "unit": "days",
                                   "competing": False}}},
            r"endpoints.DSS.competing is false, but DSS censors deaths of other causes",
        ),
        (
            {"endpoints": {"PFI": {"time": "t", "event": "e", "unit": "days", "competing": 1}}},
            r"endpoints.PFI.competing",
        ),
    ],
)  # fmt: skip
def test_a_slip_is_named(changes, message) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check(changed(SPEC, **changes))
    assert str(caught.value).startswith("/data/cohorts/small.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("her2_stat", "her2"), ("HER2_status", "her2"), ("her2Status", "her2"),
        ("her2_ihc_score", "her2_ihc"), ("her2_fish", "her2_ish"), ("her2_ihcs", "her2_ihc"),
        ("ER", "er"), ("er_status", "er"), ("clinical er", "er"), ("age_years", "age"),
        ("pam50_subtype", "pam50"), ("tumor_size", "tumour_size"), ("stages", "stage"),
        ("her3", "her2"), ("sample_typ", "sample_type"),
    ],
)  # fmt: skip
def test_the_key_that_was_meant_is_suggested(wrong, meant) -> None:
    with pytest.raises(ConfigError, match=f"'{wrong}' below columns; did you mean '{meant}'\\?"):
        check(changed(SPEC, **{f"columns__{wrong}": "X"}))


def test_where_no_key_is_near_all_are_named() -> None:
    with pytest.raises(ConfigError, match="'qqq' below columns; known keys are age, batch"):
        check(changed(SPEC, columns__qqq="X"))


def _keys(rules, path=""):
    for key, sub in rules.get("properties", {}).items():
        yield f"{path}{key}", sub
        yield from _keys(sub, f"{path}{key}.")
        if isinstance(sub.get("items"), dict):
            yield from _keys(sub["items"], f"{path}{key}.")


def test_every_key_has_a_description_and_a_default() -> None:
    lacking = [
        key
        for key, sub in _keys(schema("cohort"))
        if "description" not in sub or "default" not in sub
    ]
    assert lacking == []


def test_schema_covers_the_canonical_vocabulary() -> None:
    made = {"patient", "her2_source", "her2_low", "her2_flag"}
    keys = schema("cohort")["properties"]
    assert (
        set(keys["columns"]["properties"])
        == {*CLINICAL_COLUMNS, "cell_type", "cell_subtype"} - made
    )
    assert tuple(keys["endpoints"]["properties"]) == ENDPOINTS


def test_schema_prints_the_her2_truth_table() -> None:
    text = schema("cohort")["properties"]["columns"]["$comment"]
    for row in her2.truth_table().itertuples(index=False):
        assert " | ".join(row).rstrip() in text


def test_shipped_and_real_cohort_files_are_valid(repository) -> None:
    files = [
        *sorted((repository / "config" / "cohorts").glob("*.yaml")),
        *sorted((repository / "tests" / "workflow" / "real" / "cohorts").glob("*.yaml")),
    ]
    assert len(files) >= 6
    for file in files:
        spec = cohortfile.load(file, environ={"CYTOSTRAT_DATA": "/data"})
        assert spec["name"] == file.stem
