"""Positive controls: does the gene of a receptor tell that receptor's status?

A cohort whose labels, columns or sample names are mixed up cannot pass. The rows themselves
(question ``control``, scale ``auc``, endpoint her2 or er) are made once per cohort, before
anything is tested.
"""

from __future__ import annotations

import pandas as pd

from cytostrat.stats import notes

PASS_ABOVE = 0.7
GOOD_FROM = 0.9
CHANCE = 0.5
ENDPOINTS = ("her2", "er")


def control_note(area: float, low: float, high: float) -> str:
    """Return the note of a control with this AUC and 95 % limits.

    The control passes where the lower limit is above 0.7; an AUC below 0.9 is a remark on the
    quality of the labels, and one whose upper limit is below 0.5 says that they are swapped. A
    missing AUC neither passes nor fails.
    """
    return notes.join(
        notes.CONTROL_FAILED if low <= PASS_ABOVE else "",
        notes.CONTROL_REVERSED if is_reversed(high) else "",
        notes.LABEL_QUALITY if area < GOOD_FROM and not is_reversed(high) else "",
    )


def is_reversed(high: float) -> bool:
    """Tell from the upper 95 % limit of a control's AUC whether the labels are swapped."""
    return high < CHANCE


def failed_cohorts(effects: pd.DataFrame) -> set[str]:
    """Return the cohorts of which a positive control did not pass."""
    rows = (
        (effects["question"] == "control")
        & effects["endpoint"].isin(ENDPOINTS)
        & (effects["scale"] == "auc")
        & (effects["low"] <= PASS_ABOVE)
    )
    return set(effects.loc[rows, "cohort"])
