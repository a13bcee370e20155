"""Tables that the reader can sort, filter and take away, packed into the page.

A table travels as the gzipped text of its TSV file: what is downloaded from the page is, byte for
byte, what is shown. The script unpacks it when the section is opened.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from typing import Any

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
    "adjustment": "Covariates; none is the crude estimate",
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
    "null_p": "Share of matched random gene sets that do as well",
    "power_limit": "Smallest effect this cohort could see with 80 % power",
    "note": "Limits of the row",
    "model": "How cohorts were pooled",
    "k": "Number of cohorts",
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
    "pooled": "question stratum signature contrast adjustment scale model k estimate low high p q "
    "i2 pi_low pi_high note",
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


def tsv(frame: pd.DataFrame) -> str:
    """Return a table as the TSV text of its file."""
    out = frame.copy()
    for column in out.columns:
        if pd.api.types.is_float_dtype(out[column]):
            out[column] = out[column].map(
                lambda v: "" if pd.isna(v) else f"{v:.{SIGNIFICANT_DIGITS}g}", na_action=None
            )
    return out.to_csv(sep="\t", index=False, lineterminator="\n")


def table(name: str, frame: pd.DataFrame, *, simulated: bool) -> dict[str, Any]:
    """Prepare one table for the page.

    Returns
    -------
    dict
        ``name``, ``title``, ``rows`` (count), ``columns`` (name, kind, help, shown), ``payload``
        (packed TSV), ``file`` (name of the download), ``simulated``.
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
        "payload": pack(tsv(frame).encode()),
        "file": f"{'SIMULATED_' if simulated else ''}{name}.tsv",
        "simulated": simulated,
    }


def tables(frames: Mapping[str, pd.DataFrame], *, simulated: bool) -> list[dict[str, Any]]:
    """Prepare several tables, in the given order."""
    return [table(name, frame, simulated=simulated) for name, frame in frames.items()]
