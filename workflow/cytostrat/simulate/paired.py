"""A simulated trial: biopsies before, during and after interferon with endocrine therapy.

The answer that is planted is the one that the trial of 1998 reported for serum and culture
(10.1006/cyto.1998.0378): in responders IL1B, IL6 and IL2RA fall and IFNG rises, the latter
mainly with tamoxifen. Type I interferon response rises in everybody who is treated, and a high
type II response before treatment raises the odds of response.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.simulate import clinic, dialects, expression, factors, truth
from cytostrat.simulate.bulk import N_GENES, SimulatedCohort

if TYPE_CHECKING:
    from cytostrat.signatures import Signature

NAME = "demo_paired"
N_PATIENTS = 64
N_POPULATION = 20_000
VISITS = ("before", "during", "after")
PANEL = ("IL1B", "IL2", "IL6", "TNF", "IFNG", "IL2RA")
CONTRAST = "IFNG - mean(IL1B, IL6, IL2RA)"
CHANGES = (("during", "before"), ("after", "before"), ("after", "during"))
# Standard deviation of a factor about its course within a patient, and the share of a gene's
# own variance that stays with the patient over visits.
WITHIN = 0.4
LASTING = 0.6


@dataclass(frozen=True)
class Course:
    """What treatment and response do to factors and genes, by visit.

    Parameters
    ----------
    treated
        Visit to factor to shift in all patients.
    responders
        Visit to factor to further shift in responders.
    responder_genes
        Visit to gene to further shift in responders, log2 units.
    arm
        Arm to multiplier of the responders' type II interferon shift.
    log_odds
        Factor to log odds of response per unit before treatment.
    response_rate
        Share of responders where the factors are at their mean.
    """

    treated: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    responders: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    responder_genes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    arm: Mapping[str, float] = field(default_factory=dict)
    log_odds: Mapping[str, float] = field(default_factory=dict)
    response_rate: float = 0.4


PLANTED_COURSE = Course(
    treated={"during": {"IFN-I": 1.2, "IFN-II": 0.3}, "after": {"IFN-I": 0.8, "IFN-II": 0.2}},
    responders={
        "during": {"IL1": -0.5, "IL6": -0.4, "IFN-II": 0.6},
        "after": {"IL1": -1.0, "IL6": -0.8, "IFN-II": 1.2},
    },
    responder_genes={"during": {"IL2RA": -0.5}, "after": {"IL2RA": -1.0}},
    arm={"tamoxifen": 1.3, "megestrol": 0.5},
    log_odds={"IFN-II": 0.7},
)
NO_COURSE = Course()
ARMS = ("tamoxifen", "megestrol")
REGIMEN = "IFN beta + IFN gamma + {arm}"


@dataclass(frozen=True)
class _Trial:
    """Patients, and one row per patient and visit with factors and gene shifts."""

    patients: pd.DataFrame
    visits: pd.DataFrame
    shifts: pd.DataFrame


def simulate(
    *,
    seed: int,
    genes: pd.DataFrame,
    signatures: Mapping[str, Signature],
    n: int = N_PATIENTS,
    course: Course = PLANTED_COURSE,
    n_genes: int = N_GENES,
) -> SimulatedCohort:
    """Simulate the trial.

    Parameters
    ----------
    seed, genes, signatures, n_genes
        As in `cytostrat.simulate.simulate_cohort`; the genes behave as in the bulk cohorts of
        the same seed.
    n
        Patients.
    course
        What is planted.

    Raises
    ------
    InputError
        Fewer than ten patients, or an unusable gene table.
    """
    if n < 10:
        raise InputError(f"Simulated cohort {NAME}: n is {n}, it must be at least 10.")
    model = expression.gene_model(genes, signatures, seed=seed, n_genes=n_genes)
    extra = model.loadings.columns
    rng = factors.generator(seed, NAME)
    trial = _trial(rng, n, course, extra)
    log2 = _log2(rng, model, trial)
    clinical, kept = _clinical(rng, trial)

    wide = factors.generator(seed, NAME, "population")
    population = _trial(wide, N_POPULATION, course, extra)
    visits = trial.visits
    table = truth_table(
        own=_measured(model, trial, signatures, log2),
        population=_measured(model, population, signatures, _panel_log2(wide, model, population)),
    )
    samples = visits["sample"].to_numpy()
    values = np.exp2(log2[kept])
    tpm = np.round(values / values.sum(axis=1, keepdims=True) * 1e6, 2)
    frame = pd.DataFrame(tpm.T, columns=samples[kept])
    frame.insert(0, "symbol", model.genes.index.to_numpy())
    frame.insert(1, "band", model.genes["band"].to_numpy())
    leading = ["sample", "patient", "visit", "arm", "responder", "her2", "er", "age"]
    rest = [name for name in visits if name not in {*leading, "age10", "number", "batch"}]
    return SimulatedCohort(
        NAME,
        dialects.TextTable(frame, decimals=2),
        clinical,
        table,
        visits.loc[kept, [*leading, *rest]].reset_index(drop=True),
        truth.levels(model, visits, signatures).set_axis(samples).loc[samples[kept]],
    )


def _trial(rng: np.random.Generator, n: int, course: Course, extra: pd.Index) -> _Trial:
    """Draw patients, arms, responses and the course of every factor."""
    patients = factors.draw(
        rng, n=n, her2_fraction=0.2, effects=factors.PLANTED, confounding=1.0, extra=extra
    )
    patients["arm"] = np.array(ARMS)[rng.permutation(n) % 2]
    rate = course.response_rate
    odds = np.log(rate / (1 - rate)) + sum(
        weight * (patients[name] - patients[name].mean())
        for name, weight in course.log_odds.items()
    )
    patients["responder"] = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    patients["number"] = np.arange(n)
    patients.insert(0, "patient", np.char.mod("SIMT-%03d", 1 + rng.permutation(n)))
    moving = [name for name in factors.STRUCTURE if name != "purity_z"]
    parts, shifts = [], []
    for number, visit in enumerate(VISITS):
        part = patients.copy()
        part.insert(0, "sample", np.char.mod(f"%s-B{number + 1}", part["patient"].to_numpy(str)))
        part.insert(2, "visit", visit)
        part[moving] += WITHIN * rng.standard_normal((n, len(moving)))
        for name, shift in course.treated.get(visit, {}).items():
            part[name] += shift
        for name, shift in course.responders.get(visit, {}).items():
            factor = part["arm"].map(course.arm).fillna(1.0) if name == "IFN-II" else 1.0
            part[name] += shift * factor * part["responder"]
        genes = course.responder_genes.get(visit, {})
        shift = {gene: size * part["responder"] for gene, size in genes.items()}
        shifts.append(pd.DataFrame(shift, index=part.index))
        parts.append(part)
    visits = pd.concat(parts, ignore_index=True)
    visits["batch"] = 0
    return _Trial(patients, visits, pd.concat(shifts, ignore_index=True).fillna(0.0))


def _log2(rng: np.random.Generator, model: expression.GeneModel, trial: _Trial) -> np.ndarray:
    """Log2 expression of every visit; part of a gene's own variation stays with the patient."""
    visits = trial.visits
    number = visits["number"].to_numpy()
    background = factors.nuisance(rng, len(trial.patients))[number]
    lasting = rng.standard_normal((len(trial.patients), len(model.mean)))[number]
    fresh = rng.standard_normal((len(visits), len(model.mean)))
    noise = np.sqrt(LASTING) * lasting + np.sqrt(1 - LASTING) * fresh
    signal = visits[model.loadings.columns].to_numpy() @ model.loadings.to_numpy().T
    log2 = model.mean + signal + background @ model.background.T + noise * model.noise
    for gene in trial.shifts:
        log2[:, model.genes.index == gene] += trial.shifts[[gene]].to_numpy()
    return log2


def _panel_log2(rng: np.random.Generator, model: expression.GeneModel, trial: _Trial) -> np.ndarray:
    """Log2 expression of the panel's genes alone, for a draw too large for all genes."""
    keep = model.genes.index.isin(PANEL)
    part = expression.GeneModel(
        model.genes[keep], model.loadings[keep], model.mean[keep], model.noise[keep],
        model.background[keep], model.table,
    )  # fmt: skip
    return _log2(rng, part, trial)


@dataclass(frozen=True)
class _Measured:
    """Per visit, patients x columns, and who responded."""

    columns: dict[str, pd.DataFrame]
    responder: np.ndarray
    arm: np.ndarray
    names: dict[str, str]


def _measured(
    model: expression.GeneModel,
    trial: _Trial,
    signatures: Mapping[str, Signature],
    log2: np.ndarray,
) -> _Measured:
    """Levels of axes and signatures, and the panel's genes in SD before treatment."""
    visits = trial.visits
    level = truth.levels(model, visits, signatures)
    kind = {name: "axis" if name in factors.AXES else "signature" for name in level}
    genes = model.genes.index
    at = genes if log2.shape[1] == len(genes) else genes[genes.isin(PANEL)]
    before = (visits["visit"] == "before").to_numpy()
    for gene in PANEL:
        if gene in at:
            column = log2[:, at.get_loc(gene)]
            level[gene] = (column - column[before].mean()) / column[before].std(ddof=1)
            kind[gene] = "gene"
    if {"IFNG", "IL1B", "IL6", "IL2RA"} <= set(level):
        level[CONTRAST] = level["IFNG"] - level[["IL1B", "IL6", "IL2RA"]].mean(axis=1)
        kind[CONTRAST] = "panel"
    by_visit = {
        visit: level[(visits["visit"] == visit).to_numpy()].reset_index(drop=True)
        for visit in VISITS
    }
    patients = trial.patients
    return _Measured(by_visit, patients["responder"].to_numpy(), patients["arm"].to_numpy(), kind)


def _estimates(measured: _Measured) -> dict[tuple[str, ...], tuple[np.ndarray, int, int]]:
    """Every quantity: (question, stratum, contrast, scale) to values, n, n_case."""
    responder = measured.responder
    out = {}

    def two_groups(values: np.ndarray, member: np.ndarray, key: tuple[str, ...]) -> None:
        case = responder[member]
        if min(case.sum(), (1 - case).sum()) >= 2:
            g = truth.standardised_difference(values[member], case)
            out[key] = (g, int(member.sum()), int(case.sum()))

    arms = {f"treatment: {REGIMEN.format(arm=arm)}": measured.arm == arm for arm in ARMS}
    everybody = {"all": np.ones(len(responder), dtype=bool), **arms}
    for stratum, member in everybody.items():
        key = ("response", stratum, "yes - no", "hedges_g")
        two_groups(measured.columns["before"].to_numpy(), member, key)
    strata = {**everybody, "responders": responder == 1, "non-responders": responder == 0}
    for later, earlier in CHANGES:
        change = (measured.columns[later] - measured.columns[earlier]).to_numpy()
        contrast = f"{later} - {earlier}"
        for stratum, member in strata.items():
            part = change[member]
            if len(part) < 3:
                continue
            correction = 1 - 3 / (4 * (len(part) - 1) - 1)
            d = correction * part.mean(axis=0) / part.std(axis=0, ddof=1)
            key = ("response_change", stratum, contrast, "paired_d")
            out[key] = (d, len(part), int(responder[member].sum()))
            if stratum in everybody:
                key = ("response_change", stratum, f"change ({contrast}), yes - no", "hedges_g")
                two_groups(change, member, key)
    return out


def truth_table(*, own: _Measured, population: _Measured) -> pd.DataFrame:
    """Return the planted truth of the trial, columns of `cytostrat.simulate.truth.COLUMNS`.

    Genes and the contrast of the panel have the question ``panel_1998`` and count their own
    variation and noise, which no score averages out; axes and signatures are levels. Every
    patient counts at every visit, also where the biopsy is missing from the files.
    """
    here, large = _estimates(own), _estimates(population)
    spread = own.columns["before"].std(ddof=1)
    rows = []
    for (question, stratum, contrast, scale), (planted, _, _) in large.items():
        found = here.get((question, stratum, contrast, scale))
        for at, name in enumerate(population.columns["before"]):
            kind = population.names[name]
            asked = "panel_1998" if kind in {"gene", "panel"} else question
            endpoint = "response" if question == "response" else ""
            rows.append(
                (
                    NAME, kind, name, asked, stratum, endpoint, contrast, "none", scale,
                    planted[at], found[0][at] if found else np.nan, spread[name],
                    found[1] if found else 0, found[2] if found else 0,
                )
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(truth.COLUMNS)).astype({"n_case": "Int64"})


def _clinical(
    rng: np.random.Generator, trial: _Trial
) -> tuple[dict[str, dialects.TextTable], np.ndarray]:
    """Tables of patients and biopsies, and the positions of the biopsies that were taken."""
    patients = trial.patients
    n = len(patients)
    record = clinic.evidence(rng, patients, np.full(n, 4))
    word = np.where(
        patients["responder"] == 1,
        np.where(rng.random(n) < 0.25, "CR", "PR"),
        np.where(rng.random(n) < 0.5, "SD", "PD"),
    ).astype(object)
    word[rng.permutation(n)[: n // 30]] = "NE"
    people = pd.DataFrame(
        {
            "patient_no": patients["patient"],
            "age_years": patients["age"].astype(int).astype(str),
            "er": record["er"].replace({"positive": "POS", "negative": "NEG", "": "unknown"}),
            "pgr": record["pr"].replace({"positive": "POS", "negative": "NEG", "": "unknown"}),
            "her2_ihc": record["her2_ihc"],
            "her2_fish": record["her2_ish"].replace(
                {"amplified": "amp", "not amplified": "non-amp", "equivocal": "borderline"}
            ),
            "her2_local": record["her2_stated"],
            "arm": patients["arm"].map(lambda arm: REGIMEN.format(arm=arm)),
            "best_response": word,
        }
    ).sort_values("patient_no")
    visits = trial.visits
    chance = rng.random(len(visits))
    limit = visits["visit"].map({"before": 1.0, "during": 0.92, "after": 0.84}).to_numpy()
    kept = np.flatnonzero(chance < limit)
    taken = visits.iloc[kept]
    biopsies = pd.DataFrame(
        {
            "biopsy": taken["sample"],
            "patient_no": taken["patient"],
            "month": taken["visit"].map({"before": "0", "during": "3", "after": "6"}),
            "site": "metastasis",
        }
    )
    return (
        {
            "patients.csv": dialects.TextTable(people, separator=","),
            "biopsies.csv": dialects.TextTable(biopsies, separator=","),
        },
        kept,
    )
