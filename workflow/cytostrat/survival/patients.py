"""Who of a cohort is followed up, and for which endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cytostrat import tables
from cytostrat.errors import EstimationError
from cytostrat.stats import notes
from cytostrat.stats.survival_models import FollowUp, follow_up

DAYS_PER_YEAR = 365.25
CAUSE_SPECIFIC = "cause-specific hazard: other deaths are censored"


def one_sample_per_patient(clinical: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Return the positions of one sample per patient, sorted by name, and what was left out."""
    order = np.argsort(clinical.index.astype(str).to_numpy(), kind="stable")
    keep = tables.baseline_samples(clinical)
    later = np.zeros(len(clinical), dtype=bool)
    if "timepoint" in clinical:
        later = clinical["timepoint"].isin(["during", "after"]).to_numpy()
    clauses = []
    if later.any():
        clauses.append(f"{int(later.sum())} samples taken during or after treatment left out")
    if n := int((~keep & ~later).sum()):
        clauses.append(f"{n} further samples of the same patients left out")
    return order[keep[order]], notes.join(clauses)


def recorded_endpoints(clinical: pd.DataFrame, endpoints: Sequence[str] | None) -> list[str]:
    """Return the endpoints wanted (None: all) that the cohort has follow-up for.

    Raises
    ------
    EstimationError
        One of those wanted is not in `cytostrat.tables.ENDPOINTS`.
    """
    wanted = tables.ENDPOINTS if endpoints is None else endpoints
    unknown = [name for name in wanted if name not in tables.ENDPOINTS]
    if unknown:
        raise EstimationError(
            f"Endpoint {unknown[0]} is not one of {', '.join(tables.ENDPOINTS)}; "
            "correct the list of endpoints."
        )
    return [
        name
        for name in wanted
        if {f"{name}_time", f"{name}_event"} <= set(clinical.columns)
        and clinical[f"{name}_time"].notna().any()
    ]


def competing_notes(records: Mapping[str, Mapping[str, object]] | None) -> dict[str, str]:
    """Return the note of each endpoint on other deaths, empty where they are events."""
    out = {}
    for name in tables.ENDPOINTS:
        stated = (records or {}).get(name, {}).get("competing")
        usual = name in tables.CENSORING_OTHER_DEATHS
        why = f", as {name} is usually defined" if stated is None else ""
        out[name] = f"{CAUSE_SPECIFIC}{why}" if (usual if stated is None else stated) else ""
    return out


def followed(clinical: pd.DataFrame, endpoint: str) -> FollowUp:
    """Return time and event of an endpoint; what is wrong with them is said with its name."""
    try:
        return follow_up(clinical[f"{endpoint}_time"], clinical[f"{endpoint}_event"])
    except EstimationError as error:
        raise EstimationError(f"Endpoint {endpoint}: {error}") from error
