"""Public formats: files that follow the published layouts, filled with real values."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import io as scipy_io
from scipy import sparse

from cytostrat import cohortfile, readers
from cytostrat.errors import InputError
from cytostrat.harmonise import harmonise
from cytostrat.readers import cbioportal, cells, geo, tcga
from cytostrat.readers.delimited import read_clinical_table, read_matrix
from tests.cohort_files import INDEX, SPEC, changed


def quoted(*fields: str) -> str:
    return "\t".join(f'"{field}"' for field in fields)


def series(path: Path, samples: list[str], lines: list[list[str]], table: list[str]) -> Path:
    """Write a series matrix as GEO does."""
    rows = ['!Series_title\t"A series"', '!Series_geo_accession\t"GSE1"', ""]
    rows += [f"!Sample_{name}\t{quoted(*values)}" for name, *values in lines]
    rows += ["!series_matrix_table_begin", quoted("ID_REF", *samples), *table]
    rows += ["!series_matrix_table_end", ""]
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    return path


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


# --- GEO ------------------------------------------------------------------------------------


def test_characteristics_are_read_by_their_own_key_also_where_they_shift(tmp_path) -> None:
    names = ["GSM1", "GSM2", "GSM3"]
    path = series(
        tmp_path / "GSE1_series_matrix.txt.gz",
        names,
        [
            ["title", "F1", "F2", "F3repl"],
            ["geo_accession", *names],
            ["characteristics_ch1", "age: 50", "her2 status: 1", "age: 61"],
            ["characteristics_ch1", "her2 status: 0", "note: a: b", "her2 status: NA"],
            ["characteristics_ch1", "title: own", "", "frozen"],
            ["characteristics_ch1", "arm: A", "arm: A", "arm: A"],
            ["characteristics_ch1", "arm: B", "arm: A", ""],
            ["description", "one", "two", ""],
            ["description", "more", "", ""],
        ],
        [],
    )
    table = geo.read_series_clinical(path).set_index("geo_accession")
    assert table.loc["GSM1"].to_dict() == {
        "title": "F1", "description": "one", "description (2)": "more", "age": "50",
        "her2 status": "0", "title (2)": "own", "arm": "A", "arm (2)": "B", "note": "",
        "characteristics": "",
    }  # fmt: skip
    assert table["her2 status"].tolist() == ["0", "1", "NA"]
    assert table["age"].tolist() == ["50", "", "61"]
    assert table.loc["GSM2", "note"] == "a: b"
    assert table.loc["GSM3", "characteristics"] == "frozen"
    with pytest.raises(InputError, match=r"table of values is empty.*supplementary table"):
        geo.read_series_matrix(path)


@pytest.fixture
def annot(tmp_path) -> Path:
    path = tmp_path / "GPL96.annot.gz"
    rows = ["^Annotation", "!Annotation_platform = GPL96", "#ID = ID from Platform data table",
            "#Gene symbol = Entrez Gene symbol", "!platform_table_begin",
            "ID\tGene title\tGene symbol\tGene ID",
            "216836_s_at\terb-b2\tERBB2\t2064", "205225_at\testrogen\tESR1\t2099",
            "1_at\ttwo genes\tIL1B///TP53\t3553///7157", "2_at\tno gene\t\t",
            "3_at\tagain\tHER2///HER2\t2064", "!platform_table_end"]  # fmt: skip
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    return path


def test_series_of_several_platforms_with_probes_and_characteristics(tmp_path, annot) -> None:
    files = []
    for number, (names, table) in enumerate(
        [
            (["GSM1", "GSM2"], [["216836_s_at", 9.5, 5.0], ["205225_at", 2.5, 8.0],
             ["1_at", 7.0, 7.0], ["2_at", 6.0, 6.0], ["3_at", 9.0, 6.5]]),
            (["GSM3"], [["3_at", 8.0], ["205225_at", 3.25], ["216836_s_at", 8.5], ["1_at", 1.0],
             ["2_at", 1.5], ["only_here", 1.0]]),
        ],
        start=1,
    ):  # fmt: skip
        calls = {"GSM1": "P", "GSM2": "N", "GSM3": "P"}
        files.append(
            series(
                tmp_path / f"GSE1-GPL{number}_series_matrix.txt.gz",
                names,
                [
                    ["geo_accession", *names],
                    ["characteristics_ch1", *(f"her2_status: {calls[name]}" for name in names)],
                ],
                ["\t".join([f'"{row[0]}"', *map(str, row[1:])]) for row in table],
            )
        )
    sources = [str(file) for file in files]
    spec = cohortfile.check(
        changed(
            SPEC,
            expression={"source": sources, "format": "geo_series_matrix", "gene_ids": "probe",
                        "scale": "log_intensity", "annotation": {"source": str(annot)}},
            clinical=[{"source": sources, "format": "geo_series_matrix",
                       "join": {"column": "geo_accession", "to": "sample"}}],
            columns={"her2": {"column": "her2_status",
                              "values": {"P": "positive", "N": "negative", "I": "equivocal"}}},
        ),
        file="x.yaml", environ={},
    )  # fmt: skip
    paths = spec["files"]
    assert list(paths) == [
        "expression", "expression_2", "annotation", "clinical_main", "clinical_main_2",
    ]  # fmt: skip
    cohort, _ = harmonise(
        readers.read_expression(paths, spec),
        readers.read_clinical(paths, spec),
        spec,
        INDEX,
        annotation=readers.read_annotation(paths, spec),
    )
    assert cohort.obs_names.tolist() == ["GSM1", "GSM2", "GSM3"]
    assert cohort.obs["her2"].tolist() == ["positive", "negative", "positive"]
    # of the two probes of ERBB2 (one by its alias) the one with the higher mean is kept
    assert cohort.var_names.tolist() == ["ERBB2", "ESR1"]
    np.testing.assert_array_equal(cohort.X, [[9.0, 2.5], [6.5, 8.0], [8.0, 3.25]])
    facts = cohort.uns["provenance"]["genes"]
    assert (facts["n_in"], facts["n_ambiguous"], facts["n_unknown"]) == (5, 1, 1)


def test_annotation_in_its_three_layouts(tmp_path, annot) -> None:
    expected = {"216836_s_at": "ERBB2", "205225_at": "ESR1", "1_at": "IL1B///TP53", "2_at": "",
                "3_at": "HER2"}  # fmt: skip
    assert geo.read_annotation(annot) == expected
    assert geo.read_annotation(annot, gene_ids="entrez")["1_at"] == "3553///7157"
    full = tmp_path / "GPL570-55999.txt"
    full.write_text(
        "#ID = Affymetrix Probe Set ID\n#Gene Symbol = symbol\nID\tSPOT_ID\tGene Symbol\n"
        "1_at\t\tIL1B /// TP53\n2_at\t\t---\n"
    )
    assert geo.read_annotation(full) == {"1_at": "IL1B///TP53", "2_at": ""}
    illumina = tmp_path / "GPL6947.csv"
    illumina.write_text('ID,ILMN_Gene,"Definition, long"\nILMN_1,ERBB2,"a, b"\n')
    assert geo.read_annotation(illumina) == {"ILMN_1": "ERBB2"}
    with pytest.raises(InputError, match="no column 'Probe'"):
        geo.read_annotation(illumina, id_column="Probe")
    with pytest.raises(InputError, match="no column 'symbols'"):
        geo.read_annotation(illumina, gene_column="symbols")
    illumina.write_text("ID,Symbol\nILMN_1,ERBB2\nILMN_1,ESR1\n")
    with pytest.raises(InputError, match="probe 'ILMN_1' occurs twice with different genes"):
        geo.read_annotation(illumina)


def test_series_that_is_cut_off_or_none_is_refused(tmp_path) -> None:
    names = ["GSM1", "GSM2"]
    path = series(tmp_path / "a.gz", names, [["geo_accession", *names]], ["p\t1\t2", "q\t3\t4"])
    text = gzip.decompress(path.read_bytes())
    path.write_bytes(text[: text.index(b"!series_matrix_table_end")])
    with pytest.raises(InputError, match=r"ends without !series_matrix_table_end, it is cut off"):
        geo.read_series_matrix(path)
    path.write_bytes(text.replace(b'"GSM1"\t"GSM2"', b'"GSM1"', 1).replace(
        b"!series_matrix_table_begin", b'!Sample_title\t"a"\t"b"\n!series_matrix_table_begin',
    ))  # fmt: skip
    with pytest.raises(InputError, match="title has 2 samples where geo_accession has 1"):
        geo.read_series_clinical(path)
    path.write_text("ID,HER2\nGSM1,N\n")
    with pytest.raises(InputError, match="is no GEO series matrix"):
        geo.read_series_clinical(path)
    with pytest.raises(InputError, match="is no GEO series matrix"):
        geo.read_series_matrix(path)


def test_real_cohort_in_the_layout_of_its_deposit(tmp_path, data_dir) -> None:
    """SCAN-B as GEO holds it: titles join a supplementary CSV, two matrices, replicates."""
    table = read_clinical_table(data_dir / "scanb_400" / "clinical.tsv").head(60)
    matrix = read_matrix(data_dir / "scanb_400" / "log2_fpkm.tsv.gz")
    order = {name: row for row, name in enumerate(matrix.samples)}
    titles = table["title"].tolist()
    values = matrix.values[[order[name] for name in titles], :300]
    frame = pd.DataFrame(values.T, index=matrix.genes[:300], columns=titles)
    frame[f"{titles[0]}repl"] = frame[titles[0]]
    frame.to_csv(tmp_path / "transformed.csv.gz")
    files = []
    for number, part in enumerate((table.iloc[:40], table.iloc[40:])):
        rows = [["title", *part["title"]], ["geo_accession", *part["gsm"]]]
        shift = number  # the second matrix has its characteristics in another order
        keys = [("age at diagnosis", "age_at_diagnosis"), ("her2 status", "her2_status"),
                ("er status", "er_status"), ("nhg", "nhg")]  # fmt: skip
        for key, column in keys[shift:] + keys[:shift]:
            rows.append(["characteristics_ch1", *(f"{key}: {x or 'NA'}" for x in part[column])])
        files.append(series(tmp_path / f"m{number}.txt.gz", list(part["gsm"]), rows, []))
    spec = cohortfile.check(
        changed(
            SPEC,
            expression={"source": str(tmp_path / "transformed.csv.gz"), "gene_ids": "symbol",
                        "scale": "log2", "pseudocount": 0.1},
            clinical=[{"source": [str(file) for file in files], "format": "geo_series_matrix",
                       "join": {"column": "title", "to": "sample"}}],
            columns={"her2": {"column": "her2 status", "values": {1: "positive", 0: "negative"}},
                     "er": {"column": "er status", "values": {1: "positive", 0: "negative"}},
                     "age": "age at diagnosis",
                     "grade": {"column": "nhg", "values": {"G1": 1, "G2": 2, "G3": 3}}},
            filters__exclude_samples="repl$",
        ),
        file="x.yaml", environ={},
    )  # fmt: skip
    index = type(INDEX).build(approved=frame.index, alias=[], ensembl=[], entrez=[])
    cohort, flow = harmonise(
        readers.read_expression(spec["files"], spec),
        readers.read_clinical(spec["files"], spec),
        spec,
        index,
    )
    assert cohort.obs_names.tolist() == titles
    assert flow["n_in"].iloc[0] == 61
    stated = table["her2_status"].map({"1": "positive", "0": "negative", "": None})
    assert cohort.obs["her2"].where(cohort.obs["her2"].notna(), None).tolist() == stated.tolist()
    np.testing.assert_array_equal(cohort.obs["age"], table["age_at_diagnosis"].astype(float))
    np.testing.assert_array_equal(cohort.X, frame.loc[sorted(frame.index), titles].to_numpy().T)


# --- cBioPortal -----------------------------------------------------------------------------

PROFILE = "Hugo_Symbol\tEntrez_Gene_Id\tMB-0002\tMB-0000\nERBB2\t2064\t9.5\tNA\n\t3553\t1.5\t2.5\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("newer", [False, True])
def test_study_in_older_and_newer_spelling(tmp_path, end, packed, newer) -> None:
    names = (
        ("data_mrna_illumina_microarray.txt", "data_clinical_patient.txt",
         "data_clinical_sample.txt")
        if newer
        else ("data_expression_median.txt", "data_bcr_clinical_data_patient.txt",
              "data_bcr_clinical_data_sample.txt")
    )  # fmt: skip
    patient = [
        "#Patient Identifier\tER status\tVital", '#Identifier\t"ER, by IHC"\tstate',
        "#STRING\tSTRING\tSTRING", "#1\t1\t1", "PATIENT_ID\tER_IHC\tVITAL_STATUS",
        "MB-0000\tPositve\t#1 cause", "MB-0002\tnull\t[Not Evaluated]",
    ]  # fmt: skip
    sample = ["SAMPLE_ID\tPATIENT_ID\tHER2_STATUS", "MB-0000\tMB-0000\t+", "MB-0002\tMB-0002\t"]
    contents = {
        names[0]: PROFILE.replace("\n", end).encode(),
        names[0].replace(".txt", "_Zscores.txt"): b"Hugo_Symbol\tMB-0000\nERBB2\t1\n",
        names[1]: b"\xef\xbb\xbf" + end.join(patient).encode(),
        names[2]: (end.join(sample) + end).encode(),
        "meta_study.txt": b"cancer_study_identifier: brca\n",
    }
    if packed:
        path = archive(tmp_path / "brca.tar.gz", {f"brca/{k}": v for k, v in contents.items()})
    else:
        path = tmp_path / "brca"
        path.mkdir()
        for name, content in contents.items():
            (path / name).write_bytes(content)
    found = cbioportal.read_study_expression(path)
    assert (found.samples, found.genes) == (("MB-0002", "MB-0000"), ("ERBB2", ""))
    np.testing.assert_array_equal(found.values, [[9.5, 1.5], [np.nan, 2.5]])
    assert cbioportal.read_study_expression(path, gene_ids="entrez").genes == ("2064", "3553")
    table = cbioportal.read_study_clinical(path, to="patient")
    assert table.to_dict("list") == {
        "PATIENT_ID": ["MB-0000", "MB-0002"], "ER_IHC": ["Positve", "null"],
        "VITAL_STATUS": ["#1 cause", "[Not Evaluated]"],
    }  # fmt: skip
    assert cbioportal.read_study_clinical(path, to="sample")["HER2_STATUS"].tolist() == ["+", ""]


def test_real_study_folder_and_its_archive_agree(tmp_path, data_dir) -> None:
    folder = data_dir / "metabric_clinical"
    packed = tmp_path / "brca_metabric.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(folder, "brca_metabric")
    for to, shape in (("patient", (2509, 20)), ("sample", (2509, 10))):
        one = cbioportal.read_study_clinical(folder, to=to)
        pd.testing.assert_frame_equal(one, cbioportal.read_study_clinical(packed, to=to))
        assert one.shape == shape
    with pytest.raises(InputError, match=r"no expression profile \(data_mrna"):
        cbioportal.read_study_expression(folder)


def test_study_that_is_unclear_or_none_is_refused(tmp_path) -> None:
    (tmp_path / "data_mrna_a.txt").write_text(PROFILE)
    (tmp_path / "data_mrna_b.txt").write_text(PROFILE)
    with pytest.raises(InputError, match=r"several.*data_mrna_a.txt, data_mrna_b.txt.*member"):
        cbioportal.read_study_expression(tmp_path)
    found = cbioportal.read_study_expression(tmp_path, member="data_mrna_b.txt")
    assert len(found.samples) == 2
    with pytest.raises(InputError, match="no clinical table of a patient"):
        cbioportal.read_study_clinical(tmp_path, to="patient")
    (tmp_path / "data_mrna_b.txt").write_text("gene\tMB-1\nERBB2\t1\n")
    with pytest.raises(InputError, match=r"no column 'Hugo_Symbol'.*no cBioPortal profile"):
        cbioportal.read_study_expression(tmp_path, member="data_mrna_b.txt")
    (tmp_path / "data_clinical_patient.txt").write_text("ID\tAGE\n1\t2\n")
    with pytest.raises(InputError, match="no column 'PATIENT_ID'"):
        cbioportal.read_study_clinical(tmp_path, to="patient")


@pytest.mark.parametrize("how", ["cut off", "damaged", "no archive"])
def test_broken_archive_is_refused(tmp_path, how) -> None:
    rng = np.random.default_rng(0)
    noise = b"\n".join(rng.integers(0, 256, 400, dtype=np.uint8).tobytes().hex().encode()
                       for _ in range(400))  # fmt: skip
    path = archive(tmp_path / "s.tar.gz", {"data_mrna_x.txt": PROFILE.encode(), "z.txt": noise})
    content = bytearray(path.read_bytes())
    if how == "cut off":
        content = content[: len(content) // 2]
    elif how == "damaged":
        content[len(content) // 2] ^= 0xFF
        content[len(content) // 2 + 1] ^= 0xFF
    else:
        content = bytearray(gzip.compress(b"just text"))
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"s\.tar\.gz: .*(truncated|damaged|tar archive)"):
        cbioportal.read_study_expression(path)


def test_pointer_in_place_of_data_is_named(tmp_path) -> None:
    path = tmp_path / "data_mrna_x.txt"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    with pytest.raises(InputError, match=r"Git LFS pointer.*git lfs pull"):
        cbioportal.read_study_expression(path)


def test_all_of_metabric_through_a_cohort_file(tmp_path, data_dir) -> None:
    """The real clinical files of 2,509 patients beside a made-up profile of three genes."""
    folder = tmp_path / "brca_metabric"
    folder.mkdir()
    for name in ("data_clinical_patient.txt", "data_clinical_sample.txt"):
        (folder / name).write_bytes((data_dir / "metabric_clinical" / name).read_bytes())
    names = read_clinical_table(folder / "data_clinical_sample.txt", comment="#")["SAMPLE_ID"]
    values = np.random.default_rng(0).normal(8, 1, (3, len(names))).round(4)
    profile = pd.DataFrame(values, columns=names[::-1])
    profile.insert(0, "Entrez_Gene_Id", ["2064", "2099", "3553"])
    profile.insert(0, "Hugo_Symbol", ["ERBB2", "ESR1", "IL1B"])
    profile.to_csv(folder / "data_mrna_illumina_microarray.txt", sep="\t", index=False)
    study = {"source": str(folder), "format": "cbioportal"}
    spec = cohortfile.check(
        changed(
            SPEC,
            expression={**study, "gene_ids": "symbol", "scale": "log_intensity"},
            clinical=[
                {**study, "name": "patient", "join": {"column": "PATIENT_ID", "to": "patient"}},
                {**study, "name": "sample", "join": {"column": "SAMPLE_ID", "to": "sample"}},
            ],
            sample_to_patient={"rule": "column", "column": "PATIENT_ID", "table": "sample"},
            columns={
                "her2": {"column": "HER2_STATUS", "values": {"+": "positive", "-": "negative"}},
                "er": {"column": "ER_IHC", "values": {"pos": "positive", "Positve": "positive",
                                                      "neg": "negative"}},
                "age": "AGE_AT_DIAGNOSIS", "grade": "GRADE", "batch": "COHORT",
                "tumour_size": "TUMOR_SIZE", "sample_type": "SAMPLE_TYPE",
                "stage": {"column": "TUMOR_STAGE",
                          "values": {"0": None, "1": 1, "2": 2, "3": 3, "4": 4}},
                "endocrine": "HORMONE_THERAPY",
            },
            endpoints={"OS": {"time": "OS_MONTHS", "event": "OS_STATUS", "unit": "months",
                              "event_values": {"LIVING": 0, "DECEASED": 1}}},
            filters={"sex": {"missing": "keep"}},
        ),
        file="x.yaml", environ={},
    )  # fmt: skip
    cohort, flow = harmonise(
        readers.read_expression(spec["files"], spec),
        readers.read_clinical(spec["files"], spec),
        spec,
        INDEX,
    )
    obs = cohort.obs
    assert flow["n_out"].iloc[-1] == 2509
    assert obs["her2"].value_counts().to_dict() == {"negative": 1733, "positive": 247}
    assert set(obs["her2_source"].dropna()) == {"stated"}
    assert obs["er"].value_counts().to_dict() == {"positive": 1498, "negative": 439}
    assert obs.index.tolist() == names[::-1].tolist()
    assert obs.loc["MB-0000", ["age", "grade", "stage", "endocrine"]].tolist() == [
        75.65, "3", "2", "yes",
    ]  # fmt: skip
    assert obs.loc["MB-0005", "OS_event"] == 1
    assert obs.loc["MB-0005", "OS_time"] == pytest.approx(163.1 * 30.4375)


# --- Xena and GDC ---------------------------------------------------------------------------


def test_xena_matrix_phenotype_and_survival(tmp_path, data_dir) -> None:
    real = read_matrix(data_dir / "tcga_brca_100_ensembl" / "counts.tsv.gz")
    barcodes = [name.strip()[:16] for name in real.samples[:5]]
    frame = pd.DataFrame(
        np.log2(real.values[:5, :40] + 1).T, index=real.genes[:40], columns=barcodes
    )
    frame.loc["__no_feature"] = 9.0
    frame.rename_axis("Ensembl_ID").to_csv(tmp_path / "star.tsv.gz", sep="\t")
    phenotype = "sampleID\t_PATIENT\tHER2_Final_Status_nature2012\tgender\n" + "".join(
        f"{name[:15]}\t{name[:12]}\t{'Positive' if row % 2 else 'Negative'}\tFEMALE\n"
        for row, name in enumerate(barcodes)
    )
    (tmp_path / "BRCA_clinicalMatrix").write_text(phenotype)
    survival = "sample\tOS\t_PATIENT\tOS.time\n" + "".join(
        f"{name}\t{row % 2}\t{name[:12]}\t{100 * row}\n" for row, name in enumerate(barcodes)
    )
    (tmp_path / "survival.tsv").write_text(survival)
    spec = cohortfile.check(
        changed(
            SPEC,
            expression={"source": str(tmp_path / "star.tsv.gz"), "format": "xena",
                        "gene_ids": "ensembl", "scale": "log2"},
            clinical=[
                {"name": "phenotype", "source": str(tmp_path / "BRCA_clinicalMatrix"),
                 "format": "xena",
                 "join": {"column": "sampleID", "to": "sample", "characters": 15}},
                {"name": "survival", "source": str(tmp_path / "survival.tsv"), "format": "xena",
                 "join": {"column": "sample", "to": "sample"}},
            ],
            sample_to_patient={"rule": "tcga_barcode"},
            columns={"her2": "HER2_Final_Status_nature2012", "sex": "gender"},
            endpoints={"OS": {"time": "OS.time", "event": "OS", "unit": "days"}},
            filters={},
        ),
        file="x.yaml", environ={},
    )  # fmt: skip
    ids = [name.split(".")[0] for name in real.genes[:40]]
    index = type(INDEX).build(
        approved=[f"SYM{n:02}" for n in range(40)], alias=[], entrez=[],
        ensembl=[(name, f"SYM{n:02}") for n, name in enumerate(ids)],
    )  # fmt: skip
    cohort, _ = harmonise(
        readers.read_expression(spec["files"], spec),
        readers.read_clinical(spec["files"], spec),
        spec,
        index,
    )
    assert cohort.obs_names.tolist() == barcodes
    assert cohort.obs["patient"].tolist() == [f"small:{name[:12]}" for name in barcodes]
    assert set(cohort.obs["sample_type"]) == {"primary"}
    assert cohort.obs["OS_time"].tolist() == [0, 100, 200, 300, 400]
    np.testing.assert_allclose(cohort.X, np.log2(real.values[:5, :40] + 1), rtol=1e-6)
    assert "1 rows that count reads of no gene left out" in cohort.uns["provenance"]["warnings"]


def test_xena_files_that_are_none_are_refused(tmp_path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("GSM\tA\nERBB2\t1\n")
    with pytest.raises(InputError, match=r"first column is 'GSM'.*Xena matrix"):
        tcga.read_xena_matrix(path)
    with pytest.raises(InputError, match="no Xena phenotype file"):
        tcga.read_xena_clinical(path)


STAR = (
    "# gene-model: GENCODE v36\n"
    "gene_id\tgene_name\tgene_type\tunstranded\tstranded_first\tstranded_second\t"
    "tpm_unstranded\tfpkm_unstranded\tfpkm_uq_unstranded\n"
    "N_unmapped\t\t\t100\t100\t100\t\t\t\nN_multimapping\t\t\t7\t7\t7\t\t\t\n"
    "N_noFeature\t\t\t8\t9\t9\t\t\t\nN_ambiguous\t\t\t9\t1\t1\t\t\t\n"
    "ENSG00000141736.13\tERBB2\tprotein_coding\t{0}\t1\t2\t{1}\t1.5\t1.25\n"
    "ENSG00000125538.11\tIL1B\tprotein_coding\t3\t1\t2\t0.5\t1.5\t1.25\n"
)


@pytest.mark.parametrize("packed", [False, True])
def test_star_counts_of_the_gdc(tmp_path, packed) -> None:
    suffix = ".rna_seq.augmented_star_gene_counts.tsv"
    files = {
        f"0001/aa{suffix}": STAR.format(12, 30.25).encode(),
        f"0002/bb{suffix}": STAR.format(34, 40.5).encode(),
        f"0003/cc{suffix}": STAR.format(56, 50.5).encode(),
        "gdc_sample_sheet.2026-01-01.tsv": (
            "File ID\tFile Name\tCase ID\tSample ID\tSample Type\n"
            f"0001\taa{suffix}\tTCGA-A1-0002\tTCGA-A1-0002-01A\tPrimary Tumor\n"
            f"0002\tbb{suffix}\tTCGA-A1-0001\tTCGA-A1-0001-01A\tPrimary Tumor\n"
            f"0003\tcc{suffix}\tTCGA-A1-0001\tTCGA-A1-0001-01A\tPrimary Tumor\n"
        ).encode(),
    }
    if packed:
        path = archive(tmp_path / "gdc.tar.gz", files)
    else:
        path = tmp_path
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
    found = tcga.read_star_counts(path)
    assert found.samples == ("TCGA-A1-0001-01A", "TCGA-A1-0001-01A cc", "TCGA-A1-0002-01A")
    assert found.genes == ("ENSG00000141736.13", "ENSG00000125538.11")
    np.testing.assert_array_equal(found.values, [[34, 3], [56, 3], [12, 3]])
    tpm = tcga.read_star_counts(path, column="tpm_unstranded")
    np.testing.assert_array_equal(tpm.values, [[40.5, 0.5], [50.5, 0.5], [30.25, 0.5]])
    with pytest.raises(InputError, match=r"expression.layer is 'tpm'.*tpm_unstranded"):
        tcga.read_star_counts(path, column="tpm")


def test_star_file_outside_the_sheet_is_refused(tmp_path) -> None:
    (tmp_path / "aa.rna_seq.augmented_star_gene_counts.tsv").write_text(STAR.format(1, 2))
    with pytest.raises(InputError, match="no GDC sample sheet"):
        tcga.read_star_counts(tmp_path)
    (tmp_path / "gdc_sample_sheet.tsv").write_text("File Name\tSample ID\nb.tsv\tTCGA-1\n")
    with pytest.raises(InputError, match="not in the GDC sample sheet"):
        tcga.read_star_counts(tmp_path)


# --- cells ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wu(data_dir) -> Path:
    return data_dir / "wu2021_cid4465" / "GSE176078_CID4465.tar.gz"


def test_real_archive_of_cells(wu, tmp_path) -> None:
    found = cells.read_wu2021(wu)
    table = cells.read_wu2021_clinical(wu).set_index("barcode")
    assert found.values.shape == (1564, 29733)
    major = table.loc[list(found.samples), "celltype_major"]
    assert major.value_counts().to_dict() == {
        "CAFs": 379, "PVL": 317, "Endothelial": 294, "Myeloid": 181, "Cancer Epithelial": 124,
        "T-cells": 116, "Plasmablasts": 110, "B-cells": 33, "Normal Epithelial": 10,
    }  # fmt: skip
    assert np.median(np.diff(found.values.indptr)) == 409.5
    il1b = found.values[:, [found.genes.index("IL1B")]].toarray().ravel()
    assert (il1b.sum(), il1b[(major == "Myeloid").to_numpy()].sum()) == (12, 11)
    tgfb1 = found.values[:, [found.genes.index("TGFB1")]].toarray().ravel()
    assert tgfb1[(major == "Cancer Epithelial").to_numpy()].sum() == 0
    with tarfile.open(wu) as tar:
        # Python 3.11.4 brought the filter that 3.12 warns about the lack of.
        tar.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    again = cells.read_wu2021(tmp_path / "CID4465")
    assert (again.values != found.values).nnz == 0
    assert again.samples == found.samples


def test_real_cells_are_harmonised_whole(wu, repository) -> None:
    from cytostrat.genes import read_index

    spec = cohortfile.check(
        changed(
            SPEC,
            kind="single_cell",
            expression={"source": str(wu), "format": "wu2021", "gene_ids": "symbol",
                        "scale": "counts"},
            clinical=[{"source": str(wu), "format": "wu2021",
                       "join": {"column": "barcode", "to": "sample"}}],
            sample_to_patient={"rule": "column", "column": "orig.ident"},
            columns={
                "her2": {"column": "subtype", "values": {"TNBC": "negative", "HER2+": "positive"}},
                "cell_type": "celltype_major", "cell_subtype": "celltype_minor",
            },
        ),
        file="x.yaml", environ={},
    )  # fmt: skip
    cohort, _ = harmonise(
        readers.read_expression(spec["files"], spec),
        readers.read_clinical(spec["files"], spec),
        spec,
        read_index(repository / "resources" / "gene_ids.tsv.gz"),
    )
    assert cohort.n_obs == 1564
    assert set(cohort.obs["patient"]) == {"small:CID4465"}
    assert cohort.layers["counts"].sum() == pytest.approx(
        cells.read_wu2021(wu).values.sum(), rel=0.02
    )
    assert cohort[:, "IL1B"].layers["counts"].sum() == 12


def _tenx(folder: Path, wu: Path, *, packed: bool, version: int) -> tuple[Path, object]:
    real = cells.read_wu2021(wu)
    rows, columns = slice(0, 30), slice(9000, 9200)
    part = real.values[rows, columns]
    names = real.genes[columns]
    genes = [[f"ENSG{n:011d}", name] for n, name in enumerate(names)]
    if version == 3:
        genes = [[*fields, "Gene Expression"] for fields in genes]
        genes[5][2] = "Antibody Capture"
    folder.mkdir(parents=True)
    stream = io.BytesIO()
    scipy_io.mmwrite(stream, part.T.astype(int), field="integer")
    contents = {
        "matrix.mtx": stream.getvalue(),
        "features.tsv" if version == 3 else "genes.tsv": "".join(
            "\t".join(fields) + "\n" for fields in genes
        ).encode(),
        "barcodes.tsv": "".join(f"{name}-1\n" for name in real.samples[rows]).encode(),
    }
    for name, content in contents.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder, part


@pytest.mark.parametrize(("packed", "version"), [(False, 2), (True, 3)])
def test_tenx_folder_against_scanpy(tmp_path, wu, packed, version) -> None:
    import scanpy

    folder, _ = _tenx(tmp_path / "filtered", wu, packed=packed, version=version)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = scanpy.read_10x_mtx(folder, var_names="gene_symbols", make_unique=False)
    found = cells.read_tenx(folder)
    assert list(found.samples) == list(oracle.obs_names)
    assert list(found.genes) == list(oracle.var_names)
    np.testing.assert_array_equal(found.values.toarray(), oracle.X.toarray())
    assert list(cells.read_tenx(folder, gene_ids="ensembl").genes) == list(oracle.var["gene_ids"])
    left_out = ("1 features that are no genes left out",) if version == 3 else ()
    assert found.warnings == left_out


def test_tenx_hdf5(tmp_path, wu) -> None:
    import h5py

    folder, part = _tenx(tmp_path / "filtered", wu, packed=False, version=3)
    plain = cells.read_tenx(folder)
    path = tmp_path / "filtered_feature_bc_matrix.h5"
    features = pd.read_csv(folder / "features.tsv", sep="\t", header=None)
    matrix = sparse.csr_matrix(part)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"] = matrix.data.astype(np.int32), matrix.indices
        group["indptr"], group["shape"] = matrix.indptr, np.array(matrix.shape[::-1])
        group["barcodes"] = np.array((folder / "barcodes.tsv").read_text().split(), dtype="S")
        place = group.create_group("features")
        for name, column in (("id", 0), ("name", 1), ("feature_type", 2)):
            place[name] = features[column].to_numpy(dtype="S")
        place["genome"] = np.array(["GRCh38"] * len(features), dtype="S")
    found = cells.read_tenx(path)
    assert (found.samples, found.genes) == (plain.samples, plain.genes)
    np.testing.assert_array_equal(found.values.toarray(), plain.values.toarray())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    with pytest.raises(InputError, match="HDF5 of 10x Genomics"):
        cells.read_tenx(tmp_path / "other.h5")


def test_cells_whose_lists_do_not_fit_are_refused(tmp_path, wu) -> None:
    folder, _ = _tenx(tmp_path / "filtered", wu, packed=False, version=2)
    lines = (folder / "barcodes.tsv").read_text().splitlines(keepends=True)
    (folder / "barcodes.tsv").write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match=r"200 genes x 30 cells, but the lists.* 200 and 29"):
        cells.read_tenx(folder)
    (folder / "matrix.mtx").write_text("not a matrix\n1 2 3\n")
    with pytest.raises(InputError, match="MatrixMarket"):
        cells.read_tenx(folder)
    (folder / "genes.tsv").write_text("ERBB2\n")
    with pytest.raises(InputError, match="has one column where 10x writes id and name"):
        cells.read_tenx(folder)
    with pytest.raises(InputError, match=r"holds no matrix.*count_matrix_sparse.mtx"):
        cells.read_wu2021(folder)
    (tmp_path / "metadata.csv").write_text("cell,subtype\nc1,TNBC\n")
    with pytest.raises(InputError, match="no metadata of this archive"):
        cells.read_wu2021_clinical(tmp_path)


def test_formats_of_the_schema_are_the_formats_of_the_readers() -> None:
    from cytostrat.validation import schema

    rules = schema("cohort")["properties"]["expression"]["properties"]["format"]
    assert all(f"``{name}``" in readers.__doc__ for name in rules["enum"])
    assert json.dumps(rules["default"]) == '"delimited"'
