"""From the joined parts of a cohort to its tables: here patients are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cytostrat.cells.effects import (
    coupling_effects,
    her2_effects,
    mark_coverage,
    source_effects,
)
from cytostrat.cells.lineages import subset_types
from cytostrat.cells.profiles import Profile, depth_bias
from cytostrat.cells.pseudobulk import (
    Pseudobulk,
    large_enough,
    patient_values,
    score_pseudobulk,
)
from cytostrat.cells.sources import SOURCES, composition, describe_sources
from cytostrat.signatures import Signature, coverage
from cytostrat.tables import EFFECTS


@dataclass(frozen=True)
class Summary:
    """The tables of a single-cell cohort.

    Parameters
    ----------
    scores
        Scores of pseudobulk; the sample is the patient.
    coverage
        Coverage.
    effects
        Effects rows of the questions ``cell_source``, ``cell_her2`` and ``cell_coupling``.
    sources
        Sources, by patient and lineage, and by patient and finer type (``T: regulatory T``).
    composition
        Cells by patient and lineage.
    depth
        Scores against depth, see `cytostrat.cells.profiles.depth_bias`.
    """

    scores: pd.DataFrame
    coverage: pd.DataFrame
    effects: pd.DataFrame
    sources: pd.DataFrame
    composition: pd.DataFrame
    depth: pd.DataFrame


def summarise(
    profile: Profile,
    bulk: Pseudobulk,
    obs: pd.DataFrame,
    labels: pd.DataFrame,
    signatures: Mapping[str, Signature],
    *,
    cohort: str,
    sampling: Mapping[str, Any],
    methods: Sequence[str],
    min_coverage: float,
    genes: Sequence[str],
    coupling: Sequence[str],
    min_cells: int,
    min_group: int,
    threads: int = 1,
) -> Summary:
    """Describe the cells of each patient and compare patients.

    Parameters
    ----------
    profile
        Of all cells.
    bulk
        Sums of all cells per patient and lineage.
    obs, labels
        Canonical columns, and cell types; one row per cell.
    signatures
        Name to signature.
    cohort
        Name of the cohort.
    sampling
        ``sampling`` of the provenance.
    methods
        Scoring methods of pseudobulk.
    min_coverage
        Share of a set's genes that must be measured.
    genes
        Single genes, as log2 counts per million of pseudobulk.
    coupling
        Genes and signatures of tumour cells that are held against IL1B of myeloid cells.
    min_cells
        Fewest cells of a type for a patient to count.
    min_group
        Fewest patients in the smaller HER2 group.
    threads
        Number of threads.
    """
    measured = coverage(signatures, bulk.genes, cohort=cohort, min_coverage=min_coverage)
    large = large_enough(bulk, min_cells=min_cells)
    scores = score_pseudobulk(large, signatures, cohort=cohort, methods=methods, threads=threads)
    values = patient_values(large, scores, features=genes)
    patients = obs["patient"].astype(object)
    by_type, by_subset = (
        _sources(profile, patients, types, cohort=cohort)
        for types in (labels["cell_type"], subset_types(labels))
    )
    her2 = obs["her2"].astype(object).groupby(patients.to_numpy(), sort=True).first()
    effects = EFFECTS.concat(
        [
            source_effects(by_type, cohort=cohort, min_cells=min_cells),
            source_effects(by_subset, cohort=cohort, min_cells=min_cells),
            her2_effects(
                values,
                {name: None if pd.isna(value) else value for name, value in her2.items()},
                cohort=cohort,
                sampling=sampling,
                min_group=min_group,
            ),
            coupling_effects(values, cohort=cohort, tumour=coupling),
        ]
    )
    first = next(iter(profile.scores.values()))
    finer = by_subset[by_subset["cell_type"].str.contains(": ")]
    return Summary(
        scores=scores,
        coverage=measured,
        effects=mark_coverage(effects, measured),
        sources=SOURCES.concat([by_type, finer]),
        composition=composition(patients, labels["cell_type"]),
        depth=depth_bias(first, profile.depth["counts"], labels["cell_type"]),
    )


def _sources(
    profile: Profile, patients: pd.Series, types: Sequence[str | None], *, cohort: str
) -> pd.DataFrame:
    """Describe the genes once, and the scores of every method."""
    features = profile.features
    found = []
    for method, scores in profile.scores.items():
        found.append(
            describe_sources(
                features,
                scores,
                profile.depth["counts"],
                patients,
                types,
                cohort=cohort,
                method=method,
            )
        )
        features = features.iloc[:, :0]
    return SOURCES.concat(found)
