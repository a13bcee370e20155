"""Enrichment score of gene sets in a ranking of genes, for many rankings.

The running sum of GSEA: along the genes from the highest to the lowest statistic it rises at a
gene of the set by |statistic| over the set's total and falls elsewhere by one over the number
of other genes; the score is its largest deviation from zero. It equals GSEApy's prerank, which
draws the figures; this form needs only the positions of the set's genes, so that a thousand
permutations of the labels are affordable.

Reference: Subramanian 2005, doi:10.1073/pnas.0506580102.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def enrichment_scores(statistic: np.ndarray, members: Sequence[np.ndarray]) -> np.ndarray:
    """Return the enrichment score of each set.

    Parameters
    ----------
    statistic
        Shape (genes,), finite; ties keep the order of the genes.
    members
        Per set the indices of its genes, each once.

    Returns
    -------
    numpy.ndarray
        Shape (sets,), in [-1, 1]; NaN for a set without genes, with all genes, or whose genes
        all have the statistic zero.
    """
    n = statistic.size
    place = np.empty(n, dtype=np.int64)
    place[np.argsort(-statistic, kind="stable")] = np.arange(n)
    out = np.full(len(members), np.nan)
    for i, genes in enumerate(members):
        hits = np.asarray(genes)
        if not 0 < hits.size < n:
            continue
        order = np.argsort(place[hits])
        weight = np.abs(statistic[hits[order]])
        total = weight.sum()
        if total == 0:
            continue
        risen = np.cumsum(weight) / total
        fallen = (place[hits[order]] - np.arange(hits.size)) / (n - hits.size)
        above = (risen - fallen).max()
        below = (np.concatenate([[0.0], risen[:-1]]) - fallen).min()
        out[i] = above if above >= -below else below
    return out
