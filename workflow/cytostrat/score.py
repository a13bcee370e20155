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

from cytostrat.signature_scores import long_scores
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
    scores = long_scores(
        matrix, samples, genes, signatures, cohort=cohort, methods=methods, threads=threads
    )
    return scores, measured
