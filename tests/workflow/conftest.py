"""Run the workflow as a user would: Snakemake in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


class Workflow:
    """Runs of one checkout in one working directory."""

    def __init__(self, snakefile: Path, directory: Path) -> None:
        self.snakefile = snakefile
        self.directory = directory

    def __call__(
        self, *arguments: str, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake and return what it printed (stdout and stderr together)."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.snakefile)]
        command += ["--directory", str(self.directory), "--cores", "2", *arguments]
        run = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(env or {})},
            check=False,
        )
        if check:
            assert run.returncode == 0, run.stdout[-6000:]
        return run

    def planned(self, *arguments: str) -> set[str]:
        """Return the jobs of a dry run as 'rule' or 'rule cohort'."""
        text = self("--dry-run", *arguments).stdout
        jobs = set()
        for block in re.split(r"\n(?=(?:local)?rule )", text)[1:]:
            rule = re.match(r"(?:local)?rule (\w+):", block).group(1)
            cohort = re.search(r"wildcards: cohort=(\w+)", block)
            jobs.add(f"{rule} {cohort.group(1)}" if cohort else rule)
        return jobs


@pytest.fixture(scope="session")
def checkout(repository, tmp_path_factory) -> Path:
    """A copy of what a run needs, which a test may edit and restore.

    Compiled code comes along: numba takes it for a source of the same age and size.
    """
    copy = tmp_path_factory.mktemp("checkout") / "cytostrat"
    for name in ("workflow", "config", "resources"):
        shutil.copytree(repository / name, copy / name, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy2(repository / "Snakefile", copy / "Snakefile")
    return copy


@pytest.fixture(scope="session")
def workflow(checkout, tmp_path_factory) -> Workflow:
    """The workflow of this checkout, in a directory of its own."""
    return Workflow(checkout / "Snakefile", tmp_path_factory.mktemp("run"))
