"""Latent factors of simulated patients and the structure that ties them together.

Every factor is a linear function of HER2 status, ER status, age and of factors above it in
`STRUCTURE`, plus independent Gaussian noise. Because the structure is linear, what a
contrast, an adjusted difference or a Cox model should find is defined before any expression
value is drawn (see `cytostrat.simulate.truth`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

AXES = ("IL1", "IFN-I", "IFN-II", "IL2", "TGFB")


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return a generator that depends on the seed and on names, and on nothing else."""
    text = "\x1f".join((str(int(seed)), *names))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


@dataclass(frozen=True)
class Effects:
    """What is planted.

    Parameters
    ----------
    her2
        Direct effect of HER2-positive disease on a factor, given ER status and age, in
        residual standard deviations of the factor. Factors that are not named: none.
    er_negative
        The same for ER-negative disease.
    log_hr
        Log hazard ratio per standard deviation of a factor, given stage, proliferation and age.
    hazards
        Log hazard ratio of ``stage`` (per stage), ``proliferation`` (per unit) and ``age``
        (per ten years).
    amplicon
        Log2 gain of the ERBB2 amplicon in HER2-positive tumours.
    """

    her2: Mapping[str, float] = field(default_factory=dict)
    er_negative: Mapping[str, float] = field(default_factory=dict)
    log_hr: Mapping[str, float] = field(default_factory=dict)
    hazards: Mapping[str, float] = field(default_factory=dict)
    amplicon: float = 0.0


PLANTED = Effects(
    her2={
        "IL1": -0.55,
        "IFN-I": 0.85,
        "IFN-II": 0.45,
        "IL2": 0.2,
        "TGFB": 0.0,
        "proliferation": 0.4,
    },
    er_negative={
        "IL1": 0.9,
        "IFN-I": 0.3,
        "IFN-II": 0.5,
        "IL2": 0.5,
        "TGFB": -0.3,
        "proliferation": 0.9,
        "myeloid": 0.3,
        "T cells": 0.3,
    },
    log_hr={"IL1": 0.45},
    hazards={"stage": 0.45, "proliferation": 0.25, "age": 0.2},
    amplicon=2.2,
)
NONE = Effects()

# Factor: (parents with their coefficients, standard deviation of the independent part).
# `age10` is (age - 60) / 10. The order is one in which parents come first.
STRUCTURE: dict[str, tuple[dict[str, float], float]] = {
    "proliferation": ({"age10": -0.1}, 1.0),
    "purity_z": ({}, 1.0),
    "myeloid": ({"purity_z": -0.5}, 0.85),
    "T cells": ({"purity_z": -0.45, "myeloid": 0.3}, 0.8),
    "TGFB": ({"purity_z": -0.4, "age10": 0.05}, 0.9),
    "IL1": ({"myeloid": 0.5, "age10": 0.05}, 0.85),
    "IFN-II": ({"T cells": 0.55, "age10": -0.05}, 0.8),
    "IFN-I": ({"IFN-II": 0.35, "age10": -0.05}, 0.9),
    "IL2": ({"T cells": 0.5, "age10": -0.05}, 0.85),
    "TNF": ({"IL1": 0.7}, 0.7),
    "IL6": ({"IL1": 0.4, "myeloid": 0.3}, 0.8),
    "IL7": ({"T cells": 0.3}, 0.95),
    "EMT": ({"TGFB": 0.5}, 0.85),
    "IL11": ({"TGFB": 0.4}, 0.9),
    "IL12": ({"IFN-II": 0.4}, 0.9),
    "IL18": ({"myeloid": 0.3}, 0.95),
    "IL21": ({"IL2": 0.4}, 0.9),
}
N_NUISANCE = 5
ER_POSITIVE = {"negative": 0.81, "positive": 0.44}
"""Share of ER-positive tumours by HER2 status: METABRIC, Curtis 2012, 10.1038/nature10983."""


def draw(
    rng: np.random.Generator,
    *,
    n: int,
    her2_fraction: float,
    effects: Effects,
    confounding: float,
    extra: Iterable[str] = (),
) -> pd.DataFrame:
    """Draw patients: HER2, ER, age and every factor.

    Parameters
    ----------
    rng
        Source of randomness.
    n
        Number of patients.
    her2_fraction
        Share of HER2-positive patients; their number is rounded, not drawn, so that a cohort
        sampled on HER2 has the groups it was designed with.
    effects
        What is planted.
    confounding
        1 ties ER to HER2 as in `ER_POSITIVE`, 0 makes them independent with the same margins.
    extra
        Further factors, independent of all others.

    Returns
    -------
    pandas.DataFrame
        One row per patient: ``her2`` and ``er`` (0/1), ``age`` (years), ``purity`` (fraction),
        ``ER``, ``ERBB2`` (activity on the log2 scale) and the factors of `STRUCTURE`.
    """
    her2 = np.zeros(n)
    her2[rng.permutation(n)[: round(n * her2_fraction)]] = 1.0
    rates = np.where(her2 == 1, ER_POSITIVE["positive"], ER_POSITIVE["negative"])
    margin = rates.mean()
    er = (rng.random(n) < margin + confounding * (rates - margin)).astype(float)
    age = np.clip(np.where(er == 1, 62.0, 56.0) + 12.5 * rng.standard_normal(n), 24, 93)
    columns = {"her2": her2, "er": er, "age": np.round(age), "age10": (np.round(age) - 60) / 10}
    for name, (parents, spread) in STRUCTURE.items():
        columns[name] = (
            spread * rng.standard_normal(n)
            + effects.her2.get(name, 0.0) * her2
            + effects.er_negative.get(name, 0.0) * (1 - er)
            + sum(weight * columns[parent] for parent, weight in parents.items())
        )
    columns["purity"] = 1 / (1 + np.exp(-(0.45 + 0.7 * columns["purity_z"])))
    columns["ER"] = 1.3 * er - 0.65 + 0.35 * rng.standard_normal(n)
    gain = effects.amplicon * (1 + 0.2 * rng.standard_normal(n))
    columns["ERBB2"] = her2 * gain + 0.2 * rng.standard_normal(n)
    for name in sorted(set(extra) - set(columns)):
        columns[name] = rng.standard_normal(n)
    return pd.DataFrame(columns)


def nuisance(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw the unnamed factors that make unrelated genes correlate, as in real tumours."""
    return rng.standard_normal((n, N_NUISANCE))
