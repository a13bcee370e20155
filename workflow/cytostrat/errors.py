"""Everything that cytostrat raises on purpose, one screen long.

A message is one sentence (a second may list examples) that names the file, the column
or key, the value found and the remedy. `cytostrat.errors.CytostratError` is what
adaptors and the command line turn into a plain message and exit code 1.
"""

from __future__ import annotations

LONGEST = 1200


class CytostratError(Exception):
    """Base of all deliberate errors.

    The message is one line of at most `LONGEST` characters, whatever a file brought into it.
    """

    def __str__(self) -> str:
        text = "".join(each if each.isprintable() else " " for each in super().__str__())
        if len(text) <= LONGEST:
            return text
        return f"{text[: LONGEST * 2 // 3]} ... {text[-LONGEST // 4 :]}"


class ConfigError(CytostratError):
    """A key or value of the configuration or of a cohort file can't be used."""


class InputError(CytostratError):
    """A data file can't be read, or holds what it was declared not to hold."""


class FetchError(InputError):
    """A download failed or brought something other than what was asked for."""


class SignatureError(CytostratError):
    """A gene set, or a table that describes gene sets, can't be used."""


class ScoringError(CytostratError):
    """A matrix or a set breaks the rule of a scoring method."""


class TableError(CytostratError):
    """A table breaks its contract (see `cytostrat.tables`)."""


class EstimationError(CytostratError):
    """An estimator can't give the number that was asked for."""
