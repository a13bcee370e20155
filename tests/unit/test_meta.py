"""The meta stage: what is pooled, what stays out, and what each row admits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cytostrat import meta, survival, tables
from cytostrat.errors import EstimationError
from cytostrat.stats import notes
from cytostrat.stats.controls import control_note


def _row(cohort, estimate=0.3, se=0.1, **changes):
    row = {name: np.nan if kind == "float" else "" for name, kind in tables.EFFECTS.columns.items()}
    row |= {
        "cohort": cohort, "question": "her2", "stratum": "all", "signature": "IL1",
        "method": "ssgsea", "contrast": "positive - negative", "her2_rule": "primary",
        "gene_filter": "all genes", "adjustment": "er+age", "n": 100, "n_case": 30,
        "events": None, "estimate": estimate, "scale": "adjusted_g", "se": se,
        "low": estimate - 2 * se, "high": estimate + 2 * se, "p": 0.01,
    }  # fmt: skip
    return row | changes


def _effects(*rows):
    return tables.EFFECTS.conform(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def bcg(repository):
    folder = repository / "tests" / "oracles" / "stats"
    studies = pd.read_csv(folder / "studies.csv")
    expected = pd.read_csv(folder / "meta.csv").set_index(["set", "quantity"]).sort_index()
    return studies[studies["set"] == "bcg"], expected.loc["bcg", "value"]


def test_many_cohorts_give_the_numbers_of_metafor(bcg):
    studies, expected = bcg
    pooled = meta.pool_effects(
        _effects(
            *(
                _row(f"c{i}", row.yi, row.sei, scale="log_hr")
                for i, row in enumerate(studies.itertuples())
            )
        )
    ).set_index("model")
    random, fixed = pooled.loc["random"], pooled.loc["fixed"]
    assert random["k"] == 13
    for quantity in ("estimate", "low", "high", "p", "tau2", "i2", "pi_low", "pi_high"):
        assert random[quantity] == pytest.approx(expected[quantity], rel=1e-6)
    for quantity in ("estimate", "low", "high", "p"):
        assert fixed[quantity] == pytest.approx(expected[f"fe_{quantity}"], rel=1e-9)
    left_out = expected[expected.index.str.startswith("loo")]
    assert random["loo_low"] == pytest.approx(left_out.min(), rel=1e-6)
    assert random["loo_high"] == pytest.approx(left_out.max(), rel=1e-6)
    assert np.isnan(fixed["pi_low"])


def test_one_cohort_is_no_meta_analysis():
    pooled = meta.pool_effects(_effects(_row("a", 0.4, 0.2)))
    assert pooled["model"].tolist() == ["single"]
    assert pooled.loc[0, "k"] == 1
    assert pooled.loc[0, ["estimate", "low", "high", "p"]].tolist() == [0.4, 0.0, 0.8, 0.01]
    assert meta.SINGLE_NOTE in pooled.loc[0, "note"]
    assert pooled[["tau2", "i2", "pi_low", "loo_low"]].isna().all(axis=None)


def test_two_cohorts_give_a_fixed_effect_and_an_uninformative_random_one():
    pooled = meta.pool_effects(_effects(_row("a", 0.4, 0.2), _row("b", 0.1, 0.2)))
    pooled = pooled.set_index("model")
    assert pooled.loc["fixed", "estimate"] == pytest.approx(0.25)
    # equal weights: half-width is z 0.2 / sqrt 2
    assert pooled.loc["fixed", "high"] == pytest.approx(0.25 + 1.959964 * 0.2 / np.sqrt(2))
    assert pooled.loc["fixed", "note"] == ""
    assert pooled.loc["random", "note"] == meta.TWO_NOTE
    # t with one degree of freedom
    assert pooled.loc["random", "high"] - 0.25 > 12.7 * 0.14
    assert pooled[["pi_low", "pi_high", "loo_low", "loo_high"]].isna().all(axis=None)


def test_unusable_missing_and_failed_cohorts_stay_out_and_are_named():
    control = _row(
        "d", 0.75, 0.05, question="control", endpoint="her2", signature="ERBB2", scale="auc",
        adjustment="none", low=0.65, high=0.85,
    )  # fmt: skip
    pooled = meta.pool_effects(
        _effects(
            _row("a", 0.4, 0.2),
            _row("b", 9.0, 0.2, note=f"something; {notes.UNUSABLE}"),
            _row("c", np.nan, np.nan, note="not estimated"),
            _row("d", 9.0, 0.2),
            _row("e", 0.2, 0.2),
            control,
            {**control, "cohort": "a", "low": 0.71, "estimate": 0.8},
        )
    )
    assert set(pooled["k"]) == {2}
    assert pooled["estimate"].tolist() == pytest.approx([0.3, 0.3])
    assert pooled["note"].str.contains("left out: b, c, d").all()
    assert "control" not in set(pooled["question"])


def test_no_usable_cohort_is_a_row_without_a_number():
    pooled = meta.pool_effects(_effects(_row("a", 0.4, 0.2, note=notes.UNUSABLE)))
    assert pooled.loc[0, "k"] == 0
    assert np.isnan(pooled.loc[0, "estimate"])
    assert "no cohort has a usable estimate" in pooled.loc[0, "note"]


def test_only_what_is_alike_in_every_cohort_is_pooled():
    pooled = meta.pool_effects(
        _effects(
            _row("a"),
            _row("b"),
            _row("a", adjustment="er+age+grade"),
            _row("b", adjustment="er+age+grade"),
            _row("a", her2_rule="ihc only"),
            _row("b", her2_rule="ihc only"),
            _row("a", scale="mean_z"),
            _row("b", scale="mean_z"),
            _row("a", gene_filter="without amplicon core", estimate=0.1),
            _row("b", gene_filter="without amplicon core", estimate=0.1),
        )
    )
    assert set(pooled["gene_filter"]) == {"all genes", "without amplicon core"}
    assert set(pooled["adjustment"]) == {"er+age"}
    assert set(pooled["her2_rule"]) == {"primary"}
    assert len(pooled) == 4


def test_crude_effects_that_sampling_shapes_stay_out_of_the_crude_pool():
    trial = notes.sampling_note({"design": "trial", "on": ["her2", "er"]})
    crude = {"adjustment": "none", "scale": "hedges_g"}
    rows = [
        _row("a", 9.0, **crude, note=f"something; {trial}"),
        _row("b", 0.1, **crude),
        _row("c", 0.3, **crude),
        _row("d", 9.0, **crude, note=notes.CASE_CONTROL),
        *(_row(cohort, 0.2, note="") for cohort in "abcd"),
    ]
    pooled = meta.pool_effects(_effects(*rows)).set_index(["adjustment", "model"])
    for model in ("fixed", "random"):
        row = pooled.loc[("none", model)]
        assert (row["k"], row["cohorts"]) == (2, "b, c")
        assert row["estimate"] == pytest.approx(0.2)
        assert "left out: a, sampled by her2 and er (trial)" in row["note"]
        assert "left out: d, sampled case-control" in row["note"]
        assert pooled.loc[("er+age", model), "cohorts"] == "a, b, c, d"
        assert "left out" not in pooled.loc[("er+age", model), "note"]


def test_the_crude_effect_in_the_adjusted_patients_is_pooled_beside_the_adjusted_one():
    same = f"{tables.SAME_PATIENTS}er+age"
    trial = notes.sampling_note({"design": "trial", "on": ["her2"]})
    rows = [_row(c, 0.4, adjustment=same, note=trial) for c in "ab"] + [_row(c) for c in "ab"]
    other = [_row(c, adjustment=f"{tables.SAME_PATIENTS}er+age+grade") for c in "ab"]
    pooled = meta.pool_effects(_effects(*rows, *other))
    assert set(pooled["adjustment"]) == {same, "er+age"}
    assert set(pooled["cohorts"]) == {"a, b"}


@pytest.mark.parametrize(
    ("sampling", "note", "how"),
    [
        (None, "", ""),
        ({"design": "population"}, "", ""),
        ({"design": "trial"}, "", ""),
        ({"design": "case_control"}, notes.CASE_CONTROL, "sampled case-control"),
        ({"design": "trial", "on": ["her2"]}, None, "sampled by her2 (trial)"),
        ({"design": "convenience", "on": ["stage"]}, None, "sampled by stage (convenience)"),
        ({"design": "case_control", "on": ["her2", "er"]}, None,
         "sampled by her2 and er (case-control)"),
    ],
)  # fmt: skip
def test_who_was_sampled_by_what_is_told_and_found_again(sampling, note, how):
    told = notes.sampling_note(sampling)
    assert note is None or told == note
    assert notes.sampled_how(f"label quality: low; {told}; more") == how


def test_null_p_is_joined_over_the_cohorts_that_entered():
    rows = [
        _row("a", 0.3, null_p=0.01),
        _row("b", 0.2, null_p=0.03),
        _row("c", 0.4, null_p=0.02),
        _row("d", 0.4, null_p=0.5, note=notes.UNUSABLE),
        _row("e", 0.4, null_p=0.5),
    ]
    pooled = meta.pool_effects(_effects(*rows), rivals={"e": ["a"]})
    assert set(pooled["cohorts"]) == {"a, b, c"}
    # two of three must be small: 3/2 of the second
    assert pooled["null_p"].tolist() == pytest.approx([0.03, 0.03])
    alone = meta.pool_effects(_effects(rows[1])).loc[0]
    assert (alone["cohorts"], alone["null_p"]) == ("b", 0.03)
    rows[1]["null_p"] = np.nan
    assert meta.pool_effects(_effects(*rows), rivals={"e": ["a"]})["null_p"].isna().all()


@pytest.mark.parametrize(
    ("p", "estimates", "pooled", "expected"),
    [
        ([0.01, 0.9, 0.03], [1, 1, 1], 1, 0.045),  # 3/2 of the second of three
        ([0.01, 0.9, 0.03], [-1, -1, -1], -1, 0.045),
        ([0.01, 0.04, 0.03, 0.9], [1, 1, 1, 1], 1, 4 / 3 * 0.04),  # the third of four
        ([0.01, 0.001, 0.03, 0.02, 0.9], [1] * 5, 1, 5 / 3 * 0.02),
        # the second speaks for the other direction
        ([0.01, 0.001, 0.03], [1, -1, 1], 1, 0.045),
        ([0.01, 0.001, 0.03], [1, 0, -1], 1, 1.0),
        ([0.2, 0.7], [1, 1], 1, 0.7),
        ([0.2], [1], 1, 0.2),
        ([], [], 1, np.nan),
    ],
)
def test_joined_null_p_by_hand(p, estimates, pooled, expected):
    found = meta.joined_null_p(np.array(p), np.array(estimates), pooled=pooled)
    assert found == pytest.approx(expected, nan_ok=True)


def test_strata_of_a_time_split_are_in_no_pool():
    """They exist only where proportional hazards failed."""
    rows = [
        _row(cohort, scale="log_hr", question="survival", stratum=stratum)
        for cohort in "ab"
        for stratum in ("all", "all, first 3 years", "er_negative, after 2.5 years")
    ]
    assert set(meta.pool_effects(_effects(*rows))["stratum"]) == {"all"}


def test_a_pool_says_where_hazards_were_not_proportional():
    note = f"{notes.SCORE_HAZARDS} (Schoenfeld p = 0.01)"
    age = f"{notes.HAZARDS} for age (Schoenfeld p = 0.01)"
    rows = [_row("a", scale="log_hr", note=note), _row("b", scale="log_hr", note=age)]
    left = _row("c", scale="log_hr", note=f"{note}; {notes.UNUSABLE}")
    pooled = meta.pool_effects(_effects(*rows, left))
    assert pooled["note"].str.contains(f"{notes.SCORE_HAZARDS} in a", regex=False).all()
    assert not pooled["note"].str.contains("in a, ", regex=False).any()


def test_survival_names_time_splits_and_hazards_as_the_pool_expects_them():
    rng = np.random.default_rng(3)
    n = 300
    score = rng.normal(size=n)
    early = rng.exponential(1 / np.exp(1.5 * score)) * 900
    late = 1100 + rng.exponential(1 / np.exp(-1.5 * score)) * 900
    time = np.where(early < 1000, early, late)
    samples = pd.Index([f"s{i}" for i in range(n)], name="sample")
    clinical = pd.DataFrame({"OS_time": time, "OS_event": 1.0}, index=samples)
    scores = pd.DataFrame(
        {
            "cohort": "a", "sample": samples, "cell_type": "", "signature": "IL1",
            "method": "ssgsea", "score": score, "percentile": 50.0,
        }
    )  # fmt: skip
    found = survival.survival_effects(
        clinical, tables.SCORES.conform(scores), tables.COVERAGE.empty(), ["IL1"], cohort="a",
        bootstrap=0,
    )  # fmt: skip
    split = set(found["stratum"]) - {"all"}
    strata = {name for name in split if name.startswith("all, ")}
    assert strata
    assert all(meta.TIME_SPLIT.search(name) for name in strata)
    assert not any(meta.TIME_SPLIT.search(name) for name in split - strata)
    whole = found[(found["question"] == "survival") & (found["stratum"] == "all")]
    crude = whole[whole["adjustment"] == "none"]
    assert notes.clauses(crude["note"].iloc[0], notes.SCORE_HAZARDS)


def test_correlations_are_pooled_as_fishers_z():
    r = np.array([0.1, 0.6, 0.4])
    n = np.array([40, 90, 60])
    rows = (
        _row(f"c{i}", r[i], (1 - r[i] ** 2) / np.sqrt(n[i] - 3), scale="partial_rho")
        for i in range(3)
    )
    fixed = meta.pool_effects(_effects(*rows)).set_index("model").loc["fixed"]
    # weights of Fisher's z are n - 3
    expected = np.tanh(np.average(np.arctanh(r), weights=n - 3))
    assert fixed["estimate"] == pytest.approx(expected)
    assert -1 < fixed["low"] < fixed["estimate"] < fixed["high"] < 1


def test_the_same_patient_in_two_cohorts_stops_the_pool():
    effects = _effects(_row("a"), _row("b"))
    with pytest.raises(EstimationError, match="TCGA:3 is in the cohorts a and b"):
        meta.pool_effects(effects, patients={"a": ["TCGA:1", "TCGA:3"], "b": ["TCGA:3", "TCGA:4"]})
    assert len(meta.pool_effects(effects, patients={"a": ["TCGA:1"], "b": ["SCANB:1"]})) == 2


def test_no_effects_give_an_empty_table():
    assert len(meta.pool_effects(tables.EFFECTS.empty())) == 0


def test_a_control_passes_by_its_lower_limit_and_remarks_on_a_low_area():
    assert control_note(0.95, 0.9, 1.0) == ""
    assert control_note(0.84, 0.75, 0.95) == notes.LABEL_QUALITY
    assert control_note(0.8, 0.7, 0.9) == f"{notes.CONTROL_FAILED}; {notes.LABEL_QUALITY}"
    assert control_note(np.nan, np.nan, np.nan) == ""
    assert control_note(0.3, 0.1, 0.5) == f"{notes.CONTROL_FAILED}; {notes.LABEL_QUALITY}"
    assert control_note(0.01, 0.0, 0.49) == f"{notes.CONTROL_FAILED}; {notes.CONTROL_REVERSED}"


def test_a_cohort_gives_way_to_one_that_may_hold_the_same_patients() -> None:
    rows = (_row("a", 0.4, 0.2), _row("b", 0.1, 0.2), _row("c", 0.9, 0.2))
    rivals = {"c": ["b", "x"]}
    whole = meta.pool_effects(_effects(*rows), rivals=rivals).set_index("model")
    without = meta.pool_effects(_effects(*rows[:2])).set_index("model")
    assert whole["k"].tolist() == [2, 2]
    assert whole.loc["fixed", "estimate"] == without.loc["fixed", "estimate"]
    for note in whole["note"]:
        assert "left out: c, which may share patients with b" in note
    # where the other has no usable estimate of its own, the cohort counts
    unusable = _row("b", 0.1, 0.2, note=notes.UNUSABLE)
    alone = meta.pool_effects(_effects(rows[0], unusable, rows[2]), rivals=rivals)
    assert alone["k"].tolist() == [2, 2]
    assert "may share" not in alone["note"].iloc[0]
