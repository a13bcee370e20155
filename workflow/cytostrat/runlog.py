"""What surrounds a rule's script: where it imports from, its log, errors people can read.

And what a person sees of the run as a whole: `Follower` turns the workflow engine's log into a
line per job with the stage's progress, and a summary.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import math
import os
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from cytostrat.errors import CytostratError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Events of the workflow engine that `Follower` tells in fewer words.
TOLD = frozenset({"job_info", "job_started", "job_finished", "progress", "group_info"})
MOST_WARNINGS = 5


def import_from(folder: str | Path) -> None:
    """Make processes started from here import from `folder` before anything installed."""
    others = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(folder), *others]))


class _Tee(io.TextIOBase):
    def __init__(self, *targets: TextIO) -> None:
        self.targets = targets

    def write(self, text: str) -> int:
        for target in self.targets:
            with contextlib.suppress(OSError):  # a full disk must not silence the console
                target.write(text)
                target.flush()
        return len(text)


@contextlib.contextmanager
def _log_file(log: Path, console: TextIO) -> Iterator[TextIO]:
    """Open a log; where that is not possible, say so and end with exit code 1."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        stream = open(log, "w", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        console.write(f"\n{log}: can't be written ({error.strerror}); check folder and room.\n")
        sys.exit(1)
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):
            stream.close()


@contextlib.contextmanager
def logged(log: str | Path, *, what: str = "") -> Iterator[None]:
    """Send stdout, stderr, warnings and logging to a log file; keep errors on the console.

    A deliberate error (`CytostratError`) ends the process with exit code 1 and its one
    sentence; anything else shows its traceback on the console and in the log.

    Parameters
    ----------
    log
        File that takes the output.
    what
        Name of the work, put before an error's sentence.
    """
    console = sys.stderr
    with _log_file(Path(log), console) as stream:
        handler = logging.StreamHandler(stream)
        logging.getLogger().addHandler(handler)
        logging.captureWarnings(True)
        both = _Tee(console, stream)
        try:
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
                yield
        except CytostratError as error:
            both.write(f"\n{what}: {error}\n" if what else f"\n{error}\n")
            sys.exit(1)
        except OSError as error:
            if error.errno in FULL:
                place = error.filename or "the disk"
                both.write(f"\n{what}: {place}: {error.strerror}; free some room and run again.\n")
            else:
                both.write(traceback.format_exc())
            sys.exit(1)
        except Exception:  # noqa: BLE001 - whatever ends a job must stand in its log
            both.write(traceback.format_exc())
            sys.exit(1)
        finally:
            logging.getLogger().removeHandler(handler)
            logging.captureWarnings(False)


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
