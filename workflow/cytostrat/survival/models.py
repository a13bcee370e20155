"""Which hazards are modelled: endpoints, strata and covariates, each model once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytostrat.stats.survival_models import FollowUp
from cytostrat.survival.patients import followed, recorded_endpoints

Stratum = Mapping[str, str]
"""Clinical column to the value that all members have; empty for everybody."""

STRATA: dict[str, Stratum] = {
    "all": {},
    "her2_positive": {"her2": "positive"},
    "her2_negative": {"her2": "negative"},
    "er_positive": {"er": "positive"},
    "er_negative": {"er": "negative"},
    "endocrine_er_positive_her2_negative": {
        "endocrine": "yes",
        "er": "positive",
        "her2": "negative",
    },
}
LATER_TREATMENTS = ("chemo", "endocrine", "treatment")
IMMORTAL_TIME = (
    "the stratum is of a treatment given after time 0, which its patients lived to receive "
    "(immortal time)"
)


@dataclass(frozen=True)
class Cohort:
    """What every row of one cohort shares; all frames hold one row per patient."""

    name: str
    clinical: pd.DataFrame
    values: pd.DataFrame
    positions: np.ndarray
    signature_notes: Mapping[str, str]
    crude_note: str
    patient_note: str
    events_per_term: int
    hazards_alpha: float
    split_years: float
    competing: Mapping[str, str]


@dataclass(frozen=True)
class Model:
    """One endpoint in one stratum under one adjustment.

    `member` marks the patients of the stratum, `unrecorded` names what defines it and the cohort
    lacks, `baselines` the covariates that get a baseline hazard per level, not a coefficient.
    """

    question: str
    endpoint: str
    stratum: str
    covariates: tuple[str, ...]
    follow: FollowUp
    member: np.ndarray
    unrecorded: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()
    interaction: bool = False
    stratum_note: str = ""

    @property
    def adjustment(self) -> str:
        """As it stands in the Effects table."""
        parts = [f"strata({name})" for name in self.baselines]
        return "+".join([*parts, *self.covariates]) or "none"


def models(
    cohort: Cohort,
    endpoints: Sequence[str] | None,
    general: Sequence[tuple[str, ...]],
    further: Sequence[tuple[str, ...]],
    strata: Mapping[str, Stratum],
) -> Iterator[Model]:
    """Yield every model once: strata by adjustments, then the HER2 interaction.

    The sets of covariates in `further` are for everybody only: subgroups lack the events.
    """
    clinical = cohort.clinical
    for endpoint in recorded_endpoints(clinical, endpoints):
        follow = followed(clinical, endpoint)
        for stratum, rule in strata.items():
            member = follow.usable
            unrecorded = tuple(name for name in rule if not _has(clinical, name))
            for column, value in rule.items():
                inside = clinical[column] == value if column in clinical else False
                member = member & np.asarray(inside)
            sets = general if rule else [*general, *further]
            for names in _distinct(sets, without=rule):
                yield Model(
                    "survival", endpoint, stratum, names, follow, member, unrecorded,
                    stratum_note="" if set(rule).isdisjoint(LATER_TREATMENTS) else IMMORTAL_TIME,
                )  # fmt: skip
        known = follow.usable
        if recorded := _has(clinical, "her2"):
            known = known & clinical["her2"].isin(["positive", "negative"]).to_numpy()
        for names in _distinct(general[:2], without=["her2"]):
            yield Model(
                "survival_her2_interaction", endpoint, "all", names, follow, known & recorded,
                () if recorded else ("her2",), interaction=True,
            )  # fmt: skip


def _distinct(
    sets: Sequence[tuple[str, ...]], *, without: Collection[str]
) -> Iterator[tuple[str, ...]]:
    """Yield sets of covariates less those named, each once."""
    yield from dict.fromkeys(tuple(name for name in names if name not in without) for names in sets)


def _has(clinical: pd.DataFrame, name: str) -> bool:
    return name in clinical and bool(clinical[name].notna().any())
