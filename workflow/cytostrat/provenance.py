"""What a run used and made: the only result with a clock, a host and paths.

Outputs
-------
provenance.json
    ``software`` (commit and versions), ``run`` (start, end, host, command, seeds),
    ``config`` and ``cohorts`` as they were used, ``inputs`` and ``outputs`` (path, bytes,
    sha256), ``rules`` (seconds and peak memory per job, from Snakemake's benchmarks).
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import cytostrat

PACKAGES = (
    "snakemake", "numpy", "scipy", "pandas", "statsmodels", "lifelines", "gseapy", "scanpy",
    "anndata", "seaborn", "matplotlib", "numba", "scikit-learn", "jinja2", "bokeh",
)  # fmt: skip


def sha256(path: str | Path) -> str:
    """Return the sha256 of a file, read in pieces."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python, cytostrat and the packages it builds on."""
    return {
        "cytostrat": cytostrat.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def software(repository: Path) -> dict[str, str]:
    """Return the versions and the commit.

    Parameters
    ----------
    repository
        Root of the checkout; ``commit`` is empty where it is no git repository.
    """
    answer = ""
    if (repository / ".git").exists():
        try:
            answer = subprocess.run(
                ["git", "describe", "--always", "--dirty", "--abbrev=40"],
                cwd=repository,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            answer = ""
    return {"commit": answer, **versions()}


def files(paths: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Return path, bytes and sha256 of every file, folders walked, sorted by path."""
    found: set[Path] = set()
    for path in map(Path, paths):
        found |= {file for file in path.rglob("*") if file.is_file()} if path.is_dir() else {path}
    return [
        {"path": file.as_posix(), "bytes": file.stat().st_size, "sha256": sha256(file)}
        for file in sorted(found)
    ]


def sources(paths: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Return name, sha256 and size of source files, without the folders they lie in."""
    return [
        {"name": Path(entry["path"]).name, "sha256": entry["sha256"], "size": entry["bytes"]}
        for entry in files(paths)
    ]


def jobs(benchmarks: Path) -> list[dict[str, Any]]:
    """Return seconds and peak memory (MB, resident) per job from Snakemake's benchmark files."""
    rows = []
    for file in sorted(benchmarks.rglob("*.tsv")):
        last = pd.read_csv(file, sep="\t").iloc[-1]
        rows.append(
            {
                "job": file.relative_to(benchmarks).with_suffix("").as_posix(),
                "seconds": round(float(last["s"]), 2),
                "max_rss_mb": pd.to_numeric(last["max_rss"], errors="coerce"),
            }
        )
    return [
        {**row, "max_rss_mb": None if pd.isna(row["max_rss_mb"]) else float(row["max_rss_mb"])}
        for row in rows
    ]


def record(
    *,
    config: Mapping[str, Any],
    cohorts: Mapping[str, Any],
    command: Sequence[str],
    inputs: Iterable[str | Path],
    outputs: Iterable[str | Path],
    benchmarks: Path,
    repository: Path,
) -> dict[str, Any]:
    """Return the whole record of a run.

    Parameters
    ----------
    config, cohorts
        The configuration and the cohort files, as used.
    command
        The command line.
    inputs, outputs
        Files (or folders) that went in and came out.
    benchmarks
        Folder of Snakemake's benchmark files.
    repository
        Root of the checkout.
    """
    return {
        "software": software(repository),
        "run": {
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "host": platform.node(),
            "system": platform.platform(),
            "command": list(command),
            "seeds": {"simulate": config["simulate"]["seed"]},
        },
        "config": dict(config),
        "cohorts": dict(cohorts),
        "inputs": files(inputs),
        "outputs": files(outputs),
        "rules": jobs(benchmarks),
    }
