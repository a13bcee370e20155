"""The response stage: R's numbers, a planted trial, and what it refuses to guess."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import stats

from cytostrat import meta, response, signature_scores, tables
from cytostrat.errors import EstimationError
from cytostrat.stats import notes
from cytostrat.stats.effect_size import small_sample_correction
from cytostrat.stats.logistic import fit_logistic, logistic_score_z
from cytostrat.stats.paired import detectable_paired_d, paired_d, smallest_sign_flip_p

CONTRAST = "IFNG - mean(IL1B, IL6, IL2RA)"


@pytest.fixture(scope="module")
def oracle(repository):
    return repository / "tests" / "oracles" / "response"


def long_scores(wide, method="ssgsea"):
    frame = wide.stack(future_stack=True).dropna().rename("score").rename_axis(["sample", "s"])
    frame = frame.reset_index().rename(columns={"s": "signature"})
    return tables.SCORES.conform(
        frame.assign(cohort="trial", cell_type="", method=method, percentile=50.0)
    )


def full_coverage(signatures):
    frame = pd.DataFrame({"signature": list(signatures)})
    frame = frame.assign(
        cohort="trial", n_genes=20, n_present=20, fraction=1.0, missing="", usable=True, note=""
    )
    return tables.COVERAGE.conform(frame)


def effects(clinical, wide, **choices):
    return response.response_effects(
        clinical,
        long_scores(wide),
        full_coverage(wide.columns),
        list(wide.columns),
        cohort="trial",
        **choices,
    )


def row(table, **key):
    key = {"question": "response", "stratum": "all", "adjustment": "none", **key}
    found = table[np.logical_and.reduce([table[name] == value for name, value in key.items()])]
    assert len(found) == 1, f"{len(found)} rows for {key}"
    return found.iloc[0]


def paired_trial(seed=1, n=24):
    """Patients before and after; in responders s0 and IL1B fall and IFNG rises by about one SD."""
    rng = np.random.default_rng(seed)
    responds = np.arange(n) % 2 == 0
    clinical, values, genes = [], [], []
    for patient in range(n):
        level, gene_level = rng.normal(size=2), rng.normal(5, 1, size=6)
        for visit in ("before", "after"):
            late = visit == "after"
            clinical.append(
                {
                    "sample": f"P{patient:02d}_{visit}", "patient": f"TRIAL:{patient:02d}",
                    "timepoint": visit, "treatment": "IFN + tamoxifen",
                    "response": "yes" if responds[patient] else "no",
                    "age": 50.0 + patient, "er": "positive" if patient % 3 else "negative",
                }
            )  # fmt: skip
            fall = -1.0 if late and responds[patient] else 0.0
            values.append(level + 0.3 * rng.normal(size=2) + [fall, 0.0])
            shift = np.array([fall, 0, fall, 0, -fall, fall])
            genes.append(gene_level + shift + 0.3 * rng.normal(size=6))
    clinical = pd.DataFrame(clinical).set_index("sample")
    wide = pd.DataFrame(values, index=clinical.index, columns=["s0", "s1"])
    return clinical, wide, pd.DataFrame(genes, index=clinical.index, columns=response.PANEL_1998)


def test_odds_ratios_equal_r(oracle):
    patients = pd.read_csv(oracle / "patients.csv", index_col="id").rename_axis("sample")
    expected = pd.read_csv(oracle / "glm.csv").set_index(["adjustment", "score"])
    scores = [f"s{j}" for j in range(1, 5)]
    case = patients["response"].to_numpy() == 1
    values = patients[scores].to_numpy()
    for adjustment, names in (("none", []), ("er+age", ["er", "age"])):
        known = expected.loc[adjustment].loc[scores]
        beside = patients[names].to_numpy(float)
        fits = fit_logistic(case, values, covariates=beside)
        np.testing.assert_allclose(fits.coef, known["coef"], rtol=1e-8)
        np.testing.assert_allclose(fits.se, known["se"], rtol=1e-7)
        np.testing.assert_allclose(fits.p, known["p"], rtol=1e-6)
        z = logistic_score_z(case, values, covariates=beside)
        np.testing.assert_allclose(z**2, known["rao"], rtol=1e-6)
    # the stage gives the same per SD, with er as text
    clinical = pd.DataFrame(
        {
            "age": patients["age"].astype(float),
            "er": patients["er"].map({1: "positive", 0: "negative"}),
            "response": patients["response"].map({1: "yes", 0: "no"}),
        }
    )
    table = effects(clinical, patients[scores], adjustment=["er", "age"])
    for score, sd in patients[scores].std(ddof=1).items():
        for adjustment in ("none", "er+age"):
            got = row(table, signature=score, scale="log_or", adjustment=adjustment)
            known = expected.loc[(adjustment, score)]
            assert got["estimate"] == pytest.approx(known["coef"] * sd, rel=1e-7)
            assert got["se"] == pytest.approx(known["se"] * sd, rel=1e-6)
            assert got["n_case"] == case.sum()
    assert table["events"].isna().all()


def arms_trial(patients):
    """Return clinic and expression of the trial of three arms in which R fitted the panel."""
    status = {1: "positive", 0: "negative"}
    clinical = pd.DataFrame(
        {
            "age": patients["age"].astype(float),
            "er": patients["er"].map(status),
            "her2": patients["her2"].map(status),
            "treatment": patients["arm"],
            "response": patients["response"].map({1: "yes", 0: "no"}),
        }
    ).set_axis(patients["id"], axis=0)
    return clinical, patients[[*response.PANEL_1998]].set_axis(patients["id"], axis=0)


def test_panel_beside_case_mix_and_arm_equals_r(oracle):
    clinical, genes = arms_trial(pd.read_csv(oracle / "arms.csv"))
    table = effects(clinical, genes[["IL1B"]], expression=genes)
    for known in pd.read_csv(oracle / "arms_glm.csv").itertuples():
        name = CONTRAST if known.column == "contrast" else known.column
        got = row(
            table, signature=name, question="panel_1998", scale="log_or",
            adjustment=known.adjustment,
        )  # fmt: skip
        assert got["estimate"] == pytest.approx(known.coef, rel=1e-7)
        assert got["se"] == pytest.approx(known.se, rel=1e-6)
        assert got["p"] == pytest.approx(known.p, rel=1e-5)
    # inside an arm there is no arm to adjust for
    inside = table[table["stratum"].eq("treatment: taxane") & table["scale"].eq("log_or")]
    assert set(inside["adjustment"]) == {"none", "er+her2+age"}


def case_mix_trial(seed=7, n=3000):
    """Response and IFNG both depend on ER, and on nothing else."""
    rng = np.random.default_rng(seed)
    names = [f"P{i:04d}" for i in range(n)]
    er = rng.random(n) < 0.6
    clinical = pd.DataFrame(
        {
            "er": np.where(er, "positive", "negative"),
            "her2": np.where(rng.random(n) < 0.25, "positive", "negative"),
            "age": rng.normal(55, 10, n),
            "treatment": np.where(rng.random(n) < 0.5, "A", "B"),
            "response": np.where(rng.random(n) < np.where(er, 0.12, 0.5), "yes", "no"),
        },
        index=names,
    )
    genes = pd.DataFrame(rng.normal(size=(n, 6)), index=names, columns=response.PANEL_1998)
    genes["IFNG"] -= 1.2 * er
    return clinical, genes


def test_case_mix_alone_makes_a_crude_difference_and_no_adjusted_one():
    clinical, genes = case_mix_trial()
    table = effects(clinical, genes[["IFNG"]], expression=genes)
    of = {"signature": "IFNG", "question": "panel_1998"}
    assert row(table, scale="hedges_g", **of)["low"] > 0.3
    assert row(table, scale="log_or", **of)["low"] > 0.3
    adjusted = row(table, scale="log_or", adjustment="er+her2+age+treatment", **of)
    assert adjusted["low"] < 0 < adjusted["high"]
    assert abs(adjusted["estimate"]) < 0.1
    contrast = {**of, "signature": CONTRAST, "scale": "log_or"}
    assert row(table, **contrast)["low"] > 0
    beside = row(table, adjustment="er+her2+age+treatment", **contrast)
    assert beside["low"] < 0 < beside["high"]


def test_adjusted_odds_of_three_cohorts_are_pooled():
    parts = []
    for seed in (1, 2, 3):
        clinical, genes = case_mix_trial(seed=seed, n=800)
        table = effects(clinical, genes[["IFNG"]], expression=genes)
        parts.append(table.assign(cohort=f"c{seed}"))
    adjustment = "er+her2+age+treatment"
    pooled = meta.pool_effects(pd.concat(parts, ignore_index=True), adjustments=[adjustment])
    of = (pooled["scale"] == "log_or") & (pooled["signature"] == "IFNG")
    of &= (pooled["stratum"] == "all") & (pooled["model"] == "random")
    found = pooled[of & (pooled["question"] == "panel_1998")]
    assert len(found) == 1
    assert found["k"].iloc[0] == 3
    assert found["adjustment"].iloc[0] == adjustment
    assert found["low"].iloc[0] < 0 < found["high"].iloc[0]


def test_what_a_cohort_cannot_adjust_for_is_said():
    clinical, genes = case_mix_trial(n=1200)
    wide, of = genes[["IFNG"]], {"signature": "IFNG", "scale": "log_or"}
    full = {**of, "adjustment": "er+her2+age+treatment"}
    bare = row(effects(clinical.drop(columns=["age", "treatment"]), wide), **full)
    assert np.isfinite(bare["estimate"])
    for name in ("age", "treatment"):
        assert f"{name} is not recorded and not adjusted for" in bare["note"]
    less = row(effects(clinical, wide, adjustment=["er", "her2"]), **of, adjustment="er+her2")
    assert bare["estimate"] == less["estimate"]
    missing = row(effects(clinical.drop(columns="her2"), wide), **full)
    assert np.isnan(missing["estimate"])
    assert "covariate her2 is not in the cohort" in missing["note"]
    # arms given by HER2, as in a trial of trastuzumab: the second of the two adds nothing
    by_her2 = clinical.assign(treatment=clinical["her2"].map({"positive": "H", "negative": "C"}))
    same = row(effects(by_her2, wide), **full)
    assert "treatment=H follows from the other covariates and is left out" in same["note"]
    without = row(
        effects(clinical, wide, adjustment=["er", "her2", "age"]), **of, adjustment="er+her2+age"
    )
    assert same["estimate"] == pytest.approx(without["estimate"], rel=1e-9)
    # an arm without a response has no finite odds; its patients change nothing beside the others
    third = clinical.copy()
    third.loc[third.index[:90], ["treatment", "response"]] = ["C", "no"]
    torn = row(effects(third, wide), **full)
    assert "90 patients of arms in which all or none responded say nothing" in torn["note"]
    assert torn["n"] == 1110
    few = row(effects(clinical[:120], wide[:120]), **full)
    assert "10 per term are needed" in few["note"]
    assert np.isnan(few["estimate"])


def test_panel_genes_are_compared_with_genes_of_their_level():
    clinical, genes = case_mix_trial(n=400)
    rng = np.random.default_rng(5)
    asked = []

    def null_genes(rising, falling):
        asked.append((rising, falling))
        count = 150 if len(rising) + len(falling) == 1 else 400
        shift = 1.5 * (clinical["er"] == "negative").to_numpy()[:, None, None]
        sides = [rng.normal(size=(400, count, len(side))) * 3 + 7 for side in (rising, falling)]
        return sides[0] + 3 * shift, sides[1]

    table = effects(clinical, genes[["IL6"]], expression=genes, null_genes=null_genes)
    panel = table[table["question"].eq("panel_1998") & table["estimate"].notna()]
    assert sorted(asked) == sorted(
        [*(((gene,), ()) for gene in response.PANEL_1998), (("IFNG",), response.PANEL_FALLING)]
    )
    assert panel.loc[panel["scale"].isin(["hedges_g", "log_or"]), "null_p"].notna().all()
    of = {"question": "panel_1998", "scale": "log_or"}
    # crude: random genes that ER moves do as well as IFNG does
    assert row(table, signature="IFNG", **of)["p"] < 1e-3
    assert row(table, signature="IFNG", **of)["null_p"] > 0.2
    assert row(table, signature=CONTRAST, **of)["null_p"] > 0.05


def test_random_genes_are_neighbours_in_expression_each_once():
    rng = np.random.default_rng(9)
    names = [f"G{i:04d}" for i in range(2000)]
    level = np.sort(rng.gamma(2, 2, 2000))
    data = AnnData(
        (level + 0.1 * rng.normal(size=(30, 2000))).astype(np.float32),
        var=pd.DataFrame(index=names),
    )
    drawn = signature_scores.null_expression(data, sets=1000, seed=2)
    first, second = drawn(["G1000"], [])
    assert first.shape == (30, 200, 1)
    assert second.shape == (30, 200, 0)
    assert len(np.unique(first[0])) == 200
    means = first.mean(axis=(0, 2))
    assert level[890] < means.min() < means.max() < level[1110]
    first, second = drawn(["G1000"], ["G0300", "G1500", "ABSENT"])
    assert (first.shape, second.shape) == ((30, 1000, 1), (30, 1000, 2))
    assert abs(second[:, :, 0].mean() - level[300]) < 0.1
    assert drawn(["ABSENT"], []) is None


def test_paired_change_equals_r(oracle):
    for case in pd.read_csv(oracle / "paired.csv").itertuples():
        got = paired_d(np.array(case.values.split(), dtype=float))
        assert got.estimate[0] == pytest.approx(case.d, rel=1e-9)
        assert got.se[0] == pytest.approx(case.se, rel=1e-9)
        assert got.low[0] == pytest.approx(case.low, rel=1e-6)
        assert got.high[0] == pytest.approx(case.high, rel=1e-6)
        assert got.p[0] == pytest.approx(case.p, rel=1e-12)
    for known in pd.read_csv(oracle / "power.csv").itertuples():
        # R's delta is uncorrected
        expected = known.delta * small_sample_correction(known.n - 1)
        assert detectable_paired_d(int(known.n)) == pytest.approx(expected, rel=1e-6)


def test_planted_change_is_found_in_responders_only():
    clinical, wide, genes = paired_trial()
    table = effects(clinical, wide, expression=genes, definition="UICC PR or CR")
    change = {"question": "response_change", "scale": "paired_d", "contrast": "after - before"}
    fell = row(table, signature="s0", stratum="responders", **change)
    assert fell["high"] < 0
    assert fell["p"] < 0.01
    assert fell["n"] == 12
    still = row(table, signature="s0", stratum="non-responders", **change)
    assert still["low"] < 0 < still["high"]
    between = row(
        table, signature="s0", question="response_change", scale="hedges_g",
        contrast="change (after - before), yes - no",
    )  # fmt: skip
    assert between["high"] < 0
    assert (between["n"], between["n_case"]) == (24, 12)
    # at baseline nothing was planted
    assert row(table, signature="s0", scale="hedges_g")["p"] > 0.01
    assert "UICC PR or CR" in fell["note"]
    panel = {"question": "panel_1998", "stratum": "responders", "scale": "paired_d"}
    for gene, sign in (("IL1B", -1), ("IL6", -1), ("IL2RA", -1), ("IFNG", 1), (CONTRAST, 1)):
        got = row(table, signature=gene, **panel)
        assert np.sign(got["low"]) == np.sign(got["high"]) == sign
        assert response.PANEL_NOTE in got["note"]
    assert row(table, signature="TNF", **panel)["p"] > 0.01
    p = table["p"].dropna()
    assert ((p > 0) & (p <= 1)).all()


def test_panel_contrast_is_the_published_one_in_baseline_sd():
    clinical, _, genes = paired_trial()
    before = np.flatnonzero(clinical["timepoint"] == "before")
    values, why = response.panel_1998(genes, baseline=before)
    z = (genes - genes.iloc[before].mean()) / genes.iloc[before].std(ddof=1)
    expected = z["IFNG"] - (z["IL1B"] + z["IL6"] + z["IL2RA"]) / 3
    np.testing.assert_allclose(values[(CONTRAST, "gene z")], expected)
    assert why == {}


def test_a_missing_gene_is_named_and_never_dropped():
    clinical, wide, genes = paired_trial()
    panel = {"question": "panel_1998", "scale": "paired_d", "contrast": "after - before"}
    table = effects(clinical, wide, expression=genes.drop(columns="IL6"))
    assert "IL6 is not measured" in row(table, signature="IL6", **panel)["note"]
    full = row(table, signature=CONTRAST, **panel)
    assert np.isnan(full["estimate"])
    assert "no contrast without IL6" in full["note"]
    short = row(table, signature="IFNG - mean(IL1B, IL2RA)", **panel)
    assert np.isfinite(short["estimate"])
    assert "shorter than the trial's contrast: IL6 is not measured" in short["note"]
    table = effects(clinical, wide, expression=genes.assign(IFNG=3.0))
    assert "IFNG does not vary" in row(table, signature=CONTRAST, **panel)["note"]
    assert set(table.loc[table["question"] == "panel_1998", "signature"]) == {
        *response.PANEL_1998, CONTRAST,
    }  # fmt: skip


def test_small_numbers_say_what_they_cannot_show():
    clinical, wide, _ = paired_trial(n=8)
    table = effects(clinical, wide)
    change = {"question": "response_change", "scale": "paired_d", "contrast": "after - before"}
    four = row(table, signature="s0", stratum="responders", **change)
    assert "p cannot fall below 0.125" in four["note"]
    assert four["p"] >= 0.125
    assert smallest_sign_flip_p(np.ones(20)) == 0
    crude = row(table, signature="s0", scale="hedges_g")
    assert "4 responders, at least 5 are needed" in crude["note"]
    assert np.isnan(crude["estimate"])
    full = effects(*paired_trial()[:2], adjustment=["er", "age"])
    odds = row(full, signature="s0", scale="log_or", adjustment="er+age")
    assert "12 in the smaller group for 3 terms, 10 per term are needed" in odds["note"]
    assert np.isfinite(row(full, signature="s0", scale="log_or")["estimate"])


def test_sign_flips_reject_at_most_at_the_stated_rate():
    rng = np.random.default_rng(2)
    p = paired_d(rng.standard_t(3, size=(9, 2000))).p
    assert p.min() >= 2**-8
    # of the 256 pairs of patterns at most 12 may be called, so the exact size is 12 / 256
    low, high = stats.binom.interval(0.999, 2000, 12 / 256)
    assert low <= (p <= 0.05).sum() <= high


def test_random_sets_reject_at_the_stated_rate():
    rng = np.random.default_rng(3)
    n, count = 120, 300
    names = [f"P{i:03d}" for i in range(n)]
    clinical = pd.DataFrame(
        {"response": np.where(rng.random(n) < 0.4, "yes", "no"), "age": rng.normal(60, 9, n)},
        index=names,
    )
    wide = pd.DataFrame(
        rng.normal(size=(n, count)), index=names, columns=[f"r{j}" for j in range(count)]
    )
    table = effects(
        clinical, wide, adjustment=["age"],
        null_scores=lambda signature, method: rng.normal(size=(n, 99)),
    )  # fmt: skip
    for scale, adjustment in (("hedges_g", "none"), ("log_or", "none"), ("log_or", "age")):
        p = table.loc[(table["scale"] == scale) & (table["adjustment"] == adjustment), "null_p"]
        assert len(p) == count
        low, high = stats.binom.interval(0.999, count, 0.05)
        assert low <= (p <= 0.05).sum() <= high


def test_order_of_rows_does_not_matter():
    clinical, wide, genes = paired_trial(n=36)
    rng = np.random.default_rng(0)
    nulls = pd.DataFrame(rng.normal(size=(len(clinical), 40)), index=clinical.index)

    def run(order):
        return effects(
            clinical.loc[order], wide, expression=genes,
            null_scores=lambda signature, method: nulls.loc[order].to_numpy(),
        )  # fmt: skip

    pd.testing.assert_frame_equal(
        run(clinical.index), run(rng.permutation(clinical.index)), rtol=1e-9
    )


def test_missing_response_is_not_no_and_samples_count_once():
    clinical, wide, _ = paired_trial()
    clinical.loc[clinical["patient"] == "TRIAL:00", "response"] = None
    # one sample that says it is enough
    clinical.loc["P01_after", "response"] = np.nan
    clinical.loc["P02_before", "timepoint"] = None
    twin = clinical.loc[["P03_before"]].set_axis(["P03_z"], axis=0)
    more = pd.concat([wide, wide.loc[["P03_before"]].set_axis(["P03_z"], axis=0) + 50])
    table = effects(pd.concat([clinical, twin]), more, sampling={"design": "case_control"})
    got = row(table, signature="s0", scale="hedges_g")
    assert (got["n"], got["n_case"]) == (22, 10)
    assert "1 samples without a time point left out" in got["note"]
    assert "1 further samples of a patient's time point left out" in got["note"]
    assert notes.CASE_CONTROL in got["note"]
    change = {"question": "response_change", "scale": "paired_d", "contrast": "after - before"}
    assert row(table, signature="s0", **change)["n"] == 23
    clinical.loc["P05_after", "response"] = "yes"
    with pytest.raises(EstimationError, match="TRIAL:05 disagree"):
        effects(clinical, wide)
    with pytest.raises(EstimationError, match="holds 'week 3'"):
        effects(clinical.assign(timepoint="week 3"), wide)


def test_arms_are_strata_and_a_cohort_without_response_has_no_rows():
    clinical, wide, _ = paired_trial(n=48)
    arm = np.where(np.arange(len(clinical)) // 4 % 2 == 0, "tamoxifen", "megestrol")
    table = effects(clinical.assign(treatment=arm), wide)
    arms = [row(table, signature="s0", scale="hedges_g", stratum=f"treatment: {name}")["n"]
            for name in ("tamoxifen", "megestrol")]  # fmt: skip
    assert sum(arms) == 48
    odds = table[(table["scale"] == "log_or") & (table["stratum"] == "er_positive")]
    assert set(odds["adjustment"]) == {"none", "her2+age+treatment"}
    bare = clinical.drop(columns=["response", "timepoint"])
    assert effects(bare, wide).empty
    unanswered = effects(clinical.drop(columns="response"), wide)
    assert set(unanswered["question"]) == {"response_change"}
    assert set(unanswered["scale"]) == {"paired_d"}


def test_separation_is_named():
    case = np.arange(40) < 20
    scores = np.column_stack([case * 2.0, np.random.default_rng(1).normal(size=40), np.ones(40)])
    fits = fit_logistic(case, scores)
    assert "separation" in fits.failure[0]
    assert np.isfinite(fits.coef[1])
    assert "does not vary" in fits.failure[2]
    with pytest.raises(EstimationError, match="same outcome"):
        fit_logistic(np.ones(40, bool), scores)
