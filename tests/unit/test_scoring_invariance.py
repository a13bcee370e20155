"""What must not move a score moves none of its bits; what may compare samples says so."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from cytostrat.scoring import METHODS, rank, score
from cytostrat.scoring.ranking import ROWS

OPTIONS = {
    "ssgsea": {},
    "singscore": {"unknown": ["plain"]},
    "ucell": {"max_rank": 40},
    "aucell": {"fraction": 0.2},
    "zscore": {},
    "gsva": {},
}
ALONE = [name for name in OPTIONS if METHODS[name].comparable_cohorts]
TOGETHER = [name for name in OPTIONS if not METHODS[name].comparable_cohorts]


def test_every_set_based_method_is_tested_here():
    assert set(OPTIONS) == set(METHODS) - {"cytosig"}


@st.composite
def cohorts(draw):
    """Matrix (samples x genes) with ties, zeros and gaps, gene names, sets."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_samples = draw(st.sampled_from([2, 5, ROWS + 3]))
    n_genes = draw(st.sampled_from([30, 129, 160]))
    matrix = rng.normal(2, 1.5, size=(n_samples, n_genes))
    if draw(st.booleans()):
        matrix = np.round(matrix, 1)
    matrix[rng.random(matrix.shape) < draw(st.sampled_from([0.0, 0.6]))] = 0.0
    matrix[rng.random(matrix.shape) < draw(st.sampled_from([0.0, 0.1]))] = np.nan
    genes = [f"G{i}" for i in rng.permutation(n_genes)]
    sets = {
        "plain": (list(rng.choice(genes, 9, replace=False)), []),
        "one": ([genes[3]], []),
        "both": ([*genes[5:17], "ABSENT"], genes[20:27]),
    }
    return matrix.astype(np.float32), genes, sets, rng


@pytest.mark.parametrize("method", OPTIONS)
@settings(max_examples=40, deadline=None)
@given(cohort=cohorts(), threads=st.integers(1, 3))
def test_order_storage_precision_and_threads_change_no_bit(method, cohort, threads):
    matrix, genes, sets, rng = cohort

    def scored(matrix, genes, sets, **more):
        return score(matrix, genes, sets, method=method, **OPTIONS[method], **more)

    plain = scored(matrix, genes, sets)
    columns, rows = rng.permutation(len(genes)), rng.permutation(len(matrix))
    backwards = {name: (up[::-1], down[::-1]) for name, (up, down) in reversed(sets.items())}
    variants = {
        "threads": scored(matrix, genes, sets, threads=threads),
        "genes": scored(matrix[:, columns], [genes[i] for i in columns], sets),
        "samples": scored(matrix[rows], genes, sets, samples=rows).sort_index(),
        "sets": scored(matrix, genes, backwards)[list(sets)],
        "one set": pd.concat([scored(matrix, genes, {name: sets[name]}) for name in sets], axis=1),
        "csr": scored(sparse.csr_matrix(matrix), genes, sets, threads=threads),
        "float64": scored(matrix.astype(np.float64), genes, sets),
        "columns first": scored(np.asfortranarray(matrix), genes, sets),
        "csc": scored(sparse.csc_matrix(matrix), genes, sets),
    }
    if method in ALONE:
        variants["ranked"] = scored(rank(matrix, tied=True, threads=threads), genes, sets)
        cut = len(matrix) // 2
        parts = [scored(part, genes, sets) for part in (matrix[:cut], matrix[cut:])]
        variants["chunks"] = pd.concat(parts, ignore_index=True)
        variants["alone"] = pd.concat(
            [scored(matrix[i : i + 1], genes, sets) for i in range(len(matrix))], ignore_index=True
        )
    for name, variant in variants.items():
        np.testing.assert_array_equal(variant.to_numpy(), plain.to_numpy(), err_msg=name)


@pytest.mark.parametrize("method", OPTIONS)
def test_the_record_tells_whether_other_samples_matter(method):
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(12, 80))
    genes = [f"G{i}" for i in range(80)]
    sets = {"plain": (genes[:10], []), "both": (genes[10:20], genes[20:30])}
    whole = score(matrix, genes, sets, method=method, **OPTIONS[method]).iloc[:6]
    half = score(matrix[:6], genes, sets, method=method, **OPTIONS[method])
    assert whole.equals(half) == METHODS[method].comparable_cohorts


@pytest.mark.parametrize("method", ALONE)
@settings(max_examples=40, deadline=None)
@given(cohort=cohorts())
def test_a_gene_missing_in_a_sample_scores_as_if_the_matrix_lacked_it(method, cohort):
    matrix, genes, sets, _ = cohort
    options = OPTIONS[method] | ({"max_rank": 15} if method == "ucell" else {})
    found = score(matrix, genes, sets, method=method, **options)
    for number, row in enumerate(matrix):
        kept = np.flatnonzero(~np.isnan(row))
        alone = score(row[None, kept], [genes[i] for i in kept], sets, method=method, **options)
        np.testing.assert_array_equal(alone.iloc[0], found.iloc[number])


@pytest.mark.parametrize("method", ALONE)
def test_only_the_order_of_values_counts(method):
    rng = np.random.default_rng(5)
    matrix = np.round(rng.normal(size=(5, 90)), 1)
    genes = [f"G{i}" for i in range(90)]
    sets = {"plain": (genes[:10], []), "both": (genes[10:20], genes[20:30])}
    found = score(matrix, genes, sets, method=method, **OPTIONS[method])
    stretched = score(np.exp(3 * matrix), genes, sets, method=method, **OPTIONS[method])
    pd.testing.assert_frame_equal(found, stretched, check_exact=True)
