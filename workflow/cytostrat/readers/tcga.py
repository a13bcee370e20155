"""TCGA by way of UCSC Xena and of the Genomic Data Commons (GDC)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.readers.delimited import matrix_from_lines, read_clinical_table, read_matrix
from cytostrat.readers.expression import Expression
from cytostrat.readers.text import Member, contents, open_text, pick

XENA_ROWS = ("sample", "Ensembl_ID", "gene", "Gene", "gene_id", "xena_sample", "Probe", "id")
XENA_SAMPLES = ("sample", "sampleID", "sample_id", "samples", "submitter_id.samples", "xena_sample")
STAR_COLUMNS = (
    "unstranded", "stranded_first", "stranded_second", "tpm_unstranded", "fpkm_unstranded",
    "fpkm_uq_unstranded",
)  # fmt: skip
_STAR_SUFFIX = ".rna_seq.augmented_star_gene_counts.tsv"
_SHEET = "gdc_sample_sheet"


def read_xena_matrix(path: str | Path) -> Expression:
    """Read a genomic matrix of UCSC Xena: genes in rows, sample barcodes in columns.

    Raises
    ------
    InputError
        The first column is not one that Xena writes.
    """
    _check_first(path, XENA_ROWS, "matrix")
    return read_matrix(path, delimiter="tab")


def read_xena_clinical(path: str | Path) -> pd.DataFrame:
    """Read a phenotype or survival file of UCSC Xena.

    Raises
    ------
    InputError
        No column names the samples as Xena does.
    """
    table = read_clinical_table(path, delimiter="tab")
    if not set(XENA_SAMPLES) & set(table.columns):
        raise InputError(
            f"{path}: has no column {' or '.join(map(repr, XENA_SAMPLES[:3]))} (its first are "
            f"{', '.join(table.columns[:4])}), so it is no Xena phenotype file; correct `format` "
            "in the cohort file."
        )
    return table


def _check_first(path: str | Path, names: tuple[str, ...], what: str) -> None:
    with open_text(path) as stream:
        first = stream.readline().split("\t")[0].strip().strip('"')
    if first not in names:
        raise InputError(
            f"{path}: its first column is {first[:40]!r}, where a Xena {what} has one of "
            f"{', '.join(names)}; correct `format` in the cohort file (delimited takes any name)."
        )


def read_star_counts(path: str | Path, *, column: str = "unstranded") -> Expression:
    """Read STAR gene counts of the GDC: one file per sample, and the sample sheet.

    Parameters
    ----------
    path
        Folder or tar archive with the files ``*.augmented_star_gene_counts.tsv`` and the GDC
        sample sheet (``gdc_sample_sheet*.tsv``), which leads from file name to sample barcode.
    column
        One of `STAR_COLUMNS`; ``X`` means ``unstranded``.

    Returns
    -------
    Expression
        Samples named by the sheet's ``Sample ID``; a second file of one sample gets the file's
        own name behind it. Genes are Ensembl ids with version; the ``N_`` rows are left out.

    Raises
    ------
    InputError
        A file is not in the sheet, or the files differ in their genes.
    """
    column = "unstranded" if column == "X" else column
    if column not in STAR_COLUMNS:
        raise InputError(
            f"{path}: key expression.layer is {column!r}, but a STAR file has "
            f"{', '.join(STAR_COLUMNS)}; name one of them."
        )
    path = Path(path)
    found = contents(path)
    files = {
        name.rsplit("/", 1)[-1].removesuffix(".gz"): item
        for name, item in found.items()
        if name.removesuffix(".gz").endswith(_STAR_SUFFIX)
    }
    if not files:
        raise InputError(
            f"{path}: holds no file named *{_STAR_SUFFIX}; correct the source or `format` in the "
            "cohort file."
        )
    barcode = _sample_sheet(path, [name.rsplit("/", 1)[-1] for name in found])
    absent = sorted(set(files) - set(barcode))
    if absent:
        raise InputError(
            f"{path}: the file {absent[0]!r} ({len(absent)} in all) is not in the GDC sample "
            "sheet; download the sheet of the same cart."
        )
    gone = sorted(name for name in set(barcode) - set(files) if name.endswith(_STAR_SUFFIX))
    if gone:
        raise InputError(
            f"{path}: the file {gone[0]!r} ({len(gone)} in all) of the GDC sample sheet is not "
            "there; download it, or take its row out of the sheet."
        )
    names: list[str] = []
    columns: list[np.ndarray] = []
    genes: tuple[str, ...] = ()
    for name in sorted(files, key=lambda name: (barcode[name], name)):
        part = _star_file(files[name], column)
        if genes and part.genes != genes:
            raise InputError(
                f"{files[name]}: its genes differ from those of the files before it; download all "
                "files of one GDC release."
            )
        genes = part.genes
        sample = barcode[name]
        names.append(f"{sample} {name.removesuffix(_STAR_SUFFIX)}" if sample in names else sample)
        columns.append(part.values[0])
    return Expression(values=np.vstack(columns), samples=tuple(names), genes=genes, file=str(path))


def _star_file(file: Path | Member, column: str) -> Expression:
    def lines(stream: Iterator[str]) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(stream, start=1):
            if not line.startswith(("#", "N_")):
                yield number, line

    with open_text(file) as stream:
        header = next(text for text in stream if not text.startswith("#"))
        names = [name.strip() for name in header.split("\t")]
    if "gene_id" not in names or column not in names:
        raise InputError(
            f"{file}: has no column 'gene_id' or {column!r} (its first are "
            f"{', '.join(names[:4])}); it is no STAR file of the GDC, take it out of the folder."
        )
    with open_text(file) as stream:
        return matrix_from_lines(
            file,
            lines(stream),
            delimiter="tab",
            id_column="gene_id",
            drop_columns=[name for name in names if name not in ("gene_id", column)],
        )


def _sample_sheet(path: Path, names: list[str]) -> dict[str, str]:
    sheets = sorted(name for name in names if name.startswith(_SHEET)) or [f"{_SHEET}.tsv"]
    table = read_clinical_table(pick(path, sheets, "GDC sample sheet"), delimiter="tab")
    for column in ("File Name", "Sample ID"):
        if column not in table:
            raise InputError(
                f"{path}: its GDC sample sheet has no column {column!r}; download the sheet anew."
            )
    files = table["File Name"].str.removesuffix(".gz")
    return dict(zip(files, table["Sample ID"], strict=True))
