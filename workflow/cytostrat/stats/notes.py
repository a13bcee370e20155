"""Notes of Effects rows that later stages act on, so that they need no other knowledge.

A note is a short clause; a row joins its notes by ``; ``. Pools and verdicts read these few by
`carries`; all other notes are for people.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

UNUSABLE = "coverage is below the configured share: left out of pools and verdicts"
CASE_CONTROL = "crude effect of a cohort sampled case-control: no verdict from it"
CONTROL_FAILED = "positive control failed: cohort left out of pools and verdicts"
LABEL_QUALITY = "label quality: the positive control's AUC is below 0.9"
NO_GENE_AFFECTED = "no gene affected: the numbers are those of all genes"


def join(*notes: str | Iterable[str]) -> str:
    """Return the notes as one text, each once, in order, empty ones left out."""
    flat: list[str] = []
    for note in notes:
        flat.extend([note] if isinstance(note, str) else note)
    return "; ".join(dict.fromkeys(note for note in flat if note))


def carries(notes: pd.Series, note: str) -> pd.Series:
    """Return whether each row's notes hold the given one."""
    return notes.fillna("").str.contains(note, regex=False)
