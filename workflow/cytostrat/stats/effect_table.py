"""From estimates to Effects rows, and from random sets to their empirical p.

Every stage that estimates something on scores ends here, so that a row reads the same whichever
stage made it, and its null p is had in the same way: the statistic of the row, computed on random
sets in place of the score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cytostrat.stats import notes
from cytostrat.stats.estimates import SMALLEST_P, UNDERFLOW_NOTE, Estimates
from cytostrat.stats.permutation import empirical_p

PRIMARY = "primary"
ALL_GENES = "all genes"

NullScores = Callable[..., "np.ndarray | None"]
"""(signature, method) to samples x random sets, rows as in the clinical frame; None: no null.

Where a row leaves out some genes, these are a third argument: the sets are matched to what is left
of the signature and hold none of them either.
"""


def effect_frame(
    keys: pd.MultiIndex,
    estimates: Estimates,
    *,
    cohort: str,
    question: str,
    scale: str,
    contrast: str,
    endpoint: str = "",
    stratum: str = "all",
    adjustment: str = "none",
    her2_rule: str = PRIMARY,
    gene_filter: str = ALL_GENES,
    events: int | None = None,
    power_limit: np.ndarray | float = np.nan,
    note: str | Sequence[str] | np.ndarray = "",
    shared_note: str = "",
    signature_notes: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return one Effects row per column of the estimates (`cytostrat.tables.EFFECTS`).

    Parameters
    ----------
    keys
        (signature, method) of each column.
    estimates
        What was estimated; a column without an estimate has no power limit either.
    cohort, question, scale, contrast, endpoint, stratum, adjustment, her2_rule, gene_filter
        As they stand in the table.
    events
        Events among the samples used; None where nothing is followed up.
    power_limit
        Smallest effect that would have been found, one or one per column.
    note
        Own note of all rows, or one per column.
    shared_note
        Note that follows it on every row.
    signature_notes
        Signature to the note that closes all its rows.
    """
    own = np.broadcast_to(np.asarray(note, dtype=object), (len(keys),))
    signatures = keys.get_level_values(0)
    closing = signature_notes or {}
    return pd.DataFrame(
        {
            "cohort": cohort,
            "question": question,
            "endpoint": endpoint,
            "stratum": stratum,
            "signature": signatures,
            "method": keys.get_level_values(1),
            "contrast": contrast,
            "her2_rule": her2_rule,
            "gene_filter": gene_filter,
            "adjustment": adjustment,
            "n": estimates.n,
            "n_case": np.nan if estimates.n_case is None else estimates.n_case,
            "events": np.nan if events is None else events,
            "estimate": estimates.estimate,
            "scale": scale,
            "se": estimates.se,
            "low": estimates.low,
            "high": estimates.high,
            "p": estimates.p,
            "family": "",
            "q": np.nan,
            "null_p": np.nan,
            "power_limit": np.where(np.isnan(estimates.estimate), np.nan, power_limit),
            "note": [
                notes.join(
                    text,
                    UNDERFLOW_NOTE if p == SMALLEST_P else "",
                    shared_note,
                    closing.get(signature, ""),
                )
                for text, p, signature in zip(own, estimates.p, signatures, strict=True)
            ],
        }
    )


@dataclass(frozen=True)
class Estimated:
    """Effects rows, and how the same statistic is had from random sets.

    Parameters
    ----------
    rows
        Effects rows, one per signature and method.
    of_sets
        Takes samples x sets, rows as in the clinical frame, and returns a statistic per set; None
        where the rows have no null.
    observed
        Returns the same statistic of each row, where it is another than the row's estimate.
    forbidden
        Signature to the genes that its score was taken without and its random sets may not hold.
    """

    rows: pd.DataFrame
    of_sets: Callable[[np.ndarray], np.ndarray] | None = None
    observed: Callable[[], np.ndarray] | None = None
    forbidden: Mapping[str, frozenset[str]] = field(default_factory=dict)


def with_null_p(results: Sequence[Estimated], null_scores: NullScores | None) -> list[pd.DataFrame]:
    """Return the rows with ``null_p`` wherever there is an estimate and random sets exist.

    The random sets of a signature, a method and the genes left out are asked for once and serve
    all rows, and no others are held beside them: those of a large cohort take more memory than
    all else.
    """
    if null_scores is None:
        return [result.rows for result in results]
    waiting: dict[tuple[object, ...], list[tuple[int, int]]] = {}
    for number, result in enumerate(results):
        if result.of_sets is None:
            continue
        labels = (result.rows[name] for name in ("signature", "method", "estimate"))
        for place, (signature, method, estimate) in enumerate(zip(*labels, strict=True)):
            if np.isfinite(estimate):
                gone = result.forbidden.get(signature)
                key = (signature, method, gone) if gone else (signature, method)
                waiting.setdefault(key, []).append((number, place))
    found = [result.rows["null_p"].to_numpy(dtype=float).copy() for result in results]
    observed: dict[int, np.ndarray] = {}
    for key, places in waiting.items():
        null = null_scores(*key)
        if null is None:
            continue
        for number, place in places:
            result = results[number]
            if number not in observed:
                own = result.observed
                observed[number] = (
                    result.rows["estimate"].to_numpy(dtype=float) if own is None else own()
                )
            found[number][place] = empirical_p(observed[number][place], result.of_sets(null))
    return [result.rows.assign(null_p=p) for result, p in zip(results, found, strict=True)]
