"""Drafts: guesses against the truth, on real tumours and on files in the published layouts."""

from __future__ import annotations

import gzip
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from cytostrat import draft
from cytostrat.draft import columns, endpoints, joins
from cytostrat.draft.check import check
from cytostrat.errors import InputError
from cytostrat.fetch import cache_path
from cytostrat.genes import read_index
from cytostrat.signatures import read_signatures
from tests import public_mirror


@pytest.fixture(scope="module")
def index(repository):
    return read_index(repository / "resources" / "gene_ids.tsv.gz")


@pytest.fixture(scope="module")
def signatures(repository):
    return read_signatures(repository / "resources" / "signatures" / "signatures.tsv")


@pytest.fixture(scope="module")
def mirror(repository, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mirror")
    public_mirror.build(folder, repository / "resources", repository / "config", n=40)
    return folder


class Drafted:
    """A draft, its cohort file on disk and what a check says of it."""

    def __init__(self, paths, folder, index, signatures):
        self.file = folder / "draft.yaml"
        self.draft = draft.draft(paths, output=self.file, index=index)
        self.file.write_text(self.draft.text, encoding="utf-8")
        self.spec = yaml.safe_load(self.draft.text)
        self.findings = check(self.file, index=index, signatures=signatures, min_coverage=0.6)
        self.facts = dict(self.findings.facts)
        self.unsure = "\n".join(self.draft.unsure)

    def column(self, name):
        value = self.spec["columns"].get(name)
        return value["column"] if isinstance(value, dict) else value


# --- real tumours -------------------------------------------------------------------------------

TRUTH = {
    "tcga_brca_129": {
        "expression": {"gene_ids": "symbol", "scale": "counts", "id_column": "gene_symbol"},
        "columns": {
            "her2": "HER2_IHC", "er": "ER_IHC", "pam50": "PAM50_TCGA",
            "her2_ihc": "her2_immunohistochemistry_level_result",
            "her2_ish": "lab_procedure_her2_neu_in_situ_hybrid_outcome_type",
            "pr": "breast_carcinoma_progesterone_receptor_status",
            "age": "age_at_initial_pathologic_diagnosis", "stage": "ajcc_pathologic_tumor_stage",
        },
        "join": {"column": "patient", "to": "patient"},
        "rule": "tcga_barcode",
        "endpoints": {"OS": "days", "DSS": "days", "DFI": "days", "PFI": "days"},
        "facts": {"her2 stated": "negative 90, positive 39", "er": "positive 76, negative 53",
                  "OS": "14 events in 129", "PFI": "17 events in 129"},
    },
    "scanb_400": {
        "expression": {"gene_ids": "symbol", "scale": "log2", "pseudocount": 0.1},
        "columns": {
            "her2": "her2_status", "er": "er_status", "pr": "pgr_status", "grade": "nhg",
            "age": "age_at_diagnosis", "pam50": "pam50_subtype", "chemo": "chemo_treated",
            "endocrine": "endocrine_treated",
        },
        "join": {"column": "title", "to": "sample"},
        "rule": "identity",
        "endpoints": {"OS": "days"},
        "facts": {"her2": "negative 343, positive 42, missing 15",
                  "er": "positive 300, negative 100", "OS": "48 events in 400"},
    },
    "tcga_brca_100_ensembl": {
        "expression": {"gene_ids": "ensembl", "scale": "counts"},
        "columns": {"her2": "HER2", "er": "ER", "pr": "PR", "age": "age", "stage": "stage"},
        "join": {"column": "PatientID", "to": "sample"},
        "rule": "tcga_barcode",
        "endpoints": {"OS": "months"},
        "facts": {"her2": "negative 85, positive 15", "er": "positive 74, negative 26"},
    },
    "wu2021_cid4465": {
        "expression": {"gene_ids": "symbol", "scale": "counts", "format": "wu2021"},
        "columns": {"her2": "subtype", "er": "subtype", "cell_type": "celltype_major",
                    "cell_subtype": "celltype_subset"},
        "join": {"column": "barcode", "to": "sample"},
        "rule": "column",
        "endpoints": {},
        "facts": {"her2": "negative 1564", "cell_type": "CAFs 379, PVL 317, Endothelial 294"},
    },
    "metabric_clinical": {
        "expression": {},
        "columns": {
            "her2": "HER2_STATUS", "er": "ER_IHC", "pr": "PR_STATUS", "grade": "GRADE",
            "age": "AGE_AT_DIAGNOSIS", "pam50": "CLAUDIN_SUBTYPE", "stage": "TUMOR_STAGE",
            "tumour_size": "TUMOR_SIZE", "chemo": "CHEMOTHERAPY", "endocrine": "HORMONE_THERAPY",
            "batch": "COHORT", "sample_type": "SAMPLE_TYPE",
        },
        "join": {"column": "PATIENT_ID", "to": "patient"},
        "rule": "column",
        "endpoints": {"OS": "months"},
        "facts": {"her2": "negative 1733, missing 529, positive 247",
                  "er": "positive 1498, missing 572, negative 439", "OS": "1143 events in 1980"},
    },
    "tcga_clinical_1080": {
        "expression": {},
        "columns": {
            "her2": "IHC-HER2", "her2_ihc": "HER2 ihc score", "her2_ish": "HER2 fish status",
            "er": "ER Status By IHC", "pr": "PR status by ihc", "age": "Diagnosis Age",
            "sex": "Sex", "sample_type": "Sample Type",
            "nodes": "Positive Finding Lymph Node Hematoxylin and Eosin Staining Microscopy Count",
            "stage": "Neoplasm Disease Stage American Joint Committee on Cancer Code",
        },
        "join": {"column": "Sample ID", "to": "sample"},
        "rule": "tcga_barcode",
        "endpoints": {"OS": "months", "DFI": "months"},
        # women only: 556, 173 and 162 calls of all, 12 men and one without sex among them
        "facts": {"her2 stated": "negative 551, missing 186, equivocal 171, positive 159"},
    },
}  # fmt: skip


@pytest.mark.parametrize("folder", TRUTH)
def test_guesses_on_real_folders_are_the_truth(folder, data_dir, tmp_path, index, signatures):
    truth = TRUTH[folder]
    found = Drafted([data_dir / folder], tmp_path, index, signatures)
    assert found.spec["expression"].items() >= truth["expression"].items()
    assert {name: found.column(name) for name in found.spec["columns"]} == truth["columns"]
    assert found.spec["clinical"][0]["join"] == truth["join"]
    assert found.spec["sample_to_patient"]["rule"] == truth["rule"]
    endpoints = found.spec.get("endpoints", {})
    assert {name: one["unit"] for name, one in endpoints.items()} == truth["endpoints"]
    for topic, start in truth["facts"].items():
        assert found.facts[topic].startswith(start), topic
    problems = found.findings.problems
    if truth["expression"]:
        assert problems == []
    else:
        assert len(problems) == 1
        assert "expression.tsv does not exist" in problems[0]
        assert "expression matrix was found: give its path" in found.unsure


def test_receptors_are_confirmed_by_their_genes(data_dir, tmp_path, index, signatures):
    found = Drafted([data_dir / "scanb_400"], tmp_path, index, signatures)
    sure = "\n".join(found.draft.sure)
    assert "columns.her2 is her2_status (negative 343, positive 42; ERBB2 confirms" in sure
    assert "columns.er is er_status" in sure
    # PGR is not measured in this cohort, so nothing confirms the sign
    assert "columns.pr is pgr_status" in found.unsure


def test_copy_number_is_never_taken_for_her2_status(data_dir, tmp_path, index, signatures):
    found = Drafted([data_dir / "metabric_clinical"], tmp_path, index, signatures)
    assert "HER2_SNP6 is not used" in found.unsure
    assert "HER2_SNP6 is not used" in found.draft.text


# --- published layouts ---------------------------------------------------------------------------

GEO = public_mirror.GEO
LAYOUTS = {
    "tcga_brca": [f"{public_mirror.XENA}/{name}" for name in (
        "TCGA.BRCA.sampleMap%2FHiSeqV2.gz", "TCGA.BRCA.sampleMap%2FBRCA_clinicalMatrix",
        "survival%2FBRCA_survival.txt")],
    "metabric": [public_mirror.CBIOPORTAL],
    "scanb_gse96058": [f"{GEO}/series/GSE96nnn/GSE96058/{name}" for name in (
        "suppl/GSE96058_gene_expression_3273_samples_and_136_replicates_transformed.csv.gz",
        "matrix/GSE96058-GPL11154_series_matrix.txt.gz",
        "matrix/GSE96058-GPL18573_series_matrix.txt.gz")],
    "ispy2_gse194040": [f"{GEO}/series/GSE194nnn/GSE194040/{name}" for name in (
        "suppl/GSE194040_ISPY2ResID_AgilentGeneExp_990_FrshFrzn_meanCol_geneLevel_n988.txt.gz",
        "matrix/GSE194040-GPL20078_series_matrix.txt.gz",
        "matrix/GSE194040-GPL30493_series_matrix.txt.gz")],
    "gse25066": [f"{GEO}/series/GSE25nnn/GSE25066/matrix/GSE25066_series_matrix.txt.gz",
                 f"{GEO}/platforms/GPLnnn/GPL96/annot/GPL96.annot.gz"],
    "gse20194": [f"{GEO}/series/GSE20nnn/GSE20194/matrix/GSE20194_series_matrix.txt.gz",
                 f"{GEO}/platforms/GPLnnn/GPL96/annot/GPL96.annot.gz"],
    "noah_gse50948": [f"{GEO}/series/GSE50nnn/GSE50948/matrix/GSE50948_series_matrix.txt.gz",
                      f"{GEO}/platforms/GPLnnn/GPL570/annot/GPL570.annot.gz"],
    "gse176078": [f"{GEO}/series/GSE176nnn/GSE176078/suppl/"
                  "GSE176078_Wu_etal_2021_BRCA_scRNASeq.tar.gz"],
}  # fmt: skip
COMPARED = ("her2", "er", "pr", "her2_ihc", "her2_ish", "grade", "age", "pam50", "response")


@pytest.mark.parametrize("cohort", LAYOUTS)
def test_drafts_of_published_layouts_agree_with_the_cohort_files(
    cohort, mirror, repository, tmp_path, index, signatures
):
    paths = [cache_path(url, mirror / "mirror") for url in LAYOUTS[cohort]]
    found = Drafted(paths, tmp_path, index, signatures)
    assert found.findings.problems == []
    public = yaml.safe_load((repository / f"config/cohorts/{cohort}.yaml").read_text())
    mine = found.spec
    for key in ("format", "gene_ids", "scale", "member"):
        assert mine["expression"].get(key) == public["expression"].get(key), key
    for name in COMPARED:
        theirs = public["columns"].get(name)
        if theirs is not None and cohort != "tcga_brca":
            assert found.column(name) == (
                theirs["column"] if isinstance(theirs, dict) else theirs
            ), name
    for name in public.get("endpoints", {}):
        # deaths of breast cancer are an event only by a value that no name gives away
        if (cohort, name) != ("metabric", "DSS"):
            assert mine["endpoints"][name]["time"] == public["endpoints"][name]["time"]
    joined = {table["join"]["column"] for table in mine["clinical"]}
    assert joined == {table["join"]["column"] for table in public["clinical"]}
    assert mine["clinical"][0]["join"].get("remove_prefix") == public["clinical"][0]["join"].get(
        "remove_prefix"
    )


def test_classifiers_made_of_the_same_expression_are_passed_over(
    mirror, tmp_path, index, signatures
):
    paths = [cache_path(url, mirror / "mirror") for url in LAYOUTS["scanb_gse96058"]]
    found = Drafted(paths, tmp_path, index, signatures)
    assert "her2 prediction mgc is not used" in found.unsure
    assert found.spec["filters"]["exclude_samples"] == r"repl(?:icate)?\d*$"
    assert "3 names look like replicates" in found.unsure


# --- single guesses ------------------------------------------------------------------------------


@pytest.fixture
def small(repository):
    """Forty tumours of some 500 genes, on the log2 scale, samples in rows."""
    ids = public_mirror.genes(repository / "resources").iloc[::2]
    table = pd.concat(
        [ids, pd.DataFrame({"symbol": ["ERBB2", "ESR1", "PGR", "GRB7"],
                            "entrez": ["2064", "2099", "5241", "2886"]})]
    ).drop_duplicates("symbol")  # fmt: skip
    found = public_mirror.tumours(list(table["symbol"]), 40, np.random.default_rng(2))
    names = [f"P{number:03d}" for number in range(40)]
    values = pd.DataFrame(found.values, index=names, columns=list(table["symbol"]))
    return values, found.facts.set_axis(names), table


def _write(folder, values, clinical, **options):
    values.to_csv(folder / "expression.tsv", sep="\t", **options)
    clinical.to_csv(folder / "patients.csv", index_label="id")
    return [folder / "expression.tsv", folder / "patients.csv"]


def _clinical(facts, **more):
    return pd.DataFrame({"HER2": facts["her2"].astype(int), "age": facts["age"], **more})


def test_swapped_values_are_contradicted_by_the_gene(small, tmp_path, index, signatures):
    values, facts, _ = small
    clinical = _clinical(facts).assign(HER2=1 - facts["her2"].astype(int))
    found = Drafted(_write(tmp_path, values.T, clinical), tmp_path, index, signatures)
    assert "ERBB2 contradicts it: are the values swapped? (AUC 0.0" in found.unsure


def test_genes_in_columns_are_seen(small, tmp_path, index, signatures):
    values, facts, _ = small
    found = Drafted(_write(tmp_path, values, _clinical(facts)), tmp_path, index, signatures)
    assert found.spec["expression"]["orientation"] == "genes_in_columns"
    assert found.findings.problems == []


def test_entrez_ids_and_further_columns_are_seen(small, tmp_path, index, signatures):
    values, facts, table = small
    matrix = values.T.set_axis(pd.Index(table["entrez"], name="entrez"))
    matrix.insert(0, "description", [f"a gene {number}" for number in range(len(matrix))])
    found = Drafted(_write(tmp_path, matrix, _clinical(facts)), tmp_path, index, signatures)
    assert found.spec["expression"]["gene_ids"] == "entrez"
    assert found.spec["expression"]["drop_columns"] == ["description"]
    assert found.findings.problems == []


def test_decimal_commas_are_seen(small, tmp_path, index, signatures):
    values, facts, _ = small
    paths = _write(tmp_path, values.T, _clinical(facts), decimal=",")
    found = Drafted(paths, tmp_path, index, signatures)
    assert found.spec["expression"]["decimal"] == ","
    assert found.findings.problems == []


def test_decimal_commas_of_a_clinical_table_are_seen(small, tmp_path, index, signatures):
    values, facts, _ = small
    clinical = _clinical(facts, os_months=facts["time"] / 30.4, os_event=facts["event"].astype(int))
    clinical["age"] += 0.5
    paths = _write(tmp_path, values.T, clinical)
    clinical.to_csv(paths[1], index_label="id", sep=";", decimal=",")
    found = Drafted(paths, tmp_path, index, signatures)
    assert found.spec["clinical"][0]["decimal"] == ","
    assert found.findings.problems == []
    assert found.facts["age"].startswith(f"median {clinical['age'].median():g} ")
    assert found.spec["endpoints"]["OS"]["time"] == "os_months"
    # between thousands a comma is no decimal mark
    clinical["age"] = [f"{number},000" for number in range(40)]
    clinical.drop(columns="os_months").to_csv(paths[1], index_label="id", sep=";")
    assert "decimal" not in Drafted(paths, tmp_path, index, signatures).spec["clinical"][0]


def test_numbered_patients_are_no_genes(small, tmp_path, index, signatures):
    values, facts, _ = small
    numbers = [str(number) for number in range(1, 41)]
    clinical = _clinical(facts, er_status=facts["er"].astype(int), os_days=facts["time"] + 0.0)
    paths = _write(tmp_path, values.set_axis(numbers).T, clinical.set_axis(numbers))
    found = Drafted(paths[::-1], tmp_path, index, signatures)
    assert found.spec["expression"]["source"] == "expression.tsv"
    assert found.findings.problems == []


def test_probes_without_annotation_are_said(mirror, tmp_path, index):
    paths = [cache_path(LAYOUTS["gse25066"][0], mirror / "mirror")]
    found = draft.draft(paths, output=tmp_path / "draft.yaml", index=index)
    assert "give the platform's annotation" in "\n".join(found.unsure)
    assert "# CHECK: the ids are probes" in found.text


SCALES = {
    "counts": lambda x, _: np.floor(2**x * 40),
    "tpm": lambda x, _: 2**x / (2**x).sum(axis=1, keepdims=True) * 1e6,
    "fpkm": lambda x, _: 2**x / 50,
    "log2": lambda x, rng: np.log2(np.where(rng.random(x.shape) < 0.05, 0, 2**x) + 1),
    "log_intensity": lambda x, _: x + 3,
}


@pytest.mark.parametrize("scale", SCALES)
def test_scales_are_told_apart(scale, small, tmp_path, index, signatures):
    values, facts, _ = small
    changed = SCALES[scale](values.to_numpy(), np.random.default_rng(1))
    frame = pd.DataFrame(changed, index=values.index, columns=values.columns)
    found = Drafted(_write(tmp_path, frame.T, _clinical(facts)), tmp_path, index, signatures)
    assert found.spec["expression"]["scale"] == scale
    assert found.findings.problems == []


def test_standardised_values_are_doubted(small, tmp_path, index, signatures):
    values, facts, _ = small
    scores = (values - values.mean()) / values.std()
    found = Drafted(_write(tmp_path, scores.T, _clinical(facts)), tmp_path, index, signatures)
    assert "log ratios or standardised values?" in found.unsure


def test_a_prefix_or_suffix_of_the_key_is_found():
    samples = ["1001", "1002", "1003", "2044"]
    for values, rule in (
        ([f"ISPY2_{name}" for name in samples], {"remove_prefix": "ISPY2_"}),
        ([f"{name}_RNAseq" for name in samples], {"remove_suffix": "_RNAseq"}),
    ):
        table = pd.DataFrame({"x": ["a", "b", "c", "d"], "title": values}, dtype=object)
        found = joins.guess({"main": table}, samples, {}).joins["main"]
        assert found.rule == {"column": "title", "to": "sample", **rule}
        assert found.n_matched == 4


@pytest.mark.parametrize(
    ("ids", "ends", "pattern"),
    [
        (["Tu1000", "Tu1001", "Tu1002", "Tu1003"], ["_T1", "_T1", "_T12", "_T3"], r"^(.+)_T\d+$"),
        # Tu1 begins the name of Tu10 too, but is another patient
        (["Tu1", "Tu10", "Tu2", "Tu3"], ["-T", "-T", "-T", "-T"], r"^(.+)-T$"),
        (["A.1", "B.1", "B.2", "B.3"], ["_T1", "_primary", "_RNA_2", "_T"], r"^([^_]+)_"),
        (["A_1", "B_1", "B_22", "B_3"], ["_T1", "_primary", "_N", "_T"], r"^(.+)_[^_]+$"),
        (["A_1", "B_1", "B_2", "B_3"], ["a", "_T_primary", "b", "a"], r"^(.{3})"),
    ],
)
def test_ids_that_begin_the_sample_names_are_patients(ids, ends, pattern):
    samples = [name + end for name, end in zip(ids, ends, strict=True)]
    table = pd.DataFrame({"site": ["A", "B", "Tu"], "id": [ids[2], ids[0], ids[1]]}, dtype=object)
    links = joins.guess({"main": table}, [*samples, f"{ids[0]}{ends[0]}"], {})
    assert links.joins["main"].rule == {"column": "id", "to": "patient"}
    assert links.joins["main"].doubts == ("1 of 4 patients have no row",)
    assert links.sample_to_patient == {"rule": "pattern", "pattern": pattern}
    (doubt,) = links.doubts
    assert f"{samples[0]!r} is taken as a sample of the patient {ids[0]!r}" in doubt


def test_where_no_rule_leads_from_sample_to_patient_one_is_asked_for():
    samples = ["A1x", "B22_T1", "C333-a_b", "other"]
    table = pd.DataFrame({"id": ["A1", "B22", "C333"]}, dtype=object)
    links = joins.guess({"main": table}, samples, {})
    assert links.sample_to_patient == {"rule": "identity"}
    assert "give sample_to_patient the rule pattern" in links.joins["main"].doubts[0]


def test_ids_that_begin_with_sample_names_are_cut():
    samples = ["Tu1000", "Tu1001", "Tu1002"]
    table = pd.DataFrame({"id": ["Tu1000_T1", "Tu1001_N1", "Tu1002_T1"]}, dtype=object)
    links = joins.guess({"main": table}, samples, {})
    assert links.joins["main"].rule == {"column": "id", "to": "sample", "characters": 6}
    assert links.joins["main"].n_matched == 3


def test_clinical_columns_are_drafted_from_a_table_that_finds_its_samples_by_their_beginning(
    small, tmp_path, index, signatures
):
    values, facts, _ = small
    matrix = values.set_axis([f"{name}_T1" for name in values.index]).T
    found = Drafted(_write(tmp_path, matrix, _clinical(facts)), tmp_path, index, signatures)
    assert found.spec["sample_to_patient"] == {"rule": "pattern", "pattern": r"^(.+)_T\d+$"}
    assert found.findings.problems == []
    assert found.column("her2") == "HER2"
    assert "ERBB2 confirms" in " ".join(found.draft.sure)


def test_clinical_columns_are_drafted_from_a_table_that_finds_no_sample(
    small, tmp_path, index, signatures
):
    values, facts, _ = small
    matrix = values.set_axis([f"X{number}" for number in range(40)]).T
    found = Drafted(_write(tmp_path, matrix, _clinical(facts)), tmp_path, index, signatures)
    assert {name: found.column(name) for name in found.spec["columns"]} == {
        "age": "age", "her2": "HER2",
    }  # fmt: skip
    assert "name the right column, or give sample_to_patient the rule pattern" in found.unsure


def test_barcodes_of_other_lengths_are_cut():
    samples = ["TCGA-A1-A0SB-01A-11R", "TCGA-A1-A0SD-01A-11R"]
    table = pd.DataFrame({"sampleID": ["TCGA-A1-A0SB-01", "TCGA-A1-A0SD-01"]}, dtype=object)
    links = joins.guess({"main": table}, samples, {})
    assert links.joins["main"].rule == {"column": "sampleID", "to": "sample", "characters": 15}
    assert links.sample_to_patient == {"rule": "tcga_barcode"}


WORDS = {
    "positive": ["+", "pos", "Positive", "P", "YES", "Positve", "HER2+", "amplified"],
    "negative": ["-", "neg", "NEGATIVE", "N", "no", "HER2-", "not amplified"],
    "equivocal": ["Equivocal", "borderline", "+/-"],
    "unclear": ["Indeterminate", "I", "unknown"],
}
MISSING = ["", "NA", "null", "--", "[Not Evaluated]", "[Not Available]", "nan"]


@given(
    st.lists(st.sampled_from(WORDS["positive"]), min_size=1),
    st.lists(st.sampled_from(WORDS["negative"]), min_size=1),
    st.lists(st.sampled_from(WORDS["equivocal"] + WORDS["unclear"] + MISSING)),
)
def test_no_word_is_read_as_its_opposite_and_missing_is_never_negative(positive, negative, other):
    table = pd.DataFrame({"her2_status": [*positive, *negative, *other]}, dtype=object)
    guesses, _ = columns.guess_columns({"main": table}, kind="bulk")
    (guess,) = [one for one in guesses if one.key == "columns.her2"]
    mapping = guess.value.get("values", {})
    for word, value in mapping.items():
        kinds = [kind for kind, words in WORDS.items() if word in words]
        assert value == (None if kinds == ["unclear"] else kinds[0]), word
        assert word not in MISSING


UNKNOWN = [
    ("her2", "her2_status", {"neg": 25, "pos": 5, "n.b.": 10},
     {"neg": "negative", "pos": "positive", "n.b.": None}),
    ("her2", "her2_status", {"neg": 5, "pos": 3, "n.b.": 30},
     {"neg": "negative", "pos": "positive", "n.b.": None}),
    ("her2_ihc", "HER2_IHC", {"0": 10, "1+": 9, "2+": 5, "3+": 6, "3+ (strong)": 1},
     {"0": "0", "1+": "1+", "2+": "2+", "3+": "3+", "3+ (strong)": None}),
    ("er", "er_status", {"0": 10, "1": 20, "9": 3},
     {"0": "negative", "1": "positive", "9": None}),
    ("her2", "subtype", {"TNBC": 9, "HER2+": 5, "ER+": 20, "n.b.": 2},
     {"TNBC": "negative", "HER2+": "positive", "ER+": "negative", "n.b.": None}),
]  # fmt: skip


def _column(counts):
    return pd.Series([word for word, n in counts.items() for _ in range(n)], dtype=object)


@pytest.mark.parametrize(("name", "column", "counts", "wanted"), UNKNOWN)
def test_a_word_not_understood_is_missing_and_said(name, column, counts, wanted):
    table = pd.DataFrame({column: _column(counts)})
    guesses, _ = columns.guess_columns({"main": table}, kind="bulk")
    (guess,) = [one for one in guesses if one.key == f"columns.{name}"]
    assert guess.value == {"column": column, "values": wanted}
    ((word, n),) = [(word, n) for word, n in counts.items() if wanted[word] is None]
    assert f"{word!r} ({n}) is not understood and read as missing" in " ".join(guess.doubts)
    assert f"columns.{name}.values, or list under missing_values" in " ".join(guess.doubts)


@pytest.mark.parametrize(
    ("name", "column", "counts"),
    [
        ("her2", "her2_status", {"purple": 10, "green": 9, "neg": 2}),
        # scores, of which 0 and 1 must not become a negative and a positive call
        ("her2", "her2_status", {"0": 30, "1": 20, "2": 5, "3": 5}),
        ("chemo", "chemo", {"0": 30, "1": 20, "2": 5, "3": 5}),
        ("age", "age", {"<50": 10, "50-60": 20}),
    ],
)
def test_a_column_that_only_its_name_speaks_for_is_named(name, column, counts):
    table = pd.DataFrame({column: _column(counts)})
    guesses, (remark,) = columns.guess_columns({"main": table}, kind="bulk")
    assert guesses == []
    assert remark.startswith(f"{column} is not used: its name speaks of {name}, but too few of")
    assert all(f"{word!r} ({n})" in remark for word, n in counts.items())
    assert remark.endswith(f"map them under columns.{name}.values")


def test_a_draft_with_unknown_words_passes_the_check_and_lists_columns_not_used(
    small, tmp_path, index, signatures
):
    values, facts, _ = small
    words = np.where(facts["her2"], "pos", "neg").astype(object)
    words[:3] = "n.b."
    clinical = _clinical(facts, note="x", pT="2", os_days=facts["time"], dead="0")
    found = Drafted(
        _write(tmp_path, values.T, clinical.assign(HER2=words)), tmp_path, index, signatures
    )
    assert "      n.b.: null  # CHECK: 3 values\n" in found.draft.text
    assert "columns.her2 is HER2 (" in found.unsure
    assert "'n.b.' (3) is not understood" in found.unsure
    assert found.findings.problems == []
    assert found.facts["her2"].startswith("negative 25, positive 12, missing 3 ")
    assert found.draft.unused == ["note", "pT"]


def test_long_lists_are_cut():
    names = [f"c{number}" for number in range(5)]
    assert columns.shortened(names, 4) == "c0, c1, c2, c3, c4"
    assert columns.shortened(names, 3) == "c0, c1, c2 and 2 others"


def test_units_of_time_by_name_and_by_size():
    events = ["1", "0", "0", "1"]
    for name, times, unit, sure in (
        ("OS_MONTHS", ["10", "200", "30", "44"], "months", True),
        ("os_time", ["100", "2453", "30", "44"], "days", True),
        ("os_time", ["1.5", "12.1", "3", "4"], "years", False),
        ("os_time", ["1.5", "120.1", "3", "4"], "months", False),
    ):
        table = pd.DataFrame({name: times, "os_event": events}, dtype=object)
        (guess,) = endpoints.guess_endpoints({"main": table})
        assert guess.value["unit"] == unit
        assert (guess.doubts == ()) == sure


def test_a_word_of_an_event_that_is_not_understood_is_missing_and_said():
    words = {"alive": 12, "dead": 6, "verstorben": 2}
    table = pd.DataFrame({"os_days": range(700, 2700, 100), "vital_status": _column(words)})
    (guess,) = endpoints.guess_endpoints({"main": table.astype(str).astype(object)})
    assert guess.value["event_values"] == {"alive": 0, "dead": 1, "verstorben": None}
    assert guess.unread == {"verstorben": 2}
    assert "'verstorben' (2) is not understood and read as missing" in guess.doubts[0]
    assert "endpoints.OS.event_values" in guess.doubts[0]
    # all deaths read as missing would be no endpoint at all
    table["vital_status"] = table["vital_status"].replace("dead", "verstorben")
    assert endpoints.guess_endpoints({"main": table.astype(str).astype(object)}) == []


def test_a_draft_says_of_each_relapse_endpoint_whether_other_deaths_are_censored():
    for name, competing, sure in (
        ("PFI", True, True), ("DFI", True, True), ("RFS", False, False), ("OS", None, True),
    ):  # fmt: skip
        table = pd.DataFrame({f"{name}_days": ["700", "2453", "900"], name: ["1", "0", "0"]})
        (guess,) = endpoints.guess_endpoints({"main": table.astype(object)})
        assert guess.value.get("competing") is competing
        assert (guess.doubts == ()) == sure


def test_what_is_no_data_is_refused_in_one_sentence(tmp_path, index):
    (tmp_path / "page.tsv").write_text("<!DOCTYPE html><html></html>")
    (tmp_path / "empty.tsv").write_bytes(gzip.compress(b""))
    for name in ("page.tsv", "empty.tsv", "absent.tsv"):
        with pytest.raises(InputError, match=name):
            draft.draft([tmp_path / name], output=tmp_path / "draft.yaml", index=index)


def test_cells_that_do_not_fit_into_memory_are_drafted_and_checked(
    mirror, tmp_path, index, signatures, monkeypatch
):
    monkeypatch.setattr("cytostrat.readers.rows.IN_MEMORY", 1)
    paths = [cache_path(url, mirror / "mirror") for url in LAYOUTS["gse176078"]]
    found = Drafted(paths, tmp_path, index, signatures)
    assert found.findings.problems == []
    assert found.facts["cells"] == "480 from 8 patient(s) after filters"
    assert found.facts["HALLMARK_INTERFERON_ALPHA_RESPONSE"] == "97 of 97 genes"


def test_cells_without_counts_that_do_not_fit_into_memory_are_drafted_with_a_doubt(
    tmp_path, index, monkeypatch
):
    monkeypatch.setattr("cytostrat.readers.rows.IN_MEMORY", 1)
    counts = np.random.default_rng(1).poisson(0.3, size=(5001, 60)).astype(np.float32)
    cells = anndata.AnnData(
        sparse.csr_matrix(np.log1p(counts)),
        obs=pd.DataFrame({"donor": "P1"}, index=[f"C{i}" for i in range(5001)]),
        var=pd.DataFrame(index=sorted(index.approved)[:60]),
    )
    cells.write_h5ad(tmp_path / "cells.h5ad")
    found = draft.draft([tmp_path / "cells.h5ad"], output=tmp_path / "draft.yaml", index=index)
    assert "no counts, which cells need" in "\n".join(found.unsure)


# --- what is absent ------------------------------------------------------------------------------


def _findings(drafted, index, signatures, **changes):
    """Check the drafted cohort file again, with keys replaced."""
    drafted.file.write_text(yaml.safe_dump(drafted.spec | changes), encoding="utf-8")
    return check(drafted.file, index=index, signatures=signatures, min_coverage=0.6)


BY_SAMPLE = {"source": "patients.csv", "join": {"column": "id", "to": "sample"}}
BY_PATIENT = {"source": "patients.csv", "join": {"column": "id", "to": "patient"}}
TUMOURS = {"rule": "pattern", "pattern": r"^(P\d+)_T\d$"}


@pytest.mark.parametrize("table", [BY_SAMPLE, BY_PATIENT])
@pytest.mark.parametrize("gone", ["patients.csv", "patients_2.csv", "left_out.txt"])
def test_an_absent_clinical_file_is_the_only_problem(
    gone, table, small, tmp_path, index, signatures
):
    values, facts, _ = small
    found = Drafted(_write(tmp_path, values.T, _clinical(facts)), tmp_path, index, signatures)
    (tmp_path / "left_out.txt").write_text("P001")
    (tmp_path / "patients_2.csv").write_text("id,HER2,age\nP900,1,50\n")
    changes = {
        "clinical": [table | {"source": ["patients.csv", "patients_2.csv"]}],
        "filters": found.spec["filters"] | {"exclude_patients": "left_out.txt"},
        "expected": {"n": 39},
    }
    assert _findings(found, index, signatures, **changes).problems == []
    (tmp_path / gone).unlink()
    (problem,) = _findings(found, index, signatures, **changes).problems
    assert problem.endswith(f"{tmp_path / gone} does not exist; correct the path.")


@pytest.mark.parametrize(
    ("table", "rule", "counted"),
    [
        (BY_SAMPLE, {"rule": "identity"}, True),
        (BY_PATIENT, {"rule": "identity"}, True),
        (BY_PATIENT, TUMOURS, True),
        (BY_PATIENT, {"rule": "tcga_barcode"}, True),
        # the ids in the table are the beginnings of names that only the matrix has
        ({**BY_SAMPLE, "join": {**BY_SAMPLE["join"], "characters": 4}}, TUMOURS, False),
    ],
)
def test_an_absent_matrix_is_the_only_problem(
    table, rule, counted, small, tmp_path, index, signatures
):
    values, facts, _ = small
    found = Drafted(_write(tmp_path, values.T, _clinical(facts)), tmp_path, index, signatures)
    (tmp_path / "expression.tsv").unlink()
    findings = _findings(found, index, signatures, clinical=[table], sample_to_patient=rule)
    (problem,) = findings.problems
    assert problem.endswith("expression.tsv does not exist; correct the path.")
    assert ("her2" in dict(findings.facts)) == counted
    if counted:
        assert dict(findings.facts)["samples"] == "40 from 40 patient(s) after filters"


def test_an_absent_annotation_is_the_only_problem(small, tmp_path, index, signatures):
    values, facts, _ = small
    found = Drafted(_write(tmp_path, values.T, _clinical(facts)), tmp_path, index, signatures)
    probes = {"gene_ids": "probe", "annotation": {"source": "platform.txt"}}
    expression = found.spec["expression"] | probes
    findings = _findings(found, index, signatures, expression=expression)
    (problem,) = findings.problems
    assert problem.endswith("platform.txt does not exist; correct the path.")
    assert dict(findings.facts)["expression"] == f"40 columns x {values.shape[1]} genes"
    assert "her2" in dict(findings.facts)
    assert "coverage" not in dict(findings.facts)
