"""Harrell's concordance against R, and the honesty of the gain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cytostrat.errors import EstimationError
from cytostrat.stats import survival_loops
from cytostrat.stats.survival_concordance import concordance_gain, harrell_c
from cytostrat.stats.survival_curves import kaplan_meier
from cytostrat.stats.survival_models import fit_cox, follow_up, risk_sets, score_test


@pytest.fixture(scope="module")
def oracle(repository):
    return repository / "tests" / "oracles" / "survival"


@pytest.fixture(scope="module")
def patients(oracle):
    return pd.read_csv(oracle / "patients.csv")


def test_concordance_equals_r(oracle, patients):
    expected = pd.read_csv(oracle / "concordance.csv")
    known = follow_up(patients["time"], patients["event"])
    got = harrell_c(risk_sets(known.time, known.event), patients[expected["risk"]].to_numpy(float))
    np.testing.assert_allclose(got, expected["concordance"], rtol=1e-12)


def test_curves_equal_r(oracle, patients):
    expected = pd.read_csv(oracle / "survfit.csv")
    known = follow_up(patients["time"], patients["event"])
    low, high = np.quantile(patients["s1"], [1 / 3, 2 / 3])
    group = np.select([patients["s1"] <= low, patients["s1"] <= high], ["low", "middle"], "high")
    for name, curve in expected.groupby("group"):
        got = kaplan_meier(known.time[group == name], known.event[group == name])
        for column in ("time", "at_risk", "events", "censored"):
            np.testing.assert_array_equal(got[column], curve[column])
        # R gives 1 and 0 as limits at survival 1 and 0, or none; the curve itself must agree
        inside = (curve["survival"] < 1).to_numpy() & (curve["survival"] > 0).to_numpy()
        np.testing.assert_allclose(got["survival"], curve["survival"], rtol=1e-12)
        for column in ("low", "high"):
            np.testing.assert_allclose(
                got[column][inside], curve[column].to_numpy()[inside], rtol=1e-9
            )


def _simulate(seed, effect, n=400, scores=6):
    rng = np.random.default_rng(seed)
    age = rng.normal(size=n)
    S = rng.normal(size=(n, scores))
    time = rng.exponential(1 / np.exp(0.6 * age + effect * S[:, 0]))
    return time, rng.random(n) < 0.6, age[:, None], S


def test_noise_gains_nothing_and_a_planted_score_does():
    time, event, age, S = _simulate(1, 0.8)
    gain = concordance_gain(time, event, covariates=age, scores=S, bootstrap=100, seed=4)
    assert gain.low[0] > 0.03
    assert (gain.low[1:] < 0.005).all()
    assert gain.high[1:].min() > -0.005
    again = concordance_gain(time, event, covariates=age, scores=S, bootstrap=100, seed=4)
    np.testing.assert_array_equal(gain.gain, again.gain)
    # a score alone gives the same as the same score among others
    alone = concordance_gain(time, event, covariates=age, scores=S[:, :1], bootstrap=100, seed=4)
    np.testing.assert_allclose(alone.low, gain.low[:1], rtol=1e-9)


def test_corrected_gain_is_that_in_new_patients():
    corrected, true, apparent, covered = [], [], [], []
    new_time, new_event, new_age, new_S = _simulate(999, 0.0, n=3000, scores=10)
    for seed in range(30):
        time, event, age, S = _simulate(seed, 0.0, n=120, scores=10)
        gain = concordance_gain(time, event, covariates=age, scores=S, bootstrap=40, seed=seed)
        corrected.append(gain.gain.mean())
        coef = fit_cox(risk_sets(time, event), covariates=age, scores=S).coef
        for store, data in (
            (true, (new_time, new_event, new_age, new_S)),
            (apparent, (time, event, age, S)),
        ):
            predicted = np.hstack([data[2], data[2] @ coef[:, :1].T + data[3] * coef[:, 1]])
            c = harrell_c(risk_sets(data[0], data[1]), predicted)
            store.append((c[1:] - c[0]).mean())
            if store is true:
                inside = (gain.low <= c[1:] - c[0]) & (c[1:] - c[0] <= gain.high)
                covered.append(inside.mean())
    assert np.mean(true) < -0.002 < 0.002 < np.mean(apparent)
    assert abs(np.mean(corrected) - np.mean(true)) < 0.0025
    # without the shift by the optimism 86 % of the intervals cover
    assert np.mean(covered) > 0.91


def test_a_score_that_cannot_be_fitted_is_nan_alone():
    time, event, age, S = _simulate(2, 0.5)
    S[:, 1] = 4.0
    gain = concordance_gain(time, event, covariates=age, scores=S, bootstrap=20, seed=0)
    assert np.isnan(gain.gain[1])
    assert np.isfinite(np.delete(gain.gain, 1)).all()
    assert gain.replicates[1] == 0


def test_strata_and_gaps_are_refused():
    stratified = risk_sets(np.array([1.0, 2, 3]), np.ones(3, bool), strata=np.array([0, 1, 1]))
    with pytest.raises(EstimationError, match="stratified"):
        harrell_c(stratified, np.ones((3, 1)))
    plain = risk_sets(np.array([1.0, 2, 3]), np.ones(3, bool))
    with pytest.raises(EstimationError, match="finite"):
        harrell_c(plain, np.array([[1.0], [np.nan], [2.0]]))


def test_each_compiled_function_has_one_combination_of_types():
    # two jobs that fill the compiler's cache at once then write the same content
    time, event, age, S = _simulate(3, 0.2, n=60)
    her2 = (age[:, 0] > 0).astype(float)
    for wide in (S, np.asfortranarray(S), S.astype(np.float32), S[::1, ::2]):
        risk = risk_sets(time, event)
        for covariates in (None, age, np.asfortranarray(np.hstack([age, S[:, 1:2]]))):
            fit_cox(risk, covariates=covariates, scores=wide, test_hazards=True)
            score_test(risk, wide, covariates=covariates, rows=np.arange(60))
            score_test(risk, wide, covariates=covariates, modifier=her2)
        harrell_c(risk, wide)
        concordance_gain(time, event, covariates=age, scores=wide, bootstrap=2)
    called = ("fit_many", "null_model_terms", "score_terms", "concordance_counts")
    called += ("bootstrap_concordance",)
    for name in called:
        assert len(getattr(survival_loops, name).signatures) == 1, name


def _gain_by_refitting(time, event, age, S, rows):
    """Fit one bootstrap sample as so many patients; concordances inside and in all patients."""
    inside, outside = [], []
    sampled, everybody = risk_sets(time[rows], event[rows]), risk_sets(time, event)
    base = fit_cox(sampled, covariates=age[rows]).coef[0]
    full = fit_cox(sampled, covariates=age[rows], scores=S[rows]).coef
    for store, risk, a, s in ((inside, sampled, age[rows], S[rows]), (outside, everybody, age, S)):
        predicted = np.column_stack([a @ base, a @ full[:, :-1].T + s * full[:, -1]])
        store.extend(harrell_c(risk, predicted))
    return np.array(inside), np.array(outside)


def test_bootstrap_on_counted_rows_equals_refitting_the_drawn_patients():
    time, event, age, S = _simulate(6, 0.4, n=90, scores=3)
    time = np.ceil(time * 10)  # ties among deaths, and of deaths with censored patients
    age = np.column_stack([age, np.arange(90) % 3 == 0])
    n, samples = len(time), 40
    gain = concordance_gain(time, event, covariates=age, scores=S, bootstrap=samples, seed=8)
    rng = np.random.default_rng(8)
    drawn = [_gain_by_refitting(time, event, age, S, rng.integers(0, n, n)) for _ in range(samples)]
    inside, outside = (np.array(one) for one in zip(*drawn, strict=True))
    gains = inside[:, 1:] - inside[:, :1]
    optimism = gains - (outside[:, 1:] - outside[:, :1])
    np.testing.assert_allclose(gain.se, gains.std(axis=0, ddof=1), atol=1e-12)
    limits = np.percentile(gains, [2.5, 97.5], axis=0) - optimism.mean(axis=0)
    np.testing.assert_allclose([gain.low, gain.high], limits, atol=1e-12)
    apparent = harrell_c(
        risk_sets(time, event), age @ fit_cox(risk_sets(time, event), covariates=age).coef[:1].T
    )
    shift = (inside[:, 0] - outside[:, 0]).mean()
    assert gain.clinical == pytest.approx(apparent[0] - shift, abs=1e-12)
