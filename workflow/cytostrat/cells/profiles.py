"""One pass over the cells: scores, counts of single genes, depth.

A job takes a range of rows and reads it block by block, so its memory does not depend on the
number of cells but for its own output (4 bytes per cell and score). `join` puts the jobs of a
scatter together; the result does not depend on how the rows were split.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytostrat import scoring
from cytostrat.cells.storage import CHUNK, blocks
from cytostrat.errors import ScoringError
from cytostrat.signatures import Signature
from cytostrat.tables import write_bytes

METHODS = ("ucell", "aucell")
_MARKERS = "markers of "


@dataclass(frozen=True)
class Profile:
    """What one pass found, for rows `start` to `start + len(depth)`.

    Parameters
    ----------
    start
        First row.
    scores
        Method to cells x signatures, float32; a signature without a measured gene has no column.
    markers
        Cells x marker lineages, UCell, float32.
    features
        Cells x single genes, counts; a gene that is not measured has no column.
    depth
        counts and n_genes of each cell.
    """

    start: int
    scores: dict[str, pd.DataFrame]
    markers: pd.DataFrame
    features: pd.DataFrame
    depth: pd.DataFrame


def profile_cells(
    counts: Any,
    genes: Sequence[str],
    signatures: Mapping[str, Signature],
    *,
    markers: Mapping[str, Sequence[str]],
    features: Sequence[str] = ("IL1B", "TGFB1"),
    methods: Sequence[str] = ("ucell",),
    start: int = 0,
    stop: int | None = None,
    chunk: int = CHUNK,
    threads: int = 1,
    max_rank: int = 1500,
) -> Profile:
    """Score a range of cells.

    Parameters
    ----------
    counts, genes
        Cells x genes and their approved symbols, in memory or from
        `cytostrat.cells.storage.open_cells`. Ranks are all that scores depend on, so counts do.
    signatures
        Name to signature.
    markers
        Lineage to marker genes (`cytostrat.cells.lineages.read_markers`).
    features
        Single genes whose counts are kept.
    methods
        Among `METHODS`: scores of bulk methods on single cells follow depth.
    start, stop
        Range of rows.
    chunk
        Rows per block.
    threads
        Number of threads.
    max_rank
        Of UCell.

    Raises
    ------
    ScoringError
        A method is not meant for cells.
    """
    foreign = [method for method in methods if method not in METHODS]
    if foreign:
        raise ScoringError(
            f"Method {foreign[0]!r} does not score single cells; use {' or '.join(METHODS)}, and "
            "score pseudobulk with the bulk methods."
        )
    stop = counts.shape[0] if stop is None else min(stop, counts.shape[0])
    known = set(genes)
    sets = {
        name: (signature.up, signature.down)
        for name, signature in signatures.items()
        if known.intersection(signature.genes)
    }
    lineages = {
        f"{_MARKERS}{name}": (tuple(listed), ())
        for name, listed in markers.items()
        if known.intersection(listed)
    }
    wanted = {gene: column for column, gene in enumerate(genes) if gene in set(features)}
    n = stop - start
    out = {
        method: np.empty((n, len(sets) + (len(lineages) if method == "ucell" else 0)), np.float32)
        for method in dict.fromkeys(["ucell", *methods])
    }
    counted = np.empty((n, len(wanted)), dtype=np.float32)
    depth = np.empty((n, 2))
    for first, block in blocks(counts, start=start, stop=stop, chunk=chunk):
        rows = slice(first - start, first - start + block.shape[0])
        for method, values in out.items():
            own = sets if method in methods else {}
            chosen = {**own, **lineages} if method == "ucell" else own
            options = {"max_rank": max_rank} if method == "ucell" else {}
            if chosen:
                values[rows, : len(chosen)] = scoring.score(
                    block, genes, chosen, method=method, threads=threads, **options
                ).to_numpy()
        counted[rows] = block[:, list(wanted.values())].toarray()
        depth[rows, 0] = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
        depth[rows, 1] = np.diff(block.indptr)
    index = pd.RangeIndex(start, stop)
    n_sets = len(sets) if "ucell" in methods else 0
    return Profile(
        start=start,
        scores={
            method: pd.DataFrame(out[method][:, : len(sets)], index=index, columns=list(sets))
            for method in methods
        },
        markers=pd.DataFrame(
            out["ucell"][:, n_sets : n_sets + len(lineages)],
            index=index,
            columns=[name.removeprefix(_MARKERS) for name in lineages],
        ),
        features=pd.DataFrame(counted, index=index, columns=list(wanted)),
        depth=pd.DataFrame(depth, index=index, columns=["counts", "n_genes"]),
    )


def join(parts: Sequence[Profile]) -> Profile:
    """Put the profiles of neighbouring ranges together.

    Raises
    ------
    ScoringError
        A range is missing or occurs twice.
    """
    parts = sorted(parts, key=lambda part: part.start)
    expected = parts[0].start
    for part in parts:
        if part.start != expected:
            raise ScoringError(
                f"The ranges of cells do not join: one starts at {part.start}, not at {expected}."
            )
        expected += len(part.depth)
    return Profile(
        start=parts[0].start,
        scores={
            method: pd.concat([part.scores[method] for part in parts]) for method in parts[0].scores
        },
        markers=pd.concat([part.markers for part in parts]),
        features=pd.concat([part.features for part in parts]),
        depth=pd.concat([part.depth for part in parts]),
    )


def write_profile(profile: Profile, path: str | Path) -> None:
    """Write the profile of one job (.npz), whole or not at all."""
    frames = {"markers": profile.markers, "features": profile.features, "depth": profile.depth}
    frames |= {f"scores {method}": scores for method, scores in profile.scores.items()}
    arrays: dict[str, np.ndarray] = {"start": np.array(profile.start)}
    for name, frame in frames.items():
        arrays[name] = frame.to_numpy()
        arrays[f"columns of {name}"] = np.array(list(frame), dtype=str)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_profile(path: str | Path) -> Profile:
    """Read what `write_profile` wrote."""
    with np.load(path) as file:
        start = int(file["start"])

        def frame(name: str) -> pd.DataFrame:
            index = pd.RangeIndex(start, start + len(file[name]))
            return pd.DataFrame(file[name], index=index, columns=list(file[f"columns of {name}"]))

        methods = [name.removeprefix("scores ") for name in file if name.startswith("scores ")]
        return Profile(
            start=start,
            scores={method: frame(f"scores {method}") for method in methods},
            markers=frame("markers"),
            features=frame("features"),
            depth=frame("depth"),
        )


def depth_bias(
    scores: pd.DataFrame, depth: Sequence[float], cell_types: Sequence[str | None]
) -> pd.DataFrame:
    """Show how scores follow depth: a description of the cells, without a test.

    Parameters
    ----------
    scores
        Cells x signatures.
    depth
        Counts of each cell.
    cell_types
        Lineage of each cell; None where unlabelled.

    Returns
    -------
    pandas.DataFrame
        signature, cell_type ('' for all cells), n_cells, rho (Spearman correlation of score and
        depth; NaN where either does not vary) and the mean score in the five fifths of depth, q1
        (shallowest) to q5. Within a lineage a correlation is depth or biology, across all cells
        also composition; a signature whose rho is far from zero within every lineage should not
        be compared between cells of different depth.
    """
    depth = pd.Series(np.asarray(depth, dtype=float), index=scores.index)
    types = pd.Series(list(cell_types), index=scores.index, dtype=object)
    rows = []
    groups = [("", scores.index), *((n, g.index) for n, g in types.groupby(types, sort=True))]
    for name, index in groups:
        own, by = scores.loc[index], depth.loc[index].rank()
        fifth = np.ceil(by / len(by) * 5).clip(1, 5).astype(int)
        ranks = own.rank()
        spread = ranks.std(ddof=0) * by.std(ddof=0)
        covariance = ((ranks - ranks.mean()).mul(by - by.mean(), axis=0)).mean()
        rho = covariance / spread.where(spread > 0)
        means = own.groupby(fifth).mean().reindex(range(1, 6))
        for signature in own:
            rows.append(
                {
                    "signature": signature,
                    "cell_type": name,
                    "n_cells": len(own),
                    "rho": rho[signature],
                    **{f"q{k}": means.at[k, signature] for k in range(1, 6)},
                }
            )
    return pd.DataFrame(rows)
