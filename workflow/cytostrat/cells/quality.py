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
from typing import Any

import numpy as np
import pandas as pd

from cytostrat.cells.storage import blocks, take
from cytostrat.errors import EstimationError
from cytostrat.tables import FLOW

MITOCHONDRIAL = "MT-"
MAD_SCALE = 1.4826
FEWEST_FOR_LIMITS = 30
FEWEST_FOR_DOUBLETS = 100
DOUBLET_GENES = 2000
STEPS = {
    "few counts": "11 counts",
    "few genes": "12 genes",
    "mitochondrial": "13 mitochondrial share",
    "doublet": "14 doublets",
}


@dataclass(frozen=True)
class Quality:
    """Result of the rules.

    Parameters
    ----------
    keep
        Per cell, whether it is analysed.
    cells
        Per cell: counts, n_genes, mitochondrial (share), doublet_score (NaN where not sought)
        and excluded (the first rule that the cell broke, '' for none).
    limits
        Per sample: n_cells, the limits, n_excluded and a note.
    flow
        Flow rows.
    """

    keep: np.ndarray
    cells: pd.DataFrame
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


def check_cells(
    counts: Any,
    genes: Sequence[str],
    samples: Sequence[str],
    *,
    cohort: str,
    among: np.ndarray | None = None,
    n_mads: float = 3.0,
    min_counts: int = 250,
    min_genes: int = 200,
    mitochondrial_floor: float = 0.05,
    doublets: bool = True,
    expected_doublet_rate: float = 0.05,
    seed: int = 0,
) -> Quality:
    """Apply the rules to every sample.

    Parameters
    ----------
    counts, genes
        As in `cell_metrics`.
    samples
        Sample (capture) of each cell; limits and doublets are per sample.
    cohort
        Name of the cohort.
    among
        Per cell, whether it is looked at; the others are not kept and count in no limit. None
        means every cell.
    n_mads, min_counts, min_genes, mitochondrial_floor
        See the module.
    doublets
        Whether doublets are sought.
    expected_doublet_rate
        Share of doublets that scrublet expects.
    seed
        Of scrublet's simulated doublets.

    Raises
    ------
    EstimationError
        No cell is left.
    """
    metrics = cell_metrics(counts, genes)
    metrics["doublet_score"] = np.nan
    among = np.ones(len(metrics), dtype=bool) if among is None else np.asarray(among, dtype=bool)
    excluded = np.where(among, "", "not among them").astype(object)
    names = pd.Series(list(samples), dtype=object).where(among)
    rows = []
    for sample, positions in names.groupby(names, sort=True).indices.items():
        own = metrics.iloc[positions]
        limit = _limits(own, n_mads, min_counts, min_genes, mitochondrial_floor)
        notes = limit.pop("notes")
        broken = np.select(
            [
                own["counts"].to_numpy() < limit["min_counts"],
                own["n_genes"].to_numpy() < limit["min_genes"],
                own["mitochondrial"].to_numpy() > limit["max_mitochondrial"],
            ],
            ["few counts", "few genes", "mitochondrial"],
            default="",
        ).astype(object)
        fine = np.flatnonzero(broken == "")
        if doublets:
            scores, called, note = _doublets(
                take(counts, positions[fine]), expected_doublet_rate, seed
            )
            broken[fine[called]] = "doublet"
            metrics.iloc[positions[fine], metrics.columns.get_loc("doublet_score")] = scores
            notes.append(note)
        excluded[positions] = broken
        rows.append(
            {
                "sample": sample,
                "n_cells": len(positions),
                **limit,
                "n_excluded": int((broken != "").sum()),
                "note": "; ".join(note for note in notes if note),
            }
        )
    metrics["excluded"] = excluded
    keep = excluded == ""
    if not keep.any():
        raise EstimationError(
            f"Cohort {cohort}: no cell passes the quality rules; lower min_counts or min_genes, or "
            "check that the matrix holds counts."
        )
    return Quality(keep, metrics, pd.DataFrame(rows), _flow(excluded[among], cohort, doublets))


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
