"""Ranks agree with SciPy's, whatever the storage, precision, ties, zeros and gaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import rankdata

from cytostrat.errors import ScoringError
from cytostrat.scoring.radix import SHORT
from cytostrat.scoring.ranking import for_ranked, rank

VALUES = {
    "continuous": lambda rng, n: rng.normal(size=n),
    "few levels": lambda rng, n: rng.integers(-3, 4, n).astype(float),
    "close": lambda rng, n: 1 + 1e-12 * rng.permutation(n),
    "tiny": lambda rng, n: 1e-300 * rng.normal(size=n),
    "huge": lambda rng, n: 1e37 * rng.normal(size=n),
    "constant": lambda rng, n: np.full(n, 2.5),
    "close, one far off": lambda rng, n: np.append(1 + 1e-5 * rng.random(n - 1), -1e30),
    "clusters": lambda rng, n: (1 + rng.integers(n // 20 + 1, size=n)) * (1 + 2e-6 * rng.random(n)),
}


def expected(row, method):
    ranks = np.zeros(len(row))
    measured = ~np.isnan(row)
    ranks[measured] = 2 * rankdata(row[measured], method=method)
    return ranks


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.one_of(st.integers(1, 6 * SHORT), st.integers(1000, 5000)),
    kind=st.sampled_from(sorted(VALUES)),
    zeros=st.sampled_from([0.0, 0.3, 0.95]),
    gaps=st.sampled_from([0.0, 0.1, 1.0]),
    dtype=st.sampled_from([np.float32, np.float64]),
    minimum=st.booleans(),
)
def test_ranks_equal_those_of_scipy(seed, n, kind, zeros, gaps, dtype, minimum):
    rng = np.random.default_rng(seed)
    rows = np.stack([VALUES[kind](rng, n) for _ in range(2)])
    rows[rng.random(rows.shape) < zeros] = 0.0
    rows[rng.random(rows.shape) < zeros / 3] = -0.0
    rows[rng.random(rows.shape) < gaps] = np.nan
    rows = rows.astype(dtype)
    wanted = np.stack([expected(row, "min" if minimum else "average") for row in rows])
    for stored in (rows, sparse.csr_matrix(rows)):
        ranked = rank(stored, tied=True)
        measured = ranked.ranks > 0
        lowest = np.where(measured, ranked.ranks - ranked.spread, 0)
        np.testing.assert_array_equal(lowest if minimum else ranked.ranks, wanted)
        np.testing.assert_array_equal(ranked.counts, (~np.isnan(rows)).sum(axis=1))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 6 * SHORT),
    kind=st.sampled_from(sorted(VALUES)),
    share=st.sampled_from([0.0, 0.2, 1.0]),
    gaps=st.sampled_from([0.0, 0.2]),
    dtype=st.sampled_from([np.float32, np.float64]),
    tied=st.booleans(),
)
def test_the_ranks_of_some_genes_are_those_among_all(seed, n, kind, share, gaps, dtype, tied):
    rng = np.random.default_rng(seed)
    rows = np.stack([VALUES[kind](rng, n) for _ in range(40)]).astype(dtype)
    rows[rng.random(rows.shape) < 0.4] = 0.0
    rows[rng.random(rows.shape) < gaps] = np.nan
    columns = np.flatnonzero(rng.random(n) < share)
    wanted = np.stack([expected(row, "average") for row in rows])[:, columns]
    lowest = np.stack([expected(row, "min") for row in rows])[:, columns]
    for stored in (rows, sparse.csr_matrix(rows), rank(rows, tied=tied)):
        found = np.full(wanted.shape, -1)
        below = np.full(wanted.shape, -1)

        def keep(ranked, start, stop, found=found, below=below):
            found[start:stop] = ranked.ranks
            if tied:
                below[start:stop] = np.where(ranked.ranks, ranked.ranks - ranked.spread, 0)

        for_ranked(stored, keep, columns=columns, tied=tied, threads=2)
        np.testing.assert_array_equal(found, wanted)
        if tied:
            np.testing.assert_array_equal(below, lowest)


def test_a_sparse_row_may_be_unsorted_and_hold_duplicates_and_explicit_zeros():
    row = sparse.csr_matrix(
        (np.array([1.0, 0.0, 2.0, 3.0]), np.array([4, 1, 0, 4]), np.array([0, 4])), shape=(1, 6)
    )
    ranks = rank(row).ranks
    np.testing.assert_array_equal(ranks[0], expected(np.array([2.0, 0, 0, 0, 4, 0]), "average"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix])
def test_an_infinite_value_names_its_sample(dtype, store):
    matrix = np.ones((70, 3), dtype=dtype)
    matrix[65, 1] = -np.inf
    with pytest.raises(ScoringError, match="Sample number 65"):
        rank(store(matrix), threads=2)


def test_an_infinite_value_in_unsorted_rows_names_its_sample():
    matrix = sparse.csr_matrix(np.ones((70, 3)))
    matrix.indices[:2] = matrix.indices[195:197] = [1, 0]
    matrix.data[-1] = np.inf
    with pytest.raises(ScoringError, match="Sample number 69"):
        rank(matrix)
