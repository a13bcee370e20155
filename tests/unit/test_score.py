"""The score stage: every signature accounted for, nothing dropped in silence."""

from __future__ import annotations

import numpy as np
import pytest

from cytostrat import score
from cytostrat.signatures import Signature

GENES = [f"G{i}" for i in range(40)]
SIGNATURES = {
    "WHOLE": Signature("WHOLE", "all present", up=("G1", "G2", "G3")),
    "HALF": Signature("HALF", "half present", up=("G1", "G2", "NOT1", "NOT2")),
    "ABSENT": Signature("ABSENT", "none present", up=("NOT1", "NOT2")),
}


def _scored(matrix: np.ndarray):
    return score.score_cohort(
        matrix,
        [f"s{i}" for i in range(len(matrix))],
        GENES,
        SIGNATURES,
        cohort="toy",
        methods=["ssgsea", "singscore"],
        min_coverage=0.6,
    )


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(9, len(GENES)))


def test_a_set_below_coverage_is_scored_and_flagged(matrix):
    scores, coverage = _scored(matrix)
    by_name = coverage.set_index("signature")
    assert by_name["usable"].to_dict() == {"ABSENT": False, "HALF": False, "WHOLE": True}
    assert by_name.loc["HALF", "missing"] == "NOT1|NOT2"
    assert set(scores["signature"]) == {"WHOLE", "HALF"}
    assert len(scores) == 9 * 2 * 2


def test_other_samples_and_sets_do_not_move_a_score(matrix):
    scores, _ = _scored(matrix)
    alone, _ = _scored(matrix[:1])
    joined = alone.merge(scores, on=["sample", "signature", "method"])
    assert np.array_equal(joined["score_x"], joined["score_y"])


def test_percentiles_are_mid_ranks_within_the_cohort(matrix):
    scores, _ = _scored(matrix)
    one = scores.query("signature == 'WHOLE' and method == 'ssgsea'").sort_values("score")
    assert one["percentile"].to_numpy() == pytest.approx(100 * (np.arange(9) + 0.5) / 9)
