"""What every expression reader returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cytostrat.errors import InputError
from cytostrat.readers.rows import Rows, stacked

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Expression:
    """An expression matrix as its file has it.

    Parameters
    ----------
    values
        Samples (or cells) x genes, float32 or float64 (where float32 would lose digits of
        counts), dense, CSR, or `Rows` that stay on disk. NaN is a missing value.
    samples
        Names as in the file, blanks included.
    genes
        Gene or probe ids as in the file.
    file
        Name used in messages.
    warnings
        What the reader had to assume.
    """

    values: np.ndarray | csr_matrix | Rows
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


SUMMARY_ROWS = frozenset({
    "N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous", "__no_feature", "__ambiguous",
    "__too_low_aQual", "__not_aligned", "__alignment_not_unique", "no_feature", "ambiguous",
    "too_low_aQual", "not_aligned", "alignment_not_unique",
})  # fmt: skip


def without_summary_rows(expression: Expression) -> Expression:
    """Leave out the rows in which STAR and HTSeq count the reads of no gene."""
    keep = [column for column, gene in enumerate(expression.genes) if gene not in SUMMARY_ROWS]
    n_left_out = len(expression.genes) - len(keep)
    if not n_left_out:
        return expression
    return replace(
        expression,
        values=expression.values[:, keep],
        genes=tuple(expression.genes[column] for column in keep),
        warnings=(*expression.warnings, f"{n_left_out} rows that count reads of no gene left out"),
    )


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
        blocks.append(part.values[:, [place[gene] for gene in genes]])
        if len(part.genes) > len(genes):
            notes.append(f"{part.file}: {len(part.genes) - len(genes)} genes are in no other file")
    return Expression(
        values=_vstack(blocks),
        samples=tuple(sample for part in parts for sample in part.samples),
        genes=tuple(genes),
        file=files,
        warnings=tuple(notes),
    )


def _vstack(blocks: list) -> np.ndarray | csr_matrix | Rows:
    from scipy import sparse

    if any(isinstance(block, Rows) for block in blocks):
        return stacked(blocks)
    if any(sparse.issparse(block) for block in blocks):
        return sparse.csr_matrix(sparse.vstack(blocks))
    return np.vstack(blocks)
