"""Pseudobulk: the counts of a patient's cells of one type, added up.

This is where cells end and patients begin: everything that carries a p-value is computed from
what this module returns, in which a patient has one row per cell type.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from cytostrat import scoring
from cytostrat.cells.storage import CHUNK, blocks
from cytostrat.errors import ScoringError
from cytostrat.signature_scores import wide_scores
from cytostrat.signatures import Signature
from cytostrat.tables import SCORES, write_bytes

MIN_CELLS = 10
PER = 1e6


@dataclass(frozen=True)
class Pseudobulk:
    """Sums of counts.

    Parameters
    ----------
    groups
        One row per patient and cell type, sorted: patient, cell_type, n_cells.
    sums
        Groups x genes, float64 (whole numbers below 2^53 are exact).
    genes
        Approved symbols.
    """

    groups: pd.DataFrame
    sums: np.ndarray
    genes: list[str]


def pseudobulk(
    counts: Any,
    genes: Sequence[str],
    patients: Sequence[str],
    cell_types: Sequence[str | None],
    *,
    start: int = 0,
    stop: int | None = None,
    chunk: int = CHUNK,
) -> Pseudobulk:
    """Add up a range of cells.

    Parameters
    ----------
    counts, genes
        As in `cytostrat.cells.profiles.profile_cells`.
    patients, cell_types
        Of all cells, also those outside the range, so that every range has the same groups.
        Cells without a patient or a type belong to no group.
    start, stop
        Range of rows.
    chunk
        Rows per block.
    """
    frame = pd.DataFrame({"patient": list(patients), "cell_type": list(cell_types)}, dtype=object)
    has_group = frame.notna().all(axis=1).to_numpy()
    keys = pd.MultiIndex.from_frame(frame[has_group].drop_duplicates()).sort_values()
    code = np.full(len(frame), -1)
    code[has_group] = keys.get_indexer(pd.MultiIndex.from_frame(frame[has_group]))
    sums = np.zeros((len(keys), len(genes)))
    n_cells = np.zeros(len(keys), dtype=np.int64)
    for first, block in blocks(counts, start=start, stop=stop, chunk=chunk):
        own = code[first : first + block.shape[0]]
        rows = np.flatnonzero(own >= 0)
        member = sparse.csr_matrix(
            (np.ones(len(rows)), (own[rows], rows)), shape=(len(keys), block.shape[0])
        )
        added = (member @ block.astype(np.float64)).tocoo()
        sums[added.row, added.col] += added.data
        n_cells += np.bincount(own[rows], minlength=len(keys))
    groups = keys.to_frame(index=False) if len(keys) else frame.iloc[:0].copy()
    groups["n_cells"] = n_cells
    return Pseudobulk(groups, sums, list(genes))


def add(parts: Sequence[Pseudobulk]) -> Pseudobulk:
    """Add the pseudobulks of disjoint ranges of the same cells.

    Raises
    ------
    ScoringError
        The parts have other groups or genes.
    """
    first = parts[0]
    keys = ["patient", "cell_type"]
    for part in parts[1:]:
        if part.genes != first.genes or not part.groups[keys].equals(first.groups[keys]):
            raise ScoringError("The pseudobulks are not of ranges of the same cells.")
    groups = first.groups.assign(n_cells=sum(part.groups["n_cells"] for part in parts))
    return Pseudobulk(groups, sum(part.sums for part in parts), first.genes)


def write_pseudobulk(bulk: Pseudobulk, path: str | Path) -> None:
    """Write the sums of one job (.npz), whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        patient=bulk.groups["patient"].to_numpy(dtype=str),
        cell_type=bulk.groups["cell_type"].to_numpy(dtype=str),
        n_cells=bulk.groups["n_cells"].to_numpy(),
        sums=bulk.sums,
        genes=np.array(bulk.genes, dtype=str),
    )
    write_bytes(path, buffer.getvalue())


def read_pseudobulk(path: str | Path) -> Pseudobulk:
    """Read what `write_pseudobulk` wrote."""
    with np.load(path) as file:
        groups = pd.DataFrame(
            {name: file[name].astype(object) for name in ("patient", "cell_type")}
        )
        groups["n_cells"] = file["n_cells"]
        return Pseudobulk(groups, file["sums"], [str(gene) for gene in file["genes"]])


def large_enough(bulk: Pseudobulk, *, min_cells: int = MIN_CELLS) -> Pseudobulk:
    """Leave out groups of fewer than `min_cells` cells, and those without a count."""
    keep = (bulk.groups["n_cells"] >= min_cells).to_numpy() & (bulk.sums.sum(axis=1) > 0)
    return Pseudobulk(bulk.groups[keep].reset_index(drop=True), bulk.sums[keep], bulk.genes)


def log2_cpm(bulk: Pseudobulk) -> np.ndarray:
    """Return log2(1 + counts per million), groups x genes; NaN for a group without counts."""
    total = bulk.sums.sum(axis=1, keepdims=True)
    return np.log2(1 + PER * bulk.sums / np.where(total > 0, total, np.nan))


def score_pseudobulk(
    bulk: Pseudobulk,
    signatures: Mapping[str, Signature],
    *,
    cohort: str,
    methods: Sequence[str],
    threads: int = 1,
) -> pd.DataFrame:
    """Score signatures on log2 counts per million.

    Returns
    -------
    pandas.DataFrame
        Conforms to `cytostrat.tables.SCORES`; ``sample`` is the patient, ``percentile`` the
        mid-rank among the cohort's patients within the cell type.
    """
    if not len(bulk.groups):
        return SCORES.empty()
    values = log2_cpm(bulk)
    frames = []
    for method in methods:
        scored = wide_scores(values, bulk.genes, signatures, method=method, threads=threads)
        for cell_type, rows in bulk.groups.groupby("cell_type").indices.items():
            own = scored.iloc[rows]
            long = own.melt(var_name="signature", value_name="score")
            long["percentile"] = scoring.percentile(own).melt()["value"]
            long["sample"] = np.tile(bulk.groups["patient"].to_numpy()[rows], len(own.columns))
            frames.append(long.assign(cohort=cohort, cell_type=cell_type, method=method))
    return SCORES.concat(frames)


def patient_values(
    bulk: Pseudobulk, scores: pd.DataFrame, *, features: Sequence[str]
) -> pd.DataFrame:
    """Return one value per patient, cell type and quantity, in long form.

    Parameters
    ----------
    bulk
        Pseudobulk.
    scores
        What `score_pseudobulk` returned for it.
    features
        Single genes, as log2 counts per million with the method ``log2_cpm``.

    Returns
    -------
    pandas.DataFrame
        patient, cell_type, signature, method, value; a gene that is not measured has no row.
    """
    frames = [
        scores.rename(columns={"sample": "patient", "score": "value"})[
            ["patient", "cell_type", "signature", "method", "value"]
        ]
    ]
    logs = log2_cpm(bulk)
    column = {gene: number for number, gene in enumerate(bulk.genes)}
    for gene in features:
        if gene in column:
            frames.append(
                bulk.groups[["patient", "cell_type"]].assign(
                    signature=gene, method="log2_cpm", value=logs[:, column[gene]]
                )
            )
    return (
        pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
        if any(len(frame) for frame in frames)
        else frames[0]
    )
