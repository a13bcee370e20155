"""Small cohorts on disk, for the tests of reading and harmonising."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from anndata import AnnData

from cytostrat import cohortfile, readers
from cytostrat.genes import GeneIndex
from cytostrat.harmonise import harmonise

INDEX = GeneIndex.build(
    approved=["ERBB2", "ESR1", "IL1B", "CXCL8", "MARCHF1", "SEPTIN3", "C11orf80", "TP53", "BRCA1"],
    alias=[
        ("HER2", "ERBB2"), ("IL8", "CXCL8"), ("TP53", "BRCA1"), ("SHARED", "IL1B"),
        ("SHARED", "TP53"), ("MARCH1", "MARCHF1"), ("MARC1", "IL1B"), ("SEPT3", "SEPTIN3"),
    ],
    ensembl=[
        ("ENSG00000141736", "ERBB2"), ("ENSG00000091831", "ESR1"), ("ENSG00000125538", "IL1B"),
        ("ENSG00000169429", "CXCL8"), ("ENSG00000000001", "IL1B"), ("ENSG00000000001", "ESR1"),
    ],
    entrez=[("2064", "ERBB2"), ("2099", "ESR1"), ("3553", "IL1B"), ("3576", "CXCL8")],
)  # fmt: skip

SPEC: dict[str, Any] = {
    "schema_version": 1,
    "name": "small",
    "kind": "bulk",
    "expression": {"source": "expression.tsv", "gene_ids": "symbol", "scale": "log2"},
    "clinical": [{"source": "clinical.tsv", "join": {"column": "id", "to": "sample"}}],
    "columns": {
        "her2": {"column": "HER2", "values": {"pos": "positive", "neg": "negative"}},
        "er": {"column": "ER", "values": {"1": "positive", "0": "negative"}},
    },
    "filters": {"sample_type": {"missing": "keep"}, "sex": {"missing": "keep"}},
}

EXPRESSION = pd.DataFrame(
    {
        "S1": [9.5, 3.25, 1.5, 2.0],
        "S2": [5.5, 8.25, 2.5, 2.0],
        "S3": [5.0, 9.25, 0.5, -3.5],
        "S4": [8.5, 2.25, 3.5, 4.0],
    },
    index=pd.Index(["ERBB2", "ESR1", "IL1B", "CXCL8"], name="gene"),
)
CLINICAL = pd.DataFrame(
    {
        "id": ["S1", "S2", "S3", "S4"],
        "HER2": ["pos", "neg", "neg", "pos"],
        "ER": ["0", "1", "1", "0"],
        "age": ["50", "61.5", "NA", "44"],
    }
)


def changed(spec: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a copy with keys replaced; ``a__b`` reaches ``spec["a"]["b"]``."""
    out = copy.deepcopy(spec)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = out
        for key in parents:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        place[last] = value
    return out


def write(
    folder: Path,
    *,
    expression: pd.DataFrame | str | bytes = EXPRESSION,
    clinical: pd.DataFrame | str | bytes = CLINICAL,
    spec: dict[str, Any] | str = SPEC,
) -> Path:
    """Write a cohort's files and return its cohort file."""
    for name, content in (("expression.tsv", expression), ("clinical.tsv", clinical)):
        if isinstance(content, pd.DataFrame):
            content = content.to_csv(sep="\t", index=name.startswith("expr"))
        if isinstance(content, str):
            content = content.encode()
        (folder / name).write_bytes(content)
    path = folder / "small.yaml"
    path.write_text(
        spec if isinstance(spec, str) else yaml.safe_dump(spec, sort_keys=False), encoding="utf-8"
    )
    return path


def run(path: Path, index: GeneIndex = INDEX) -> tuple[AnnData, pd.DataFrame]:
    """Load, read and harmonise a cohort as the pipeline does."""
    spec = cohortfile.load(path, environ={})
    files = spec["files"]
    excluded = files.get("exclude_patients")
    return harmonise(
        readers.read_expression(files, spec),
        readers.read_clinical(files, spec),
        spec,
        index,
        excluded_patients=readers.read_patients(excluded) if excluded else (),
    )
