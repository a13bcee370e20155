"""What an analysis should find: computed from the latent factors, never from expression.

Three numbers stand beside each other for every axis and signature:

* ``planted``: the value in the population, from a large draw of the same structure;
* ``realised``: the value in this cohort's patients, from their latent factors;
* ``within_sd``: the standard deviation, within HER2 groups, of the level that is measured.

The level of an axis is its factor. The level of a signature is the mean over its genes of the
part of log2 expression that the factors determine (up genes minus down genes), relative to the
mean over all genes: scores rank genes within a sample, so what moves all genes moves no score.
A score adds noise to that level and so multiplies its standardised differences by a factor
below one, the correlation of score and level within groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cytostrat.simulate.expression import GeneModel
from cytostrat.simulate.factors import AXES

if TYPE_CHECKING:
    from cytostrat.signatures import Signature

N_SURVIVAL = 8_000
COLUMNS = (
    "cohort", "level", "name", "question", "stratum", "endpoint", "contrast", "adjustment",
    "scale", "planted", "realised", "within_sd", "n", "n_case",
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
    values = values - values.mean(axis=0)
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


def log_hazard_ratios(
    values: np.ndarray, covariates: np.ndarray, time: np.ndarray, event: np.ndarray
) -> np.ndarray:
    """Log hazard ratio per standard deviation of each column, one Cox model per column.

    Newton's method on Breslow's partial likelihood in plain array arithmetic: slower than the
    package's estimator and independent of it, so that the truth does not rest on what it is to
    test. Cox 1972, 10.1111/j.2517-6161.1972.tb00899.x.

    Parameters
    ----------
    values
        Patients x columns.
    covariates
        Patients x covariates, in every model; no column for none.
    time, event
        Follow-up and event (0/1) per patient.

    Returns
    -------
    numpy.ndarray
        One number per column; NaN where the covariates leave less than a twentieth of a
        column's variance, so that its coefficient would say nothing.
    """
    order = np.argsort(-time, kind="stable")
    died = event[order] == 1
    # Last row, among patients sorted by falling time, that is at risk at each event's time.
    last = np.searchsorted(-time[order], -time[order][died], side="right") - 1
    scaled = [(part - part.mean(axis=0)) / part.std(axis=0) for part in (values, covariates)]
    rest = scaled[0] - scaled[1] @ np.linalg.lstsq(scaled[1], scaled[0], rcond=None)[0]
    out = np.full(values.shape[1], np.nan)
    for column in np.flatnonzero(rest.var(axis=0) > 0.05):
        design = np.column_stack([scaled[0][:, column], scaled[1]])[order]
        beta = np.zeros(design.shape[1])
        squares = design[:, :, None] * design[:, None, :]
        for _ in range(8):
            weight = np.exp(design @ beta)
            total = np.cumsum(weight)[last]
            first = np.cumsum(weight[:, None] * design, axis=0)[last] / total[:, None]
            second = np.cumsum(weight[:, None, None] * squares, axis=0)[last]
            information = (
                second / total[:, None, None] - first[:, :, None] * first[:, None, :]
            ).sum(axis=0)
            step = np.linalg.solve(information, (design[died] - first).sum(axis=0))
            beta += step
            if np.abs(step).max() < 1e-6:
                break
        out[column] = beta[0]
    return out


@dataclass(frozen=True)
class Patients:
    """Patients with what is true of them.

    Parameters
    ----------
    latents
        Rows of `cytostrat.simulate.factors.draw`.
    level
        Patients x (axes and signatures), see `levels`.
    stage
        Stage 1-4.
    times
        ``<endpoint>_time`` and ``<endpoint>_event``.
    """

    latents: pd.DataFrame
    level: pd.DataFrame
    stage: np.ndarray
    times: pd.DataFrame


def _survival(patients: Patients, endpoint: str) -> dict[str, np.ndarray]:
    """Log hazard ratios of every level, crude and given what else is planted."""
    event = patients.times[f"{endpoint}_event"].to_numpy()
    time = patients.times[f"{endpoint}_time"].to_numpy()
    er, proliferation, age = (
        patients.latents[name].to_numpy() for name in ("er", "proliferation", "age10")
    )
    covariates = {
        "none": np.empty((len(event), 0)),
        "er+age": np.column_stack([er, age]),
        "stage+proliferation+age": np.column_stack([patients.stage, proliferation, age]),
    }
    return {
        name: log_hazard_ratios(patients.level.to_numpy(), given, time, event)
        for name, given in covariates.items()
    }


def truth_table(
    cohort: str, *, own: Patients, population: Patients, endpoints: Sequence[str]
) -> pd.DataFrame:
    """Return the planted truth of a cohort, one row per quantity and axis or signature.

    Parameters
    ----------
    cohort
        Name of the cohort.
    own
        The cohort's own patients.
    population
        A large draw of the same structure; survival uses its first `N_SURVIVAL` patients.
    endpoints
        Survival endpoints.
    """
    her2 = own.latents["her2"].to_numpy()
    spread = pooled_sd(own.level.to_numpy(), her2)
    here, large = (_estimates(part.level, part.latents) for part in (own, population))
    rows = []

    def add(key: tuple[str, ...], planted, realised, used: pd.Series, n_case: str):
        for at, name in enumerate(own.level.columns):
            rows.append(
                (
                    cohort, "axis" if name in AXES else "signature", name, *key,
                    planted[at], np.nan if realised is None else realised[at], spread[at],
                    int(used.sum()), int(own.latents.loc[used, n_case].sum()) if n_case else None,
                )
            )  # fmt: skip

    er = own.latents["er"]
    strata = {"all": er.notna(), "er_positive": er.eq(1), "er_negative": er.eq(0)}
    for (question, stratum, adjustment, scale), planted in large.items():
        realised = here.get((question, stratum, adjustment, scale))
        key = (question, stratum, "", "positive - negative", adjustment, scale)
        add(key, planted, realised, strata[stratum], question)
    first = population.latents.index[:N_SURVIVAL]
    some = Patients(
        population.latents.loc[first],
        population.level.loc[first],
        population.stage[: len(first)],
        population.times.loc[first],
    )
    for endpoint in endpoints:
        realised = _survival(own, endpoint)
        for adjustment, planted in _survival(some, endpoint).items():
            key = ("survival", "all", endpoint, "per sd", adjustment, "log_hr")
            add(key, planted, realised[adjustment], strata["all"], "")
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"n_case": "Int64"})
