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

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from cytostrat.errors import ScoringError
from cytostrat.scoring.compiled import compiled

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
def _rank_csr_32(indptr, indices, bits, ranks, spread, counts):
    n_genes = ranks.shape[1]
    a = np.empty(n_genes, np.uint64)
    b = np.empty(n_genes, np.uint64)
    lower = np.empty(0, np.uint32)
    hist = np.empty(3 * BINS, np.int64)
    for row in range(ranks.shape[0]):
        n = 0
        n_missing = 0
        before = -1
        for i in range(indptr[row], indptr[row + 1]):
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
        _fill_csr(indptr, indices, row, a, n, n_missing, lower, False, ranks, spread, counts)
        if n_missing:
            for i in range(indptr[row], indptr[row + 1]):
                if bits[i] & np.uint32(0x7FFFFFFF) > np.uint32(0x7F800000):
                    ranks[row, indices[i]] = 0
    return FINITE


@compiled
def _rank_csr_64(indptr, indices, bits, ranks, spread, counts):
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
        for i in range(indptr[row], indptr[row + 1]):
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
        _fill_csr(indptr, indices, row, a, n, n_missing, lower, True, ranks, spread, counts)
        if n_missing:
            for i in range(indptr[row], indptr[row + 1]):
                if bits[i] & ~sign > infinite:
                    ranks[row, indices[i]] = 0
    return FINITE


@compiled
def _fill_csr(indptr, indices, row, a, n, n_missing, lower, wide, ranks, spread, counts):
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


def rows_of(matrix: Any, start: int, stop: int) -> Any:
    """Return rows as a C-ordered float array, as CSR or ranked, without copying if possible."""
    if isinstance(matrix, Ranked):
        return matrix.rows(start, stop)
    block = matrix[start:stop]
    block = block.tocsr() if sparse.issparse(block) else np.asarray(block)
    if block.dtype not in (np.float32, np.float64):
        block = block.astype(np.float64)
    return block if sparse.issparse(block) else np.ascontiguousarray(block)


def rank_rows(block: Any, *, tied: bool = False) -> Ranked:
    """Rank the genes within each row.

    Parameters
    ----------
    block
        Samples x genes, float32 or float64, C-ordered array or CSR; or ranked already.
    tied
        Find the spread of ties as well.

    Raises
    ------
    InfiniteValueError
        A value is infinite; it holds the row within the block.
    ScoringError
        The block is ranked already and its spreads were not kept.
    """
    if isinstance(block, Ranked):
        if tied and block.ranks.size and not block.spread.size:
            raise ScoringError("The ranking holds no spread of ties; rank again with tied=True.")
        return block
    ranks = np.empty(block.shape, dtype=np.int32)
    spread = np.empty(block.shape if tied else (1, 0), dtype=np.int32)
    counts = np.empty(block.shape[0], dtype=np.int64)
    integer = np.uint32 if block.dtype == np.float32 else np.uint64
    if sparse.issparse(block):
        kernel = _rank_csr_32 if integer is np.uint32 else _rank_csr_64
        status = _call_csr(kernel, block, integer, ranks, spread, counts)
        if status == UNSORTED:
            block = block.copy()
            block.sum_duplicates()
            status = _call_csr(kernel, block, integer, ranks, spread, counts)
    else:
        kernel = _rank_dense_32 if integer is np.uint32 else _rank_dense_64
        status = kernel(block.view(integer), ranks, spread, counts)
    if status != FINITE:
        raise InfiniteValueError(int(status))
    return Ranked(ranks, spread, counts)


def rank(matrix: Any, *, tied: bool = False, threads: int = 1) -> Ranked:
    """Rank the genes within each sample once, for use by several scorers.

    Needs 4 bytes per value of the matrix, 8 with `tied`. See `rank_rows`.
    """
    ranks = np.empty(matrix.shape, dtype=np.int32)
    spread = np.empty(matrix.shape if tied else (1, 0), dtype=np.int32)
    counts = np.empty(matrix.shape[0], dtype=np.int64)

    def work(block: Any, start: int, stop: int) -> None:
        part = rank_rows(block, tied=tied)
        ranks[start:stop] = part.ranks
        counts[start:stop] = part.counts
        if tied:
            spread[start:stop] = part.spread

    for_blocks(matrix, work, threads=threads)
    return Ranked(ranks, spread, counts)


class InfiniteValueError(ScoringError):
    """A row holds an infinite value; ``row`` is its number within the block."""

    def __init__(self, row: int) -> None:
        super().__init__(f"Row {row} holds an infinite value.")
        self.row = row


def _call_csr(
    kernel: Callable,
    block: Any,
    integer: Any,
    ranks: np.ndarray,
    spread: np.ndarray,
    counts: np.ndarray,
) -> int:
    indptr = block.indptr.astype(np.int64, copy=False)
    indices = block.indices.astype(np.int32, copy=False)
    return kernel(indptr, indices, block.data.view(integer), ranks, spread, counts)


def _blocks(n_rows: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + ROWS, n_rows)) for start in range(0, n_rows, ROWS))


def for_blocks(matrix: Any, work: Callable[[Any, int, int], None], *, threads: int) -> None:
    """Call ``work(block, start, stop)`` for all rows, `ROWS` at a time, on several threads.

    A row's result depends on that row alone, hence not on the number of threads.

    Raises
    ------
    ScoringError
        A value is infinite (names the row of the whole matrix), or `threads` is below one.
    """
    if threads < 1:
        raise ScoringError(f"threads is {threads}; give the number of threads, 1 or more.")

    def one(span: tuple[int, int]) -> None:
        start, stop = span
        try:
            work(rows_of(matrix, start, stop), start, stop)
        except InfiniteValueError as error:
            raise ScoringError(
                f"Sample number {start + error.row} (counted from 0) of the matrix holds an "
                "infinite value; replace it by NaN where the gene was not measured."
            ) from error

    spans = _blocks(matrix.shape[0])
    if threads == 1:
        for span in spans:
            one(span)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, spans):
            pass
