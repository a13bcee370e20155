"""Harmonise: a cohort's own files become the Cohort table.

Outputs
-------
Cohort
    AnnData, samples x approved symbols, X on the log2 scale (float32), ``layers["counts"]``
    where the file holds counts, ``obs`` in the canonical vocabulary with sample names as the
    file has them (surrounding blanks apart), ``uns["provenance"]``.
Flow
    One row per filter, also where it leaves nobody out.

Rules
-----
Genes
    See `cytostrat.genes`; ids without an approved symbol are dropped and counted. Rows that
    share a symbol are summed on a linear scale; on a log scale the row with the highest mean
    is kept, ties go to the first id in sorted order.
Patients
    One sample per patient: the first in the sorted order of sample names (for TCGA the lowest
    vial). Where a timepoint is mapped, one per patient and timepoint.
Missing
    A missing value of a log matrix stays NaN and is counted; a gene without any value is
    dropped. Missing values of counts, TPM or FPKM are an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from cytostrat import genes as gene_ids
from cytostrat import her2
from cytostrat.errors import InputError
from cytostrat.harmonise import clinical, link, scale
from cytostrat.readers import Expression, narrow
from cytostrat.readers.rows import Rows
from cytostrat.tables import CLINICAL_COLUMNS, ENDPOINTS, FLOW, NUMERIC_CLINICAL

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["harmonise"]

CELL_COLUMNS = ("cell_type", "cell_subtype")
FEWEST_SAMPLES = 2
FEW_GENES_KNOWN = 0.5
HARDLY_ANY_KNOWN = 0.1
NAMES_PROBED = 1000


def harmonise(
    expression: Expression,
    clinical_tables: Mapping[str, pd.DataFrame],
    spec: Mapping[str, Any],
    gene_index: gene_ids.GeneIndex,
    *,
    annotation: Mapping[str, str] | None = None,
    excluded_patients: Collection[str] = frozenset(),
    sources: Sequence[Mapping[str, Any]] = (),
) -> tuple[AnnData | Streamed, pd.DataFrame]:
    """Bring one cohort to the canonical form.

    Parameters
    ----------
    expression
        What a reader returned.
    clinical_tables
        Table name to frame of texts.
    spec
        The checked cohort file.
    gene_index
        Approved symbols and the ways to them.
    annotation
        Probe id to gene id ('' for none, several joined by the annotation's separator), for
        probe matrices.
    excluded_patients
        Patient ids, without namespace, that are left out.
    sources
        Name, sha256 and size of each file, for the provenance.

    Returns
    -------
    cohort, flow
        The Cohort and Flow tables; the cohort is `Streamed` where the matrix stays on disk.

    Raises
    ------
    ConfigError, InputError
        One sentence that names the file, the column or key, the value and the remedy.
    """
    import anndata

    file = expression.file
    _refuse_turned(expression, spec["expression"], gene_index, annotation)
    names, blanks = link.sample_names(expression.samples, file=file)
    warnings = [*expression.warnings, *blanks]
    tables, patients, unused = _align(names, clinical_tables, spec, expression)
    warnings += unused
    obs, stated = _observations(names, patients, tables, spec, warnings)
    keep, flow = _filter(obs, patients, tables.frames, spec, excluded_patients, file)
    obs = obs.iloc[keep].copy()
    if spec["kind"] == "bulk":
        _refuse_empty_groups(obs, spec)
    matrix, counts, symbols, facts = _expression(
        expression, keep, spec, gene_index, annotation, warnings
    )
    var = pd.DataFrame(index=pd.Index(symbols, dtype=object, name="symbol"))
    if isinstance(matrix, Rows):
        cohort = Streamed(obs, var, {}, matrix, counts)
    else:
        cohort = anndata.AnnData(X=matrix, obs=obs, var=var)
        if counts is not None:
            cohort.layers["counts"] = counts
    cohort.uns["provenance"] = {
        "cohort": spec["name"],
        "title": spec["title"],
        "kind": spec["kind"],
        "simulated": spec["simulated"],
        "citation": spec["citation"],
        "doi": spec["doi"],
        "licence": spec["licence"],
        "platform": spec["platform"],
        "note": spec["note"],
        "unverified": list(spec["unverified"]),
        "sampling": dict(spec["sampling"]),
        "namespace": spec["namespace"],
        "gene_ids": spec["expression"]["gene_ids"],
        "scale": spec["expression"]["scale"],
        "transform": scale.describe(
            spec["expression"]["scale"],
            kind=spec["kind"],
            pseudocount=spec["expression"]["pseudocount"],
        ),
        "sources": [dict(source) for source in sources],
        "endpoints": {name: dict(option) for name, option in spec["endpoints"].items()},
        "response": dict(spec["response"]),
        "patient_rule": "one sample per patient: the first in the order of sample names",
        "missing": {name: int(obs[name].isna().sum()) for name in spec["columns"] if name in obs},
        "her2": _her2_counts(obs, stated.iloc[keep]),
        "warnings": warnings,
        **facts,
    }
    return cohort, flow


def _refuse_turned(
    expression: Expression,
    options: Mapping[str, Any],
    gene_index: gene_ids.GeneIndex,
    annotation: Mapping[str, str] | None,
) -> None:
    """Refuse a text matrix whose samples are named like genes while its genes are not."""
    kind = options["gene_ids"]

    def known(names: Sequence[str]) -> float:
        probed = [name.strip() for name in names[:NAMES_PROBED]]
        if kind == "probe":
            return float(np.mean([name in (annotation or {}) for name in probed]))
        return float(np.mean(gene_ids.map_ids(probed, kind, gene_index)[0] != None))  # noqa: E711

    if options["format"] != "delimited" or known(expression.samples) < FEW_GENES_KNOWN:
        return
    if known(expression.genes) < HARDLY_ANY_KNOWN:
        turned = ({"genes_in_rows", "genes_in_columns"} - {options["orientation"]}).pop()
        raise InputError(
            f"{expression.file}: its samples have names of genes ("
            f"{', '.join(map(repr, expression.samples[:3]))}, ...) and its genes have not ("
            f"{', '.join(map(repr, expression.genes[:3]))}, ...); turn expression.orientation "
            f"round, to {turned}."
        )


def _align(
    names: list[str],
    frames: Mapping[str, pd.DataFrame],
    spec: Mapping[str, Any],
    expression: Expression,
) -> tuple[clinical.Tables, list[str | None], list[str]]:
    """Join every clinical table; tables by sample first, since one may name the patients."""
    options = {table["name"]: table for table in spec["clinical"]}
    files = {
        name: ", ".join(source["location"] for source in table["source"])
        for name, table in options.items()
    }
    places = {table["name"]: number for number, table in enumerate(spec["clinical"])}
    aligned: dict[str, pd.DataFrame] = {}
    warnings: list[str] = []
    patients: list[str | None] = []
    for to in ("sample", "patient"):
        if to == "patient":
            patients = link.patients(
                names, spec["sample_to_patient"], aligned, files, file=expression.file
            )
        for name, option in options.items():
            if option["join"]["to"] != to:
                continue
            aligned[name], n_unused = link.join(
                frames[name],
                names if to == "sample" else patients,
                option["join"],
                table_file=files[name],
                expression_file=expression.file,
                genes=expression.genes,
                place=f"clinical.{places[name]}.join",
            )
            if n_unused:
                warnings.append(f"{n_unused} rows of the table {name} have no expression")
    missing = frozenset(clinical.fold(value) for value in spec["missing_values"])
    ordered = {name: aligned[name] for name in options}
    return clinical.Tables(ordered, files, missing), patients, warnings


def _observations(
    names: list[str],
    patients: list[str | None],
    tables: clinical.Tables,
    spec: Mapping[str, Any],
    warnings: list[str],
) -> tuple[pd.DataFrame, pd.Series]:
    """Return the canonical columns, and HER2 as the cohort states it."""
    index = pd.RangeIndex(len(names))
    columns: dict[str, pd.Series] = {
        name: clinical.canonical(name, option, tables, index)
        for name, option in spec["columns"].items()
    }
    if "sample_type" not in columns and spec["sample_to_patient"]["rule"] == "tcga_barcode":
        columns["sample_type"] = pd.Series(map(link.tcga_sample_type, names), dtype=object)
    derived = spec["columns"].get("her2", {}).get("derived") == "expression"
    stated = columns.get("her2", pd.Series([None] * len(index), dtype=object))
    calls = her2.classify(
        pd.DataFrame({name: columns[name] for name in ("her2", "her2_ihc", "her2_ish")
                      if name in columns}, index=index),
        derived=derived,
    )  # fmt: skip
    namespace = spec["namespace"]
    columns["patient"] = pd.Series(
        [None if patient is None else f"{namespace}:{patient}" for patient in patients],
        dtype=object,
    )
    columns |= {name: calls[name] for name in calls}
    obs = pd.DataFrame(index=index)
    wanted = [*CLINICAL_COLUMNS, *(CELL_COLUMNS if spec["kind"] == "single_cell" else ())]
    for name in wanted:
        if name in columns:
            obs[name] = columns[name]
        else:
            obs[name] = np.nan if name in NUMERIC_CLINICAL else None
    for name in ENDPOINTS:
        if name in spec["endpoints"]:
            time, event, notes = clinical.endpoint(name, spec["endpoints"][name], tables)
            obs[f"{name}_time"], obs[f"{name}_event"] = time, event
            warnings += notes
    obs.index = pd.Index(names, dtype=object, name="sample")
    return obs, stated


def _filter(
    obs: pd.DataFrame,
    patients: list[str | None],
    frames: Mapping[str, pd.DataFrame],
    spec: Mapping[str, Any],
    excluded_patients: Collection[str],
    file: str,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Apply the filters in their order; return the positions kept and the Flow rows."""
    keep = np.ones(len(obs), dtype=bool)
    rows = [("01 read", "in the expression file", len(obs), len(obs))]

    def narrow_to(step: str, reason: str, fits: np.ndarray, remedy: str) -> None:
        nonlocal keep
        before = int(keep.sum())
        keep = keep & fits
        after = int(keep.sum())
        rows.append((step, reason, before, after))
        if not after:
            raise InputError(
                f"{file}: no sample is left after the step {reason!r} (it had {before}); {remedy}."
            )

    has_row = np.ones(len(obs), dtype=bool)
    if frames:
        has_row = np.any(
            [frame.notna().any(axis=1).to_numpy() for frame in frames.values()], axis=0
        )
    known = np.array([patient is not None for patient in patients])
    narrow_to("02 clinical row", "no clinical row", has_row, "check clinical.*.join")
    narrow_to("03 patient id", "no patient id", known, "check sample_to_patient")
    pattern = spec["filters"]["exclude_samples"]
    if pattern:
        fits = np.array([not re.search(pattern, name) for name in obs.index])
        narrow_to(
            "04 excluded names", f"name matches {pattern}", fits, "correct filters.exclude_samples"
        )
    for number, name in ((5, "sample_type"), (7, "sex")):
        option = spec["filters"][name]
        if not option["keep"]:
            continue
        wanted = " or ".join(option["keep"])
        label = name.replace("_", " ")
        values = obs[name]
        missing = values.isna().to_numpy()
        kept_anyway = option["missing"] == "keep"
        narrow_to(
            f"{number:02d} {label} recorded",
            f"{label} not recorded ({int((keep & missing).sum())}), kept as the cohort file says"
            if kept_anyway else f"{label} not recorded",
            np.ones(len(obs), dtype=bool) if kept_anyway else ~missing,
            f"map columns.{name}, or set filters.{name}.missing: keep if all samples are {wanted}",
        )  # fmt: skip
        narrow_to(
            f"{number + 1:02d} {label}",
            f"{label} not {wanted}",
            missing | values.isin(option["keep"]).to_numpy(),
            f"correct columns.{name} or filters.{name}.keep",
        )
    if excluded_patients:
        fits = np.array([patient not in excluded_patients for patient in patients])
        narrow_to(
            "09 excluded patients", "listed in exclude_patients", fits,
            "correct filters.exclude_patients",
        )  # fmt: skip
    if spec["kind"] == "bulk":
        narrow_to("10 one per patient", "further sample of a patient", _first(obs, keep), "")
        if keep.sum() < FEWEST_SAMPLES:
            raise InputError(
                f"{file}: the cohort has one sample only after filters ({obs.index[keep][0]!r}); a "
                f"cohort needs at least {FEWEST_SAMPLES}, so check orientation, filters and joins."
            )
    flow = pd.DataFrame(rows, columns=["step", "reason", "n_in", "n_out"])
    flow.insert(0, "cohort", spec["name"])
    return np.flatnonzero(keep), FLOW.conform(flow)


def _first(obs: pd.DataFrame, keep: np.ndarray) -> np.ndarray:
    """Mark the first sample, in the order of names, of each patient (and timepoint)."""
    kept = obs[["patient", "timepoint"]].iloc[np.flatnonzero(keep)]
    kept = kept.assign(position=np.flatnonzero(keep)).sort_index(kind="stable")
    first = ~kept.duplicated(["patient", "timepoint"])
    out = np.zeros(len(obs), dtype=bool)
    out[kept["position"][first].to_numpy()] = True
    return out


def _refuse_empty_groups(obs: pd.DataFrame, spec: Mapping[str, Any]) -> None:
    """Refuse a HER2 column with one group empty, unless the cohort file says it is so."""
    named = [name for name in ("her2", "her2_ihc", "her2_ish") if name in spec["columns"]]
    if not named:
        return
    found = obs["her2"].value_counts()
    stated = spec["expected"]["groups"].get("her2", {})
    for group in ("positive", "negative"):
        if not found.get(group, 0) and stated.get(group) != 0:
            counts = ", ".join(f"{value} {n}" for value, n in sorted(found.items())) or "none"
            column = spec["columns"][named[0]]["column"] or "a constant"
            raise InputError(
                f"cohort {spec['name']}: no sample is HER2 {group} (column {column!r}; found: "
                f"{counts}); correct columns.{named[0]}.values, or state that it is so with "
                f"expected.groups.her2.{group}: 0."
            )


def _her2_counts(obs: pd.DataFrame, stated: pd.Series) -> dict[str, dict[str, int]]:
    """Count HER2 as stated and as decided, what it rests on, and the conflicts."""

    def counts(values: pd.Series) -> dict[str, int]:
        return {str(key): int(n) for key, n in values.value_counts().sort_index().items()}

    def known(values: pd.Series) -> pd.Series:
        return values.where(values.notna(), "missing")

    return {
        "stated": counts(known(stated)),
        "status": counts(known(obs["her2"])),
        "source": counts(known(obs["her2_source"])),
        "flags": counts(obs["her2_flag"][obs["her2_flag"] != ""]),
    }


def _expression(
    expression: Expression,
    keep: np.ndarray,
    spec: Mapping[str, Any],
    gene_index: gene_ids.GeneIndex,
    annotation: Mapping[str, str] | None,
    warnings: list[str],
) -> tuple[Any, Any, list[str], dict[str, Any]]:
    """Return X, counts (or None), symbols and the facts for the provenance."""
    file, options, kind = expression.file, spec["expression"], spec["kind"]
    declared = options["scale"]
    if isinstance(expression.values, Rows) and declared != "counts":
        raise InputError(
            f"{file}: cells are analysed from counts, but expression.scale is {declared!r}; give "
            "the file with counts and declare scale: counts."
        )
    summary = scale.summarise(
        expression.values, file=file, samples=expression.samples, genes=expression.genes
    )
    warnings += scale.check(declared, summary, file=file)
    symbols, facts = _symbols(expression, options, gene_index, annotation, warnings)
    library = summary.library[keep]
    if declared == "counts" and not (library > 0).all():
        empty = expression.samples[keep[int(np.flatnonzero(library <= 0)[0])]]
        raise InputError(f"{file}: the sample {empty!r} has no counts at all; leave it out.")
    values = expression.values[keep] if len(keep) < len(expression.samples) else expression.values
    linear = declared in scale.LINEAR
    weights = None if linear else _column_means(values)
    genes, groups = gene_ids.collapse_plan(symbols, expression.genes, weights)
    if isinstance(values, Rows):
        _record_genes(facts, genes, symbols, groups)
        return *_on_disk(values, groups, library), genes, facts
    values = _collapse(values, groups)
    if summary.n_missing and not linear:
        measured = ~np.isnan(values).all(axis=0)
        if not measured.all():
            warnings.append(f"{int((~measured).sum())} genes without any value dropped")
            values = values[:, measured]
            genes = [gene for gene, has in zip(genes, measured, strict=True) if has]
        n_missing = int(np.isnan(values).sum())
        if n_missing:
            warnings.append(f"{n_missing} missing expression values kept as missing")
        facts["n_missing_values"] = n_missing
    matrix = scale.to_log2(values, declared, library, kind=kind)
    counts = None
    if declared == "counts":
        counts = values if sparse.issparse(values) else narrow(values)
    _record_genes(facts, genes, symbols, groups)
    return matrix, counts, genes, facts


def _record_genes(
    facts: dict[str, Any], genes: list[str], symbols: np.ndarray, groups: list[np.ndarray]
) -> None:
    facts["genes"]["n_out"] = len(genes)
    facts["genes"]["n_collapsed"] = int((symbols != None).sum()) - len(groups)  # noqa: E711


def _on_disk(values: Rows, groups: list[np.ndarray], library: np.ndarray) -> tuple[Rows, Rows]:
    """Return X and counts, made when they are read, a block of cells at a time."""
    pick = _pick(groups, values.shape[1], np.float32)
    merged = values.mapped(lambda block, _: _sorted(block @ pick), len(groups))
    matrix = merged.mapped(
        lambda block, rows: scale.to_log2(block, "counts", library[rows], kind="single_cell"),
        len(groups),
    )
    return matrix, merged


def _sorted(block: sparse.csr_matrix) -> sparse.csr_matrix:
    block.sort_indices()
    return block


def _pick(groups: list[np.ndarray], n: int, dtype: Any) -> sparse.csr_matrix:
    """Return the matrix that adds up the columns of each group."""
    rows = np.concatenate(groups)
    columns = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    return sparse.csr_matrix(
        (np.ones(len(rows), dtype=dtype), (rows, columns)), shape=(n, len(groups))
    )


@dataclass
class Streamed:
    """A Cohort table of cells whose matrices are not in memory.

    Parameters
    ----------
    obs, var, uns
        As in a Cohort table.
    X, counts
        The log2 values, and the counts.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    uns: dict[str, Any]
    X: Rows
    counts: Rows


def _column_means(values: Any) -> np.ndarray:
    if sparse.issparse(values):
        return np.asarray(values.mean(axis=0)).ravel()
    total = np.zeros(values.shape[1])
    seen = np.zeros(values.shape[1])
    for row in values:
        finite = ~np.isnan(row)
        total[finite] += row[finite]
        seen += finite
    with np.errstate(invalid="ignore"):
        return np.where(seen > 0, total / np.maximum(seen, 1), np.nan)


def _collapse(values: Any, groups: list[np.ndarray]) -> Any:
    if sparse.issparse(values):
        return sparse.csr_matrix(values @ _pick(groups, values.shape[1], values.dtype))
    several = [column for column, group in enumerate(groups) if len(group) > 1]
    out = values[:, [group[0] for group in groups]]
    if several and out.dtype == np.float32:
        exact = max(float(values[:, groups[c]].sum(axis=1, dtype=float).max()) for c in several)
        out = out.astype(np.float64) if exact > 2**24 else out
    for column in several:
        out[:, column] = values[:, groups[column]].sum(axis=1, dtype=np.float64)
    return out


def _symbols(
    expression: Expression,
    options: Mapping[str, Any],
    gene_index: gene_ids.GeneIndex,
    annotation: Mapping[str, str] | None,
    warnings: list[str],
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the approved symbol of each column (None where dropped) and the counts."""
    file, kind = expression.file, options["gene_ids"]
    ids: Sequence[str] = expression.genes
    shared = 0
    if kind == "probe":
        mark = options["annotation"]["separator"]
        found = [(annotation or {}).get(name.strip(), "") for name in ids]
        shared = sum(mark in name for name in found)
        ids = ["" if mark in name else name for name in found]
        kind = options["annotation"]["gene_ids"]
    symbols, status = gene_ids.map_ids(ids, kind, gene_index)
    known = int(sum(symbol is not None for symbol in symbols))
    counts = status.value_counts()
    if not known:
        looks = gene_ids.guess_kind(ids)
        hint = (
            f"they look like {looks}" if looks != kind else "none is a human gene id of that kind"
        )
        examples = ", ".join(repr(name) for name in expression.genes[:5])
        raise InputError(
            f"{file}: none of {len(ids)} gene ids ({examples}, ...) leads to an approved symbol "
            f"with gene_ids: {options['gene_ids']}, {hint}; correct expression.gene_ids, "
            "id_column or orientation."
        )
    if known < FEW_GENES_KNOWN * len(ids):
        warnings.append(f"only {known} of {len(ids)} gene ids lead to an approved symbol")
    for name, meaning in {
        "mangled": "gene names that a spreadsheet had turned into dates were recognised",
        "renamed": "previous or alias symbols were brought up to date",
    }.items():
        if counts.get(name, 0):
            warnings.append(f"{int(counts[name])} {meaning}")
    facts = {
        "n_in": len(ids),
        "n_renamed": int(counts.get("renamed", 0)),
        "n_mangled": int(counts.get("mangled", 0)),
        "n_ambiguous": int(counts.get("ambiguous", 0)) + shared,
        "n_unknown": int(counts.get("unknown", 0)) - shared,
    }
    return symbols, {"genes": facts}
