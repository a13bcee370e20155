"""Readers of expression matrices and clinical tables: paths in, frames out.

Each format is read by key and refused where it is something else. A reader changes no name
and no value; what it had to assume is said in ``warnings``.

======================  =====================================================================
``delimited``           any separator and line end, genes in rows or columns
``h5ad``                AnnData; clinical fields in ``obs``
``geo_series_matrix``   GEO series matrix; values, and samples with their characteristics
``cbioportal``          study folder, archive or single file, older and newer spellings
``xena``                UCSC Xena matrices, phenotype and survival files
``gdc_star``            STAR gene counts of the GDC, one file per sample, with sample sheet
``tenx``                10x Genomics folder or HDF5 (cells)
``wu2021``              archive of GSE176078 (cells)
======================  =====================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cytostrat.readers import cbioportal, cells, delimited, geo, hdf5, tcga
from cytostrat.readers.expression import Expression, narrow, stack, without_summary_rows
from cytostrat.readers.text import open_text

__all__ = [
    "Expression",
    "narrow",
    "read_annotation",
    "read_clinical",
    "read_expression",
    "read_patients",
]

_COMMA = re.compile(r"^\s*([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)\s*$")


def read_expression(
    paths: Mapping[str, str | Path], spec: Mapping[str, Any], *, stream: bool = False
) -> Expression:
    """Read the expression matrix of a cohort.

    Parameters
    ----------
    paths
        Source key (see `cytostrat.cohortfile.sources`) to local path.
    spec
        The checked cohort file.
    stream
        Whether large matrices of cells stay on disk (`cytostrat.readers.rows.Rows`).

    Raises
    ------
    InputError
        A file can't be read as what the cohort file says it is.
    """
    stream = stream and spec["kind"] == "single_cell"
    parts = [
        _matrix(path, spec["expression"], stream=stream) for path in _paths(paths, "expression")
    ]
    return without_summary_rows(stack(parts))


def _matrix(path: Path, options: Mapping[str, Any], *, stream: bool) -> Expression:
    match options["format"]:
        case "h5ad":
            return hdf5.read_h5ad_matrix(path, layer=options["layer"], stream=stream)
        case "geo_series_matrix":
            return geo.read_series_matrix(path)
        case "cbioportal":
            return cbioportal.read_study_expression(
                path, member=options["member"], gene_ids=options["gene_ids"]
            )
        case "xena":
            return tcga.read_xena_matrix(path)
        case "gdc_star":
            return tcga.read_star_counts(path, column=options["layer"])
        case "tenx":
            return cells.read_tenx(path, gene_ids=options["gene_ids"], stream=stream)
        case "wu2021":
            return cells.read_wu2021(path, stream=stream)
        case _:
            return delimited.read_matrix(
                path,
                delimiter=options["delimiter"],
                decimal=options["decimal"],
                comment=options["comment"],
                genes_in_rows=options["orientation"] == "genes_in_rows",
                id_column=options["id_column"],
                drop_columns=options["drop_columns"],
            )


def read_annotation(
    paths: Mapping[str, str | Path], spec: Mapping[str, Any]
) -> dict[str, str] | None:
    """Read the genes of the probes; None for a cohort without probes."""
    options = spec["expression"]["annotation"]
    if options is None:
        return None
    return geo.merge_annotations(
        [
            geo.read_annotation(
                path,
                id_column=options["id_column"],
                gene_column=options["gene_column"],
                gene_ids=options["gene_ids"],
                separator=options["separator"],
            )
            for path in _paths(paths, "annotation")
        ]
    )


def read_clinical(
    paths: Mapping[str, str | Path], spec: Mapping[str, Any]
) -> dict[str, pd.DataFrame]:
    """Read the clinical tables of a cohort, every value as the text in the file.

    Numbers of a table with a decimal comma get a point.
    """
    tables = {}
    for table in spec["clinical"]:
        parts = [_clinical(path, table) for path in _paths(paths, f"clinical_{table['name']}")]
        frame = parts[0] if len(parts) == 1 else pd.concat(parts)
        if table["decimal"] == ",":
            frame = frame.replace(_COMMA, r"\1.\2", regex=True)
        tables[table["name"]] = frame
    return {
        name: table.where(table.notna(), "").reset_index(drop=True)
        for name, table in tables.items()
    }


def _clinical(path: Path, options: Mapping[str, Any]) -> pd.DataFrame:
    match options["format"]:
        case "h5ad":
            return hdf5.read_h5ad_clinical(path)
        case "geo_series_matrix":
            return geo.read_series_clinical(path)
        case "cbioportal":
            return cbioportal.read_study_clinical(
                path, to=options["join"]["to"], member=options["member"]
            )
        case "xena":
            return tcga.read_xena_clinical(path)
        case "wu2021":
            return cells.read_wu2021_clinical(path)
        case _:
            return delimited.read_clinical_table(
                path, delimiter=options["delimiter"], comment=options["comment"]
            )


def read_patients(path: str | Path) -> frozenset[str]:
    """Read patient ids, one per line; blank lines and lines that start with # do not count."""
    with open_text(path) as stream:
        lines = (line.strip() for line in stream)
        return frozenset(line for line in lines if line and not line.startswith("#"))


def _paths(paths: Mapping[str, str | Path], key: str) -> list[Path]:
    keys = [key]
    while f"{key}_{len(keys) + 1}" in paths:
        keys.append(f"{key}_{len(keys) + 1}")
    return [Path(paths[name]) for name in keys]
