"""The calibration program judges rightly, runs end to end, and its stored table passes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.calibrate import (
    APPROXIMATE,
    CONSERVATIVE,
    EXACT,
    Line,
    lines,
    markdown,
    merged,
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "nominal", "hits", "passes"),
    [
        (EXACT, 0.05, 50, True),
        (EXACT, 0.05, 90, False),
        (EXACT, 0.05, 15, False),
        (CONSERVATIVE, 0.05, 0, True),
        (CONSERVATIVE, 0.05, 90, False),
        (EXACT, 0.95, 950, True),
        (EXACT, 0.95, 910, False),
        (EXACT, 0.95, 995, False),
        (CONSERVATIVE, 0.95, 1000, True),
        (CONSERVATIVE, 0.95, 910, False),
        (APPROXIMATE, 0.95, 100, True),
    ],
)
def test_a_line_passes_inside_its_bounds_only(kind, nominal, hits, passes):
    assert Line("x", kind, nominal, hits, 1000).passes == passes


def test_the_whole_table_can_be_made(repository):
    found = lines(cohorts=25, null_cohorts=4)
    assert len({line.what for line in found}) == len(found)
    assert all(np.isfinite(line.hits) and 0 <= line.hits <= line.n for line in found)
    # the stored table lists the same lines, from a run with a thousand cohorts
    stored = (repository / "docs" / "calibration.md").read_text(encoding="utf-8")
    assert markdown(found).count("\n") == stored[stored.index("| what |") :].count("\n")
    for line in found:
        assert f"| {line.what} |" in stored
    assert "**no**" not in stored


def test_a_part_replaces_its_own_lines_only():
    old = markdown([Line("a", EXACT, 0.05, 50, 1000), Line("b", EXACT, 0.05, 50, 1000)])
    new = markdown([Line("b", EXACT, 0.05, 40, 1000), Line("c", CONSERVATIVE, 0.05, 1, 1000)])
    assert merged(old, new).splitlines() == [
        *old.splitlines()[:3],
        *new.splitlines()[2:],
    ]
