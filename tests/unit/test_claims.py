"""Verdicts: every branch of the one rule on rows that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytostrat.claims import POOLED, VERDICT_VALUES, judge
from cytostrat.errors import ConfigError, TableError
from cytostrat.knowledge import Claims, read_claims, read_therapies
from cytostrat.signatures import read_signatures
from cytostrat.stats import notes
from cytostrat.tables import EFFECTS, VERDICTS
from cytostrat.tables import POOLED as POOLED_TABLE

RULE = {
    "alpha": 0.05,
    "null_alpha": 0.05,
    "equivalence": {"adjusted_g": 0.2},
    "large": {"adjusted_g": 0.8, "r2": 0.25},
    "min_cohorts": 3,
}
CLAIM = {
    "id": "c",
    "hypothesis": "H1",
    "document": "S4",
    "source": "",
    "therapy": "anakinra",
    "text": "a claim",
    "relation": "surrogate",
    "why": "tumours stand in for blood.",
    "testable": True,
    "needs": "HER2 status",
    "kind": "bulk",
    "select": {
        "question": "her2",
        "endpoint": "any",
        "stratum": "all",
        "contrast": "any",
        "adjustment": "er+age",
        "scale": "adjusted_g",
        "her2_rule": "primary",
        "gene_filter": "all genes",
    },
    "axes": [],
    "signatures": ["A"],
    "method": "primary",
    "agree": False,
    "expected": "negative",
    "threshold": 0,
    "random_sets": "required",
    "random_sets_why": "",
    "disagrees_with": [],
    "disagreement": "",
}
ROW = {
    "cohort": "one",
    "question": "her2",
    "endpoint": "",
    "stratum": "all",
    "signature": "A",
    "method": "ssgsea",
    "contrast": "positive - negative",
    "her2_rule": "primary",
    "gene_filter": "all genes",
    "adjustment": "er+age",
    "n": 200,
    "n_case": 50,
    "events": None,
    "estimate": -0.5,
    "scale": "adjusted_g",
    "se": 0.1,
    "low": -0.7,
    "high": -0.3,
    "p": 0.001,
    "family": "f",
    "q": 0.002,
    "null_p": 0.01,
    "power_limit": 0.4,
    "note": "",
}
POOL = {
    "question": "her2",
    "endpoint": "",
    "stratum": "all",
    "signature": "A",
    "method": "ssgsea",
    "contrast": "positive - negative",
    "her2_rule": "primary",
    "gene_filter": "all genes",
    "adjustment": "er+age",
    "scale": "adjusted_g",
    "model": "random",
    "k": 3,
    "cohorts": "a, b, c",
    "estimate": -0.5,
    "low": -0.8,
    "high": -0.2,
    "p": 0.001,
    "family": "f",
    "q": 0.002,
    "null_p": 0.01,
    "tau2": 0.0,
    "i2": 0.0,
    "pi_low": np.nan,
    "pi_high": np.nan,
    "loo_low": np.nan,
    "loo_high": np.nan,
    "note": "",
}


def interval(estimate, half):
    return {"estimate": estimate, "low": estimate - half, "high": estimate + half}


def verdicts(rows, *, pool=(), claim=None, rule=None, cohorts=None):
    effects = EFFECTS.conform(pd.DataFrame([ROW | row for row in rows] or [], columns=list(ROW)))
    pooled = POOLED_TABLE.conform(pd.DataFrame([POOL | row for row in pool], columns=list(POOL)))
    found = judge(
        Claims(rule=RULE | (rule or {}), claims={"c": CLAIM | (claim or {})}),
        effects,
        pooled,
        cohorts=cohorts or {"one": "bulk"},
        method="ssgsea",
    )
    VERDICTS.conform(found)
    return found.set_index(["cohort", "signature"])


def verdict_of(row, **more):
    return verdicts([row], **more).loc[("one", "A"), "verdict"]


@pytest.mark.parametrize(
    ("relation", "expected", "words"),
    [
        ("direct", "negative", "supported"),
        ("direct", "positive", "contradicted"),
        ("surrogate", "negative", "consistent"),
        ("surrogate", "positive", "inconsistent"),
        ("extrapolation", "negative", "consistent"),
        ("extrapolation", "positive", "inconsistent"),
        ("direct", "either", "supported"),
    ],
)
def test_a_decisive_effect_is_named_by_relation_and_side(relation, expected, words):
    assert verdict_of({}, claim={"relation": relation, "expected": expected}) == words


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"high": 0.01}, "the 95 % interval holds 0"),
        ({"q": 0.05}, "q = 0.05"),
        ({"q": None}, "it is in no declared family"),
        ({"null_p": 0.2}, r"random sets do as well \(p = 0.2\)"),
        ({"null_p": None}, "it was not compared with random sets"),
    ],
)
def test_each_condition_alone_withholds_a_decisive_verdict(row, reason):
    found = verdicts([row]).loc[("one", "A")]
    assert found["verdict"] == "inconclusive"
    assert pd.Series([found["reason"]]).str.contains(reason).all()


def test_a_claim_without_a_null_needs_none():
    assert verdict_of({"null_p": None}, claim={"random_sets": "none"}) == "consistent"


# The 90 % half-width is 1.6449 / 1.96 = 0.839 of the 95 % one: 0.2 / 0.839 = 0.238.
@pytest.mark.parametrize(("half", "words"), [(0.237, "no difference"), (0.240, "inconclusive")])
def test_no_difference_needs_the_90_percent_interval_inside_the_bound(half, words):
    assert verdict_of(interval(0.0, half)) == words


def test_a_decisive_effect_below_the_bound_says_so():
    found = verdicts([interval(-0.1, 0.05)]).loc[("one", "A")]
    assert found["verdict"] == "consistent"
    assert "though the 90 % interval lies between -0.2 and 0.2" in found["reason"]


def test_reasons_speak_of_ratios_where_the_reader_sees_ratios():
    """The logarithm of 1.5 is 0.405; of 2, 0.693; bounds and limits are on that scale."""
    claim = {"select": CLAIM["select"] | {"scale": "log_hr"}}
    row = {"estimate": 0.405, "low": -0.1, "high": 0.91, "scale": "log_hr", "power_limit": 0.693}
    reason = verdicts([row], claim=claim).loc[("one", "A"), "reason"]
    assert "the 95 % interval holds 1" in reason
    assert "hazard ratios from 2.00 up or 0.50 down would have been seen" in reason


def test_a_scale_without_a_bound_cannot_show_no_difference():
    row = interval(0.0, 0.01) | {"scale": "auc"}
    claim = {"select": CLAIM["select"] | {"scale": "auc"}}
    assert verdict_of(row, claim=claim) == "inconclusive"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"estimate": None, "note": "not estimated: 2 samples"}, "not estimated: 2 samples"),
        ({"note": notes.UNUSABLE}, "too few genes"),
        ({"note": notes.CASE_CONTROL}, "crude effect of a cohort sampled case-control"),
        (
            {"note": notes.sampling_note({"design": "trial", "on": ["her2"]})},
            "crude effect of a cohort sampled by her2 (trial)",
        ),
        ({"note": notes.CONTROL_FAILED}, "failed a positive control"),
        ({"p": None, "note": "one patient"}, "a description without a test: one patient"),
        ({"signature": "B"}, "the cohort lacks HER2 status"),
        ({"stratum": "er_positive"}, "the cohort lacks HER2 status"),
        ({"method": "singscore"}, "the cohort lacks HER2 status"),
    ],
)
def test_what_cannot_be_used_is_not_testable(row, reason):
    found = verdicts([row]).loc[("one", "A")]
    assert found["verdict"] == "not testable"
    assert not found["reachable"]
    assert reason in found["reason"]


def test_a_failed_positive_control_keeps_the_whole_cohort_out():
    control = {"question": "control", "endpoint": "er", "scale": "auc", "low": 0.6, "estimate": 0.8}
    found = verdicts([{}, control])
    assert found.loc[("one", "A"), "verdict"] == "not testable"
    passed = verdicts([{}, control | {"low": 0.75}])
    assert passed.loc[("one", "A"), "verdict"] == "consistent"


def both(first, second):
    rows = [interval(first, 0.2) | {"signature": "A"}, interval(second, 0.2) | {"signature": "B"}]
    found = verdicts(rows, claim={"signatures": ["A", "B"], "agree": True})
    return found.loc[("one", "A"), "verdict"], found.loc[("one", "B"), "verdict"]


def test_signatures_that_must_agree_differ_in_sign():
    assert both(-0.5, 0.1) == ("inconclusive", "inconclusive")


def test_agreement_in_sign_leaves_each_its_own_verdict():
    assert both(-0.5, -0.1) == ("consistent", "inconclusive")


def test_agreement_needs_a_usable_estimate_of_each():
    rows = [{"signature": "A"}, {"signature": "B", "note": notes.UNUSABLE}]
    found = verdicts(rows, claim={"signatures": ["A", "B"], "agree": True})
    assert set(found.loc["one", "verdict"]) == {"not testable"}
    assert "B can't be used" in found.loc[("one", "A"), "reason"]


def test_without_the_rule_of_agreement_each_stands_alone():
    rows = [{"signature": "A"}, interval(0.5, 0.2) | {"signature": "B"}]
    found = verdicts(rows, claim={"signatures": ["A", "B"]})
    assert list(found.loc["one", "verdict"]) == ["consistent", "inconsistent"]


@pytest.mark.parametrize(
    ("row", "pool", "words", "reason"),
    [
        ({}, [{}], "consistent", "lies below 0"),
        ({}, [{"k": 2}], "not testable", "needed, 2 here"),
        ({}, [{"k": 1, "model": "single"}], "not testable", "needed, 1 here"),
        ({}, [], "not testable", "needed, 0 here"),
        ({}, [{"model": "fixed"}], "not testable", "3 usable cohorts needed"),
        ({}, [{"high": 0.1}], "inconclusive", "holds 0"),
        ({}, [{"null_p": None}], "inconclusive", "not compared with random sets"),
        ({"null_p": 0.9}, [{"null_p": 0.04}], "consistent", "lies below 0"),
        (
            {},
            [{"k": 2, "note": "left out: one, sampled by her2 (trial)"}],
            "not testable",
            "3 usable cohorts needed, 2 here; left out: one, sampled by her2 (trial)",
        ),
    ],
)
def test_the_pooled_verdict(row, pool, words, reason):
    found = verdicts([row], pool=pool).loc[(POOLED, "A")]
    assert found["verdict"] == words
    assert reason in found["reason"]


HAZARDS = f"{notes.HAZARDS} for the score (Schoenfeld p = 0.003)"


def test_failed_hazards_stand_in_the_reason_of_cohort_and_pool():
    pool = {"note": f"left out: b; {notes.HAZARDS} in a, c"}
    found = verdicts([{"note": f"something; {HAZARDS}"}], pool=[pool])
    assert HAZARDS in found.loc[("one", "A"), "reason"]
    assert f"{notes.HAZARDS} in a, c" in found.loc[(POOLED, "A"), "reason"]
    assert "left out" not in found.loc[(POOLED, "A"), "reason"]
    assert notes.HAZARDS not in verdicts([{}]).loc[("one", "A"), "reason"]


@pytest.mark.parametrize(("low", "small"), [(0.02, True), (-0.02, False)])
def test_no_difference_says_where_the_effect_is_not_zero(low, small):
    row = {"estimate": 0.06, "low": low, "high": 0.12 - low, "q": 1e-5, "null_p": 0.12}
    found = verdicts([row]).loc[("one", "A")]
    assert found["verdict"] == "no difference"
    said = "small, though not zero: the 95 % interval lies above 0"
    assert (said in found["reason"]) == small
    assert ("q = 1e-05, random-set p = 0.12" in found["reason"]) == small


# 80 % power at half-width h of a 95 % interval: h * (1.96 + 0.8416) / 1.96 = 1.4294 h.
@pytest.mark.parametrize(
    ("row", "reachable"),
    [
        ({"power_limit": 0.8}, True),
        ({"power_limit": 0.81} | interval(0.0, 0.3), False),
        ({"power_limit": None} | interval(0.0, 0.55), True),
        ({"power_limit": None} | interval(0.0, 0.57), False),
        ({"power_limit": 0.9} | interval(0.3, 0.23), True),
    ],
    ids=["large seen", "large not seen", "by its width", "too wide", "no difference possible"],
)
def test_reachable(row, reachable):
    assert verdicts([row]).loc[("one", "A"), "reachable"] == reachable


# Eight patients, se = SD / sqrt(8): 80 % power shows 1.4294 t(0.975, 7) / sqrt(8) = 1.19 SD;
# of 40 patients 1.4294 t(0.975, 39) / sqrt(40) = 0.457 SD. Large is 0.8 SD.
@pytest.mark.parametrize(
    ("n", "t", "estimate", "reachable", "words"),
    [
        (8, 2.3646, 0.5, False, "inconclusive"),
        (40, 2.0227, 0.1, True, "inconclusive"),
        (8, 2.3646, -2.0, True, "consistent"),
    ],
)
def test_a_scale_of_its_own_unit_is_counted_in_sd_between_patients(
    n, t, estimate, reachable, words
):
    scale, sd = "umi_per_10k difference", 1.3
    se = sd / n**0.5
    row = interval(estimate, t * se) | {
        "scale": scale, "se": se, "n": n, "power_limit": None, "null_p": None,
    }  # fmt: skip
    claim = {"select": CLAIM["select"] | {"scale": scale}, "random_sets": "none"}
    large = {"large": RULE["large"] | {"paired_d": 0.8}}
    found = verdicts([row], claim=claim, rule=large).loc[("one", "A")]
    assert (found["verdict"], found["reachable"]) == (words, reachable)
    assert f"'no difference' can't be said, the rule has no bound for {scale}" in found["reason"]


THRESHOLD = {
    "threshold": 0.5,
    "expected": "positive",
    "random_sets": "none",
    "select": CLAIM["select"] | {"scale": "r2"},
}


@pytest.mark.parametrize(
    ("estimate", "words"), [(0.7, "consistent"), (0.3, "inconsistent"), (0.55, "inconclusive")]
)
def test_a_threshold_is_tested_in_place_of_zero(estimate, words):
    row = interval(estimate, 0.098) | {"scale": "r2", "se": 0.05, "p": 1e-9, "q": None}
    found = verdicts([row], claim=THRESHOLD).loc[("one", "A")]
    assert found["verdict"] == words
    # pnorm of (estimate - 0.5) / 0.05, two-sided, e.g. z = 4: 6.334e-05.
    if estimate == 0.7:
        assert found["p"] == pytest.approx(6.334248e-05, rel=1e-6)
        assert found["q"] == found["p"]


def test_several_endpoints_are_tried_in_order():
    rows = [
        {"endpoint": "OS"} | interval(0.5, 0.2),
        {"endpoint": "PFI"} | interval(-0.5, 0.2),
        {"endpoint": "RFS", "estimate": None, "note": "too few events"},
    ]
    claim = {"select": CLAIM["select"] | {"endpoint": ["RFS", "PFI", "OS"]}}
    assert verdicts(rows, claim=claim).loc[("one", "A"), "estimate"] == -0.5


def test_a_claim_that_selects_two_rows_is_an_error():
    rows = [{"contrast": "positive - negative"}, {"contrast": "low - zero"}]
    with pytest.raises(TableError, match=r"Claim c selects 2 rows .* differ in contrast"):
        verdicts(rows)


def test_a_claim_may_take_the_one_method_there_is():
    found = verdicts([{"method": "pseudobulk"}], claim={"method": "any"}).reset_index()
    assert list(found["method"]) == ["pseudobulk", ""]
    assert found.loc[0, "verdict"] == "consistent"


def test_an_untestable_claim_has_one_row_that_says_why():
    found = verdicts([{}], claim={"testable": False, "signatures": []})
    assert len(found) == 1
    assert found.loc[(POOLED, ""), "verdict"] == "not testable"
    assert found["reason"].iloc[0] == "tumours stand in for blood. It would take HER2 status."


def test_a_claim_looks_at_cohorts_of_its_kind():
    found = verdicts([{}], cohorts={"one": "bulk", "cells": "single_cell"})
    assert sorted(found.index.get_level_values("cohort")) == ["one", POOLED]


@settings(max_examples=25, deadline=None)
@given(
    estimate=st.floats(-2, 2),
    half=st.floats(0.01, 3),
    q=st.floats(0, 1),
    null_p=st.floats(0.001, 1),
    expected=st.sampled_from(["positive", "negative", "either"]),
)
def test_the_verdict_is_one_of_the_vocabulary_and_mirrors_with_the_sign(
    estimate, half, q, null_p, expected
):
    mirror = {"positive": "negative", "negative": "positive", "either": "either"}
    more = {"q": q, "null_p": null_p}
    first = verdict_of(interval(estimate, half) | more, claim={"expected": expected})
    second = verdict_of(interval(-estimate, half) | more, claim={"expected": mirror[expected]})
    assert first == second
    assert first in VERDICT_VALUES
    if estimate - half <= 0 <= estimate + half:
        assert first in ("no difference", "inconclusive")


@pytest.fixture(scope="module")
def shipped(repository):
    resources = repository / "resources"
    signatures = read_signatures(resources / "signatures" / "signatures.tsv")
    therapies = read_therapies(resources / "therapies.yaml", signatures=signatures)
    return resources / "claims.yaml", signatures, therapies


def test_the_shipped_claims_cover_the_hypotheses(shipped):
    path, signatures, therapies = shipped
    found = read_claims(path, signatures=signatures, therapies=therapies)
    hypotheses = {claim["hypothesis"] for claim in found.claims.values()} - {""}
    assert hypotheses == {*(f"H{number}" for number in range(1, 12)), "H1b", "H3b"}
    untestable = {c["hypothesis"] for c in found.claims.values() if not c["testable"]}
    assert {"H1b", "H8"} <= untestable
    assert {claim["document"] for claim in found.claims.values()} >= set(therapies.documents)


def test_adjustments_of_the_claims_are_named_for_the_pool(shipped):
    path, signatures, therapies = shipped
    found = read_claims(path, signatures=signatures, therapies=therapies)
    assert set(found.adjustments) >= {"none", "er+age", "myeloid+lymphoid", "age"}
    assert "any" not in found.adjustments


def test_every_il1_claim_on_sets_needs_both_surrogates_to_agree(shipped):
    path, signatures, therapies = shipped
    found = read_claims(path, signatures=signatures, therapies=therapies)
    il1 = [claim for claim in found.claims.values() if "IL1" in claim["axes"]]
    assert len(il1) >= 6
    for claim in il1:
        assert claim["agree"], claim["id"]
        assert claim["signatures"] == ["MAHAJAN_RESPONSE_TO_IL1A_UP", "IL1_BLOOD_INFLAMMATION"]


def test_claims_use_the_equivalence_bound_of_a_fifth_of_an_sd(shipped):
    path, signatures, therapies = shipped
    rule = read_claims(path, signatures=signatures, therapies=therapies).rule
    assert rule["equivalence"]["adjusted_g"] == rule["equivalence"]["hedges_g"] == 0.2
    d = 0.2
    assert rule["equivalence"]["partial_rho"] == pytest.approx(d / np.sqrt(d**2 + 4), abs=0.001)


def test_disagreements_are_mutual_and_both_stand(shipped):
    path, signatures, therapies = shipped
    claims = read_claims(path, signatures=signatures, therapies=therapies).claims
    pairs = {(a, b) for a, claim in claims.items() for b in claim["disagrees_with"]}
    assert pairs
    assert pairs == {(b, a) for a, b in pairs}
    assert all(claims[a]["disagreement"] for a, _ in pairs)


def test_no_claim_calls_a_prognostic_association_predictive(shipped):
    assert "predictive" not in shipped[0].read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: il1_presence", "id: il1_her2", "two entries with the id 'il1_her2'"),
        ("axes: [IL1]", "axes: [IL99]", "axis 'IL99', which doesn't exist"),
        ("therapy: tgfb", "therapy: tgfx", "therapy 'tgfx', which doesn't exist"),
        ("document: S2", "document: S8", "document 'S8', which doesn't exist"),
        ("disagrees_with: [il2_stimulates]", "disagrees_with: [nothing]", "claim 'nothing'"),
        ("relation: direct", "relation: proof", "relation"),
        ("source: Rody 2009, Breast Cancer Res 11:R15", 'source: ""', "needs one"),
        ("    axes: [IL1]\n    agree: true\n", "    agree: true\n", "names no signature"),
    ],
)
def test_a_broken_claims_file_is_refused(tmp_path, shipped, old, new, message):
    original, signatures, therapies = shipped
    text = original.read_text()
    assert old in text
    path = tmp_path / "claims.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        read_claims(path, signatures=signatures, therapies=therapies)
