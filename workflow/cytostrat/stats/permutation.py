"""Empirical p-values that are never zero, and the labellings they rest on.

Reference: Phipson & Smyth 2010, doi:10.2202/1544-6115.1585.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from cytostrat.errors import EstimationError

EXACT_UP_TO = 14
_ROUNDING = 1e-10
_PATTERNS = 1000  # sign patterns in memory at a time


def empirical_p(observed: np.ndarray | float, null: np.ndarray) -> np.ndarray:
    """Return the two-sided empirical p = (k + 1) / (n + 1) per column.

    k counts the null values at least as far from zero as the observed one (equal up to
    rounding error counts), n the finite null values. For random gene sets this asks Venet's
    question: is the signature's effect larger, in either direction, than that of sets which
    stand for nothing?

    Parameters
    ----------
    observed
        Scalar or shape (columns,).
    null
        Shape (n,) or (n, columns); NaN values (sets that could not be estimated) are left out.

    Returns
    -------
    numpy.ndarray
        Shape of `observed`; NaN where the observed value or the whole null is missing.
    """
    observed = np.asarray(observed, dtype=float)
    null = np.asarray(null, dtype=float)
    strength = np.abs(observed)
    at_least = np.abs(null) >= strength * (1 - _ROUNDING)
    finite = np.isfinite(null)
    n = finite.sum(axis=0)
    p = ((at_least & finite).sum(axis=0) + 1) / (n + 1)
    return np.where(np.isfinite(observed) & (n > 0), p, np.nan)


def permuted_labels(
    case: np.ndarray, n: int, *, seed: int, strata: np.ndarray | None = None
) -> np.ndarray:
    """Return n random relabellings, shape (n, samples), that keep the group sizes.

    With `strata` the labels move only inside a stratum, so that its share of cases stays.
    The result depends on `seed` alone.
    """
    case = np.asarray(case, dtype=bool)
    rng = np.random.default_rng(seed)
    out = np.tile(case, (n, 1))
    levels = np.zeros(len(case), dtype=int) if strata is None else np.asarray(strata)
    for level in np.unique(levels):
        members = np.flatnonzero(levels == level)
        out[:, members] = rng.permuted(out[:, members], axis=1)
    return out


def sign_flip_p(differences: np.ndarray, *, n: int = 9999, seed: int = 0) -> np.ndarray:
    """Return the two-sided p of paired differences under symmetry about zero, per column.

    Up to 14 non-zero pairs all sign patterns are counted (exact, the smallest p is 2^(1 - n));
    beyond that `n` random patterns, the same for every column, with (k + 1) / (n + 1). A
    difference of zero carries no sign.

    Parameters
    ----------
    differences
        Shape (pairs,) or (pairs, columns), finite.
    n, seed
        Number of random patterns, and their seed.

    Returns
    -------
    numpy.ndarray
        Shape () or (columns,); 1 where no difference moves.

    Raises
    ------
    EstimationError
        A difference is missing or infinite.
    """
    differences = np.asarray(differences, dtype=float)
    if not np.isfinite(differences).all():
        raise EstimationError("A paired difference is missing or infinite; leave the pair out.")
    columns = differences.reshape(len(differences), -1)
    moving = columns != 0
    few = moving.sum(axis=0) <= EXACT_UP_TO
    p = np.ones(columns.shape[1])
    for column in np.flatnonzero(few & moving.any(axis=0)):
        own = columns[moving[:, column], column]
        signs = np.array(list(product((-1.0, 1.0), repeat=own.size)))
        p[column] = (np.abs(signs @ own) >= abs(own.sum()) * (1 - _ROUNDING)).mean()
    if not few.all():
        many = columns[:, ~few]
        rng = np.random.default_rng(seed)
        sums = [
            _signs(rng, min(_PATTERNS, n - start), len(many)) @ many
            for start in range(0, n, _PATTERNS)
        ]
        p[~few] = empirical_p(many.sum(axis=0), np.concatenate(sums))
    return p.reshape(differences.shape[1:])


def _signs(rng: np.random.Generator, patterns: int, pairs: int) -> np.ndarray:
    return 2.0 * rng.integers(0, 2, size=(patterns, pairs), dtype=np.int8) - 1.0
