"""Draft a cohort file from the files themselves, and check a cohort file before a run.

`draft` looks at the layout of each file, reads the matrix and the tables with the same readers
as a run, guesses what can be guessed, and tries the result: a guess about HER2 or ER that the
gene ERBB2 or ESR1 confirms is sure, one that it contradicts is said to be wrong.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytostrat import cohortfile, qc, readers
from cytostrat.draft import joins, write
from cytostrat.draft.columns import Guess, guess_columns
from cytostrat.draft.endpoints import guess_endpoints
from cytostrat.draft.layout import Part, identify, numbered
from cytostrat.errors import CytostratError, InputError
from cytostrat.genes import GeneIndex, map_ids
from cytostrat.harmonise import harmonise
from cytostrat.harmonise.scale import LARGEST_LOG2, Summary, summarise
from cytostrat.readers import Expression

ABSENT = "expression.tsv"
ANNOTATION = "annotation.txt.gz"
ARRAY = re.compile(r"microarray|agilent|illumina_ht|affymetrix", re.IGNORECASE)
CONFIRMED = 0.7
CONTRADICTED = 0.35
ENDS = (".gz", ".tgz", ".tar", ".h5ad", ".h5", ".tsv", ".csv", ".txt")


@dataclass
class Draft:
    """A drafted cohort file.

    Parameters
    ----------
    text
        The YAML.
    sure, unsure
        Sentences for the person who reads it.
    unused
        Columns of the clinical tables that no key names.
    """

    text: str = ""
    sure: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def draft(paths: Sequence[Path], *, output: Path, index: GeneIndex, name: str = "") -> Draft:
    """Draft the cohort file of some files.

    Parameters
    ----------
    paths
        The expression matrix and the clinical tables, or folders and archives that hold them.
    output
        Where the cohort file will lie; paths in it are relative to its folder.
    index
        Approved gene symbols.
    name
        Name of the cohort; from the first path where empty.

    Raises
    ------
    InputError
        A file can't be read or recognised.
    """
    out = Draft()
    parts = [part for path in paths for part in identify(Path(path), index)]
    name = name or cohort_name(Path(paths[0]))
    entries = write.Entries(name)
    matrix, clinical_parts = _roles(parts, entries)
    folder = output.resolve().parent
    expression = _expression(matrix, parts, folder, index, entries)
    tables, options = _tables(clinical_parts, expression, folder, entries)
    samples = [sample.strip() for sample in expression.samples] if expression else []
    if expression is None and tables:
        own = next((t for t, o in options.items() if o.get("to") == "sample"), next(iter(tables)))
        samples = [text.strip() for text in tables[own][joins.sample_column(tables[own])]]
    if tables:
        _clinical(tables, options, samples, entries)
    _filters(samples, entries)
    if expression is not None:
        _try(entries, expression, output, index)
    elif tables:
        entries.note("expression.source", "no expression matrix was found: give its path")
    out.text = entries.text()
    out.sure, out.unsure = entries.sentences()
    out.unused = entries.unused(tables)
    cohortfile.check(write.parsed(out.text), file=output, environ=os.environ)
    return out


def cohort_name(path: Path) -> str:
    """Return a name for a cohort from the name of a file or folder."""
    text = path.resolve().name
    for end in ENDS:
        text = text.removesuffix(end)
    text = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-").lower()
    return text if re.match(r"[a-z]", text) else f"cohort_{text}".rstrip("_")


def _roles(parts: Sequence[Part], entries: write.Entries) -> tuple[list[Part], list[Part]]:
    """Choose the expression matrix; files of one series that differ in platform are one."""
    found = [part for part in parts if part.role == "expression"]
    clinical = [part for part in parts if part.role == "clinical"]
    if len(found) > 1 and {part.format for part in found} == {"geo_series_matrix"}:
        return found, clinical
    if len(found) > 1:
        found.sort(key=lambda part: part.format == "geo_series_matrix")
        others = ", ".join(part.path.name for part in found[1:])
        entries.note("expression.source", f"other matrices were passed over: {others}")
    if not found and not clinical:
        raise InputError(
            "The files hold neither an expression matrix nor a clinical table; name these files."
        )
    return found[:1], clinical


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path.resolve(), folder)


def _expression(
    matrix: Sequence[Part], parts: Sequence[Part], folder: Path, index: GeneIndex,
    entries: write.Entries,
) -> Expression | None:  # fmt: skip
    """Read the matrix, guess scale and gene ids; None where there is no matrix."""
    if not matrix:
        entries.put("kind", "bulk")
        entries.put("expression.source", ABSENT)
        entries.put("expression.gene_ids", "symbol")
        entries.put("expression.scale", "log2")
        return None
    part = matrix[0]
    entries.put("kind", part.kind)
    sources = [_relative(item.path, folder) for item in matrix]
    entries.put("expression.source", sources if len(sources) > 1 else sources[0])
    if part.format != "delimited":
        entries.put("expression.format", part.format)
    for key, value in part.options.items():
        entries.put(f"expression.{key}", value)
    for key, doubt in part.unsure.items():
        entries.note(key if key == "kind" else f"expression.{key}", doubt)
    data = write.parsed(entries.text())
    data["expression"] |= {"gene_ids": part.options.get("gene_ids", "symbol"), "scale": "log2"}
    if data["expression"]["gene_ids"] == "probe":
        data["expression"]["gene_ids"] = "symbol"
    spec = cohortfile.check(data, file=folder / "draft.yaml", environ=os.environ)
    expression = readers.read_expression(spec["files"], spec, stream=True)
    _genes(expression, part, parts, folder, index, entries)
    _scale(expression, part, entries)
    n_genes = len(expression.genes)
    what = "cells" if part.kind == "single_cell" else "samples"
    entries.say(
        f"{Path(sources[0]).name}: {len(expression.samples)} {what} x {n_genes} genes, "
        f"{part.format}, {part.options.get('orientation', 'genes_in_rows').replace('_', ' ')}"
    )
    return expression


def _genes(
    expression: Expression, part: Part, parts: Sequence[Part], folder: Path, index: GeneIndex,
    entries: write.Entries,
) -> None:  # fmt: skip
    kind = part.options.get("gene_ids")
    if kind == "probe":
        entries.put("expression.gene_ids", "probe")
        found = [item for item in parts if item.role == "annotation"]
        source = [_relative(item.path, folder) for item in found] or [ANNOTATION]
        entries.put("expression.annotation", {"source": source[0] if len(source) == 1 else source})
        if not found:
            entries.note(
                "expression.annotation",
                f"the ids are probes ({expression.genes[0]}, ...): give the platform's annotation",
            )
        return
    if kind is None:
        shares = {k: _known(expression.genes, k, index) for k in ("symbol", "ensembl", "entrez")}
        kind = max(shares, key=lambda k: shares[k])
        entries.put("expression.gene_ids", kind)
    share = _known(expression.genes, kind, index)
    text = f"gene ids are {kind}: {share:.0%} lead to an approved symbol"
    if share < 0.6:
        entries.note("expression.gene_ids", text)
    else:
        entries.say(text)


def _known(ids: Sequence[str], kind: str, index: GeneIndex) -> float:
    symbols, _ = map_ids(ids, kind, index)
    return float(np.mean([symbol is not None for symbol in symbols]))


def _scale(expression: Expression, part: Part, entries: write.Entries) -> None:
    summary = summarise(
        expression.values, file=expression.file, samples=expression.samples, genes=expression.genes
    )
    declared = part.options.get("scale")
    scale, reason, doubt, added = guess_scale(expression, summary, part)
    if declared and declared != scale:
        doubt = f"a file of this layout holds {declared}, but {reason}"
    entries.put("expression.scale", scale)
    if added is not None:
        entries.put("expression.pseudocount", added)
    if doubt:
        entries.note("expression.scale", doubt)
    else:
        entries.say(f"scale is {scale}: {reason}")


def guess_scale(
    expression: Expression, summary: Summary, part: Part
) -> tuple[str, str, str, float | None]:
    """Return scale, the reason, the doubt ('' where there is none) and the pseudocount."""
    low, high = summary.low, summary.high
    span = f"values from {low:.4g} to {high:.4g}"
    if low >= 0 and summary.whole and high > 20:
        return "counts", f"whole numbers, {span}", "", None
    if low >= 0 and high > LARGEST_LOG2:
        if np.allclose(summary.library, 1e6, rtol=0.02):
            return "tpm", f"each sample sums to one million, {span}", "", None
        if np.median(summary.library) > 2e6:
            doubt = (
                f"taken as estimated counts: {span}, not whole, sums near "
                f"{np.median(summary.library):.2g}; or fpkm or raw intensities?"
            )
            return "counts", span, doubt, None
        return "fpkm", span, f"linear values ({span}); fpkm, tpm of a part of the genes?", None
    if part.kind == "single_cell":
        doubt = f"{span}, not whole: no counts, which cells need; does another layer hold them?"
        return "log2", span, doubt, None
    values = expression.values.data if hasattr(expression.values, "indptr") else expression.values
    finite = values[np.isfinite(values)]
    floor = float(np.mean(finite <= low + 1e-6)) if finite.size else 0.0
    name = f"{part.path.name} {part.options.get('member', '')}"
    if part.options.get("gene_ids") == "probe" or ARRAY.search(name):
        return "log_intensity", f"an array on the log2 scale, {span}", "", None
    for added in (1.0, 0.1, 0.01, 0.001, 0.5):
        if floor > 0.002 and abs(low - np.log2(added)) < 0.06:
            return "log2", f"{span}, the lowest is log2({added:g})", "", added
    ratio = low < 0 and abs(float(np.median(finite))) < 0.5
    if ratio:
        doubt = f"{span}, centred at zero: log ratios or standardised values? log2 is needed"
        return "log_intensity", span, doubt, None
    if low > 0.5 and floor < 0.01:
        return "log_intensity", span, f"{span}: taken as log2 intensity of an array", None
    return "log2", span, f"{span}: a logarithm, taken as base 2", None


def _tables(
    parts: Sequence[Part], expression: Expression | None, folder: Path, entries: write.Entries
) -> tuple[dict[str, pd.DataFrame], dict[str, dict[str, Any]]]:
    """Read the clinical tables; several series matrices are one table."""
    groups: list[list[Part]] = []
    for part in parts:
        last = groups[-1] if groups else None
        if last and part.format == last[0].format == "geo_series_matrix":
            last.append(part)
        else:
            groups.append([part])
    tables: dict[str, pd.DataFrame] = {}
    options: dict[str, dict[str, Any]] = {}
    for label, group in numbered(groups):
        part = group[0]
        to = part.options.get("to", "")
        label = to if to and len(groups) > 1 and to not in tables else label
        sources = [_relative(item.path, folder) for item in group]
        option: dict[str, Any] = {"name": label, "source": sources[0]}
        if len(sources) > 1:
            option["source"] = sources
        if part.format != "delimited":
            option["format"] = part.format
        option |= {key: value for key, value in part.options.items() if key != "to"}
        option["join"] = {"column": "id", "to": to or "sample"}
        data = {
            "schema_version": 1, "name": "draft", "kind": "bulk", "clinical": [option],
            "expression": {"source": "x", "gene_ids": "symbol", "scale": "log2"},
        }  # fmt: skip
        spec = cohortfile.check(data, file=folder / "draft.yaml", environ=os.environ)
        tables[label] = readers.read_clinical(spec["files"], spec)[label]
        options[label] = {**option, "to": to}
        entries.say(
            f"{Path(sources[0]).name}: clinical table {label}, {len(tables[label])} rows x "
            f"{tables[label].shape[1]} columns, {part.format}"
        )
    return tables, options


def _clinical(
    tables: Mapping[str, pd.DataFrame], options: Mapping[str, dict[str, Any]],
    samples: Sequence[str], entries: write.Entries,
) -> None:  # fmt: skip
    fixed = {name: option["to"] for name, option in options.items() if option["to"]}
    links = joins.guess(tables, samples, fixed)
    for name, option in options.items():
        join = links.joins[name]
        entries.tables.append(
            {key: value for key, value in option.items() if key != "to"} | {"join": join.rule}
        )
        for doubt in join.doubts:
            entries.note(f"clinical.{name}", doubt)
        if not join.doubts:
            entries.say(
                f"table {name}: {join.rule['column']} is the {join.rule['to']}, "
                f"{join.n_matched} found"
            )
    entries.put("sample_to_patient", links.sample_to_patient)
    for doubt in links.doubts:
        entries.note("sample_to_patient", doubt)
    kind = entries.get("kind") or "bulk"
    guesses, remarks = guess_columns(tables, kind=kind)
    entries.guesses = [*guesses, *(guess_endpoints(tables) if kind == "bulk" else [])]
    entries.remarks = remarks


def _filters(samples: Sequence[str], entries: write.Entries) -> None:
    """Keep samples whose type or sex nobody recorded, and leave out replicates by name."""
    keys = {guess.key for guess in entries.guesses}
    tcga = entries.get("sample_to_patient") == {"rule": "tcga_barcode"}
    typed = tcga and all(len(name) >= 15 for name in samples)
    filters: dict[str, Any] = {}
    if "columns.sample_type" not in keys and not typed:
        filters["sample_type"] = {"missing": "keep"}
        entries.note("filters.sample_type", "no column says so: are all samples primary tumours?")
    if "columns.sex" not in keys:
        filters["sex"] = {"missing": "keep"}
        entries.note("filters.sex", "no column says so: are all patients women?")
    replicates = [name for name in samples if re.search(r"repl(?:icate)?\d*$", name)]
    if replicates:
        filters["exclude_samples"] = r"repl(?:icate)?\d*$"
        entries.note(
            "filters.exclude_samples", f"{len(replicates)} names look like replicates, left out"
        )
    entries.filters = filters


def _try(entries: write.Entries, expression: Expression, output: Path, index: GeneIndex) -> None:
    """Harmonise with the guesses, and let the controls confirm or contradict them."""
    try:
        spec = cohortfile.check(write.parsed(entries.text()), file=output, environ=os.environ)
        annotation = readers.read_annotation(spec["files"], spec)
        cohort, _ = harmonise(
            expression, readers.read_clinical(spec["files"], spec), spec, index,
            annotation=annotation,
        )  # fmt: skip
        bulk = spec["kind"] == "bulk"
        controls = qc.check(cohort, {})[2].set_index("endpoint") if bulk else None
    except CytostratError as error:
        entries.unsure.append(f"the draft does not pass yet: {error}")
        return
    if controls is None:
        return
    entries.guesses = [
        _confirmed(guess, controls) if guess.key in ("columns.her2", "columns.er") else guess
        for guess in entries.guesses
    ]
    counts = cohort.uns["provenance"]["her2"]
    if counts["stated"] != counts["status"]:
        entries.say(
            "HER2 as stated: " + write.counted(counts["stated"]) + "; with the evidence of "
            "score and hybridisation: " + write.counted(counts["status"])
        )


def _confirmed(guess: Guess, controls: pd.DataFrame) -> Guess:
    name = guess.key.removeprefix("columns.")
    row = controls.loc[name]
    gene, area = row["signature"], row["estimate"]
    if pd.isna(area):
        return guess
    if area >= CONFIRMED:
        rest = tuple(doubt for doubt in guess.doubts if "0 is read" not in doubt)
        return replace(guess, doubts=rest, found=f"{guess.found}; {gene} confirms, AUC {area:.2f}")
    verb = "contradicts it: are the values swapped?" if area <= CONTRADICTED else "does not confirm"
    return replace(guess, doubts=(*guess.doubts, f"{gene} {verb} (AUC {area:.2f})"))
