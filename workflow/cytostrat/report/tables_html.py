"""Tables that the reader can sort, filter and take away, packed into the page.

A table travels column by column, which packs to two thirds of its TSV file: a column of few values
as the list of them and one character a row, any other as its text. The script unpacks it when the
section is opened and writes the same TSV again when it is downloaded.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cytostrat.tables import SIGNIFICANT_DIGITS

COLUMN_HELP = {
    "cohort": "Cohort; empty in a pooled row",
    "question": "What is compared; see Methods",
    "endpoint": "Outcome, or the other variable of an association",
    "stratum": "Tumours the row is restricted to",
    "signature": "Gene set",
    "method": "Scoring method",
    "contrast": "a - b: the estimate is a minus b",
    "her2_rule": "How HER2 was decided; primary is the rule in Methods",
    "gene_filter": "Genes left out of the set before scoring",
    "adjustment": "Covariates; none is the crude estimate, of all patients or those of a model",
    "n": "Samples in the estimate",
    "n_case": "Samples in the first group",
    "events": "Events in the estimate",
    "estimate": "Point estimate on the row's scale",
    "scale": "Unit of the estimate",
    "se": "Standard error",
    "low": "Lower 95 % limit",
    "high": "Upper 95 % limit",
    "p": "p-value, never adjusted",
    "family": "Declared family of tests; empty is exploratory",
    "q": "Benjamini-Hochberg within the family",
    "null_p": "Share of matched random gene sets that do as well; pooled, small where it is small "
    "in more than half of the cohorts",
    "power_limit": "Smallest effect this cohort could see with 80 % power",
    "note": "Limits of the row",
    "model": "How cohorts were pooled",
    "k": "Number of cohorts",
    "cohorts": "Cohorts that entered the pool",
    "tau2": "Variance between cohorts",
    "i2": "Share of the variance that lies between cohorts",
    "pi_low": "Lower limit of the 95 % prediction interval",
    "pi_high": "Upper limit of the 95 % prediction interval",
    "loo_low": "Smallest estimate when one cohort is left out",
    "loo_high": "Largest estimate when one cohort is left out",
    "claim": "Claim of a source document",
    "document": "Source document",
    "therapy": "Therapy the claim is about",
    "relation": "How the data bear on the claim",
    "verdict": "By the one rule in Methods",
    "reachable": "Whether the verdict could have been reached with this n",
    "reason": "Why this verdict",
    "n_genes": "Genes in the set",
    "n_present": "Genes of the set that the cohort measures",
    "fraction": "Share of the set that the cohort measures",
    "missing": "Genes of the set that the cohort lacks",
    "usable": "Whether the share is high enough for pools and verdicts",
    "step": "Step of the flow",
    "n_in": "Samples before the step",
    "n_out": "Samples after the step",
}
SHOWN_FIRST = {
    "effects": "cohort question stratum signature contrast adjustment n n_case estimate low high "
    "scale p q null_p note",
    "pooled": "question stratum signature contrast adjustment scale model k cohorts estimate low "
    "high p q null_p i2 pi_low pi_high note",
    "verdicts": "claim cohort signature relation estimate low high p q null_p verdict reachable "
    "reason",
    "coverage": "cohort signature n_genes n_present fraction usable missing note",
    "flow": "cohort step reason n_in n_out",
}
TITLES = {
    "effects": "Effects: one row per estimate in one cohort",
    "pooled": "Pooled: one row per estimate over cohorts",
    "verdicts": "Verdicts: claim by claim and cohort by cohort",
    "coverage": "Coverage: which genes of a set each cohort measures",
    "flow": "Flow: every exclusion",
}


def pack(content: bytes) -> str:
    """Return bytes as base64 of gzip, without a time stamp."""
    return base64.b64encode(gzip.compress(content, compresslevel=9, mtime=0)).decode()


FEW = 8  # rows a value, on average, from which on a column is written as codes
# Characters of the codes: printable, one byte each as far as they go, none that JSON escapes.
CODES = [*range(0x23, 0x5C), *range(0x5D, 0x7F)]
CODES_ON = 0xA1


def texts(column: pd.Series) -> np.ndarray:
    """Return the cells of a column as they stand in its file; missing is empty."""
    if pd.api.types.is_float_dtype(column):
        values = column.to_numpy(float, na_value=np.nan)
        return np.array(
            ["" if v != v else f"{v:.{SIGNIFICANT_DIGITS}g}" for v in values.tolist()], dtype=object
        )
    cells = column.astype(object)
    return cells.where(cells.notna(), "").map(str).to_numpy(object)


def columnar(frame: pd.DataFrame) -> str:
    """Return a table as the JSON that the page's script reads.

    Returns
    -------
    str
        ``rows`` and ``columns``, each with ``name`` and either ``text`` (the cells, one a line)
        or ``values`` and ``codes``: the character of a row stands for the value at its place in
        `CODES`, and from `CODES_ON` on for those after them.
    """
    columns = []
    for name in frame.columns:
        cells = texts(frame[name])
        places: dict[str, int] = {}  # pandas would take texts that differ after a NUL for one
        codes = np.array([places.setdefault(cell, len(places)) for cell in cells], dtype=np.int64)
        values = list(places)
        lined = any("\n" in value for value in values)
        if lined or len(values) * FEW <= len(cells):
            points = np.where(
                codes < len(CODES),
                np.array(CODES)[np.minimum(codes, len(CODES) - 1)],
                codes - len(CODES) + CODES_ON,
            )
            packed = "".join(map(chr, points.tolist()))
            columns.append({"name": name, "values": values, "codes": packed})
        else:
            columns.append({"name": name, "text": "\n".join(cells)})
    return json.dumps(
        {"rows": len(frame), "columns": columns}, ensure_ascii=False, separators=(",", ":")
    )


def table(name: str, frame: pd.DataFrame, *, simulated: bool) -> dict[str, Any]:
    """Prepare one table for the page.

    Returns
    -------
    dict
        ``name``, ``title``, ``rows`` (count), ``columns`` (name, kind, help, shown), ``payload``
        (packed, see `columnar`), ``file`` (name of the download), ``simulated``.
    """
    shown = SHOWN_FIRST.get(name, "").split()
    columns = [
        {
            "name": column,
            "number": bool(
                pd.api.types.is_numeric_dtype(frame[column])
                and not pd.api.types.is_bool_dtype(frame[column])
            ),
            "help": COLUMN_HELP.get(column, ""),
            "shown": not shown or column in shown,
        }
        for column in frame.columns
    ]
    return {
        "name": name,
        "title": TITLES.get(name, name),
        "rows": len(frame),
        "columns": columns,
        "payload": pack(columnar(frame).encode()),
        "file": f"{'SIMULATED_' if simulated else ''}{name}.tsv",
        "simulated": simulated,
    }


def tables(frames: Mapping[str, pd.DataFrame], *, simulated: bool) -> list[dict[str, Any]]:
    """Prepare several tables, in the given order."""
    return [table(name, frame, simulated=simulated) for name, frame in frames.items()]
