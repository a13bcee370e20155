"""Which cells are analysed: rules per sample, each exclusion counted.

Rules, in this order, with limits from the sample's own cells:

* counts: log(1 + counts) at least the median minus `n_mads` scaled median absolute deviations,
  and never fewer than `min_counts`;
* genes: the same for the number of genes;
* mitochondrial share: at most the median plus `n_mads`, and never below `mitochondrial_floor`;
* doublets: scrublet (doi:10.1016/j.cels.2018.11.005) as scanpy has it, on the `DOUBLET_GENES`
  most variable genes of the sample's cells that passed the rules before, with its own threshold.

The scaled deviation is 1.4826 times the median absolute deviation, as in scater
(doi:10.1093/bioinformatics/btw777). In a sample of fewer than `FEWEST_FOR_LIMITS` cells only the
fixed limits hold, and in one of fewer than `FEWEST_FOR_DOUBLETS` no doublets are sought; a note
says so.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytostrat.cells.storage import blocks, take
from cytostrat.errors import EstimationError
from cytostrat.tables import FLOW, read_frame, write_frame

MITOCHONDRIAL = "MT-"
MAD_SCALE = 1.4826
FEWEST_FOR_LIMITS = 30
FEWEST_FOR_DOUBLETS = 100
DOUBLET_GENES = 2000
CELL_COLUMNS = ["counts", "n_genes", "mitochondrial", "doublet_score", "excluded"]
LIMIT_COLUMNS = [
    "sample", "n_cells", "min_counts", "min_genes", "max_mitochondrial", "n_excluded", "note"
]  # fmt: skip
STEPS = {
    "few counts": "11 counts",
    "few genes": "12 genes",
    "mitochondrial": "13 mitochondrial share",
    "doublet": "14 doublets",
}


@dataclass(frozen=True)
class Checked:
    """What the rules say of some samples.

    Parameters
    ----------
    cells
        Per cell of these samples, indexed by its position in the matrix: counts, n_genes,
        mitochondrial (share), doublet_score (NaN where not sought) and excluded (the first rule
        that the cell broke, '' for none).
    limits
        Per sample: n_cells, the limits, n_excluded and a note.
    """

    cells: pd.DataFrame
    limits: pd.DataFrame


@dataclass(frozen=True)
class Quality:
    """Result of the rules in a cohort.

    Parameters
    ----------
    keep
        Per cell, whether it is analysed.
    limits
        Of every sample, as in `Checked`.
    flow
        Flow rows.
    """

    keep: np.ndarray
    limits: pd.DataFrame
    flow: pd.DataFrame


def cell_metrics(counts: Any, genes: Sequence[str], *, chunk: int = 4000) -> pd.DataFrame:
    """Return per cell the sum of counts, the number of genes and the mitochondrial share.

    Parameters
    ----------
    counts
        Cells x genes, in memory or from `cytostrat.cells.storage.open_cells`.
    genes
        Approved symbols; those that begin with ``MT-`` are mitochondrial.

    Returns
    -------
    pandas.DataFrame
        counts, n_genes, mitochondrial (0 to 1; NaN where no mitochondrial gene is measured).
    """
    is_mitochondrial = np.array([gene.startswith(MITOCHONDRIAL) for gene in genes])
    parts = []
    for _, block in blocks(counts, chunk=chunk):
        total = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
        own = np.asarray(block[:, is_mitochondrial].sum(axis=1, dtype=np.float64)).ravel()
        parts.append(np.column_stack([total, np.diff(block.indptr), own]))
    out = pd.DataFrame(
        np.concatenate(parts) if parts else np.empty((0, 3)), columns=["counts", "n_genes", "own"]
    )
    share = out["own"] / out["counts"].where(out["counts"] > 0)
    out["mitochondrial"] = share if is_mitochondrial.any() else np.nan
    return out.drop(columns="own")


def captures(obs: pd.DataFrame) -> list[str]:
    """Return the sample (capture) of each cell: its batch, or its patient where it has none."""
    patient = obs["patient"].astype(object)
    if "batch" not in obs:
        return list(patient)
    batch = obs["batch"].astype(object)
    return list(batch.where(batch.notna(), patient))


def samples_of_part(samples: Sequence[str], part: int, n_jobs: int) -> np.ndarray:
    """Return, per cell, whether its sample falls to one job of a scatter over samples.

    The largest sample left goes to the job with the fewest cells, so jobs are nearly equal.
    """
    sizes = pd.Series(list(samples), dtype=object).value_counts()
    load = np.zeros(n_jobs, dtype=int)
    own = set()
    for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        job = int(np.argmin(load))
        load[job] += size
        if job == part:
            own.add(name)
    return np.array([name in own for name in samples], dtype=bool)


def check_cells(
    counts: Any,
    genes: Sequence[str],
    samples: Sequence[str],
    *,
    among: np.ndarray | None = None,
    n_mads: float = 3.0,
    min_counts: int = 250,
    min_genes: int = 200,
    mitochondrial_floor: float = 0.05,
    doublets: bool = True,
    expected_doublet_rate: float = 0.05,
    seed: int = 0,
) -> Checked:
    """Apply the rules to every sample; one sample's cells are in memory at a time.

    Parameters
    ----------
    counts, genes
        As in `cell_metrics`.
    samples
        Sample (capture) of each cell; limits and doublets are per sample.
    among
        Per cell, whether it is looked at; the others count in no limit. None means every cell.
        A job of a scatter takes the cells of `samples_of_part`.
    n_mads, min_counts, min_genes, mitochondrial_floor
        See the module.
    doublets
        Whether doublets are sought.
    expected_doublet_rate
        Share of doublets that scrublet expects.
    seed
        Of scrublet's simulated doublets.
    """
    names = pd.Series(list(samples), dtype=object)
    if among is not None:
        names = names.where(np.asarray(among, dtype=bool))
    parts, rows = [pd.DataFrame(columns=CELL_COLUMNS)], []
    for sample, positions in names.groupby(names, sort=True).indices.items():
        own = take(counts, positions)
        metrics = cell_metrics(own, genes)
        limit = _limits(metrics, n_mads, min_counts, min_genes, mitochondrial_floor)
        notes = limit.pop("notes")
        broken = np.select(
            [
                metrics["counts"].to_numpy() < limit["min_counts"],
                metrics["n_genes"].to_numpy() < limit["min_genes"],
                metrics["mitochondrial"].to_numpy() > limit["max_mitochondrial"],
            ],
            ["few counts", "few genes", "mitochondrial"],
            default="",
        ).astype(object)
        scores = np.full(len(positions), np.nan)
        if doublets:
            fine = np.flatnonzero(broken == "")
            own = own[fine]
            scores[fine], called, note = _doublets(own, expected_doublet_rate, seed)
            broken[fine[called]] = "doublet"
            notes.append(note)
        metrics.index = positions
        parts.append(metrics.assign(doublet_score=scores, excluded=broken))
        rows.append(
            {
                "sample": sample,
                "n_cells": len(positions),
                **limit,
                "n_excluded": int((broken != "").sum()),
                "note": "; ".join(note for note in notes if note),
            }
        )
    cells = pd.concat([part for part in parts if len(part)] or parts).sort_index()
    return Checked(cells.rename_axis("cell"), pd.DataFrame(rows, columns=LIMIT_COLUMNS))


def join_checks(
    checks: Sequence[Checked], *, among: np.ndarray, cohort: str, doublets: bool = True
) -> Quality:
    """Return what the jobs of a scatter found, as one.

    Parameters
    ----------
    checks
        What `check_cells` returned for disjoint samples.
    among
        Per cell of the matrix, whether it was to be looked at; the others are not kept.
    cohort
        Name of the cohort.
    doublets
        Whether doublets were sought.

    Raises
    ------
    EstimationError
        No cell is left, or the checks do not cover the cells once each.
    """
    filled = [check.cells for check in checks if len(check.cells)] or [checks[0].cells]
    cells = pd.concat(filled).sort_index()
    wanted = np.flatnonzero(among)
    if not np.array_equal(cells.index.to_numpy(), wanted):
        raise EstimationError(
            f"Cohort {cohort}: the checks cover {len(cells)} cells, and {len(wanted)} were to be "
            "checked once each; remove them and run again."
        )
    excluded = cells["excluded"].to_numpy(dtype=object)
    keep = np.zeros(len(among), dtype=bool)
    keep[wanted] = excluded == ""
    if not keep.any():
        raise EstimationError(
            f"Cohort {cohort}: no cell passes the quality rules; lower min_counts or min_genes, or "
            "check that the matrix holds counts."
        )
    limits = pd.concat([check.limits for check in checks if len(check.limits)])
    return Quality(
        keep,
        limits.sort_values("sample", ignore_index=True),
        _flow(excluded, cohort, doublets),
    )


def write_check(checked: Checked, cells: str | Path, limits: str | Path) -> None:
    """Write what one job found, as two TSV files."""
    write_frame(checked.cells.reset_index(), cells)
    write_frame(checked.limits, limits)


def read_check(cells: str | Path, limits: str | Path) -> Checked:
    """Read what `write_check` wrote."""
    frame = read_frame(cells, index_col="cell", dtype={"excluded": object})
    frame["excluded"] = frame["excluded"].fillna("")
    texts = {"sample": str, "note": object}
    found = read_frame(limits, dtype=texts, keep_default_na=False)
    return Checked(frame, found)


def _limits(
    own: pd.DataFrame, n_mads: float, min_counts: int, min_genes: int, floor: float
) -> dict[str, Any]:
    if len(own) < FEWEST_FOR_LIMITS:
        note = f"{len(own)} cells: fixed limits only"
        return {
            "min_counts": float(min_counts), "min_genes": float(min_genes),
            "max_mitochondrial": np.inf, "notes": [note],
        }  # fmt: skip
    lower = [
        max(float(fixed), float(np.expm1(_outer(np.log1p(own[column]), -n_mads))))
        for column, fixed in (("counts", min_counts), ("n_genes", min_genes))
    ]
    share = own["mitochondrial"].dropna()
    notes = [] if len(share) else ["no mitochondrial gene is measured: that rule is not applied"]
    upper = max(floor, float(_outer(share, n_mads))) if len(share) else np.inf
    return {
        "min_counts": lower[0], "min_genes": lower[1], "max_mitochondrial": upper, "notes": notes,
    }  # fmt: skip


def _outer(values: pd.Series, n_mads: float) -> float:
    median = values.median()
    return median + n_mads * MAD_SCALE * (values - median).abs().median()


def _doublets(rows: Any, rate: float, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return scrublet's scores, its calls, and a note where there are none."""
    none = np.full(rows.shape[0], np.nan), np.zeros(rows.shape[0], dtype=bool)
    if rows.shape[0] < FEWEST_FOR_DOUBLETS:
        return *none, f"{rows.shape[0]} cells: too few to seek doublets"
    import anndata
    import scanpy

    # scanpy's own steps, but with a stated number of genes: by default it takes as many as pass
    # its cut, all dense at once, which is gigabytes for ten thousand cells
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        sample = anndata.AnnData(rows.astype(np.float32, copy=False))
        scanpy.pp.filter_genes(sample, min_cells=3)
        raw = sample.X.copy()
        scanpy.pp.normalize_total(sample)
        logged = scanpy.pp.log1p(sample, copy=True)
        scanpy.pp.highly_variable_genes(logged, n_top_genes=min(DOUBLET_GENES, sample.n_vars))
        variable = logged.var["highly_variable"].to_numpy()
        del logged
        sample = sample[:, variable].copy()
        sample.layers["raw"] = raw[:, variable]
        del raw
        simulated = scanpy.pp.scrublet_simulate_doublets(sample, layer="raw", random_seed=seed)
        del sample.layers["raw"]
        for cells in (sample, simulated):
            scanpy.pp.normalize_total(cells, target_sum=1e6)
        scanpy.pp.scrublet(
            sample,
            adata_sim=simulated,
            expected_doublet_rate=rate,
            n_prin_comps=min(30, sample.n_vars - 1),
            # approximate neighbours would depend on the number of threads
            use_approx_neighbors=False,
            random_state=seed,
            verbose=False,
        )
    scores = sample.obs["doublet_score"].to_numpy(dtype=float)
    if "predicted_doublet" not in sample.obs or sample.obs["predicted_doublet"].isna().any():
        return scores, none[1], "doublets: scrublet found no threshold, none is left out"
    return scores, sample.obs["predicted_doublet"].to_numpy(dtype=bool), ""


def _flow(excluded: np.ndarray, cohort: str, doublets: bool) -> pd.DataFrame:
    left, rows = len(excluded), []
    for rule, step in STEPS.items():
        if rule == "doublet" and not doublets:
            continue
        after = left - int((excluded == rule).sum())
        rows.append((cohort, step, f"{rule}: beyond the limit of its sample", left, after))
        left = after
    return FLOW.conform(pd.DataFrame(rows, columns=["cohort", "step", "reason", "n_in", "n_out"]))
