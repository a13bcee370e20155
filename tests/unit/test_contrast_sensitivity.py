"""Richer adjustments, HER2 rules, gene filters, random sets and permuted labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cytostrat import contrast, tables
from cytostrat.errors import EstimationError
from cytostrat.signatures import Signature
from cytostrat.stats import linear, notes
from cytostrat.stats.effect_size import hedges_g
from tests.contrast_frames import coverage_rows, long_scores, pick, status

NAMES = ["amplicon", "myeloid", "null", "proliferation", "real"]
CORE = {"without amplicon core": ["ERBB2", "GRB7"], "without 17q12-q21": ["ERBB2", "GRB7", "CSF3"]}


@pytest.fixture(scope="module")
def planted():
    """600 tumours: `real` depends on HER2, `null` only on proliferation, which HER2 raises."""
    rng = np.random.default_rng(29)
    n = 600
    index = [f"t{i:03d}" for i in range(n)]
    er = rng.random(n) < 0.7
    her2 = rng.random(n) < np.where(er, 0.15, 0.4)
    proliferation = rng.normal(size=n) + 1.0 * her2
    values = pd.DataFrame(
        {
            "amplicon": rng.normal(size=n) + 2.0 * her2,
            "myeloid": rng.normal(size=n) + 0.8 * her2,
            "null": rng.normal(size=n) + 0.8 * proliferation,
            "proliferation": proliferation,
            "real": rng.normal(size=n) - 0.6 * her2 - 0.5 * er,
        },
        index=index,
    )
    clinical = pd.DataFrame(
        {"her2": status(pd.Series(her2 * 1, index)), "er": status(pd.Series(er * 1, index))}
    )
    clinical["age"] = rng.normal(60, 12, n)
    clinical["grade"] = rng.choice(["1", "2", "3"], n)
    clinical["her2_flag"] = np.where(np.arange(n) % 50 == 0, "ISH amplified but IHC 1+", "")
    clinical["her2_ihc"] = np.where(her2, np.where(rng.random(n) < 0.8, "3+", "2+"), "1+")
    clinical["her2_low"] = np.where(her2, None, np.where(rng.random(n) < 0.6, "low", "zero"))
    equivocal = rng.choice(index, 30, replace=False)
    clinical.loc[equivocal, "her2"] = "equivocal"
    erbb2 = pd.Series(rng.normal(8, 1, n) + 4 * her2, index)
    return clinical, values, erbb2


def _signatures():
    genes = {"amplicon": ("GRB7", "IL1B"), "real": ("CSF3", "IL6")}
    return {name: Signature(name, name, up=genes.get(name, ("TNF",))) for name in NAMES}


def _contrast(clinical, values, **options):
    return contrast.contrast_effects(
        clinical, long_scores(values), coverage_rows(NAMES), _signatures(), cohort="c", **options
    )


def _sensitivity(clinical, values, *, filtered=None, **options):
    filtered = values[["amplicon"]] - 1 if filtered is None else filtered
    wide = pd.concat([filtered, values[["real"]] * 2], axis=1)
    scores = {
        "without amplicon core": long_scores(filtered),
        "without 17q12-q21": long_scores(wide),
    }
    options = {"filter_genes": CORE, "filter_scores": scores, **options}
    return contrast.sensitivity_effects(
        clinical, long_scores(values), coverage_rows(NAMES), _signatures(), cohort="c", **options
    )


def test_further_adjustments_and_mediators_are_rows_of_their_own(planted):
    clinical, values, _ = planted
    effects = _contrast(
        clinical, values,
        further_adjustments=[
            ("er", "age", "grade"), ("er", "age", "proliferation"), ("er", "purity"),
        ],
        mediators=[("er", "age", "myeloid")],
        covariate_signatures={"proliferation": "proliferation", "myeloid": "myeloid"},
    )  # fmt: skip
    rows = effects[(effects["question"] == "her2") & (effects["stratum"] == "all")]
    assert set(rows["adjustment"]) == {
        "none", "er+age", "none, patients of er+age", "er+age+grade", "er+age+proliferation",
        "er+purity", "er+age+myeloid (mediator)",
    }  # fmt: skip
    primary = pick(rows, adjustment="er+age")
    metagene = pick(rows, adjustment="er+age+proliferation")
    assert primary.loc["null", "low"] > 0.2
    assert metagene.loc["null", "low"] < 0 < metagene.loc["null", "high"]
    assert np.isnan(metagene.loc["proliferation", "estimate"])
    assert "the score is the covariate itself" in metagene.loc["proliferation", "note"]
    assert pick(rows, adjustment="er+purity")["note"].str.contains("purity is not in").all()
    assert metagene["note"].drop("proliferation").str.contains("the score of proliferation").all()
    measured = _contrast(
        clinical.assign(myeloid=values["null"]), values,
        mediators=[("er", "age", "myeloid")], covariate_signatures={"myeloid": "myeloid"},
    )  # fmt: skip
    mediated = pick(measured, adjustment="er+age+myeloid (mediator)")
    assert np.isfinite(mediated.loc["myeloid", "estimate"])
    assert not mediated["note"].str.contains("the score of").any()
    # by hand for one row: coefficient of HER2 beside ER, age and two grade indicators
    known = clinical["her2"].isin(["positive", "negative"])
    frame, y = clinical[known], values.loc[known, ["real"]].to_numpy()
    design = np.column_stack(
        [frame["er"] == "positive", frame["age"], frame["grade"] == "2", frame["grade"] == "3"]
    ).astype(float)
    expected = linear.adjusted_difference(y, (frame["her2"] == "positive").to_numpy(), design)
    graded = pick(rows, adjustment="er+age+grade").loc["real"]
    assert graded["estimate"] == pytest.approx(expected.estimate[0])
    assert graded["p"] == pytest.approx(expected.p[0])


def test_her2_low_is_compared_with_zero_among_negatives(planted):
    clinical, values, _ = planted
    rows = pick(_contrast(clinical, values), question="her2_low", scale="hedges_g")
    assert set(rows["contrast"]) == {"low - zero"}
    assert rows.loc["real", "n"] == clinical["her2_low"].notna().sum()
    assert rows["note"].str.contains("exploratory").all()
    part = clinical[clinical["her2_low"].notna()]
    expected = hedges_g(
        values.loc[part.index, ["real"]].to_numpy(), (part["her2_low"] == "low").to_numpy()
    )
    assert rows.loc["real", "estimate"] == pytest.approx(expected.estimate[0])


def test_named_groups_compare_any_two_sets_of_values(planted):
    clinical, values, _ = planted
    groups = {
        "grade": {"column": "grade", "case": ["3"], "control": ["1", "2"]},
        "subtype": {"column": "pam50", "case": ["Basal"], "control": ["LumA"]},
    }
    effects = _contrast(clinical, values, groups=groups)
    rows = pick(effects, question="groups:grade", scale="hedges_g")
    assert set(rows["contrast"]) == {"3 - 1/2"}
    assert set(rows["n_case"]) == {(clinical["grade"] == "3").sum()}
    assert set(rows["n"]) == {600}
    absent = effects[effects["question"] == "groups:subtype"]
    assert absent["estimate"].isna().all()
    assert absent["note"].str.contains("column pam50 is not in the cohort").all()
    overlapping = {"a": {"column": "grade", "case": ["3", "2"], "control": ["2"]}}
    with pytest.raises(EstimationError, match="the value 2 of column grade in case and in"):
        _contrast(clinical, values, groups=overlapping)


def test_every_her2_rule_makes_its_own_groups(planted):
    clinical, values, erbb2 = planted
    effects = _sensitivity(clinical, values, erbb2=erbb2)
    rows = pick(effects, scale="hedges_g", stratum="all").loc["null"].set_index("her2_rule")
    her2, flagged = clinical["her2"], clinical["her2_flag"] != ""
    positive, equivocal = (her2 == "positive"), (her2 == "equivocal")
    known = positive | (her2 == "negative")
    expected = {
        "flags excluded": ((known & ~flagged).sum(), (positive & ~flagged).sum()),
        "equivocal positive": (600, (positive | equivocal).sum()),
        "equivocal negative": (600, positive.sum()),
        "ihc only": ((clinical["her2_ihc"] != "2+").sum(), (clinical["her2_ihc"] == "3+").sum()),
    }
    for rule, (n, n_case) in expected.items():
        assert rows.loc[rule, ["n", "n_case"]].tolist() == [n, n_case]
    assert "30 samples change group" in rows.loc["equivocal positive", "note"]
    assert set(effects.loc[effects["her2_rule"] != "primary", "scale"]) == {
        "hedges_g", "adjusted_g",
    }  # fmt: skip


def test_the_expression_rule_stands_apart_and_never_sees_amplicon_genes(planted):
    clinical, values, erbb2 = planted
    effects = _sensitivity(clinical, values, erbb2=erbb2)
    rows = effects[effects["her2_rule"] == "expression"]
    assert set(rows["gene_filter"]) == {"without amplicon core"}
    assert rows["note"].str.contains(r"kappa 0\.9\d with the clinical call").all()
    # no clinical call moves it
    blind = _sensitivity(clinical.assign(her2=None), values, erbb2=erbb2)
    again = blind[blind["her2_rule"] == "expression"]
    crude = rows[rows["scale"] == "hedges_g"]
    np.testing.assert_allclose(
        crude["estimate"], again.loc[again["scale"] == "hedges_g", "estimate"]
    )
    absent = _sensitivity(clinical, values, erbb2=None)
    absent = absent[absent["her2_rule"] == "expression"]
    assert absent["estimate"].isna().all()
    assert absent["note"].str.contains("ERBB2 is not measured").all()
    flat = _sensitivity(
        clinical, values, erbb2=pd.Series(np.random.default_rng(0).normal(size=600), erbb2.index)
    )
    flat = flat[flat["her2_rule"] == "expression"]
    assert flat["note"].str.contains("one component describes ERBB2 as well as two").all()


def test_filtered_scores_replace_those_of_affected_signatures_only(planted):
    clinical, values, erbb2 = planted
    rng = np.random.default_rng(3)
    other = pd.DataFrame({"amplicon": rng.normal(size=600)}, index=values.index)
    effects = _sensitivity(clinical, values, filtered=other, erbb2=erbb2)
    whole = _contrast(clinical, values)
    for scale, adjustment in (("hedges_g", "none"), ("auc", "none"), ("adjusted_g", "er+age")):
        wanted = {"question": "her2", "stratum": "all", "scale": scale, "adjustment": adjustment}
        before = pick(whole, **wanted)
        wanted["her2_rule"] = "primary"
        core = pick(effects, gene_filter="without amplicon core", **wanted)
        band = pick(effects, gene_filter="without 17q12-q21", **wanted)
        same = ["myeloid", "null", "proliferation", "real"]
        np.testing.assert_allclose(core.loc[same, "estimate"], before.loc[same, "estimate"])
        assert notes.carries(core.loc[same, "note"], notes.NO_GENE_AFFECTED).all()
        assert abs(core.loc["amplicon", "estimate"]) < before.loc["amplicon", "low"]
        assert "scored without amplicon core: GRB7" in core.loc["amplicon", "note"]
        assert "scored without 17q12-q21: CSF3" in band.loc["real", "note"]
        assert notes.carries(band.loc[same[:3], "note"], notes.NO_GENE_AFFECTED).all()


def test_an_affected_signature_without_filtered_scores_is_a_row_without_a_number(planted):
    clinical, values, erbb2 = planted
    effects = _sensitivity(clinical, values, erbb2=erbb2, filter_scores={})
    core = effects[effects["gene_filter"] == "without amplicon core"]
    lost = core["signature"] == "amplicon"
    assert core.loc[lost, "estimate"].isna().all()
    assert core.loc[~lost, "estimate"].notna().all()


def test_random_sets_give_the_share_that_is_at_least_as_strong(planted):
    clinical, values, _ = planted
    rng = np.random.default_rng(8)
    null = rng.normal(size=(600, 199))
    asked = []

    def null_scores(name, method):
        asked.append((name, method))
        return null if name == "real" else None

    effects = _contrast(clinical, values, null_scores=null_scores)
    assert len(asked) == len(set(asked)) == len(NAMES)
    rows = pick(effects, question="her2", stratum="all", scale="hedges_g")
    known = clinical["her2"].isin(["positive", "negative"]).to_numpy()
    case = (clinical["her2"] == "positive").to_numpy()[known]
    random = hedges_g(null[known], case).estimate
    expected = (1 + (np.abs(random) >= abs(rows.loc["real", "estimate"])).sum()) / 200
    assert rows.loc["real", "null_p"] == pytest.approx(expected)
    assert rows.drop("real")["null_p"].isna().all()
    adjusted = pick(effects, question="her2", stratum="all", adjustment="er+age")
    assert 0 < adjusted.loc["real", "null_p"] <= 1
    # a signature that is itself one of the random sets cannot be extreme by rule
    own = _contrast(
        clinical, values,
        null_scores=lambda name, _: np.repeat(values[[name]].to_numpy(), 10, axis=1),
    )  # fmt: skip
    tested = own[own["scale"].isin(["hedges_g", "adjusted_g"]) & own["estimate"].notna()]
    beside = tested["adjustment"] == "none, patients of er+age"
    assert (tested.loc[~beside, "null_p"] == 1).all()
    assert tested.loc[beside, "null_p"].isna().all()


def test_rows_without_the_amplicon_have_random_sets_without_it(planted):
    clinical, values, erbb2 = planted
    rng = np.random.default_rng(18)
    whole, reduced = rng.normal(size=(600, 99)), 5 * rng.normal(size=(600, 99))
    reduced += 4 * (clinical["her2"] == "positive").to_numpy()[:, None]
    asked = []

    def null_scores(name, method, forbidden=frozenset()):
        asked.append((name, forbidden))
        return reduced if forbidden else whole

    effects = _sensitivity(clinical, values, erbb2=erbb2, null_scores=null_scores)
    core, wide = (frozenset(genes) for genes in CORE.values())
    assert len(asked) == len(set(asked))
    assert {(name, genes) for name, genes in asked if genes} == {
        ("amplicon", core), ("amplicon", wide), ("real", wide),
    }  # fmt: skip
    rows = effects[effects["gene_filter"].eq("without 17q12-q21") & effects["stratum"].eq("all")]
    rows = rows[rows["scale"] == "hedges_g"].set_index("signature")
    # random sets that gain as much from HER2 as these are matched to do as well; others do not
    assert rows.loc["real", "null_p"] > 0.3
    assert rows.loc["null", "null_p"] == 0.01


def test_permuted_labels_centre_on_zero_or_on_what_er_alone_makes(planted):
    clinical, values, _ = planted
    effects = contrast.permuted_effects(
        clinical, long_scores(values), coverage_rows(NAMES), _signatures(),
        cohort="c", seed=5, n_permutations=400,
    )  # fmt: skip
    free = pick(effects, endpoint="her2 permuted")
    within = pick(effects, endpoint="her2 permuted within er")
    assert (free["estimate"].abs() < 0.03).all()
    assert free.loc["amplicon", "p"] == pytest.approx(1 / 401)
    assert within.loc["amplicon", "p"] == pytest.approx(1 / 401)
    # ER lowers `real` by 0.5 and is rarer among HER2-positive tumours
    assert 0.08 < within.loc["real", "estimate"] < 0.25
    assert abs(within.loc["myeloid", "estimate"]) < 0.08
    shuffled = clinical.sample(frac=1, random_state=1)
    again = contrast.permuted_effects(
        shuffled, long_scores(values), coverage_rows(NAMES), _signatures(),
        cohort="c", seed=5, n_permutations=400,
    )  # fmt: skip
    pd.testing.assert_frame_equal(effects, again)
    none = contrast.permuted_effects(
        clinical.assign(her2=None), long_scores(values), coverage_rows(NAMES), _signatures(),
        cohort="c", seed=5, n_permutations=10,
    )  # fmt: skip
    assert none["estimate"].isna().all()
    assert none["note"].str.contains("fewer than 5 samples").all()


@pytest.mark.parametrize("n", [1, 2, 7, 13, 40])
@pytest.mark.parametrize("scores", ["random", "constant", "missing"])
def test_a_missing_number_always_has_its_note(n, scores):
    rng = np.random.default_rng(n)
    index = [f"s {i} <ä>" for i in range(n)]
    clinical = pd.DataFrame(
        {name: rng.choice(["positive", "negative"], n) for name in ("her2", "er")}, index=index
    ).assign(age=rng.normal(60, 9, n))
    values = pd.DataFrame(rng.normal(size=(n, 5)), index, NAMES)
    if scores != "random":
        values["amplicon"] = 1.0 if scores == "constant" else np.nan
    filtered = {name: long_scores(values[["amplicon", "real"]]) for name in CORE}
    common = (clinical, long_scores(values), coverage_rows(NAMES), _signatures())
    genes = ["GRB7", "IL1B", "TNF", "IL6", "Z"]
    frames = [
        contrast.contrast_effects(*common, cohort="c"),
        contrast.sensitivity_effects(
            *common, cohort="c", filter_genes=CORE, filter_scores=filtered,
            erbb2=pd.Series(rng.normal(size=n), index),
        ),
        contrast.permuted_effects(*common, cohort="c", seed=1, n_permutations=20),
        contrast.prerank(
            rng.normal(size=(n, 5)), genes, clinical, _signatures(), cohort="c", seed=1,
            n_permutations=5,
        ).effects,
    ]  # fmt: skip
    effects = tables.EFFECTS.concat(frames)
    missing = effects["estimate"].isna()
    assert effects.loc[missing, "note"].str.contains("not estimated").all()
    assert effects.loc[missing, "p"].isna().all()
    p = effects["p"].dropna()
    assert ((p > 0) & (p <= 1)).all()
