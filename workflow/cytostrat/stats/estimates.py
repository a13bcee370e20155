"""The one shape that estimators return, and the bounds of a p-value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cytostrat.errors import EstimationError

SMALLEST_P = 1e-300
UNDERFLOW_NOTE = "p is below 1e-300 and stored as 1e-300"


@dataclass(frozen=True)
class Estimates:
    """Estimates of one quantity for several columns (signatures or random sets).

    Parameters
    ----------
    estimate, se, low, high
        Shape (columns,); NaN means not estimated. `low` and `high` bound the confidence
        interval at the level that was asked for.
    p
        Two-sided, in (0, 1]; NaN where the quantity is not tested.
    n, n_case
        Samples used and, among them, the cases; None where there are no two groups.
    df
        Degrees of freedom of the interval's t distribution, one for all columns or shape
        (columns,); infinite for the normal one.
    """

    estimate: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    n: int
    n_case: int | None = None
    df: float | np.ndarray = np.inf

    @classmethod
    def nothing(cls, columns: int, *, n: int, n_case: int | None = None) -> Estimates:
        """Return missing estimates that still say how many samples there were."""
        missing = np.full(columns, np.nan)
        return cls(missing, missing, missing, missing, missing, n=n, n_case=n_case)


def bounded_p(p: np.ndarray | float) -> np.ndarray:
    """Return p-values in (0, 1]: an underflow becomes 1e-300, rounding above 1 becomes 1.

    Where the result equals `SMALLEST_P` the row carries `UNDERFLOW_NOTE`. NaN stays NaN.
    """
    return np.clip(np.asarray(p, dtype=float), SMALLEST_P, 1.0)


def as_columns(values: np.ndarray) -> np.ndarray:
    """Return values as float64 of shape (samples, columns); a vector becomes one column."""
    values = np.asarray(values, dtype=float)
    if values.ndim not in (1, 2):
        raise EstimationError(f"Values have {values.ndim} dimensions, 1 or 2 are allowed.")
    return values[:, None] if values.ndim == 1 else values


def split_groups(values: np.ndarray, case: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the cases and of the controls.

    Raises
    ------
    EstimationError
        `case` is not boolean, has another length, or a group holds fewer than two samples.
    """
    values = as_columns(values)
    case = np.asarray(case)
    if case.dtype != bool or case.shape != (len(values),):
        raise EstimationError(
            f"The group indicator has type {case.dtype} and shape {case.shape}, "
            f"it must be boolean and of shape ({len(values)},)."
        )
    if case.sum() < 2 or (~case).sum() < 2:
        raise EstimationError(
            f"The groups hold {int(case.sum())} and {int((~case).sum())} samples, "
            "each needs at least two."
        )
    return values[case], values[~case]
