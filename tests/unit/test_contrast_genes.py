"""The moderated contrast of all genes and the sets in its ranking."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from cytostrat import contrast
from cytostrat.errors import EstimationError
from cytostrat.signatures import Signature
from cytostrat.stats.moderated import moderated_t

GENES = [f"G{i:03d}" for i in range(500)]
SETS = {
    "up": Signature("up", "up", up=tuple(GENES[:30])),
    "er": Signature("er", "er", up=tuple(GENES[30:60])),
    "none": Signature("none", "none", up=tuple(GENES[200:240])),
    "unmeasured": Signature("unmeasured", "unmeasured", up=("XYZ",)),
}


@pytest.fixture(scope="module")
def cohort():
    """120 tumours; HER2 raises the first 30 genes, ER the next 30, and the two are tied."""
    rng = np.random.default_rng(31)
    n = 120
    er = rng.random(n) < 0.6
    her2 = rng.random(n) < np.where(er, 0.2, 0.6)
    matrix = rng.normal(7, 1, size=(n, 500)).astype(np.float32)
    matrix[:, :30] += 0.8 * her2[:, None]
    matrix[:, 30:60] += 1.5 * er[:, None]
    clinical = pd.DataFrame(
        {
            "her2": np.where(her2, "positive", "negative").astype(object),
            "er": np.where(er, "positive", "negative").astype(object),
            "age": rng.normal(60, 10, n),
        },
        index=[f"t{i:03d}" for i in range(n)],
    )
    clinical.iloc[0, 0] = None
    return matrix, clinical


def _prerank(matrix, clinical, **options):
    return contrast.prerank(
        matrix, GENES, clinical, SETS, cohort="c", seed=1, n_permutations=200, **options
    )


def test_genes_are_those_of_the_moderated_t_with_covariates(cohort):
    matrix, clinical = cohort
    table = contrast.moderated_contrast(matrix, GENES, clinical)
    known = clinical["her2"].notna().to_numpy()
    part = clinical[known]
    covariates = np.column_stack([part["er"] == "positive", part["age"]]).astype(float)
    expected = moderated_t(matrix[known], (part["her2"] == "positive").to_numpy(), covariates)
    ours = table.set_index("gene").loc[GENES]
    np.testing.assert_allclose(ours["t"], expected.t, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ours["coefficient"], expected.coefficient, rtol=1e-3, atol=1e-4)
    assert (np.diff(table["t"]) <= 0).all()
    assert (table["q"] >= table["p"] * 0.999).all()
    assert set(table["gene"][:5]) <= set(GENES[:30])


def test_enrichment_finds_the_planted_set_and_not_that_of_the_confounder(cohort):
    result = _prerank(*cohort)
    effects = result.effects.set_index("signature")
    assert effects.loc["up", "estimate"] > 0.6
    assert effects.loc["up", "p"] == pytest.approx(1 / 201)
    assert effects.loc["er", "p"] > 0.05
    assert effects.loc["none", "p"] > 0.05
    assert set(effects["question"]) == {"enrichment"}
    assert effects["note"].drop("unmeasured").str.contains("exploratory").all()
    assert np.isnan(effects.loc["unmeasured", "estimate"])
    assert "no gene of the set is measured" in effects.loc["unmeasured", "note"]
    # the running sum's farthest point is the score
    for name, line in result.running.groupby("signature"):
        farthest = line.loc[line["running_sum"].abs().idxmax(), "running_sum"]
        assert farthest == pytest.approx(effects.loc[name, "estimate"], abs=1e-6)
        assert line["position"].between(1, 500).all()
    assert set(result.running["signature"]) == {"up", "er", "none"}


def test_rows_storage_and_threads_change_nothing(cohort):
    matrix, clinical = cohort
    first = _prerank(matrix, clinical)
    order = np.random.default_rng(0).permutation(len(clinical))
    for other in (
        _prerank(matrix[order], clinical.iloc[order]),
        _prerank(sparse.csr_matrix(matrix), clinical, threads=2),
    ):
        pd.testing.assert_frame_equal(first.effects, other.effects)
        pd.testing.assert_frame_equal(first.running, other.running)


def test_threads_of_blas_change_no_bit():
    """Single-precision sums over many genes differ with the number of threads, ranks must not."""
    rng = np.random.default_rng(5)
    n, genes = 250, [f"G{i}" for i in range(8995)]  # an even number is shared out alike
    matrix = rng.normal(7, 2, size=(n, len(genes))).astype(np.float32)
    clinical = pd.DataFrame(
        {
            "her2": np.where(rng.random(n) < 0.3, "positive", "negative"),
            "age": rng.normal(60, 9, n),
        },
        index=[f"t{i:03d}" for i in range(n)],
    )
    sets = {"some": Signature("some", "some", up=tuple(genes[:50]))}
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            found.append(
                contrast.prerank(
                    matrix, genes, clinical, sets, cohort="c", seed=1, n_permutations=20,
                    adjustment=("age",), threads=threads,
                )
            )  # fmt: skip
    pd.testing.assert_frame_equal(found[0].genes, found[1].genes, check_exact=True)
    pd.testing.assert_frame_equal(found[0].running, found[1].running, check_exact=True)
    pd.testing.assert_frame_equal(found[0].effects, found[1].effects, check_exact=True)
    # the line ends on the axis, not on what rounding left of it
    assert found[0].running["running_sum"].iloc[-1] == 0


def test_genes_with_missing_values_are_left_out_and_counted(cohort):
    matrix, clinical = cohort
    broken = matrix.copy()
    broken[5, 100:103] = np.nan
    result = _prerank(broken, clinical)
    assert result.effects.loc[0, "note"].count("3 genes with missing values left out") == 1
    assert result.genes["t"].isna().sum() == 3
    assert result.genes["t"].tail(3).isna().all()


def test_a_contrast_that_cannot_be_made_is_a_row_with_a_note(cohort):
    matrix, clinical = cohort
    for changed, reason in (
        (clinical.assign(her2="negative"), "fewer than 5 samples"),
        (clinical.assign(her2=None), "no sample has a HER2 status"),
        (clinical.drop(columns="age"), "covariate age is not in the cohort"),
        (clinical.assign(er=clinical["her2"]), "groups follow from the covariates"),
    ):
        result = _prerank(matrix, changed)
        assert result.effects["estimate"].isna().all()
        assert result.effects["note"].str.contains(reason).all()
        assert len(result.running) == len(result.genes) == 0
    with pytest.raises(EstimationError, match="fewer than 5"):
        contrast.moderated_contrast(matrix, GENES, clinical.assign(her2="negative"))


def test_without_permutations_there_is_no_p(cohort):
    matrix, clinical = cohort
    result = contrast.prerank(matrix, GENES, clinical, SETS, cohort="c", seed=1, n_permutations=0)
    assert result.effects["p"].isna().all()
    assert "no p" in result.effects.set_index("signature").loc["up", "note"]
