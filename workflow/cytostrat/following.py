"""What a person sees of a run: a line per job with its stage's progress, and a summary.

`Follower` reads the workflow engine's log and tells it in fewer words.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

# Events of the engine that are told in other words.
TOLD = frozenset({"job_info", "job_started", "job_finished", "progress", "group_info"})
MOST_WARNINGS = 5


def stage_of(rule: str, wildcards: Mapping[str, str]) -> tuple[str, str]:
    """Return the stage of a job, and what it works on ('' where it is done once per run).

    Each simulated cohort has a rule of its own; they are one stage.
    """
    if rule.startswith("simulate_"):
        return "simulate", rule.removeprefix("simulate_")
    return rule, " ".join(map(str, wildcards.values()))


def duration(seconds: float) -> str:
    """Return seconds in words, such as '45 s', '3 min' or '2 h 5 min'."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _without_told(record: logging.LogRecord) -> bool:
    told = getattr(record, "event", None) in TOLD
    return not told and record.getMessage() != "Select jobs to execute..."


class Follower(logging.Handler):
    """Follow the workflow engine's log; tell each job's start, its stage's progress, the end.

    The lines go to the same log, so that they obey what a user asked to be quiet about.

    Parameters
    ----------
    clock
        Seconds from any start.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.clock = clock
        self.planned: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.failed: dict[tuple[str, str], list[str]] = {}
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.jobs: dict[Any, tuple[str, str, float]] = {}
        self.of_cohorts: set[str] = set()
        self.up_to_date = 0
        self.begun = clock()

    def start(
        self,
        logger: logging.Logger,
        *,
        planned: Mapping[str, int],
        up_to_date: int = 0,
        quietness: Any = None,
    ) -> None:
        """Begin to follow `logger`.

        Parameters
        ----------
        planned
            Jobs of this run by rule.
        up_to_date
            Jobs that need not run.
        quietness
            What the engine's filter compares with what a user wants to be quiet about.
        """
        self.logger, self.further = logger, {"quietness": quietness} if quietness else {}
        for rule, count in planned.items():
            self.planned[stage_of(rule, {})[0]] += count
        self.up_to_date = up_to_date
        self.begun = self.clock()
        if logger.getEffectiveLevel() > logging.DEBUG:
            for handler in logger.handlers:
                if not isinstance(handler, logging.FileHandler):
                    handler.addFilter(_without_told)
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take an event of the engine."""
        event = getattr(record, "event", None)
        if event == "job_info":
            stage, subject = stage_of(record.rule_name, record.wildcards or {})
            self.jobs[record.jobid] = (stage, subject, self.clock())
            if subject:
                self.of_cohorts.add(stage)
            if stage != "all":
                self._say(f"rule {record.rule_name}: {subject}".rstrip(" ") + " starts")
        elif event == "job_finished" and record.job_id in self.jobs:
            stage, subject, begun = self.jobs.pop(record.job_id)
            self.done[stage] += 1
            self.seconds[stage].append(self.clock() - begun)
            self.failed.pop((stage, subject), None)
            if stage != "all":
                self._say(self._progress(stage))
        elif event == "job_error" and record.jobid in self.jobs:
            stage, subject, _ = self.jobs.pop(record.jobid)
            self.failed[stage, subject] = list(record.log or [])

    def _say(self, text: str) -> None:
        self.logger.info(text, extra=self.further)

    def _progress(self, stage: str) -> str:
        done, planned = sum(self.done.values()), sum(self.planned.values())
        parts = [f"{done} of {planned} steps ({done / max(planned, done):.0%}) done"]
        left = self.left()
        if done < planned and left is not None:
            parts.append(f"about {duration(math.ceil(left / 5) * 5)} left")
        of = f"{self.done[stage]} of {self.planned[stage]}"
        head = f"{stage}: {of} cohorts done" if stage in self.of_cohorts else f"{stage}: done"
        return "; ".join([head, *parts])

    def left(self) -> float | None:
        """Return the seconds that the rest will take, from what the jobs so far took.

        A stage without a finished job is taken to be as long as the mean job; the sum is divided
        by the jobs that ran at once so far. None before a job has finished.
        """
        spent = sum(map(sum, self.seconds.values()))
        count = sum(map(len, self.seconds.values()))
        if not count:
            return None
        total = 0.0
        for stage, planned in self.planned.items():
            known = self.seconds.get(stage)
            mean = sum(known) / len(known) if known else spent / count
            total += mean * max(0, planned - self.done[stage])
        at_once = spent / max(self.clock() - self.begun, 1e-9)
        return total / max(at_once, 1.0)

    def summary(self, *, warnings: Mapping[str, Iterable[str]], report: str) -> str:
        """Return what ran, what did not and why, warnings by cohort, where the report is.

        Parameters
        ----------
        warnings
            By cohort.
        report
            Path of the report; told where this run came to its end.
        """
        ran = ", ".join(f"{stage} {count}" for stage, count in self.done.items() if stage != "all")
        took = duration(self.clock() - self.begun)
        lines = ["", f"Ran {sum(self.done.values())} steps in {took}: {ran or 'none'}."]
        if self.up_to_date:
            lines.append(
                f"Skipped {self.up_to_date} steps: up to date, nothing that they depend on changed."
            )
        for (stage, subject), logs in self.failed.items():
            where = f"; its log: {', '.join(logs)}" if logs else ""
            lines.append(f"Failed: {f'{stage} {subject}'.rstrip()}{where}")
        failed = Counter(stage for stage, _ in self.failed)
        left_out = self.planned - self.done - failed
        if left_out:
            names = ", ".join(f"{stage} {n}" for stage, n in left_out.items() if stage != "all")
            because = "they need what failed" if self.failed else "the run was stopped"
            lines.append(f"Not run, because {because}: {names}. What is done stays; run again.")
        for cohort, texts in warnings.items():
            found = list(texts)
            lines += [f"Warning, {cohort}: {text}" for text in found[:MOST_WARNINGS]]
            if len(found) > MOST_WARNINGS:
                lines.append(f"Warning, {cohort}: {len(found) - MOST_WARNINGS} more, in the report")
        if self.done["all"]:
            lines.append(f"The report is at {report}")
        return "\n".join(lines)


def cohort_warnings(cohorts: Mapping[str, str | Path]) -> dict[str, list[str]]:
    """Return the warnings that reading left in each cohort's file, where it exists and has any."""
    import h5py

    found = {}
    for name, path in cohorts.items():
        try:
            with h5py.File(path) as file:
                texts = json.loads(file["uns/provenance"].asstr()[()]).get("warnings", [])
        except (OSError, KeyError, ValueError):
            continue
        if texts:
            found[name] = list(texts)
    return found
