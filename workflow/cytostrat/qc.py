"""Quality: expected numbers, patients that an earlier cohort has, positive controls.

Outputs
-------
Cohort
    The harmonised cohort without the patients of earlier cohorts of its namespace.
Flow
    One row per earlier cohort.
Controls
    Effects rows of the question ``control``: the area under the curve with which the gene
    ERBB2 separates HER2 status and ESR1 separates ER status, over all patients of the cohort
    (`cytostrat.tables.baseline_samples`), also those whom an earlier cohort keeps. A value below
    0.7 is a warning (wrong column, wrong map, swapped samples), not an error: cohorts differ.
    `cytostrat.stats.controls` says what passes, and what is swapped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.stats.controls import control_note, is_reversed
from cytostrat.stats.rank import auc, mann_whitney_p
from cytostrat.tables import EFFECTS, FLOW, baseline_samples

if TYPE_CHECKING:
    from anndata import AnnData

CONTROLS = {"her2": "ERBB2", "er": "ESR1"}
SUSPICIOUS_AUC = 0.7
FEWEST_PER_GROUP = 2


def check(
    cohort: AnnData,
    earlier_patients: Mapping[str, Collection[str]],
    *,
    expected: Mapping[str, Any] | None = None,
) -> tuple[AnnData, pd.DataFrame, pd.DataFrame]:
    """Check a harmonised cohort and leave out patients that were counted before.

    Parameters
    ----------
    cohort
        The Cohort table as `cytostrat.harmonise` made it.
    earlier_patients
        Earlier cohort to its patients (``NAMESPACE:id``), in the order of the configuration.
    expected
        ``expected`` of the cohort file: ``n`` and ``groups``, before patients are left out.

    Returns
    -------
    cohort, flow, controls
        The Cohort, Flow and Effects tables.

    Raises
    ------
    InputError
        Numbers differ from the expected ones, or an earlier cohort has all the patients.
    """
    provenance = dict(cohort.uns["provenance"])
    name = provenance["cohort"]
    keep, flow, found = check_patients(cohort.obs, earlier_patients, cohort=name, expected=expected)
    warnings = [*provenance["warnings"], *found]
    out = cohort[keep].copy() if not keep.all() else cohort
    # the labels are judged by all patients; who counts in which cohort is another matter
    controls = _controls(cohort, name)
    for row in controls.itertuples():
        if is_reversed(row.high):
            warnings.append(
                f"{row.signature} separates {row.endpoint.upper()} status in reverse (AUC "
                f"{row.estimate:.2f}): the values of columns.{row.endpoint} look swapped"
            )
        elif row.estimate < SUSPICIOUS_AUC:
            warnings.append(
                f"{row.signature} separates {row.endpoint.upper()} status with an AUC of only "
                f"{row.estimate:.2f}: check the column, its value map and the sample names"
            )
    out.uns["provenance"] = {**provenance, "warnings": warnings}
    return out, flow, controls


def check_patients(
    obs: pd.DataFrame,
    earlier_patients: Mapping[str, Collection[str]],
    *,
    cohort: str,
    expected: Mapping[str, Any] | None = None,
    step: str = "11 shared patients",
) -> tuple[np.ndarray, pd.DataFrame, list[str]]:
    """Check the numbers and find who is in an earlier cohort.

    Parameters
    ----------
    obs
        Canonical columns; one row per sample or cell.
    earlier_patients, expected
        As in `check`.
    cohort
        Name of the cohort.
    step
        Name of the step in the Flow table.

    Returns
    -------
    keep, flow, warnings
        Per row whether it stays, Flow rows, and what the provenance should say.

    Raises
    ------
    InputError
        As in `check`.
    """
    _check_expected(obs, expected or {}, cohort)
    warnings = []
    if not (expected or {}).get("n"):
        warnings.append("number of samples unverified: the cohort file states no expected n")
    keep = np.ones(len(obs), dtype=bool)
    rows = []
    patient = obs["patient"].astype(object)
    for earlier, patients in earlier_patients.items():
        before = int(keep.sum())
        keep &= ~patient.isin(list(patients)).to_numpy()
        rows.append((cohort, step, f"patient is in {earlier}", before, int(keep.sum())))
    if not keep.any():
        raise InputError(
            f"cohort {cohort}: every patient is already in {', '.join(earlier_patients)}; take one "
            "of them out of `cohorts` in the configuration."
        )
    flow = pd.DataFrame(rows, columns=["cohort", "step", "reason", "n_in", "n_out"])
    return keep, FLOW.conform(flow), warnings


def _check_expected(obs: pd.DataFrame, expected: Mapping[str, Any], name: str) -> None:
    wanted = expected.get("n")
    if wanted is not None and wanted != len(obs):
        raise InputError(
            f"cohort {name}: key expected.n is {wanted}, but {len(obs)} samples are left after "
            "filters; correct the file, the filters or the number."
        )
    for column, groups in expected.get("groups", {}).items():
        if column not in obs:
            raise InputError(
                f"cohort {name}: key expected.groups names {column!r}, which is no canonical "
                "column; correct it."
            )
        found = obs[column].astype(object).where(obs[column].notna(), "missing").value_counts()
        for value, n in groups.items():
            if found.get(value, 0) != n:
                counts = ", ".join(f"{key} {count}" for key, count in found.sort_index().items())
                raise InputError(
                    f"cohort {name}: key expected.groups.{column}.{value} is {n}, but "
                    f"{found.get(value, 0)} samples are {value} (found: {counts}); correct "
                    f"columns.{column} or the number."
                )


def _controls(cohort: AnnData, name: str) -> pd.DataFrame:
    rows = []
    one_each = baseline_samples(cohort.obs)
    for endpoint, gene in CONTROLS.items():
        status = cohort.obs[endpoint].astype(object)
        groups = status.isin(["positive", "negative"]).to_numpy() & one_each
        case = (status == "positive").to_numpy()[groups]
        row = {
            "cohort": name, "question": "control", "endpoint": endpoint, "stratum": "all",
            "signature": gene, "method": "gene", "contrast": "positive - negative",
            "her2_rule": "primary", "gene_filter": "all genes", "adjustment": "none",
            "scale": "auc", "n": len(case), "n_case": int(case.sum()),
        }  # fmt: skip
        if gene not in cohort.var_names:
            row["note"] = f"{gene} is not measured"
        elif min(case.sum(), (~case).sum()) < FEWEST_PER_GROUP:
            row["note"] = "fewer than two patients in a group"
        else:
            values = cohort[:, gene].X
            values = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
            values = values[groups].astype(np.float64)
            measured = ~np.isnan(values[:, 0])
            row |= _estimate(values[measured], case[measured])
        rows.append(row)
    return EFFECTS.records(rows)


def _estimate(values: np.ndarray, case: np.ndarray) -> dict[str, Any]:
    found = auc(values, case)
    return {
        "n": len(case),
        "n_case": int(case.sum()),
        "estimate": float(found.estimate[0]),
        "se": float(found.se[0]),
        "low": float(found.low[0]),
        "high": float(found.high[0]),
        "p": float(mann_whitney_p(values, case)[0]),
        "note": control_note(float(found.estimate[0]), float(found.low[0]), float(found.high[0])),
    }
