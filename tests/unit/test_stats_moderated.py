"""Moderated contrast against limma, enrichment score against GSEApy."""

from __future__ import annotations

import gseapy
import numpy as np
import pandas as pd
import pytest

from cytostrat.errors import EstimationError
from cytostrat.stats.enrichment import enrichment_scores
from cytostrat.stats.moderated import moderated_t, permuted_moderated_t


@pytest.fixture(scope="module")
def oracle(repository):
    folder = repository / "tests" / "oracles" / "stats"
    return pd.read_csv(folder / "expression.csv"), pd.read_csv(folder / "moderated.csv")


@pytest.mark.parametrize("name", ["varied", "shared"])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-9), (np.float32, 2e-4)])
def test_moderated_t_equals_limma(oracle, name, dtype, rtol):
    data, expected = oracle
    data = data[data["name"] == name]
    expected = expected[expected["name"] == name]
    genes = data.filter(regex="^X").to_numpy(dtype=dtype)
    result = moderated_t(genes, data["case"].to_numpy(), data[["er", "age"]].to_numpy())
    np.testing.assert_allclose(result.coefficient, expected["logfc"], rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(result.t, expected["t"], rtol=rtol, atol=1e-5)
    np.testing.assert_allclose(result.p, expected["p"], rtol=10 * rtol)
    assert result.prior_df == pytest.approx(expected["df_prior"].iloc[0], rel=rtol)
    assert result.prior_variance == pytest.approx(expected["s2_prior"].iloc[0], rel=rtol)


def test_many_labellings_equal_one_by_one(oracle):
    data, _ = oracle
    data = data[data["name"] == "varied"]
    genes, covariates = data.filter(regex="^X").to_numpy(), data[["er", "age"]].to_numpy()
    rng = np.random.default_rng(0)
    labels = np.array([rng.permutation(data["case"]) for _ in range(120)])
    many = list(permuted_moderated_t(genes, labels, covariates))
    assert len(many) == 120
    for row in (0, 60, 119):
        np.testing.assert_allclose(many[row], moderated_t(genes, labels[row], covariates).t)


def test_genes_with_a_missing_value_have_no_statistic_and_touch_no_other(oracle):
    data, _ = oracle
    data = data[data["name"] == "varied"]
    genes = data.filter(regex="^X").to_numpy()
    broken = genes.copy()
    broken[4, 7] = np.nan
    result = moderated_t(broken, data["case"].to_numpy())
    kept = np.delete(np.arange(60), 7)
    assert np.isnan([result.t[7], result.p[7], result.coefficient[7]]).all()
    np.testing.assert_allclose(
        result.t[kept], moderated_t(genes[:, kept], data["case"].to_numpy()).t
    )


def test_contrasts_that_cannot_be_made_are_refused():
    rng = np.random.default_rng(1)
    genes, case = rng.normal(size=(10, 5)), np.arange(10) < 4
    with pytest.raises(EstimationError, match="follow from the covariates"):
        moderated_t(genes, case, case.astype(float)[:, None])
    with pytest.raises(EstimationError, match="do not vary"):
        moderated_t(np.ones((10, 5)), case)
    with pytest.raises(EstimationError, match="cannot carry"):
        moderated_t(genes, case, rng.normal(size=(10, 8)))
    with pytest.raises(EstimationError, match="Fewer than two genes"):
        moderated_t(np.full((10, 5), np.nan), case)


def test_enrichment_scores_equal_gseapy():
    rng = np.random.default_rng(3)
    names = [f"G{i}" for i in range(800)]
    statistic = np.round(rng.standard_t(5, size=800), 6)
    statistic[:40] += 1.5
    statistic[700:] -= 1.0
    sets = {
        "up": names[5:45],
        "down": names[690:740],
        "mixed": [*names[:12], *names[780:]],
        "random": list(rng.choice(names, 60, replace=False)),
        "single": names[100:101],
    }
    result = gseapy.prerank(
        rnk=pd.Series(statistic, index=names), gene_sets=sets, permutation_num=1, seed=0,
        min_size=1, max_size=800, outdir=None, threads=1, no_plot=True,
    )  # fmt: skip
    place = {name: i for i, name in enumerate(names)}
    members = [np.array([place[gene] for gene in genes]) for genes in sets.values()]
    ours = enrichment_scores(statistic, members)
    theirs = [result.results[name]["es"] for name in sets]
    np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_sets_without_a_running_sum_have_no_score():
    statistic = np.array([3.0, 2.0, 0.0, -1.0])
    empty, everything, zero = np.array([], dtype=int), np.arange(4), np.array([2])
    assert np.isnan(enrichment_scores(statistic, [empty, everything, zero])).all()
    # by hand: 3 of 5 up, then 2 of 5 up, nothing falls before: the sum reaches 1
    assert enrichment_scores(statistic, [np.array([0, 1])])[0] == 1
    assert enrichment_scores(statistic, [np.array([3])])[0] == -1
