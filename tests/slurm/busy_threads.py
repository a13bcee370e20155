"""Work with BLAS, numba and the scorer inside an allocation; count threads that want a core."""
# ruff: noqa: F821 - snakemake is put there by the workflow engine, and says where to import

import json
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, snakemake.params.package)

import numba
import numpy as np

from cytostrat import scoring

wanted = {"blas": [], "numba": [], "scorer": []}
now = ""


def watch():
    """Note every few milliseconds how many threads run or wait for a core, but for this one."""
    own = str(threading.get_native_id())
    while now is not None:
        if now:
            states = []
            for task in Path("/proc/self/task").iterdir():
                try:
                    text = task.joinpath("stat").read_text()
                except OSError:
                    continue
                states.append((task.name, text.rsplit(")", 1)[1].split()[0]))
            wanted[now].append(sum(state == "R" and name != own for name, state in states))
        time.sleep(0.003)


@numba.njit(parallel=True, cache=False)
def added(values):
    total = 0.0
    for i in numba.prange(values.shape[0]):
        total += np.sqrt(values[i])
    return total


rng = np.random.default_rng(1)
matrix = rng.normal(size=(900, 8000)).astype(np.float32)
genes = [f"G{number}" for number in range(8000)]
sets = {f"S{n}": (tuple(rng.choice(genes, 50, replace=False)), ()) for n in range(20)}
square = rng.normal(size=(1500, 1500))
many = rng.random(20_000_000)
added(many[:10])
scoring.score(matrix[:5], genes, sets, method="ssgsea", threads=snakemake.threads)

watcher = threading.Thread(target=watch)
watcher.start()
for _ in range(4):
    now = "blas"
    square @ square
    now = "numba"
    added(many)
    now = "scorer"
    scoring.score(matrix, genes, sets, method="ssgsea", threads=snakemake.threads)
    now = ""
now = None
watcher.join()
Path(snakemake.output[0]).write_text(
    json.dumps(
        {
            "allocated": len(os.sched_getaffinity(0)),
            "threads": snakemake.threads,
            "samples": {name: len(counts) for name, counts in wanted.items()},
            "at_once": {name: float(np.quantile(counts, 0.9)) for name, counts in wanted.items()},
        }
    )
)
