"""What a person sees of a run: a line per job, time left, a summary."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from anndata import AnnData

from cytostrat import tables
from cytostrat.following import Follower, cohort_warnings, duration

PLANNED = {
    "simulate_a": 1, "simulate_b": 1, "contrast": 2, "survival": 2, "report": 1, "all": 1,
}  # fmt: skip


class Engine:
    """The engine's log, a clock that is turned by hand, and the console's lines."""

    def __init__(self, level: int = logging.INFO) -> None:
        self.now = 0.0
        self.logger = logging.Logger("engine", level)
        self.lines: list[str] = []
        console = logging.StreamHandler()
        console.emit = lambda record: self.lines.append(record.getMessage())
        self.logger.addHandler(console)
        self.follower = Follower(clock=lambda: self.now)
        self.follower.start(self.logger, planned=PLANNED, up_to_date=3)

    def starts(self, jobid: int, rule: str, **wildcards: str) -> None:
        further = {"event": "job_info", "jobid": jobid, "rule_name": rule, "wildcards": wildcards}
        self.logger.info("a block of many lines", extra=further)

    def ends(self, jobid: int, after: float = 0.0) -> None:
        self.now += after
        self.logger.info("Finished", extra={"event": "job_finished", "job_id": jobid})
        self.logger.info("1 of 8 steps", extra={"event": "progress", "done": 1, "total": 8})

    def fails(self, jobid: int, *logs: str) -> None:
        further = {"event": "job_error", "jobid": jobid, "log": logs}
        self.logger.error("Error in rule", extra=further)


def test_a_line_says_how_many_cohorts_and_how_long():
    engine = Engine()
    engine.starts(1, "simulate_a")
    engine.ends(1, after=10)
    engine.starts(2, "contrast", cohort="a")
    engine.ends(2, after=30)
    # 40 s for two jobs, one after another: 10 for the other simulation, 30 for the other
    # contrast, 20 (the mean) for each of the four of which none has finished
    assert engine.follower.left() == pytest.approx(10 + 30 + 4 * 20)
    assert engine.lines == [
        "rule simulate_a: a starts",
        "simulate: 1 of 2 cohorts done; 1 of 8 steps (12%) done; about 70 s left",
        "rule contrast: a starts",
        "contrast: 1 of 2 cohorts done; 2 of 8 steps (25%) done; about 2 min left",
    ]


def test_jobs_at_once_shorten_the_time_left():
    engine = Engine()
    for jobid, cohort in enumerate("ab"):
        engine.starts(jobid, "contrast", cohort=cohort)
    engine.now = 20
    engine.ends(0)
    engine.ends(1)
    assert engine.follower.left() == pytest.approx(6 * 20 / 2)


def test_summary_names_what_failed_and_what_could_not_run():
    engine = Engine()
    engine.starts(1, "contrast", cohort="a")
    engine.fails(1, "results/logs/contrast/a.log")
    engine.starts(1, "contrast", cohort="a")  # the retry
    engine.ends(1, after=5)
    engine.starts(2, "contrast", cohort="b")
    engine.fails(2, "results/logs/contrast/b.log")
    text = engine.follower.summary(warnings={"a": ["one", "two"]}, report="results/report.html")
    assert "Ran 1 steps in 5 s: contrast 1." in text
    assert "Skipped 3 steps: up to date" in text
    assert "Failed: contrast b; its log: results/logs/contrast/b.log" in text
    assert "contrast a" not in text
    left_out = "they need what failed: simulate 2, survival 2, report 1."
    assert left_out in text
    assert "Warning, a: one\nWarning, a: two" in text
    assert "report.html" not in text


def test_summary_of_a_whole_run_ends_with_the_report():
    engine = Engine()
    engine.starts(1, "all")
    engine.ends(1)
    text = engine.follower.summary(warnings={"a": list("1234567")}, report="results/report.html")
    assert text.count("Warning, a") == 6
    assert "Warning, a: 2 more, in the report" in text
    assert text.endswith("The report is at results/report.html")
    assert engine.lines == []


@pytest.mark.parametrize(("level", "seen"), [(logging.INFO, False), (logging.DEBUG, True)])
def test_whoever_asks_for_everything_sees_everything(level, seen):
    engine = Engine(level)
    engine.starts(1, "contrast", cohort="a")
    assert ("a block of many lines" in engine.lines) is seen


def test_warnings_come_from_the_cohort_files(tmp_path):
    cohort = AnnData(np.ones((2, 2)), uns={"provenance": {"warnings": ["17 rows unused"]}})
    tables.write_cohort(cohort, tmp_path / "a.h5ad")
    cohort.uns["provenance"] = {"warnings": []}
    tables.write_cohort(cohort, tmp_path / "b.h5ad")
    (tmp_path / "c.h5ad").write_text("no HDF5")
    files = {name: tmp_path / f"{name}.h5ad" for name in "abcd"}
    assert cohort_warnings(files) == {"a": ["17 rows unused"]}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (99, "99 s"), (150, "2 min"), (7500, "2 h 5 min")]
)
def test_duration(seconds, words):
    assert duration(seconds) == words
