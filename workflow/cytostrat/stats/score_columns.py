"""Scores of one cohort as columns: one per signature and method, in the order of the samples."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd

from cytostrat.errors import EstimationError
from cytostrat.stats import notes


def score_columns(
    scores: pd.DataFrame, samples: pd.Index, signatures: Collection[str]
) -> pd.DataFrame:
    """Return scores as samples x (signature, method), NaN where a sample has no score.

    Every named signature gets a column per method of the frame, all NaN where it was not
    scored; signatures that are not named are left out.

    Parameters
    ----------
    scores
        Scores rows of one bulk cohort (`cytostrat.tables.SCORES`).
    samples
        The cohort's samples; the order of the result.
    signatures
        Names.

    Raises
    ------
    EstimationError
        The scores name samples that are not among `samples`.
    """
    foreign = sorted(set(scores["sample"]) - set(samples))
    if foreign:
        raise EstimationError(
            f"The scores hold {len(foreign)} samples that the clinical frame lacks, "
            f"among them {', '.join(foreign[:5])}; use scores and clinic of the same cohort file."
        )
    methods = sorted(scores["method"].unique())
    columns = pd.MultiIndex.from_product(
        [sorted(signatures), methods], names=["signature", "method"]
    )
    wide = scores.pivot(index="sample", columns=["signature", "method"], values="score")
    return wide.reindex(index=samples, columns=columns).astype(float)


def blocks_of_equal_gaps(values: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rows, columns) masks: columns that are missing in the same samples go together."""
    finite = np.isfinite(values.to_numpy())
    if finite.shape[1] == 0:
        return
    _, pattern = np.unique(finite, axis=1, return_inverse=True)
    for number in range(pattern.max() + 1):
        columns = pattern.reshape(-1) == number
        yield finite[:, columns][:, 0], columns


def signature_notes(coverage: pd.DataFrame) -> dict[str, str]:
    """Return what Coverage says against a signature, by name; the good ones are absent."""
    out = {}
    for row in coverage.itertuples():
        if row.n_present == 0:
            out[row.signature] = notes.join("no gene of the set is measured", notes.UNUSABLE)
        elif not row.usable:
            out[row.signature] = notes.UNUSABLE
    return out
