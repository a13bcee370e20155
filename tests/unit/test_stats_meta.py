"""Fixed and random effects against metafor, and what holds for any pool."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytostrat.errors import EstimationError
from cytostrat.stats.equivalence import tost, tost_from_interval
from cytostrat.stats.random_effects import fixed_effect, leave_one_out, random_effects

SETS = ["bcg", "two", "equal", "homogeneous", "uneven", *(f"random{k}" for k in range(3, 9))]


@pytest.fixture(scope="module")
def oracle(repository):
    folder = repository / "tests" / "oracles" / "stats"
    expected = pd.read_csv(folder / "meta.csv").set_index(["set", "quantity"])["value"].sort_index()
    return pd.read_csv(folder / "studies.csv"), expected


@pytest.mark.parametrize("name", SETS)
def test_pools_equal_metafor(oracle, name):
    studies, expected = oracle
    study = studies[studies["set"] == name]
    y, se = study["yi"].to_numpy(), study["sei"].to_numpy()
    random, fixed = random_effects(y, se), fixed_effect(y, se)
    for quantity in ("tau2", "i2", "q", "q_p", "estimate", "se", "low", "high", "p"):
        assert getattr(random, quantity) == pytest.approx(
            expected[(name, quantity)], rel=1e-6, abs=1e-9
        ), quantity
    for quantity in ("estimate", "se", "low", "high", "p", "i2"):
        assert getattr(fixed, quantity) == pytest.approx(
            expected[(name, f"fe_{quantity}")], rel=1e-9, abs=1e-12
        ), quantity
    if len(y) < 3:
        assert np.isnan([random.pi_low, random.pi_high]).all()
        return
    assert random.pi_low == pytest.approx(expected[(name, "pi_low")], rel=1e-6)
    assert random.pi_high == pytest.approx(expected[(name, "pi_high")], rel=1e-6)
    theirs = [expected[(name, f"loo{i + 1}")] for i in range(len(y))]
    np.testing.assert_allclose(leave_one_out(y, se), theirs, rtol=1e-6)


effects = st.lists(st.tuples(st.floats(-3, 3), st.floats(0.02, 1)), min_size=3, max_size=9).map(
    lambda pairs: np.array(pairs).T
)


@settings(max_examples=60, deadline=None)
@given(effects, st.floats(-5, 5), st.randoms(use_true_random=False))
def test_a_pool_is_wide_enough_and_ignores_order_and_origin(pair, shift, shuffler):
    y, se = pair
    pool, fixed = random_effects(y, se), fixed_effect(y, se)
    assert pool.tau2 >= 0
    assert 0 <= pool.i2 <= 100
    assert 0 < pool.p <= 1
    assert y.min() - 1e-12 <= pool.estimate <= y.max() + 1e-12
    assert pool.high - pool.low >= fixed.high - fixed.low - 1e-12
    assert pool.pi_low <= pool.low + 1e-12
    assert pool.high <= pool.pi_high + 1e-12
    order = list(range(len(y)))
    shuffler.shuffle(order)
    moved = random_effects(y[order] + shift, se[order])
    assert moved.estimate - shift == pytest.approx(pool.estimate, abs=1e-6)
    assert moved.tau2 == pytest.approx(pool.tau2, abs=1e-6)


@pytest.mark.parametrize(
    ("y", "se", "what"),
    [
        ([0.1], [0.1], "two or more"),
        ([0.1, 0.2], [0.1, 0.0], "above zero"),
        ([0.1, np.nan], [0.1, 0.1], "finite"),
    ],
)
def test_pools_of_nothing_are_refused(y, se, what):
    for pool in (fixed_effect, random_effects):
        with pytest.raises(EstimationError, match=what):
            pool(np.array(y), np.array(se))
    with pytest.raises(EstimationError, match="nothing to pool"):
        leave_one_out(np.array([0.1, 0.2]), np.array([0.1, 0.2]))


def test_tost_from_a_pooled_interval_equals_tost_from_its_standard_error():
    pool = random_effects(np.array([0.02, -0.05, 0.04, 0.0]), np.array([0.05, 0.06, 0.04, 0.05]))
    direct = tost(pool.estimate, pool.se, df=3)
    again = tost_from_interval(pool.low, pool.high, df=3)
    assert again.p == pytest.approx(direct.p)
    assert direct.equivalent
    assert not tost(np.nan, 0.1).equivalent
    assert not tost(0.0, 0.2).equivalent
