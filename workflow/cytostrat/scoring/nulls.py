"""Random gene sets matched to a signature in size and mean expression: what chance gives."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from cytostrat.errors import ScoringError
from cytostrat.scoring.genelists import GeneLists, Sets, gene_lists

DECIMALS = 6  # mean expressions closer than this count as equal, so summation order cannot matter


@dataclass(frozen=True)
class RandomSets:
    """Random sets of one signature.

    Parameters
    ----------
    up, down
        int32, sets x genes: columns of the matrix; no columns where the signature has no genes
        on that side. A row holds no gene twice, up and down together.
    """

    up: np.ndarray
    down: np.ndarray

    def lists(self) -> GeneLists:
        """Return the sets in the form that scorers read; their names are 0, 1, ..."""
        n = len(self.up)
        sides = [side for side in (self.up, self.down) if side.shape[1]]
        sizes = np.repeat([side.shape[1] for side in sides], n)
        numbers = np.arange(len(sizes)).reshape(-1, n)
        nothing = np.full(n, -1)
        return GeneLists(
            names=tuple(str(number) for number in range(n)),
            up=numbers[0] if self.up.shape[1] else nothing,
            down=numbers[-1] if self.down.shape[1] else nothing,
            indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            members=np.concatenate([side.ravel() for side in sides]).astype(np.int32),
            declared=sizes.astype(np.int64),
        )


def mean_expression(matrix: Any) -> np.ndarray:
    """Return each gene's mean over the samples in which it is measured, NaN where in none.

    Parameters
    ----------
    matrix
        Samples x genes, dense or CSR.
    """
    n_samples, n_genes = matrix.shape
    total = np.zeros(n_genes)
    number = np.full(n_genes, n_samples)
    if sparse.issparse(matrix):
        missing = np.isnan(matrix.data)
        values = np.where(missing, 0.0, matrix.data)
        total = np.bincount(matrix.indices, weights=values, minlength=n_genes)
        number = number - np.bincount(matrix.indices[missing], minlength=n_genes)
    else:
        for start in range(0, n_samples, 256):
            block = np.asarray(matrix[start : start + 256])
            part = block.sum(axis=0, dtype=np.float64)
            gaps = np.isnan(part)
            if gaps.any():
                missing = np.isnan(block[:, gaps])
                part[gaps] = np.where(missing, 0.0, block[:, gaps]).sum(axis=0, dtype=np.float64)
                number[gaps] -= missing.sum(axis=0)
            total += part
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(number > 0, total / number, np.nan)


def matched_sets(
    means: np.ndarray,
    genes: Sequence[str],
    sets: Sets,
    *,
    n: int,
    seed: int,
    window: int = 100,
    forbidden: Collection[str] = (),
) -> Mapping[str, RandomSets]:
    """Draw random sets matched to each signature, gene by gene.

    Genes are ordered by mean expression (then by symbol). Each gene of the signature is replaced
    by one drawn with equal chance among the `window` genes on either side of it that do not
    belong to the signature and aren't forbidden; no gene occurs twice in a set. Where the window
    has no gene left it is doubled.

    The draw depends on `seed`, the signature's name, its genes, those forbidden and the order of
    means; not on the other signatures, nor on the order of genes in the matrix.

    Parameters
    ----------
    means
        Mean expression of each gene, see `mean_expression`; a gene with NaN is not drawn.
    genes
        Gene symbols, one per mean.
    sets
        Signature name to (up genes, down genes); genes without a mean are left out.
    n
        Number of random sets per signature.
    seed
        Seed, 0 or more.
    window
        Number of neighbours to either side.
    forbidden
        Genes that no set may hold: those that a test has taken out of the signature.

    Returns
    -------
    Mapping
        Signature name to its random sets. A signature of which no gene, or which holds more genes
        than it leaves to draw, has no match and is absent: whoever asks for its null has to say so.

    Raises
    ------
    ScoringError
        Arguments out of range.
    """
    if n < 1 or window < 1 or seed < 0:
        raise ScoringError(
            f"Random sets need n and window of 1 or more and a seed of 0 or more, not {n}, "
            f"{window} and {seed}."
        )
    if len(means) != len(genes):
        raise ScoringError(f"{len(means)} means are given for {len(genes)} genes.")
    lists = gene_lists(genes, sets)
    rounded = np.round(np.asarray(means, dtype=np.float64), DECIMALS)
    symbols = np.asarray(genes, dtype=str)
    order = np.lexsort((symbols, rounded))
    order = order[: np.count_nonzero(~np.isnan(rounded))]  # NaN sorts last
    place = np.full(len(genes), -1)
    place[order] = np.arange(len(order))
    banned = frozenset(forbidden)
    drawable = np.array([gene not in banned for gene in genes])[order]
    drawn = {}
    for name, up, down in zip(lists.names, lists.up, lists.down, strict=True):
        sides = [
            place[lists.members[lists.indptr[side] : lists.indptr[side + 1]]]
            if side >= 0
            else np.empty(0, dtype=np.int64)
            for side in (up, down)
        ]
        sides = [side[side >= 0] for side in sides]
        positions = np.concatenate(sides)
        free = drawable.copy()
        free[positions] = False
        if not 0 < len(positions) <= np.count_nonzero(free):
            continue
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        chosen = order[_draw(positions, np.flatnonzero(free), n, window, rng)].astype(np.int32)
        drawn[name] = RandomSets(chosen[:, : len(sides[0])], chosen[:, len(sides[0]) :])
    return drawn


def _draw(
    positions: np.ndarray, outside: np.ndarray, n: int, window: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw n sets near the given positions from those `outside` (ascending), without repeats."""
    middle = np.searchsorted(outside, positions)
    width = len(positions)
    chosen = np.empty((n, width), dtype=np.int64)
    rows, columns = np.repeat(np.arange(n), width), np.tile(np.arange(width), n)
    reach = window
    attempts = 0
    while len(rows):
        low = np.maximum(middle - reach, 0)
        high = np.minimum(middle + reach, len(outside))
        chosen[rows, columns] = outside[rng.integers(low[columns], high[columns])]
        touched = np.flatnonzero(np.bincount(rows, minlength=n))
        ordered = chosen[touched] * width + np.arange(width)
        ordered.sort(axis=1)
        position, column = np.divmod(ordered, width)
        repeat, later = np.nonzero(position[:, 1:] == position[:, :-1])
        rows, columns = touched[repeat], column[repeat, later + 1]
        attempts += 1
        if attempts % 50 == 0:
            reach *= 2
    return chosen
