"""False discovery rate within declared families.

Reference: Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cytostrat.errors import EstimationError
from cytostrat.stats.estimates import bounded_p

Selector = Mapping[str, str | Sequence[str]]


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Return BH-adjusted p-values, in (0, 1]; NaN stays NaN and does not count as a test."""
    p = np.asarray(p, dtype=float)
    q = np.full(p.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    if tested.size:
        order = tested[np.argsort(p[tested], kind="stable")]
        raw = p[order] * tested.size / np.arange(1, tested.size + 1)
        q[order] = np.minimum.accumulate(raw[::-1])[::-1]
    return np.where(np.isnan(q), np.nan, bounded_p(q))


def assign_families(
    effects: pd.DataFrame,
    families: Mapping[str, Selector | Sequence[Selector]],
    *,
    by: Sequence[str] = ("cohort",),
) -> pd.DataFrame:
    """Return the table with `family` and `q` filled for the rows that a family declares.

    Parameters
    ----------
    effects
        Effects or Pooled rows; every test of a family must be there, because q depends on all.
    families
        Name of the family to its selector, or several selectors of which one must hold. A
        selector maps a column to the value, or the list of values, that a member row has.
    by
        Columns (those that the table has) within which each family is adjusted on its own:
        with the default every cohort's family is one set of tests, and the pooled family
        another.

    Returns
    -------
    pandas.DataFrame
        A copy; rows of no family keep an empty `family` and a missing `q`. A row without p
        belongs to its family but is no test of it.

    Raises
    ------
    EstimationError
        A selector names a column that the table lacks, or a row falls into two families.
    """
    out = effects.reset_index(drop=True)
    p = out["p"].to_numpy(dtype=float)
    family = np.full(len(out), "", dtype=object)
    q = np.full(len(out), np.nan)
    within = [column for column in by if column in out.columns]
    part = out.groupby(within, dropna=False).ngroup().to_numpy() if within else np.zeros(len(out))
    for name, selectors in families.items():
        member = _members(out, name, [selectors] if isinstance(selectors, Mapping) else selectors)
        twice = np.flatnonzero(member & (family != ""))
        if twice.size:
            row = out.iloc[twice[0]]
            raise EstimationError(
                f"Family {name} shares a row with family {family[twice[0]]} (question "
                f"{row['question']}, signature {row['signature']}); make the two disjoint."
            )
        family[member] = name
        for one in np.unique(part[member]):
            rows = member & (part == one)
            q[rows] = benjamini_hochberg(p[rows])
    return out.assign(family=family, q=q)


def _members(table: pd.DataFrame, name: str, selectors: Sequence[Selector]) -> np.ndarray:
    chosen = np.zeros(len(table), dtype=bool)
    for selector in selectors:
        fits = np.ones(len(table), dtype=bool)
        for column, wanted in selector.items():
            if column not in table.columns:
                raise EstimationError(
                    f"Family {name} selects by the column {column}, which the table lacks; "
                    f"columns are {', '.join(map(str, table.columns))}."
                )
            values = [wanted] if isinstance(wanted, str) else list(wanted)
            fits &= table[column].isin(values).to_numpy()
        chosen |= fits
    return chosen
