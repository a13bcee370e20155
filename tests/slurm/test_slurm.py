"""The same run on SLURM: `make test-slurm` (root, Debian; brings up a one-node cluster)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cytostrat.provenance import sha256

CLUSTER = Path(__file__).with_name("cluster.sh")


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
    if slurm:
        command += ["--slurm-no-account", "--slurm-status-command", "squeue", "--jobs", "4"]
        command += ["--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "10"]
    else:
        command += ["--cores", "2"]
    return command


def _run(command: list[str]) -> str:
    run = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-6000:]
    return run.stdout


def _checksums(directory: Path) -> dict[str, str]:
    return {
        str(file.relative_to(directory)): sha256(file)
        for file in sorted((directory / "results").rglob("*"))
        if file.is_file()
        and not {"logs", "benchmarks"} & set(file.relative_to(directory).parts)
        and file.name != "provenance.json"
    }


@pytest.mark.parametrize("config", ["config/config.yaml", "tests/workflow/real/config.yaml"])
def test_slurm_and_laptop_give_the_same_bytes(config, repository, data_dir, tmp_path):
    os.environ["CYTOSTRAT_DATA"] = str(data_dir)
    chosen = ("--configfile", str(repository / config))
    _run(_command(repository, tmp_path / "laptop", *chosen, slurm=False))
    text = _run(_command(repository, tmp_path / "slurm", *chosen, slurm=True))
    assert "SLURM jobid" in text
    laptop, slurm = _checksums(tmp_path / "laptop"), _checksums(tmp_path / "slurm")
    assert laptop == slurm
    assert any(name.endswith("report.html") for name in slurm)


def test_a_job_out_of_memory_is_retried_with_more(tmp_path):
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(
        "rule hungry:\n"
        "    output: 'done.txt'\n"
        "    retries: 2\n"
        "    resources: mem_mb=lambda wildcards, attempt: 150 * 4 ** (attempt - 1), runtime=5\n"
        "    shell:\n"
        "        '''python -c \"import time; x = bytearray(400_000_000);'''\n"
        "        ''' time.sleep(15)\" && echo {resources.mem_mb} > {output}'''\n"
    )
    command = [sys.executable, "-m", "snakemake", "--executor", "slurm", "--jobs", "1"]
    command += ["--directory", str(tmp_path), "--snakefile", str(snakefile), "--latency-wait", "10"]
    command += ["--slurm-no-account", "--slurm-status-command", "squeue"]
    command += ["--slurm-init-seconds-before-status-checks", "5"]
    text = _run(command)
    assert int((tmp_path / "done.txt").read_text()) > 400
    assert re.search(r"(?i)error|failed|retry|restart", text)


def test_a_lost_node_leaves_a_run_that_resumes(repository, tmp_path):
    run = subprocess.Popen(
        _command(repository, tmp_path, slurm=True), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "results").rglob("*.h5ad")) and time.monotonic() < deadline:
        time.sleep(0.5)
    node = subprocess.run(
        ["sinfo", "-h", "-N", "-o", "%N"], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    down = ["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test"]
    subprocess.run(down, check=True)
    time.sleep(5)
    up = ["scontrol", "update", f"NodeName={node}", "State=RESUME"]
    subprocess.run(up, check=True)
    run.communicate(timeout=600)
    _run(_command(repository, tmp_path, slurm=True))
    assert (tmp_path / "results/report.html").is_file()
