"""GSVA (Hanzelmann 2013) with Gaussian or Poisson kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from cytostrat.compiled import compiled, compiled_reassociating
from cytostrat.errors import ScoringError
from cytostrat.scoring.columns import SMALLEST_SD, for_genes, moments
from cytostrat.scoring.genelists import GeneLists
from cytostrat.scoring.ranking import Ranked, for_ranked
from cytostrat.scoring.records import Method

METHOD = Method(
    name="gsva",
    title="GSVA (difference of the largest deviations)",
    doi="10.1186/1471-2105-14-7",
    needs="log",
    comparable_samples=True,
    comparable_sets=False,
    comparable_cohorts=False,
    up_down="score of the up genes minus score of the down genes",
    ties="average rank; tied genes step together",
    missing=(
        "genes absent from the matrix, and genes that do not vary over the cohort, are left out; "
        "so is a gene that is NaN in a sample, for that sample"
    ),
    meaning=(
        "How far the genes of the set are high in the sample relative to this cohort, from -1 to "
        "1: it says where a sample stands within this cohort, and changes when samples are added "
        "or removed."
    ),
)

CELLS = 1000  # cells per standard deviation in the table of the normal distribution
FAR = 8400  # cell from which on the normal distribution is 1 in double precision


@compiled_reassociating
def _gaussian(ordered, numbers, widths, table, out):
    """Kernel sums of the sorted values of each gene.

    As upstream, the normal distribution function is read from a table, at the distance cut off
    to a thousandth: genes whose sums lie close would else change places.
    """
    for gene in range(ordered.shape[0]):
        n = numbers[gene]
        width = widths[gene] / CELLS
        if not width > 0.0:
            continue
        scaled = ordered[gene, :n] / width
        sums = out[gene, :n]
        sums[:] = 0.5
        stop = 0
        for i in range(n):
            here = scaled[i]
            stop = max(stop, i + 1)
            while stop < n and scaled[stop] - here < FAR:
                stop += 1
            above = scaled[i + 1 : stop]
            their = sums[i + 1 : stop]
            own = 0.0
            for j in range(above.shape[0]):
                part = table[np.uint32(above[j] - here)]
                their[j] += part
                own += 1.0 - part
            sums[i] += own
        far_below = 0
        for j in range(n):
            while scaled[j] - scaled[far_below] >= FAR:
                far_below += 1
            sums[j] += far_below


@compiled
def _poisson(ordered, numbers, widths, table, out):
    """Kernel sums of the sorted counts of each gene.

    The distribution function of each mean is summed up from its mode outwards, over nine
    standard deviations and some, and scaled to a total of 1.
    """
    for gene in range(ordered.shape[0]):
        n = numbers[gene]
        if not widths[gene] > 0.0:
            continue
        sums = out[gene, :n]
        sums[:] = 0.0
        largest = ordered[gene, n - 1] + 0.5
        cumulative = np.empty(np.int64(18.0 * np.sqrt(largest)) + 64)
        i = 0
        while i < n:
            mean = ordered[gene, i] + 0.5
            j = i + 1
            while j < n and ordered[gene, j] == ordered[gene, i]:
                j += 1
            first = max(0, np.int64(mean - 9.0 * np.sqrt(mean) - 4.0))
            last = np.int64(mean + 9.0 * np.sqrt(mean) + 24.0)
            mode = np.int64(mean)
            cumulative[mode - first] = 1.0
            for count in range(mode - 1, first - 1, -1):
                cumulative[count - first] = cumulative[count + 1 - first] * (count + 1) / mean
            for count in range(mode + 1, last + 1):
                cumulative[count - first] = cumulative[count - 1 - first] * mean / count
            for count in range(first + 1, last + 1):
                cumulative[count - first] += cumulative[count - 1 - first]
            total = cumulative[last - first]
            for sample in range(n - 1, -1, -1):
                count = np.int64(ordered[gene, sample] + 1e-7)
                if count < first:
                    break
                inside = cumulative[min(count, last) - first] / total
                sums[sample] += (j - i) * inside
            i = j


@compiled
def _share_ties(ordered, sums):
    """Give equal values the same sum to the last digit, whichever sample came first."""
    for gene in range(ordered.shape[0]):
        for i in range(1, ordered.shape[1]):
            if ordered[gene, i] == ordered[gene, i - 1]:
                sums[gene, i] = sums[gene, i - 1]


@compiled
def _walks(ranks, spread, counts, indptr, members, out):
    longest = 0
    for item in range(out.shape[1]):
        longest = max(longest, indptr[item + 1] - indptr[item])
    hits = np.empty(longest, np.int64)
    for row in range(ranks.shape[0]):
        n = counts[row]
        for item in range(out.shape[1]):
            k = 0
            total = 0.0
            for i in range(indptr[item], indptr[item + 1]):
                gene = members[i]
                doubled = np.int64(ranks[row, gene])
                if doubled > 0:
                    # a descending position first, so that sorting puts the top first
                    hits[k] = (2 * n + 2 - doubled) << 32 | np.int64(spread[row, gene])
                    total += abs(doubled - n)
                    k += 1
            if k == 0 or k == n:
                out[row, item] = np.nan
                continue
            hits[:k].sort()
            height = 0.0
            highest = 0.0
            lowest = 0.0
            step = 1.0 / (n - k)
            i = 0
            while i < k:
                middle = hits[i] >> 32
                width = hits[i] & 0xFFFFFFFF
                j = i + 1
                while j < k and hits[j] >> 32 == middle:
                    j += 1
                passed = (middle - width) // 2 - 1 - i  # genes outside the set, above this tie
                lowest = min(lowest, height - passed * step)
                if total > 0.0:
                    height += (j - i) * abs(n + 2 - middle) / total
                else:  # every gene of the set stands in the very middle
                    height += (j - i) / k
                passed = (middle + width) // 2 - j
                highest = max(highest, height - passed * step)
                lowest = min(lowest, height - passed * step)
                i = j
            out[row, item] = highest + lowest


def gsva(
    matrix: Any, lists: GeneLists, *, threads: int = 1, kernel: str = "gaussian"
) -> np.ndarray:
    r"""Score every signature in every sample.

    Each gene's value is replaced by its kernel-smoothed distribution function over the samples,

    .. math::

       F_g(x_j) = \frac{1}{n} \sum_i K(x_j, x_i),

    with :math:`K(x, y) = \Phi((x - y) / h)`, :math:`h = s_g / 4` (Gaussian), or the distribution
    function at :math:`x` of a Poisson variable of mean :math:`y + 1/2`. Genes are ranked by it
    within the sample; a list is walked from the top, a gene of the set adding
    :math:`|R_g - n/2|` over the sum of these in the set, any other gene taking off
    :math:`1 / (n - k)`. The score is the highest point of the walk plus its lowest. Tied genes
    step together. A signature's score is that of its up genes minus that of its down genes.

    Values are sorted first: only pairs within 8.4 kernel widths need the table of
    :math:`\Phi`, which is upstream's (steps of a thousandth, distances cut off).

    Parameters
    ----------
    matrix
        Samples x genes, dense or CSR, on the log scale (Gaussian) or counts (Poisson). NaN: not
        measured.
    lists
        Gene lists, see `cytostrat.scoring.genelists`.
    threads
        Number of threads.
    kernel
        ``gaussian`` or ``poisson``.

    Returns
    -------
    numpy.ndarray
        Samples x signatures, a list's score being between -1 and 1. NaN where none of a list's
        genes is left in the sample, or the list holds all that are left.

    Raises
    ------
    ScoringError
        Fewer than two samples, an infinite value, a negative count, or an unknown kernel.

    References
    ----------
    doi:10.1186/1471-2105-14-7
    """
    from scipy import special  # only here: spares the other methods its import

    n_samples, n_genes = matrix.shape
    if kernel not in ("gaussian", "poisson"):
        raise ScoringError(f"gsva knows no kernel {kernel!r}; use 'gaussian' or 'poisson'.")
    estimate = _gaussian if kernel == "gaussian" else _poisson
    table = special.ndtr(np.arange(FAR + 1) / CELLS)
    density = np.empty((n_samples, n_genes))

    def smooth(values: np.ndarray, start: int, stop: int) -> None:
        order = np.argsort(values, axis=1)
        ordered = np.take_along_axis(values, order, axis=1)
        if kernel == "poisson" and ordered.size and np.nanmin(ordered[:, 0]) < 0:
            raise ScoringError(
                f"The matrix holds {np.nanmin(ordered[:, 0])}; the Poisson kernel of gsva takes "
                "counts."
            )
        numbers, _, sd = moments(ordered)
        sums = np.full(values.shape, np.nan)
        estimate(ordered, numbers, np.where(sd >= SMALLEST_SD, sd / 4.0, 0.0), table, sums)
        _share_ties(ordered, sums)
        np.put_along_axis(values, order, sums / numbers[:, None], axis=1)
        density[:, start:stop] = values.T

    for_genes(matrix, np.arange(n_genes), smooth, method="gsva", threads=threads)
    scores = np.empty((n_samples, len(lists.declared)))

    def walk(ranked: Ranked, start: int, stop: int) -> None:
        _walks(
            ranked.ranks,
            ranked.spread,
            ranked.counts,
            lists.indptr,
            lists.members,
            scores[start:stop],
        )

    for_ranked(density, walk, tied=True, threads=threads)
    return lists.difference(scores)
