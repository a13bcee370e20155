"""The contrast stage: numbers of R in the right rows, and a row with a note for every gap."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cytostrat import contrast, tables
from cytostrat.errors import EstimationError
from cytostrat.stats import notes
from cytostrat.stats.effect_size import small_sample_correction
from tests.contrast_frames import coverage_rows, long_scores, pick, status

COLUMNS = ["plain", "tied", "uneven", "strong", "apart"]


@pytest.fixture(scope="module")
def middle(repository):
    """75 samples of which R's answers are known, as clinical frame and scores."""
    folder = repository / "tests" / "oracles" / "stats"
    data = pd.read_csv(folder / "samples.csv")
    data = data[data["dataset"] == "middle"].reset_index(drop=True)
    data.index = [f"t{i:02d}" for i in range(len(data))]
    clinical = pd.DataFrame({"her2": status(data["case"]), "er": status(data["er"])})
    clinical["age"] = data["age"]
    expected = pd.read_csv(folder / "contrast.csv")
    expected = expected[expected["dataset"] == "middle"].set_index(["column", "quantity"])
    return clinical, data[COLUMNS], expected["value"].astype(float).sort_index()


def _effects(clinical, values, **options):
    names = list(values.columns)
    options = {"cohort": "c", **options}
    return contrast.contrast_effects(
        clinical, long_scores(values), coverage_rows(names), dict.fromkeys(names), **options
    )


def test_her2_rows_hold_the_numbers_of_r(middle):
    clinical, values, expected = middle
    effects = _effects(clinical, values)
    pairs = (
        ("hedges_g", "none", {"estimate": "g", "se": "g_se", "p": "mw_p"}),
        ("auc", "none", {"estimate": "auc", "low": "auc_low", "high": "auc_high", "p": "mw_p"}),
        ("adjusted_g", "er+age", {"estimate": "er_age", "p": "er_age_p"}),
    )
    for scale, adjustment, quantities in pairs:
        rows = pick(effects, question="her2", stratum="all", scale=scale, adjustment=adjustment)
        assert len(rows) == len(COLUMNS)
        assert set(rows["n"]) == {75}
        assert set(rows["n_case"]) == {30}
        for ours, theirs in quantities.items():
            for name in COLUMNS:
                assert rows.loc[name, ours] == pytest.approx(expected[(name, theirs)], rel=1e-8)


def test_strata_are_the_contrast_of_the_stratum_alone(middle):
    clinical, values, _ = middle
    effects = _effects(clinical, values)
    inside = clinical["er"] == "positive"
    alone = _effects(clinical[inside], values[inside])
    for scale in ("hedges_g", "auc"):
        stratum = pick(effects, question="her2", stratum="er_positive", scale=scale)
        whole = pick(alone, question="her2", stratum="all", scale=scale)
        pd.testing.assert_frame_equal(
            stratum.drop(columns="stratum"), whole.drop(columns="stratum")
        )
    adjusted = pick(effects, question="her2", stratum="er_positive", scale="adjusted_g")
    same = pick(alone, question="her2", stratum="all", adjustment="er+age")
    assert set(adjusted["adjustment"]) == {"age"}
    np.testing.assert_allclose(adjusted["estimate"], same["estimate"])
    assert same["note"].str.contains("er does not vary").all()


def test_er_rows_are_the_her2_rows_with_the_names_exchanged(middle):
    clinical, values, _ = middle
    effects = _effects(clinical, values)
    exchanged = _effects(clinical.rename(columns={"er": "her2", "her2": "er"}), values)
    for ours, theirs in (("all", "all"), ("her2_negative", "er_negative")):
        er = pick(effects, question="er", stratum=ours)
        her2 = pick(exchanged, question="her2", stratum=theirs)
        her2 = her2[her2["adjustment"] != "none, patients of er+age"]
        np.testing.assert_allclose(
            er.sort_values(["scale"])["estimate"], her2.sort_values(["scale"])["estimate"]
        )
    assert set(pick(effects, question="er", stratum="all")["adjustment"]) == {"none", "her2+age"}


def test_cells_hold_means_of_the_standardised_score(middle):
    clinical, values, _ = middle
    cells = pick(_effects(clinical, values), question="er_her2_cells").reset_index()
    z = (values - values.mean()) / values.std()
    keys = clinical["er"].str[:3].map({"pos": "er+", "neg": "er-"})
    keys = keys + "/" + clinical["her2"].map({"positive": "her2+", "negative": "her2-"})
    means, sizes = z.groupby(keys).mean(), keys.value_counts()
    for row in cells.itertuples():
        assert row.estimate == pytest.approx(means.loc[row.stratum, row.signature])
        assert row.n == sizes[row.stratum]
        assert np.isnan(row.p)
    assert (cells.groupby("signature")["n"].sum() == 75).all()


def test_equivocal_and_missing_status_is_never_negative(middle):
    clinical, values, _ = middle
    changed = clinical.copy()
    positives = changed.index[changed["her2"] == "positive"]
    negatives = changed.index[changed["her2"] == "negative"]
    changed.loc[positives[:5], "her2"] = "equivocal"
    changed.loc[negatives[:4], "her2"] = None
    changed.loc[negatives[4:6], "her2"] = np.nan
    left = changed["her2"].isin(["positive", "negative"])
    effects = pick(_effects(changed, values), question="her2", stratum="all", scale="hedges_g")
    alone = pick(
        _effects(clinical[left], values[left]), question="her2", stratum="all", scale="hedges_g"
    )
    assert set(effects["n"]) == {75 - 11}
    assert set(effects["n_case"]) == {25}
    pd.testing.assert_frame_equal(effects, alone)


def test_confounding_by_er_is_seen_crude_and_gone_adjusted():
    rng = np.random.default_rng(17)
    n = 1500
    er = rng.random(n) < 0.75
    her2 = rng.random(n) < np.where(er, 0.08, 0.45)
    index = [f"s{i}" for i in range(n)]
    clinical = pd.DataFrame(
        {
            "her2": np.where(her2, "positive", "negative").astype(object),
            "er": np.where(er, "positive", "negative").astype(object),
            "age": rng.normal(60, 12, n),
        },
        index=index,
    )
    values = pd.DataFrame(
        {
            "confounded": rng.normal(size=n) - 1.0 * er,
            "real": rng.normal(size=n) - 1.0 * er + 0.5 * her2,
        },
        index=index,
    )
    effects = _effects(clinical, values)
    crude = pick(effects, question="her2", stratum="all", scale="hedges_g")
    adjusted = pick(effects, question="her2", stratum="all", adjustment="er+age")
    assert crude.loc["confounded", "low"] > 0.2
    assert adjusted.loc["confounded", "low"] < 0 < adjusted.loc["confounded", "high"]
    # the pooled SD holds the spread by ER inside the HER2 groups as well
    sd = np.sqrt(
        1 + np.average([er[her2].var(), er[~her2].var()], weights=[her2.sum(), n - her2.sum()])
    )
    assert adjusted.loc["real", "low"] < 0.5 / sd < adjusted.loc["real", "high"]
    assert adjusted.loc["real", "p"] < 1e-6
    assert (adjusted["power_limit"] > crude["power_limit"]).all()


def test_beside_the_adjusted_row_stands_the_crude_one_in_its_patients(middle):
    clinical, values, expected = middle
    whole = pick(_effects(clinical, values), adjustment="none, patients of er+age")
    assert set(whole["question"]) == {"her2", "her2_low"}
    whole = whole[whole["question"] == "her2"]
    for ours, theirs in (("estimate", ""), ("low", "_low"), ("high", "_high"), ("p", "_p")):
        for name in COLUMNS:
            known = expected[(name, "no_covariate" + theirs)]
            assert whole.loc[name, ours] == pytest.approx(known, rel=1e-7)
    # age is missing in ten patients: both rows are of the others, the plain crude one of all
    changed = clinical.copy()
    changed.iloc[:10, changed.columns.get_loc("age")] = np.nan
    left = _effects(clinical.iloc[10:], values.iloc[10:])
    effects = pick(_effects(changed, values), question="her2", stratum="all")
    rows = effects[effects["adjustment"] == "none, patients of er+age"]
    assert set(rows["n"]) == set(effects.loc[effects["adjustment"] == "er+age", "n"]) == {65}
    crude = pick(left, question="her2", stratum="all", scale="hedges_g")["estimate"]
    correction = small_sample_correction(63)
    np.testing.assert_allclose(rows["estimate"] * correction, crude)
    assert rows["note"].str.startswith("10 of 75 samples lack er or age").all()
    none = _effects(clinical.drop(columns="age"), values)
    gone = pick(none, question="her2", adjustment="none, patients of er+age")
    assert gone["estimate"].isna().all()
    assert gone["note"].str.contains("covariate age is not in the cohort").all()
    tables.EFFECTS.conform(none)  # no key occurs twice


def test_one_empty_group_gives_rows_with_a_note(middle):
    clinical, values, _ = middle
    effects = _effects(clinical.assign(her2="negative"), values)
    her2 = effects[effects["question"] == "her2"]
    assert her2["estimate"].isna().all()
    assert her2["p"].isna().all()
    assert her2["note"].str.contains("0 samples are positive, at least 5 are needed").all()
    assert set(her2["scale"]) == {"hedges_g", "auc", "adjusted_g"}
    cells = effects[effects["question"] == "er_her2_cells"]
    gone = cells["stratum"].str.endswith("her2+")
    assert cells.loc[gone, "estimate"].isna().all()
    assert cells.loc[~gone, "estimate"].notna().all()


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda c: c.drop(columns="age"), "covariate age is not in the cohort"),
        (lambda c: c.assign(age=np.nan), "covariate age is missing in every sample"),
        (lambda c: c.assign(er=c["her2"]), "the covariates repeat each other or the groups"),
    ],
)
def test_an_adjustment_that_cannot_be_made_is_a_row_with_a_note(middle, change, note):
    clinical, values, _ = middle
    effects = _effects(change(clinical), values)
    rows = pick(effects, question="her2", stratum="all", adjustment="er+age")
    assert rows["estimate"].isna().all()
    assert rows["note"].str.contains(note).all()
    crude = pick(effects, question="her2", stratum="all", scale="hedges_g")
    assert crude["estimate"].notna().all()


def test_adjusted_rows_use_complete_cases_and_say_how_many_lack(middle):
    clinical, values, _ = middle
    changed = clinical.copy()
    changed.iloc[:6, changed.columns.get_loc("age")] = np.nan
    rows = pick(_effects(changed, values), question="her2", stratum="all", adjustment="er+age")
    assert set(rows["n"]) == {69}
    assert rows["note"].str.startswith("6 of 75 samples lack er or age").all()
    alone = pick(
        _effects(clinical.iloc[6:], values.iloc[6:]),
        question="her2", stratum="all", adjustment="er+age",
    )  # fmt: skip
    np.testing.assert_allclose(rows["estimate"], alone["estimate"])


def test_coverage_and_sampling_leave_their_notes(middle):
    clinical, values, _ = middle
    effects = contrast.contrast_effects(
        clinical,
        long_scores(values.drop(columns="apart")),
        coverage_rows(COLUMNS, unusable=["tied"], absent=["apart"]),
        dict.fromkeys(COLUMNS),
        cohort="c",
        sampling={"design": "trial", "on": ["her2"], "note": ""},
    )
    marked = notes.carries(effects["note"], notes.UNUSABLE)
    assert set(effects.loc[marked, "signature"]) == {"tied", "apart"}
    tied = effects[(effects["signature"] == "tied") & (effects["question"] != "her2_low")]
    assert tied["estimate"].notna().all()
    absent = effects[effects["signature"] == "apart"]
    assert absent["estimate"].isna().all()
    assert absent["note"].str.contains("no gene of the set is measured").all()
    crude = effects["note"].map(notes.sampled_how) == "sampled by her2 (trial)"
    assert (crude == effects["adjustment"].str.startswith("none")).all()


def test_order_of_rows_changes_nothing(middle):
    clinical, values, _ = middle
    rng = np.random.default_rng(0)
    first = _effects(clinical, values)
    order = rng.permutation(len(clinical))
    second = contrast.contrast_effects(
        clinical.iloc[order],
        long_scores(values).sample(frac=1, random_state=1),
        coverage_rows(COLUMNS),
        dict.fromkeys(reversed(COLUMNS)),
        cohort="c",
    )
    pd.testing.assert_frame_equal(first, second, rtol=1e-9)


def test_a_signature_without_a_score_in_some_samples_uses_the_others(middle):
    clinical, values, _ = middle
    broken = values.copy()
    broken.iloc[3, 0] = np.nan
    rows = pick(_effects(clinical, broken), question="her2", stratum="all", scale="hedges_g")
    assert rows.loc["plain", "n"] == 74
    assert set(rows.drop("plain")["n"]) == {75}
    whole = pick(_effects(clinical, values), question="her2", stratum="all", scale="hedges_g")
    np.testing.assert_allclose(rows.drop("plain")["estimate"], whole.drop("plain")["estimate"])


def test_scores_of_another_cohort_are_refused(middle):
    clinical, values, _ = middle
    with pytest.raises(EstimationError, match="5 samples that the clinical frame lacks"):
        _effects(clinical.iloc[5:], values)
