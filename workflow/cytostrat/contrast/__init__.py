"""Contrast a cohort's scores between HER2, ER and other groups, crude and adjusted.

Output: Effects rows (`cytostrat.tables.EFFECTS`), for every signature and method

========== ==================================================================================
scale      meaning
========== ==================================================================================
hedges_g   difference of two groups over the pooled within-group SD, corrected for small
           samples; interval that lets the groups vary unequally; p by Mann-Whitney
auc        probability that a case scores above a control; interval from DeLong's variance on
           the logit scale; the same p
adjusted_g coefficient of the group in OLS with covariates, over the crude pooled within-group
           SD; HC3 interval and p with degrees of freedom of the design. Beside each row of
           ``er+age`` stands ``none, patients of er+age``, the model without covariates in the
           same patients: what adjusting did is the difference of these two
mean_z     mean of the score, standardised over the cohort, in one ER x HER2 cell; no test
es         enrichment score of the set in the moderated contrast of all genes
========== ==================================================================================

Samples without the group, the score or (adjusted rows) a covariate are left out; n counts the
samples used. ``power_limit`` is the smallest effect, in the row's own scale, that a two-sided
test at 0.05 would have found with 80 % power at this n. ``null_p`` compares the estimate with
that of random sets of the same size and expression level. What cannot be estimated is a row
with a note and no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats as distributions

from cytostrat import tables
from cytostrat.contrast.cohort import cohort_scores
from cytostrat.contrast.genes import Enrichment, moderated_contrast, prerank
from cytostrat.contrast.groups import (
    er_comparisons,
    her2_comparisons,
    low_comparison,
    named_comparison,
    status,
)
from cytostrat.contrast.rows import (
    Adjustment,
    CohortScores,
    Comparison,
    blocks,
    compare,
    effect_rows,
)
from cytostrat.contrast.sensitivity import permuted_effects, sensitivity_effects
from cytostrat.signatures import Signature
from cytostrat.stats import Estimates
from cytostrat.stats.effect_table import NullScores, with_null_p

__all__ = [
    "Enrichment",
    "contrast_effects",
    "moderated_contrast",
    "permuted_effects",
    "prerank",
    "sensitivity_effects",
]

CELLS = {
    "er+/her2+": ("positive", "positive"),
    "er+/her2-": ("positive", "negative"),
    "er-/her2+": ("negative", "positive"),
    "er-/her2-": ("negative", "negative"),
}


def contrast_effects(
    clinical: pd.DataFrame,
    scores: pd.DataFrame,
    coverage: pd.DataFrame,
    signatures: Mapping[str, Signature],
    *,
    cohort: str,
    sampling: Mapping[str, object] | None = None,
    adjustment: Sequence[str] = ("er", "age"),
    min_group: int = 5,
    further_adjustments: Sequence[Sequence[str]] = (),
    mediators: Sequence[Sequence[str]] = (),
    covariate_signatures: Mapping[str, str] | None = None,
    groups: Mapping[str, Mapping[str, object]] | None = None,
    null_scores: NullScores | None = None,
) -> pd.DataFrame:
    """Return the Effects rows of HER2, HER2-low, ER, their four cells and named groups.

    Parameters
    ----------
    clinical
        Canonical clinical columns, index sample.
    scores
        Scores rows of this cohort (bulk: `cell_type` empty).
    coverage
        Coverage rows of this cohort.
    signatures
        The signatures to contrast; one without scores keeps its rows, with a note.
    cohort
        Name of the cohort.
    sampling
        ``design`` and ``on`` of the provenance; where patients were chosen by a variable or
        case-control, crude effects say so.
    adjustment
        Covariates of the primary adjusted row, the same in every cohort. Inside ER strata er
        is not a covariate, and in the question ``er`` her2 takes its place.
    min_group
        Fewest samples in the smaller group for an estimate.
    further_adjustments
        Covariates of further adjusted rows of HER2 in all samples, a row each.
    mediators
        The same for sets that hold a mediator, such as infiltration: what is left after it is
        not the effect of HER2, and the row's adjustment ends in ``(mediator)``.
    covariate_signatures
        Covariate name to the signature whose score, by the row's own method, stands in for it
        where the cohort has no clinical column of that name; the row's note says so.
    groups
        Name to ``column``, ``case`` and ``control`` (lists of values) of further contrasts.
    null_scores
        (signature, method) to the scores of matched random sets, samples (as in `clinical`) x
        sets, or None; fills ``null_p`` of g and the adjusted effects. Asked once for each.

    Returns
    -------
    pandas.DataFrame
        Conforms to `cytostrat.tables.EFFECTS`.

    Raises
    ------
    EstimationError
        The scores are of samples that the clinical frame does not hold, or a named group has a
        value on both sides.
    """
    shared = cohort_scores(
        clinical, scores, coverage, list(signatures),
        cohort=cohort, sampling=sampling, min_group=min_group,
        covariate_signatures=covariate_signatures,
    )  # fmt: skip
    primary = Adjustment.of(adjustment)
    further = [Adjustment.of(covariates) for covariates in further_adjustments]
    further += [Adjustment.of(covariates, mediator=True) for covariates in mediators]
    comparisons = (
        *her2_comparisons(clinical, primary, further),
        low_comparison(clinical, primary),
        *er_comparisons(clinical, primary),
        *(
            named_comparison(clinical, name, group, primary)
            for name, group in (groups or {}).items()
        ),
    )
    results = [found for comparison in comparisons for found in compare(shared, comparison)]
    return tables.EFFECTS.concat([*with_null_p(results, null_scores), *_cells(shared)])


def _cells(cohort: CohortScores) -> Iterator[pd.DataFrame]:
    """Yield the mean standardised score of each ER x HER2 cell."""
    er, her2 = status(cohort.clinical, "er"), status(cohort.clinical, "her2")
    for block in blocks(cohort.values):
        scored = block.values[block.scored]
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = scored.std(axis=0, ddof=1) if len(scored) > 1 else np.full(len(block.keys), 0)
            z = (block.values - scored.sum(axis=0) / len(scored)) / np.where(
                spread > 0, spread, np.nan
            )
        for stratum, (er_status, her2_status) in CELLS.items():
            inside = ((er == er_status) & (her2 == her2_status)).to_numpy() & block.scored
            comparison = Comparison("er_her2_cells", stratum, "mean", pd.Series(dtype=float))
            n = int(inside.sum())
            if n < 2:
                text = f"not estimated: {n} samples in the cell, at least 2 are needed"
                estimates = Estimates.nothing(len(block.keys), n=n)
            else:
                text = "" if n >= cohort.min_group else f"only {n} samples in the cell"
                mean, se = z[inside].mean(axis=0), z[inside].std(axis=0, ddof=1) / np.sqrt(n)
                half = distributions.t.isf(0.025, n - 1) * se
                untested = np.full(len(block.keys), np.nan)
                estimates = Estimates(mean, se, mean - half, mean + half, untested, n=n)
            yield effect_rows(cohort, comparison, block.keys, estimates, "mean_z", note=text)
