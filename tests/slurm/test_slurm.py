"""The same run on SLURM: ``make test-slurm`` (root, Debian; brings up a one-node cluster).

The runs on SLURM are compared with runs of the laptop profile. CYTOSTRAT_LAPTOP names a
directory where ``make`` and ``make real`` have been run, to compare with those; without it they
are run here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cytostrat.provenance import sha256

HERE = Path(__file__).parent
CLUSTER = HERE / "cluster.sh"
SMALL = "tests/kill/config.yaml"
# the demo, and the real tumours; where each puts its results
RUNS = {"config/config.yaml": "results", "tests/workflow/real/config.yaml": "results/real"}
# Each run on SLURM is in another place of the world than the one on the laptop.
PLACES = [
    {"LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"},
    {"LC_ALL": "tr_TR.UTF-8", "TZ": "America/Los_Angeles", "PYTHONHASHSEED": "99"},
]
# What a run says of itself, and the results of the real tumours beside those of the demo.
APART = frozenset({"logs", "benchmarks", "real"})
# One node of two cores, no accounting database, and no patience for either. A submission takes
# one core, so that two cohorts run side by side, where the laptop gives the scorer two.
SITE = [
    "--slurm-no-account", "--slurm-status-command", "squeue", "--jobs", "20", "--cores", "1",
    "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    try:
        subprocess.run([str(CLUSTER), "up"], check=True)
        yield
    finally:
        subprocess.run([str(CLUSTER), "down"], check=True)
        # a lost node loses track of its jobs, which would wait for their cluster for ever
        base = str(tmp_path_factory.getbasetemp())
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "snakemake" in words and any(word.startswith(base) for word in words):
                process.kill()


@pytest.fixture(scope="module")
def locales(tmp_path_factory) -> Path:
    """A folder with the locales of `PLACES`, where LOCPATH names it."""
    folder = tmp_path_factory.mktemp("locales")
    for place in PLACES:
        name = place["LC_ALL"]
        source = name.removesuffix(".UTF-8")
        command = ["localedef", "-i", source, "-f", "UTF-8", str(folder / name)]
        subprocess.run(command, check=True)
        code = "import locale; print(locale.setlocale(locale.LC_ALL, ''), locale.localeconv())"
        found = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "LC_ALL": name, "LOCPATH": str(folder)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert found.startswith(name), found
        assert "'decimal_point': ','" in found
    return folder


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


def _checksums(results: Path) -> dict[str, str]:
    """Return the sha256 of every result: report.html, and whatever lies in a folder."""
    files = {file.relative_to(results): file for file in results.rglob("*") if file.is_file()}
    return {
        name.as_posix(): sha256(file)
        for name, file in sorted(files.items())
        if (len(name.parts) > 1 or name.name == "report.html") and not APART & set(name.parts)
    }


def test_slurm_and_laptop_give_the_same_bytes(
    repository, data_dir, tmp_path, monkeypatch, capsys, locales
):
    monkeypatch.setenv("CYTOSTRAT_DATA", str(data_dir))
    on_slurm = []
    for number, config in enumerate(RUNS):
        chosen = ("--configfile", str(repository / config))
        with open(tmp_path / f"slurm{number}.txt", "w") as printed:
            run = subprocess.Popen(
                _command(repository, tmp_path / f"slurm{number}", *chosen, slurm=True),
                stdout=printed,
                stderr=subprocess.STDOUT,
                env={**os.environ, **PLACES[number], "LOCPATH": str(locales)},
            )
        on_slurm.append(run)
    try:
        codes = [run.wait() for run in on_slurm]
    finally:
        for run in on_slurm:
            run.kill()
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=False
    )
    for number, (config, place) in enumerate(RUNS.items()):
        text = (tmp_path / f"slurm{number}.txt").read_text()
        assert codes[number] == 0, text[-6000:]
        laptop = Path(os.environ.get("CYTOSTRAT_LAPTOP") or tmp_path / "laptop")
        if "CYTOSTRAT_LAPTOP" not in os.environ:
            chosen = ("--configfile", str(repository / config))
            _run(_command(repository, laptop, *chosen, slurm=False))
        expected = _checksums(laptop / place)
        assert {"report.html", "tables/effects.tsv"} <= expected.keys()
        results = tmp_path / f"slurm{number}" / place
        assert _checksums(results) == expected
        record = json.loads((results / "provenance.json").read_text())
        assert head.stdout.strip() in record["software"]["commit"]
        cohorts = record["cohorts"].values()
        simulated = sum(cohort["simulated"] for cohort in cohorts)
        cells = sum(cohort["kind"] == "single_cell" for cohort in cohorts)
        steps = (repository / "workflow/rules/cells.smk").read_text().count("\nrule cells_")
        # the gene sets, one job per cohort (and one that makes it up), each step of single cells,
        # two for the common tables
        most = 1 + len(cohorts) + simulated + steps * cells + 2
        submitted = len(re.findall(r"has been submitted with SLURM jobid", text))
        assert 0 < submitted <= most, text[-3000:]
        with capsys.disabled():
            sys.stdout.write(f"\n{config}: {len(expected)} files alike, {submitted} submissions\n")


def test_a_job_out_of_memory_is_retried_with_more(tmp_path):
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(
        "rule hungry:\n"
        "    output: 'done.txt'\n"
        "    retries: 2\n"
        "    resources: mem_mb=lambda wildcards, attempt: 150 * 4 ** (attempt - 1), runtime=5\n"
        "    shell:\n"
        "        '''python3 -c \"import time; x = bytearray(b'1') * 400_000_000;'''\n"
        "        ''' time.sleep(6)\" && echo {resources.mem_mb} > {output}'''\n"
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
    chosen = ("--configfile", str(repository / SMALL), "--until", "score")
    # SLURM itself would put the job back into its queue, to begin two minutes later
    alone = (*chosen, "--slurm-no-requeue", "--retries", "0")
    run = subprocess.Popen(
        _command(repository, tmp_path, *alone, slurm=True),
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
    assert run.returncode == 1, text[-3000:]
    assert "node failure" in text.lower(), text[-3000:]
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
    command += ["--cores", str(cores)]
    _run(command)
    found = json.loads((tmp_path / "threads.json").read_text())
    assert found["allocated"] == cores
    # threads that ran or waited for a core, in nine of ten looks
    assert set(found["at_once"]) == {"blas", "numba", "scorer"}
    if cores == 1:
        assert max(found["at_once"].values()) == 1, found
    else:  # so that the watch is known to see a second one
        assert min(found["at_once"].values()) >= 2, found
