"""Time and peak memory of the single-cell steps on a generated file.

    python tests/benchmarks/cells_scale.py make /tmp/cells.h5ad --cells 200000 --genes 20000
    python tests/benchmarks/cells_scale.py run  /tmp/cells.h5ad --step profile

Each step runs in a process of its own, so that the peak resident memory is that step's. Counts are
drawn from a log-normal profile over genes, 5,000 transcripts per cell on average.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from cytostrat import cells, signatures

REPOSITORY = Path(__file__).resolve().parents[2]
TYPES = ("epithelial tumour", "myeloid", "T", "B", "fibroblast", "endothelial")


def make(path: str, n_cells: int, n_genes: int, per_cell: int) -> None:
    """Write the file block by block."""
    rng = np.random.default_rng(0)
    known = signatures.read_signatures(REPOSITORY / "resources/signatures/signatures.tsv")
    markers = cells.read_markers(REPOSITORY / "resources/lineage_markers.tsv")
    named = dict.fromkeys(gene for one in known.values() for gene in one.genes)
    named |= dict.fromkeys(gene for listed in markers.values() for gene in listed)
    approved = pd.read_csv(REPOSITORY / "resources/gene_ids.tsv.gz", sep="\t", usecols=["symbol"])
    genes = list(dict.fromkeys([*named, *approved["symbol"]]))[:n_genes]
    rate = rng.lognormal(0, 2, n_genes)
    table = np.searchsorted(np.cumsum(rate) / rate.sum(), np.linspace(0, 1 - 1e-9, 1 << 20)).astype(
        "i4"
    )

    def drawn() -> Iterator[sparse.csr_matrix]:
        for start in range(0, n_cells, 4000):
            n = min(4000, n_cells - start)
            umis = np.maximum(rng.lognormal(np.log(per_cell) - 0.3, 0.77, n), 300).astype(int)
            rows = np.repeat(np.arange(n), umis)
            columns = table[rng.integers(0, 1 << 20, umis.sum())]
            values = np.ones(len(rows), dtype=np.float32)
            block = sparse.csr_matrix((values, (rows, columns)), shape=(n, n_genes))
            block.sum_duplicates()
            yield block

    patient = [f"P{i * 20 // n_cells:02d}" for i in range(n_cells)]
    obs = pd.DataFrame(
        {"patient": patient, "batch": patient, "cell_type": rng.choice(TYPES, n_cells)},
        index=[f"cell{i}" for i in range(n_cells)],
    )
    cells.write_cells(path, drawn(), obs, genes, {"cohort": "generated", "simulated": True})


def read(path: str) -> int:
    """Read all counts and do nothing with them: the part that every pass pays."""
    with cells.open_cells(path) as file:
        return sum(block.nnz for _, block in cells.storage.blocks(file.counts))


def metrics(path: str) -> int:
    """Per-cell sums for quality control."""
    with cells.open_cells(path) as file:
        return len(cells.cell_metrics(file.counts, file.genes))


def doublets(path: str) -> int:
    """Quality control with scrublet on the first sample only."""
    with cells.open_cells(path) as file:
        n = int((file.obs["batch"] == file.obs["batch"].iloc[0]).sum())
        checked = cells.check_cells(file.counts[:n], file.genes, file.obs["batch"].astype(str)[:n])
        return len(checked.cells)


def profile(path: str) -> int:
    """Score every shipped signature and the lineage markers in every cell with UCell."""
    known = signatures.read_signatures(REPOSITORY / "resources/signatures/signatures.tsv")
    markers = cells.read_markers(REPOSITORY / "resources/lineage_markers.tsv")
    with cells.open_cells(path) as file:
        found = cells.profile_cells(file.counts, file.genes, known, markers=markers, threads=2)
        labels = cells.marker_labels(found.markers, file.obs["batch"].astype(str))
        sources = cells.describe_sources(
            found.features,
            found.scores["ucell"],
            found.depth["counts"],
            file.obs["patient"].astype(str),
            file.obs["cell_type"].astype(str),
            cohort="generated",
        )
        cells.source_effects(sources, cohort="generated")
        return len(labels)


def bulk(path: str) -> int:
    """Pseudobulk of every patient and cell type."""
    with cells.open_cells(path) as file:
        summed = cells.pseudobulk(
            file.counts,
            file.genes,
            file.obs["patient"].astype(str),
            file.obs["cell_type"].astype(str),
        )
        return int(summed.groups["n_cells"].sum())


STEPS: dict[str, Callable[[str], int]] = {
    "read": read, "metrics": metrics, "doublets": doublets, "profile": profile, "pseudobulk": bulk,
}  # fmt: skip


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("make", "run"))
    parser.add_argument("path")
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--per-cell", type=int, default=5000)
    parser.add_argument("--step", choices=STEPS, default="profile")
    options = parser.parse_args()
    begun = time.perf_counter()
    if options.command == "make":
        make(options.path, options.cells, options.genes, options.per_cell)
        n, step = options.cells, "make"
    else:
        n, step = STEPS[options.step](options.path), options.step
    used = resource.getrusage(resource.RUSAGE_SELF)
    result = {
        "step": step, "n": n, "seconds": round(time.perf_counter() - begun, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_gb": round(used.ru_maxrss / 1024**2, 2),
    }  # fmt: skip
    print(json.dumps(result))  # noqa: T201


if __name__ == "__main__":
    main()
