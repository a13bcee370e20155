"""Simulated bulk cohorts: designs, and the way from a seed to files and planted truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.simulate import clinic, dialects, expression, factors, truth
from cytostrat.simulate.factors import PLANTED, Effects

if TYPE_CHECKING:
    from cytostrat.signatures import Signature

N_GENES = 9000
N_POPULATION = 50_000


@dataclass(frozen=True)
class Design:
    """How a simulated bulk cohort was sampled and measured.

    Parameters
    ----------
    name
        Name of the cohort.
    platform
        ``counts`` (Ensembl ids), ``fpkm`` (log2 FPKM, symbols) or ``array`` (log2 intensity,
        Entrez ids).
    n
        Patients.
    her2_fraction
        Share of HER2-positive patients.
    n_batches
        Batches, filled at random.
    endpoints
        Endpoint to the Weibull scale in years at predictor 0.
    follow_up
        Shortest and longest administrative follow-up, years.
    """

    name: str
    platform: str
    n: int
    her2_fraction: float
    n_batches: int
    endpoints: Mapping[str, float]
    follow_up: tuple[float, float]


DESIGNS: dict[str, Design] = {
    design.name: design
    for design in (
        Design("demo_rnaseq_counts", "counts", 280, 0.16, 4, {"OS": 17, "PFI": 16}, (1, 9)),
        Design("demo_rnaseq_fpkm", "fpkm", 300, 0.15, 2, {"OS": 17, "RFS": 17}, (3, 8)),
        Design("demo_array", "array", 240, 0.4, 3, {"OS": 17, "RFS": 18}, (4, 20)),
    )
}


@dataclass(frozen=True)
class SimulatedCohort:
    """A cohort as files, with what is true about it.

    Parameters
    ----------
    name
        Name of the cohort.
    expression
        The expression file.
    clinical
        File name to clinical table.
    truth
        Planted truth, columns of `cytostrat.simulate.truth.COLUMNS`.
    latents
        One row per sample: identity, true status and every factor.
    level
        Samples x (axes and signatures): the level that a score of each can measure, see
        `cytostrat.simulate.truth.levels`.
    """

    name: str
    expression: dialects.TextTable | dialects.Archive
    clinical: Mapping[str, dialects.TextTable]
    truth: pd.DataFrame
    latents: pd.DataFrame = field(repr=False)
    level: pd.DataFrame = field(repr=False)

    def files(self) -> dict[str, bytes]:
        """Return file name to content; ``.gz`` names are to be compressed by the writer."""
        plain = {"truth.tsv": self.truth, "latents.tsv": self.latents}
        out = {f"expression.{self.expression.suffix}.gz": self.expression.encode()}
        out |= {name: table.encode() for name, table in self.clinical.items()}
        for name, frame in plain.items():
            text = frame.to_csv(sep="\t", index=False, lineterminator="\n", float_format="%.6g")
            out[name] = text.encode()
        return out


def simulate(
    design: Design,
    *,
    seed: int,
    genes: pd.DataFrame,
    signatures: Mapping[str, Signature],
    n: int | None = None,
    effects: Effects = PLANTED,
    confounding: float = 1.0,
    n_genes: int = N_GENES,
) -> SimulatedCohort:
    """Simulate one bulk cohort.

    Parameters
    ----------
    design
        How the cohort was sampled and measured.
    seed, genes, signatures
        As in `cytostrat.simulate.simulate_cohort`.
    n
        Patients, instead of the design's number.
    effects
        What is planted.
    confounding
        1 ties ER to HER2 as in public cohorts, 0 makes them independent.
    n_genes
        Genes, at least.

    Raises
    ------
    InputError
        Fewer than ten patients, or an unusable gene table.
    """
    size = design.n if n is None else n
    if size < 10:
        raise InputError(f"Simulated cohort {design.name}: n is {size}, it must be at least 10.")
    model = expression.gene_model(genes, signatures, seed=seed, n_genes=n_genes)
    drawing = {
        "her2_fraction": design.her2_fraction,
        "effects": effects,
        "confounding": confounding,
        "extra": model.loadings.columns,
    }
    rng = factors.generator(seed, design.name)
    patients = factors.draw(rng, n=size, **drawing)
    patients["batch"] = rng.integers(0, design.n_batches, size)
    stage, times = _follow(rng, patients, design, effects)
    people = _people(rng, patients, stage, times, design)
    samples = _samples(rng, patients, people, design)
    log2 = expression.log2_expression(model, samples, factors.nuisance(rng, len(samples)), rng)
    table = _expression(design, model, log2, samples, rng)
    dialect = {
        "counts": dialects.registry, "fpkm": dialects.screening, "array": dialects.study,
    }[design.platform]  # fmt: skip

    wide = factors.generator(seed, design.name, "population")
    population = factors.draw(wide, n=N_POPULATION, **drawing)
    wide_stage, wide_times = _follow(wide, population, design, effects)
    planted = truth.truth_table(
        design.name,
        own=truth.Patients(patients, truth.levels(model, patients, signatures), stage, times),
        population=truth.Patients(
            population, truth.levels(model, population, signatures), wide_stage, wide_times
        ),
        endpoints=list(design.endpoints),
    )
    leading = ["sample", "patient", "sample_type", "her2", "er", "age", "purity", "batch"]
    hidden = ("purity_seen", "leukocyte_seen", "age10")
    rest = [name for name in samples if name not in {*leading, *hidden}]
    return SimulatedCohort(
        design.name,
        table,
        dialect(people, samples, rng),
        planted,
        samples.loc[:, [*leading, *rest]].reset_index(drop=True),
        truth.levels(model, samples, signatures).set_axis(samples["sample"].to_numpy()),
    )


def _follow(
    rng: np.random.Generator, patients: pd.DataFrame, design: Design, effects: Effects
) -> tuple[np.ndarray, pd.DataFrame]:
    """Draw stage and survival of patients."""
    stage = clinic.stages(rng, patients)
    predictor = clinic.log_hazard(patients, stage, effects)
    return stage, clinic.survival(
        rng, predictor, endpoints=design.endpoints, follow_up=design.follow_up
    )


def _people(
    rng: np.random.Generator,
    patients: pd.DataFrame,
    stage: np.ndarray,
    times: pd.DataFrame,
    design: Design,
) -> pd.DataFrame:
    """Clinical record of each patient, all text, canonical words."""
    record = clinic.evidence(rng, patients, stage)
    size = len(patients)
    letter = {"counts": "C", "fpkm": "F", "array": "A"}[design.platform]
    record.insert(0, "patient", np.char.mod(f"SIM{letter}-%04d", 1 + rng.permutation(size)))
    record["sex"] = "female"
    if design.platform == "counts":
        record.loc[rng.permutation(size)[:2], "sex"] = "male"
    record["age"] = np.char.mod("%d", patients["age"].to_numpy())
    record["endocrine"] = np.where(
        (record["er"] == "positive") & (rng.random(size) < 0.9), "1", "0"
    )
    late = (stage >= 2).astype(float)
    record["chemo"] = np.where(
        rng.random(size) < 0.1 + 0.3 * late + 0.4 * (1 - patients["er"]), "1", "0"
    )
    for column in times:
        record[column] = times[column].astype(str).to_numpy()
    return record


def _samples(
    rng: np.random.Generator, patients: pd.DataFrame, people: pd.DataFrame, design: Design
) -> pd.DataFrame:
    """Factors of every sample; the registry also holds normal, metastatic and second samples."""
    samples = patients.copy()
    samples.insert(0, "sample_type", "primary")
    samples.insert(0, "patient", people["patient"])
    samples.insert(0, "sample", people["patient"])
    if design.platform == "counts":
        samples["sample"] += "-01A"
        chosen = samples.iloc[rng.permutation(len(samples))[: min(12, len(samples))]]
        normal, spread, twice = chosen.iloc[:6].copy(), chosen.iloc[6:9].copy(), chosen.iloc[9:12]
        normal["sample_type"] = "normal"
        normal["ERBB2"] = 0.0
        normal["proliferation"] -= 2.0
        normal["sample"] = normal["patient"] + "-11A"
        spread["sample_type"] = "metastasis"
        spread["sample"] = spread["patient"] + "-06A"
        second = twice.assign(sample=twice["patient"] + "-01B")
        samples = pd.concat([samples, normal, spread, second])
    elif design.platform == "array":
        samples["sample"] = "T" + people["patient"]
    size = len(samples)
    cells = 0.6 * samples["myeloid"] + 0.6 * samples["T cells"]
    leukocyte = 1 / (1 + np.exp(1.6 - 0.6 * cells - 0.2 * rng.standard_normal(size)))
    seen = np.clip(samples["purity"] + 0.06 * rng.standard_normal(size), 0.05, 1.0)
    samples["purity_seen"] = [f"{value:.2f}" for value in seen]
    samples["leukocyte_seen"] = [f"{value:.3f}" for value in leukocyte]
    return samples


def _expression(
    design: Design,
    model: expression.GeneModel,
    log2: np.ndarray,
    samples: pd.DataFrame,
    rng: np.random.Generator,
) -> dialects.TextTable:
    """Expression file in the platform's scale, ids and orientation."""
    columns = samples["sample"].to_numpy()
    if design.platform == "counts":
        rows, ids = dialects.ensembl_ids(model, rng)
        values = expression.counts(log2, rng)[:, rows].T
        header = columns.astype(object).copy()
        header[3] += " "
        frame = pd.DataFrame(values, columns=header)
        frame.insert(0, "gene_id", ids)
        return dialects.TextTable(frame)
    if design.platform == "fpkm":
        rows, ids = dialects.dated_symbols(model, rng)
        frame = pd.DataFrame(expression.log2_fpkm(log2)[:, rows].T, columns=columns)
        frame.insert(0, "gene_symbol", ids)
        return dialects.TextTable(frame, separator=",", decimals=2)
    rows, ids = dialects.entrez_ids(model, rng)
    level = expression.log_intensity(log2[:, rows], rng)
    frame = pd.DataFrame(level, columns=ids)
    frame.insert(0, "SAMPLE_ID", columns)
    return dialects.TextTable(frame, decimals=3)
