"""Shared patients leave, expected numbers hold, and the controls say what they see."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from cytostrat import qc, tables
from cytostrat.errors import InputError
from cytostrat.stats import notes
from tests.cohort_files import run, write


@pytest.fixture
def cohort(tmp_path):
    return run(write(tmp_path))[0]


def test_patients_of_earlier_cohorts_leave_as_rows_of_the_flow(cohort) -> None:
    earlier = {"first": ["small:S1", "other:S2"], "second": {"small:S1", "small:S3"}}
    kept, flow, _ = qc.check(cohort, earlier)
    assert kept.obs_names.tolist() == ["S2", "S4"]
    assert flow[["reason", "n_in", "n_out"]].to_numpy().tolist() == [
        ["patient is in first", 4, 3],
        ["patient is in second", 3, 2],
    ]
    assert cohort.n_obs == 4
    with pytest.raises(InputError, match="every patient is already in first"):
        qc.check(cohort, {"first": set(cohort.obs["patient"])})


def test_controls_by_hand(cohort) -> None:
    # ERBB2: positives 9.5 and 8.5, negatives 5.5 and 5.0; ESR1: positives 8.25 and 9.25
    _, _, rows = qc.check(cohort, {})
    assert rows[["endpoint", "signature", "estimate", "n", "n_case"]].to_numpy().tolist() == [
        ["er", "ESR1", 1.0, 4, 2],
        ["her2", "ERBB2", 1.0, 4, 2],
    ]
    assert set(rows["scale"]) == {"auc"}


def test_controls_judge_all_patients_also_those_of_an_earlier_cohort(cohort) -> None:
    _, _, whole = qc.check(cohort, {})
    _, _, part = qc.check(cohort, {"first": ["small:S1"]})
    assert part.equals(whole)
    # two against two cannot show a lower limit above 0.7
    assert whole["note"].str.contains("positive control failed").all()


def test_further_biopsies_of_a_patient_do_not_count_in_a_control(cohort) -> None:
    """Only samples from before treatment speak, each patient once, the first by name."""
    again = cohort[[1, 0, 3, 2]]  # what the labels say of these would turn the AUC to 0
    obs = pd.concat(
        [
            cohort.obs.assign(timepoint="before"),
            again.obs.set_axis([f"{name}_b" for name in cohort.obs_names]).assign(
                timepoint="after", patient=cohort.obs["patient"].to_numpy(),
                her2=cohort.obs["her2"].to_numpy(), er=cohort.obs["er"].to_numpy(),
            ),
            cohort.obs.iloc[:1].set_axis(["Z"]).assign(timepoint="before", her2="negative"),
        ]
    )  # fmt: skip
    values = np.vstack([cohort.X, again.X, cohort.X[:1]])
    many = anndata.AnnData(values, obs=obs, var=cohort.var, uns=cohort.uns)
    _, _, rows = qc.check(many, {})
    assert rows[["n", "n_case", "estimate"]].to_numpy().tolist() == [[4, 2, 1.0], [4, 2, 1.0]]
    turned = many[::-1].copy()
    assert tables.baseline_samples(turned.obs)[::-1].tolist() == [True] * 4 + [False] * 5


def test_swapped_groups_are_a_warning_and_an_absent_gene_a_note(cohort) -> None:
    cohort.obs["her2"] = ["negative", "positive", "positive", "negative"]
    cohort.obs["er"] = np.nan
    kept, _, rows = qc.check(cohort[:, ["ERBB2", "IL1B"]].copy(), {})
    assert "ERBB2 separates HER2 status with an AUC of only 0.00" in " ".join(
        kept.uns["provenance"]["warnings"]
    )
    assert rows.set_index("endpoint").loc["er", "note"] == "ESR1 is not measured"
    assert np.isnan(rows.set_index("endpoint").loc["er", "estimate"])


def test_swapped_values_are_said_to_be_in_reverse(cohort) -> None:
    # S1 has much ERBB2 and S2 has little
    rows = [0] * 10 + [1] * 20
    obs = cohort.obs.iloc[rows].set_axis([f"T{number:02d}" for number in range(30)])
    obs["her2"], obs["patient"] = ["negative"] * 10 + ["positive"] * 20, obs.index
    many = anndata.AnnData(cohort.X[rows], obs=obs, var=cohort.var, uns=cohort.uns)
    kept, _, rows = qc.check(many, {})
    note = rows.set_index("endpoint").loc["her2", "note"]
    assert note == "; ".join([notes.CONTROL_FAILED, notes.CONTROL_REVERSED])
    assert (
        "ERBB2 separates HER2 status in reverse (AUC 0.00): the values of columns.her2 look swapped"
        in kept.uns["provenance"]["warnings"]
    )


def test_expected_numbers_are_enforced_and_their_absence_is_said(cohort) -> None:
    right = {"n": 4, "groups": {"her2": {"positive": 2, "missing": 0}}}
    assert not any("unverified" in note for note in _warnings(cohort, right))
    assert any("unverified" in note for note in _warnings(cohort, {}))
    with pytest.raises(InputError, match=r"expected.n is 5, but 4 samples"):
        qc.check(cohort, {}, expected={"n": 5})
    with pytest.raises(InputError, match=r"her2.positive is 3, but 2.*negative 2, positive 2"):
        qc.check(cohort, {}, expected={"groups": {"her2": {"positive": 3}}})
    with pytest.raises(InputError, match="'herr2', which is no canonical column"):
        qc.check(cohort, {}, expected={"groups": {"herr2": {"positive": 3}}})


def _warnings(cohort, expected):
    return qc.check(cohort, {}, expected=expected)[0].uns["provenance"]["warnings"]
