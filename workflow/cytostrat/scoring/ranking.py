"""Rank the genes of each sample: a radix sort on the bit pattern of the values.

Ranks ascend (the lowest value has rank 1) and are stored doubled, as integers: average ranks of
tied genes end in .5 at most, so ``2 * rank`` is exact. A doubled rank of 0 marks a gene that was
not measured in that sample (NaN); it is left out, and the sample's number of ranked genes says so.

Values are compared by bit pattern: an IEEE number becomes an unsigned integer of the same order
by flipping its sign bit (or, where negative, all bits). 32 bits take three passes of 11 bits.
A 64-bit value is sorted by its upper half first; the few runs that share it are sorted by their
lower half. In a sparse row only the stored values are sorted, the zeros being one tie.

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

from cytostrat.compiled import compiled
from cytostrat.errors import ScoringError

ROWS = 32  # samples ranked at a time: their ranks stay in the processor's cache
DIGIT = 11
BINS = 1 << DIGIT
SHORT = 48  # runs up to this length are sorted by insertion

UNSORTED = -2  # a sparse row whose column indices do not ascend strictly
FINITE = -1


@compiled
def _radix(a, b, start, stop, hist):
    """Sort ``a[start:stop]`` by the upper 32 of its 64 bits, stable; ``b`` is scratch space."""
    n = stop - start
    for j in range(3 * BINS):
        hist[j] = 0
    for i in range(start, stop):
        key = a[i] >> np.uint64(32)
        hist[np.int64(key & np.uint64(BINS - 1))] += 1
        hist[BINS + np.int64((key >> np.uint64(DIGIT)) & np.uint64(BINS - 1))] += 1
        hist[2 * BINS + np.int64(key >> np.uint64(2 * DIGIT))] += 1
    swapped = False
    for digit in range(3):
        shift = np.uint64(32 + digit * DIGIT)
        base = digit * BINS
        source, target = (b, a) if swapped else (a, b)
        first = (source[start] >> shift) & np.uint64(BINS - 1)
        if hist[base + np.int64(first)] == n:  # all share this digit
            continue
        total = start
        for j in range(BINS):
            count = hist[base + j]
            hist[base + j] = total
            total += count
        for i in range(start, stop):
            item = source[i]
            slot = base + np.int64((item >> shift) & np.uint64(BINS - 1))
            target[hist[slot]] = item
            hist[slot] += 1
        swapped = not swapped
    if swapped:
        for i in range(start, stop):
            a[i] = b[i]


@compiled
def _order_lower(a, b, n, lower, hist):
    """Sort runs of equal upper half by the lower half of the gene's 64-bit key."""
    low = np.uint64(0xFFFFFFFF)
    start = 0
    while start < n:
        upper = a[start] >> np.uint64(32)
        stop = start + 1
        differ = False
        first = lower[a[start] & low]
        while stop < n and a[stop] >> np.uint64(32) == upper:
            differ |= lower[a[stop] & low] != first
            stop += 1
        if differ and stop - start <= SHORT:
            for i in range(start + 1, stop):
                item = a[i]
                key = lower[item & low]
                j = i - 1
                while j >= start and lower[a[j] & low] > key:
                    a[j + 1] = a[j]
                    j -= 1
                a[j + 1] = item
        elif differ:
            for i in range(start, stop):
                gene = a[i] & low
                a[i] = (np.uint64(lower[gene]) << np.uint64(32)) | gene
            _radix(a, b, start, stop, hist)
            for i in range(start, stop):
                a[i] = (upper << np.uint64(32)) | (a[i] & low)
        start = stop


@compiled
def _assign(a, n, lower, wide, n_zero, ranks, spread):
    """Write doubled average ranks, and spreads where asked for, of the sorted genes."""
    low = np.uint64(0xFFFFFFFF)
    zero = np.uint64(0x80000000)
    shift = 0
    start = 0
    while start < n:
        upper = a[start] >> np.uint64(32)
        if shift == 0 and n_zero > 0 and upper >= zero:
            shift = n_zero
        stop = start + 1
        if wide:
            first = lower[a[start] & low]
            while stop < n and a[stop] >> np.uint64(32) == upper and lower[a[stop] & low] == first:
                stop += 1
        else:
            while stop < n and a[stop] >> np.uint64(32) == upper:
                stop += 1
        rank = start + stop + 1 + 2 * shift
        for i in range(start, stop):
            ranks[a[i] & low] = rank
        if spread.shape[0]:
            for i in range(start, stop):
                spread[a[i] & low] = stop - start - 1
        start = stop


@compiled
def _rank_dense_32(bits, ranks, spread, counts):
    n_genes = bits.shape[1]
    tied = spread.shape[1] > 0
    a = np.empty(n_genes, np.uint64)
    b = np.empty(n_genes, np.uint64)
    lower = np.empty(0, np.uint32)
    hist = np.empty(3 * BINS, np.int64)
    for row in range(bits.shape[0]):
        n = 0
        for gene in range(n_genes):
            value = bits[row, gene]
            size = value & np.uint32(0x7FFFFFFF)
            if size >= np.uint32(0x7F800000):
                if size == np.uint32(0x7F800000):
                    return row
                ranks[row, gene] = 0
                continue
            flip = np.uint32(0xFFFFFFFF) if value >> np.uint32(31) else np.uint32(0x80000000)
            key = value ^ flip if size else np.uint32(0x80000000)  # -0.0 ties with 0.0
            a[n] = (np.uint64(key) << np.uint64(32)) | np.uint64(gene)
            n += 1
        if n:
            _radix(a, b, 0, n, hist)
        _assign(a, n, lower, False, 0, ranks[row], spread[row if tied else 0])
        counts[row] = n
    return FINITE


@compiled
def _rank_dense_64(bits, ranks, spread, counts):
    n_genes = bits.shape[1]
    tied = spread.shape[1] > 0
    a = np.empty(n_genes, np.uint64)
    b = np.empty(n_genes, np.uint64)
    lower = np.empty(n_genes, np.uint32)
    hist = np.empty(3 * BINS, np.int64)
    sign = np.uint64(1) << np.uint64(63)
    infinite = np.uint64(0x7FF0000000000000)
    low = np.uint64(0xFFFFFFFF)
    every = ~np.uint64(0)
    for row in range(bits.shape[0]):
        n = 0
        for gene in range(n_genes):
            value = bits[row, gene]
            size = value & ~sign
            if size >= infinite:
                if size == infinite:
                    return row
                ranks[row, gene] = 0
                continue
            flip = every if value & sign else sign
            key = value ^ flip if size else sign
            lower[gene] = np.uint32(key & low)
            a[n] = (key & ~low) | np.uint64(gene)
            n += 1
        if n:
            _radix(a, b, 0, n, hist)
            _order_lower(a, b, n, lower, hist)
        _assign(a, n, lower, True, 0, ranks[row], spread[row if tied else 0])
        counts[row] = n
    return FINITE


@compiled
def _rank_csr_32(indptr, indices, bits, first, ranks, spread, counts):
    n_genes = ranks.shape[1]
    a = np.empty(n_genes, np.uint64)
    b = np.empty(n_genes, np.uint64)
    lower = np.empty(0, np.uint32)
    hist = np.empty(3 * BINS, np.int64)
    for row in range(ranks.shape[0]):
        n = 0
        n_missing = 0
        before = -1
        for i in range(indptr[first + row], indptr[first + row + 1]):
            gene = indices[i]
            if gene <= before:
                return UNSORTED
            before = gene
            value = bits[i]
            size = value & np.uint32(0x7FFFFFFF)
            if size >= np.uint32(0x7F800000):
                if size == np.uint32(0x7F800000):
                    return row
                n_missing += 1
                continue
            if size == 0:
                continue
            flip = np.uint32(0xFFFFFFFF) if value >> np.uint32(31) else np.uint32(0x80000000)
            key = value ^ flip
            a[n] = (np.uint64(key) << np.uint64(32)) | np.uint64(gene)
            n += 1
        if n:
            _radix(a, b, 0, n, hist)
        _fill_csr(row, a, n, n_missing, lower, False, ranks, spread, counts)
        if n_missing:
            for i in range(indptr[first + row], indptr[first + row + 1]):
                if bits[i] & np.uint32(0x7FFFFFFF) > np.uint32(0x7F800000):
                    ranks[row, indices[i]] = 0
    return FINITE


@compiled
def _rank_csr_64(indptr, indices, bits, first, ranks, spread, counts):
    n_genes = ranks.shape[1]
    a = np.empty(n_genes, np.uint64)
    b = np.empty(n_genes, np.uint64)
    lower = np.empty(n_genes, np.uint32)
    hist = np.empty(3 * BINS, np.int64)
    sign = np.uint64(1) << np.uint64(63)
    infinite = np.uint64(0x7FF0000000000000)
    low = np.uint64(0xFFFFFFFF)
    every = ~np.uint64(0)
    for row in range(ranks.shape[0]):
        n = 0
        n_missing = 0
        before = -1
        for i in range(indptr[first + row], indptr[first + row + 1]):
            gene = indices[i]
            if gene <= before:
                return UNSORTED
            before = gene
            value = bits[i]
            size = value & ~sign
            if size >= infinite:
                if size == infinite:
                    return row
                n_missing += 1
                continue
            if size == 0:
                continue
            key = value ^ every if value & sign else value | sign
            lower[gene] = np.uint32(key & low)
            a[n] = (key & ~low) | np.uint64(gene)
            n += 1
        if n:
            _radix(a, b, 0, n, hist)
            _order_lower(a, b, n, lower, hist)
        _fill_csr(row, a, n, n_missing, lower, True, ranks, spread, counts)
        if n_missing:
            for i in range(indptr[first + row], indptr[first + row + 1]):
                if bits[i] & ~sign > infinite:
                    ranks[row, indices[i]] = 0
    return FINITE


@compiled
def _fill_csr(row, a, n, n_missing, lower, wide, ranks, spread, counts):
    n_genes = ranks.shape[1]
    n_zero = n_genes - n - n_missing
    negative = 0
    while negative < n and a[negative] >> np.uint64(63) == 0:
        negative += 1
    tied = spread.shape[1] > 0
    ranks[row, :] = 2 * negative + n_zero + 1
    if tied:
        spread[row, :] = n_zero - 1
    _assign(a, n, lower, wide, n_zero, ranks[row], spread[row if tied else 0])
    counts[row] = n_genes - n_missing


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

    def rows(self, start: int, stop: int) -> Ranked:
        """Return some of the samples."""
        spread = self.spread[start:stop] if self.spread.size else self.spread
        return Ranked(self.ranks[start:stop], spread, self.counts[start:stop])


class _Source:
    """A matrix whose rows can be ranked into given arrays."""

    def __init__(self, matrix: Any) -> None:
        if sparse.issparse(matrix):
            matrix = matrix.tocsr()
            if matrix.dtype not in (np.float32, np.float64):
                matrix = matrix.astype(np.float64)
            self.indptr = matrix.indptr.astype(np.int64, copy=False)
            self.indices = matrix.indices.astype(np.int32, copy=False)
        self.matrix = matrix

    def rank(
        self, start: int, stop: int, ranks: np.ndarray, spread: np.ndarray, counts: np.ndarray
    ) -> None:
        """Rank some rows; raises InfiniteValueError with the row's number in the matrix."""
        if sparse.issparse(self.matrix):
            narrow = self.matrix.dtype == np.float32
            kernel = _rank_csr_32 if narrow else _rank_csr_64
            bits = self.matrix.data.view(np.uint32 if narrow else np.uint64)
            status = kernel(self.indptr, self.indices, bits, start, ranks, spread, counts)
            if status == UNSORTED:
                rows = self.matrix[start:stop]
                rows.sum_duplicates()
                _Source(rows).rank(0, stop - start, ranks, spread, counts)
                return
        else:
            block = np.asarray(self.matrix[start:stop])
            if block.dtype not in (np.float32, np.float64):
                block = block.astype(np.float64)
            narrow = block.dtype == np.float32
            kernel = _rank_dense_32 if narrow else _rank_dense_64
            bits = np.ascontiguousarray(block).view(np.uint32 if narrow else np.uint64)
            status = kernel(bits, ranks, spread, counts)
        if status != FINITE:
            raise ScoringError(
                f"Sample number {start + status} (counted from 0) of the matrix holds an infinite "
                "value; replace it by NaN where the gene was not measured."
            )


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
    counts = np.empty(matrix.shape[0], dtype=np.int64)
    source = _Source(matrix)

    def work(start: int, stop: int) -> None:
        part = spread[start:stop] if tied else spread
        source.rank(start, stop, ranks[start:stop], part, counts[start:stop])

    for_rows(matrix.shape[0], work, threads=threads)
    return Ranked(ranks, spread, counts)


def for_ranked(
    matrix: Any,
    work: Callable[[Ranked, int, int], None],
    *,
    tied: bool = False,
    threads: int = 1,
) -> None:
    """Rank `ROWS` samples at a time and call ``work(ranked, start, stop)`` for them.

    Each thread ranks into arrays of its own, again and again: memory does not grow with the
    number of samples. `ranked` is valid during the call only.

    Raises
    ------
    ScoringError
        A value is infinite, `threads` is below one, or the matrix is ranked already and the
        spreads of its ties were not kept.
    """
    if isinstance(matrix, Ranked):
        if tied and matrix.ranks.size and not matrix.spread.size:
            raise ScoringError("The ranking holds no spread of ties; rank again with tied=True.")
        for_rows(
            matrix.shape[0],
            lambda start, stop: work(matrix.rows(start, stop), start, stop),
            threads=threads,
        )
        return
    n_genes = matrix.shape[1]
    source = _Source(matrix)
    own = threading.local()

    def one(start: int, stop: int) -> None:
        if not hasattr(own, "ranks"):
            own.ranks = np.empty((ROWS, n_genes), dtype=np.int32)
            own.spread = np.empty((ROWS, n_genes) if tied else (1, 0), dtype=np.int32)
            own.counts = np.empty(ROWS, dtype=np.int64)
        whole = Ranked(own.ranks, own.spread, own.counts)
        part = whole.rows(0, stop - start)
        source.rank(start, stop, part.ranks, part.spread, part.counts)
        work(part, start, stop)

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
