"""Scores of signatures in the shape of the Scores table, and the ones that tests need beside.

`long_scores` is what the score stage writes, `wide_scores` the same for one method as samples x
signatures. Stages that ask how much a result owes to chance
or to the ERBB2 amplicon score again, with the same kernel: `null_scores` gives the scores of
random sets matched to a signature, `filtered_scores` those of signatures without some genes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cytostrat import scoring, tables
from cytostrat.signatures import Signature, affected, without

if TYPE_CHECKING:
    from anndata import AnnData


def wide_scores(
    matrix: np.ndarray | scoring.Ranked,
    genes: Sequence[str],
    signatures: Mapping[str, Signature],
    *,
    method: str,
    threads: int = 1,
    samples: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the scores of signatures by one method, samples x signatures.

    Beyond the genes it hands on what a method must know of a signature: singscore, whether its
    genes may move either way.

    Parameters
    ----------
    matrix
        Samples x genes on the log2 scale; NaN where a gene was not measured in a sample.
    genes, samples
        Names of columns and rows; rows are numbered where they have none.
    signatures
        Name to signature. Genes that are not among the columns do not count; a signature of
        which none is gets no column.
    method
        One of `cytostrat.scoring.METHODS`.
    threads
        Number of threads, given by the caller.

    Raises
    ------
    ScoringError
        The matrix holds infinite values, or the method is unknown.
    """
    present = set(genes)
    scored = {n: s for n, s in signatures.items() if not present.isdisjoint(s.genes)}
    unknown = [name for name, signature in scored.items() if signature.direction == "unknown"]
    return scoring.score(
        matrix,
        genes,
        _sets(scored),
        method=method,
        threads=threads,
        samples=samples,
        **({"unknown": unknown} if method == "singscore" else {}),
    )


def _sets(
    signatures: Mapping[str, Signature],
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    return {name: (signature.up, signature.down) for name, signature in signatures.items()}


def long_scores(
    matrix: np.ndarray | scoring.Ranked,
    samples: Sequence[str],
    genes: Sequence[str],
    signatures: Mapping[str, Signature],
    *,
    cohort: str,
    methods: Sequence[str],
    threads: int = 1,
) -> pd.DataFrame:
    """Return a Scores table: one row per sample, signature and method.

    Parameters
    ----------
    matrix, genes, signatures
        As in `wide_scores`; a signature has no row for a sample in which none of its genes was
        measured.
    samples
        Names of the samples.
    cohort
        Name of the cohort.
    methods
        Names in `cytostrat.scoring.METHODS`.
    threads
        Number of threads, given by the caller.

    Raises
    ------
    ScoringError
        The matrix holds infinite values, or a method is unknown.
    """
    blocks = []
    for method in methods:
        wide = wide_scores(
            matrix, genes, signatures, method=method, threads=threads, samples=samples
        )
        columns = {"score": wide, "percentile": scoring.percentile(wide)}
        long = pd.DataFrame({name: part.stack(future_stack=True) for name, part in columns.items()})
        long = long.dropna().rename_axis(["sample", "signature"]).reset_index()
        blocks.append(long.assign(cohort=cohort, cell_type="", method=method))
    return tables.SCORES.concat(blocks)


def filtered_scores(
    cohort: AnnData,
    signatures: Mapping[str, Signature],
    filters: Mapping[str, Collection[str]],
    *,
    methods: Sequence[str],
    threads: int = 1,
) -> dict[str, pd.DataFrame]:
    """Return, per gene filter, the Scores of the signatures that lose a gene to it.

    Parameters
    ----------
    cohort
        The Cohort table.
    signatures
        Name to signature.
    filters
        Name of the filter to the genes it takes out of the signatures. The genes stay in the
        ranking of the sample. A signature that would lose all its genes gets no score.
    methods, threads
        As in `long_scores`.
    """
    out = {}
    for name, removed in filters.items():
        left = {}
        for key, signature in signatures.items():
            lost = affected(signature, removed)
            if lost and len(lost) < len(signature.genes):
                left[key] = without(signature, removed)
        out[name] = long_scores(
            cohort.X,
            cohort.obs_names,
            cohort.var_names,
            left,
            cohort=cohort.uns["provenance"]["cohort"],
            methods=methods,
            threads=threads,
        )
    return out


def null_scores(
    cohort: AnnData,
    signatures: Mapping[str, Signature],
    *,
    sets: int,
    seed: int,
    threads: int = 1,
) -> Callable[..., np.ndarray | None]:
    """Return a function from (signature, method) to the scores of its matched random sets.

    A third argument names genes that a test has taken out of the signature, such as those of its
    endpoint or of the ERBB2 amplicon: the sets are then matched to what is left of the signature
    and hold none of these genes either.

    Parameters
    ----------
    cohort
        The Cohort table.
    signatures
        The signatures that get a null; for any other the function returns None.
    sets
        Random sets per signature, matched in size and mean expression.
    seed
        Seed of the draw; see `cytostrat.scoring.matched_sets`.
    threads
        Number of threads, given by the caller.

    Returns
    -------
    Callable
        Its arrays are samples x sets. Nothing is scored before it is asked for; sets are drawn
        once per signature and forbidden genes, and serve all methods.
    """
    genes = cohort.var_names
    present = frozenset(genes)

    @cache
    def means() -> np.ndarray:
        return scoring.mean_expression(cohort.X)

    @cache
    def ranked() -> scoring.Ranked:
        return scoring.rank(cohort.X, tied=True, threads=threads)

    @cache
    def drawn(signature: str, forbidden: frozenset[str]) -> scoring.RandomSets | None:
        left = signatures[signature]
        lost = affected(left, forbidden)
        if len(lost) == len(left.genes):
            return None
        left = without(left, lost) if lost else left
        return scoring.matched_sets(
            means(), genes, _sets({signature: left}), n=sets, seed=seed, forbidden=forbidden
        ).get(signature)

    def scored(
        signature: str, method: str, forbidden: Collection[str] = frozenset()
    ) -> np.ndarray | None:
        if signature not in signatures:
            return None
        random = drawn(signature, present.intersection(forbidden))
        if random is None:
            return None
        unknown = {"unknown": signatures[signature].direction == "unknown"}
        return scoring.score_random(
            ranked() if scoring.METHODS[method].needs == "any" else cohort.X,
            random,
            method=method,
            threads=threads,
            **(unknown if method == "singscore" else {}),
        )

    return scored


def null_expression(
    cohort: AnnData, *, sets: int, seed: int
) -> Callable[[Sequence[str], Sequence[str]], tuple[np.ndarray, np.ndarray] | None]:
    """Return a function from (genes, further genes) to the expression of matched random genes.

    What `null_scores` is to signatures this is to single genes and contrasts of a few.

    Parameters
    ----------
    cohort, sets, seed
        As in `null_scores`.

    Returns
    -------
    Callable
        It gives two arrays, samples x sets x genes of either side, or None where no gene is
        measured. A single gene has each of its neighbours in mean expression once, so there
        are fewer sets than asked for.
    """

    @cache
    def means() -> np.ndarray:
        return scoring.mean_expression(cohort.X)

    def drawn(first: Sequence[str], second: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
        name = ",".join([*first, *second])
        single = len(first) + len(second) == 1
        random = scoring.matched_sets(
            means(),
            cohort.var_names,
            {name: (first, second)},
            seed=seed,
            n=10 * sets if single else sets,  # so often that no neighbour stays out
        ).get(name)
        if random is None:
            return None
        sides = [random.up, random.down]
        if single:
            each = np.unique(np.hstack(sides))[:, None]
            sides = [each[:, : min(side.shape[1], 1)] for side in sides]
        taken = [cohort.X[:, side.ravel()] for side in sides]
        return tuple(
            np.asarray(values).reshape(cohort.n_obs, *side.shape)
            for values, side in zip(taken, sides, strict=True)
        )

    return drawn


def expression_of(cohort: AnnData, genes: Collection[str]) -> pd.DataFrame:
    """Return samples x genes on the log2 scale, those of the named genes that are measured."""
    measured = [gene for gene in cohort.var_names if gene in set(genes)]
    return cohort[:, measured].to_df().astype(float)
