"""Kaplan-Meier curves by thirds of a score: for the eye, nothing is tested."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from cytostrat.stats import notes
from cytostrat.stats.score_columns import score_columns
from cytostrat.stats.survival_curves import kaplan_meier
from cytostrat.survival.patients import (
    DAYS_PER_YEAR,
    competing_notes,
    followed,
    one_sample_per_patient,
    recorded_endpoints,
)

THIRDS = ("low", "middle", "high")
OVERSTATES = "the curve overstates the risk where other deaths are common, which it censors"


def km_curves(
    clinical: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    cohort: str,
    signatures: Collection[str],
    method: str,
    endpoints: Sequence[str] | None = None,
    records: Mapping[str, Mapping[str, object]] | None = None,
    tick_years: float = 1.0,
) -> pd.DataFrame:
    """Return Kaplan-Meier curves by thirds of the score, for figures only.

    The limits are the 1/3 and 2/3 quantiles of the score over all patients of the cohort, fixed
    without a look at the outcome; nothing is tested.

    Parameters
    ----------
    clinical, scores, cohort, endpoints, records
        As in `survival_effects`.
    signatures
        Names of the signatures to draw.
    method
        The scoring method to draw.
    tick_years
        Distance of the rows that carry the numbers at risk.

    Returns
    -------
    pandas.DataFrame
        `cohort`, `endpoint`, `signature`, `method`, `group` (low, middle, high), `time` (days),
        `at_risk` (just before `time`), `events`, `censored`, `survival`, `low`, `high`, `tick`,
        `note`. Rows with `tick` stand at whole multiples of `tick_years` and carry the survival
        reached by then; the others are the steps of the curve, the first at time 0. A group
        without a patient has no rows; a signature whose thirds cannot be formed has
        one row with a note.
    """
    kept, _ = one_sample_per_patient(clinical)
    values = score_columns(scores[scores["method"] == method], clinical.index, signatures)
    competing = competing_notes(records)
    parts = []
    for endpoint in recorded_endpoints(clinical, endpoints):
        follow = followed(clinical.iloc[kept], endpoint)
        for signature in sorted(signatures):
            labels = {
                "cohort": cohort, "endpoint": endpoint, "signature": signature, "method": method,
            }  # fmt: skip
            column = (signature, method)
            score = values[column].to_numpy()[kept] if column in values else np.array([np.nan])
            known = score[np.isfinite(score)]
            lower, upper = np.quantile(known, [1 / 3, 2 / 3]) if known.size else (0.0, 0.0)
            if not lower < upper:
                note = "no thirds: the score is missing or has too few values"
                parts.append(pd.DataFrame([{**labels, "group": "", "tick": False, "note": note}]))
                continue
            third = np.where(score <= lower, 0, np.where(score <= upper, 1, 2))
            for number, name in enumerate(THIRDS):
                rows = follow.usable & np.isfinite(score) & (third == number)
                if rows.any():
                    curve = _curve(follow.time[rows], follow.event[rows], tick_years)
                    note = notes.join(follow.note, OVERSTATES if competing[endpoint] else "")
                    parts.append(curve.assign(**labels, group=name, note=note))
    order = [
        "cohort", "endpoint", "signature", "method", "group", "time", "at_risk", "events",
        "censored", "survival", "low", "high", "tick", "note",
    ]  # fmt: skip
    if not parts:
        return pd.DataFrame(columns=order)
    return pd.concat(parts, ignore_index=True).reindex(columns=order)


def _curve(time: np.ndarray, event: np.ndarray, tick_years: float) -> pd.DataFrame:
    """Return one curve from time 0 on, with rows at the ticks."""
    steps = kaplan_meier(time, event)
    start = {"time": 0.0, "at_risk": time.size, "events": 0, "censored": 0, "survival": 1.0}
    steps = pd.concat([pd.DataFrame([start]), steps], ignore_index=True).assign(tick=False)
    ticks = np.arange(0.0, time.max() + 1e-9, tick_years * DAYS_PER_YEAR)
    reached = np.searchsorted(steps["time"].to_numpy(), ticks, side="right") - 1
    at_ticks = steps.iloc[reached].assign(
        time=ticks,
        at_risk=[int((time >= tick).sum()) for tick in ticks],
        events=0,
        censored=0,
        tick=True,
    )
    return pd.concat([steps, at_ticks], ignore_index=True)
