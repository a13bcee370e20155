"""What the contrasts of one cohort share, from the tables of the stages before."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from cytostrat.contrast.rows import CohortScores
from cytostrat.stats import notes
from cytostrat.stats.score_columns import score_columns, signature_notes


def cohort_scores(
    clinical: pd.DataFrame,
    scores: pd.DataFrame,
    coverage: pd.DataFrame,
    signatures: Collection[str],
    *,
    cohort: str,
    sampling: Mapping[str, object] | None = None,
    min_group: int = 5,
    covariate_signatures: Mapping[str, str] | None = None,
) -> CohortScores:
    """Return the shared part; parameters as in `cytostrat.contrast.contrast_effects`."""
    named = {
        name: signature
        for name, signature in (covariate_signatures or {}).items()
        if name not in clinical.columns or clinical[name].isna().all()
    }
    wide = score_columns(scores, clinical.index, {*signatures, *named.values()})
    methods = wide.columns.unique(level=1)
    covariates = {
        method: pd.DataFrame(
            {name: wide[(signature, method)] for name, signature in named.items()},
            index=clinical.index,
        )
        for method in methods
    }
    wanted = wide.columns.get_level_values(0).isin(list(signatures))
    return CohortScores(
        name=cohort,
        clinical=clinical,
        values=wide.loc[:, wanted],
        signature_notes=signature_notes(coverage),
        min_group=min_group,
        crude_note=notes.sampling_note(sampling),
        covariates=covariates if named else {},
        covariate_signatures=named,
    )
