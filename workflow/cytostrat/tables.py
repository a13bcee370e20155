"""The tables that pass between stages: columns, types, keys, units, and what missing means.

Everything that one stage hands to another is one of these tables, so a stage needs to know
this module and nothing of the stage before it. Writing is atomic (a neighbouring ``.part``
file, then a rename), numbers carry a stated number of significant digits, rows are sorted by
the table's key, and no file holds a clock, a host or a path: the same run gives the same bytes.

Conventions that hold in every table:

* a missing number is an empty field and means "not estimated" (the ``note`` says why); it is
  never zero;
* a missing text is an empty field; ``''`` in a key column means "does not apply";
* contrasts are named ``a - b`` and estimates are a minus b;
* ``p`` is never adjusted; ``q`` exists only where ``family`` names a declared family.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cytostrat.errors import TableError

if TYPE_CHECKING:
    from anndata import AnnData

SIGNIFICANT_DIGITS = 6
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

CLINICAL_COLUMNS: dict[str, str] = {
    "patient": "patient id as NAMESPACE:id, the namespace says whose numbering it is",
    "sample_type": "primary, metastasis, normal, recurrence",
    "sex": "female, male",
    "age": "years at diagnosis",
    "her2": "positive, negative, equivocal; missing is never negative",
    "her2_source": "ihc+ish, ihc, ish, stated, expression",
    "her2_ihc": "0, 1+, 2+, 3+",
    "her2_ish": "amplified, not amplified, equivocal",
    "her2_low": "low (negative, and IHC 1+ or 2+ not amplified), zero (IHC 0, negative)",
    "her2_flag": "conflicts between IHC, ISH and the stated call, empty where there is none",
    "er": "positive, negative",
    "pr": "positive, negative",
    "pam50": "LumA, LumB, Her2, Basal, Normal, claudin-low",
    "grade": "1, 2, 3 (Nottingham)",
    "stage": "1, 2, 3, 4 (AJCC main group)",
    "nodes": "number of positive lymph nodes",
    "tumour_size": "mm",
    "purity": "fraction 0-1",
    "leukocyte": "fraction 0-1",
    "chemo": "yes, no",
    "endocrine": "yes, no",
    "treatment": "arm or regimen, as named by the cohort",
    "timepoint": "before, during, after",
    "response": "yes, no (pCR or UICC responder, the cohort file says which)",
    "batch": "site, platform or batch",
}
NUMERIC_CLINICAL = frozenset({"age", "nodes", "tumour_size", "purity", "leukocyte"})
ENDPOINTS = ("OS", "DSS", "DFI", "RFS", "DRFS", "PFI")
# As usually defined these censor deaths of other causes (TCGA-CDR, Liu 2018,
# doi:10.1016/j.cell.2018.02.052); RFS and DRFS count every death as an event (STEEP, Hudis 2007,
# doi:10.1200/JCO.2006.10.4988).
CENSORING_OTHER_DEATHS = ("DSS", "DFI", "PFI")
# An adjustment that begins so is the crude difference in the patients of the one it names, who
# have all its covariates: what adjusting did is read off these two, never off all patients.
SAME_PATIENTS = "none, patients of "


@dataclass(frozen=True)
class Table:
    """Contract of one table.

    Parameters
    ----------
    name
        Name used in messages.
    columns
        Column name to kind: ``text``, ``float``, ``int`` or ``bool``. All must be present;
        further columns may follow.
    key
        Columns that identify a row; no two rows share them.
    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]

    def empty(self) -> pd.DataFrame:
        """Return the table without rows."""
        return self.conform(pd.DataFrame(columns=list(self.columns)))

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a copy with the contract's order and types, sorted by key.

        Raises
        ------
        TableError
            A column is absent, a value has the wrong type, or a key occurs twice.
        """
        absent = [column for column in self.columns if column not in frame.columns]
        if absent:
            raise TableError(f"Table {self.name} lacks the column(s) {', '.join(absent)}.")
        further = [column for column in frame.columns if column not in self.columns]
        out = frame.loc[:, [*self.columns, *further]].copy()
        for column, kind in self.columns.items():
            out[column] = _as_kind(out[column], kind, self.name, column)
        duplicated = out.duplicated(list(self.key), keep=False)
        if duplicated.any():
            first = out.loc[duplicated, list(self.key)].iloc[0].to_dict()
            raise TableError(
                f"Table {self.name} has {int(duplicated.sum())} rows that share a key, "
                f"the first is {first}."
            )
        order = pd.MultiIndex.from_frame(out[list(self.key)].astype(str)).argsort(kind="stable")
        return out.iloc[order].reset_index(drop=True)

    def concat(self, frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
        """Return all rows of several frames as one conforming table."""
        filled = [frame for frame in frames if len(frame)]
        return self.conform(pd.concat(filled, ignore_index=True)) if filled else self.empty()

    def records(self, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
        """Return rows as a conforming table; what a row does not name is missing in it."""
        frame = pd.DataFrame(rows)
        further = [column for column in frame.columns if column not in self.columns]
        return self.conform(frame.reindex(columns=[*self.columns, *further]))


def _as_kind(values: pd.Series, kind: str, table: str, column: str) -> pd.Series:
    try:
        if kind == "text":
            return values.astype(object).where(values.notna(), "").astype(str)
        if kind == "float":
            return values.astype(float)
        if kind == "int":
            return values.astype("Int64")
        return values.astype("boolean")
    except (ValueError, TypeError) as error:
        raise TableError(f"Table {table}, column {column}: {error}.") from error


def _columns(text: str) -> dict[str, str]:
    """Read ``name:kind`` pairs, kind text where none is given."""
    pairs = (word.partition(":") for word in text.split())
    return {name: kind or "text" for name, _, kind in pairs}


FLOW = Table(
    "Flow",
    _columns("cohort step reason n_in:int n_out:int"),
    ("cohort", "step", "reason"),
)
COVERAGE = Table(
    "Coverage",
    _columns("cohort signature n_genes:int n_present:int fraction:float missing usable:bool note"),
    ("cohort", "signature"),
)
SCORES = Table(
    "Scores",
    _columns("cohort sample cell_type signature method score:float percentile:float"),
    ("cohort", "signature", "method", "cell_type", "sample"),
)
EFFECTS = Table(
    "Effects",
    _columns(
        "cohort question endpoint stratum signature method contrast her2_rule gene_filter "
        "adjustment n:int n_case:int events:int estimate:float scale se:float low:float "
        "high:float p:float family q:float null_p:float power_limit:float note"
    ),
    (
        "question", "cohort", "endpoint", "stratum", "signature", "method", "contrast",
        "her2_rule", "gene_filter", "adjustment", "scale",
    ),
)  # fmt: skip
POOLED = Table(
    "Pooled",
    _columns(
        "question endpoint stratum signature method contrast her2_rule gene_filter adjustment "
        "scale model k:int cohorts estimate:float low:float high:float p:float family q:float "
        "null_p:float tau2:float i2:float pi_low:float pi_high:float loo_low:float "
        "loo_high:float note"
    ),
    (
        "question", "endpoint", "stratum", "signature", "method", "contrast", "her2_rule",
        "gene_filter", "adjustment", "scale", "model",
    ),
)  # fmt: skip
VERDICTS = Table(
    "Verdicts",
    _columns(
        "claim document therapy relation cohort question signature method estimate:float "
        "low:float high:float p:float q:float null_p:float verdict reachable:bool reason"
    ),
    ("claim", "cohort", "signature", "method"),
)
TABLES = {
    table.name.lower(): table for table in (FLOW, COVERAGE, SCORES, EFFECTS, POOLED, VERDICTS)
}


def _text_number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.{SIGNIFICANT_DIGITS}g}"


def write_table(frame: pd.DataFrame, path: str | Path, table: Table) -> None:
    """Write a table as TSV (gzip where the name ends in ``.gz``), atomically.

    Floats are rounded to `SIGNIFICANT_DIGITS` significant digits, line ends are LF.
    """
    write_frame(table.conform(frame), path)


def write_frame(frame: pd.DataFrame, path: str | Path) -> None:
    """Write any frame as `write_table` does, in its own order and without a contract."""
    out = frame.copy()
    for column in out.columns:
        if pd.api.types.is_float_dtype(out[column]):
            out[column] = out[column].map(_text_number, na_action=None)
    write_bytes(path, out.to_csv(sep="\t", index=False, lineterminator="\n").encode())


DAMAGE = (OSError, EOFError, ValueError, TypeError, zlib.error)


def _damaged(path: str | Path, what: str, error: Exception) -> TableError:
    """Return the error for a file of an earlier stage that is not what that stage wrote."""
    return TableError(
        f"{path}: can't be read as a {what} ({type(error).__name__}: {str(error)[:200]}); it was "
        "damaged after it was written, so remove it and run again."
    )


def whole_text(path: str | Path) -> io.BytesIO:
    """Return the content of a tab-separated file that this project wrote, unpacked.

    Raises
    ------
    ValueError
        It is cut off, has a row of another length, or holds binary content.
    """
    content = Path(path).read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"its compression is damaged: {error}") from None
    if b"\0" in content or not content.endswith(b"\n"):
        raise ValueError("it is cut off or holds binary content")
    plain = b'"' not in content and b"#" not in content
    fields = content.partition(b"\n")[0].count(b"\t")
    if plain and content.count(b"\t") != fields * content.count(b"\n"):
        raise ValueError("its rows differ in their number of fields")
    return io.BytesIO(content)


def read_table(path: str | Path, table: Table) -> pd.DataFrame:
    """Read a table written by `write_table` and check its contract."""
    try:
        frame = pd.read_csv(whole_text(path), sep="\t", dtype=str, keep_default_na=False)
        for column, kind in table.columns.items():
            if kind != "text" and column in frame:
                blank = frame[column].eq("")
                values = frame[column].mask(blank)
                if kind == "bool":
                    values = values.map({"True": True, "False": False})
                elif kind == "float":
                    values = pd.to_numeric(values)
                else:
                    values = pd.to_numeric(values).astype("Int64")
                frame[column] = values
        return table.conform(frame)
    except DAMAGE as error:
        raise _damaged(path, f"table {table.name}", error) from None


def read_tables(files: Mapping[str, str | Path]) -> dict[str, pd.DataFrame]:
    """Read several tables, keyed by the names in `TABLES`; one that is not given is empty."""
    return {
        name: read_table(files[name], table) if name in files else table.empty()
        for name, table in TABLES.items()
        if table is not SCORES
    }


def read_scores(cohorts: Iterable[str], files: Iterable[str | Path]) -> dict[str, pd.DataFrame]:
    """Read one Scores table per cohort, in the order of the cohorts."""
    return {name: read_table(file, SCORES) for name, file in zip(cohorts, files, strict=True)}


def score_of(scores: pd.DataFrame, signature: str, method: str) -> pd.Series | None:
    """Return the score of one signature per sample of a bulk Scores table, if it has one."""
    rows = scores[(scores["signature"] == signature) & (scores["method"] == method)]
    return rows.set_index("sample")["score"] if len(rows) else None


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all; a name in ``.gz`` is compressed without a time stamp."""
    if Path(path).suffix == ".gz":
        content = gzip.compress(content, compresslevel=6, mtime=0)
    with whole(path) as part:
        part.write_bytes(content)


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Give a neighbouring name to write to; it becomes `path` once all has been written.

    What a writer of the same file left behind when it was killed is removed.

    Raises
    ------
    TableError
        The file can't be written: no room, no right, a device that fails.
    """
    path = Path(path)
    part = path.with_name(f"{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            part.replace(path)
            for left in path.parent.glob(f"{glob.escape(path.stem)}.[0-9]*.part{path.suffix}"):
                left.unlink(missing_ok=True)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None:
            raise
        remedy = "free some room" if error.errno in NO_ROOM else "check the folder and its rights"
        raise TableError(
            f"{path}: can't be written ({os.strerror(error.errno)}); {remedy} and run again."
        ) from None


def write_folders(content: Mapping[str, bytes], parent: str | Path, folders: Iterable[str]) -> None:
    """Write files by their names below `parent`; each of `folders` is there, empty if need be.

    Raises
    ------
    TableError
        A file lies in none of the folders.
    """
    folders = list(folders)
    for folder in folders:
        (Path(parent) / folder).mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        if name.split("/")[0] not in folders:
            raise TableError(f"File {name} lies in none of the folders {', '.join(folders)}.")
        write_bytes(Path(parent) / name, data)


def write_lines(values: Iterable[str], path: str | Path) -> None:
    """Write distinct values, sorted, one per line."""
    lines = sorted({str(value) for value in values if not pd.isna(value)})
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())


def read_lines(path: str | Path) -> list[str]:
    """Read what `write_lines` wrote."""
    # an id may hold characters at which splitlines() would break it
    return [line for line in Path(path).read_bytes().decode().split("\n") if line]


def read_patients(files: Iterable[str | Path]) -> dict[str, list[str]]:
    """Return cohort to its patients from files named ``<cohort>.patients.tsv``."""
    return {Path(file).name.removesuffix(".patients.tsv"): read_lines(file) for file in files}


def storable(obs: pd.DataFrame) -> pd.DataFrame:
    """Return a copy that HDF5 can hold: it knows no text column without a text."""
    obs = obs.copy()
    for column in obs:
        if obs[column].isna().all():
            obs[column] = np.nan
    return obs


def write_cohort(cohort: AnnData, path: str | Path) -> None:
    """Write a Cohort table (.h5ad): X log2, ``layers["counts"]`` where counts exist.

    ``uns["provenance"]`` is a dict; it is stored as JSON text, because HDF5 holds no lists of
    dicts, and comes back as a dict from `read_cohort`.
    """
    import anndata

    text = json.dumps(dict(cohort.uns["provenance"]), sort_keys=True)
    # the same arrays, not copies: a matrix of cells may fill half the memory
    out = anndata.AnnData(
        X=cohort.X, obs=storable(cohort.obs), var=cohort.var, obsm=dict(cohort.obsm),
        layers={name: cohort.layers[name] for name in cohort.layers if name is not None},
        uns={**cohort.uns, "provenance": text},
    )  # fmt: skip
    with whole(path) as part:
        out.write_h5ad(part, compression="gzip")


def read_cohort(path: str | Path) -> AnnData:
    """Read a Cohort table; ``uns["provenance"]`` comes back as a dict."""
    import anndata

    try:
        cohort = anndata.read_h5ad(path)
        cohort.uns["provenance"] = json.loads(cohort.uns["provenance"])
        if not cohort.obs_names.is_unique:
            raise ValueError("a sample name occurs twice")
    except Exception as error:  # noqa: BLE001 - h5py and anndata raise many kinds for a bad file
        raise _damaged(path, "Cohort table", error) from None
    return cohort


def read_cohorts(cohorts: Iterable[str], files: Iterable[str | Path]) -> dict[str, AnnData]:
    """Read what is known of each cohort's patients, in the order of the cohorts, no matrices.

    Of single cells comes one row per patient, named by the patient as in their Scores, with
    ``n_cells`` and without the columns of single cells.
    """
    return {name: _read_patients(file) for name, file in zip(cohorts, files, strict=True)}


def _read_patients(path: str | Path) -> AnnData:
    import anndata
    import h5py
    from anndata.io import read_elem

    try:
        with h5py.File(path, "r") as file:
            obs, text = read_elem(file["obs"]), read_elem(file["uns/provenance"])
        provenance = json.loads(text)
    except Exception as error:  # noqa: BLE001 - as in read_cohort
        raise _damaged(path, "Cohort table", error) from None
    if provenance["kind"] == "single_cell":
        patients = obs["patient"].astype(str)
        first = ~patients.duplicated().to_numpy()
        n_cells = patients.value_counts()
        obs = obs[first].drop(columns=[c for c in ("cell_type", "cell_subtype") if c in obs])
        obs.index = pd.Index(patients[first], name="sample")
        obs = obs.assign(n_cells=n_cells.reindex(obs.index)).sort_index()
    return anndata.AnnData(obs=obs, uns={"provenance": provenance})


def read_baseline(cohort_file: str | Path, scores_file: str | Path) -> tuple[AnnData, pd.DataFrame]:
    """Read a cohort and its scores as they were before treatment, one sample per patient.

    Which samples these are, `baseline_samples` says.
    """
    cohort, scores = read_cohort(cohort_file), read_table(scores_file, SCORES)
    keep = baseline_samples(cohort.obs)
    if not keep.all():
        cohort = cohort[keep].copy()
        scores = scores[scores["sample"].isin(cohort.obs_names)]
    return cohort, scores


def baseline_samples(clinical: pd.DataFrame) -> np.ndarray:
    """Return which samples stand for their patients: one of each, from before treatment.

    Patients are the unit of every comparison between tumours. Samples taken during or after
    treatment are left out, and of several from before it all but the first by name; so is a
    patient who has none from before. A sample without a patient is one of its own, and one
    without a time point counts as taken before treatment.

    Parameters
    ----------
    clinical
        Canonical clinical columns, index sample; `patient` and `timepoint` are used, if there.

    Returns
    -------
    numpy.ndarray
        Shape (samples,), bool.
    """
    keep = np.ones(len(clinical), dtype=bool)
    if "timepoint" in clinical:
        keep &= ~clinical["timepoint"].isin(["during", "after"]).to_numpy()
    if "patient" in clinical:
        order = np.argsort(clinical.index.astype(str).to_numpy(), kind="stable")
        patient = clinical["patient"].astype(object).where(keep).iloc[order]
        again = (patient.duplicated() & patient.notna()).to_numpy()
        keep[order[again]] = False
    return keep


def read_frame(path: str | Path, **options: Any) -> pd.DataFrame:
    """Read a frame that `write_frame` wrote; `options` are those of `pandas.read_csv`."""
    try:
        return pd.read_csv(whole_text(path), sep="\t", **options)
    except DAMAGE as error:
        raise _damaged(path, "table", error) from None


def read_frames(names: Iterable[str], files: Iterable[str | Path]) -> dict[str, pd.DataFrame]:
    """Read frames that `write_frame` wrote, keyed by cohort."""
    return {
        name: read_frame(file).assign(cohort=name) for name, file in zip(names, files, strict=True)
    }


def read_by_cohort(
    names: Iterable[str], files: Mapping[str, Iterable[str | Path]]
) -> dict[str, dict[str, pd.DataFrame]]:
    """Read several kinds of frames: cohort to kind to frame; ``files`` maps a kind to its files."""
    found: dict[str, dict[str, pd.DataFrame]] = {name: {} for name in names}
    for kind, paths in files.items():
        for name, frame in read_frames(found, paths).items():
            found[name][kind] = frame
    return found


def stacked(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all frames; without any frame, an empty one."""
    filled = [frame for frame in frames.values() if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
