"""Hedges' g, AUC, Mann-Whitney and adjusted differences against R, and their invariances."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cytostrat.errors import EstimationError
from cytostrat.stats import effect_size, linear, rank
from cytostrat.stats.equivalence import tost
from cytostrat.stats.estimates import SMALLEST_P, bounded_p
from cytostrat.stats.permutation import permuted_labels

DATASETS = ("small", "middle", "large", "alone", "few")
COLUMNS = ["plain", "tied", "uneven", "strong", "apart"]


@pytest.fixture(scope="module")
def oracle(repository):
    folder = repository / "tests" / "oracles" / "stats"
    expected = (
        pd.read_csv(folder / "contrast.csv")
        .set_index(["dataset", "column", "quantity"])
        .sort_index()
    )
    return pd.read_csv(folder / "samples.csv"), expected["value"].astype(float)


def _data(oracle, dataset):
    samples, expected = oracle
    frame = samples[samples["dataset"] == dataset]
    values, case = frame[COLUMNS].to_numpy(), frame["case"].to_numpy() == 1
    covariates = np.column_stack(
        [frame["er"], frame["age"], pd.get_dummies(frame["batch"], drop_first=True)]
    ).astype(float)
    return values, case, covariates, expected[dataset]


def _row(expected, quantity):
    return np.array([expected.get((column, quantity), np.nan) for column in COLUMNS])


@pytest.mark.parametrize("dataset", DATASETS)
def test_hedges_g_equals_metafor_with_the_error_of_welch(oracle, dataset):
    values, case, _, expected = _data(oracle, dataset)
    g = effect_size.hedges_g(values, case)
    np.testing.assert_allclose(g.estimate, _row(expected, "g"), rtol=1e-10)
    np.testing.assert_allclose(g.se, _row(expected, "g_se"), rtol=1e-10)
    np.testing.assert_allclose(g.df, _row(expected, "g_df"), rtol=1e-10)
    np.testing.assert_allclose(g.p, np.maximum(_row(expected, "g_p"), 1e-300), rtol=1e-8)
    np.testing.assert_allclose(effect_size.pooled_sd(values, case), _row(expected, "sd"))
    for level, suffix in ((0.95, ""), (0.9, "90")):
        found = effect_size.hedges_g(values, case, level=level)
        np.testing.assert_allclose(found.low, _row(expected, "g_low" + suffix), rtol=1e-8)
        np.testing.assert_allclose(found.high, _row(expected, "g_high" + suffix), rtol=1e-8)


def test_groups_of_equal_spread_give_the_usual_error_of_g():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 4))
    case = np.arange(60) < 20
    for group in (case, ~case):
        values[group] -= values[group].mean(axis=0)
        values[group] /= values[group].std(axis=0, ddof=1)
    values[case] += np.array([0, 0.5, -1, 3])
    g = effect_size.hedges_g(values, case)
    correction = effect_size.small_sample_correction(58)
    d = np.array([0, 0.5, -1, 3])
    np.testing.assert_allclose(g.estimate, correction * d, atol=1e-12)
    np.testing.assert_allclose((g.se / correction) ** 2, 1 / 20 + 1 / 40 + d**2 / (2 * 58))


@pytest.mark.parametrize("sds", [(1.0, 1.0), (1.8, 1.0), (1.0, 1.8)])
@pytest.mark.parametrize(("n1", "n0"), [(15, 85), (5, 20), (30, 270)])
def test_the_interval_of_g_decides_like_welch_whatever_the_spreads(n1, n0, sds):
    rng = np.random.default_rng(12)
    case = np.arange(n1 + n0) < n1
    values = rng.normal(size=(n1 + n0, 4000)) * np.where(case, *sds)[:, None]
    g = effect_size.hedges_g(values, case)
    excluded = (g.low > 0) | (g.high < 0)
    welch = stats.ttest_ind(values[case], values[~case], equal_var=False).pvalue < 0.05
    assert abs(excluded.mean() - 0.05) < 0.012
    assert (excluded != welch).mean() < 0.01


@pytest.mark.parametrize("dataset", DATASETS)
def test_auc_and_mann_whitney_equal_proc_and_wilcox(oracle, dataset):
    values, case, _, expected = _data(oracle, dataset)
    area = rank.auc(values, case)
    for ours, name in (
        (area.estimate, "auc"),
        (area.se, "auc_se"),
        (area.low, "auc_low"),
        (area.high, "auc_high"),
    ):
        np.testing.assert_allclose(ours, _row(expected, name), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(area.p, _row(expected, "mw_p"), rtol=1e-9)


@pytest.mark.parametrize("dataset", DATASETS)
def test_adjusted_difference_equals_lm_with_hc3(oracle, dataset):
    values, case, covariates, expected = _data(oracle, dataset)
    fit = linear.ols(values, np.column_stack([case, np.ones(len(case)), covariates]))
    assert fit.df == expected[("plain", "residual_df")]
    np.testing.assert_allclose(fit.se[0], _row(expected, "hc3_se"), rtol=1e-9)
    df, inflation = fit.reference(0)
    assert df == pytest.approx(expected[("plain", "hc3_df")], rel=1e-9)
    assert inflation == pytest.approx(expected[("plain", "hc3_c")], rel=1e-9)
    adjusted = linear.adjusted_difference(values, case, covariates)
    for ours, name in (
        (adjusted.estimate, "adj"),
        (adjusted.se, "adj_se"),
        (adjusted.low, "adj_low"),
        (adjusted.high, "adj_high"),
        (adjusted.p, "adj_p"),
    ):
        np.testing.assert_allclose(ours, _row(expected, name), rtol=1e-8)
    np.testing.assert_allclose(
        linear.adjusted_estimate(values, case, covariates), adjusted.estimate, rtol=1e-9
    )
    crude = linear.adjusted_difference(values, case, None)
    for ours, name in ((crude.estimate, ""), (crude.low, "_low"), (crude.high, "_high")):
        np.testing.assert_allclose(ours, _row(expected, "no_covariate" + name), rtol=1e-8)


def test_without_covariates_the_freedom_of_hc3_is_that_of_two_variances():
    # HC3 of a difference of means is s1^2 / (n1 - 1) + s0^2 / (n0 - 1), each a chi-square
    case = np.arange(300) < 5
    fit = linear.ols(np.zeros(300), np.column_stack([case, np.ones(300)]).astype(float))
    df, inflation = fit.reference(0)
    assert df == pytest.approx((1 / 4 + 1 / 294) ** 2 / (1 / 4**3 + 1 / 294**3))
    assert inflation == pytest.approx((1 / 4 + 1 / 294) / (1 / 5 + 1 / 295))


@pytest.mark.parametrize(("n1", "n0", "spread"), [(5, 295, 1.0), (6, 480, 1.8), (8, 292, 1.0)])
def test_few_cases_do_not_make_the_adjusted_test_too_sure(n1, n0, spread):
    rng = np.random.default_rng(17)
    case, n = np.arange(n1 + n0) < n1, n1 + n0
    p = []
    for _ in range(40):
        er = rng.random(n) < np.where(case, 0.45, 0.75)
        er[:2] = True, False
        values = rng.normal(size=(n, 250)) * np.where(case, spread, 1.0)[:, None]
        covariates = np.column_stack([er, rng.normal(size=n)])
        p.append(linear.adjusted_difference(values, case, covariates).p)
    # about 9 % by t with the residual degrees of freedom
    assert 0.042 < (np.array(p) < 0.05).mean() < 0.058


def test_a_sample_alone_in_its_level_changes_nothing_but_its_own_term(oracle):
    values, case, covariates, _ = _data(oracle, "alone")
    alone = covariates[:, 2] == 1
    assert alone.sum() == 1
    whole = linear.ols(values, np.column_stack([case, np.ones(len(case)), covariates]))
    design = np.column_stack([case, np.ones(len(case)), covariates[:, :2]])
    without = linear.ols(values[~alone], design[~alone])
    np.testing.assert_allclose(whole.coefficients[:4], without.coefficients, rtol=1e-9)
    np.testing.assert_allclose(whole.se[:4], without.se, rtol=1e-9)
    assert whole.df == without.df


@pytest.mark.parametrize("dataset", DATASETS)
def test_nested_test_equals_anova_and_loglik(oracle, dataset):
    values, case, covariates, expected = _data(oracle, dataset)
    nested = linear.nested_test(values, case.astype(float), covariates)
    for ours, name in (
        (nested.f, "nested_f"),
        (nested.p, "nested_p"),
        (nested.lr, "nested_lr"),
        (nested.lr_p, "nested_lr_p"),
        (nested.r2_gain, "nested_gain"),
    ):
        np.testing.assert_allclose(ours, _row(expected, name), rtol=1e-7, err_msg=name)


@pytest.mark.parametrize("dataset", DATASETS)
def test_partial_correlation_equals_r(oracle, dataset):
    samples, expected = oracle
    frame = samples[samples["dataset"] == dataset]
    for name, method, covariates in (
        ("pearson", "pearson", frame[["er", "age"]].to_numpy()),
        ("spearman", "spearman", frame[["er", "age"]].to_numpy()),
        ("plain correlation", "pearson", None),
    ):
        rho = linear.partial_correlation(
            frame["plain"].to_numpy(), frame["uneven"].to_numpy(), covariates, method=method
        )
        for ours, quantity in (
            (rho.estimate, "rho"),
            (rho.p, "rho_p"),
            (rho.low, "rho_low"),
            (rho.high, "rho_high"),
        ):
            assert ours[0] == pytest.approx(expected[(dataset, name, quantity)], rel=1e-8)


def test_spearman_of_few_samples_is_exact(repository, oracle):
    folder = repository / "tests" / "oracles" / "stats"
    expected = oracle[1]["exact spearman"]
    for name, ranks in pd.read_csv(folder / "ranks.csv").groupby("name"):
        x, y = ranks["x"].to_numpy(float), ranks["y"].to_numpy(float)
        # two columns at once, with and without other ties
        rho = linear.partial_correlation(np.column_stack([x, np.exp(x / 3)]), y)
        np.testing.assert_allclose(rho.estimate, expected[(name, "rho")], rtol=1e-12)
        np.testing.assert_allclose(rho.p, expected[(name, "p")], rtol=1e-12)
        perfect = name.startswith("perfect")
        for values in (rho.se, rho.low, rho.high):
            assert np.isnan(values).all() == perfect
        if not perfect:
            ours = np.arctanh(rho.estimate) - 1.959963984540054 * rho.se / (1 - rho.estimate**2)
            np.testing.assert_allclose(np.arctanh(rho.low), ours)


def test_spearman_is_exact_without_covariates_and_up_to_nine_samples_only():
    rng = np.random.default_rng(2)
    x, y, z = rng.normal(size=(3, 9))
    given = linear.partial_correlation(x, y, z)
    t = given.estimate * np.sqrt(6 / (1 - given.estimate**2))
    assert given.p[0] == pytest.approx(2 * stats.t.sf(abs(t[0]), 6))
    assert linear.partial_correlation(x, y, method="pearson").p[0] == pytest.approx(
        stats.pearsonr(x, y).pvalue
    )
    more_x, more_y = rng.normal(size=(2, 10))
    assert linear.partial_correlation(more_x, more_y).p[0] == pytest.approx(
        stats.spearmanr(more_x, more_y).pvalue
    )
    flat = linear.partial_correlation(np.column_stack([np.ones(6), np.arange(6.0)]), np.ones(6))
    assert np.isnan(flat.p).all()
    gap = np.column_stack([np.arange(6.0), [0, 1, np.nan, 3, 4, 5]])
    np.testing.assert_array_equal(np.isnan(linear.partial_correlation(gap, y[:6]).p), [False, True])


@pytest.mark.parametrize("dataset", DATASETS)
def test_tost_equals_two_one_sided_t_tests(oracle, dataset):
    _, case, _, expected = _data(oracle, dataset)
    for column in COLUMNS:
        result = tost(expected[(column, "diff")], expected[(column, "diff_se")], df=len(case) - 2)
        assert result.low == pytest.approx(expected[(column, "tost_low")], rel=1e-9)
        assert result.high == pytest.approx(expected[(column, "tost_high")], rel=1e-9)
        assert result.p == pytest.approx(max(expected[(column, "tost_p")], 1e-300), rel=1e-7)
        assert result.equivalent == (result.p < 0.05)


def _groups(seed, n1, n0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n1 + n0, 3)), np.arange(n1 + n0) < n1


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(2, 12), st.integers(2, 12),
    st.floats(0.01, 100), st.floats(-50, 50),
)  # fmt: skip
def test_effects_ignore_units_and_change_sign_with_the_groups(seed, n1, n0, scale, shift):
    values, case = _groups(seed, n1, n0)
    for estimator in (effect_size.hedges_g, rank.auc):
        plain, moved = estimator(values, case), estimator(values * scale + shift, case)
        np.testing.assert_allclose(moved.estimate, plain.estimate, atol=1e-8)
        np.testing.assert_allclose(moved.p, plain.p, atol=1e-8)
    g, flipped = effect_size.hedges_g(values, case), effect_size.hedges_g(values, ~case)
    np.testing.assert_allclose(flipped.estimate, -g.estimate)
    np.testing.assert_allclose(flipped.low, -g.high, atol=1e-7)
    np.testing.assert_allclose(
        rank.auc(values, ~case).estimate, 1 - rank.auc(values, case).estimate
    )
    assert ((g.low < g.estimate) & (g.estimate < g.high)).all()
    np.testing.assert_array_equal(g.p < 0.05, (g.low > 0) | (g.high < 0))


def test_exact_mann_whitney_p_is_the_share_of_labellings():
    values, case = _groups(3, 4, 5)
    observed = abs(rank.auc(values, case).estimate - 0.5)
    areas = []
    for chosen in combinations(range(9), 4):
        labels = np.isin(np.arange(9), chosen)
        areas.append(rank.auc(values, labels).estimate)
    share = (np.abs(np.array(areas) - 0.5) >= observed - 1e-12).mean(axis=0)
    np.testing.assert_allclose(rank.mann_whitney_p(values, case), share, rtol=1e-12)


def test_many_labellings_at_once_equal_one_by_one():
    values, case = _groups(5, 7, 11)
    labels = permuted_labels(case, 50, seed=1)
    together = effect_size.permuted_g(values, labels)
    single = np.array([effect_size.hedges_g(values, one).estimate for one in labels])
    np.testing.assert_allclose(together, single, rtol=1e-10)


def test_correction_tends_to_one_and_matches_its_approximation():
    df = np.array([2, 5, 20, 200, 1e6])
    j = effect_size.small_sample_correction(df)
    np.testing.assert_allclose(j[1:], 1 - 3 / (4 * df[1:] - 1), atol=1.5e-3)
    # Gamma(1) / (1 * Gamma(1/2)) by hand
    assert j[0] == pytest.approx(1 / np.sqrt(np.pi))
    assert np.isnan(effect_size.small_sample_correction(1))


def test_a_flat_column_has_no_effect_size_and_an_even_auc():
    values = np.column_stack([np.full(12, 3.3), np.arange(12.0)])
    case = np.arange(12) < 5
    g, area = effect_size.hedges_g(values, case), rank.auc(values, case)
    assert np.isnan(g.estimate[0])
    assert np.isfinite(g.estimate[1])
    assert area.estimate[0] == 0.5
    assert area.p[0] == 1
    assert np.isnan(linear.adjusted_difference(values, case, None).estimate[0])


def test_a_missing_value_touches_its_own_column_only():
    values, case = _groups(8, 6, 7)
    broken = values.copy()
    broken[2, 1] = np.nan
    for estimator in (effect_size.hedges_g, rank.auc):
        whole, part = estimator(values, case), estimator(broken, case)
        assert np.isnan(part.estimate[1])
        assert np.isnan(part.p[1])
        np.testing.assert_allclose(part.estimate[[0, 2]], whole.estimate[[0, 2]])
    fitted = linear.adjusted_difference(broken, case, None).estimate
    np.testing.assert_array_equal(np.isnan(fitted), [False, True, False])


@pytest.mark.parametrize("case", [[True, False, False], [1, 0, 1]])
def test_groups_that_cannot_be_compared_are_refused(case):
    with pytest.raises(EstimationError, match=r"at least two|boolean"):
        effect_size.hedges_g(np.arange(3.0), np.array(case))


def test_a_difference_that_one_sample_alone_determines_is_refused():
    rng = np.random.default_rng(4)
    case = np.arange(30) < 2
    covariate = np.zeros(30)
    covariate[0] = 1.0  # the other case then carries the difference, with residual 0
    with pytest.raises(EstimationError, match="alone determines"):
        linear.adjusted_difference(rng.normal(size=30), case, covariate)


def test_designs_that_cannot_be_fitted_are_refused():
    values, case = _groups(1, 6, 6)
    twice = np.column_stack([case, ~case]).astype(float)
    with pytest.raises(EstimationError, match="rank-deficient"):
        linear.adjusted_difference(values, case, twice)
    with pytest.raises(EstimationError, match="cannot carry"):
        linear.ols(values, np.ones((12, 12)))
    with pytest.raises(EstimationError, match="missing"):
        linear.ols(values, np.full((12, 1), np.nan))
    with pytest.raises(EstimationError, match="unknown"):
        linear.partial_correlation(values, values[:, 0], method="kendall")


def test_p_values_are_never_zero_and_never_above_one():
    rng = np.random.default_rng(0)
    case = np.arange(4000) < 2000
    values = rng.normal(size=(4000, 1)) + 60 * case[:, None]
    for estimates in (
        effect_size.hedges_g(values, case),
        linear.adjusted_difference(values, case, None),
        linear.partial_correlation(values[:, 0], values[:, 0] + 1e-9 * rng.normal(size=4000)),
    ):
        assert estimates.p[0] == SMALLEST_P
    np.testing.assert_array_equal(bounded_p(np.array([0.0, 1.0000001])), [SMALLEST_P, 1.0])
    assert np.isnan(bounded_p(np.nan))
