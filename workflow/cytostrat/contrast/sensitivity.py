"""How far an effect depends on the HER2 rule, the amplicon's genes, and the labels at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cytostrat import tables
from cytostrat.contrast.cohort import cohort_scores
from cytostrat.contrast.groups import (
    CONTRAST,
    binary,
    expression_rule,
    her2_comparisons,
    her2_rules,
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
from cytostrat.signatures import Signature, affected
from cytostrat.stats import Estimates, notes
from cytostrat.stats.effect_size import hedges_g, permuted_g
from cytostrat.stats.effect_table import NullScores, with_null_p
from cytostrat.stats.permutation import empirical_p, permuted_labels
from cytostrat.stats.score_columns import score_columns

LISTED = 5


def sensitivity_effects(
    clinical: pd.DataFrame,
    scores: pd.DataFrame,
    coverage: pd.DataFrame,
    signatures: Mapping[str, Signature],
    *,
    cohort: str,
    filter_genes: Mapping[str, Collection[str]],
    filter_scores: Mapping[str, pd.DataFrame],
    erbb2: pd.Series | None = None,
    sampling: Mapping[str, object] | None = None,
    adjustment: Sequence[str] = ("er", "age"),
    min_group: int = 5,
    null_scores: NullScores | None = None,
) -> pd.DataFrame:
    """Return the HER2 contrast under other HER2 rules and without the amplicon's genes.

    Rules (column ``her2_rule``, all samples, g and the primary adjusted effect): flags
    excluded, equivocal positive, equivocal negative, ihc only (3+ against 0 and 1+), and
    expression (two-component mixture on ERBB2). The last uses the scores of the first gene
    filter, so that the genes that make the groups are not among those compared.

    Gene filters (column ``gene_filter``, all samples and by ER): a signature that holds a
    filtered gene takes its score from `filter_scores`; one that holds none repeats its numbers
    and says so.

    Parameters
    ----------
    clinical, scores, coverage, signatures, cohort, sampling, adjustment, min_group, null_scores
        As in `cytostrat.contrast.contrast_effects`. The random sets of a signature serve its rows
        of all genes; a row without a filter's genes asks `null_scores` for sets matched to what is
        left of the signature, naming these genes as a third argument.
    filter_genes
        Filter name, e.g. ``without amplicon core``, to the genes that it removes.
    filter_scores
        Filter name to Scores rows of the signatures that lose a gene.
    erbb2
        Log2 expression of ERBB2, index sample; None where it is not measured.

    Returns
    -------
    pandas.DataFrame
        Conforms to `cytostrat.tables.EFFECTS`.

    Raises
    ------
    EstimationError
        As `cytostrat.contrast.contrast_effects`.
    """
    shared = cohort_scores(
        clinical, scores, coverage, list(signatures),
        cohort=cohort, sampling=sampling, min_group=min_group,
    )  # fmt: skip
    primary = Adjustment.of(adjustment)
    results = [
        found
        for rule in her2_rules(clinical)
        for found in compare(shared, _by_rule(rule.name, rule.case, rule.note, primary))
    ]
    called = expression_rule(clinical, erbb2)
    for number, (name, genes) in enumerate(filter_genes.items()):
        filtered = _filtered(shared, signatures, name, genes, filter_scores.get(name))
        comparisons = list(her2_comparisons(clinical, primary))
        if number == 0:
            comparisons.append(_by_rule(called.name, called.case, called.note, primary))
        forbidden = {
            signature: frozenset(genes)
            for signature, found in signatures.items()
            if affected(found, genes)
        }
        results.extend(
            replace(found, forbidden=forbidden)
            for comparison in comparisons
            for found in compare(filtered, replace(comparison, gene_filter=name))
        )
    return tables.EFFECTS.concat(with_null_p(results, null_scores))


def _by_rule(name: str, case: pd.Series, note: str, primary: Adjustment) -> Comparison:
    return Comparison(
        "her2", "all", CONTRAST, case, (primary,), her2_rule=name, note=note, with_auc=False
    )


def _filtered(
    cohort: CohortScores,
    signatures: Mapping[str, Signature],
    name: str,
    genes: Collection[str],
    scores: pd.DataFrame | None,
) -> CohortScores:
    """Return the cohort with the scores of the affected signatures exchanged."""
    values, said = cohort.values.copy(), dict(cohort.signature_notes)
    removed = {s: sorted(set(signatures[s].genes) & set(genes)) for s in signatures}
    touched = [signature for signature, gone in removed.items() if gone]
    columns = values.columns[values.columns.get_level_values(0).isin(touched)]
    if scores is None:
        values.loc[:, columns] = np.nan
    else:
        values.loc[:, columns] = score_columns(scores, values.index, touched).reindex(
            columns=columns
        )
    for signature, gone in removed.items():
        text = notes.NO_GENE_AFFECTED
        if gone:
            more = f" and {len(gone) - LISTED} more" if len(gone) > LISTED else ""
            text = f"scored {name}: {', '.join(gone[:LISTED])}{more}"
        said[signature] = notes.join(text, said.get(signature, ""))
    return replace(cohort, values=values, signature_notes=said)


def permuted_effects(
    clinical: pd.DataFrame,
    scores: pd.DataFrame,
    coverage: pd.DataFrame,
    signatures: Mapping[str, Signature],
    *,
    cohort: str,
    seed: int,
    n_permutations: int = 1000,
    sampling: Mapping[str, object] | None = None,
    min_group: int = 5,
) -> pd.DataFrame:
    """Return the negative control: Hedges' g between permuted HER2 labels.

    Rows have question ``control`` and scale hedges_g; `estimate` is the mean and `low`, `high`
    the 2.5 % and 97.5 % quantiles of g over the permutations, `p` that of the observed g about
    that mean by (k + 1) / (n + 1). Endpoint ``her2 permuted`` moves the labels freely: the mean
    must be near zero. Endpoint ``her2 permuted within er`` moves them among tumours of one ER
    status (adjustment ``er``): its mean is the part of the HER2 difference that ER alone makes.

    Parameters
    ----------
    clinical, scores, coverage, signatures, cohort, sampling, min_group
        As in `cytostrat.contrast.contrast_effects`.
    seed
        Of the permutations; the same labellings serve every signature of a cohort.
    n_permutations
        Number of labellings.
    """
    clinical = clinical.sort_index()  # the labellings must not depend on the order of rows
    shared = cohort_scores(
        clinical, scores, coverage, list(signatures),
        cohort=cohort, sampling=sampling, min_group=min_group,
    )  # fmt: skip
    her2, er = binary(status(clinical, "her2")), binary(status(clinical, "er"))
    frames = []
    for endpoint, case, adjustment in (
        ("her2 permuted", her2, "none"),
        ("her2 permuted within er", her2.where(er.notna()), "er"),
    ):
        comparison = Comparison("control", "all", CONTRAST, case)
        for block in blocks(shared.values):
            rows = case.notna().to_numpy() & block.scored
            label = case.to_numpy()[rows] == 1
            estimates, note = _permuted(
                block.values[rows], label, seed=seed, n=n_permutations, fewest=shared.fewest,
                strata=er.to_numpy()[rows] if adjustment == "er" else None,
            )  # fmt: skip
            frames.append(
                effect_rows(
                    shared, comparison, block.keys, estimates, "hedges_g",
                    endpoint=endpoint, adjustment=adjustment, note=note,
                )
            )  # fmt: skip
    return tables.EFFECTS.concat(frames)


def _permuted(
    values: np.ndarray,
    case: np.ndarray,
    *,
    seed: int,
    n: int,
    fewest: int,
    strata: np.ndarray | None,
) -> tuple[Estimates, str]:
    counts = {"n": len(case), "n_case": int(case.sum())}
    if min(case.sum(), (~case).sum()) < fewest:
        empty = Estimates.nothing(values.shape[1], **counts)
        return empty, f"not estimated: a group holds fewer than {fewest} samples"
    observed = hedges_g(values, case).estimate
    null = permuted_g(values, permuted_labels(case, n, seed=seed, strata=strata))
    # the observed labelling is one of those that could have come up, so it counts in the mean
    mean = (null.sum(axis=0) + observed) / (n + 1)
    low, high = np.quantile(null, [0.025, 0.975], axis=0)
    estimates = Estimates(
        null.mean(axis=0), null.std(axis=0, ddof=1), low, high,
        empirical_p(observed - mean, null - mean), **counts,
    )  # fmt: skip
    return estimates, f"labels permuted {n} times"
