"""Time the scoring kernel against its peers and against the least work there is.

Call: python tests/benchmarks/bench.py [--peers PYTHON] [--threads 2] [--repeats 5] [--only JOB]

Every row is one tool on one piece of work in a process of its own, on the same machine and with
the same threads: median seconds of the scoring call over the repeats (see the column ``runs``; the
first call of a peer starts its helpers and compiles, which the median leaves out), processor
seconds of that call (all threads; helper processes are not counted; more than threads times
seconds never, much less where the machine was busy), seconds of the whole process (start, imports,
reading, scoring: one call of ours, all calls of a peer), peak memory of the process, and the
largest difference between its scores and ours.

The floor is what a plain program can't leave undone: each value is ranked once (8 ns on one
thread: a radix sort of 20,000 float32 in three passes takes 0.16 ms) and each gene of each set is
looked up once per sample (1 ns). GSVA's floor ranks every value twice, by gene and by sample. In
brackets stand processor seconds over those of the floor, which do not depend on what else the
machine does.

GSEApy on 2,000 sets holds more than 20 GB, so it gets every tenth sample and its time is multiplied
by ten (it is proportional to samples), and it runs once; ``--whole`` gives it all samples.

pyUCell and decoupler come from the dependency group ``bench``; ``--peers`` names another
interpreter that has them. R GSVA runs where ``Rscript`` has it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "workflow"
RANK_NS, LOOK_NS = 8.0, 1.0

# work: samples, genes, sets, share of values that are not zero, method
WORK = {
    "ssgsea-50": (1100, 20000, 50, 1.0, "ssgsea"),
    "ssgsea-2000": (1100, 20000, 2000, 1.0, "ssgsea"),
    "null-1000": (1100, 20000, 1, 1.0, "ssgsea"),
    "gsva-50": (500, 20000, 50, 1.0, "gsva"),
    "ucell-40": (10000, 20000, 40, 0.1, "ucell"),
    "aucell-40": (10000, 20000, 40, 0.1, "aucell"),
}
PEERS = {
    "ssgsea-50": ("gseapy", "r-gsva"),
    "ssgsea-2000": ("gseapy",),
    "null-1000": (),
    "gsva-50": ("gseapy", "r-gsva"),
    "ucell-40": ("pyucell",),
    "aucell-40": ("decoupler",),
}
TARGET = {  # peer's time over ours, and the largest difference
    ("ssgsea-50", "gseapy"): (60, 1e-9),
    ("ssgsea-50", "r-gsva"): (60, 1e-9),
    ("ssgsea-2000", "gseapy"): (200, 1e-9),
    ("gsva-50", "gseapy"): (10, 1e-4),
    ("gsva-50", "r-gsva"): (10, 1e-4),
    ("ucell-40", "pyucell"): (20, 1e-6),
    ("aucell-40", "decoupler"): (10, 1e-6),
}
TENTH = {("ssgsea-2000", "gseapy")}
CELLS = (50_000, 200_000)
CELL_FILL = 0.05


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def make_sets(n_genes: int, n_sets: int) -> dict[str, list[str]]:
    rng = np.random.default_rng(7)
    return {
        f"set{i}": [f"G{j}" for j in rng.choice(n_genes, rng.integers(15, 201), replace=False)]
        for i in range(n_sets)
    }


def write_input(name: str, folder: Path) -> None:
    """Write the matrix: no two values of a sample are equal, so that tools can agree."""
    samples, genes, n_sets, fill, _ = WORK[name]
    rng = np.random.default_rng(11)
    if fill == 1.0:
        level = rng.normal(0, 1e-3, size=genes)
        grid = np.linspace(-4, 4, genes)
        matrix = np.empty((samples, genes), dtype=np.float32)
        for row in matrix:
            row[np.argsort(level + rng.normal(size=genes))] = grid
        np.save(folder / "matrix.npy", matrix)
        matrix.astype(np.float64).tofile(folder / "matrix.bin")
    else:
        stored = int(fill * genes)
        indices = np.empty((samples, stored), dtype=np.int32)
        data = np.empty((samples, stored), dtype=np.float32)
        for i in range(samples):
            indices[i] = np.sort(rng.choice(genes, stored, replace=False))
            data[i] = np.log1p(1 + rng.permutation(stored))
        np.save(folder / "indices.npy", indices.ravel())
        np.save(folder / "data.npy", data.ravel())
    sets = make_sets(genes, n_sets)
    lines = [f"{name}\t{gene}" for name, members in sets.items() for gene in members]
    (folder / "sets.tsv").write_text("\n".join(lines) + "\n")
    (folder / "shape.txt").write_text(f"{genes} {samples}\n")


def read_input(name: str, folder: Path):
    from scipy import sparse

    samples, genes, n_sets, fill, _ = WORK[name]
    if fill == 1.0:
        matrix = np.load(folder / "matrix.npy")
    else:
        indices, data = np.load(folder / "indices.npy"), np.load(folder / "data.npy")
        indptr = np.arange(samples + 1, dtype=np.int64) * int(fill * genes)
        matrix = sparse.csr_matrix((data, indices, indptr), shape=(samples, genes))
    return matrix, [f"G{i}" for i in range(genes)], make_sets(genes, n_sets)


def ours(name: str, folder: Path, threads: int):
    sys.path.insert(0, str(PACKAGE))
    from cytostrat.scoring import matched_sets, mean_expression, score, score_random

    method = WORK[name][4]
    matrix, genes, sets = read_input(name, folder)
    pairs = {key: (members, []) for key, members in sets.items()}

    def run():
        if name == "null-1000":
            drawn = matched_sets(mean_expression(matrix), genes, pairs, n=1000, seed=1)["set0"]
            return score_random(matrix, drawn, method=method, threads=threads)
        return score(matrix, genes, pairs, method=method, threads=threads).to_numpy()

    return run


def peer(tool: str, name: str, folder: Path, threads: int, tenth: bool):
    import pandas as pd

    method = WORK[name][4]
    matrix, genes, sets = read_input(name, folder)
    if tenth:
        matrix = matrix[::10]
    if tool == "gseapy":
        import gseapy

        frame = pd.DataFrame(matrix.T.astype(np.float64), index=genes)
        common = {
            "data": frame, "gene_sets": sets, "min_size": 1, "max_size": 1000, "outdir": None,
            "threads": threads,
        }  # fmt: skip

        def run():
            if method == "gsva":
                found = gseapy.gsva(kcdf="Gaussian", **common).res2d
            else:
                found = gseapy.ssgsea(sample_norm_method="rank", no_plot=True, **common).res2d
            wide = found.astype({"ES": float}).pivot(index="Name", columns="Term", values="ES")
            return wide.loc[frame.columns, list(sets)].to_numpy()

        return run
    import anndata as ad

    cells = ad.AnnData(matrix, var=pd.DataFrame(index=genes))
    if tool == "pyucell":
        import pyucell

        def run():
            pyucell.compute_ucell_scores(cells, sets, ties_method="average", n_jobs=threads)
            return cells.obs[[f"{key}_UCell" for key in sets]].to_numpy()

        return run
    import decoupler

    net = pd.DataFrame(
        [(key, gene, 1.0) for key, members in sets.items() for gene in members],
        columns=["source", "target", "weight"],
    )
    decoupler.mt.aucell(cells[:20].copy(), net, tmin=1)  # compile outside the time

    def run():
        decoupler.mt.aucell(cells, net, tmin=1)
        return cells.obsm["score_aucell"][list(sets)].to_numpy()

    return run


def child(
    tool: str, name: str, folder: Path, threads: int, repeats: int, tenth: bool = False
) -> None:
    """Run one tool and print its seconds as JSON."""
    own = tool == "cytostrat"
    run = ours(name, folder, threads) if own else peer(tool, name, folder, threads, tenth)
    seconds, busy = [], []
    for _ in range(repeats):
        started, cpu = time.perf_counter(), time.process_time()
        scores = run()
        seconds.append(time.perf_counter() - started)
        busy.append(time.process_time() - cpu)
    np.save(folder / f"{tool}.npy", scores)
    say(json.dumps({"seconds": seconds, "cpu": busy}))


def finish(command: list[str], threads: int) -> tuple[str | None, float, float, str]:
    """Run a process to its end; return output, seconds, peak memory in bytes, last error line."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = os.environ | limits | {"NUMBA_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        output.seek(0)
        errors.seek(0)
        last = (errors.read().strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        text = output.read().strip() if process.returncode == 0 else None
    return text, seconds, usage.ru_maxrss * 1024, last[:60]


def spawn(python: str, arguments: list[str], threads: int) -> tuple[dict | None, float, str]:
    """Run this program as a child; return what it printed, the process's seconds, its error."""
    text, process, peak, last = finish(
        [python, str(HERE / "bench.py"), "--child", *arguments], threads
    )
    if text is None:
        return None, process, last
    return json.loads(text.splitlines()[-1]) | {"peak": peak}, process, ""


def run_r(name: str, folder: Path, threads: int, repeats: int) -> tuple[dict | None, float, str]:
    """Run R GSVA, as `spawn` does."""
    if not shutil.which("Rscript"):
        return None, 0.0, "Rscript is not installed"
    text, process, peak, last = finish(
        ["Rscript", str(HERE / "gsva.R"), str(folder), WORK[name][4], str(threads), str(repeats)],
        threads,
    )
    if text is None:
        return None, process, last
    samples, _, n_sets, _, _ = WORK[name]
    np.save(folder / "r-gsva.npy", np.fromfile(folder / "scores.bin").reshape(samples, n_sets))
    return {"seconds": [float(value) for value in text.split()], "peak": peak}, process, ""


def floor(name: str, threads: int) -> float:
    samples, genes, n_sets, fill, method = WORK[name]
    members = sum(len(members) for members in make_sets(genes, n_sets).values())
    if name == "null-1000":
        members *= 1000
    ranked = samples * genes * fill * (2 if method == "gsva" else 1)
    return (ranked * RANK_NS + samples * members * LOOK_NS) * 1e-9 / threads


def over(found: dict, least: float, threads: int) -> str:
    """Return seconds over the floor, and in brackets processor seconds over those of the floor."""
    cpu = statistics.median(found["cpu"]) / (least * threads)
    return f"{statistics.median(found['seconds']) / least:.1f} ({cpu:.1f})"


HEADER = (
    f"{'work':<12} {'tool':<10} {'runs':>4} {'seconds':>9} {'cpu':>7} {'process':>8} "
    f"{'peak MB':>8} {'over floor':>10} {'over ours':>9} {'target':>7} {'largest difference':>20}"
)


def row(work, tool, found, process, over_floor="", ratio="", target="", difference="") -> None:
    seconds = statistics.median(found["seconds"])
    cpu = f"{statistics.median(found['cpu']):.2f}" if "cpu" in found else ""
    say(
        f"{work:<12} {tool:<10} {len(found['seconds']):>4} {seconds:>9.3f} {cpu:>7} "
        f"{process:>8.1f} {found['peak'] / 1e6:>8.0f} {over_floor:>10} {ratio:>9} "
        f"{target:>7} {difference:>20}"
    )


def bench(name: str, folder: Path, options: argparse.Namespace) -> float:
    """Print the rows of one piece of work and return our median seconds."""
    write_input(name, folder)
    threads = options.threads
    arguments = [name, str(folder), str(threads)]
    spawn(sys.executable, ["cytostrat", *arguments, "1"], threads)  # fill the compiler's cache
    _, process, _ = spawn(sys.executable, ["cytostrat", *arguments, "1"], threads)
    found, _, failure = spawn(
        sys.executable, ["cytostrat", *arguments, str(options.repeats)], threads
    )
    if found is None:
        raise SystemExit(f"{name}: {failure}")
    ours_seconds = statistics.median(found["seconds"])
    row(name, "cytostrat", found, process, over(found, floor(name, threads), threads))
    scores = np.load(folder / "cytostrat.npy")
    spread = np.ptp(scores, axis=0) if WORK[name][4] == "ssgsea" else 1.0
    for tool in PEERS[name]:
        tenth = False
        if tool == "r-gsva":
            found, process, failure = run_r(name, folder, threads, options.peer_repeats)
        else:
            python = sys.executable if tool == "gseapy" else options.peers
            runs = "1" if name == "ssgsea-2000" else str(options.peer_repeats)
            tenth = (name, tool) in TENTH and not options.whole
            extra = ["tenth"] if tenth else []
            found, process, failure = spawn(python, [tool, *arguments, runs, *extra], threads)
        if found is None:
            say(f"{name:<12} {tool:<10} not run: {failure}")
            continue
        theirs = np.load(folder / f"{tool}.npy")
        if tenth:
            for key in ("seconds", "cpu"):
                found[key] = [10 * value for value in found[key]]
        ratio = statistics.median(found["seconds"]) / ours_seconds
        wanted, tolerance = TARGET[name, tool]
        difference = (np.abs(theirs - scores[:: 10 if tenth else 1]) / spread).max()
        verdict = "ok" if difference <= tolerance else "TOO LARGE"
        row(
            name, f"{tool}*" if tenth else tool, found, process, "", f"{ratio:.1f}", f">= {wanted}",
            f"{difference:.1e} {verdict}",
        )  # fmt: skip
    return ours_seconds


def write_cells(path: Path, n_cells: int) -> None:
    import h5py

    rng = np.random.default_rng(3)
    genes, stored = 20000, int(CELL_FILL * 20000)
    pool = [np.sort(rng.choice(genes, stored, replace=False)).astype(np.int32) for _ in range(200)]
    with h5py.File(path, "w") as file:
        for key, names in (("obs", n_cells), ("var", genes)):
            group = file.create_group(key)
            group.attrs["_index"] = "_index"
            prefix = "G" if key == "var" else "C"
            group["_index"] = np.array([f"{prefix}{i}" for i in range(names)], dtype="S10")
        x = file.create_group("X")
        x.attrs["encoding-type"] = "csr_matrix"
        x.attrs["shape"] = (n_cells, genes)
        x["indptr"] = np.arange(n_cells + 1, dtype=np.int64) * stored
        size = n_cells * stored
        for key, dtype in (("data", np.float32), ("indices", np.int32)):
            x.create_dataset(key, shape=size, dtype=dtype, chunks=(1 << 18,))
        for start in range(0, n_cells, 2000):
            count = min(2000, n_cells - start)
            span = slice(start * stored, (start + count) * stored)
            picks = rng.integers(0, len(pool), count)
            x["indices"][span] = np.concatenate([pool[pick] for pick in picks])
            x["data"][span] = np.log1p(rng.geometric(0.4, count * stored)).astype(np.float32)


def child_cells(path: str, threads: int) -> None:
    """Read a backed file alone, then read and score it."""
    sys.path.insert(0, str(PACKAGE))
    from cytostrat.scoring import score_chunks
    from cytostrat.scoring.chunks import read_chunks

    sets = {key: (members, []) for key, members in make_sets(20000, 40).items()}
    next(score_chunks(path, sets, method="ucell", threads=threads, rows=64))
    started = time.perf_counter()
    for _ in read_chunks(path):
        pass
    reading = time.perf_counter() - started
    started, cpu = time.perf_counter(), time.process_time()
    for _ in score_chunks(path, sets, method="ucell", threads=threads):
        pass
    whole, busy = time.perf_counter() - started, time.process_time() - cpu
    say(json.dumps({"seconds": [whole], "cpu": [busy], "reading": reading}))


def bench_cells(folder: Path, options: argparse.Namespace) -> None:
    for n_cells in CELLS:
        path = folder / "cells.h5ad"
        write_cells(path, n_cells)
        found, process, failure = spawn(
            sys.executable, ["cells", str(path), str(options.threads)], options.threads
        )
        path.unlink()
        if found is None:
            raise SystemExit(f"cells: {failure}")
        found["seconds"] = [found["seconds"][0] - found["reading"]]
        ranked = n_cells * 20000 * CELL_FILL
        members = sum(len(members) for members in make_sets(20000, 40).values())
        least = (ranked * RANK_NS + n_cells * members * LOOK_NS) * 1e-9 / options.threads
        row(f"{n_cells} cells", "cytostrat", found, process, over(found, least, options.threads))
        say(f"{'':<12} of these, reading alone takes another {found['reading']:.2f} s")


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        tool, *rest = sys.argv[2:]
        if tool == "cells":
            child_cells(rest[0], int(rest[1]))
        else:
            child(tool, rest[0], Path(rest[1]), int(rest[2]), int(rest[3]), "tenth" in rest)
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="runs of ours")
    parser.add_argument("--peer-repeats", type=int, default=3, help="runs of the peers")
    parser.add_argument("--whole", action="store_true", help="no tenth for GSEApy: 20 GB")
    parser.add_argument("--only", choices=[*WORK, "cells"], action="append")
    options = parser.parse_args()
    say(f"{options.threads} threads of {os.cpu_count()}, load {os.getloadavg()[0]:.1f}")
    say(HEADER)
    chosen = options.only or [*WORK, "cells"]
    medians = {}
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            if name == "cells":
                bench_cells(Path(folder), options)
            else:
                medians[name] = bench(name, Path(folder), options)
    say("* every tenth sample, time multiplied by ten, memory as measured")
    if {"null-1000", "ssgsea-50"} <= set(medians):
        ratio = medians["null-1000"] / medians["ssgsea-50"]
        say(f"1,000 matched random sets take {ratio:.2f} times the 50 sets (target below 2)")


if __name__ == "__main__":
    main()
