"""The scale of expression values: checked against the data, then brought to log2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from cytostrat.errors import InputError

LINEAR = ("counts", "tpm", "fpkm")
LOG = ("log2", "log_intensity")
LARGEST_LOG2 = 40.0
LARGEST_WHOLE_LOG2 = 20.0
SMALLEST_LINEAR = 30.0
TARGET = {"bulk": 1e6, "single_cell": 1e4}
_ROWS = 256


@dataclass(frozen=True)
class Summary:
    """What one pass over a matrix tells.

    Parameters
    ----------
    low, high
        Smallest and largest finite value; NaN where there is none.
    n_missing
        Number of NaN.
    whole
        Whether every finite value is a whole number.
    library
        Sum per sample, float64.
    """

    low: float
    high: float
    n_missing: int
    whole: bool
    library: np.ndarray


def summarise(
    values: np.ndarray | sparse.csr_matrix,
    *,
    file: str,
    samples: Sequence[str],
    genes: Sequence[str],
) -> Summary:
    """Look at every value once, in blocks of samples.

    Raises
    ------
    InputError
        A value is infinite; the first one is named.
    """
    low, high, n_missing, whole = np.inf, -np.inf, 0, True
    library = np.zeros(values.shape[0])
    for start in range(0, values.shape[0], _ROWS):
        part = values[start : start + _ROWS]
        block = part.data if sparse.issparse(part) else part
        infinite = np.isinf(block)
        if infinite.any():
            dense = part.toarray() if sparse.issparse(part) else part
            row, column = map(int, np.argwhere(np.isinf(dense))[0])
            raise InputError(
                f"{file}: the value of gene {genes[column]!r} in sample {samples[start + row]!r} "
                "is infinite (log of zero?); add a pseudocount before the logarithm, or write NA."
            )
        missing = np.isnan(block)
        n_missing += int(missing.sum())
        finite = block[~missing] if missing.any() else block
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            whole = whole and bool((finite == np.rint(finite)).all())
        if sparse.issparse(part):
            low = min(low, 0.0)
        library[start : start + _ROWS] = np.asarray(part.sum(axis=1, dtype=np.float64)).ravel()
    if not np.isfinite(low):
        low = high = np.nan
    return Summary(low, high, n_missing, whole, library)


def check(scale: str, summary: Summary, *, file: str) -> list[str]:
    """Compare the declared scale with the values.

    Returns
    -------
    list of str
        Warnings, where the values are unusual but possible.

    Raises
    ------
    InputError
        The values can't be on the declared scale; says which scale they look like.
    """
    declared = f"{file}: expression.scale is {scale!r}, but"
    if np.isnan(summary.high):
        raise InputError(f"{file}: holds no number at all; check orientation and separator.")
    if scale in LOG:
        if summary.whole and summary.high > LARGEST_WHOLE_LOG2:
            raise InputError(
                f"{declared} all values are whole numbers up to {summary.high:.6g}, which are "
                "counts; set scale: counts."
            )
        if summary.high > LARGEST_LOG2:
            raise InputError(
                f"{declared} the largest value is {summary.high:.6g}, too large for a logarithm; "
                "set scale: tpm or fpkm (linear values), or counts."
            )
        return []
    if summary.low < 0:
        raise InputError(
            f"{declared} the smallest value is {summary.low:.6g} and {scale} are never negative; "
            "set scale: log2 (or log_intensity for an array), or correct the file."
        )
    if summary.n_missing:
        raise InputError(
            f"{declared} {summary.n_missing} values are missing, which {scale} never are; write 0 "
            "where nothing was counted, or leave the gene out."
        )
    if not summary.whole and summary.high < SMALLEST_LINEAR:
        raise InputError(
            f"{declared} the largest value is {summary.high:.6g} and not all are whole numbers, "
            "which look like logarithms; set scale: log2."
        )
    warnings = []
    if scale == "counts" and not summary.whole:
        warnings.append("counts are not whole numbers (estimated counts?), taken as they are")
        if np.allclose(summary.library, 1e6, rtol=0.01):
            warnings.append("each sample's values sum to one million: is the scale tpm?")
    return warnings


def to_log2(
    values: np.ndarray | sparse.csr_matrix, scale: str, library: np.ndarray, *, kind: str
) -> np.ndarray | sparse.csr_matrix:
    """Return log2 values, float32, in blocks of samples.

    counts become ``log2(count / library * target + 1)`` with a target of one million in bulk
    and ten thousand in cells; tpm and fpkm become ``log2(x + 1)``; logarithms stay as they are.
    """
    if sparse.issparse(values):
        return _sparse_to_log2(values, scale, library, kind=kind)
    out = np.empty(values.shape, dtype=np.float32)
    for start in range(0, len(values), _ROWS):
        rows = slice(start, start + _ROWS)
        block = values[rows].astype(np.float64)
        if scale == "counts":
            block *= (TARGET[kind] / library[rows])[:, None]
        out[rows] = np.log2(block + 1) if scale in LINEAR else block
    return out


def _sparse_to_log2(
    values: sparse.csr_matrix, scale: str, library: np.ndarray, *, kind: str
) -> sparse.csr_matrix:
    data = np.empty(values.nnz, dtype=np.float32)
    for start in range(0, values.shape[0], _ROWS):
        stop = min(start + _ROWS, values.shape[0])
        place = slice(values.indptr[start], values.indptr[stop])
        block = values.data[place].astype(np.float64)
        if scale == "counts":
            per_row = np.diff(values.indptr[start : stop + 1])
            block *= np.repeat(TARGET[kind] / library[start:stop], per_row)
        data[place] = np.log2(block + 1) if scale in LINEAR else block
    return sparse.csr_matrix(
        (data, values.indices.copy(), values.indptr.copy()), shape=values.shape
    )


def describe(scale: str, *, kind: str, pseudocount: float | None) -> str:
    """Return the transform in words, for provenance and report."""
    if scale == "counts":
        unit = "counts per million" if kind == "bulk" else "counts per ten thousand"
        return f"log2({unit} + 1), library size over all ids of the file"
    if scale in LINEAR:
        return f"log2({scale.upper()} + 1)"
    added = f" (the publisher added {pseudocount:g})" if pseudocount else ""
    return f"unchanged, log2{added}" if scale == "log2" else "unchanged, log2 intensity"
