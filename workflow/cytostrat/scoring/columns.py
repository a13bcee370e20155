"""Expression gene by gene, for the methods that look at a gene over all samples."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from scipy import sparse

from cytostrat.errors import ScoringError
from cytostrat.scoring.ranking import Ranked

GENES = 128  # genes taken at a time

SMALLEST_SD = 1e-10  # a gene that varies less is constant, as in GSVA


def for_genes(
    matrix: Any,
    columns: np.ndarray,
    work: Callable[[np.ndarray, int, int], None],
    *,
    method: str,
    threads: int,
) -> None:
    """Call ``work(values, start, stop)`` with ``values`` = genes x samples of some columns.

    Values are float64 and C-ordered; ``columns[start:stop]`` are the genes.

    Raises
    ------
    ScoringError
        The matrix is ranked already, has fewer than two samples, or holds an infinite value.
    """
    if isinstance(matrix, Ranked):
        raise ScoringError(f"{method} needs the expression values, not their ranks.")
    if matrix.shape[0] < 2:
        raise ScoringError(
            f"{method} compares each gene over the samples and needs two or more of them, not "
            f"{matrix.shape[0]}; use ssgsea or singscore for single samples."
        )
    if threads < 1:
        raise ScoringError(f"threads is {threads}; give the number of threads, 1 or more.")
    by_column = matrix.tocsc() if sparse.issparse(matrix) else matrix

    def one(start: int) -> None:
        stop = min(start + GENES, len(columns))
        block = by_column[:, columns[start:stop]]
        block = block.toarray() if sparse.issparse(block) else np.asarray(block)
        values = np.ascontiguousarray(block.T, dtype=np.float64)
        infinite = np.isinf(values).any(axis=0)
        if infinite.any():
            raise ScoringError(
                f"Sample number {int(np.argmax(infinite))} (counted from 0) of the matrix holds "
                "an infinite value; replace it by NaN where the gene was not measured."
            )
        work(values, start, stop)

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, range(0, len(columns), GENES)):
            pass


def moments(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return number, mean and standard deviation of each gene's sorted values.

    Sums run over the sorted values, so the order of samples changes no digit of them.

    Parameters
    ----------
    ordered
        Genes x samples, ascending; NaN is left out.

    Returns
    -------
    tuple
        Number measured, mean, standard deviation (n - 1); the last two are NaN where fewer than
        one or two are measured.
    """
    measured = ~np.isnan(ordered)
    n = measured.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(measured, ordered, 0.0).sum(axis=1) / n
        deviation = np.where(measured, ordered - mean[:, None], 0.0)
        sd = np.sqrt((deviation**2).sum(axis=1) / (n - 1))
    return n, mean, sd
