"""Cox regression against R, lifelines, and what must not change the answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from scipy import stats

from cytostrat.errors import EstimationError
from cytostrat.stats.survival_models import (
    explained_share,
    fit_cox,
    follow_up,
    risk_sets,
    score_test,
)

SCORES = [f"s{j}" for j in range(1, 7)]


@pytest.fixture(scope="module")
def oracle(repository):
    return repository / "tests" / "oracles" / "survival"


@pytest.fixture(scope="module")
def patients(oracle):
    return pd.read_csv(oracle / "patients.csv")


def _risk(frame, strata=None):
    known = follow_up(frame["time"], frame["event"])
    assert known.usable.all()
    return risk_sets(known.time, known.event, strata=None if strata is None else frame[strata])


def _models(patients):
    """Each model of coxph.csv: rows, risk sets, covariates, modifier, term names."""
    plain = {"crude": ([], None, None), "adjusted": (["er", "age"], None, None)}
    plain["stratified"] = (["age"], "er", None)
    plain["interaction"] = (["er", "age", "her2"], None, "her2")
    for name, (covariates, strata, modifier) in plain.items():
        terms = [*covariates, "s", "product"] if modifier else [*covariates, "{score}"]
        yield name, patients, _risk(patients, strata), covariates, modifier, terms
    first = patients.assign(
        event=patients["event"].where(patients["time"] <= 600, 0),
        time=patients["time"].clip(upper=600),
    )
    after = patients[patients["time"] > 600]
    for name, frame in (("first600", first), ("after600", after)):
        yield name, frame, _risk(frame), ["er", "age"], None, ["er", "age", "{score}"]


def test_fits_and_hazard_tests_equal_r(oracle, patients):
    expected = pd.read_csv(oracle / "coxph.csv").set_index(["model", "term"])
    seen = 0
    for name, frame, risk, covariates, modifier, terms in _models(patients):
        scores = ["s5"] if name.endswith("600") else SCORES
        fits = fit_cox(
            risk,
            covariates=frame[covariates].to_numpy(float),
            scores=frame[scores].to_numpy(),
            modifier=None if modifier is None else frame[modifier].to_numpy(float),
            test_hazards=True,
        )
        for row, score in enumerate(scores):
            # R's product holds the raw score, ours the centred one: the modifier's own
            # coefficient then stands for another value of the score
            keep = [j for j, term in enumerate(terms) if not (modifier and term == modifier)]
            known = expected.loc[[(f"{name}:{score}", t.format(score=score)) for t in terms]]
            known, seen = known.iloc[keep], seen + len(keep)
            assert fits.failure[row] == ""
            np.testing.assert_allclose(fits.coef[row, keep], known["coef"], rtol=1e-7)
            np.testing.assert_allclose(fits.se[row, keep], known["se"], rtol=1e-7)
            np.testing.assert_allclose(fits.loglik[row], known["loglik"].iloc[0], rtol=1e-11)
            np.testing.assert_allclose(fits.loglik_zero[row], known["loglik_zero"].iloc[0])
            if not modifier:
                np.testing.assert_allclose(fits.ph_chi2[row, keep], known["zph"], rtol=1e-6)
                np.testing.assert_allclose(fits.ph_p[row, keep], known["zph_p"], rtol=1e-6)
    assert seen == 6 * (1 + 3 + 2 + 4) + 2 * 3


def test_score_test_equals_r(oracle, patients):
    expected = pd.read_csv(oracle / "score_test.csv")
    covariates = patients[["er", "age"]].to_numpy(float)
    scores = patients[SCORES].to_numpy()
    for column, risk, beside in (
        ("crude", _risk(patients), None),
        ("adjusted", _risk(patients), covariates),
        ("stratified", _risk(patients, "er"), covariates[:, 1:]),
    ):
        z = score_test(risk, scores, covariates=beside).z
        np.testing.assert_allclose(z**2, expected[column], rtol=1e-6)


def test_fits_equal_lifelines_where_efron_is_not_needed():
    rng = np.random.default_rng(7)
    n = 120
    frame = pd.DataFrame({"age": rng.normal(60, 10, n), "s": rng.normal(size=n)})
    frame["time"] = rng.exponential(1000 / np.exp(0.5 * frame["s"]))
    frame["event"] = rng.random(n) < 0.7
    known = CoxPHFitter().fit(frame, "time", "event").summary
    fits = fit_cox(
        _risk(frame), covariates=frame[["age"]].to_numpy(), scores=frame[["s"]].to_numpy()
    )
    np.testing.assert_allclose(fits.coef[0], known["coef"], rtol=1e-5)
    np.testing.assert_allclose(fits.se[0], known["se(coef)"], rtol=1e-5)
    np.testing.assert_allclose(fits.p[0], known["p"], rtol=1e-4)


def test_one_step_interaction_follows_the_full_fit():
    rng = np.random.default_rng(3)
    n, models = 1500, 40
    her2 = rng.integers(0, 2, n).astype(float)
    scores = rng.normal(size=(n, models))
    time = rng.exponential(1000 / np.exp(0.2 * her2 * scores[:, 0]))
    risk = risk_sets(time, rng.random(n) < 0.6)
    full = fit_cox(risk, covariates=her2[:, None], scores=scores, modifier=her2)
    step = score_test(risk, scores, covariates=her2[:, None], modifier=her2)
    np.testing.assert_allclose(step.z, full.coef[:, -1] / full.se[:, -1], atol=0.12)
    assert step.z[0] > 2


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3), unit=st.floats(1e-3, 400))
def test_order_scale_and_time_unit_do_not_matter(seed, scale, unit):
    rng = np.random.default_rng(seed)
    n = 80
    time = np.floor(rng.exponential(40, n)) + 1
    event = rng.random(n) < 0.6
    Z, S = rng.normal(size=(n, 2)), rng.normal(size=(n, 3))
    strata = rng.integers(0, 2, n)
    base = fit_cox(risk_sets(time, event, strata=strata), covariates=Z, scores=S, test_hazards=True)
    z = score_test(risk_sets(time, event, strata=strata), S, covariates=Z).z
    turn = rng.permutation(n)
    risk = risk_sets(time[turn] * unit, event[turn], strata=strata[turn])
    again = fit_cox(
        risk, covariates=Z[turn] * scale - 5, scores=S[turn] * scale + 3, test_hazards=True
    )
    np.testing.assert_allclose(again.coef * scale, base.coef, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(again.ph_chi2, base.ph_chi2, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(again.loglik, base.loglik, rtol=1e-10)
    turned = score_test(risk, S[turn] * scale + 3, covariates=Z[turn] * scale - 5).z
    np.testing.assert_allclose(turned, z, rtol=1e-6, atol=1e-9)


def test_random_scores_are_rejected_at_the_stated_rate():
    rng = np.random.default_rng(11)
    n, models = 400, 4000
    age = rng.normal(60, 10, n)
    time = rng.exponential(1000 / np.exp(0.05 * (age - 60)))
    risk = risk_sets(time, time < 1200)
    scores = rng.normal(size=(n, models)) + 0.05 * age[:, None]
    z = score_test(risk, scores, covariates=age[:, None]).z
    rejected = int((2 * stats.norm.sf(np.abs(z)) < 0.05).sum())
    low, high = stats.binom.interval(0.999, models, 0.05)
    assert low <= rejected <= high
    # without the covariate that both depend on, nearly every score is "significant"
    crude = score_test(risk, scores).z
    assert (2 * stats.norm.sf(np.abs(crude)) < 0.05).mean() > 0.9


def test_failures_are_named_and_leave_the_other_scores_alone():
    rng = np.random.default_rng(5)
    n = 60
    time = np.arange(1.0, n + 1)
    event = np.ones(n, bool)
    age = rng.normal(size=n)
    good = rng.normal(size=n)
    scores = np.column_stack([good, np.full(n, 3.1), 2 * age - 1, -time])
    risk = risk_sets(time, event)
    fits = fit_cox(risk, covariates=age[:, None], scores=scores, names=("age", "score"))
    alone = fit_cox(risk, covariates=age[:, None], scores=good[:, None])
    np.testing.assert_allclose(fits.coef[0], alone.coef[0])
    assert fits.failure[0] == ""
    assert "does not vary" in fits.failure[1]
    assert "determine the score" in fits.failure[2]
    assert "separation" in fits.failure[3]
    assert "score" in fits.failure[3]
    assert np.isnan(fits.coef[1:]).all()
    assert np.isnan(score_test(risk, scores, covariates=age[:, None]).z[[1, 2]]).all()


def test_time_zero_negative_and_missing_follow_the_rule():
    known = follow_up([0, 0, 10, -3, np.nan, 40, 5], [1, 0, 1, 1, 1, np.nan, 0])
    assert list(known.usable) == [True, True, True, False, False, False, True]
    assert list(known.time[:3]) == [0.5, 0.5, 10]
    assert not known.event[~known.usable].any()
    assert known.note == (
        "2 of time 0 counted at half a day; 1 of negative time left out; "
        "2 without follow-up left out"
    )
    assert follow_up([0, 0.2], [1, 1]).time[0] == pytest.approx(0.1)
    with pytest.raises(EstimationError, match="holds 2"):
        follow_up([1, 2], [1, 2])


def test_a_patient_censored_at_time_zero_changes_nothing():
    rng = np.random.default_rng(2)
    time, event = rng.exponential(10, 50), rng.random(50) < 0.5
    scores = rng.normal(size=(51, 1))
    with_zero = follow_up(np.append(time, 0), np.append(event, 0))
    fits = fit_cox(risk_sets(with_zero.time, with_zero.event), scores=scores)
    without = fit_cox(risk_sets(time, event), scores=scores[:50])
    np.testing.assert_allclose(fits.coef, without.coef, rtol=1e-8)


def test_wrong_input_is_refused():
    risk = risk_sets(np.array([1.0, 2, 3]), np.array([True, True, False]))
    with pytest.raises(EstimationError, match="missing or infinite"):
        fit_cox(risk, scores=np.array([[1.0], [np.nan], [2]]))
    with pytest.raises(EstimationError, match="rows"):
        fit_cox(risk, scores=np.ones((4, 1)))
    with pytest.raises(EstimationError, match="does not vary"):
        fit_cox(risk, covariates=np.ones((3, 1)))
    with pytest.raises(EstimationError, match="determine one another"):
        fit_cox(risk, covariates=np.array([[1.0, 2], [2, 4], [4, 8]]))
    with pytest.raises(EstimationError, match="no event"):
        risk_sets(np.array([1.0, 2]), np.array([False, False]))
    with pytest.raises(EstimationError, match="not a positive number"):
        risk_sets(np.array([0.0, 2]), np.array([True, False]))


def test_explained_share_is_r_squared():
    rng = np.random.default_rng(9)
    Z = rng.normal(size=(200, 2))
    s = Z @ [1.0, 2.0] + rng.normal(size=200)
    design = np.column_stack([np.ones(200), Z])
    residual = s - design @ np.linalg.lstsq(design, s, rcond=None)[0]
    share = 1 - residual @ residual / ((s - s.mean()) ** 2).sum()
    np.testing.assert_allclose(explained_share(Z, s[:, None]), [share])
