"""Rank the genes of each sample; the sorting is in `radix`.

Ranks ascend (the lowest value has rank 1) and are stored doubled, as integers: average ranks of
tied genes end in .5 at most, so ``2 * rank`` is exact. A doubled rank of 0 marks a gene that was
not measured in that sample (NaN); it is left out, and the sample's number of ranked genes says so.

Beside its average rank a gene can be given the spread of its tie (highest minus lowest rank that
the tied genes share), from which every other tie rule follows: the lowest rank, doubled, is
``ranks - spread``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from cytostrat.errors import ScoringError
from cytostrat.scoring.radix import (
    FINITE,
    UNSORTED,
    rank_csr_32,
    rank_csr_64,
    rank_dense_32,
    rank_dense_64,
)

ROWS = 32  # samples ranked at a time: their ranks stay in the processor's cache


@dataclass(frozen=True)
class Ranked:
    """A matrix whose genes are ranked; takes the place of the matrix in rank-based scorers.

    Parameters
    ----------
    ranks
        int32, samples x genes: twice the average rank, 0 where the gene is NaN.
    spread
        int32, samples x genes: highest minus lowest rank of the gene's tie; no rows or columns
        where it was not asked for.
    counts
        int64, samples: number of genes ranked.
    """

    ranks: np.ndarray
    spread: np.ndarray
    counts: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and genes."""
        return self.ranks.shape

    @property
    def tied(self) -> bool:
        """Whether the spreads of ties were found."""
        return self.spread.shape == self.ranks.shape

    def rows(self, start: int, stop: int) -> Ranked:
        """Return some of the samples."""
        spread = self.spread[start:stop] if self.tied else self.spread
        return Ranked(self.ranks[start:stop], spread, self.counts[start:stop])

    def genes(self, columns: np.ndarray | None) -> Ranked:
        """Return the ranks of some of the genes among all genes; of all if not given."""
        if columns is None:
            return self
        spread = np.take(self.spread, columns, axis=1) if self.tied else self.spread
        return Ranked(np.take(self.ranks, columns, axis=1), spread, self.counts)


class _Source:
    """A matrix whose rows can be ranked into given arrays, all genes or the given columns."""

    def __init__(self, matrix: Any, columns: np.ndarray | None = None) -> None:
        n_genes = matrix.shape[1]
        self.sparse = sparse.issparse(matrix)
        if self.sparse:
            matrix = matrix.tocsr()
            if matrix.dtype not in (np.float32, np.float64):
                matrix = matrix.astype(np.float64)
            self.indptr = matrix.indptr.astype(np.int64, copy=False)
            self.indices = matrix.indices.astype(np.int32, copy=False)
            self.place = np.arange(n_genes, dtype=np.int32)
            if columns is not None:
                others = np.setdiff1d(self.place, columns, assume_unique=True)
                self.place[np.concatenate([columns, others])] = np.arange(n_genes, dtype=np.int32)
        self.matrix = matrix
        self.columns = columns
        self.width = n_genes if columns is None or not self.sparse else len(columns)

    def rank(self, start: int, stop: int, into: Ranked) -> Ranked:
        """Rank some rows, the work being done in arrays of `width` columns.

        Raises
        ------
        ScoringError
            A value is infinite; its row is counted from the first of the matrix.
        """
        status = self._run(start, stop, into)
        if status != FINITE:
            raise ScoringError(
                f"Sample number {start + status} (counted from 0) of the matrix holds an infinite "
                "value; replace it by NaN where the gene was not measured."
            )
        return into if self.sparse else into.genes(self.columns)

    def _run(self, start: int, stop: int, into: Ranked) -> int:
        """Return FINITE, or which of the rows, counted from `start`, holds an infinite value."""
        arrays = (into.ranks, into.spread, into.counts)
        if not self.sparse:
            block = np.asarray(self.matrix[start:stop])
            if block.dtype not in (np.float32, np.float64):
                block = block.astype(np.float64)
            if block.dtype == np.float32:
                return rank_dense_32(np.ascontiguousarray(block).view(np.uint32), *arrays)
            return rank_dense_64(np.ascontiguousarray(block).view(np.uint64), *arrays)
        rows = (self.indptr, self.indices)
        if self.matrix.dtype == np.float32:
            bits = self.matrix.data.view(np.uint32)
            status = rank_csr_32(*rows, bits, start, self.place, *arrays)
        else:
            bits = self.matrix.data.view(np.uint64)
            status = rank_csr_64(*rows, bits, start, self.place, *arrays)
        if status == UNSORTED:
            block = self.matrix[start:stop]
            block.sum_duplicates()
            return _Source(block, self.columns)._run(0, stop - start, into)
        return status


def rank(matrix: Any, *, tied: bool = False, threads: int = 1) -> Ranked:
    """Rank the genes within each sample once, for use by several scorers.

    Parameters
    ----------
    matrix
        Samples x genes, float32 or float64, dense or CSR. NaN: not measured, not ranked.
    tied
        Find the spread of ties as well (singscore, aucell).
    threads
        Number of threads.

    Returns
    -------
    Ranked
        4 bytes per value of the matrix, 8 with `tied`.

    Raises
    ------
    ScoringError
        A value is infinite, or `threads` is below one.
    """
    ranks = np.empty(matrix.shape, dtype=np.int32)
    spread = np.empty(matrix.shape if tied else (1, 0), dtype=np.int32)
    ranked = Ranked(ranks, spread, np.empty(matrix.shape[0], dtype=np.int64))
    source = _Source(matrix)

    def work(start: int, stop: int) -> None:
        source.rank(start, stop, ranked.rows(start, stop))

    for_rows(matrix.shape[0], work, threads=threads)
    return ranked


def for_ranked(
    matrix: Any,
    work: Callable[[Ranked, int, int], None],
    *,
    columns: np.ndarray | None = None,
    tied: bool = False,
    threads: int = 1,
) -> None:
    """Rank `ROWS` samples at a time and call ``work(ranked, start, stop)`` for them.

    Each thread ranks into arrays of its own, again and again: memory does not grow with the
    number of samples. `ranked` is valid during the call only. It holds all genes, or those of
    `columns` (ascending), whose ranks are still those among all genes.

    Raises
    ------
    ScoringError
        A value is infinite, `threads` is below one, or the matrix is ranked already and the
        spreads of its ties were not kept.
    """
    if isinstance(matrix, Ranked):
        if tied and not matrix.tied:
            raise ScoringError("The ranking holds no spread of ties; rank again with tied=True.")
        for_rows(
            matrix.shape[0],
            lambda start, stop: work(matrix.rows(start, stop).genes(columns), start, stop),
            threads=threads,
        )
        return
    source = _Source(matrix, columns)
    own = threading.local()

    def one(start: int, stop: int) -> None:
        if not hasattr(own, "ranked"):
            ranks = np.empty((ROWS, source.width), dtype=np.int32)
            spread = np.empty(ranks.shape if tied else (1, 0), dtype=np.int32)
            own.ranked = Ranked(ranks, spread, np.empty(ROWS, dtype=np.int64))
        work(source.rank(start, stop, own.ranked.rows(0, stop - start)), start, stop)

    for_rows(matrix.shape[0], one, threads=threads)


def for_rows(n_rows: int, work: Callable[[int, int], None], *, threads: int) -> None:
    """Call ``work(start, stop)`` for all rows, `ROWS` at a time, on several threads.

    A row's result depends on that row alone, hence not on the number of threads.

    Raises
    ------
    ScoringError
        `threads` is below one.
    """
    if threads < 1:
        raise ScoringError(f"threads is {threads}; give the number of threads, 1 or more.")
    starts = range(0, n_rows, ROWS)
    if threads == 1:
        for start in starts:
            work(start, min(start + ROWS, n_rows))
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda start: work(start, min(start + ROWS, n_rows)), starts):
            pass
