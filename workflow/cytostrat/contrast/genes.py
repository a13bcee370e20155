"""All genes between HER2 groups, and the sets in that ranking. Exploratory.

The ranking is the moderated t-statistic of HER2, adjusted; the running sum is GSEApy's prerank.
GSEApy's own p-values exchange genes, which takes genes of one set for independent; they are not
used. The p here exchanges the HER2 labels among tumours of one ER status and repeats the whole
contrast each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from cytostrat import tables
from cytostrat.contrast.groups import CONTRAST, binary, status
from cytostrat.contrast.rows import ALL_GENES, PRIMARY, RESIDUAL_FREEDOM, Adjustment
from cytostrat.errors import EstimationError
from cytostrat.signatures import Signature
from cytostrat.stats import notes
from cytostrat.stats.design import covariate_design
from cytostrat.stats.enrichment import enrichment_scores
from cytostrat.stats.moderated import moderated_t, permuted_moderated_t
from cytostrat.stats.multiplicity import benjamini_hochberg
from cytostrat.stats.permutation import empirical_p, permuted_labels

METHOD = "prerank"
RUNNING_DIGITS = 6
GENE_COLUMNS = ("gene", "coefficient", "t", "p", "q")
RUNNING_COLUMNS = ("signature", "position", "running_sum")


@dataclass(frozen=True)
class Enrichment:
    """Enrichment of the signatures in one cohort's moderated contrast.

    Parameters
    ----------
    effects
        Effects rows: question ``enrichment``, scale ``es``.
    running
        The running sum of each signature as a broken line: signature, position (1 is the gene
        highest in HER2-positive), running_sum. Only its corners, so that a figure stays small.
    genes
        The moderated contrast, as `moderated_contrast` returns it.
    """

    effects: pd.DataFrame
    running: pd.DataFrame
    genes: pd.DataFrame


@dataclass(frozen=True)
class _Groups:
    """Samples of a gene contrast: rows of the matrix, group, covariates, ER strata."""

    rows: np.ndarray
    case: np.ndarray
    covariates: np.ndarray | None
    strata: np.ndarray | None
    notes: tuple[str, ...]


def _groups(clinical: pd.DataFrame, adjustment: Sequence[str], min_group: int) -> _Groups:
    her2 = binary(status(clinical, "her2"))
    rows = np.flatnonzero(her2.notna())
    if rows.size == 0:
        raise EstimationError("no sample has a HER2 status")
    design = covariate_design(clinical.iloc[rows], adjustment)
    rows = rows[design.complete]
    case = her2.to_numpy()[rows] == 1
    fewest = max(min_group, 2)
    if min(case.sum(), (~case).sum()) < fewest:
        raise EstimationError(f"a HER2 group holds fewer than {fewest} samples")
    if len(case) - design.matrix.shape[1] - 2 < RESIDUAL_FREEDOM:
        raise EstimationError(f"fewer than {RESIDUAL_FREEDOM} residual degrees of freedom")
    strata = None
    if "er" in adjustment:
        strata = (status(clinical, "er") == "positive").to_numpy()[rows]
    covariates = design.matrix if design.matrix.shape[1] else None
    return _Groups(rows, case, covariates, strata, design.notes)


def _dense(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    chosen = matrix[rows]
    return chosen.toarray() if hasattr(chosen, "toarray") else np.asarray(chosen)


def moderated_contrast(
    matrix: np.ndarray,
    genes: Sequence[str],
    clinical: pd.DataFrame,
    *,
    adjustment: Sequence[str] = ("er", "age"),
    min_group: int = 5,
) -> pd.DataFrame:
    """Return the moderated contrast HER2 positive against negative of every gene.

    Parameters
    ----------
    matrix
        Samples (rows as in `clinical`) x genes on the log2 scale, dense or CSR.
    genes
        Names of the columns.
    clinical
        Canonical clinical columns, index sample.
    adjustment
        Covariates, complete cases only.
    min_group
        Fewest samples in the smaller group.

    Returns
    -------
    pandas.DataFrame
        gene, coefficient (adjusted log2 difference), t, p, q (Benjamini-Hochberg over all
        genes), highest t first; a gene with a missing value has no t and stands last.

    Raises
    ------
    EstimationError
        The groups are too small, or a covariate is missing throughout.
    """
    groups = _groups(clinical, adjustment, min_group)
    return _gene_table(_dense(matrix, groups.rows), genes, groups)


def _gene_table(values: np.ndarray, genes: Sequence[str], groups: _Groups) -> pd.DataFrame:
    # Sums in single precision depend on the processor and on how many threads BLAS has, and with
    # them the ranking; in double precision on one thread nothing of that reaches a stated digit.
    with threadpool_limits(limits=1, user_api="blas"):
        found = moderated_t(values.astype(float), groups.case, groups.covariates)
    table = pd.DataFrame(
        {
            "gene": list(genes), "coefficient": found.coefficient, "t": found.t, "p": found.p,
            "q": benjamini_hochberg(found.p),
        }
    )  # fmt: skip
    return table.sort_values(["t", "gene"], ascending=[False, True], ignore_index=True)


def prerank(
    matrix: np.ndarray,
    genes: Sequence[str],
    clinical: pd.DataFrame,
    signatures: Mapping[str, Signature],
    *,
    cohort: str,
    seed: int,
    adjustment: Sequence[str] = ("er", "age"),
    min_group: int = 5,
    n_permutations: int = 1000,
    threads: int = 1,
) -> Enrichment:
    """Return the enrichment of the signatures in the moderated contrast of HER2.

    Parameters
    ----------
    matrix, genes, clinical, adjustment, min_group
        As in `moderated_contrast`.
    signatures
        Sets to look for; of a set with falling genes only the rising ones are used.
    cohort
        Name of the cohort.
    seed
        Of the permutations.
    n_permutations
        Number of label permutations, within ER status where er is a covariate; 0 gives no p.
    threads
        Threads of GSEApy.

    Returns
    -------
    Enrichment
        Where the contrast cannot be made its Effects rows have a note and no number.
    """
    clinical = clinical.assign(_row=np.arange(len(clinical))).sort_index()
    order = clinical.pop("_row").to_numpy()
    try:
        groups = _groups(clinical, adjustment, min_group)
        values = _dense(matrix, order[groups.rows])
        table = _gene_table(values, genes, groups)
    except EstimationError as error:
        rows = [
            _row(name, cohort, adjustment, note=f"not estimated: {str(error).rstrip('.')}")
            for name in signatures
        ]
        return Enrichment(
            tables.EFFECTS.records(rows),
            pd.DataFrame(columns=list(RUNNING_COLUMNS)),
            pd.DataFrame(columns=list(GENE_COLUMNS)),
        )
    ranking = table.dropna(subset="t").set_index("gene")["t"]
    place = {gene: i for i, gene in enumerate(genes)}
    ranked = np.array([place[gene] for gene in ranking.index])
    position = {gene: i for i, gene in enumerate(ranking.index)}
    members = {
        name: np.array([position[g] for g in signature.up if g in position], dtype=np.int64)
        for name, signature in signatures.items()
    }
    observed = dict(
        zip(members, enrichment_scores(ranking.to_numpy(), list(members.values())), strict=True)
    )
    p = dict.fromkeys(members, np.nan)
    if n_permutations:
        labels = permuted_labels(groups.case, n_permutations, seed=seed, strata=groups.strata)
        with threadpool_limits(limits=1, user_api="blas"):
            null = np.array(
                [
                    enrichment_scores(t[ranked], list(members.values()))
                    for t in permuted_moderated_t(values, labels, groups.covariates)
                ]
            )
        p = dict(zip(members, empirical_p(np.array(list(observed.values())), null), strict=True))
    said = notes.join(
        "exploratory",
        f"p by {n_permutations} permutations of the labels" if n_permutations else "no p",
        f"{len(table) - len(ranking)} genes with missing values left out"
        if len(table) > len(ranking)
        else "",
        groups.notes,
    )
    rows = [
        _row(
            name, cohort, adjustment, groups=groups, estimate=observed[name], p=p[name],
            note=notes.join(_unscored(members[name].size, len(ranking), observed[name]), said),
        )
        for name in signatures
    ]  # fmt: skip
    return Enrichment(tables.EFFECTS.records(rows), _running(ranking, members, threads), table)


def _unscored(size: int, ranked: int, score: float) -> str:
    """Return why a set has no enrichment score."""
    if np.isfinite(score):
        return ""
    if size == 0:
        return "not estimated: no gene of the set is measured"
    if size == ranked:
        return "not estimated: the set holds every gene"
    return "not estimated: the statistic of all its genes is zero"


def _row(
    name: str,
    cohort: str,
    adjustment: Sequence[str],
    *,
    groups: _Groups | None = None,
    estimate: float = np.nan,
    p: float = np.nan,
    note: str,
) -> dict[str, object]:
    return {
        "cohort": cohort, "question": "enrichment", "stratum": "all", "signature": name,
        "method": METHOD, "contrast": CONTRAST, "her2_rule": PRIMARY, "gene_filter": ALL_GENES,
        "adjustment": Adjustment.of(adjustment).name, "scale": "es", "estimate": estimate, "p": p,
        "n": len(groups.case) if groups else 0,
        "n_case": int(groups.case.sum()) if groups else 0, "note": note,
    }  # fmt: skip


def _running(ranking: pd.Series, members: Mapping[str, np.ndarray], threads: int) -> pd.DataFrame:
    """Return the corners of GSEApy's running sums: both sides of every gene of the set."""
    import gseapy

    sets = {
        name: [ranking.index[i] for i in places]
        for name, places in members.items()
        if 0 < places.size < len(ranking)
    }
    frames = [pd.DataFrame(columns=list(RUNNING_COLUMNS))]
    if sets:
        found = gseapy.prerank(
            rnk=ranking, gene_sets=sets, permutation_num=1, seed=0, min_size=1,
            max_size=len(ranking), outdir=None, no_plot=True, threads=threads,
        ).results  # fmt: skip
        frames = []
        for name in sorted(found):
            line = np.asarray(found[name]["RES"], dtype=float)
            hits = np.asarray(found[name]["hits"], dtype=int)
            corners = np.unique(
                np.clip(np.concatenate([[0], hits - 1, hits, [len(line) - 1]]), 0, None)
            )
            # Decimals, not digits: where the sum returns to zero its digits are rounding error.
            height = np.round(line[corners], RUNNING_DIGITS) + 0.0
            frames.append(
                pd.DataFrame({"signature": name, "position": corners + 1, "running_sum": height})
            )
    return pd.concat(frames, ignore_index=True)
