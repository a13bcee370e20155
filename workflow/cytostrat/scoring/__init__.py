"""Scores of gene sets per sample.

One file per method: a function ``(matrix, gene lists) -> scores`` and the `Method` record that
says what the scores may be compared with. `score` is the entry for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cytostrat.errors import ScoringError
from cytostrat.scoring import aucell as _aucell
from cytostrat.scoring import gsva as _gsva
from cytostrat.scoring import singscore as _singscore
from cytostrat.scoring import ssgsea as _ssgsea
from cytostrat.scoring import ucell as _ucell
from cytostrat.scoring import zscore as _zscore
from cytostrat.scoring.genelists import Sets, gene_lists
from cytostrat.scoring.ranking import Ranked, rank
from cytostrat.scoring.records import Method

_SCORERS: dict[str, Callable[..., np.ndarray]] = {
    "ssgsea": _ssgsea.ssgsea,
    "singscore": _singscore.singscore,
    "ucell": _ucell.ucell,
    "zscore": _zscore.zscore,
    "gsva": _gsva.gsva,
    "aucell": _aucell.aucell,
}

METHODS: dict[str, Method] = {
    module.METHOD.name: module.METHOD
    for module in (_ssgsea, _singscore, _ucell, _zscore, _gsva, _aucell)
}

__all__ = ["METHODS", "Method", "Ranked", "percentile", "rank", "score"]


def score(
    matrix: Any,
    genes: Sequence[str],
    sets: Sets,
    *,
    method: str,
    threads: int = 1,
    samples: Sequence[str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Score gene sets in every sample.

    Parameters
    ----------
    matrix
        Samples x genes, dense or CSR, float32 or float64, on the scale that the method needs
        (`Method.needs`), or the `Ranked` of it. NaN: not measured in that sample.
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
    options
        Further keywords of the method.

    Returns
    -------
    pandas.DataFrame
        Samples x signatures, float64. NaN where a list of the signature has no gene measured in
        the sample.

    Raises
    ------
    ScoringError
        Unknown method, genes and columns that do not match, duplicate genes, infinite values.
    SignatureError
        A set without genes, or with the same gene up and down.
    """
    if method not in METHODS:
        raise ScoringError(
            f"Scoring method {method!r} is not known; choose among {', '.join(METHODS)}."
        )
    if matrix.shape[1] != len(genes):
        raise ScoringError(
            f"The matrix has {matrix.shape[1]} columns and {len(genes)} genes are named; rows are "
            "samples and columns are genes."
        )
    lists = gene_lists(genes, sets)
    values = _SCORERS[method](matrix, lists, threads=threads, **options)
    return pd.DataFrame(values, index=samples, columns=list(lists.names))


def percentile(scores: pd.DataFrame) -> pd.DataFrame:
    """Return each score's percentile within its column, 0 to 100.

    ``100 * (rank - 0.5) / n`` with average ranks among the n scores that are not missing; a
    missing score has no percentile.
    """
    return 100.0 * (scores.rank() - 0.5) / scores.notna().sum()
