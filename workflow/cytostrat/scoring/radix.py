"""Rank the genes of a row: a radix sort on the bit pattern of the values.

Values are compared by bit pattern: an IEEE number becomes an unsigned integer of the same order
by flipping its sign bit (or, where negative, all bits). The upper 32 bits are sorted in passes of
up to 11 bits, the gene standing in the lower half of the same 64 bits. Runs of float64 values
that share the upper half are then sorted by their lower half. In a sparse row only the stored
values are sorted, the zeros being one tie.
"""

from __future__ import annotations

import numpy as np

from cytostrat.compiled import compiled

DIGIT = 11
BINS = 1 << DIGIT
SHORT = 48  # runs up to this length are sorted by insertion

UNSORTED = -2  # a sparse row whose column indices do not ascend strictly
FINITE = -1


@compiled
def _insert(a, n, steps):
    """Order ``a[:n]`` by the upper 32 of its 64 bits, by insertion, in so many steps at most.

    Returns whether it came to the end.
    """
    for i in range(np.uint64(1), n):
        item = a[i]
        last = item | np.uint64(0xFFFFFFFF)
        j = i
        while j > np.uint64(0) and a[j - np.uint64(1)] > last:
            a[j] = a[j - np.uint64(1)]
            j -= np.uint64(1)
        a[j] = item
        steps -= np.int64(i - j)
        if steps < 0:
            return False
    return True


@compiled
def _count(items, n, base, shift, mask, hist):
    """Count the digits that begin at bit `shift` of the distance from `base`."""
    for j in range(mask + np.uint64(1)):
        hist[j] = 0
    for i in range(n):
        hist[((items[i] - base) >> shift) & mask] += 1


@compiled
def _deal(source, target, n, base, shift, mask, hist):
    """Lay items out in the order of their counted digits; items of one digit keep theirs."""
    total = 0
    for j in range(mask + np.uint64(1)):
        count = hist[j]
        hist[j] = total
        total += count
    for i in range(n):
        item = source[i]
        slot = ((item - base) >> shift) & mask
        target[np.uint32(hist[slot])] = item
        hist[slot] += 1


@compiled
def _radix(a, b, n, hist):
    """Order ``a[:n]`` by the upper 32 of its 64 bits; `b` is scratch space of the same length.

    Only the bits in which the keys differ count. Where few keys share the highest digit, one pass
    over the next and one over the highest leave few items out of place, and insertion mends them.
    """
    if n <= SHORT:
        _insert(a, n, SHORT * SHORT)
        return
    lowest, highest = a[0], a[0]
    for i in range(n):
        lowest = min(lowest, a[i])
        highest = max(highest, a[i])
    base = (lowest >> np.uint64(32)) << np.uint64(32)
    span = (highest - base) >> np.uint64(32)
    bits = np.uint64(0)
    while span >> bits:
        bits += np.uint64(1)
    if bits == 0:
        return
    width = np.uint64(DIGIT)
    while n < np.uint64(1) << width:
        width -= np.uint64(1)
    width = min(width, bits)
    mask = (np.uint64(1) << width) - np.uint64(1)
    top = np.uint64(32) + bits - width  # bit at which the highest digit begins
    _count(a, n, base, top, mask, hist[0])
    squares = 0
    for j in range(mask + np.uint64(1)):
        squares += np.int64(hist[0, j]) * np.int64(hist[0, j])
    # spread evenly within the highest digit, how many keys share the next as well?
    few = squares < np.int64(n << width) >> 1
    if bits > np.uint64(2) * width and few:
        _count(a, n, base, top - width, mask, hist[1])
        _deal(a, b, n, base, top - width, mask, hist[1])
        _deal(b, a, n, base, top, mask, hist[0])
        if _insert(a, n, 2 * np.int64(n)):
            return
        _count(a, n, base, top, mask, hist[0])
    rest = bits - width
    passes = (rest + np.uint64(DIGIT - 1)) // np.uint64(DIGIT)
    shift = np.uint64(32)
    source, target = a, b
    for done in range(passes):
        step = (rest + np.uint64(passes - done) - np.uint64(1)) // np.uint64(passes - done)
        digit = (np.uint64(1) << step) - np.uint64(1)
        _count(source, n, base, shift, digit, hist[1])
        _deal(source, target, n, base, shift, digit, hist[1])
        source, target = target, source
        shift += step
        rest -= step
    _deal(source, target, n, base, top, mask, hist[0])
    if not passes & np.uint64(1):
        for i in range(n):
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
            _radix(a[start:stop], b[start:stop], np.uint64(stop - start), hist)
            for i in range(start, stop):
                a[i] = (upper << np.uint64(32)) | (a[i] & low)
        start = stop


@compiled
def _assign(a, n, lower, n_zero, ranks, spread):
    """Write doubled average ranks, and spreads where asked for, of the sorted genes.

    Genes whose number is beyond the last place of `ranks` are written to that place.
    """
    low = np.uint64(0xFFFFFFFF)
    zero = np.uint64(0x80000000)
    last = np.uint64(ranks.shape[0] - 1)
    wide = lower.shape[0] > 0
    tied = spread.shape[0] > 0
    shift = np.int64(0)
    start = np.uint64(0)
    while start < n:
        upper = a[start] >> np.uint64(32)
        if shift == 0 and upper >= zero:
            shift = n_zero
        stop = start + np.uint64(1)
        if wide:
            first = lower[a[start] & low]
            while stop < n and a[stop] >> np.uint64(32) == upper and lower[a[stop] & low] == first:
                stop += np.uint64(1)
        else:
            while stop < n and a[stop] >> np.uint64(32) == upper:
                stop += np.uint64(1)
        rank = np.int64(start + stop) + 1 + 2 * shift
        more = np.int64(stop - start) - 1
        while start < stop:
            gene = min(a[start] & low, last)
            ranks[gene] = rank
            if tied:
                spread[gene] = more
            start += np.uint64(1)


@compiled
def rank_dense_32(bits, ranks, spread, counts):
    """Rank rows of float32, given as uint32.

    Writes ranks, spreads and counts as `cytostrat.scoring.ranking.Ranked` describes them; returns
    FINITE, or the first row that holds an infinite value.
    """
    n_genes = bits.shape[1]
    tied = spread.shape[1] > 0
    a = np.empty(n_genes, np.uint64)
    b = np.empty(n_genes, np.uint64)
    lower = np.empty(0, np.uint32)
    hist = np.empty((2, BINS), np.int32)
    for row in range(bits.shape[0]):
        n = np.int64(0)
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
        _radix(a, b, np.uint64(n), hist)
        _assign(a, np.uint64(n), lower, np.int64(0), ranks[row], spread[row if tied else 0])
        counts[row] = n
    return FINITE


@compiled
def rank_dense_64(bits, ranks, spread, counts):
    """Do for float64, given as uint64, what `rank_dense_32` does for float32."""
    n_genes = bits.shape[1]
    tied = spread.shape[1] > 0
    a = np.empty(n_genes, np.uint64)
    b = np.empty(n_genes, np.uint64)
    lower = np.empty(n_genes, np.uint32)
    hist = np.empty((2, BINS), np.int32)
    sign = np.uint64(1) << np.uint64(63)
    infinite = np.uint64(0x7FF0000000000000)
    low = np.uint64(0xFFFFFFFF)
    every = ~np.uint64(0)
    for row in range(bits.shape[0]):
        n = np.int64(0)
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
        _radix(a, b, np.uint64(n), hist)
        _order_lower(a, b, n, lower, hist)
        _assign(a, np.uint64(n), lower, np.int64(0), ranks[row], spread[row if tied else 0])
        counts[row] = n
    return FINITE


@compiled
def rank_csr_32(indptr, indices, bits, first, place, ranks, spread, counts):
    """Rank sparse rows of float32, given as uint32, from row `first` on.

    `place` gives each gene a number of its own: its column of `ranks`, or one beyond the last
    where its rank is not asked for. Returns as `rank_dense_32`, or UNSORTED.
    """
    n_genes, width = place.shape[0], ranks.shape[1]
    a = np.empty(n_genes, np.uint64)
    b = np.empty(n_genes, np.uint64)
    lower = np.empty(0, np.uint32)
    hist = np.empty((2, BINS), np.int32)
    own = np.empty((2, width + 1), np.int32)
    for row in range(ranks.shape[0]):
        begin, end = np.uint64(indptr[first + row]), np.uint64(indptr[first + row + 1])
        n = np.uint64(0)
        n_missing = np.int64(0)
        before = -1
        for i in range(begin, end):
            gene = indices[i]
            if gene <= before:
                return UNSORTED
            before = gene
            value = bits[i]
            size = value & np.uint32(0x7FFFFFFF)
            if size - np.uint32(1) >= np.uint32(0x7F7FFFFF):  # infinite, NaN, or 0 (wraps)
                if size == np.uint32(0x7F800000):
                    return row
                n_missing += size != 0
                continue
            flip = np.uint32(0xFFFFFFFF) if value >> np.uint32(31) else np.uint32(0x80000000)
            a[n] = (np.uint64(value ^ flip) << np.uint64(32)) | np.uint64(place[np.uint32(gene)])
            n += np.uint64(1)
        _radix(a, b, n, hist)
        _assign_csr(row, a, n, n_missing, n_genes, lower, own, ranks, spread, counts)
        if n_missing:
            for i in range(begin, end):
                at = place[indices[i]]
                if at < width and bits[i] & np.uint32(0x7FFFFFFF) > np.uint32(0x7F800000):
                    ranks[row, at] = 0
    return FINITE


@compiled
def rank_csr_64(indptr, indices, bits, first, place, ranks, spread, counts):
    """Do for float64, given as uint64, what `rank_csr_32` does for float32."""
    n_genes, width = place.shape[0], ranks.shape[1]
    a = np.empty(n_genes, np.uint64)
    b = np.empty(n_genes, np.uint64)
    lower = np.empty(n_genes, np.uint32)
    hist = np.empty((2, BINS), np.int32)
    own = np.empty((2, width + 1), np.int32)
    sign = np.uint64(1) << np.uint64(63)
    infinite = np.uint64(0x7FF0000000000000)
    low = np.uint64(0xFFFFFFFF)
    for row in range(ranks.shape[0]):
        begin, end = np.uint64(indptr[first + row]), np.uint64(indptr[first + row + 1])
        n = np.uint64(0)
        n_missing = np.int64(0)
        before = -1
        for i in range(begin, end):
            gene = indices[i]
            if gene <= before:
                return UNSORTED
            before = gene
            value = bits[i]
            size = value & ~sign
            if size - np.uint64(1) >= infinite - np.uint64(1):
                if size == infinite:
                    return row
                n_missing += size != 0
                continue
            key = ~value if value & sign else value | sign
            at = np.uint64(place[np.uint32(gene)])
            lower[at] = np.uint32(key & low)
            a[n] = (key & ~low) | at
            n += np.uint64(1)
        _radix(a, b, n, hist)
        _order_lower(a, b, np.int64(n), lower, hist)
        _assign_csr(row, a, n, n_missing, n_genes, lower, own, ranks, spread, counts)
        if n_missing:
            for i in range(begin, end):
                at = place[indices[i]]
                if at < width and bits[i] & ~sign > infinite:
                    ranks[row, at] = 0
    return FINITE


@compiled
def _assign_csr(row, a, n, n_missing, n_genes, lower, own, ranks, spread, counts):
    """Write a sparse row's ranks and spreads, zeros included; `own` is scratch space."""
    width = ranks.shape[1]
    n_zero = n_genes - np.int64(n) - n_missing
    negative = 0
    while negative < n and a[negative] >> np.uint64(63) == 0:
        negative += 1
    tied = spread.shape[1] > 0
    own[0, :] = 2 * negative + n_zero + 1
    if tied:
        own[1, :] = n_zero - 1
    _assign(a, n, lower, n_zero, own[0], own[1, : width + 1 if tied else 0])
    ranks[row, :] = own[0, :width]
    if tied:
        spread[row, :] = own[1, :width]
    counts[row] = n_genes - n_missing
