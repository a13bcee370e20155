"""What the contrasts of one cohort share, from the tables of the stages before."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from cytostrat.contrast.rows import CohortScores, NullScores
from cytostrat.errors import EstimationError
from cytostrat.stats import notes


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
    null_scores: NullScores | None = None,
) -> CohortScores:
    """Return the shared part; parameters as in `cytostrat.contrast.contrast_effects`."""
    named = dict(covariate_signatures or {})
    wide = wide_scores(scores, clinical.index, [*signatures, *named.values()])
    methods = wide.columns.unique(level=1)
    covariates = {
        method: pd.DataFrame(
            {name: wide[(signature, method)] for name, signature in named.items()},
            index=clinical.index,
        )
        for method in methods
    }
    wanted = wide.columns.get_level_values(0).isin(list(signatures))
    design = (sampling or {}).get("design")
    return CohortScores(
        name=cohort,
        clinical=clinical,
        values=wide.loc[:, wanted],
        signature_notes=_signature_notes(coverage),
        min_group=min_group,
        crude_note=notes.CASE_CONTROL if design == "case_control" else "",
        covariates=covariates if named else {},
        covariate_signatures=named,
        null_scores=null_scores,
    )


def _signature_notes(coverage: pd.DataFrame) -> dict[str, str]:
    out = {}
    for row in coverage.itertuples():
        if row.n_present == 0:
            out[row.signature] = notes.join("no gene of the set is measured", notes.UNUSABLE)
        elif not row.usable:
            out[row.signature] = notes.UNUSABLE
    return out


def wide_scores(
    scores: pd.DataFrame, samples: pd.Index, signatures: Collection[str]
) -> pd.DataFrame:
    """Return scores as samples x (signature, method), NaN where a sample has no score.

    Every named signature gets a column per method of the frame, all NaN where it was not
    scored; signatures that are not named are left out.

    Raises
    ------
    EstimationError
        The scores name samples that are not among `samples`.
    """
    foreign = sorted(set(scores["sample"]) - set(samples))
    if foreign:
        raise EstimationError(
            f"The scores hold {len(foreign)} samples that the clinical frame lacks, "
            f"among them {', '.join(foreign[:5])}; score and contrast the same cohort file."
        )
    methods = sorted(scores["method"].unique())
    columns = pd.MultiIndex.from_product([sorted(set(signatures)), methods])
    wide = scores.pivot(index="sample", columns=["signature", "method"], values="score")
    return wide.reindex(index=samples, columns=columns).astype(float)
