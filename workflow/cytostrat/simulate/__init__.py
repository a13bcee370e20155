"""Simulated cohorts with planted truth: the demo, and the tests that ask for it back.

Latent factors of each patient are drawn first (`factors`), then expression on a platform
(`expression`), clinical evidence that errs as assays do (`clinic`), the archive's way to write
it all down (`dialects`), and beside it what an analysis should find (`truth`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cytostrat.errors import InputError
from cytostrat.simulate import bulk, cells, paired
from cytostrat.simulate.bulk import DESIGNS, Design, SimulatedCohort
from cytostrat.simulate.factors import AXES, NONE, PLANTED, Effects
from cytostrat.simulate.paired import NO_COURSE, PLANTED_COURSE, Course

if TYPE_CHECKING:
    import pandas as pd

    from cytostrat.signatures import Signature

COHORTS = (*DESIGNS, paired.NAME, cells.NAME)

__all__ = [
    "AXES",
    "COHORTS",
    "DESIGNS",
    "NONE",
    "NO_COURSE",
    "PLANTED",
    "PLANTED_COURSE",
    "Course",
    "Design",
    "Effects",
    "SimulatedCohort",
    "simulate_cohort",
]


def simulate_cohort(
    name: str,
    *,
    seed: int,
    genes: pd.DataFrame,
    signatures: Mapping[str, Signature],
    **choices: Any,
) -> SimulatedCohort:
    """Simulate the cohort of that name.

    Parameters
    ----------
    name
        One of `COHORTS`.
    seed
        Seed; a cohort depends on the seed and its own name, genes on the seed alone, so cohorts
        of one seed share their genes' behaviour and adding a cohort changes no other.
    genes
        Gene table, see `cytostrat.simulate.expression.gene_model`.
    signatures
        Sets whose genes are simulated.
    choices
        Further keywords of `bulk.simulate`, `paired.simulate` or `cells.simulate`: ``n``,
        ``n_genes``, and what is planted.

    Raises
    ------
    InputError
        No cohort of that name, too few patients, or an unusable gene table.
    """
    common = {"seed": seed, "genes": genes, "signatures": signatures}
    if name in DESIGNS:
        return bulk.simulate(DESIGNS[name], **common, **choices)
    if name == paired.NAME:
        return paired.simulate(**common, **choices)
    if name == cells.NAME:
        return cells.simulate(**common, **choices)
    raise InputError(f"No simulated cohort is called {name!r}: choose {', '.join(COHORTS)}.")
