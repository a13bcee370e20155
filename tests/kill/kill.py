"""Kill a run at seeded random moments, restart it, and compare with an undisturbed run.

``make test-kill``: SIGKILL to the whole process group, 30 times over all stages, restarts of
restarts included. A kill falls into a job of a stage that has not been hit yet, or into one after
a random number of jobs, at a random moment of the time that it takes; two of five wait from there
for a file that is being written, which takes milliseconds. After each, whatever carries its final
name must have the bytes of the undisturbed run: nothing half-written is taken for whole.
A directory is killed in until its run comes to its end between two kills; then all of it must be
that of the undisturbed run, and a new directory is begun.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import math
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The share of kills that wait for a file that is being written, how many seconds, and how often
# they look.
AT_WRITE, PATIENCE, LOOK = 0.4, 20.0, 0.01
LEFT_OUT = frozenset({"logs", "benchmarks"})
STARTED = re.compile(r"^(?:local)?rule (\w+):")
JOB = re.compile(r"^    jobid: (\d+)")
FINISHED = re.compile(r"^Finished jobid: (\d+)")


def command(directory: Path, *further: str) -> list[str]:
    """Return the command line of a run in `directory`."""
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    config = str(ROOT / "tests/kill/config.yaml")
    snakemake += ["--directory", str(directory), "--cores", "2", "--configfile", config]
    # without hooks the engine itself says which job starts and ends
    return [*snakemake, "--rerun-incomplete", "--no-hooks", *further]


def unlock(directory: Path) -> None:
    """Take the lock of a killed run away: what --unlock does, without its start-up time."""
    shutil.rmtree(directory / ".snakemake/locks", ignore_errors=True)


@dataclass
class Progress:
    """What a run printed of its jobs."""

    running: dict[str, str] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    begun: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)

    def take(self, line: str) -> str:
        """Read one line of Snakemake's output; return the rule of a job that starts with it."""
        self.text.append(line)
        if match := STARTED.match(line):
            self.started.append(match.group(1))
        elif match := JOB.match(line):
            rule = self.started[-1]
            self.running[match.group(1)] = rule
            self.begun[rule] = time.monotonic()
            return rule
        elif (match := FINISHED.match(line)) and match.group(1) in self.running:
            rule = self.running.pop(match.group(1))
            self.seconds[rule] = time.monotonic() - self.begun[rule]
        return ""


def run(
    directory: Path,
    kill_after: Callable[[str, int], float | None] | None = None,
    *,
    at_write: bool = False,
) -> tuple[Progress, int | None]:
    """Run to the end, or kill the whole process group.

    Parameters
    ----------
    kill_after
        Gets the rule of a job that starts and how many have started; returns the seconds until
        the kill, or None to go on.
    at_write
        Kill as soon as a file is being written after that moment, if one is within `PATIENCE`.

    Returns
    -------
    progress, code
        The exit code is None where the run was killed.
    """
    process = subprocess.Popen(
        command(directory),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: queue.Queue[str | None] = queue.Queue()

    def pump() -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=pump, daemon=True).start()
    progress = Progress()
    moment: float | None = None
    left_behind = _parts(directory)
    try:
        while True:
            wait = None if moment is None else max(LOOK, moment - time.monotonic())
            try:
                line = lines.get(timeout=LOOK if at_write and wait else wait)
            except queue.Empty:
                late = time.monotonic() - (moment or math.inf)
                if late >= (PATIENCE if at_write else 0.0) or (
                    late >= 0 and _parts(directory) - left_behind
                ):
                    return progress, None
                continue
            if line is None:
                return progress, process.wait()
            rule = progress.take(line)
            if rule and moment is None and kill_after:
                seconds = kill_after(rule, len(progress.started))
                moment = None if seconds is None else time.monotonic() + seconds
    finally:
        # also where this program itself is interrupted: nothing may go on in a session of its own
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _parts(directory: Path) -> set[Path]:
    """Return the files that are being written or were cut off: their names are not final."""
    return {file for file in (directory / "results").rglob("*.part*") if is_part(file.name)}


def checksums(directory: Path) -> dict[str, str]:
    """Return the sha256 of every result but logs, benchmarks and provenance."""
    results = directory / "results"
    return {
        file.relative_to(results).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(results.rglob("*"))
        if file.is_file()
        and not LEFT_OUT & set(file.relative_to(results).parts)
        and file.name != "provenance.json"
    }


def is_part(name: str) -> bool:
    """Tell a file that is being written, which carries no final name, from one that is whole."""
    return ".part" in Path(name).suffixes


def differences(wanted: dict[str, str], found: dict[str, str], *, whole: bool) -> list[str]:
    """Return results that are not as in the undisturbed run; absent ones only where `whole`."""
    names = {name for name in found if not is_part(name)}
    wrong = {name for name in names if wanted.get(name) != found[name]}
    return sorted(wrong | (wanted.keys() - names if whole else set()))


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def finish(directory: Path, wanted: dict[str, str]) -> list[str]:
    """Run to the end and return what is wrong."""
    unlock(directory)
    progress, code = run(directory)
    if code:
        return [f"the restarted run failed: {''.join(progress.text)[-3000:]}"]
    found = checksums(directory)
    wrong = differences(wanted, found, whole=True)
    left = [name for name in found if is_part(name)]
    return [*wrong, *(f"{name} was left behind" for name in left)]


def main() -> int:
    """Run the kills and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=16.0, help="no kill begins after that")
    options = parser.parse_args()
    begun = time.monotonic()
    base = Path(tempfile.mkdtemp(prefix="cytostrat-kill-"))
    try:
        return _kills(options, base, begun)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _kills(options: argparse.Namespace, base: Path, begun: float) -> int:
    rng = random.Random(options.seed)
    (base / "undisturbed").mkdir()
    progress, code = run(base / "undisturbed")
    if code:
        say("".join(progress.text)[-3000:])
        return 1
    length = time.monotonic() - begun
    wanted = checksums(base / "undisturbed")
    takes = {rule: seconds for rule, seconds in progress.seconds.items() if rule != "all"}
    say(f"undisturbed run: {length:.0f} s, {len(takes)} jobs, {len(wanted)} files")
    hit: collections.Counter[str] = collections.Counter()
    rows: list[tuple[int, str, int, int, str]] = []
    ends: list[str] = []
    wrong: list[str] = []

    def kill_after(most: int) -> Callable[[str, int], float | None]:
        """Kill in the first job of a stage that has not been hit yet, else in the last of `most`.

        At a moment of that job that is drawn from the time it takes.
        """
        return lambda rule, started: (
            rng.uniform(0.0, takes[rule])
            if rule in takes and (not hit[rule] or started >= most)
            else None
        )

    def more() -> bool:
        return len(rows) < options.kills and time.monotonic() - begun < options.minutes * 60

    while more():
        directory = base / f"run{len(ends)}"
        directory.mkdir()
        code = None
        while code is None and more():
            unlock(directory)
            most, at_write = rng.randint(1, 4), rng.random() < AT_WRITE
            progress, code = run(directory, kill_after(most), at_write=at_write)
            if code is not None:
                break
            found = checksums(directory)
            half = differences(wanted, found, whole=False)
            wrong += [f"kill {len(rows) + 1}: {name} is not whole" for name in half]
            rules = sorted(set(progress.running.values())) or ["between jobs"]
            hit.update(rules)
            parts = sum(map(is_part, found))
            state = f"WRONG: {', '.join(half)}" if half else "all whole"
            rows.append((len(ends) + 1, ", ".join(rules), len(found) - parts, parts, state))
            say(f"kill {len(rows)} after {time.monotonic() - begun:.0f} s: {rows[-1][1]}; {state}")
        if code:
            faults = [f"run {len(ends) + 1} failed: {''.join(progress.text)[-3000:]}"]
        else:
            faults = finish(directory, wanted)
        wrong += faults
        ends.append("WRONG" if faults else "as the undisturbed run")
        say(f"run {len(ends)} finished: {ends[-1]}")
        shutil.rmtree(directory)
    _print(rows, ends)
    say(f"killed in: {', '.join(f'{rule} {count}' for rule, count in sorted(hit.items()))}")
    say(f"never killed in: {', '.join(sorted(takes.keys() - hit.keys())) or 'none'}")
    for text in wrong:
        say(text)
    minutes = (time.monotonic() - begun) / 60
    say(f"{len(rows)} kills in {len(ends)} runs, {len(wrong)} faults, {minutes:.1f} minutes")
    if len(rows) < options.kills:
        say(f"the time was over after {len(rows)} of {options.kills} kills; give --minutes more")
    return 1 if wrong or len(rows) < options.kills else 0


def _print(rows: list[tuple[int, str, int, int, str]], ends: list[str]) -> None:
    """Print what was killed, what was there then, and how the run of that directory ended."""
    say(f"\n{'kill':>4} {'run':>4} {'whole':>6} {'cut off':>8}  {'state':<10} killed in")
    for number, (which, rules, whole, parts, state) in enumerate(rows, start=1):
        say(f"{number:>4} {which:>4} {whole:>6} {parts:>8}  {state:<10} {rules}")
    for number, end in enumerate(ends, start=1):
        say(f"run {number}: {end}")


if __name__ == "__main__":
    sys.exit(main())
