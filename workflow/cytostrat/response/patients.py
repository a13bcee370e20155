"""One row per patient, and where the samples of each stand in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytostrat.errors import EstimationError

TIMEPOINTS = ("before", "during", "after")


@dataclass(frozen=True)
class Cohort:
    """One row per patient, and where the patient's samples stand at each time point.

    `sample` holds positions in the clinical frame, -1 where there is no sample.
    """

    name: str
    patients: pd.DataFrame
    sample: Mapping[str, np.ndarray]
    notes: Mapping[str, str]
    crude_note: str
    shared_note: str
    min_group: int
    permutations: int
    seed: int

    @property
    def responded(self) -> np.ndarray:
        """1.0 responder, 0.0 not, NaN unknown."""
        return self.patients["response"].map({"yes": 1.0, "no": 0.0}).to_numpy(dtype=float)


def _column(clinical: pd.DataFrame, name: str) -> pd.Series:
    if name in clinical.columns:
        column = clinical[name].astype(object)
        return column.where(column.notna() & (column != ""), None)
    return pd.Series(None, index=clinical.index, dtype=object)


def patient_table(clinical: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, np.ndarray], list[str]]:
    """Return one row per patient (covariates of the first sample), positions, what was left out."""
    timepoint = _column(clinical, "timepoint")
    response = _column(clinical, "response")
    for name, column, allowed in (
        ("timepoint", timepoint, TIMEPOINTS),
        ("response", response, ("yes", "no")),
    ):
        strange = sorted(set(column.dropna().astype(str)) - set(allowed))
        if strange:
            raise EstimationError(
                f"Column {name} holds '{strange[0]}'; allowed are {', '.join(allowed)} and missing."
            )
    clauses = []
    if timepoint.notna().any():
        unknown = int(timepoint.isna().sum())
        if unknown:
            clauses.append(f"{unknown} samples without a time point left out")
    else:
        timepoint = timepoint.where(timepoint.notna(), "before")
    patient = _column(clinical, "patient")
    patient = patient.where(patient.notna(), clinical.index.to_series().astype(str))
    frame = pd.DataFrame(
        {
            "patient": patient.astype(str).to_numpy(),
            "timepoint": timepoint.to_numpy(),
            "response": response.to_numpy(),
            "treatment": _column(clinical, "treatment").to_numpy(),
            "position": np.arange(len(clinical)),
            "sample": clinical.index.astype(str),
        }
    )
    frame["visit"] = frame["timepoint"].map({name: i for i, name in enumerate(TIMEPOINTS)})
    frame = frame.dropna(subset="visit").sort_values(["patient", "visit", "sample"])
    known = frame.dropna(subset="response").groupby("patient")["response"]
    torn = known.nunique()
    if (torn > 1).any():
        raise EstimationError(
            f"Samples of patient {torn.index[torn > 1][0]} disagree on the response; "
            "correct the clinical table."
        )
    again = frame.duplicated(["patient", "visit"])
    if again.any():
        clauses.append(f"{int(again.sum())} further samples of a patient's time point left out")
    frame = frame[~again]
    names = pd.Index(frame["patient"].unique())
    sample = {}
    for visit in TIMEPOINTS:
        at = frame[frame["timepoint"] == visit].set_index("patient")["position"]
        sample[visit] = at.reindex(names, fill_value=-1).to_numpy(dtype=int)
    first = frame.groupby("patient")["position"].first().reindex(names).to_numpy(dtype=int)
    patients = clinical.iloc[first].set_axis(names, axis=0)
    patients = patients.assign(
        response=known.first().reindex(names),
        treatment=frame.dropna(subset="treatment").groupby("patient")["treatment"].first()
        .reindex(names),
    )  # fmt: skip
    return patients, sample, clauses


def strata(cohort: Cohort, *, by_response: bool) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield name, defining column and members: all, HER2, ER, arms, responders and others."""
    yield "all", "", np.ones(len(cohort.patients), dtype=bool)
    for column in ("her2", "er"):
        if column in cohort.patients:
            for status in ("positive", "negative"):
                member = (cohort.patients[column] == status).to_numpy()
                yield f"{column}_{status}", column, member
    arms = sorted(cohort.patients["treatment"].dropna().astype(str).unique())
    if len(arms) > 1:
        for arm in arms:
            member = (cohort.patients["treatment"].astype(str) == arm).to_numpy()
            yield f"treatment: {arm}", "treatment", member
    if by_response and np.isfinite(cohort.responded).any():
        yield "responders", "response", cohort.responded == 1
        yield "non-responders", "response", cohort.responded == 0
