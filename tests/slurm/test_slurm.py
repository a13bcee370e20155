"""The same run on SLURM: ``make test-slurm`` (root, Debian; brings up a one-node cluster).

CYTOSTRAT_SLURM_CONFIG names another configuration for the comparison of bytes, such as
config/config.yaml; the default is one simulated and one real cohort.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cytostrat.provenance import sha256

HERE = Path(__file__).parent
CLUSTER = HERE / "cluster.sh"
SMALL = "tests/kill/config.yaml"
BYTES = os.environ.get("CYTOSTRAT_SLURM_CONFIG", "tests/slurm/config.yaml")
# one node, no accounting database, and no patience for either
SITE = [
    "--slurm-no-account", "--slurm-status-command", "squeue", "--jobs", "4", "--cores", "2",
    "--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def cluster():
    subprocess.run([str(CLUSTER), "up"], check=True)
    yield
    subprocess.run([str(CLUSTER), "down"], check=True)


def _command(repository: Path, directory: Path, *arguments: str, slurm: bool) -> list[str]:
    profile = "slurm" if slurm else "laptop"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(repository / "Snakefile")]
    command += ["--profile", str(repository / "workflow/profiles" / profile)]
    command += ["--directory", str(directory), *arguments]
    return command + (SITE if slurm else ["--cores", "2"])


def _run(command: list[str], *, check: bool = True) -> str:
    run = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert not check or run.returncode == 0, run.stdout[-6000:]
    return run.stdout


def _checksums(directory: Path) -> dict[str, str]:
    return {
        str(file.relative_to(directory)): sha256(file)
        for file in sorted((directory / "results").rglob("*"))
        if file.is_file()
        and not {"logs", "benchmarks"} & set(file.relative_to(directory).parts)
        and file.name != "provenance.json"
    }


def test_slurm_and_laptop_give_the_same_bytes(repository, data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("CYTOSTRAT_DATA", str(data_dir))
    chosen = ("--configfile", str(repository / BYTES))
    _run(_command(repository, tmp_path / "laptop", *chosen, slurm=False))
    text = _run(_command(repository, tmp_path / "slurm", *chosen, slurm=True))
    laptop, slurm = _checksums(tmp_path / "laptop"), _checksums(tmp_path / "slurm")
    assert laptop == slurm
    assert any(name.endswith("report.html") for name in slurm)
    record = json.loads((tmp_path / "slurm/results/provenance.json").read_text())
    submitted = len(re.findall(r"has been submitted with SLURM jobid", text))
    cohorts = len(record["cohorts"])
    simulated = sum(cohort["simulated"] for cohort in record["cohorts"].values())
    # the gene sets, one job per cohort (and one that makes it up), two for the common tables
    assert 0 < submitted <= 1 + cohorts + simulated + 2, text[-3000:]


def test_a_job_out_of_memory_is_retried_with_more(tmp_path):
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(
        "rule hungry:\n"
        "    output: 'done.txt'\n"
        "    retries: 2\n"
        "    resources: mem_mb=lambda wildcards, attempt: 150 * 4 ** (attempt - 1), runtime=5\n"
        "    shell:\n"
        "        '''python3 -c \"import time; x = bytearray(b'1') * 400_000_000;'''\n"
        "        ''' time.sleep(15)\" && echo {resources.mem_mb} > {output}'''\n"
    )
    command = [sys.executable, "-m", "snakemake", "--executor", "slurm"]
    command += ["--directory", str(tmp_path), "--snakefile", str(snakefile), *SITE]
    text = _run(command)
    assert int((tmp_path / "done.txt").read_text()) > 400
    assert len(re.findall(r"has been submitted with SLURM jobid", text)) == 2


def _wait_for_node() -> None:
    for _ in range(60):
        state = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=True
        ).stdout
        if re.match(r"idle|mixed|allocated", state):
            return
        time.sleep(1)
    raise AssertionError(f"the node did not come back: {state}")


def test_a_lost_node_leaves_a_run_that_resumes(repository, tmp_path):
    chosen = ("--configfile", str(repository / SMALL), "--until", "score", "--retries", "0")
    run = subprocess.Popen(
        _command(repository, tmp_path, *chosen, slurm=True),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 240
        while not list((tmp_path / "results").rglob("*.h5ad")) and time.monotonic() < deadline:
            time.sleep(0.2)
        node = subprocess.run(
            ["sinfo", "-h", "-N", "-o", "%N"], capture_output=True, text=True, check=True
        ).stdout.split()[0]
        down = ["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test"]
        subprocess.run(down, check=True)
        time.sleep(5)
        # the node may have come back by itself when its daemon reported, and then refuses this
        up = ["scontrol", "update", f"NodeName={node}", "State=RESUME"]
        subprocess.run(up, check=False, capture_output=True)
        _wait_for_node()
        text, _ = run.communicate(timeout=400)
    finally:
        run.kill()
    # SLURM puts the job of a lost node back into its queue, so the run may even go on by itself
    assert run.returncode in (0, 1), text[-3000:]
    _run(_command(repository, tmp_path, *chosen, slurm=True))
    assert list((tmp_path / "results/scores").glob("*.tsv.gz"))
    assert not list((tmp_path / "results").rglob("*.part*"))


@pytest.mark.parametrize("cores", [1, 2])
def test_an_allocation_is_all_the_cores_that_a_job_uses(repository, tmp_path, cores):
    """BLAS, numba and the scorer keep as many threads busy as were allocated, and no more."""
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(
        "rule work:\n"
        "    output: 'threads.json'\n"
        f"    threads: {cores}\n"
        "    resources: mem_mb=2000, runtime=5\n"
        f"    params: package='{repository / 'workflow'}'\n"
        f"    script: '{HERE / 'busy_threads.py'}'\n"
    )
    command = [sys.executable, "-m", "snakemake", "--executor", "slurm"]
    command += ["--directory", str(tmp_path), "--snakefile", str(snakefile), *SITE]
    _run(command)
    found = json.loads((tmp_path / "threads.json").read_text())
    assert found["allocated"] == cores
    # threads that ran or waited for a core, in nine of ten looks
    assert set(found["at_once"]) == {"blas", "numba", "scorer"}
    if cores == 1:
        assert max(found["at_once"].values()) == 1, found
    else:  # so that the watch is known to see a second one
        assert min(found["at_once"].values()) >= 2, found
