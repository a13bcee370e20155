"""Scores of gene sets per sample.

One file per method: a function ``(matrix, gene lists) -> scores`` and the `Method` record that
says what the scores may be compared with. `score` is the entry for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cytostrat.errors import ScoringError
from cytostrat.scoring import singscore as _singscore
from cytostrat.scoring import ssgsea as _ssgsea
from cytostrat.scoring.genelists import GeneLists, Sets, gene_lists
from cytostrat.scoring.records import Method

METHODS: dict[str, Method] = {module.METHOD.name: module.METHOD for module in (_ssgsea, _singscore)}

__all__ = ["METHODS", "Method", "percentile", "score"]


def score(
    matrix: Any,
    genes: Sequence[str],
    sets: Sets,
    *,
    method: str,
    threads: int = 1,
    samples: Sequence[str] | None = None,
    unknown: Collection[str] = (),
    **options: Any,
) -> pd.DataFrame:
    """Score gene sets in every sample.

    Parameters
    ----------
    matrix
        Samples x genes, dense or CSR, float32 or float64, on the scale that the method needs
        (`Method.needs`). NaN: not measured in that sample.
    genes
        Gene symbols of the columns, without duplicates.
    sets
        Signature name to (up genes, down genes).
    method
        Key of `METHODS`.
    threads
        Number of threads.
    samples
        Names of the rows; 0, 1, ... if not given.
    unknown
        Signatures whose genes may move either way (singscore only); they have no down genes.
    options
        Further keywords of the method.

    Returns
    -------
    pandas.DataFrame
        Samples x signatures, float64. NaN where no gene of the signature is measured in the
        sample.

    Raises
    ------
    ScoringError
        Unknown method, genes and columns that do not match, duplicate genes, infinite values.
    SignatureError
        A set without genes, or with the same gene up and down.
    """
    if method not in METHODS:
        raise ScoringError(
            f"Scoring method {method!r} is not known; choose among {', '.join(sorted(METHODS))}."
        )
    if matrix.shape[1] != len(genes):
        raise ScoringError(
            f"The matrix has {matrix.shape[1]} columns and {len(genes)} genes are named; rows are "
            "samples and columns are genes."
        )
    lists = gene_lists(genes, sets)
    if method == "ssgsea":
        values = _ssgsea.ssgsea(matrix, lists, threads=threads, **options)
        combined = _difference(values, lists)
    else:
        folded = _unknown_lists(lists, unknown)
        values = _singscore.singscore(
            matrix, lists, threads=threads, unknown=frozenset(folded), **options
        )
        combined = _singscore.combine(values, lists, folded)
    return pd.DataFrame(combined, index=samples, columns=list(lists.names))


def _unknown_lists(lists: GeneLists, unknown: Collection[str]) -> set[int]:
    folded = set()
    for name, up, down in zip(lists.names, lists.up, lists.down, strict=True):
        if name in unknown:
            if down >= 0:
                raise ScoringError(
                    f"Signature {name!r} is of unknown direction and names down genes; put all "
                    "its genes in one list."
                )
            folded.add(int(up))
    return folded


def _side(values: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Scores of each signature's up (or down) list, 0 where it has none."""
    return np.where(owner >= 0, values[:, np.maximum(owner, 0)], 0.0)


def _difference(values: np.ndarray, lists: GeneLists) -> np.ndarray:
    return _side(values, lists.up) - _side(values, lists.down)


def percentile(scores: pd.DataFrame) -> pd.DataFrame:
    """Return each score's percentile within its column, 0 to 100.

    ``100 * (rank - 0.5) / n`` with average ranks among the n scores that are not missing; a
    missing score has no percentile.
    """
    return 100.0 * (scores.rank() - 0.5) / scores.notna().sum()
