"""Frames that the tests of the contrasts start from."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from cytostrat import tables


def long_scores(values: pd.DataFrame, *, cohort="c", method="ssgsea") -> pd.DataFrame:
    """Return samples x signatures as Scores rows; a missing score is an absent row."""
    long = values.rename_axis("sample").reset_index().melt("sample", var_name="signature")
    long = long.rename(columns={"value": "score"}).dropna(subset="score")
    return tables.SCORES.conform(
        long.assign(cohort=cohort, cell_type="", method=method, percentile=np.nan)
    )


def coverage_rows(
    signatures: Collection[str],
    *,
    cohort: str = "c",
    unusable: Collection[str] = (),
    absent: Collection[str] = (),
) -> pd.DataFrame:
    """Return Coverage rows; absent signatures have no gene, unusable ones too few."""
    rows = [
        {
            "cohort": cohort, "signature": name, "n_genes": 10,
            "n_present": 0 if name in absent else 9, "fraction": 0.9, "missing": "",
            "usable": name not in (*unusable, *absent), "note": "",
        }
        for name in signatures
    ]  # fmt: skip
    return tables.COVERAGE.conform(pd.DataFrame(rows))


def status(flag: pd.Series) -> pd.Series:
    """Return 1 and 0 as positive and negative."""
    return flag.map({1: "positive", 0: "negative"}).astype(object)


def pick(effects: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """Return the rows with the wanted values, by signature."""
    chosen = effects
    for column, value in wanted.items():
        chosen = chosen[chosen[column] == value]
    return chosen.set_index("signature")
