"""Gene sets as index arrays: what the compiled scorers read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cytostrat.errors import ScoringError, SignatureError

Sets = Mapping[str, tuple[Iterable[str], Iterable[str]]]


@dataclass(frozen=True)
class GeneLists:
    """Gene lists in compressed form; a signature owns one list (up) or two (up, down).

    Parameters
    ----------
    names
        Signature names, in the caller's order.
    up, down
        For each signature the number of its list, -1 where it has none.
    indptr
        List ``i`` holds ``members[indptr[i]:indptr[i + 1]]``.
    members
        Columns of the matrix. Within a list they stand in the order of the gene symbols,
        hence sums over a list do not depend on the order of genes in the file.
    declared
        Number of genes each list names, present in the matrix or not.
    """

    names: tuple[str, ...]
    up: np.ndarray
    down: np.ndarray
    indptr: np.ndarray
    members: np.ndarray
    declared: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """Number of genes of each list that the matrix has."""
        return np.diff(self.indptr)

    def compact(self, n_genes: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns that any list uses, ascending, and each member's place among them."""
        named = np.zeros(n_genes, dtype=bool)
        named[self.members] = True
        place = np.cumsum(named, dtype=np.int32) - np.int32(1)
        return np.flatnonzero(named).astype(np.int32), place[self.members]

    def side(self, values: np.ndarray, owner: np.ndarray, absent: float = 0.0) -> np.ndarray:
        """Spread list values over signatures.

        Parameters
        ----------
        values
            Samples x lists.
        owner
            `up` or `down`.
        absent
            Value of a signature that has no such list.
        """
        if not values.shape[1]:
            return np.full((values.shape[0], len(owner)), absent)
        return np.where(owner >= 0, values[:, np.maximum(owner, 0)], absent)

    def difference(self, values: np.ndarray, weight: float = 1.0) -> np.ndarray:
        """Up minus `weight` times down of each signature, from list values (samples x lists)."""
        if (self.down < 0).all():
            return values if len(self.up) == values.shape[1] else self.side(values, self.up)
        return self.side(values, self.up) - weight * self.side(values, self.down)


def column_of(genes: Sequence[str]) -> dict[str, int]:
    """Return the column of each gene.

    Raises
    ------
    ScoringError
        A gene stands twice.
    """
    columns = {gene: column for column, gene in enumerate(genes)}
    if len(columns) != len(genes):
        seen: set[str] = set()
        twice = next(gene for gene in genes if gene in seen or seen.add(gene))
        raise ScoringError(
            f"Gene {twice!r} stands twice among the columns of the matrix; collapse duplicate "
            "genes before scoring."
        )
    return columns


def gene_lists(genes: Sequence[str], sets: Sets) -> GeneLists:
    """Look the genes of all sets up in the matrix.

    Parameters
    ----------
    genes
        Gene symbols, one per column of the matrix, without duplicates.
    sets
        Signature name to (up genes, down genes). A gene named twice in one list counts once.

    Raises
    ------
    ScoringError
        A gene stands twice among the columns.
    SignatureError
        A set names no gene, or the same gene as up and as down.
    """
    columns = column_of(genes)
    names, up, down, sizes, declared, members = [], [], [], [], [], []
    for name, (up_genes, down_genes) in sets.items():
        both = (sorted(set(up_genes)), sorted(set(down_genes)))
        if not any(both):
            raise SignatureError(f"Gene set {name!r} names no gene; remove it or fill it.")
        contradiction = sorted(set(both[0]) & set(both[1]))
        if contradiction:
            raise SignatureError(
                f"Gene set {name!r} names {contradiction[0]!r} as an up and as a down gene; "
                "remove it from one of the two."
            )
        names.append(name)
        for side, owner in zip(both, (up, down), strict=True):
            if not side:
                owner.append(-1)
                continue
            owner.append(len(sizes))
            present = [columns[gene] for gene in side if gene in columns]
            members.extend(present)
            sizes.append(len(present))
            declared.append(len(side))
    return GeneLists(
        names=tuple(names),
        up=np.array(up, dtype=np.int64),
        down=np.array(down, dtype=np.int64),
        indptr=np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64),
        members=np.array(members, dtype=np.int32),
        declared=np.array(declared, dtype=np.int64),
    )
