"""Families, power, permutation and the mixture."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cytostrat.errors import EstimationError
from cytostrat.stats import multiplicity, permutation, power
from cytostrat.stats.design import covariate_design
from cytostrat.stats.mixture import two_component_mixture


@pytest.fixture(scope="module")
def expected(repository):
    frame = pd.read_csv(repository / "tests" / "oracles" / "stats" / "contrast.csv")
    return frame.set_index(["dataset", "column", "quantity"]).sort_index()["value"].astype(float)


def test_benjamini_hochberg_equals_p_adjust(expected):
    rows = expected["bh"].unstack()
    np.testing.assert_allclose(multiplicity.benjamini_hochberg(rows["p"]), rows["q"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(1e-12, 1), min_size=1, max_size=30))
def test_q_is_no_smaller_than_p_and_keeps_the_order(p):
    p = np.array(p)
    q = multiplicity.benjamini_hochberg(p)
    assert (q >= p * (1 - 1e-12)).all()
    assert (q <= 1).all()
    assert (np.diff(q[np.argsort(p)]) >= 0).all()


def _effects():
    return pd.DataFrame(
        {
            "cohort": ["a", "a", "a", "b", "b"],
            "question": ["her2", "her2", "er", "her2", "her2"],
            "signature": ["x", "y", "x", "x", "y"],
            "scale": "adjusted_g",
            "p": [0.01, 0.04, 0.001, 0.02, np.nan],
        },
        index=[7, 7, 3, 1, 0],
    )


def test_families_are_adjusted_within_each_cohort():
    out = multiplicity.assign_families(
        _effects(), {"main": {"question": "her2", "signature": ["x", "y"]}}
    )
    assert out["family"].tolist() == ["main", "main", "", "main", "main"]
    np.testing.assert_allclose(out["q"], [0.02, 0.04, np.nan, 0.02, np.nan])
    everything = multiplicity.assign_families(
        _effects(), {"all": [{"question": "her2"}, {"question": "er"}]}, by=()
    )
    np.testing.assert_allclose(everything["q"][:4], [0.02, 0.04, 0.004, 0.08 / 3])


def test_families_that_overlap_or_select_by_nothing_are_refused():
    with pytest.raises(EstimationError, match="shares a row"):
        multiplicity.assign_families(
            _effects(), {"a": {"question": "her2"}, "b": {"signature": "x"}}
        )
    with pytest.raises(EstimationError, match="column colour"):
        multiplicity.assign_families(_effects(), {"a": {"colour": "red"}})


def test_detectable_g_equals_power_t_test(expected):
    for n, row in expected["power"].unstack().iterrows():
        assert power.detectable_g(int(n), int(n)) == pytest.approx(row["g"], rel=1e-6)


def test_detectable_g_counts_the_spread_of_each_group(expected):
    for design, row in expected["power unequal"].unstack().iterrows():
        n1, n0, ratio = design.split()
        found = power.detectable_g(int(n1), int(n0), sds=(2 * float(ratio), 2.0))
        assert found == pytest.approx(row["g"], rel=1e-6)
        both = power.detectable_g(
            int(n1), int(n0), sds=(np.array([float(ratio), 0]), np.array([1, 0]))
        )
        np.testing.assert_allclose(both, [found, np.nan])


def test_detectable_effects_reproduce_published_design_numbers():
    # METABRIC 247 against 1,733 and TCGA 184 against 757
    assert power.detectable_g(247, 1733) == pytest.approx(0.19, abs=0.005)
    assert power.detectable_g(184, 757) == pytest.approx(0.23, abs=0.005)
    # Hsieh & Lavori: 646 and 149 events
    assert np.exp(power.detectable_log_hr(646)) == pytest.approx(1.12, abs=0.005)
    assert np.exp(power.detectable_log_hr(149)) == pytest.approx(1.26, abs=0.005)
    # r = 0.3 needs 85 samples (Cohen 1988, two-sided 0.05)
    assert power.detectable_correlation(85) == pytest.approx(0.3, abs=0.002)
    assert power.detectable_log_hr(100, r2=0.75) == 2 * power.detectable_log_hr(100)
    assert power.detectable_g(20, 80, r2=0.75) == pytest.approx(2 * power.detectable_g(20, 80))
    assert 0.5 < power.detectable_auc(30, 40) < 1


def test_impossible_designs_have_no_detectable_effect():
    assert np.isnan(power.detectable_g(1, 40))
    assert np.isnan(power.detectable_log_hr(0))
    assert np.isnan(power.detectable_correlation(5, n_covariates=2))


def test_empirical_p_counts_either_tail_and_is_never_zero():
    null = np.arange(-50, 49).astype(float)
    assert permutation.empirical_p(48.0, null) == (3 + 1 + 1) / 100
    assert permutation.empirical_p(1000.0, null) == 1 / 100
    assert permutation.empirical_p(0.0, null) == 1
    columns = permutation.empirical_p(
        np.array([1000.0, np.nan, 1.0]), np.column_stack([null, null, np.full(99, np.nan)])
    )
    np.testing.assert_array_equal(columns, [0.01, np.nan, np.nan])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=4, max_size=20), st.integers(0, 99))
def test_permuted_labels_keep_the_number_of_cases_in_every_stratum(case, seed):
    case = np.array(case)
    strata = np.arange(len(case)) % 2
    labels = permutation.permuted_labels(case, 20, seed=seed, strata=strata)
    for level in (0, 1):
        inside = strata == level
        assert (labels[:, inside].sum(axis=1) == case[inside].sum()).all()
    again = permutation.permuted_labels(case, 20, seed=seed, strata=strata)
    np.testing.assert_array_equal(labels, again)


def test_sign_flips_are_exact_in_small_samples_and_follow_the_t_test_in_large_ones():
    assert permutation.sign_flip_p(np.array([1.0, 2.0, 3.0, 4.0])) == 2 / 16
    assert permutation.sign_flip_p(np.array([1.0, -1.0, 0.0])) == 1
    assert permutation.sign_flip_p(np.zeros(5)) == 1
    differences = np.random.default_rng(2).normal(0.3, 1, size=60)
    expected = stats.ttest_1samp(differences, 0).pvalue
    assert permutation.sign_flip_p(differences) == pytest.approx(expected, abs=0.01)
    few = np.where(np.arange(60) < 4, np.arange(1.0, 61.0), 0.0)
    together = permutation.sign_flip_p(np.column_stack([few, differences, np.zeros(60)]))
    np.testing.assert_array_equal(together, [2 / 16, permutation.sign_flip_p(differences), 1])
    with pytest.raises(EstimationError, match="leave the pair out"):
        permutation.sign_flip_p(np.array([1.0, np.nan]))


def test_mixture_equals_the_maximum_of_the_likelihood(repository, expected):
    data = pd.read_csv(repository / "tests" / "oracles" / "stats" / "mixture.csv")
    fit = two_component_mixture(data["x"].to_numpy())
    row = expected[("mixture", "fit")]
    np.testing.assert_allclose(fit.means, row[["mean1", "mean2"]], atol=0.01)
    np.testing.assert_allclose(fit.sds, row[["sd1", "sd2"]], atol=0.01)
    assert fit.weights[0] == pytest.approx(row["weight1"], abs=0.005)
    inside = data["x"] > fit.means[0]
    np.testing.assert_allclose(fit.posterior[inside], data["posterior"][inside], atol=0.02)


def test_mixture_calls_rise_with_expression_and_leave_doubt_and_missing_values_open():
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.normal(8, 1, 400), rng.normal(12, 2, 60), [-5, np.nan, 40]])
    fit = two_component_mixture(x)
    known = np.isfinite(x)
    order = np.argsort(x[known])
    assert (np.diff(fit.posterior[known][order]) >= 0).all()
    assert fit.call[-1] == "positive"
    assert fit.call[-3] == "negative"
    assert fit.call[-2] is None
    assert sum(call is None for call in fit.call) > 1
    np.testing.assert_array_equal(fit.posterior, two_component_mixture(x).posterior)


def test_one_component_gives_no_call():
    x = np.random.default_rng(11).normal(size=300)
    fit = two_component_mixture(x)
    assert fit.bic_gain < 0
    assert set(fit.call) == {None}
    for values in (np.ones(50), np.arange(5.0)):
        with pytest.raises(EstimationError, match="mixture needs"):
            two_component_mixture(values)


def test_a_design_keeps_complete_samples_and_says_what_it_left_out():
    frame = pd.DataFrame(
        {
            "er": ["positive", "negative", None, "positive"],
            "her2": ["negative", "equivocal", "positive", "positive"],
            "grade": ["1", "3", "2", "2"],
            "age": ["50", "60", "70", "80"],
            "site": ["x"] * 4,
        }
    )
    design = covariate_design(frame, ["er", "age", "site"])
    np.testing.assert_array_equal(design.complete, [True, True, False, True])
    assert design.terms == ("er=positive", "age")
    assert design.notes == (
        "1 of 4 samples lack er or age or site and are left out",
        "site does not vary and is left out of the model",
    )
    assert covariate_design(frame, ["grade"]).terms == ("grade=2", "grade=3")
    np.testing.assert_array_equal(
        covariate_design(frame, ["her2"]).complete, [True, False, True, True]
    )
    with pytest.raises(EstimationError, match="not in the cohort"):
        covariate_design(frame, ["purity"])
    with pytest.raises(EstimationError, match="missing in every sample"):
        covariate_design(frame.assign(age=np.nan), ["age"])
