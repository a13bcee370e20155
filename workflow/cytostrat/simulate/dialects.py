"""The same patients as three archives would hand them out.

Each dialect turns canonical clinical text into the column names, codes, units, separators and
line ends that one kind of archive uses, so that the demo cohort files show the range.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytostrat.simulate.expression import GeneModel, claims, names

DAYS_PER_MONTH = 30.4375


@dataclass(frozen=True)
class TextTable:
    """A frame and the way it is written.

    Parameters
    ----------
    frame
        Content; every cell of a clinical table is text.
    separator
        Between fields.
    line_end
        After each line.
    preamble
        Lines before the header, without line ends.
    decimals
        Digits after the point of numeric cells, None for text and integers.
    """

    frame: pd.DataFrame
    separator: str = "\t"
    line_end: str = "\n"
    preamble: tuple[str, ...] = ()
    decimals: int | None = None

    @property
    def suffix(self) -> str:
        """Usual ending of the file's name."""
        return "csv" if self.separator == "," else "tsv"

    def encode(self) -> bytes:
        """Return the file's bytes."""
        head = "".join(line + self.line_end for line in self.preamble)
        text = self.frame.to_csv(
            sep=self.separator,
            index=False,
            lineterminator=self.line_end,
            float_format=None if self.decimals is None else f"%.{self.decimals}f",
        )
        return (head + text).encode()


@dataclass(frozen=True)
class Archive:
    """Files that are handed out as one tar archive.

    Parameters
    ----------
    members
        Name inside the archive to content.
    """

    members: Mapping[str, bytes]
    suffix: str = "tar"

    def encode(self) -> bytes:
        """Return the archive's bytes: no time, owner or order but that of the members."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in self.members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return out.getvalue()


def _mapped(values: pd.Series, **codes: str) -> pd.Series:
    """Replace canonical words; what has no code stays, blank takes the code ``missing``."""
    table = {word.replace("_", " "): code for word, code in codes.items()}
    return values.map(lambda value: table.get(value or "missing", value))


_SUBSTAGE = {
    "1": ("Stage I", "Stage IA"),
    "2": ("Stage IIA", "Stage IIB"),
    "3": ("Stage IIIA", "Stage IIIB", "Stage IIIC"),
    "4": ("Stage IV",),
}


def registry(people: pd.DataFrame, samples: pd.DataFrame, rng: np.random.Generator) -> dict:
    """Two tables, tab separated, long column names, stages with letters, survival in days."""
    patient = pd.DataFrame(
        {
            "bcr_patient_barcode": people["patient"],
            "gender": people["sex"].str.upper(),
            "age_at_initial_pathologic_diagnosis": people["age"],
            "er_status_by_ihc": _mapped(
                people["er"], positive="Positive", negative="Negative", missing="[Not Evaluated]"
            ),
            "pr_status_by_ihc": _mapped(
                people["pr"], positive="Positive", negative="Negative", missing="Indeterminate"
            ),
            "her2_status_by_ihc": _mapped(
                people["her2_stated"],
                positive="Positive",
                negative="Negative",
                equivocal="Equivocal",
                missing="[Not Available]",
            ),
            "her2_ihc_score": _mapped(people["her2_ihc"], missing="[Not Available]"),
            "her2_fish_status": _mapped(
                people["her2_ish"],
                amplified="Positive",
                not_amplified="Negative",
                equivocal="Equivocal",
                missing="[Not Evaluated]",
            ),
            "pam50": "BRCA." + people["pam50"],
            "neoplasm_histologic_grade": _mapped(people["grade"], missing="[Not Available]"),
            "ajcc_pathologic_tumor_stage": [
                options[int(u * len(options))]
                for options, u in zip(
                    people["stage"].map(_SUBSTAGE), rng.random(len(people)), strict=True
                )
            ],
            "number_of_lymphnodes_positive": _mapped(people["nodes"], missing="[Not Available]"),
            "OS": people["OS_event"],
            "OS.time": people["OS_time"],
            "PFI": people["PFI_event"],
            "PFI.time": people["PFI_time"],
        }
    )
    sample = pd.DataFrame(
        {
            "sample_barcode": samples["sample"],
            "bcr_patient_barcode": samples["patient"],
            "sample_type": _mapped(
                samples["sample_type"],
                primary="Primary Tumor",
                normal="Solid Tissue Normal",
                metastasis="Metastatic",
            ),
            "plate": np.char.mod("A%02d", samples["batch"].to_numpy() + 13),
            "ABSOLUTE_purity": samples["purity_seen"],
            "leukocyte_fraction": samples["leukocyte_seen"],
        }
    )
    return {
        "clinical_patient.tsv": TextTable(patient),
        "biospecimen_sample.tsv": TextTable(sample),
    }


def screening(people: pd.DataFrame, samples: pd.DataFrame, rng: np.random.Generator) -> dict:
    """One table, semicolons and CRLF, 0/1 codes, a stated HER2 call only, survival in days."""
    table = pd.DataFrame(
        {
            "title": samples["sample"],
            "accession": np.char.mod("SIM%06d", 730001 + np.arange(len(samples))),
            "age_at_diagnosis": people["age"],
            "er_status": _mapped(people["er"], positive="1", negative="0", missing="NA"),
            "pgr_status": _mapped(people["pr"], positive="1", negative="0", missing="NA"),
            "her2_status": _mapped(
                people["her2_stated"], positive="1", negative="0", equivocal="NA", missing="NA"
            ),
            "nhg": _mapped(people["grade"], **{"1": "G1", "2": "G2", "3": "G3", "missing": "NA"}),
            "pam50_subtype": people["pam50"],
            "tumor_size": people["tumour_size"],
            "lymph_nodes_positive": _mapped(people["nodes"], missing="NA"),
            "stage": _mapped(
                people["stage"], **{"1": "I", "2": "II", "3": "III", "4": "IV", "missing": "NA"}
            ),
            "endocrine_treated": people["endocrine"],
            "chemo_treated": people["chemo"],
            "instrument": np.where(samples["batch"].to_numpy() == 0, "HiSeq 2000", "NextSeq 500"),
            "overall_survival_days": people["OS_time"],
            "overall_survival_event": people["OS_event"],
            "rfs_days": people["RFS_time"],
            "rfs_event": people["RFS_event"],
        }
    )
    return {"clinical.csv": TextTable(table, separator=";", line_end="\r\n")}


def study(people: pd.DataFrame, samples: pd.DataFrame, rng: np.random.Generator) -> dict:
    """Patient and sample tables with comment lines, signs for HER2, survival in months."""
    months = {
        name: np.char.mod("%.2f", people[f"{name}_time"].astype(int).to_numpy() / DAYS_PER_MONTH)
        for name in ("OS", "RFS")
    }
    patient = pd.DataFrame(
        {
            "PATIENT_ID": people["patient"],
            "AGE_AT_DIAGNOSIS": people["age"],
            "SEX": people["sex"].str.capitalize(),
            "ER_IHC": _mapped(people["er"], positive="pos", negative="neg", missing="null"),
            "CLAUDIN_SUBTYPE": people["pam50"],
            "CHEMOTHERAPY": np.where(people["chemo"] == "1", "YES", "NO"),
            "HORMONE_THERAPY": np.where(people["endocrine"] == "1", "YES", "NO"),
            "COHORT": np.char.mod("%d", samples["batch"].to_numpy() + 1),
            "LYMPH_NODES_EXAMINED_POSITIVE": _mapped(people["nodes"], missing=""),
            "OS_MONTHS": months["OS"],
            "OS_STATUS": np.where(people["OS_event"] == "1", "DECEASED", "LIVING"),
            "RFS_MONTHS": months["RFS"],
            "RFS_STATUS": np.where(people["RFS_event"] == "1", "1:Recurred", "0:Not Recurred"),
        }
    )
    sample = pd.DataFrame(
        {
            "SAMPLE_ID": samples["sample"],
            "PATIENT_ID": people["patient"],
            "GRADE": _mapped(people["grade"], missing="null"),
            "TUMOR_SIZE": people["tumour_size"],
            "TUMOR_STAGE": people["stage"],
            "PR_STATUS": _mapped(people["pr"], positive="+", negative="-", missing=""),
            "HER2_STATUS": _mapped(
                people["her2_stated"], positive="+", negative="-", equivocal="+/-", missing="null"
            ),
            "HER2_IHC": people["her2_ihc"].str.rstrip("+"),
            "HER2_ISH": _mapped(
                people["her2_ish"],
                amplified="AMP",
                not_amplified="NOT AMP",
                equivocal="BORDERLINE",
                missing="null",
            ),
            "SAMPLE_TYPE": _mapped(samples["sample_type"], primary="Primary"),
        }
    )
    note = ("#Simulated study: no patient stands behind a row", "#STRING\tNUMBER\tSTRING")
    return {
        "data_clinical_patient.txt": TextTable(patient, line_end="\r\n", preamble=note),
        "data_clinical_sample.txt": TextTable(sample, preamble=note),
    }


def ensembl_ids(model: GeneModel, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of the model to write and their versioned Ensembl ids.

    Genes without an Ensembl id are left out, as an annotation would leave them out.
    """
    first = model.genes["ensembl"].map(lambda cell: (names(cell) or [""])[0]).to_numpy()
    rows = np.flatnonzero(first != "")
    version = rng.integers(1, 20, len(rows))
    return rows, np.array([f"{first[row]}.{at}" for row, at in zip(rows, version, strict=True)])


def dated_symbols(
    model: GeneModel, rng: np.random.Generator, *, share: float = 0.06, n_ambiguous: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows of the model and symbols, some of them as an older annotation had them.

    A share of the genes bears a previous symbol (or else an alias) that leads to this gene
    alone; a gene that a factor drives is four times as likely to, where it has a previous
    symbol. A few genes that nothing drives bear an alias that several genes claim, which has to
    be dropped.
    """
    symbols = model.genes.index.to_numpy().astype(object)
    plain = (model.loadings.to_numpy() != 0).sum(axis=1) == 0
    chance = rng.random(len(symbols))
    out = symbols.copy()
    used: set[str] = set()
    owners = claims(model.table)
    for row, item in enumerate(model.genes.itertuples(index=True)):
        previous, alias = names(item.previous), names(item.alias)
        own = [name for name in (*previous, *alias) if owners[name] == {symbols[row]}]
        claimed = [
            name
            for name in alias
            if len(owners[name]) > 1 and name not in model.table.index and name not in used
        ]
        if plain[row] and claimed and len(used) < n_ambiguous:
            out[row] = claimed[0]
            used.add(claimed[0])
        elif own and chance[row] < share * (4 if previous and not plain[row] else 1):
            out[row] = own[0]
    return np.arange(len(symbols)), out


def entrez_ids(
    model: GeneModel, rng: np.random.Generator, *, share_twice: float = 0.01
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of the model (some twice, as two probes of one gene) and their Entrez ids."""
    first = model.genes["entrez"].map(lambda cell: (names(cell) or [""])[0]).to_numpy()
    rows = np.flatnonzero(first != "")
    twice = rows[rng.random(len(rows)) < share_twice]
    rows = np.concatenate([rows, twice])
    return rows, first[rows]
