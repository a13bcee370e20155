"""The survival stage: R's numbers per SD, planted truth, and rows that say why they are empty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cytostrat import survival, tables
from cytostrat.errors import EstimationError
from cytostrat.stats import notes

STATUS = {1: "positive", 0: "negative"}


def long_scores(wide, method="ssgsea"):
    frame = wide.stack(future_stack=True).dropna().rename("score").rename_axis(["sample", "s"])
    frame = frame.reset_index().rename(columns={"s": "signature"})
    return tables.SCORES.conform(
        frame.assign(cohort="demo", cell_type="", method=method, percentile=50.0)
    )


def full_coverage(signatures, **changes):
    frame = pd.DataFrame({"signature": list(signatures)})
    frame = frame.assign(
        cohort="demo", n_genes=20, n_present=20, fraction=1.0, missing="", usable=True, note=""
    )
    for name, (n_present, usable) in changes.items():
        frame.loc[frame["signature"] == name, ["n_present", "usable"]] = n_present, usable
    return tables.COVERAGE.conform(frame)


def effects(clinical, wide, signatures=None, coverage=None, **choices):
    signatures = list(wide.columns) if signatures is None else signatures
    choices = {"bootstrap": 20, "seed": 1, **choices}
    return survival.survival_effects(
        clinical,
        long_scores(wide),
        full_coverage(signatures) if coverage is None else coverage,
        signatures,
        cohort="demo",
        **choices,
    )


def row(table, **key):
    key = {"question": "survival", "stratum": "all", "adjustment": "none", **key}
    found = table[np.logical_and.reduce([table[name] == value for name, value in key.items()])]
    assert len(found) == 1, f"{len(found)} rows for {key}"
    return found.iloc[0]


@pytest.fixture(scope="module")
def oracle(repository):
    return repository / "tests" / "oracles" / "survival"


@pytest.fixture(scope="module")
def cohort(oracle):
    """The patients of the R oracle as clinical frame and score columns."""
    patients = pd.read_csv(oracle / "patients.csv", index_col="id").rename_axis("sample")
    clinical = pd.DataFrame(
        {
            "patient": "DEMO:" + patients.index,
            "age": patients["age"].astype(float),
            "er": patients["er"].map(STATUS),
            "her2": patients["her2"].map(STATUS),
            "OS_time": patients["time"].astype(float),
            "OS_event": patients["event"].astype(float),
        }
    )
    return clinical, patients[[f"s{j}" for j in range(1, 7)]]


def simulated(seed, n=500, effect=0.5):
    """Patients whose hazard rises with s0 and with proliferation; s1 is noise."""
    rng = np.random.default_rng(seed)
    names = [f"T{i:04d}" for i in range(n)]
    growth = rng.normal(size=n)
    wide = pd.DataFrame(
        {"s0": rng.normal(size=n), "s1": rng.normal(size=n),
         "follower": growth + 0.5 * rng.normal(size=n)}, index=names,
    )  # fmt: skip
    er = rng.random(n) < 0.7
    time = rng.exponential(2000 / np.exp(effect * wide["s0"] + 0.6 * growth - 0.4 * er))
    censor = rng.uniform(200, 4000, n)
    clinical = pd.DataFrame(
        {
            "patient": [f"DEMO:{name}" for name in names],
            "age": rng.normal(60, 10, n),
            "er": np.where(er, "positive", "negative"),
            "her2": np.where(rng.random(n) < 0.25, "positive", "negative"),
            "OS_time": np.minimum(time, censor),
            "OS_event": (time <= censor).astype(float),
        },
        index=names,
    )
    return clinical, wide, pd.Series(growth, index=names)


def test_rows_carry_the_hazard_ratios_of_r_per_sd(oracle, cohort):
    clinical, wide = cohort
    table = effects(clinical, wide, split_years=600 / survival.DAYS_PER_YEAR)
    expected = pd.read_csv(oracle / "coxph.csv").set_index(["model", "term"])
    sd = wide.std(ddof=1)
    years = f"{600 / survival.DAYS_PER_YEAR:g} years"
    for score in wide.columns:
        pairs = [
            (row(table, signature=score), (f"crude:{score}", score)),
            (row(table, signature=score, adjustment="er+age"), (f"adjusted:{score}", score)),
            (
                row(table, signature=score, adjustment="er+age",
                    question="survival_her2_interaction"),
                (f"interaction:{score}", "product"),
            ),
        ]  # fmt: skip
        if score == "s5":
            for name, period in (("first600:s5", "first"), ("after600:s5", "after")):
                split = row(table, signature=score, adjustment="er+age",
                            stratum=f"all, {period} {years}")  # fmt: skip
                still_followed = int((clinical["OS_time"] > 600).sum())
                assert split["n"] == (still_followed if period == "after" else len(clinical))
                pairs.append((split, (name, score)))
        for got, key in pairs:
            known = expected.loc[key]
            assert got["estimate"] == pytest.approx(known["coef"] * sd[score], rel=1e-6)
            assert got["se"] == pytest.approx(known["se"] * sd[score], rel=1e-6)
            assert got["low"] == pytest.approx(got["estimate"] - 1.959964 * got["se"], rel=1e-5)
            z = known["coef"] / known["se"]
            assert got["p"] == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-5)
            assert got["scale"] == "log_hr"
    assert row(table, signature="s1")["events"] == clinical["OS_event"].sum()
    zero = int((clinical["OS_time"] == 0).sum())
    assert f"{zero} of time 0 counted at half a day" in row(table, signature="s1")["note"]


def test_failing_hazards_are_said_and_split(cohort):
    table = effects(*cohort)
    assert "proportional hazards fail for the score" in row(table, signature="s5")["note"]
    early = row(table, signature="s5", stratum="all, first 3 years")
    late = row(table, signature="s5", stratum="all, after 3 years")
    assert early["estimate"] > 0
    assert early["events"] + late["events"] == row(table, signature="s5")["events"]
    assert late["n"] < early["n"]
    steady = table[(table["signature"] == "s1") & (table["stratum"] == "all, first 3 years")]
    assert steady.empty


def test_a_text_covariate_without_proportional_hazards_gets_its_own_baselines():
    rng = np.random.default_rng(8)
    clinical, wide, _ = simulated(8, n=900)
    er = (clinical["er"] == "positive").to_numpy()
    # ER-negative patients die early, ER-positive ones late
    time = np.where(er, 1500 + rng.exponential(3000, 900), rng.exponential(2500, 900))
    clinical["OS_time"], clinical["OS_event"] = np.minimum(time, 4000), (time < 4000) * 1.0
    table = effects(clinical, wide)
    assert "fail for er=positive" in row(table, signature="s1", adjustment="er+age")["note"]
    assert np.isfinite(row(table, signature="s1", adjustment="strata(er)+age")["estimate"])


def test_planted_effect_is_found_and_proliferation_explains_its_follower():
    clinical, wide, growth = simulated(3)
    rng = np.random.default_rng(4)
    # random sets that all carry some proliferation, as in Venet 2011
    nulls = growth.to_numpy()[:, None] * 2 + rng.normal(size=(len(growth), 499))

    table = effects(
        clinical, wide, proliferation=growth, null_scores=lambda signature, method: nulls
    )
    planted = row(table, signature="s0", adjustment="er+age+proliferation")
    assert planted["low"] < 0.5 * wide["s0"].std() < planted["high"]
    assert planted["null_p"] == 1 / 500
    crude = row(table, signature="follower")
    assert crude["p"] < 1e-4
    assert crude["null_p"] > 0.01
    beside = row(table, signature="follower", adjustment="er+age+proliferation")
    assert beside["p"] > 0.01
    gain = row(table, question="concordance", signature="s0", adjustment="er+age")
    assert gain["low"] > 0
    assert gain["scale"] == "c_gain"
    noise = row(table, question="concordance", signature="s1", adjustment="er+age")
    assert noise["low"] < 0.002
    tested = table["p"].dropna()
    assert ((tested > 0) & (tested <= 1)).all()


def test_random_sets_reject_at_the_stated_rate():
    clinical, _, _ = simulated(5, n=200)
    rng = np.random.default_rng(6)
    wide = pd.DataFrame(
        rng.normal(size=(200, 300)), index=clinical.index, columns=[f"r{j}" for j in range(300)]
    )
    table = effects(
        clinical.drop(columns="her2"),
        wide,
        strata={"all": {}},
        null_scores=lambda signature, method: rng.normal(size=(200, 99)),
    )
    for adjustment in ("none", "er+age"):
        p = table.loc[
            (table["adjustment"] == adjustment) & (table["stratum"] == "all")
            & (table["question"] == "survival"), "null_p",
        ]  # fmt: skip
        assert len(p) == 300
        low, high = stats.binom.interval(0.999, 300, 0.05)
        assert low <= (p <= 0.05).sum() <= high
        assert p.min() >= 0.01


def test_order_of_rows_does_not_matter():
    clinical, wide, growth = simulated(7, n=150)
    rng = np.random.default_rng(1)
    nulls = pd.DataFrame(rng.normal(size=(150, 50)), index=clinical.index)

    def run(order):
        frame = clinical.loc[order]
        return effects(
            frame, wide, proliferation=growth,
            null_scores=lambda signature, method: nulls.loc[frame.index].to_numpy(),
        )  # fmt: skip

    base, turned = run(clinical.index), run(rng.permutation(clinical.index))
    pd.testing.assert_frame_equal(base, turned, rtol=1e-9)


def test_too_few_events_give_a_row_and_no_number():
    clinical, wide, _ = simulated(9, n=120)
    events = clinical.index[clinical["OS_event"] == 1]
    clinical.loc[events[25:], "OS_event"] = 0.0
    table = effects(clinical, wide)
    assert np.isfinite(row(table, signature="s0")["estimate"])
    adjusted = row(table, signature="s0", adjustment="er+age")
    assert np.isnan(adjusted["estimate"])
    assert adjusted["events"] == 25
    assert "25 events for 3 terms, 10 per term are needed" in adjusted["note"]
    crossed = row(table, signature="s0", question="survival_her2_interaction")
    assert np.isnan(crossed["estimate"])
    assert np.isnan(
        row(table, question="concordance", signature="s0", adjustment="er+age").estimate
    )
    assert (table["note"].ne("") | table["estimate"].notna()).all()


def test_richer_covariates_are_for_everybody_only_and_no_row_comes_twice():
    clinical, wide, growth = simulated(15)
    table = effects(
        clinical.assign(stage=np.tile(["1", "2"], 250)), wide, adjustment=[],
        richer=[["stage"], ["er", "age"], []], proliferation=growth,
    )  # fmt: skip
    whole = table[table["question"] == "survival"].groupby("stratum")["adjustment"].agg(set)
    assert whole["all"] == {"none", "proliferation", "stage", "er+age"}
    assert whole["her2_negative"] == {"none", "proliferation"}


def test_an_interaction_needs_events_in_either_group():
    clinical, wide, _ = simulated(14)
    dead = clinical.index[(clinical["her2"] == "positive") & (clinical["OS_event"] == 1)]
    clinical.loc[dead[9:], "OS_event"] = 0.0
    crossed = row(effects(clinical, wide), signature="s0", question="survival_her2_interaction")
    assert np.isnan(crossed["estimate"])
    assert "9 events in HER2-positive patients, 10 are needed" in crossed["note"]


def test_missing_status_is_in_no_stratum_and_equivocal_is_no_covariate():
    clinical, wide, _ = simulated(10)
    clinical.loc[clinical.index[:60], "her2"] = None
    clinical.loc[clinical.index[60:90], "her2"] = "equivocal"
    clinical.loc[clinical.index[:40], "er"] = np.nan
    table = effects(clinical, wide)
    counted = [
        row(table, signature="s0", stratum=f"her2_{status}")["n"]
        for status in ("positive", "negative")
    ]
    assert sum(counted) == len(clinical) - 90
    assert row(table, signature="s0", question="survival_her2_interaction")["n"] == sum(counted)
    adjusted = row(table, signature="s0", adjustment="er+age")
    assert adjusted["n"] == len(clinical) - 40
    assert "40 of 500 samples lack er or age" in adjusted["note"]
    # inside an ER stratum er is no covariate
    assert np.isfinite(
        row(table, signature="s0", stratum="er_positive", adjustment="age")["estimate"]
    )


def test_a_stratum_may_need_several_columns():
    clinical, wide, _ = simulated(13)
    both = (clinical["er"] == "positive") & (clinical["her2"] == "negative")
    rule = {"er": "positive", "her2": "negative"}
    table = effects(clinical, wide, strata={"luminal": rule, "treated": {"endocrine": "yes"}})
    found = row(table, signature="s0", stratum="luminal", adjustment="age")
    alone = effects(clinical[both], wide[both])
    assert found["n"] == both.sum()
    # per SD of the whole cohort, also inside the stratum
    same = row(alone, signature="s0", adjustment="er+age")
    ratio = wide["s0"].std() / wide.loc[both, "s0"].std()
    assert found["estimate"] == pytest.approx(same["estimate"] * ratio)
    crossed = effects(clinical.assign(her2=None), wide)
    crossed = row(crossed, signature="s0", question="survival_her2_interaction")
    assert "the cohort does not record her2" in crossed["note"]
    treated = row(table, signature="s0", stratum="treated")
    assert "the cohort does not record endocrine" in treated["note"]


def test_what_cannot_be_estimated_stays_with_its_reason():
    clinical, wide, growth = simulated(11)
    wide = wide.assign(flat=2.5, half=wide["s1"], proliferation_itself=growth)
    wide.loc[wide.index[:100], "half"] = np.nan
    names = [*wide.columns, "unmeasured"]
    coverage = full_coverage(names, unmeasured=(0, False), s1=(3, False))
    table = effects(
        clinical.drop(columns="age"), wide, names, coverage,
        proliferation=growth, endpoints=["OS", "RFS"], sampling={"design": "case_control"},
    )  # fmt: skip
    one = {"endpoint": "OS"}
    assert "does not vary" in row(table, signature="flat", **one)["note"]
    assert row(table, signature="half", **one)["n"] == 400
    assert "no sample has a score" in row(table, signature="unmeasured", **one)["note"]
    assert notes.UNUSABLE in row(table, signature="s1", **one)["note"]
    assert np.isfinite(row(table, signature="s1", **one)["estimate"])
    assert (
        "covariate age is not in the cohort"
        in row(table, signature="s0", adjustment="er+age", **one)["note"]
    )
    assert "does not record RFS" in row(table, signature="s0", endpoint="RFS")["note"]
    assert notes.CASE_CONTROL in row(table, signature="s0", **one)["note"]
    known = effects(
        clinical, wide[["s0", "proliferation_itself"]], proliferation=growth, adjustment=["er"]
    )
    itself = row(known, signature="proliferation_itself", adjustment="er+proliferation")
    assert "the covariates determine the score" in itself["note"]
    with pytest.raises(EstimationError, match="Endpoint XFS"):
        effects(clinical, wide, endpoints=["XFS"])
    with pytest.raises(EstimationError, match="Endpoint OS: An event indicator holds 2"):
        effects(clinical.assign(OS_event=2.0), wide)


def test_a_patient_counts_once():
    clinical, wide, _ = simulated(12, n=200)
    clinical["timepoint"] = "before"
    base = effects(clinical, wide)
    later, twin = clinical.iloc[:30].copy(), clinical.iloc[30:40].copy()
    later.index = [f"A{name}" for name in later.index]
    twin.index = [f"Z{name}" for name in twin.index]
    later["timepoint"] = "after"
    more = pd.concat([wide, wide.iloc[:30].set_axis(later.index) + 9,
                      wide.iloc[30:40].set_axis(twin.index) + 9])  # fmt: skip
    table = effects(pd.concat([clinical, later, twin]), more)
    pd.testing.assert_frame_equal(base.drop(columns="note"), table.drop(columns="note"))
    note = row(table, signature="s0")["note"]
    assert "30 samples taken during or after treatment left out" in note
    assert "10 further samples of the same patients left out" in note


def test_curves_are_by_thirds_with_numbers_at_risk(cohort):
    clinical, wide = cohort
    curves = survival.km_curves(
        clinical, long_scores(wide), cohort="demo", signatures=["s1", "absent"], method="ssgsea",
        tick_years=600 / survival.DAYS_PER_YEAR,
    )  # fmt: skip
    drawn = curves[curves["signature"] == "s1"]
    steps = drawn[~drawn["tick"]]
    start = steps.groupby("group")["at_risk"].max()
    assert start.sum() == len(clinical)
    assert start.max() - start.min() <= 2
    assert steps.groupby("group")["events"].sum().sum() == clinical["OS_event"].sum()
    low = np.quantile(wide["s1"], 1 / 3)
    follow = clinical["OS_time"].where(clinical["OS_time"] > 0, 0.5)[wide["s1"] <= low]
    tick = drawn[drawn["tick"] & (drawn["group"] == "low")].set_index("time")
    for time, got in tick["at_risk"].items():
        assert got == (follow >= time).sum()
    assert (follow == 600).any()
    assert (tick["survival"].diff().dropna() <= 0).all()
    absent = curves[curves["signature"] == "absent"]
    assert len(absent) == 1
    assert "no thirds" in absent["note"].iloc[0]


def as_endpoint(clinical, name):
    return clinical.rename(columns={f"OS_{part}": f"{name}_{part}" for part in ("time", "event")})


@pytest.mark.parametrize(
    ("name", "competing", "said", "why"),
    [
        ("OS", None, False, ""),
        ("RFS", None, False, ""),
        ("RFS", True, True, ""),
        ("PFI", None, True, ", as PFI is usually defined"),
        ("DFI", True, True, ""),
        ("PFI", False, False, ""),
        ("DSS", None, True, ", as DSS is usually defined"),
    ],
)
def test_rows_and_curves_say_that_other_deaths_are_censored(name, competing, said, why):
    clinical, wide, _ = simulated(3, n=200)
    clinical = as_endpoint(clinical, name)
    records = {name: {"competing": competing}}
    table = effects(clinical, wide, records=records)
    for question in ("survival", "survival_her2_interaction", "concordance"):
        notes_of = table.loc[table["question"] == question, "note"]
        assert (notes_of.str.contains("other deaths are censored") == said).all()
    clause = f"cause-specific hazard: other deaths are censored{why}"
    assert (clause in row(table, signature="s0", endpoint=name)["note"].split("; ")) == said
    curves = survival.km_curves(
        clinical, long_scores(wide), cohort="demo", signatures=["s0"], method="ssgsea",
        records=records,
    )  # fmt: skip
    assert (curves["note"].str.contains("overstates the risk") == said).all()


def test_a_stratum_of_later_treatment_says_immortal_time():
    clinical, wide, _ = simulated(5)
    clinical["endocrine"] = np.where(np.arange(len(clinical)) % 3, "yes", "no")
    table = effects(clinical, wide)
    late = table["stratum"].str.startswith("endocrine")
    assert late.any()
    assert (table["note"].str.contains("immortal time") == late).all()
