"""Covariates of a model as a numeric design, complete cases only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytostrat.errors import EstimationError
from cytostrat.tables import NUMERIC_CLINICAL


@dataclass(frozen=True)
class Design:
    """Numeric covariates of the samples that have them all.

    Parameters
    ----------
    matrix
        Shape (complete samples, terms), no intercept; numbers centred and in units of their
        SD, text as one indicator per level but the first.
    complete
        Shape (samples,), True where no covariate is missing.
    terms
        Names of the columns, ``age`` or ``grade=3``.
    notes
        What was left out and why.
    """

    matrix: np.ndarray
    complete: np.ndarray
    terms: tuple[str, ...]
    notes: tuple[str, ...]


def covariate_design(frame: pd.DataFrame, covariates: Sequence[str]) -> Design:
    """Return the design of the named columns.

    A column is a number where its type is numeric or the Cohort contract says so, otherwise
    text with sorted levels (grade and stage too: no equal steps are assumed). ``equivocal``
    is a missing value here. A covariate that does not vary among the complete samples is left
    out with a note, because it cannot confound there.

    Parameters
    ----------
    frame
        Samples x columns, clinical or scores.
    covariates
        Names of columns; none gives a design without terms.

    Raises
    ------
    EstimationError
        A column does not exist, or no sample has all covariates.
    """
    complete = np.ones(len(frame), dtype=bool)
    columns: dict[str, pd.Series] = {}
    for name in covariates:
        if name not in frame.columns:
            raise EstimationError(f"covariate {name} is not in the cohort")
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column) or name in NUMERIC_CLINICAL:
            column = pd.to_numeric(column, errors="coerce").astype(float)
            column = column.where(np.isfinite(column))
        else:
            column = column.astype(object).where(column.notna() & ~column.isin(["", "equivocal"]))
        if column.isna().all():
            raise EstimationError(f"covariate {name} is missing in every sample")
        columns[name] = column
        complete &= column.notna().to_numpy()
    if not complete.any():
        raise EstimationError(f"no sample has all of {', '.join(covariates)}")
    parts: list[np.ndarray] = []
    terms: list[str] = []
    notes: list[str] = []
    if not complete.all():
        notes.append(
            f"{int((~complete).sum())} of {len(frame)} samples lack {' or '.join(covariates)} "
            "and are left out"
        )
    for name, column in columns.items():
        kept = column[complete]
        if kept.nunique() == 1:
            notes.append(f"{name} does not vary and is left out of the model")
        elif pd.api.types.is_float_dtype(kept):
            values = kept.to_numpy()
            parts.append((values - values.mean()) / values.std())
            terms.append(name)
        else:
            levels = sorted(kept.astype(str).unique())
            for level in levels[1:]:
                parts.append((kept.astype(str) == level).to_numpy(dtype=float))
                terms.append(f"{name}={level}")
    matrix = np.column_stack(parts) if parts else np.empty((int(complete.sum()), 0))
    return Design(matrix, complete, tuple(terms), tuple(notes))
