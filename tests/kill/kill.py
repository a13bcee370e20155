"""Kill a run at seeded random moments, restart it, and compare with an undisturbed run.

``make test-kill``: SIGKILL to the whole process group, `KILLS` times over all stages. Several
kills fall on one run before it may finish, so that restarts of restarts are met too.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cytostrat.provenance import sha256

ROOT = Path(__file__).resolve().parents[2]
PER_RUN = 3


def command(directory: Path, *further: str) -> list[str]:
    """Return the command line of a run in `directory`."""
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    config = str(ROOT / "tests/kill/config.yaml")
    snakemake += ["--directory", str(directory), "--cores", "2", "--configfile", config]
    return [*snakemake, "--rerun-incomplete", "--quiet", "all", *further]


def run_to_end(directory: Path) -> str:
    """Unlock, run to the end, and return what was printed."""
    subprocess.run(
        command(directory, "--unlock"), check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    run = subprocess.run(
        command(directory),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if run.returncode:
        raise SystemExit(f"the restarted run failed:\n{run.stdout[-4000:]}")
    return run.stdout


def killed_after(directory: Path, seconds: float) -> bool:
    """Start a run, kill its process group after `seconds`; tell whether it was still alive."""
    subprocess.run(
        command(directory, "--unlock"), check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    run = subprocess.Popen(
        command(directory),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        run.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        return True


def checksums(directory: Path) -> dict[str, str]:
    """Return the sha256 of every result but logs, benchmarks and provenance."""
    results = directory / "results"
    return {
        file.relative_to(results).as_posix(): sha256(file)
        for file in sorted(results.rglob("*"))
        if file.is_file()
        and not {"logs", "benchmarks"} & set(file.relative_to(results).parts)
        and file.name != "provenance.json"
    }


def main() -> int:
    """Run the kills and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    base = Path(tempfile.mkdtemp(prefix="cytostrat-kill-"))
    undisturbed = base / "undisturbed"
    undisturbed.mkdir()
    start = time.monotonic()
    run_to_end(undisturbed)
    length = time.monotonic() - start
    wanted = checksums(undisturbed)
    sys.stdout.write(f"undisturbed run: {length:.1f} s, {len(wanted)} files\n")
    done = 0
    wrong = 0
    while done < options.kills:
        directory = base / f"run{done}"
        directory.mkdir()
        for _ in range(min(PER_RUN, options.kills - done)):
            moment = rng.uniform(0.5, length)
            alive = killed_after(directory, moment)
            left = sum(1 for file in directory.rglob("*.part"))
            done += 1
            state = "killed" if alive else "had finished"
            sys.stdout.write(f"kill {done}: {state} after {moment:.1f} s, {left} .part left\n")
            sys.stdout.flush()
        run_to_end(directory)
        found = checksums(directory)
        found = {name: value for name, value in found.items() if not name.endswith(".part")}
        differs = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
        if differs:
            wrong += 1
            sys.stdout.write(f"  differs from the undisturbed run: {', '.join(differs)}\n")
        shutil.rmtree(directory)
    shutil.rmtree(base)
    sys.stdout.write(f"{done - wrong} passed, {wrong} failed\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
