"""The record beside each scoring method: what it needs, and what to compare its scores with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """What a reader must know of a scoring method before comparing its scores.

    Parameters
    ----------
    name
        Key in the configuration.
    title
        Name in text.
    doi
        Publication that defines it.
    needs
        Scale of the input: ``any`` (only the order within a sample counts), ``log`` or ``counts``.
    comparable_samples
        Scores of one signature may be compared between the samples of one cohort.
    comparable_sets
        Scores of two signatures in one sample may be compared.
    comparable_cohorts
        A sample's score does not depend on the other samples of the run.
    up_down
        How up and down genes are combined.
    ties
        Which rank tied genes get.
    missing
        What happens to genes that are absent, from the matrix or in one sample.
    meaning
        One sentence: what a score means and what it may be compared with.
    """

    name: str
    title: str
    doi: str
    needs: str
    comparable_samples: bool
    comparable_sets: bool
    comparable_cohorts: bool
    up_down: str
    ties: str
    missing: str
    meaning: str
