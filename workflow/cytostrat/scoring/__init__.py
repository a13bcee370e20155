"""Scores of gene sets per sample.

One file per method: a function ``(matrix, gene lists) -> scores`` and the `Method` record that
says what the scores may be compared with. `score` is the entry for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from cytostrat.errors import ScoringError
from cytostrat.scoring import aucell as _aucell
from cytostrat.scoring import gsva as _gsva
from cytostrat.scoring import ridge as _ridge
from cytostrat.scoring import singscore as _singscore
from cytostrat.scoring import ssgsea as _ssgsea
from cytostrat.scoring import ucell as _ucell
from cytostrat.scoring import zscore as _zscore
from cytostrat.scoring.chunks import gene_names, read_chunks
from cytostrat.scoring.genelists import Sets, gene_lists
from cytostrat.scoring.nulls import RandomSets, matched_sets, mean_expression
from cytostrat.scoring.ranking import Ranked, rank
from cytostrat.scoring.records import Method
from cytostrat.scoring.ridge import Activity, cytosig

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
    for module in (_ssgsea, _singscore, _ucell, _zscore, _gsva, _aucell, _ridge)
}

__all__ = [
    "METHODS",
    "Activity",
    "Method",
    "RandomSets",
    "Ranked",
    "cytosig",
    "matched_sets",
    "mean_expression",
    "measured",
    "percentile",
    "rank",
    "score",
    "score_chunks",
    "score_random",
]


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
    scorer = _scorer(method)
    _check_width(matrix, genes)
    lists = gene_lists(genes, sets)
    values = scorer(matrix, lists, threads=threads, **options)
    return pd.DataFrame(values, index=samples, columns=list(lists.names))


def _scorer(method: str) -> Callable[..., np.ndarray]:
    if method == "cytosig":
        raise ScoringError(
            "Method 'cytosig' scores a matrix of responses in place of gene sets; call "
            "cytostrat.scoring.cytosig with it."
        )
    if method not in _SCORERS:
        raise ScoringError(
            f"Scoring method {method!r} is not known; choose among {', '.join(METHODS)}."
        )
    return _SCORERS[method]


def _check_width(matrix: Any, genes: Sequence[str]) -> None:
    if matrix.shape[1] != len(genes):
        raise ScoringError(
            f"The matrix has {matrix.shape[1]} columns and {len(genes)} genes are named; rows are "
            "samples and columns are genes."
        )


def score_chunks(
    path: str | Path,
    sets: Sets,
    *,
    method: str,
    threads: int = 1,
    layer: str | None = None,
    rows: int = 4096,
    **options: Any,
) -> Iterator[pd.DataFrame]:
    """Score the cells of an .h5ad file that stays on disk, some rows at a time.

    Parameters
    ----------
    path
        File with a dense or CSR matrix.
    sets
        Signature name to (up genes, down genes).
    method
        Key of `METHODS`; one whose scores do not depend on the other cells.
    threads
        Number of threads.
    layer
        Name in ``layers``; ``X`` if not given.
    rows
        Number of cells in memory at a time; changes no score.
    options
        Further keywords of the method.

    Yields
    ------
    pandas.DataFrame
        Cells x signatures, as `score` returns them, indexed by the file's cell names.

    Raises
    ------
    ScoringError
        The method compares cells with each other, or as in `score`.
    InputError
        The layer is absent, or the matrix is stored by columns.
    """
    scorer = _scorer(method)
    if not METHODS[method].comparable_cohorts:
        raise ScoringError(
            f"Method {method!r} compares samples with each other and can't be scored in parts; "
            "use ucell, aucell, ssgsea or singscore."
        )
    lists = gene_lists(list(gene_names(path)), sets)
    for names, block in read_chunks(path, layer=layer, rows=rows):
        values = scorer(block, lists, threads=threads, **options)
        yield pd.DataFrame(values, index=names, columns=list(lists.names))


def score_random(
    matrix: Any,
    random_sets: RandomSets,
    *,
    method: str,
    threads: int = 1,
    unknown: bool = False,
    **options: Any,
) -> np.ndarray:
    """Score the random sets of one signature; samples x sets, see `matched_sets`.

    Parameters
    ----------
    matrix
        As in `score`. Several signatures are scored fastest from one `rank` of the matrix.
    random_sets
        Random sets drawn for one signature on this matrix.
    method
        Key of `METHODS`.
    threads
        Number of threads.
    unknown
        The signature is of unknown direction (singscore).
    options
        Further keywords of the method.
    """
    lists = random_sets.lists()
    if unknown:
        options["unknown"] = lists.names
    return _scorer(method)(matrix, lists, threads=threads, **options)


def measured(matrix: Any, genes: Sequence[str], sets: Sets) -> pd.DataFrame:
    """Count the genes of each signature that are measured in each sample.

    Parameters
    ----------
    matrix
        Samples x genes, dense, CSR or ranked. NaN: not measured in that sample.
    genes
        Gene symbols of the columns, without duplicates.
    sets
        Signature name to (up genes, down genes).

    Returns
    -------
    pandas.DataFrame
        Samples x signatures, int64; genes of both lists together.
    """
    _check_width(matrix, genes)
    lists = gene_lists(genes, sets)
    owner = np.zeros(len(lists.declared), dtype=np.int64)
    for number in (lists.up, lists.down):
        owner[number[number >= 0]] = np.flatnonzero(number >= 0)
    columns = np.repeat(owner, lists.present)
    ones = np.ones(len(columns), dtype=np.int64)
    shape = (len(genes), len(lists.names))
    membership = sparse.csr_matrix((ones, (lists.members, columns)), shape=shape)
    total = np.tile(np.asarray(membership.sum(axis=0)).ravel(), (matrix.shape[0], 1))
    for start in range(0, matrix.shape[0], 256):
        missing = _not_measured(matrix, start, start + 256)
        if missing.sum():
            gaps = sparse.csr_matrix(missing, dtype=np.int64)
            total[start : start + 256] -= (gaps @ membership).toarray()
    return pd.DataFrame(total, columns=list(lists.names))


def _not_measured(matrix: Any, start: int, stop: int) -> Any:
    if isinstance(matrix, Ranked):
        return matrix.ranks[start:stop] == 0
    block = matrix[start:stop]
    if not sparse.issparse(block):
        return np.isnan(block)
    gaps = np.isnan(block.data)
    missing = block.astype(bool)
    missing.data = gaps
    return missing


def percentile(scores: pd.DataFrame) -> pd.DataFrame:
    """Return each score's percentile within its column, 0 to 100.

    ``100 * (rank - 0.5) / n`` with average ranks among the n scores that are not missing; a
    missing score has no percentile.
    """
    return 100.0 * (scores.rank() - 0.5) / scores.notna().sum()
