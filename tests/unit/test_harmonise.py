"""Own dialect in, canonical cohort out: on frames one can check by hand, and on real tumours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cytostrat import cohortfile, genes, qc, readers, tables
from cytostrat.errors import InputError
from cytostrat.harmonise import clinical, harmonise, scale
from cytostrat.readers import Expression
from tests.cohort_files import CLINICAL, EXPRESSION, INDEX, SPEC, changed, run, write


def test_samples_keep_their_names_and_values(tmp_path) -> None:
    expression = EXPRESSION.rename(columns={"S2": "S2 ", "S3": "S 3 \u00e9<i>"})
    table = CLINICAL.replace({"id": {"S3": "S 3 \u00e9<i>"}})
    cohort, flow = run(write(tmp_path, expression=expression, clinical=table))
    assert cohort.obs_names.tolist() == ["S1", "S2", "S 3 \u00e9<i>", "S4"]
    assert cohort.var_names.tolist() == ["CXCL8", "ERBB2", "ESR1", "IL1B"]
    np.testing.assert_array_equal(
        cohort.X, EXPRESSION.loc[["CXCL8", "ERBB2", "ESR1", "IL1B"]].to_numpy().T
    )
    assert cohort.X.dtype == np.float32
    assert cohort.obs["her2"].tolist() == ["positive", "negative", "negative", "positive"]
    assert "blanks around the sample name 'S2 ' removed" in cohort.uns["provenance"]["warnings"]
    assert flow["n_out"].tolist() == [4] * len(flow)


def test_numbers_with_a_decimal_comma_are_read_where_the_table_says_so(tmp_path) -> None:
    table = CLINICAL.assign(
        age=["50", "61,5", "NA", "44,25"],
        t=["0,5", ",25", "76,2", "1e1"],
        note=["a,5", "b", "", "c"],
    )
    spec = changed(
        SPEC,
        clinical__0__decimal=",",
        columns__age="age",
        columns__batch="note",
        endpoints__OS={"time": "t", "event": "ER", "unit": "days"},
    )
    text = table.to_csv(sep=";", index=False)
    obs = run(write(tmp_path, clinical=text, spec=spec))[0].obs
    np.testing.assert_array_equal(obs["age"], [50, 61.5, np.nan, 44.25])
    np.testing.assert_array_equal(obs["OS_time"], [0.5, 0.25, 76.2, 10])
    assert obs["batch"].tolist() == ["a,5", "b", None, "c"]
    same = readers.read_clinical(
        {"clinical_main": tmp_path / "clinical.tsv"},
        cohortfile.check(SPEC, file=tmp_path / "small.yaml", environ={}),
    )["main"]
    pd.testing.assert_frame_equal(same, table.astype(object))


def test_order_of_rows_and_columns_changes_nothing(tmp_path) -> None:
    expression = pd.concat([EXPRESSION, EXPRESSION.loc[["CXCL8"]].rename({"CXCL8": "IL8"})])
    results = []
    for seed in (0, 1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        shuffled = expression.sample(frac=1, random_state=seed)
        table = CLINICAL.sample(frac=1, random_state=seed)
        results.append(run(write(folder, expression=shuffled, clinical=table))[0])
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].X, other.X)
        pd.testing.assert_frame_equal(results[0].obs, other.obs)
        assert results[0].var_names.equals(other.var_names)


def test_counts_are_summed_per_gene_and_brought_to_log2_cpm(tmp_path) -> None:
    counts = pd.DataFrame(
        {"S1": [10, 5, 85], "S2": [0, 0, 50], "S3": [1, 2, 7], "S4": [3, 3, 4]},
        index=pd.Index(["CXCL8", "IL8", "not a gene"], name="gene"),
    )
    spec = changed(SPEC, expression__scale="counts")
    cohort, _ = run(write(tmp_path, expression=counts, spec=spec))
    np.testing.assert_array_equal(cohort.layers["counts"], [[15], [0], [3], [6]])
    # the library holds every id of the file, also the unknown one: S1 has 100 counts
    expected = np.log2(1e6 * np.array([[15 / 100], [0], [3 / 10], [6 / 10]]) + 1)
    np.testing.assert_allclose(cohort.X, expected, rtol=1e-6)
    facts = cohort.uns["provenance"]["genes"]
    assert (facts["n_in"], facts["n_out"], facts["n_unknown"], facts["n_collapsed"]) == (3, 1, 1, 1)


def test_log_values_keep_the_row_with_the_highest_mean(tmp_path) -> None:
    doubled = pd.concat([EXPRESSION, pd.DataFrame([[9, 9, 9, 9], [8, 8, 8, 8]],
                        index=["HER2", "IL8"], columns=EXPRESSION.columns)])  # fmt: skip
    cohort, _ = run(write(tmp_path, expression=doubled.rename_axis("gene")))
    np.testing.assert_array_equal(cohort[:, "ERBB2"].X.ravel(), [9, 9, 9, 9])
    np.testing.assert_array_equal(cohort[:, "CXCL8"].X.ravel(), [8, 8, 8, 8])


def test_missing_log_values_stay_missing_and_are_counted(tmp_path) -> None:
    holes = EXPRESSION.copy()
    holes.loc["IL1B", "S2"] = np.nan
    holes.loc["CXCL8"] = np.nan
    cohort, _ = run(write(tmp_path, expression=holes))
    assert cohort.var_names.tolist() == ["ERBB2", "ESR1", "IL1B"]
    assert np.isnan(cohort["S2", "IL1B"].X).all()
    assert np.isnan(cohort.X).sum() == 1
    warnings = " ".join(cohort.uns["provenance"]["warnings"])
    assert "1 genes without any value dropped" in warnings
    assert "1 missing expression values kept" in warnings


def test_each_filter_is_a_row_of_the_flow(tmp_path) -> None:
    names = ["A-1", "A-2", "B-1", "C-1", "D-1", "E-1", "F_repl", "G-1"]
    expression = pd.DataFrame(
        np.arange(8 * 2).reshape(2, 8) / 4, columns=names, index=["ERBB2", "ESR1"]
    ).rename_axis("gene")
    table = pd.DataFrame(
        {
            "id": ["A", "B", "C", "D", "E", "F"],
            "HER2": ["pos", "neg", "neg", "neg", "neg", "neg"],
            "ER": ["1", "1", "0", "1", "1", "1"],
            "type": ["Primary", "primary", "Metastasis", "", "Primary", "Primary"],
            "sex": ["F", "F", "F", "F", "M", "F"],
        }
    )
    spec = changed(
        SPEC,
        clinical__0__join={"column": "id", "to": "patient"},
        sample_to_patient={"rule": "pattern", "pattern": "^([A-Z])"},
        columns__sample_type="type",
        columns__sex={"column": "sex", "values": {"F": "female", "M": "male"}},
        filters={"exclude_samples": "_repl$"},
    )
    cohort, flow = run(write(tmp_path, expression=expression, clinical=table, spec=spec))
    assert flow[["reason", "n_in", "n_out"]].to_numpy().tolist() == [
        ["in the expression file", 8, 8],
        ["no clinical row", 8, 7],
        ["no patient id", 7, 7],
        ["name matches _repl$", 7, 6],
        ["sample type not recorded", 6, 5],
        ["sample type not primary", 5, 4],
        ["sex not recorded", 4, 4],
        ["sex not female", 4, 3],
        ["further sample of a patient", 3, 2],
    ]
    assert cohort.obs_names.tolist() == ["A-1", "B-1"]
    assert cohort.obs["patient"].tolist() == ["small:A", "small:B"]


def test_two_tables_join_by_sample_and_by_patient(tmp_path) -> None:
    spec = changed(
        SPEC,
        clinical=[
            {"name": "people", "source": "people.csv",
             "join": {"column": "PID", "to": "patient", "remove_prefix": "P-"}},
            {"name": "samples", "source": "clinical.tsv", "join": {"column": "id", "to": "sample"}},
        ],
        sample_to_patient={"rule": "column", "column": "person"},
        columns__age={"column": "AGE", "values": {"90+": 90}},
        endpoints={"OS": {"time": "MONTHS", "event": "VITAL", "unit": "months",
                          "event_values": {"alive": 0, "dead": 1, "lost": None}}},
    )  # fmt: skip
    table = CLINICAL.assign(person=["4", "3", "2", "1"])
    path = write(tmp_path, clinical=table, spec=spec)
    (tmp_path / "people.csv").write_text(
        "PID,AGE,MONTHS,VITAL\nP-1,40,12,Dead\nP-2,90+,0,alive\nP-3,30,24,lost\nP-4,,,dead\nP-9,1,1,x\n"
    )
    obs = run(path)[0].obs
    np.testing.assert_array_equal(obs["age"], [np.nan, 30, 90, 40])
    np.testing.assert_allclose(obs["OS_time"], [np.nan, np.nan, 0, 12 * 30.4375])
    np.testing.assert_array_equal(obs["OS_event"], [np.nan, np.nan, 0, 1])


def test_tcga_barcodes_lead_to_patient_and_sample_type(tmp_path) -> None:
    names = {"S1": "TCGA-AA-0001-01B-11R", "S2": "TCGA-AA-0001-01A-11R",
             "S3": "TCGA-AA-0002-01A-11R", "S4": "TCGA-AA-0003-11A-11R"}  # fmt: skip
    spec = changed(
        SPEC,
        sample_to_patient={"rule": "tcga_barcode"},
        clinical__0__join={"column": "id", "to": "sample", "characters": 15},
        filters__sample_type={"missing": "drop"},
    )
    table = CLINICAL.assign(id=[name[:15] for name in names.values()]).drop(index=0)
    path = write(tmp_path, expression=EXPRESSION.rename(columns=names), clinical=table, spec=spec)
    with pytest.raises(InputError, match="no sample is HER2 positive"):
        run(path)
    table["HER2"] = ["neg", "pos", "neg"]
    cohort, _ = run(write(tmp_path, expression=EXPRESSION.rename(columns=names), clinical=table,
                          spec=spec))  # fmt: skip
    assert cohort.obs["patient"].tolist() == ["small:TCGA-AA-0001", "small:TCGA-AA-0002"]
    assert cohort.obs_names[0] == "TCGA-AA-0001-01A-11R"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("stage", "Stage IIIC", "3"), ("stage", "IV", "4"), ("stage", "2a", "2"),
        ("stage", "1.0", "1"), ("grade", "G3", "3"), ("grade", "Grade 1", "1"),
        ("stage", "Stage X", None), ("her2_ihc", "2", "2+"), ("her2_ihc", "3+", "3+"),
        ("her2_ihc", "0.0", "0"), ("er", "Positive", "positive"), ("er", "Indeterminate", None),
        ("pr", "[Not Evaluated]", None), ("age", "61.5", 61.5), ("age", "null", None),
        ("pam50", "luma", "LumA"), ("grade", "2.0", "2"), ("treatment", "arm B", "arm B"),
        ("treatment", "--", None),
    ],
)  # fmt: skip
def test_usual_spellings_need_no_map(name, text, value) -> None:
    aligned = clinical.Tables({"t": pd.DataFrame({"c": [text]})}, {"t": "file"})
    option = {"column": "c", "table": "", "values": {}, "constant": None, "multiply": 1.0}
    found = clinical.canonical(name, option, aligned, pd.RangeIndex(1)).iloc[0]
    assert pd.isna(found) if value is None else found == value


def test_numbers_are_converted_and_their_range_is_checked() -> None:
    aligned = clinical.Tables({"t": pd.DataFrame({"c": ["85", "12"]})}, {"t": "file"})
    option = {"column": "c", "table": "", "values": {}, "constant": None, "multiply": 0.01}
    found = clinical.canonical("purity", option, aligned, pd.RangeIndex(2))
    assert found.tolist() == [0.85, 0.12]
    with pytest.raises(InputError, match="'c' holds '85', outside 0 to 1 for purity"):
        clinical.canonical("purity", option | {"multiply": 1.0}, aligned, pd.RangeIndex(2))


def test_cells_stay_sparse_and_keep_all_of_a_patient() -> None:
    values = sparse.csr_matrix(np.array([[0, 3, 1], [4, 0, 0], [0, 0, 2]], dtype=np.float32))
    expression = Expression(values, ("c1", "c2", "c3"), ("IL8", "CXCL8", "junk"), "cells")
    table = pd.DataFrame(
        {"cell": ["c1", "c2", "c3"], "who": ["P", "P", "Q"], "kind": ["T", "B", "T"]}
    )
    spec = cohortfile.check(
        changed(
            SPEC, kind="single_cell", expression__scale="counts",
            clinical__0__join={"column": "cell", "to": "sample"}, columns={"cell_type": "kind"},
            sample_to_patient={"rule": "column", "column": "who"},
        ),
        file="small.yaml", environ={},
    )  # fmt: skip
    cohort, _ = harmonise(expression, {"main": table}, spec, INDEX)
    assert sparse.issparse(cohort.X)
    np.testing.assert_array_equal(cohort.layers["counts"].toarray(), [[3], [4], [0]])
    np.testing.assert_allclose(
        cohort.X.toarray(), np.log2([[1e4 * 3 / 4 + 1], [1e4 + 1], [1]]), rtol=1e-6
    )
    assert cohort.obs["patient"].tolist() == ["small:P", "small:P", "small:Q"]
    assert cohort.obs["cell_type"].tolist() == ["T", "B", "T"]


def test_h5ad_holds_expression_and_clinical_fields(tmp_path) -> None:
    import anndata

    anndata.AnnData(
        X=EXPRESSION.to_numpy(dtype=np.float32).T,
        obs=CLINICAL.set_index("id").rename_axis(None),
        var=pd.DataFrame(index=EXPRESSION.index.rename(None)),
    ).write_h5ad(tmp_path / "all.h5ad")
    spec = changed(
        SPEC,
        expression__source="all.h5ad",
        expression__format="h5ad",
        clinical=[{"source": "all.h5ad", "format": "h5ad",
                   "join": {"column": "obs_names", "to": "sample"}}],
    )  # fmt: skip
    found, _ = run(write(tmp_path, spec=spec))
    (tmp_path / "text").mkdir()
    text, _ = run(write(tmp_path / "text"))
    np.testing.assert_array_equal(found.X, text.X)
    pd.testing.assert_frame_equal(found.obs, text.obs)


@pytest.mark.parametrize("name", ["counts", "tpm", "fpkm", "log2", "log_intensity"])
def test_scale_is_described(name) -> None:
    text = scale.describe(name, kind="bulk", pseudocount=None)
    assert "log2" in text
    assert ("unchanged" in text) == (name in scale.LOG)


@pytest.fixture(scope="module")
def index(repository):
    return genes.read_index(repository / "resources" / "gene_ids.tsv.gz")


def _real(name, repository, data_dir, index, **changes):
    folder = repository / "tests" / "workflow" / "real" / "cohorts"
    environ = {"CYTOSTRAT_DATA": str(data_dir)}
    spec = cohortfile.load(folder / f"{name}.yaml", environ=environ)
    spec = changed(spec, **changes)
    files = spec["files"]
    return spec, *harmonise(
        readers.read_expression(files, spec), readers.read_clinical(files, spec), spec, index
    )


def _hallmark(reference_dir, name):
    lines = (reference_dir / "h.all.v2024.1.Hs.symbols.gmt").read_text().splitlines()
    return next(line.split("\t")[2:] for line in lines if line.startswith(f"{name}\t"))


@pytest.mark.parametrize(
    ("name", "her2", "er", "auc", "coverage"),
    [
        ("tcga_brca_129", {"positive": 39, "negative": 90}, (76, 53), (0.836, 0.96), (97, 199)),
        ("scanb_400", {"positive": 42, "negative": 343}, (300, 100), (0.91, 0.98), (80, 144)),
        ("tcga_brca_100_ensembl", {"positive": 15, "negative": 85}, (74, 26), (0.909, 0.997),
         (61, 86)),
    ],
)  # fmt: skip
def test_facts_of_the_real_cohorts(
    name, her2, er, auc, coverage, repository, data_dir, reference_dir, index, tmp_path
) -> None:
    spec, cohort, _ = _real(name, repository, data_dir, index)
    checked, _, controls = qc.check(cohort, {}, expected=spec["expected"])
    assert checked.obs["her2"].value_counts().to_dict() == her2
    assert checked.obs["er"].value_counts()[["positive", "negative"]].tolist() == list(er)
    found = controls.set_index("endpoint")["estimate"]
    for endpoint, value in zip(("her2", "er"), auc, strict=True):
        digits = len(str(value)) - 2
        assert round(found[endpoint], digits) == value
    for sets, n in zip(("INTERFERON_ALPHA_RESPONSE", "IL2_STAT5_SIGNALING"), coverage, strict=True):
        assert len(set(_hallmark(reference_dir, f"HALLMARK_{sets}")) & set(cohort.var_names)) == n
    tables.write_cohort(cohort, tmp_path / "cohort.h5ad")
    again = tables.read_cohort(tmp_path / "cohort.h5ad")
    np.testing.assert_array_equal(again.X, cohort.X)
    for column in cohort.obs:
        before, after = cohort.obs[column], again.obs[column].astype(object)
        assert (before.isna() == after.isna()).all()
        assert (before[before.notna()] == after[after.notna()]).all()
    assert again.uns["provenance"] == cohort.uns["provenance"]


def test_events_and_blank_of_the_real_cohorts(repository, data_dir, index) -> None:
    _, tcga, _ = _real("tcga_brca_129", repository, data_dir, index)
    assert tcga.obs["OS_event"].sum() == 14
    assert tcga.obs["PFI_event"].sum() == 17
    assert (tcga.obs["OS_time"] == 0).sum() == 4
    _, scanb, _ = _real("scanb_400", repository, data_dir, index)
    assert scanb.obs["OS_event"].sum() == 48
    assert not {"IL1A", "IL1R1", "IL18", "IL2", "IFNG", "PGR", "CXCL8"} & set(scanb.var_names)
    _, second, _ = _real("tcga_brca_100_ensembl", repository, data_dir, index)
    warnings = second.uns["provenance"]["warnings"]
    assert [note for note in warnings if note.startswith("blanks around the sample name")] == [
        "blanks around the sample name 'TCGA-A1-A0SP-01A-11R-A084-07 ' removed"
    ]
    kept, flow, _ = qc.check(second, {"tcga_brca_129": set(tcga.obs["patient"])})
    assert (flow["n_in"].item(), flow["n_out"].item()) == (100, 85)
    assert not set(kept.obs["patient"]) & set(tcga.obs["patient"])


def test_scores_and_hybridisation_of_tcga_129_through_the_cohort_file(
    repository, data_dir, index
) -> None:
    option = {"table": "", "values": {}, "constant": None, "multiply": 1, "derived": ""}
    ish = {"Positive": "amplified", "Negative": "not amplified"}
    _, cohort, _ = _real(
        "tcga_brca_129", repository, data_dir, index,
        columns__her2_ihc={**option, "column": "her2_immunohistochemistry_level_result"},
        columns__her2_ish={**option, "values": ish,
                           "column": "lab_procedure_her2_neu_in_situ_hybrid_outcome_type"},
    )  # fmt: skip
    counts = cohort.uns["provenance"]["her2"]
    assert counts["stated"] == {"negative": 90, "positive": 39}
    assert counts["status"] == {"equivocal": 2, "negative": 93, "positive": 34}
    assert cohort.obs["her2_low"].value_counts().to_dict() == {"low": 35, "zero": 5}


def test_all_1080_tumours_of_tcga_through_a_cohort_file(tmp_path, data_dir) -> None:
    """The real clinical table beside a made-up matrix of two genes; men leave by the filter."""
    source = data_dir / "tcga_clinical_1080" / "clinical.tsv"
    names = readers.delimited.read_clinical_table(source)["Sample ID"]
    spec = changed(
        SPEC,
        clinical=[{"source": str(source), "join": {"column": "Sample ID", "to": "sample"}}],
        sample_to_patient={"rule": "tcga_barcode"},
        columns={
            "her2": "IHC-HER2", "her2_ihc": "HER2 ihc score", "sex": "Sex",
            "her2_ish": {"column": "HER2 fish status",
                         "values": {"Positive": "amplified", "Negative": "not amplified",
                                    "Equivocal": "equivocal", "Indeterminate": None}},
            "er": "ER Status By IHC", "pr": "PR status by ihc", "age": "Diagnosis Age",
            "stage": "Neoplasm Disease Stage American Joint Committee on Cancer Code",
        },
        endpoints={"OS": {"time": "Overall Survival (Months)", "unit": "months",
                          "event": "Overall Survival Status",
                          "event_values": {"LIVING": 0, "DECEASED": 1}}},
        filters={"sex": {"keep": []}},
    )  # fmt: skip
    values = np.random.default_rng(0).normal(5, 2, (2, len(names))).round(3)
    matrix = pd.DataFrame(values, columns=names, index=["ERBB2", "ESR1"]).rename_axis("gene")
    cohort, _ = run(write(tmp_path, expression=matrix, spec=spec))
    counts = cohort.uns["provenance"]["her2"]
    assert counts["stated"] == {
        "equivocal": 173, "missing": 189, "negative": 556, "positive": 162,
    }  # fmt: skip
    assert counts["status"] == {"equivocal": 27, "missing": 116, "negative": 761, "positive": 176}
    assert sum(counts["flags"].values()) == 38
    assert cohort.obs["her2_low"].value_counts().to_dict() == {"low": 396, "zero": 60}
    assert cohort.obs["OS_event"].sum() == 148  # of 149 deaths one has no time
    assert [w for w in cohort.uns["provenance"]["warnings"] if w.startswith("OS:")] != []
    _, flow = run(write(tmp_path, expression=matrix, spec=changed(spec, filters={})))
    sex = flow[flow["step"].str.contains("sex")]
    assert sex[["n_in", "n_out"]].to_numpy().tolist() == [[1080, 1079], [1079, 1067]]


def test_a_large_cohort_needs_little_more_than_its_own_size() -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    n, symbols = 1500, [f"G{i}" for i in range(10_000)]
    values = rng.poisson(50, size=(n, len(symbols))).astype(np.float32)
    index = genes.GeneIndex.build(approved=symbols, alias=[], ensembl=[], entrez=[])
    spec = cohortfile.check(
        changed(SPEC, expression__scale="counts", clinical=[], columns={}),
        file="large.yaml", environ={},
    )  # fmt: skip
    expression = Expression(values, tuple(f"s{i}" for i in range(n)), tuple(symbols), "large")
    tracemalloc.start()
    cohort, _ = harmonise(expression, {}, spec, index)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert cohort.shape == (n, len(symbols))
    assert peak < 5 * values.nbytes
