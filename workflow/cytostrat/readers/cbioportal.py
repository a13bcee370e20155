"""cBioPortal study folders and archives, in their older and newer spellings.

File formats: https://docs.cbioportal.org/file-formats/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cytostrat.errors import InputError
from cytostrat.readers.delimited import matrix_from_lines, table_from_lines
from cytostrat.readers.expression import Expression
from cytostrat.readers.text import Member, contents, open_text, pick, split_line

KEYS = {"patient": "PATIENT_ID", "sample": "SAMPLE_ID"}
CLINICAL_FILES = {
    "patient": ("data_clinical_patient.txt", "data_bcr_clinical_data_patient.txt"),
    "sample": (
        "data_clinical_sample.txt", "data_bcr_clinical_data_sample.txt", "data_clinical.txt",
    ),
}  # fmt: skip
GENE_COLUMNS = {"symbol": "Hugo_Symbol", "entrez": "Entrez_Gene_Id"}
_NOT_SAMPLES = frozenset({"Hugo_Symbol", "Entrez_Gene_Id", "Cytoband", "Composite.Element.REF"})
_EXPRESSION = re.compile(
    r"^data_(mrna|expression|rna_seq|RNA_Seq)[A-Za-z0-9_]*\.txt(\.gz)?$", re.IGNORECASE
)
_RELATIVE = re.compile(r"z_?scores?", re.IGNORECASE)


def read_study_expression(
    path: str | Path, *, member: str = "", gene_ids: str = "symbol"
) -> Expression:
    """Read an expression profile of a study.

    Parameters
    ----------
    path
        Study folder, its ``.tar.gz``, or the profile's own file.
    member
        Name of the profile's file; empty means the only ``data_mrna_*`` (older:
        ``data_expression*``, ``data_RNA_Seq*``) that holds no z-scores.
    gene_ids
        symbol or entrez: which of ``Hugo_Symbol`` and ``Entrez_Gene_Id`` names the rows.

    Raises
    ------
    InputError
        No profile or several are found, or the file has no such column.
    """
    file = _profile(Path(path), member)
    with open_text(file) as stream:
        numbered = _after_comments(stream)
        first = next(numbered, (0, ""))
        header = [name.strip() for name in split_line(first[1], "\t")]
        column = GENE_COLUMNS.get(gene_ids, "")
        if column not in header:
            raise InputError(
                f"{file}: has no column {column or 'with ' + gene_ids + ' ids'!r} (its first are "
                f"{', '.join(header[:4])}), so it is no cBioPortal profile of {gene_ids} ids; "
                "correct `format`, `member` or `gene_ids` in the cohort file."
            )
        return matrix_from_lines(
            file,
            _chained(first, numbered),
            delimiter="tab",
            id_column=column,
            drop_columns=[name for name in header if name in _NOT_SAMPLES and name != column],
        )


def _profile(path: Path, member: str) -> Path | Member:
    if member:
        return pick(path, [member], "expression profile")
    if path.is_file() and not _is_archive(path):
        return path
    found = {
        name: item
        for name, item in contents(path).items()
        if _EXPRESSION.match(base := name.rsplit("/", 1)[-1]) and not _RELATIVE.search(base)
    }
    if len(found) == 1:
        return next(iter(found.values()))
    names = ", ".join(sorted(name.rsplit("/", 1)[-1] for name in found))
    raise InputError(
        f"{path}: holds {'several expression profiles' if found else 'no expression profile'}"
        f"{f' ({names})' if found else ' (data_mrna_*.txt)'}; name one as expression.member in the "
        "cohort file."
    )


def read_study_clinical(path: str | Path, *, to: str, member: str = "") -> pd.DataFrame:
    """Read the patient or sample table of a study, without its comment header.

    Parameters
    ----------
    path
        Study folder, its ``.tar.gz``, or the table's own file.
    to
        ``patient`` or ``sample``: which of the two tables.
    member
        Name of the file; empty means the usual ones.

    Raises
    ------
    InputError
        The file is absent or lacks ``PATIENT_ID`` or ``SAMPLE_ID``.
    """
    path = Path(path)
    names = [member] if member else CLINICAL_FILES[to]
    plain = path.is_file() and not _is_archive(path)
    file = path if plain else pick(path, names, f"clinical table of a {to}")
    with open_text(file) as stream:
        table = table_from_lines(file, _after_comments(stream), delimiter="tab")
    if KEYS[to] not in table:
        raise InputError(
            f"{file}: has no column {KEYS[to]!r} (its first are {', '.join(table.columns[:4])}), "
            f"so it is no cBioPortal table of {to}s; correct `format` or `member` in the cohort "
            "file."
        )
    return table


def _is_archive(path: Path) -> bool:
    return path.name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))


def _after_comments(stream: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Leave out the ``#`` lines at the start; later ones are data."""
    started = False
    for number, line in enumerate(stream, start=1):
        started = started or not line.startswith("#")
        if started:
            yield number, line


def _chained(first: tuple[int, str], rest: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield first
    yield from rest
