"""Check a cohort file in seconds: everything a long run would stumble over, said at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cytostrat import cohortfile, fetch, qc, readers
from cytostrat.draft.write import counted
from cytostrat.errors import CytostratError, InputError
from cytostrat.genes import GeneIndex
from cytostrat.harmonise import Streamed, harmonise, link
from cytostrat.readers import Expression
from cytostrat.signatures import Signature, coverage
from cytostrat.stats.controls import PASS_ABOVE, is_reversed

if TYPE_CHECKING:
    from anndata import AnnData

SHOWN = ("her2", "er", "pr", "pam50", "grade", "stage", "response", "timepoint", "cell_type")
EVIDENCE = {"her2": ("her2", "her2_ihc", "her2_ish"), "er": ("er",)}
FEW_EVENTS = 10


@dataclass
class Findings:
    """What a check found.

    Parameters
    ----------
    facts
        Pairs of topic and sentence.
    remarks
        What a person should look at; a run would go on.
    problems
        What would stop a run, or turn its results round.
    """

    facts: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(
    path: str | Path, *, index: GeneIndex, signatures: Mapping[str, Signature],
    min_coverage: float, downloads: Path | None = None, mirror: Path | None = None,
) -> Findings:  # fmt: skip
    """Check one cohort file against its data.

    A file that is absent is a problem, and nothing is concluded from its absence: without the
    expression matrix or its annotation the clinical tables are checked alone, with the sample
    names that they hold; without a clinical table only the reading of the others is.

    Parameters
    ----------
    path
        The cohort file.
    index
        Approved gene symbols.
    signatures
        The gene sets whose coverage is told.
    min_coverage
        Share of a set's genes below which it is not used.
    downloads, mirror
        Folders in which files given by URL are looked for.

    Returns
    -------
    Findings
        Never raises for what is wrong with the cohort: that is a problem in it.
    """
    out = Findings()
    try:
        spec = cohortfile.load(path)
        files = _local(spec, downloads, mirror, out)
        found = _read(files, spec, out)
    except CytostratError as error:
        out.problems.append(str(error))
        return out
    try:
        if found is not None:
            _harmonised(found, spec, files, index, signatures, min_coverage, out)
    except CytostratError as error:
        out.problems.append(str(error))
    out.remarks += [f"unverified: {text}" for text in spec["unverified"]]
    if not spec["expected"]["n"] and not spec["expected"]["groups"]:
        out.remarks.append("expected is empty: no published number vouches for the groups")
    return out


def _local(
    spec: Mapping[str, Any], downloads: Path | None, mirror: Path | None, out: Findings
) -> dict[str, str]:
    """Return the files that are at hand; one that is not is a problem."""
    files = {}
    for source in cohortfile.sources(spec):
        place = source.location
        if cohortfile.is_url(place):
            folders = [folder for folder in (downloads, mirror) if folder]
            here = [fetch.cache_path(place, folder) for folder in folders]
            found = next((path for path in here if path.is_file()), None)
            if found is None:
                out.problems.append(
                    f"{source.key}: {place} is not downloaded; run `snakemake fetch_all --cores 1 "
                    "--configfile` with your configuration, or name the folder that has it with "
                    "--downloads or --mirror."
                )
                continue
            place = str(found)
            if not source.sha256:
                out.remarks.append(f"{source.key}: no sha256 is stated for {source.location}")
        elif place.startswith(cohortfile.SIMULATED):
            out.problems.append(
                f"{source.key}: {place} is simulated by a run, which checks it too; there is no "
                "file to check beforehand."
            )
            continue
        elif not Path(place).exists():
            out.problems.append(f"{source.key}: {place} does not exist; correct the path.")
            continue
        files[source.key] = place
    return files


@dataclass(frozen=True)
class _Found:
    """What was read of a cohort, and the cohort file that fits it.

    Parameters
    ----------
    expression
        The matrix, or zeros for one gene where it or its annotation is absent.
    tables
        Clinical tables.
    used
        The cohort file; with other rules for a matrix that stands in.
    whole
        Whether the matrix is the real one.
    """

    expression: Expression
    tables: Mapping[str, pd.DataFrame]
    used: dict[str, Any]
    whole: bool


def _read(files: Mapping[str, str], spec: dict[str, Any], out: Findings) -> _Found | None:
    """Read what is at hand; None where nothing can be said of how it fits together."""
    absent = {source.key for source in cohortfile.sources(spec)} - set(files)
    at_hand = [table for table in spec["clinical"] if f"clinical_{table['name']}" in files]
    tables = readers.read_clinical(files, spec | {"clinical": at_hand})
    expression = None
    if not any(key.startswith("expression") for key in absent):
        expression = readers.read_expression(files, spec, stream=True)
        out.facts.append(
            ("expression", f"{len(expression.samples)} columns x {len(expression.genes)} genes")
        )
    if any(key.startswith(("clinical", "exclude_patients")) for key in absent):
        return None
    if expression is None:
        return _stand_in(tables, spec, out) if tables else None
    if absent:
        expression = _zeros(expression.samples, expression.file)
        return _Found(expression, tables, _of_one_gene(spec), whole=False)
    return _Found(expression, tables, spec, whole=True)


def _stand_in(
    tables: Mapping[str, pd.DataFrame], spec: dict[str, Any], out: Findings
) -> _Found | None:
    """Put the rows of a clinical table in place of an absent matrix's samples.

    Rows of patients stand for one sample each. None where the way from a sample to its patient
    goes by names that only the matrix has.
    """
    options = {table["name"]: table for table in spec["clinical"]}
    name = next((n for n in tables if options[n]["join"]["to"] == "sample"), next(iter(tables)))
    join, rule = options[name]["join"], spec["sample_to_patient"]
    column = join["column"] if join["column"] in tables[name] else tables[name].columns[0]
    keys = (
        text.strip().removeprefix(join["remove_prefix"]).removesuffix(join["remove_suffix"])
        for text in tables[name][column]
    )
    samples = tuple(key for key in dict.fromkeys(keys) if key)
    file = ", ".join(source["location"] for source in options[name]["source"])
    used = _of_one_gene(spec)
    if rule["rule"] in {"pattern", "tcga_barcode"}:
        if join["to"] == "patient":
            kept = spec["filters"]["sample_type"] | {"missing": "keep"}
            used["sample_to_patient"] = rule | {"rule": "identity"}
            used["filters"] = spec["filters"] | {"sample_type": kept}
        else:
            try:
                link.patients(samples, rule, {}, {}, file=file)
            except InputError:
                return None
    out.facts.append(("expression", f"absent; the {len(samples)} rows of table {name} instead"))
    return _Found(_zeros(samples, file), tables, used, whole=False)


def _zeros(samples: Sequence[str], file: str) -> Expression:
    values = np.zeros((len(samples), 1), dtype=np.float32)
    return Expression(values, tuple(samples), ("ERBB2",), file)


def _of_one_gene(spec: dict[str, Any]) -> dict[str, Any]:
    changed = {"gene_ids": "symbol", "scale": "log2", "annotation": None}
    return spec | {"expression": spec["expression"] | changed}


def _harmonised(
    found: _Found, spec: dict[str, Any], files: Mapping[str, str], index: GeneIndex,
    signatures: Mapping[str, Signature], min_coverage: float, out: Findings,
) -> None:  # fmt: skip
    excluded = files.get("exclude_patients")
    cohort, flow = harmonise(
        found.expression, found.tables, found.used, index,
        annotation=readers.read_annotation(files, found.used),
        excluded_patients=readers.read_patients(excluded) if excluded else (),
    )  # fmt: skip
    warnings = list(cohort.uns["provenance"]["warnings"])
    _samples(cohort, flow, out)
    _clinical(cohort, spec, out)
    try:
        _, _, controls = qc.check(_bare(cohort), {}, expected=spec["expected"])
    except InputError as error:
        out.problems.append(str(error))
        controls = None
    if found.whole:
        _genes(cohort, spec, signatures, min_coverage, out)
        if controls is not None and spec["kind"] == "bulk":
            _controls(controls, spec, out)
    out.remarks += warnings


def _bare(cohort: AnnData | Streamed) -> AnnData:
    """Return what the check of numbers needs; controls are no matter of single cells."""
    import anndata

    if cohort.uns["provenance"]["kind"] == "bulk":
        return cohort
    bare = anndata.AnnData(obs=cohort.obs)
    bare.uns["provenance"] = cohort.uns["provenance"]
    return bare


def _samples(cohort: AnnData | Streamed, flow: pd.DataFrame, out: Findings) -> None:
    what = "cells" if cohort.uns["provenance"]["kind"] == "single_cell" else "samples"
    n_patients = cohort.obs["patient"].nunique()
    out.facts.append((what, f"{len(cohort.obs)} from {n_patients} patient(s) after filters"))
    for row in flow.itertuples():
        if row.n_in != row.n_out:
            out.facts.append(("left out", f"{row.n_in - row.n_out}: {row.reason}"))


def _clinical(cohort: AnnData | Streamed, spec: Mapping[str, Any], out: Findings) -> None:
    obs, counts = cohort.obs, cohort.uns["provenance"]["her2"]
    if counts["stated"] != counts["status"]:
        out.facts.append(("her2 stated", counted(counts["stated"])))
    for name in SHOWN:
        if name not in obs or obs[name].isna().all():
            continue
        values = obs[name].astype(object).where(obs[name].notna(), "missing").astype(str)
        text = counted(values.value_counts().to_dict())
        if name == "her2":
            text += f" (by {counted(counts['source'])})"
        out.facts.append((name, text))
    if counts["flags"]:
        out.facts.append(("her2 conflicts", f"{sum(counts['flags'].values())} flagged"))
        out.facts += [("", text) for text in counted(counts["flags"]).split(", ")]
    if obs["her2"].isna().all():
        out.remarks.append("no sample has a HER2 status: nothing can be compared by HER2")
    if obs["age"].notna().any():
        age = obs["age"].astype(float)
        out.facts.append(
            ("age", f"median {age.median():g} ({age.min():g} to {age.max():g}), "
                    f"{int(age.isna().sum())} missing")
        )  # fmt: skip
    for name in spec["endpoints"]:
        time, event = obs[f"{name}_time"].astype(float), obs[f"{name}_event"].astype(float)
        n, events = int(time.notna().sum()), int(event.sum())
        out.facts.append(
            (name, f"{events} events in {n}, median time {time.median() / 365.25:.1f} years, "
                   f"longest {time.max() / 365.25:.1f}")
        )  # fmt: skip
        if events < FEW_EVENTS:
            out.remarks.append(f"{name} has {events} events: too few for any model")
        if n and events > 0.8 * n:
            out.remarks.append(f"{name}: {events} of {n} have an event; is 1 the event?")
        if time.max() > 60 * 365.25:
            out.remarks.append(f"{name}: the longest time is over 60 years; correct its unit")


def _genes(
    cohort: AnnData | Streamed, spec: Mapping[str, Any], signatures: Mapping[str, Signature],
    min_coverage: float, out: Findings,
) -> None:  # fmt: skip
    facts = cohort.uns["provenance"]["genes"]
    out.facts.append(
        ("genes", f"{facts['n_out']} approved symbols from {facts['n_in']} ids "
                  f"({facts['n_renamed']} renamed, {facts['n_mangled']} dates repaired, "
                  f"{facts['n_ambiguous']} ambiguous and {facts['n_unknown']} unknown dropped)")
    )  # fmt: skip
    span = ""
    if not isinstance(cohort, Streamed):
        sparse = hasattr(cohort.X, "indptr")
        values = cohort.X.data if sparse else cohort.X
        span = f"; now {np.nanmin(values):.3g} to {np.nanmax(values):.3g}"
        span += ", zeros apart" if sparse else ""
    out.facts.append(
        ("scale", f"{spec['expression']['scale']}; {cohort.uns['provenance']['transform']}{span}")
    )  # fmt: skip
    measured = coverage(
        signatures, cohort.var.index, cohort=spec["name"], min_coverage=min_coverage
    )
    usable = measured["usable"].astype(bool)
    out.facts.append(
        ("coverage", f"{int(usable.sum())} of {len(measured)} signatures have at least "
                     f"{min_coverage:.0%} of their genes")
    )  # fmt: skip
    for row in measured.itertuples():
        role = signatures[row.signature].role
        if role == "primary":
            out.facts.append((row.signature, f"{row.n_present} of {row.n_genes} genes"))
            if not row.usable:
                out.remarks.append(f"{row.signature} (primary) is not usable: {row.note}")
    others = [
        row.signature for row in measured[~usable].itertuples()
        if signatures[row.signature].role != "primary"
    ]  # fmt: skip
    if others:
        out.remarks.append(f"{len(others)} other signatures are not usable: {', '.join(others)}")


def _controls(controls: pd.DataFrame, spec: Mapping[str, Any], out: Findings) -> None:
    for row in controls.itertuples():
        topic = f"{row.signature} for {row.endpoint}"
        if pd.isna(row.estimate):
            out.facts.append((topic, row.note))
            continue
        out.facts.append((topic, f"AUC {row.estimate:.3f} ({row.low:.3f} to {row.high:.3f})"))
        if is_reversed(row.high):
            keys = [f"columns.{n}" for n in EVIDENCE[row.endpoint] if n in spec["columns"]]
            out.problems.append(
                f"{row.signature} separates {row.endpoint} in reverse (AUC {row.estimate:.2f}, "
                f"{row.low:.2f} to {row.high:.2f}): the values of {' or '.join(keys)} look "
                f"swapped; correct {' or '.join(f'{key}.values' for key in keys)}."
            )
        elif row.low <= PASS_ABOVE:
            out.remarks.append(
                f"{row.signature} hardly separates {row.endpoint} (AUC {row.estimate:.2f}): check "
                "the column, its value map and the sample names"
            )
