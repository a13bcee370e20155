"""The closed form of ssGSEA, eight samples at a time, one in each lane of a vector register.

What a sum needs of a gene lies side by side for the eight samples, so that one look at memory
serves them all. The compiler does not find this form by itself (its pass over straight-line code
is off by default), hence the loop is handed to it as vectors; it fits them to the registers of
the processor at hand. Each lane adds its terms in the order of the list, as a plain loop would: a
sample's sum does not depend on its neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cytostrat.compiled import compiled

LANES = 8


@intrinsic
def _add_list(typing: Any, weights, ranks, places, start, stop, sums):
    """Add up weights, weights times ranks, and ranks of ``places[start:stop]``.

    Parameters
    ----------
    weights
        float64, genes x `LANES`.
    ranks
        int32, genes x `LANES`.
    places
        int32, rows of the two arrays, 0 or more.
    start, stop
        int64, the span of `places`.
    sums
        float64, 3 x `LANES`; written.
    """

    def build(context, builder, signature, arguments):
        def values(number: int):
            array = context.make_array(signature.args[number])
            return array(context, builder, arguments[number]).data

        def vector(element, pointer, offset):
            """Point at the lanes that begin at an offset."""
            return builder.bitcast(
                builder.gep(pointer, [offset]), ir.VectorType(element, LANES).as_pointer()
            )

        start, stop = arguments[3:5]
        index, double, short = start.type, ir.DoubleType(), ir.IntType(32)
        doubles = ir.VectorType(double, LANES)
        totals = [
            cgutils.alloca_once_value(builder, ir.Constant(doubles, [0.0] * LANES))
            for _ in range(3)
        ]
        one = ir.Constant(index, 1)
        with cgutils.for_range_slice(builder, start, stop, one, index) as (i, _):
            place = builder.zext(builder.load(builder.gep(values(2), [i])), index)
            offset = builder.mul(place, ir.Constant(index, LANES))
            weight = builder.load(vector(double, values(0), offset), align=8)
            rank = builder.load(vector(short, values(1), offset), align=4)
            rank = builder.sitofp(rank, doubles)
            for total, term in zip(totals, (weight, builder.fmul(weight, rank), rank), strict=True):
                builder.store(builder.fadd(builder.load(total), term), total)
        for number, total in enumerate(totals):
            offset = ir.Constant(index, number * LANES)
            builder.store(builder.load(total), vector(double, values(5), offset), align=8)
        return context.get_dummy_value()

    return types.void(weights, ranks, places, start, stop, sums), build


@compiled
def closed_form(ranks, counts, indptr, places, used, power, out):
    """Evaluate ssGSEA's closed form, see `cytostrat.scoring.ssgsea`.

    A gene that is not measured has rank 0 and weight 0; it drops out of the sums by itself.

    Parameters
    ----------
    ranks
        int32, samples x genes: twice the average rank, 0 where the gene was not measured.
    counts
        int64, samples: number of genes ranked.
    indptr, places
        List ``i`` holds ``used[places[indptr[i]:indptr[i + 1]]]``.
    used
        int32, columns of `ranks` that any list names.
    power
        float64: what a doubled rank weighs, 0 at 0.
    out
        float64, samples x lists; written.
    """
    own = np.zeros((used.shape[0], LANES), np.int32)
    weights = np.zeros((used.shape[0], LANES))
    sums = np.empty((3, LANES))
    for first in range(0, ranks.shape[0], LANES):
        lanes = min(LANES, ranks.shape[0] - first)
        for place in range(used.shape[0]):
            for lane in range(lanes):
                rank = ranks[first + lane, used[place]]
                own[place, lane] = rank
                weights[place, lane] = power[rank]
        for item in range(out.shape[1]):
            start = indptr[item]
            stop = indptr[item + 1]
            _add_list(weights, own, places, start, stop, sums)
            for lane in range(lanes):
                n = counts[first + lane]
                k = stop - start
                if n < ranks.shape[1]:
                    for i in range(start, stop):
                        k -= own[places[i], lane] == 0
                out[first + lane, item] = _difference(
                    n, k, sums[0, lane], sums[1, lane], sums[2, lane]
                )


@compiled
def _difference(n, k, weight, weighted, doubled):
    if k == 0 or k == n:
        return np.nan
    return 0.5 * weighted / weight - (n * (n + 1) / 2.0 - 0.5 * doubled) / (n - k)
