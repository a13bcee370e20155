"""Kill a run at seeded random moments, restart it, and compare with an undisturbed run.

``make test-kill``: SIGKILL to the whole process group, 30 times over all stages, restarts of
restarts included. A kill falls a random time after a random number of jobs has started. After
each, whatever carries its final name must have the bytes of the undisturbed run: nothing
half-written is taken for whole. A directory is killed in until its run comes to its end between
two kills; then all of it must be that of the undisturbed run, and a new directory is begun.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
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
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = frozenset({"logs", "benchmarks"})
STARTED = re.compile(r"^(?:local)?rule (\w+):")
JOB = re.compile(r"^    jobid: (\d+)")
FINISHED = re.compile(r"^Finished jobid: (\d+)")


def command(directory: Path, *further: str) -> list[str]:
    """Return the command line of a run in `directory`."""
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    config = str(ROOT / "tests/kill/config.yaml")
    snakemake += ["--directory", str(directory), "--cores", "2", "--configfile", config]
    return [*snakemake, "--rerun-incomplete", *further]


def unlock(directory: Path) -> None:
    """Take the lock of a killed run away: what --unlock does, without its start-up time."""
    shutil.rmtree(directory / ".snakemake/locks", ignore_errors=True)


@dataclass
class Progress:
    """What a run printed of its jobs."""

    running: dict[str, str] = field(default_factory=dict)
    started: int = 0
    finished: int = 0
    rule: str = ""
    text: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """Read one line of Snakemake's output."""
        self.text.append(line)
        if match := STARTED.match(line):
            self.rule = match.group(1)
            self.started += 1
        elif match := JOB.match(line):
            self.running[match.group(1)] = self.rule
        elif match := FINISHED.match(line):
            self.running.pop(match.group(1), None)
            self.finished += 1


def run(directory: Path, *, after_jobs: int = 0, delay: float = 0.0) -> tuple[Progress, int | None]:
    """Run; with `after_jobs` kill the group `delay` seconds after so many jobs have started.

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
    deadline: float | None = None
    while True:
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            line = lines.get(timeout=wait)
        except queue.Empty:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return progress, None
        if line is None:
            return progress, process.wait()
        progress.take(line)
        if deadline is None and after_jobs and progress.started >= after_jobs:
            deadline = time.monotonic() + delay


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
    job = length / progress.finished
    say(f"undisturbed run: {length:.0f} s, {progress.finished} jobs, {len(wanted)} files")
    budget = options.minutes * 60 - length
    hit: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    kills, runs = 0, 0
    while kills < options.kills and time.monotonic() - begun < budget:
        directory = base / f"run{runs}"
        directory.mkdir()
        runs += 1
        code = None
        while code is None and kills < options.kills and time.monotonic() - begun < budget:
            unlock(directory)
            progress, code = run(
                directory, after_jobs=rng.randint(1, 4), delay=rng.uniform(0.0, job)
            )
            if code is not None:
                break
            kills += 1
            found = checksums(directory)
            half = differences(wanted, found, whole=False)
            wrong += [f"kill {kills}: {name} under its final name is not whole" for name in half]
            rules = sorted(set(progress.running.values())) or ["between jobs"]
            hit.update(rules)
            parts = sum(map(is_part, found))
            say(
                f"kill {kills}: in {', '.join(rules)}; {len(found) - parts} files whole, {parts} "
                f"unfinished{', WRONG: ' + ', '.join(half) if half else ''}"
            )
        if code:
            wrong.append(f"run {runs} failed: {''.join(progress.text)[-3000:]}")
        else:
            faults = finish(directory, wanted)
            wrong += faults
            say(f"run {runs} finished: {'WRONG' if faults else 'as the undisturbed run'}")
        shutil.rmtree(directory)
    for text in wrong:
        say(text)
    say(f"killed in: {', '.join(f'{rule} {count}' for rule, count in sorted(hit.items()))}")
    minutes = (time.monotonic() - begun) / 60
    say(f"{kills} kills in {runs} runs, {len(wrong)} faults, {minutes:.1f} minutes")
    if kills < options.kills:
        say(f"the time was over after {kills} of {options.kills} kills; give --minutes more")
    return 1 if wrong or kills < options.kills else 0


if __name__ == "__main__":
    sys.exit(main())
