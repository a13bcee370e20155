"""What an analysis should find: computed from the latent factors, never from expression.

Three numbers stand beside each other for every axis and signature:

* ``planted``: the value in the population, from a large draw of the same structure;
* ``realised``: the value in this cohort's patients, from their latent factors;
* ``within_sd``: the standard deviation, within HER2 groups, of the level that is measured.

The level of an axis is its factor. The level of a signature is the mean over its genes of the
part of log2 expression that the factors determine (up genes minus down genes): the most that
any score of the set could see. A score adds noise to that level and so divides its
standardised differences by a factor below one, the within-group correlation of score and
level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cytostrat.simulate.expression import GeneModel
from cytostrat.simulate.factors import AXES

if TYPE_CHECKING:
    from cytostrat.signatures import Signature

COLUMNS = (
    "cohort", "level", "name", "question", "stratum", "endpoint", "adjustment", "scale",
    "planted", "realised", "within_sd", "n", "n_case",
)  # fmt: skip


def levels(
    model: GeneModel, factors: pd.DataFrame, signatures: Mapping[str, Signature]
) -> pd.DataFrame:
    """Return patients x (axes and signatures): the level that each score measures.

    A set none of whose genes was simulated has no column.
    """
    columns: dict[str, np.ndarray] = {axis: factors[axis].to_numpy() for axis in AXES}
    rows = {gene: at for at, gene in enumerate(model.loadings.index)}
    values = model.loadings.to_numpy()
    drivers = factors[model.loadings.columns].to_numpy()
    for name in sorted(signatures):
        weights = np.zeros(values.shape[1])
        parts = 0
        for sign, members in ((1.0, signatures[name].up), (-1.0, signatures[name].down)):
            present = [rows[gene] for gene in members if gene in rows]
            if present:
                weights += sign * values[present].mean(axis=0)
                parts += 1
        if parts:
            columns[name] = drivers @ weights
    return pd.DataFrame(columns, index=factors.index)


def standardised_difference(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Hedges' g of group 1 against group 0, per column of ``values``.

    Hedges 1981, 10.3102/10769986006002107: the mean difference over the pooled standard
    deviation, times 1 - 3 / (4 (n - 2) - 1).
    """
    case = group == 1
    n = len(group)
    spread = pooled_sd(values, group)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = (values[case].mean(axis=0) - values[~case].mean(axis=0)) / spread
    return d * (1 - 3 / (4 * (n - 2) - 1))


def pooled_sd(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Pooled within-group standard deviation per column of ``values``."""
    total = 0.0
    for state in (0, 1):
        part = values[group == state]
        total = total + ((part - part.mean(axis=0)) ** 2).sum(axis=0)
    return np.sqrt(total / (len(values) - 2))


def adjusted_difference(
    values: np.ndarray, group: np.ndarray, covariates: Sequence[np.ndarray]
) -> np.ndarray:
    """Least-squares coefficient of the group given covariates, over the pooled within-group SD."""
    design = np.column_stack([np.ones(len(group)), group, *covariates])
    coefficient = np.linalg.lstsq(design, values, rcond=None)[0][1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return coefficient / pooled_sd(values, group)


def _estimates(level: pd.DataFrame, patients: pd.DataFrame) -> dict[tuple[str, ...], np.ndarray]:
    """Every contrast of the truth table, keyed by question, stratum, adjustment and scale."""
    values = level.to_numpy()
    her2, er, age = (patients[name].to_numpy() for name in ("her2", "er", "age"))
    positive = er == 1
    out = {
        ("her2", "all", "none", "hedges_g"): standardised_difference(values, her2),
        ("her2", "all", "er+age", "adjusted_g"): adjusted_difference(values, her2, (er, age)),
        ("er", "all", "none", "hedges_g"): standardised_difference(values, er),
    }
    for stratum, rows in (("er_positive", positive), ("er_negative", ~positive)):
        if min(her2[rows].sum(), (1 - her2[rows]).sum()) >= 2:
            key = ("her2", stratum, "none", "hedges_g")
            out[key] = standardised_difference(values[rows], her2[rows])
    return out


def truth_table(
    cohort: str,
    *,
    level: pd.DataFrame,
    patients: pd.DataFrame,
    population_level: pd.DataFrame,
    population: pd.DataFrame,
    log_hr: Mapping[str, float],
    endpoints: Sequence[str],
) -> pd.DataFrame:
    """Return the planted truth of a cohort, one row per quantity and axis or signature.

    Parameters
    ----------
    cohort
        Name of the cohort.
    level, patients
        Levels and latent factors of the cohort's own patients.
    population_level, population
        The same of a large draw.
    log_hr
        Planted log hazard ratio per standard deviation of a factor given stage, proliferation
        and age; it has no realised value.
    endpoints
        Endpoints that carry it.
    """
    spread = pooled_sd(level.to_numpy(), patients["her2"].to_numpy())
    here = _estimates(level, patients)
    large = _estimates(population_level, population)
    rows = []
    for (question, stratum, adjustment, scale), planted in large.items():
        realised = here.get((question, stratum, adjustment, scale))
        keep = pd.Series(True, index=patients.index)
        if stratum != "all":
            keep = patients["er"].eq(1.0 if stratum == "er_positive" else 0.0)
        for at, name in enumerate(level.columns):
            rows.append(
                {
                    "level": "axis" if name in AXES else "signature",
                    "name": name,
                    "question": question,
                    "stratum": stratum,
                    "endpoint": "",
                    "adjustment": adjustment,
                    "scale": scale,
                    "planted": planted[at],
                    "realised": np.nan if realised is None else realised[at],
                    "within_sd": spread[at],
                    "n": int(keep.sum()),
                    "n_case": int(patients.loc[keep, question].sum()),
                }
            )
    for axis in AXES:
        for endpoint in endpoints:
            rows.append(
                {
                    "level": "axis",
                    "name": axis,
                    "question": "survival",
                    "stratum": "all",
                    "endpoint": endpoint,
                    "adjustment": "stage+proliferation+age",
                    "scale": "log_hr",
                    "planted": log_hr.get(axis, 0.0),
                    "n": len(patients),
                }
            )
    frame = pd.DataFrame(rows)
    frame.insert(0, "cohort", cohort)
    return frame.reindex(columns=list(COLUMNS))
