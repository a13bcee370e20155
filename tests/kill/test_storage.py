"""Disks that are full or read-only, directories in use: a clear message, nothing half-written.

Part of ``make test-kill``; mounts a small tmpfs where the user may, else limits the file size.
"""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cytostrat import fetch, tables
from cytostrat.errors import CytostratError
from tests.kill.kill import checksums, command, is_part

ROOM = 256 * 1024


def _mount(folder: Path, *options: str) -> bool:
    given = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    try:
        return subprocess.run(given, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def small(tmp_path) -> Iterator[Path]:
    """A folder with room for 256 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = _mount(folder, f"size={ROOM}")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    yield folder
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _noise(n: int) -> bytes:
    return np.random.default_rng(1).bytes(n)


def _cohort() -> AnnData:
    values = np.random.default_rng(1).normal(size=(300, 400)).astype(np.float32)
    return AnnData(values, uns={"provenance": {"cohort": "x"}})


def _flow() -> pd.DataFrame:
    reasons = [f"{_noise(8).hex()} {number}" for number in range(20_000)]
    return pd.DataFrame({"cohort": "x", "step": "s", "reason": reasons, "n_in": 1, "n_out": 1})


WRITES: dict[str, Callable[[Path], object]] = {
    "cohort.h5ad": lambda path: tables.write_cohort(_cohort(), path),
    "flow.tsv": lambda path: tables.write_table(_flow(), path, tables.FLOW),
    "noise.tsv.gz": lambda path: tables.write_bytes(path, _noise(3 * ROOM)),
    "report.html": lambda path: tables.write_bytes(path, _noise(3 * ROOM)),
    "patients.tsv": lambda path: tables.write_lines(map(str, range(200_000)), path),
}


CHILD = """
import os, sys
from pathlib import Path
from cytostrat.errors import CytostratError
from tests.kill.test_storage import WRITES
try:
    WRITES[sys.argv[1]](Path(sys.argv[2]))
except CytostratError as error:
    print(error, flush=True)
    os._exit(3)
"""


@pytest.mark.parametrize("name", WRITES)
def test_full_disk_leaves_the_earlier_file_and_one_sentence(name, small) -> None:
    target = small / name
    target.write_bytes(b"as it was")
    # a process of its own: the HDF5 library does not survive a file that it could not close
    run = subprocess.run(
        [sys.executable, "-c", CHILD, name, str(target)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 3, run.stderr
    assert "can't be written" in run.stdout
    assert run.stdout.endswith("free some room and run again.\n")
    assert run.stdout.count("\n") == 1
    assert target.read_bytes() == b"as it was"
    assert sorted(file.name for file in small.iterdir()) == [name]


def test_full_disk_while_fetching(small, tmp_path) -> None:
    mirror = tmp_path / "mirror"
    url = "https://example.org/matrix.tsv.gz"
    place = fetch.cache_path(url, mirror)
    place.parent.mkdir(parents=True)
    place.write_bytes(gzip.compress(_noise(3 * ROOM)))
    with pytest.raises((CytostratError, OSError), match=r"full|room|No space|too large"):
        fetch.fetch(
            url, small / "matrix.tsv.gz", cache=small / "downloads", mirror=mirror,
            report=lambda line: None,
        )  # fmt: skip
    assert not (small / "matrix.tsv.gz").exists()
    assert not fetch.cache_path(url, small / "downloads").exists()


def _run(directory: Path, *further: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(directory, *further),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )


def test_full_disk_ends_a_run_which_then_resumes(tmp_path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    if not _mount(results, "size=600k"):
        pytest.fail("needs the right to mount a tmpfs; run as root")
    try:
        run = _run(tmp_path)
        assert run.returncode == 1
        assert "can't be written (No space left on device); free some room" in run.stdout
        whole = checksums(tmp_path)
        assert any(name.endswith(".tsv") for name in whole)
        subprocess.run(["mount", "-o", "remount,size=500m", str(results)], check=True)
        again = _run(tmp_path, "--until", "harmonise")
        assert again.returncode == 0, again.stdout[-3000:]
        found = checksums(tmp_path)
        assert {name: found[name] for name in whole if not is_part(name)} == whole
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)


def test_read_only_results_are_named(tmp_path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    if not _mount(results, "ro"):
        pytest.fail("needs the right to mount a tmpfs; run as root")
    try:
        run = _run(tmp_path)
        assert run.returncode == 1
        assert "Read-only file system" in run.stdout
        assert "results" in run.stdout
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)


def test_two_runs_at_once_in_one_directory(tmp_path) -> None:
    first = subprocess.Popen(
        command(tmp_path, "--until", "harmonise"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    locks = tmp_path / ".snakemake/locks"
    deadline = time.monotonic() + 120
    while not (locks.is_dir() and any(locks.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    second = _run(tmp_path, "--until", "harmonise")
    assert second.returncode == 1
    assert "Directory cannot be locked" in second.stdout
    assert "--unlock" in second.stdout
    text, _ = first.communicate(timeout=600)
    assert first.returncode == 0, text[-3000:]
    assert list((tmp_path / "results/harmonised").glob("*.h5ad"))


def test_stale_lock_is_named_and_can_be_taken_away(tmp_path) -> None:
    first = subprocess.Popen(
        command(tmp_path, "--until", "harmonise"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    locks = tmp_path / ".snakemake/locks"
    deadline = time.monotonic() + 120
    while not (locks.is_dir() and any(locks.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(first.pid, 9)
    first.wait()
    blocked = _run(tmp_path, "--until", "harmonise")
    assert blocked.returncode == 1
    assert "--unlock" in blocked.stdout
    assert _run(tmp_path, "--unlock").returncode == 0
    run = _run(tmp_path, "--until", "harmonise")
    assert run.returncode == 0, run.stdout[-3000:]


def test_a_log_that_cannot_be_written_ends_the_job_with_one_sentence(tmp_path) -> None:
    (tmp_path / "taken").write_text("a file where a folder is needed")
    code = (
        "from cytostrat.runlog import logged\n"
        f"with logged({str(tmp_path / 'taken/x.log')!r}):\n    pass\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(tables.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "can't be written" in run.stderr
    assert "Traceback" not in run.stderr
