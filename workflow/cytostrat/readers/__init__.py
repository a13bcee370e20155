"""Readers of expression matrices and clinical tables: paths in, frames out.

Each format is read by key and refused where it is something else. A reader changes no name
and no value; what it had to assume is said in ``warnings``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cytostrat.readers.delimited import read_clinical_table, read_matrix
from cytostrat.readers.expression import Expression, narrow, stack
from cytostrat.readers.hdf5 import read_h5ad_clinical, read_h5ad_matrix
from cytostrat.readers.text import open_text

__all__ = ["Expression", "narrow", "read_clinical", "read_expression", "read_patients"]


def read_expression(paths: Mapping[str, str | Path], spec: Mapping[str, Any]) -> Expression:
    """Read the expression matrix of a cohort.

    Parameters
    ----------
    paths
        Source key (see `cytostrat.cohortfile.sources`) to local path.
    spec
        The checked cohort file.

    Raises
    ------
    InputError
        A file can't be read as what the cohort file says it is.
    """
    return stack([_matrix(path, spec["expression"]) for path in _paths(paths, "expression")])


def _matrix(path: Path, options: Mapping[str, Any]) -> Expression:
    if options["format"] == "h5ad":
        return read_h5ad_matrix(path, layer=options["layer"])
    return read_matrix(
        path,
        delimiter=options["delimiter"],
        decimal=options["decimal"],
        comment=options["comment"],
        genes_in_rows=options["orientation"] == "genes_in_rows",
        id_column=options["id_column"],
        drop_columns=options["drop_columns"],
    )


def read_clinical(
    paths: Mapping[str, str | Path], spec: Mapping[str, Any]
) -> dict[str, pd.DataFrame]:
    """Read the clinical tables of a cohort, every value as the text in the file."""
    tables = {}
    for table in spec["clinical"]:
        parts = [_clinical(path, table) for path in _paths(paths, f"clinical_{table['name']}")]
        tables[table["name"]] = parts[0] if len(parts) == 1 else pd.concat(parts)
    return {
        name: table.where(table.notna(), "").reset_index(drop=True)
        for name, table in tables.items()
    }


def _clinical(path: Path, options: Mapping[str, Any]) -> pd.DataFrame:
    if options["format"] == "h5ad":
        return read_h5ad_clinical(path)
    return read_clinical_table(path, delimiter=options["delimiter"], comment=options["comment"])


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
