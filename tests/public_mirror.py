"""Files in the published layouts of the public cohorts, with simulated values, as a mirror.

The layouts are exact as far as the readers and cohort files are concerned: headers, comment lines,
quotes, empty tables of values, characteristics that shift between samples, replicates, several
platforms, probes, archives. The cohort files are copies of the public ones with the checksums and
numbers of these files.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from cytostrat import cohortfile
from cytostrat.fetch import cache_path
from cytostrat.signatures import read_signatures

ROLES = ("primary", "celltype")
ALSO = ("VENET2011_META_PCNA", "ERBB2_AMPLICON_CORE")
FURTHER_GENES = 300
GEO = "https://ftp.ncbi.nlm.nih.gov/geo"
XENA = "https://tcga-xena-hub.s3.us-east-1.amazonaws.com/download"
CBIOPORTAL = "https://datahub.assets.cbioportal.org/brca_metabric.tar.gz"
COHORTS = (
    "tcga_brca", "metabric", "scanb_gse96058", "ispy2_gse194040", "gse25066", "gse20194",
    "noah_gse50948", "gse176078",
)  # fmt: skip


# one of each layout, and the two that may share patients: enough for a whole run in a test
ANALYSED = ("tcga_brca", "metabric", "gse25066", "gse20194")


@dataclass(frozen=True)
class Tumours:
    """Simulated tumours of one cohort.

    Parameters
    ----------
    values
        Samples x genes on a log2 scale.
    facts
        One row per sample: her2, er, pr (bool), age, grade, time (days), event, pcr.
    """

    values: np.ndarray
    facts: pd.DataFrame


def genes(resources: Path) -> pd.DataFrame:
    """Return the genes of the mirror with their Entrez ids: signature genes and some others."""
    table = pd.read_csv(resources / "gene_ids.tsv.gz", sep="\t", dtype=str, keep_default_na=False)
    signatures = read_signatures(resources / "signatures" / "signatures.tsv")
    wanted = {"ERBB2", "ESR1", "PGR", "MARCHF1", "SEPTIN2"} | {
        gene
        for signature in signatures.values()
        if signature.role in ROLES or signature.name in ALSO
        for gene in signature.genes
    }
    known = table[table["symbol"].isin(wanted)]
    others = table[~table["symbol"].isin(wanted)]
    others = (
        others[others["symbol"].str.fullmatch(r"[A-Z][A-Z0-9]+")].iloc[::60].head(FURTHER_GENES)
    )
    found = pd.concat([known, others]).sort_values("symbol").reset_index(drop=True)
    return found.assign(entrez=found["entrez"].str.split("|").str[0])[["symbol", "entrez"]]


def tumours(symbols: Sequence[str], n: int, rng: np.random.Generator) -> Tumours:
    """Simulate tumours in which ERBB2 follows HER2, and ESR1 and PGR follow ER."""
    her2 = rng.permutation(np.arange(n) < round(0.3 * n))
    er = rng.random(n) < np.where(her2, 0.5, 0.75)
    pr = er & (rng.random(n) < 0.8)
    immune = rng.normal(size=n)
    place = {symbol: column for column, symbol in enumerate(symbols)}
    values = rng.normal(size=(n, len(symbols))) + rng.normal(7, 1.5, size=len(symbols))
    values += np.outer(immune, rng.normal(0.4, 0.3, size=len(symbols)))
    for gene, status in {"ERBB2": her2, "GRB7": her2, "ESR1": er, "PGR": pr}.items():
        values[:, place[gene]] += 4 * status
    time = rng.exponential(2500, size=n) + 30
    return Tumours(
        values=np.round(np.clip(values, 0.05, 15.9), 3),
        facts=pd.DataFrame(
            {
                "her2": her2, "er": er, "pr": pr, "age": rng.integers(30, 85, size=n),
                "grade": rng.integers(1, 4, size=n), "stage": rng.integers(1, 4, size=n),
                "time": np.minimum(time, 3000).round(), "event": (time < 3000).astype(int),
                "pcr": rng.random(n) < 0.25 + 0.3 * her2, "arm": rng.integers(0, 2, size=n),
            }
        ),
    )  # fmt: skip


class Mirror:
    """Writes files to where a mirror serves them from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, url: str, content: bytes) -> None:
        """Write one file, compressed where its name says so."""
        path = cache_path(url, self.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gz" and not path.name.endswith(".tar.gz"):
            content = gzip.compress(content, compresslevel=1, mtime=0)
        path.write_bytes(content)

    def sha256(self, url: str) -> str:
        """Return the checksum of a file."""
        return hashlib.sha256(cache_path(url, self.folder).read_bytes()).hexdigest()


def build(folder: Path, resources: Path, config: Path, *, n: int = 60) -> None:
    """Write mirror, cohort files and configuration.

    Parameters
    ----------
    folder
        Gets ``mirror/``, ``cohorts/``, ``public.yaml`` and ``some.yaml``, a part of the cohorts.
    resources
        The shipped resources.
    config
        The shipped folder ``config``.
    n
        Tumours per cohort.
    """
    rng = np.random.default_rng(5)
    ids = genes(resources)
    mirror = Mirror(folder / "mirror")
    _tcga(mirror, ids, n, rng)
    _metabric(mirror, ids, n, rng)
    _scanb(mirror, ids, n, rng)
    _ispy2(mirror, ids, n, rng)
    _affymetrix(mirror, ids, n, rng)
    _cells(mirror, ids, rng)
    _cohort_files(folder, config, mirror, n)


def _matrix(
    corner: str, rows: Sequence[str], columns: Sequence[str], values: np.ndarray,
    separator: str = "\t",
) -> str:  # fmt: skip
    lines = [separator.join([corner, *columns])]
    lines += [
        separator.join([row, *map(str, line)]) for row, line in zip(rows, values, strict=True)
    ]
    return "\n".join(lines) + "\n"


def _words(series: pd.Series, yes: str, no: str) -> list[str]:
    return np.where(series.astype(bool), yes, no).tolist()


# --- UCSC Xena --------------------------------------------------------------------------------


def _tcga(mirror: Mirror, ids: pd.DataFrame, n: int, rng: np.random.Generator) -> None:
    """Write primary tumours, a metastasis, two normal tissues and a man, by barcode."""
    found = tumours(ids["symbol"], n + 3, rng)
    patients = [f"TCGA-A{number % 10}-A{number:03d}" for number in range(n)]
    barcodes = [f"{patient}-01" for patient in patients]
    barcodes += [f"{patients[0]}-06", f"{patients[1]}-11", f"{patients[2]}-11"]
    facts = found.facts
    mirror.put(
        f"{XENA}/TCGA.BRCA.sampleMap%2FHiSeqV2.gz",
        _matrix("sample", ids["symbol"], barcodes, found.values.T).encode(),
    )
    positive = _words(facts["her2"], "Positive", "Negative")
    clinical = pd.DataFrame(
        {
            "sampleID": barcodes,
            "Age_at_Initial_Pathologic_Diagnosis_nature2012": facts["age"],
            "HER2_Final_Status_nature2012": positive,
            "PAM50Call_RNAseq": rng.choice(["LumA", "LumB", "Basal", "Her2", ""], size=n + 3),
            "breast_carcinoma_estrogen_receptor_status": _words(
                facts["er"], "Positive", "Negative"
            ),
            "breast_carcinoma_progesterone_receptor_status": _words(
                facts["pr"], "Positive", "Negative"
            ),
            "gender": ["MALE", *["FEMALE"] * (n + 2)],
            "her2_immunohistochemistry_level_result": "",
            "lab_proc_her2_neu_immunohistochemistry_receptor_status": positive,
            "lab_procedure_her2_neu_in_situ_hybrid_outcome_type": "",
            "number_of_lymphnodes_positive_by_he": rng.integers(0, 9, size=n + 3),
            "pathologic_stage": rng.choice(
                ["Stage I", "Stage IIA", "Stage IIIC", "Stage X"], n + 3
            ),
        }
    )
    # a text that its score contradicts, an equivocal one that hybridisation settles
    score, ish = "her2_immunohistochemistry_level_result", clinical.columns[9]
    text = "lab_proc_her2_neu_immunohistochemistry_receptor_status"
    clinical.loc[3, [text, score]] = ["Positive", "1+"]
    clinical.loc[4, [text, score, ish]] = ["Equivocal", "2+", "Negative"]
    clinical.loc[5, [text, score]] = ["Indeterminate", ""]
    mirror.put(f"{XENA}/TCGA.BRCA.sampleMap%2FBRCA_clinicalMatrix", _tsv(clinical))
    time, event = facts["time"].astype(int), facts["event"]
    outcome = {"sample": barcodes, "_PATIENT": [code[:12] for code in barcodes]}
    for name in ("OS", "DSS", "DFI", "PFI"):
        outcome |= {name: event, f"{name}.time": time}
    mirror.put(
        f"{XENA}/survival%2FBRCA_survival.txt", _tsv(pd.DataFrame({**outcome, "Redaction": ""}))
    )


def _tsv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(sep="\t", index=False).encode()


# --- cBioPortal -------------------------------------------------------------------------------


def _metabric(mirror: Mirror, ids: pd.DataFrame, n: int, rng: np.random.Generator) -> None:
    """Write an archive in the newer spelling; the patient table has bare CR line ends."""
    found = tumours(ids["symbol"], n, rng)
    facts = found.facts
    names = [f"MB-{number:04d}" for number in range(n)]
    values = _matrix(
        "Hugo_Symbol\tEntrez_Gene_Id", ids["symbol"] + "\t" + ids["entrez"], names, found.values.T
    )
    patient = pd.DataFrame(
        {
            "PATIENT_ID": names,
            "LYMPH_NODES_EXAMINED_POSITIVE": rng.integers(0, 9, size=n),
            "CELLULARITY": "High",
            "CHEMOTHERAPY": _words(facts["her2"], "YES", "NO"),
            "COHORT": rng.integers(1, 4, size=n),
            "ER_IHC": _words(facts["er"], "Positve", "Negative"),
            "HER2_SNP6": rng.choice(["GAIN", "NEUTRAL", "LOSS"], size=n),
            "HORMONE_THERAPY": _words(facts["er"], "YES", "NO"),
            "AGE_AT_DIAGNOSIS": facts["age"] + 0.25,
            "OS_MONTHS": (facts["time"] / 30.4375).round(4),
            "OS_STATUS": _words(facts["event"], "1:DECEASED", "0:LIVING"),
            "CLAUDIN_SUBTYPE": rng.choice(["LumA", "LumB", "Her2", "Basal", "NC"], size=n),
            "VITAL_STATUS": _words(facts["event"], "Died of Disease", "Living"),
            "RFS_STATUS": _words(facts["event"], "1:Recurred", "0:Not Recurred"),
            "RFS_MONTHS": (facts["time"] / 31).round(4),
        }
    )
    patient.loc[1, ["VITAL_STATUS", "ER_IHC"]] = ["Died of Other Causes", "NA"]
    sample = pd.DataFrame(
        {
            "PATIENT_ID": names,
            "SAMPLE_ID": names,
            "CANCER_TYPE": "Breast Cancer",
            "ER_STATUS": _words(facts["er"], "Positive", "Negative"),
            "HER2_STATUS": _words(facts["her2"], "Positive", "Negative"),
            "GRADE": facts["grade"].astype(float),
            "PR_STATUS": _words(facts["pr"], "Positive", "Negative"),
            "SAMPLE_TYPE": "Primary",
            "TUMOR_SIZE": rng.integers(8, 60, size=n).astype(float),
            "TUMOR_STAGE": rng.choice(["0.0", "1.0", "2.0", "3.0", ""], size=n),
        }
    )
    mirror.put(
        CBIOPORTAL,
        _archive(
            {
                "brca_metabric/meta_study.txt": b"cancer_study_identifier: brca_metabric\n",
                "brca_metabric/data_mrna_illumina_microarray.txt": values.encode(),
                "brca_metabric/data_mrna_illumina_microarray_zscores_ref_diploid_samples.txt":
                    values.encode(),
                "brca_metabric/data_clinical_patient.txt":
                    _study_table(patient).replace(b"\n", b"\r"),
                "brca_metabric/data_clinical_sample.txt": _study_table(sample),
            }
        ),
    )  # fmt: skip


def _study_table(frame: pd.DataFrame) -> bytes:
    """Return a table under the four comment lines of a study."""
    names = list(frame)
    lines = [[name.title() for name in names], names, ["STRING"] * len(names), ["1"] * len(names)]
    return "".join("#" + "\t".join(line) + "\n" for line in lines).encode() + _tsv(frame)


def _archive(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


# --- GEO --------------------------------------------------------------------------------------


def series(
    accession: str, platform: str, names: Sequence[str], titles: Sequence[str],
    characteristics: Sequence[Mapping[str, Any]], table: str = "",
) -> bytes:  # fmt: skip
    """Return a series matrix; a value that is None shifts what comes after it in its sample."""

    def quoted(*fields: Any) -> str:
        return "\t".join(f'"{field}"' for field in fields)

    rows = [f'!Series_title\t"{accession}"', f'!Series_geo_accession\t"{accession}"', ""]
    rows += [
        f"!Sample_title\t{quoted(*titles)}",
        f"!Sample_geo_accession\t{quoted(*names)}",
        f"!Sample_platform_id\t{quoted(*[platform] * len(names))}",
    ]
    texts = [
        [f"{key}: {value}" for key, value in one.items() if value is not None]
        for one in characteristics
    ]
    for line in range(max(map(len, texts))):
        fields = [one[line] if line < len(one) else "" for one in texts]
        rows.append(f"!Sample_characteristics_ch1\t{quoted(*fields)}")
    rows += ["!series_matrix_table_begin", quoted("ID_REF", *names)]
    rows += [table.rstrip("\n"), "!series_matrix_table_end", ""] if table else [
        "!series_matrix_table_end", ""]  # fmt: skip
    return "\n".join(rows).encode()


def _records(**columns: Any) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _spaced(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key.replace("_", " "): value for key, value in row.items()} for row in records]


def _scanb(mirror: Mirror, ids: pd.DataFrame, n: int, rng: np.random.Generator) -> None:
    """Write a quoted CSV with replicates, and one series matrix per sequencer without values."""
    found = tumours(ids["symbol"], n + 3, rng)
    facts = found.facts
    titles = [f"F{number}" for number in range(1, n + 1)]
    titles += [f"{title}repl" for title in titles[:3]]
    symbols = ids["symbol"].replace({"MARCHF1": "1-Mar", "SEPTIN2": "2-Sep"})
    url = f"{GEO}/series/GSE96nnn/GSE96058"
    table = _matrix(
        '""', [f'"{name}"' for name in symbols], [f'"{title}"' for title in titles],
        np.round(found.values.T - 3.3, 4), ",",
    )  # fmt: skip
    mirror.put(
        f"{url}/suppl/GSE96058_gene_expression_3273_samples_and_136_replicates_transformed.csv.gz",
        table.encode(),
    )
    records = _spaced(
        _records(
            age_at_diagnosis=facts["age"], tumor_size=rng.integers(5, 50, size=n + 3),
            er_status=facts["er"].astype(int), pgr_status=facts["pr"].astype(int),
            her2_status=facts["her2"].astype(int), nhg="G" + facts["grade"].astype(str),
            her2_prediction_mgc=facts["her2"].astype(int),
            pam50_subtype=rng.choice(["LumA", "LumB", "Her2", "Basal", "Normal"], size=n + 3),
            overall_survival_days=facts["time"].astype(int), overall_survival_event=facts["event"],
            endocrine_treated=facts["er"].astype(int), chemo_treated=facts["her2"].astype(int),
        )
    )  # fmt: skip
    records[0]["tumor size"] = None
    records[1]["her2 status"] = "NA"
    half = (n + 3) // 2
    for platform, rows in (("GPL11154", range(half)), ("GPL18573", range(half, n + 3))):
        mirror.put(
            f"{url}/matrix/GSE96058-{platform}_series_matrix.txt.gz",
            series(
                "GSE96058", platform, [f"GSM{row + 2528079}" for row in rows],
                [titles[row] for row in rows], [records[row] for row in rows],
            ),
        )  # fmt: skip


def _ispy2(mirror: Mirror, ids: pd.DataFrame, n: int, rng: np.random.Generator) -> None:
    """Write numbers as column names, and titles that carry a prefix; one patient id is wrong."""
    found = tumours(ids["symbol"], n, rng)
    facts = found.facts
    numbers = [str(number) for number in rng.choice(np.arange(100000, 999999), n, replace=False)]
    url = f"{GEO}/series/GSE194nnn/GSE194040"
    mirror.put(
        f"{url}/suppl/GSE194040_ISPY2ResID_AgilentGeneExp_990_FrshFrzn_meanCol_geneLevel_n988.txt.gz",
        _matrix("", ids["symbol"], numbers, found.values.T).encode(),
    )
    arms = np.where(facts["arm"] == 1, "Paclitaxel", "Paclitaxel + Pembrolizumab")
    records = _spaced(
        _records(
            patient_id=numbers, hr=facts["er"].astype(int), her2=facts["her2"].astype(int),
            mp=rng.choice(["0", "1"], size=n), pcr=facts["pcr"].astype(int), arm=arms,
        )
    )  # fmt: skip
    records[0]["patient id"] = "1"
    half = n // 2
    for platform, rows in (("GPL20078", range(half)), ("GPL30493", range(half, n))):
        mirror.put(
            f"{url}/matrix/GSE194040-{platform}_series_matrix.txt.gz",
            series(
                "GSE194040", platform, [f"GSM{row + 5828000}" for row in rows],
                [f"ISPY2_{numbers[row]}" for row in rows], [records[row] for row in rows],
            ),
        )  # fmt: skip


def _affymetrix(mirror: Mirror, ids: pd.DataFrame, n: int, rng: np.random.Generator) -> None:
    """Write three series of probes, and the annotation of their platforms."""
    probes = [f"{200000 + number}_at" for number in range(len(ids))]
    further = [("AFFX-BioB-5_at", ""), ("299998_x_at", "ERBB2///GRB7"), ("299999_s_at", "ERBB2")]
    for platform in ("GPL96", "GPL570"):
        rows = [
            "^Annotation", f"!Annotation_platform = {platform}",
            "#ID = ID from Platform data table",
            "#Gene symbol = Entrez Gene symbol", "!platform_table_begin",
            "ID\tGene title\tGene symbol\tGene ID",
            *(f"{probe}\ta gene\t{symbol}\t{entrez}" for probe, symbol, entrez
              in zip(probes, ids["symbol"], ids["entrez"], strict=True)),
            *(f"{probe}\t\t{symbol}\t" for probe, symbol in further),
            "!platform_table_end", "",
        ]  # fmt: skip
        mirror.put(
            f"{GEO}/platforms/GPLnnn/{platform}/annot/{platform}.annot.gz", "\n".join(rows).encode()
        )
    for accession in ("GSE25066", "GSE20194", "GSE50948"):
        found = tumours(ids["symbol"], n, rng)
        low = np.round(rng.normal(4, 0.3, size=(n, len(further))), 3)
        names = [f"GSM{number + int(accession[3:]) * 10}" for number in range(n)]
        lines = [
            "\t".join([f'"{probe}"', *map(str, line)])
            for probe, line in zip(
                [*probes, *(probe for probe, _ in further)],
                np.hstack([found.values, low]).T,
                strict=True,
            )
        ]
        mirror.put(
            f"{GEO}/series/{accession[:-3]}nnn/{accession}/matrix/{accession}_series_matrix.txt.gz",
            series(
                accession, "GPL570" if accession == "GSE50948" else "GPL96", names,
                [f"tumour {number}" for number in range(n)],
                _chemotherapy(accession, found.facts, rng), "\n".join(lines),
            ),
        )  # fmt: skip


def _chemotherapy(
    accession: str, facts: pd.DataFrame, rng: np.random.Generator
) -> list[dict[str, Any]]:
    n = len(facts)
    pcr = _words(facts["pcr"], "pCR", "RD")
    er, her2, pr = (_words(facts[name], "P", "N") for name in ("er", "her2", "pr"))
    if accession == "GSE25066":
        records = _records(
            sample_id=range(n), source=rng.choice(["ISPY", "MDACC", "USO"], size=n),
            age_years=facts["age"], er_status_ihc=er, pr_status_ihc=pr, her2_status=her2,
            grade=facts["grade"].astype(str), pathologic_response_pcr_rd=pcr,
            drfs_1_event_0_censored=facts["event"],
            drfs_even_time_years=(facts["time"] / 365.25).round(3),
            pam50_class=rng.choice(["Basal", "LumA", "LumB", "Her2", "Normal"], size=n),
            dlda30_prediction=pcr,
        )  # fmt: skip
        records[0] |= {"source": None, "grade": "4=Indeterminate", "her2_status": "I"}
        records[1]["pathologic_response_pcr_rd"] = "NA"
        return records
    if accession == "GSE20194":
        records = _spaced(
            _records(
                tissue=["breast tumor"] * n, age=facts["age"], treatment_code=["TFAC"] * n,
                her2_status=her2, bmngrd=facts["grade"], her2_fish=["NA"] * n,
            )
        )  # fmt: skip
        for row, values in zip(records, zip(er, pr, pcr, strict=True), strict=True):
            row |= dict(zip(("er_status", "pr_status", "pcr_vs_rd"), values, strict=True))
        records[2] |= {"treatment code": None, "bmngrd": None}
        return records
    return _records(
        age=facts["age"], her2=_words(facts["her2"], "HER2+", "HER2-"),
        er=_words(facts["er"], "ER+", "ER-"), pr=_words(facts["pr"], "PR+", "PR-"), pcr=pcr,
        treatment=_words(facts["arm"], "chemotherapy", "chemotherapy and trastuzumab"),
    )  # fmt: skip


# --- GSE176078 --------------------------------------------------------------------------------


def _cells(mirror: Mirror, ids: pd.DataFrame, rng: np.random.Generator) -> None:
    """Write an archive of cells: eight patients, three subtypes, five types of cell."""
    subtypes = ["TNBC", "ER+", "HER2+", "TNBC", "ER+", "HER2+", "ER+", "TNBC"]
    kinds = ["Cancer Epithelial", "Myeloid", "T-cells", "CAFs", "Endothelial"]
    markers = {"Myeloid": ["IL1B", "CD68", "ITGAX"], "T-cells": ["CD3D", "CD2", "PRF1"]}
    place = {symbol: row for row, symbol in enumerate(ids["symbol"])}
    rows, columns = [], []
    mean = rng.gamma(0.3, 1.0, size=len(ids))
    for patient, subtype in enumerate(subtypes):
        for kind in kinds:
            for number in range(12):
                rate = mean * rng.gamma(4, 0.25)
                for gene in markers.get(kind, []):
                    if gene in place:
                        rate[place[gene]] += 4
                if kind == kinds[0] and subtype == "HER2+":
                    rate[place["ERBB2"]] += 8
                columns.append(rng.poisson(rate))
                name = f"CID{patient + 3000}_{kinds.index(kind)}{number:02d}ACGT"
                rows.append((name, f"CID{patient + 3000}", subtype, kind))
    counts = np.array(columns).T
    where = np.argwhere(counts)
    market = ["%%MatrixMarket matrix coordinate integer general", "%"]
    market += [f"{counts.shape[0]} {counts.shape[1]} {len(where)}"]
    market += [f"{gene + 1} {cell + 1} {counts[gene, cell]}" for gene, cell in where]
    metadata = ['"","orig.ident","subtype","celltype_subset","celltype_minor","celltype_major"']
    metadata += [f'"{n}","{p}","{s}","{k} a","{k} b","{k}"' for n, p, s, k in rows]
    files = {
        "count_matrix_sparse.mtx": market,
        "count_matrix_genes.tsv": list(ids["symbol"]),
        "count_matrix_barcodes.tsv": [row[0] for row in rows],
        "metadata.csv": metadata,
    }
    mirror.put(
        f"{GEO}/series/GSE176nnn/GSE176078/suppl/GSE176078_Wu_etal_2021_BRCA_scRNASeq.tar.gz",
        _archive(
            {
                f"Wu_etal_2021_BRCA_scRNASeq/{name}": ("\n".join(lines) + "\n").encode()
                for name, lines in files.items()
            }
        ),
    )


# --- cohort files -----------------------------------------------------------------------------


def _cohort_files(folder: Path, config: Path, mirror: Mirror, n: int) -> None:
    """Copy the public cohort files; checksums and numbers become those of this mirror."""
    (folder / "cohorts").mkdir(parents=True)
    for name in COHORTS:
        data = yaml.safe_load((config / "cohorts" / f"{name}.yaml").read_text(encoding="utf-8"))
        _own_checksums(data, mirror)
        data["expected"] = {"n": EXPECTED.get(name, n)}
        (folder / "cohorts" / f"{name}.yaml").write_text(
            yaml.safe_dump(data, sort_keys=False), encoding="utf-8"
        )
    shutil.copy(config / "public.yaml", folder / "shipped.yaml")
    data = yaml.safe_load((folder / "shipped.yaml").read_text(encoding="utf-8"))
    data |= {
        "mirror": "mirror", "downloads": "downloads",
        "nulls": {"sets": 100, "permutations": 100, "seed": 1},
    }  # fmt: skip
    # one method, one endpoint and one adjustment: this is about files, not about statistics
    data["methods"] = ["singscore"]
    data["contrast"] = {"further_adjustments": [], "mediators": []}
    data["survival"] = {"endpoints": ["OS", "DRFS"], "richer": [], "bootstrap": 50}
    (folder / "public.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    data["cohorts"] = [f"cohorts/{name}.yaml" for name in ANALYSED]
    (folder / "some.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")


# one man is left out; cells are counted, not tumours
EXPECTED = {"tcga_brca": 59, "gse176078": 480}


def _own_checksums(data: Any, mirror: Mirror) -> None:
    if isinstance(data, dict):
        if cohortfile.is_url(str(data.get("url", ""))):
            data["sha256"] = mirror.sha256(data["url"])
        for value in data.values():
            _own_checksums(value, mirror)
    elif isinstance(data, list):
        for value in data:
            _own_checksums(value, mirror)
