"""Where a signal comes from: each patient's cells described by cell type, with exact intervals.

Nothing here is a test. Intervals say how well a patient's own cells (or transcripts) fix that
patient's number; they say nothing about other patients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from cytostrat.errors import EstimationError
from cytostrat.tables import Table

UNLABELLED = "unlabelled"
PER = 1e4

SOURCES = Table(
    "Sources",
    {
        "cohort": "text", "patient": "text", "cell_type": "text", "signature": "text",
        "method": "text", "n_cells": "int",
        "n_expressing": "float", "fraction": "float", "fraction_low": "float",
        "fraction_high": "float",
        "umis": "float", "depth": "float", "mean": "float", "mean_low": "float",
        "mean_high": "float",
        "share": "float", "share_low": "float", "share_high": "float",
        "median": "float", "median_low": "float", "median_high": "float",
    },
    ("cohort", "signature", "method", "cell_type", "patient"),
)  # fmt: skip


def clopper_pearson(
    k: np.ndarray | float, n: np.ndarray | float, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact interval of a binomial share (doi:10.1093/biomet/26.4.404).

    Parameters
    ----------
    k, n
        Successes and trials; n = 0 gives NaN.

    Raises
    ------
    EstimationError
        k is below 0 or above n.
    """
    k, n = np.broadcast_arrays(np.asarray(k, dtype=float), np.asarray(n, dtype=float))
    if ((k < 0) | (k > n)).any():
        raise EstimationError("A share needs 0 <= k <= n.")
    tail = (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(k == 0, 0.0, stats.beta.ppf(tail, k, n - k + 1))
        high = np.where(k == n, 1.0, stats.beta.ppf(1 - tail, k + 1, n - k))
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def median_interval(values: np.ndarray, *, level: float = 0.95) -> tuple[float, float]:
    """Return the distribution-free interval of a median from order statistics.

    The k-th smallest and k-th largest value, with the largest k for which the chance that the
    median lies outside is at most 1 - level; NaN where even the extremes do not reach it (fewer
    than six values at 95 %).
    """
    values = np.sort(np.asarray(values, dtype=float))
    n = len(values)
    k = int(stats.binom.ppf((1 - level) / 2, n, 0.5)) if n else 0
    if k < 1:
        return float("nan"), float("nan")
    return float(values[k - 1]), float(values[n - k])


def describe_sources(
    features: pd.DataFrame,
    scores: pd.DataFrame,
    depth: Sequence[float],
    patients: Sequence[str],
    cell_types: Sequence[str | None],
    *,
    cohort: str,
    method: str = "ucell",
    level: float = 0.95,
) -> pd.DataFrame:
    """Describe genes and scores by patient and cell type.

    Parameters
    ----------
    features
        Cells x genes, counts.
    scores
        Cells x signatures.
    depth
        Counts of each cell.
    patients, cell_types
        Of each cell; cells without a type are the type ``unlabelled``, so that shares add up.
    cohort
        Name of the cohort.
    method
        Scoring method of `scores`.
    level
        Level of the intervals.

    Returns
    -------
    pandas.DataFrame
        Conforms to `SOURCES`. For a gene (method ``counts``): ``fraction`` of cells with at least
        one transcript; ``mean``, its transcripts per 10,000 of the cells' transcripts;
        ``share``, of the patient's transcripts of this gene those in this type; all three with
        Clopper-Pearson intervals, the last two over transcripts. ``share`` is NaN where the
        patient has none. For a signature: ``mean`` and ``median`` of the score, the median with
        its distribution-free interval; the rest is NaN.
    """
    keys = pd.DataFrame(
        {
            "patient": pd.Series(list(patients), dtype=object),
            "cell_type": pd.Series(list(cell_types), dtype=object).fillna(UNLABELLED),
        }
    )
    depth = np.asarray(depth, dtype=float)
    groups = keys.groupby(["patient", "cell_type"], sort=True).indices
    index = pd.MultiIndex.from_tuples(list(groups), names=["patient", "cell_type"])
    sizes = np.array([len(rows) for rows in groups.values()], dtype=float)
    depths = np.array([depth[rows].sum() for rows in groups.values()])
    frames = []
    for gene in features:
        values = features[gene].to_numpy(dtype=float)
        expressing = np.array([(values[rows] > 0).sum() for rows in groups.values()], dtype=float)
        umis = np.array([values[rows].sum() for rows in groups.values()])
        total = pd.Series(umis, index=index).groupby(level="patient").transform("sum").to_numpy()
        low, high = clopper_pearson(expressing, sizes, level=level)
        rate_low, rate_high = clopper_pearson(umis, depths, level=level)
        share_low, share_high = clopper_pearson(umis, total, level=level)
        with np.errstate(invalid="ignore"):
            frame = index.to_frame(index=False).assign(
                signature=gene, method="counts", n_cells=sizes.astype(int),
                n_expressing=expressing, fraction=expressing / sizes,
                fraction_low=low, fraction_high=high,
                umis=umis, depth=depths, mean=PER * umis / depths,
                mean_low=PER * rate_low, mean_high=PER * rate_high,
                share=umis / total, share_low=share_low, share_high=share_high,
            )  # fmt: skip
        frames.append(frame)
    for signature in scores:
        values = scores[signature].to_numpy(dtype=float)
        medians = [
            (np.median(values[rows]), *median_interval(values[rows], level=level))
            for rows in groups.values()
        ]
        middle, low, high = np.array(medians).reshape(-1, 3).T
        frames.append(
            index.to_frame(index=False).assign(
                signature=signature,
                method=method,
                n_cells=sizes.astype(int),
                depth=depths,
                mean=[values[rows].mean() for rows in groups.values()],
                median=middle,
                median_low=low,
                median_high=high,
            )
        )
    frames = [
        frame.reindex(columns=list(SOURCES.columns)).assign(cohort=cohort) for frame in frames
    ]
    numbers = [name for name, kind in SOURCES.columns.items() if kind == "float"]
    return SOURCES.concat([frame.astype(dict.fromkeys(numbers, float)) for frame in frames])


def composition(
    patients: Sequence[str], cell_types: Sequence[str | None], *, level: float = 0.95
) -> pd.DataFrame:
    """Return each patient's cells by type: patient, cell_type, n_cells, fraction, low, high."""
    keys = pd.DataFrame({"patient": list(patients), "cell_type": list(cell_types)}, dtype=object)
    keys["cell_type"] = keys["cell_type"].fillna(UNLABELLED)
    out = keys.groupby(["patient", "cell_type"], sort=True).size().rename("n_cells").reset_index()
    total = out.groupby("patient")["n_cells"].transform("sum")
    out["fraction"] = out["n_cells"] / total
    out["low"], out["high"] = clopper_pearson(out["n_cells"], total, level=level)
    return out
