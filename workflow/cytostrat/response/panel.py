"""The 1998 trial's panel as mRNA: genes and their contrast in SD before treatment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from cytostrat.stats import notes
from cytostrat.stats.effect_table import NullScores

PANEL_1998 = ("IL1B", "IL2", "IL6", "TNF", "IFNG", "IL2RA")
PANEL_RISING = "IFNG"
PANEL_FALLING = ("IL1B", "IL6", "IL2RA")
PANEL_NOTE = "mRNA stands in for the serum and culture proteins of the trial"

NullGenes = Callable[[Sequence[str], Sequence[str]], "tuple[np.ndarray, np.ndarray] | None"]
"""(rising, falling genes) to samples x sets x genes of random genes for either side."""


def panel_1998(
    expression: pd.DataFrame, *, baseline: np.ndarray
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the genes of the 1998 trial's panel and their contrast, in SD before treatment.

    Parameters
    ----------
    expression
        Samples x genes on the log2 scale.
    baseline
        Positions of the samples that give mean and SD of each gene, one per patient.

    Returns
    -------
    values
        Samples x (name, ``"gene z"``): the six genes and ``IFNG - mean(IL1B, IL6, IL2RA)``.
        A gene that is absent, or does not vary before treatment, is all NaN, and so is the
        contrast that needs it. Where IFNG and some of the other three are there, one more
        column holds the contrast of those, under a name that says which.
    why
        Column name to the reason why it is NaN, or shorter than the published one.
    """
    z: dict[str, pd.Series] = {}
    why: dict[str, str] = {}
    for gene in PANEL_1998:
        if gene not in expression.columns or expression[gene].isna().all():
            why[gene] = f"{gene} is not measured"
        else:
            base = expression[gene].iloc[baseline].astype(float)
            if base.std(ddof=1) > 1e-12 * base.abs().max():
                z[gene] = (expression[gene].astype(float) - base.mean()) / base.std(ddof=1)
            else:
                why[gene] = f"{gene} does not vary before treatment"
    missing = pd.Series(np.nan, index=expression.index)
    columns = {gene: z.get(gene, missing) for gene in PANEL_1998}
    lacking = [gene for gene in (PANEL_RISING, *PANEL_FALLING) if gene not in z]
    full = _contrast_name(PANEL_FALLING)
    reasons = notes.join([why[gene] for gene in lacking])
    columns[full] = missing
    if not lacking:
        columns[full] = z[PANEL_RISING] - sum(z[g] for g in PANEL_FALLING) / len(PANEL_FALLING)
    else:
        why[full] = f"no contrast without {', '.join(lacking)}: {reasons}"
        left = [gene for gene in PANEL_FALLING if gene in z]
        if PANEL_RISING in z and left:
            short = _contrast_name(left)
            columns[short] = z[PANEL_RISING] - sum(z[gene] for gene in left) / len(left)
            why[short] = f"shorter than the trial's contrast: {reasons}"
    values = pd.DataFrame(columns)
    values.columns = pd.MultiIndex.from_product([values.columns, ["gene z"]])
    return values, why


def panel_null(null_genes: NullGenes, baseline: np.ndarray) -> NullScores:
    """Return what gives random genes, or random contrasts, for a column of the panel."""

    def mean_z(values: np.ndarray) -> np.ndarray | float:
        if values.shape[2] == 0:
            return 0.0
        base = values[baseline].astype(float)
        spread = base.std(axis=0, ddof=1)
        spread = np.where(spread > 1e-12 * np.abs(base).max(axis=0), spread, np.nan)
        return ((values - base.mean(axis=0)) / spread).mean(axis=2)

    def null(name: str, method: str) -> np.ndarray | None:
        single = name in PANEL_1998
        rising = (name,) if single else (PANEL_RISING,)
        falling = () if single else tuple(gene for gene in PANEL_FALLING if gene in name)
        drawn = null_genes(rising, falling)
        return None if drawn is None else mean_z(drawn[0]) - mean_z(drawn[1])

    return null


def _contrast_name(falling: Sequence[str]) -> str:
    return f"{PANEL_RISING} - mean({', '.join(falling)})"
