"""Notes of Effects rows that later stages act on, so that they need no other knowledge.

A note is a short clause; a row joins its notes by ``; ``. Pools and verdicts read these few by
`carries`; all other notes are for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pandas as pd

UNUSABLE = "coverage is below the configured share: left out of pools and verdicts"
SAMPLED = "crude effect of a cohort sampled"
CASE_CONTROL = f"{SAMPLED} case-control: no verdict from it"
HAZARDS = "proportional hazards fail"
SCORE_HAZARDS = f"{HAZARDS} for the score"
CONTROL_FAILED = "positive control failed: cohort left out of pools and verdicts"
CONTROL_REVERSED = "the gene separates the groups in reverse: the values look swapped"
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


def sampling_note(sampling: Mapping[str, object] | None) -> str:
    """Return the note of crude effects of a cohort in which sampling shapes them; else nothing.

    Sampling does where it was case-control, or where patients were chosen by any variable
    (`on`), be it for a case-control study or for a trial that took one group only.

    Parameters
    ----------
    sampling
        ``design`` and ``on`` of the provenance.
    """
    design, on = (sampling or {}).get("design"), (sampling or {}).get("on") or []
    if on:
        how = str(design or "design not stated").replace("_", "-")
        return f"{SAMPLED} by {' and '.join(map(str, on))} ({how}): no verdict from it"
    return CASE_CONTROL if design == "case_control" else ""


def sampled_how(note: str) -> str:
    """Return how a cohort was sampled, ``sampled by her2 (trial)``, from notes that say so."""
    found = re.search(rf"{re.escape(SAMPLED.removesuffix('sampled'))}(sampled [^:;]*):", note)
    return found[1] if found else ""


def clauses(note: str, start: str) -> list[str]:
    """Return the clauses of a row's notes that begin with `start`."""
    return [clause for clause in note.split("; ") if clause.startswith(start)]
