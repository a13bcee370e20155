"""Simulated cohorts with planted truth: the demo, and the tests that ask for it back.

Latent factors of each patient are drawn first (`factors`), then expression on a platform
(`expression`), clinical evidence that errs as assays do (`clinic`), the archive's way to write
it all down (`dialects`), and beside it what an analysis should find (`truth`).
"""

from cytostrat.simulate.bulk import DESIGNS, Design, SimulatedCohort, simulate_cohort
from cytostrat.simulate.factors import AXES, NONE, PLANTED, Effects

__all__ = [
    "AXES",
    "DESIGNS",
    "NONE",
    "PLANTED",
    "Design",
    "Effects",
    "SimulatedCohort",
    "simulate_cohort",
]
