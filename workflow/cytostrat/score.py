"""Score a bulk cohort: one score per sample, signature and method, and what was measured.

Outputs
-------
Scores
    See `cytostrat.tables.SCORES`; ``score`` in the unit of its method, ``percentile`` the
    mid-rank within the cohort in percent.
Coverage
    See `cytostrat.tables.COVERAGE`; a set below the configured share is scored and flagged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cytostrat import scoring, tables
from cytostrat.signatures import Signature, coverage


def score_cohort(
    matrix: np.ndarray,
    samples: Sequence[str],
    genes: Sequence[str],
    signatures: Mapping[str, Signature],
    *,
    cohort: str,
    methods: Sequence[str],
    min_coverage: float,
    threads: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score every signature with every method.

    Parameters
    ----------
    matrix
        Samples x genes on the log2 scale; NaN where a gene was not measured in a sample.
    samples
        Names of the rows.
    genes
        Approved symbols of the columns.
    signatures
        Name to signature. Genes that the cohort does not measure are left out of the score
        and named in the Coverage table; a set with no measured gene gets no score, and a
        sample in which no gene of a set is measured gets none for it.
    cohort
        Name of the cohort.
    methods
        Names in `cytostrat.scoring.METHODS`.
    min_coverage
        Share of a set's genes that must be present for ``usable``.
    threads
        Number of threads, given by the caller.

    Returns
    -------
    scores, coverage
        The Scores and the Coverage table of the cohort.

    Raises
    ------
    ScoringError
        The matrix holds infinite values, or a method is unknown.
    """
    measured = coverage(signatures, genes, cohort=cohort, min_coverage=min_coverage)
    empty = set(measured.loc[measured["n_present"] == 0, "signature"])
    sets = {
        name: (signature.up, signature.down)
        for name, signature in signatures.items()
        if name not in empty
    }
    folded = [name for name in sets if signatures[name].direction == "unknown"]
    blocks = []
    for method in methods:
        options = {"unknown": folded} if method == "singscore" else {}
        scored = scoring.score(
            matrix, genes, sets, method=method, threads=threads, samples=samples, **options
        )
        columns = {"score": scored, "percentile": scoring.percentile(scored)}
        long = pd.DataFrame({name: wide.stack(future_stack=True) for name, wide in columns.items()})
        long = long.dropna().rename_axis(["sample", "signature"]).reset_index()
        blocks.append(long.assign(cohort=cohort, cell_type="", method=method))
    return tables.SCORES.concat(blocks), measured
