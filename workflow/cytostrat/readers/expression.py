"""What every expression reader returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cytostrat.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Expression:
    """An expression matrix as its file has it.

    Parameters
    ----------
    values
        Samples (or cells) x genes, float32 or float64 (where float32 would lose digits of
        counts), dense or CSR. NaN is a missing value.
    samples
        Names as in the file, blanks included.
    genes
        Gene or probe ids as in the file.
    file
        Name used in messages.
    warnings
        What the reader had to assume.
    """

    values: np.ndarray | csr_matrix
    samples: tuple[str, ...]
    genes: tuple[str, ...]
    file: str
    warnings: tuple[str, ...] = ()


def narrow(values: np.ndarray) -> np.ndarray:
    """Return float32 where every whole number survives it, otherwise the values as they are.

    Decimal numbers are measurements with fewer digits than float32 holds.
    """
    if values.dtype == np.float32:
        return values
    out = np.empty(values.shape, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for row, small in zip(values, out, strict=True):
            small[:] = row
            whole = np.isfinite(row) & (row == np.rint(row))
            if (small[whole] != row[whole]).any() or (np.isinf(small) & np.isfinite(row)).any():
                return values
    return out


def stack(parts: Sequence[Expression]) -> Expression:
    """Join matrices of different samples on the genes that all of them have.

    Raises
    ------
    InputError
        The parts share no gene.
    """
    if len(parts) == 1:
        return parts[0]
    shared = set(parts[0].genes).intersection(*(part.genes for part in parts[1:]))
    genes = [gene for gene in dict.fromkeys(parts[0].genes) if gene in shared]
    files = ", ".join(part.file for part in parts)
    if not genes:
        raise InputError(
            f"{files}: the files of one cohort share no gene id (for example "
            f"{parts[0].genes[0]!r} and {parts[1].genes[0]!r}); give files with the same ids."
        )
    blocks = []
    notes = [warning for part in parts for warning in part.warnings]
    for part in parts:
        place = {gene: column for column, gene in reversed(list(enumerate(part.genes)))}
        if len(place) < len(part.genes):
            raise InputError(
                f"{part.file}: has {len(part.genes) - len(place)} gene ids twice, so it can't be "
                "joined with the cohort's other files; give each id one row."
            )
        blocks.append(np.asarray(part.values)[:, [place[gene] for gene in genes]])
        if len(part.genes) > len(genes):
            notes.append(f"{part.file}: {len(part.genes) - len(genes)} genes are in no other file")
    return Expression(
        values=np.vstack(blocks),
        samples=tuple(sample for part in parts for sample in part.samples),
        genes=tuple(genes),
        file=files,
        warnings=tuple(notes),
    )
