"""Simulated single cells: eight patients, six lineages, UMI counts in the layout of GSE176078.

Planted: IL1B lies in myeloid cells; where the tumour cells of a patient make more TGFB1, her
myeloid cells make more IL1B; type I interferon response is higher in HER2-positive disease in
every lineage. The patient is the unit, so each effect is a statement about patients, and cells
only add noise to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from cytostrat.errors import InputError
from cytostrat.simulate import dialects, expression, factors, truth
from cytostrat.simulate.bulk import SimulatedCohort

if TYPE_CHECKING:
    from cytostrat.signatures import Signature

NAME = "demo_cells"
N_PATIENTS = 8
N_GENES = 3500
N_POPULATION = 20_000
CELLS_PER_PATIENT = (190, 310)
DEPTH = 2200.0
TUMOUR, MYELOID = "epithelial tumour", "myeloid"

# Lineage: label of the deposit, share of cells.
LINEAGES: dict[str, tuple[str, float]] = {
    TUMOUR: ("Cancer Epithelial", 0.36),
    "T": ("T-cells", 0.2),
    MYELOID: ("Myeloid", 0.16),
    "fibroblast": ("CAFs", 0.11),
    "endothelial": ("Endothelial", 0.09),
    "B": ("B-cells", 0.08),
}
# Genes known to mark a lineage: Danaher 2017 (10.1186/s40425-017-0215-8) and Wu 2021
# (10.1038/s41588-021-00911-1).
MARKERS: dict[str, tuple[str, ...]] = {
    TUMOUR: ("EPCAM", "KRT8", "KRT18", "KRT7", "CLDN4", "ELF3", "SLPI", "LSR"),
    "T": ("CD3D", "CD3E", "CD3G", "CD2", "CD5", "CD6", "TRAT1", "CD28", "ICOS", "SH2D1A"),
    MYELOID: ("CD68", "CD163", "CSF1R", "TYROBP", "FCER1G", "AIF1", "LST1", "C1QA", "MS4A6A"),
    "fibroblast": ("COL1A1", "COL1A2", "COL3A1", "COL6A1", "DCN", "PDGFRA", "FAP", "THY1"),
    "endothelial": ("PECAM1", "VWF", "CDH5", "CLDN5", "KDR", "TEK", "EMCN", "ESAM", "TIE1"),
    "B": ("MS4A1", "CD79A", "CD79B", "CD19", "BANK1", "BLK", "CD22", "FCRL2", "PAX5"),
}
MITOCHONDRIAL = ("MT-CO1", "MT-CO2", "MT-CO3", "MT-ND1", "MT-ND4", "MT-CYB", "MT-ATP6")
# Mean factor of a lineage, where it is not that of the others.
OFFSETS: dict[str, dict[str, float]] = {
    TUMOUR: {"proliferation": 1.0},
    "T": {"IL2": 1.2, "IFN-II": 0.6},
    MYELOID: {"IL1": 1.2, "TNF": 1.0, "IFN-II": 0.4},
    "fibroblast": {"TGFB": 1.0, "EMT": 1.5},
}
# Expected UMIs of single genes in a cell of usual depth, by lineage; '' is every other lineage.
UMIS: dict[str, dict[str, float]] = {
    "IL1B": {MYELOID: 0.7, "fibroblast": 0.03, "endothelial": 0.03, "": 0.012},
    "TGFB1": {TUMOUR: 0.6, MYELOID: 0.4, "T": 0.4, "": 0.25},
    "IFNG": {"T": 0.15, "": 0.002},
    "IL2RA": {"T": 0.2, "": 0.01},
    "ERBB2": {TUMOUR: 0.6, "": 0.03},
    "ESR1": {TUMOUR: 0.05, "": 0.01},
}
COUPLING = 0.9
COUPLING_NOISE = 0.3
IFN_SHIFT = 1.0
BETWEEN_PATIENTS = 0.35
WITHIN_CELLS = 0.5
AMPLIFIED, ER_DRIVEN = 3.0, 4.0


def simulate(
    *,
    seed: int,
    genes: pd.DataFrame,
    signatures: Mapping[str, Signature],
    n: int = N_PATIENTS,
    planted: float = 1.0,
    n_genes: int = N_GENES,
) -> SimulatedCohort:
    """Simulate the cells.

    Parameters
    ----------
    seed, genes, signatures, n_genes
        As in `cytostrat.simulate.simulate_cohort`.
    n
        Patients; every second one is HER2-positive.
    planted
        Factor of the coupling and of the interferon shift; 0 plants neither.

    Raises
    ------
    InputError
        Fewer than four patients, or an unusable gene table.
    """
    if n < 4:
        raise InputError(f"Simulated cohort {NAME}: n is {n}, it must be at least 4.")
    markers = [gene for members in MARKERS.values() for gene in members]
    model = expression.gene_model(
        genes, signatures, seed=seed, n_genes=n_genes, further=(*markers, *MITOCHONDRIAL)
    )
    rng = factors.generator(seed, NAME)
    patients = _patients(rng, n, planted)
    states = _states(rng, patients, model, planted)
    profiles = _profiles(rng, model, patients, states, signatures)
    cells, counts = _cells(rng, model, patients, profiles)

    wide = factors.generator(seed, NAME, "population")
    population = _patients(wide, N_POPULATION, planted)
    table = _truth(
        model, signatures, patients, states, population,
        _states(wide, population, model, planted), profiles, cells,
    )  # fmt: skip
    latents = pd.concat(
        [
            patients.assign(cell_type=lineage)
            .join(state.drop(columns="batch"))
            .assign(
                n_cells=[
                    int(((cells["patient"] == p) & (cells["lineage"] == lineage)).sum())
                    for p in patients["patient"]
                ]
            )
            for lineage, state in states.items()
        ],
        ignore_index=True,
    )
    level = pd.concat(
        {lineage: truth.levels(model, state, signatures) for lineage, state in states.items()}
    )
    return SimulatedCohort(
        NAME, _archive(model, cells, counts), _clinical(patients, cells), table, latents, level
    )


def _patients(rng: np.random.Generator, n: int, planted: float) -> pd.DataFrame:
    """Draw patients: status, TGFB1 of the tumour cells, IL1B of the myeloid cells (log2 shifts)."""
    tgfb = rng.standard_normal(n)
    return pd.DataFrame(
        {
            "patient": np.char.mod("SIMS%02d", 1 + np.arange(n)),
            "her2": np.arange(n) % 2,
            "er": np.arange(n) // 2 % 2,
            "age": np.round(np.clip(rng.normal(58, 11, n), 30, 85)).astype(int),
            "tumour_TGFB1": tgfb,
            "myeloid_IL1B": planted * COUPLING * tgfb + COUPLING_NOISE * rng.standard_normal(n),
        }
    )


def _states(
    rng: np.random.Generator, patients: pd.DataFrame, model: expression.GeneModel, planted: float
) -> dict[str, pd.DataFrame]:
    """Draw the mean factors of every lineage of every patient.

    The factors of infiltration are 0: lineages differ by their markers instead.
    """
    still = {"myeloid", "T cells", "purity_z", "ER", "ERBB2"}
    out = {}
    for lineage in LINEAGES:
        state = pd.DataFrame(0.0, index=patients.index, columns=model.loadings.columns)
        for name in state:
            if name not in still:
                state[name] = BETWEEN_PATIENTS * rng.standard_normal(len(patients))
                state[name] += OFFSETS.get(lineage, {}).get(name, 0.0)
        state["IFN-I"] += planted * IFN_SHIFT * patients["her2"]
        if lineage == TUMOUR:
            state["TGFB"] += 0.5 * patients["tumour_TGFB1"]
        out[lineage] = state.assign(batch=0)
    return out


def _profiles(
    rng: np.random.Generator,
    model: expression.GeneModel,
    patients: pd.DataFrame,
    states: Mapping[str, pd.DataFrame],
    signatures: Mapping[str, Signature],
) -> dict[str, np.ndarray]:
    """Log2 expression of every lineage, patients x genes, before the noise of single cells."""
    genes = model.genes.index
    out = {}
    usual = float(np.exp2(model.mean).sum())
    home = _homes(signatures)
    for lineage, state in states.items():
        own = rng.standard_normal(len(genes)) * (rng.random(len(genes)) < 0.3)
        base = model.mean + own
        for row, gene in enumerate(genes):
            if gene in UMIS:
                share = UMIS[gene].get(lineage, UMIS[gene][""])
                base[row] = np.log2(share / DEPTH * usual)
            elif gene in home:
                base[row] = 7.0 if lineage in home[gene] else -2.0
        log2 = base + state[model.loadings.columns].to_numpy() @ model.loadings.to_numpy().T
        log2 += 0.25 * rng.standard_normal(log2.shape)
        fixed = genes.isin(list(UMIS))
        log2[:, fixed] = base[fixed]
        shifts = {
            (TUMOUR, "TGFB1"): patients["tumour_TGFB1"],
            (MYELOID, "IL1B"): patients["myeloid_IL1B"],
            (TUMOUR, "ERBB2"): AMPLIFIED * patients["her2"],
            (TUMOUR, "ESR1"): ER_DRIVEN * patients["er"],
        }
        for (where, gene), shift in shifts.items():
            if where == lineage and gene in genes:
                log2[:, genes.get_loc(gene)] += shift.to_numpy()
        out[lineage] = log2
    return out


def _homes(signatures: Mapping[str, Signature]) -> dict[str, set[str]]:
    """Marker gene to the lineages that have it; natural killer cells were not simulated."""
    words = {
        MYELOID: ("MACROPHAGES", "NEUTROPHILS", "_DC", "MAST"),
        "T": ("T_CELLS", "TH1", "TREG", "CD8"),
        "B": ("B_CELLS",),
        "none": ("NK_", "CYTOTOXIC", "CYTOLYTIC"),
    }
    out: dict[str, set[str]] = {}
    for name in sorted(signatures):
        if signatures[name].role == "celltype":
            for lineage, stems in words.items():
                if any(stem in name.upper() for stem in stems):
                    for gene in signatures[name].up:
                        out.setdefault(gene, set()).add(lineage)
    for lineage, members in MARKERS.items():
        for gene in members:
            out[gene] = {lineage}
    return out


def _cells(
    rng: np.random.Generator,
    model: expression.GeneModel,
    patients: pd.DataFrame,
    profiles: Mapping[str, np.ndarray],
) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw cells and their UMI counts (cells x genes), damaged cells and doublets among them."""
    names = list(LINEAGES)
    shares = np.array([share for _, share in LINEAGES.values()])
    loadings = model.loadings.to_numpy().T
    mito = model.genes.index.isin(MITOCHONDRIAL)
    frames, blocks = [], []
    for number, patient in enumerate(patients["patient"]):
        size = int(rng.integers(*CELLS_PER_PATIENT))
        lineage = rng.choice(len(names), size, p=rng.dirichlet(60 * shares))
        log2 = np.stack([profiles[names[at]][number] for at in lineage])
        log2 += WITHIN_CELLS * rng.standard_normal((size, loadings.shape[0])) @ loadings
        fixed = model.genes.index.isin(list(UMIS))
        log2[:, fixed] = np.stack([profiles[names[at]][number][fixed] for at in lineage])
        rate = np.exp2(log2)
        rate[:, mito] = 0.0
        rate /= rate.sum(axis=1, keepdims=True)
        depth = DEPTH * np.exp(rng.normal(0.0, 0.35, size))
        broken = rng.random(size) < 0.03
        depth[broken] *= 0.15
        share = np.where(broken, rng.beta(8, 10, size), rng.beta(4, 70, size))
        expected = rate * (depth * (1 - share))[:, None]
        expected[:, mito] = (depth * share / mito.sum())[:, None]
        partner = rng.permutation(size)
        double = rng.random(size) < 0.015
        expected[double] += expected[partner[double]]
        blocks.append(rng.poisson(expected).astype(np.int32))
        letters = rng.choice(list("ACGT"), (size, 14))
        frames.append(
            pd.DataFrame(
                {
                    "cell": [
                        f"{patient}_{''.join(word)}{at:03d}" for at, word in enumerate(letters)
                    ],
                    "patient": patient,
                    "lineage": [names[at] for at in lineage],
                    "broken": broken,
                    "double": double,
                    "depth": depth * (1 - share),
                }
            )
        )
    return pd.concat(frames, ignore_index=True), np.concatenate(blocks)


def _archive(
    model: expression.GeneModel, cells: pd.DataFrame, counts: np.ndarray
) -> dialects.Archive:
    """Write matrix, genes, barcodes and metadata as the deposit does."""
    cell, gene = np.nonzero(counts)
    entries = pd.DataFrame({"gene": gene + 1, "cell": cell + 1, "count": counts[cell, gene]})
    head = (
        "%%MatrixMarket matrix coordinate integer general\n"
        f"{counts.shape[1]} {counts.shape[0]} {len(entries)}\n"
    )
    body = entries.to_csv(sep=" ", header=False, index=False, lineterminator="\n")
    metadata = pd.DataFrame(
        {
            "": cells["cell"],
            "orig.ident": cells["patient"],
            "nCount_RNA": counts.sum(axis=1),
            "nFeature_RNA": (counts > 0).sum(axis=1),
        }
    )
    return dialects.Archive(
        {
            f"{NAME}/count_matrix_sparse.mtx": (head + body).encode(),
            f"{NAME}/count_matrix_genes.tsv": _lines(model.genes.index),
            f"{NAME}/count_matrix_barcodes.tsv": _lines(cells["cell"]),
            f"{NAME}/metadata.csv": metadata.to_csv(index=False, lineterminator="\n").encode(),
        }
    )


def _lines(values: pd.Index | pd.Series) -> bytes:
    return "".join(f"{value}\n" for value in values).encode()


def _clinical(patients: pd.DataFrame, cells: pd.DataFrame) -> dict[str, dialects.TextTable]:
    """Tables of patients and of cells."""
    people = pd.DataFrame(
        {
            "patient": patients["patient"],
            "age": patients["age"].astype(str),
            "er": np.where(patients["er"] == 1, "ER+", "ER-"),
            "her2_ihc": np.where(patients["her2"] == 1, "3+", "1+"),
        }
    )
    labels = cells["lineage"].map({name: label for name, (label, _) in LINEAGES.items()})
    table = pd.DataFrame(
        {"cell": cells["cell"], "orig.ident": cells["patient"], "celltype_major": labels}
    )
    return {
        "patients.csv": dialects.TextTable(people, separator=","),
        "cells.csv": dialects.TextTable(table, separator=","),
    }


def _truth(
    model: expression.GeneModel,
    signatures: Mapping[str, Signature],
    patients: pd.DataFrame,
    states: Mapping[str, pd.DataFrame],
    population: pd.DataFrame,
    population_states: Mapping[str, pd.DataFrame],
    profiles: Mapping[str, np.ndarray],
    cells: pd.DataFrame,
) -> pd.DataFrame:
    """Return what cell sources, HER2 contrast and coupling should give back.

    Sources have no ``planted`` value of a population: ``realised`` is the mean over these
    patients of what their cells' rates and depths make expected.
    """
    rows = []

    def add(kind: str, name: str, question: str, stratum: str, endpoint: str, **values: object):
        row = dict.fromkeys(truth.COLUMNS, "") | {
            "cohort": NAME, "level": kind, "name": name, "question": question,
            "stratum": stratum, "endpoint": endpoint, "adjustment": "none",
            "planted": np.nan, "realised": np.nan, "within_sd": np.nan, "n": len(patients),
            "n_case": pd.NA,
        }  # fmt: skip
        rows.append(row | values)

    for gene in ("IL1B", "TGFB1"):
        expected = _expected_sources(model, profiles, cells, gene)
        for (endpoint, scale, lineage), value in expected.items():
            add("gene", gene, "cell_source", lineage, endpoint, scale=scale, realised=value)
    for lineage, state in states.items():
        own = truth.levels(model, state, signatures)
        large = truth.levels(model, population_states[lineage], signatures)
        here = truth.standardised_difference(own.to_numpy(), patients["her2"].to_numpy())
        wide = truth.standardised_difference(large.to_numpy(), population["her2"].to_numpy())
        spread = truth.pooled_sd(own.to_numpy(), patients["her2"].to_numpy())
        for at, name in enumerate(own):
            add(
                "axis" if name in factors.AXES else "signature", name, "cell_her2", lineage, "",
                contrast="positive - negative", scale="hedges_g", planted=wide[at],
                realised=here[at], within_sd=spread[at], n_case=int(patients["her2"].sum()),
            )  # fmt: skip
    pair = ["tumour_TGFB1", "myeloid_IL1B"]
    add(
        "gene", "TGFB1", "cell_coupling", TUMOUR, "IL1B in myeloid", scale="partial_rho",
        planted=stats.spearmanr(*population[pair].to_numpy().T).statistic,
        realised=stats.spearmanr(*patients[pair].to_numpy().T).statistic,
    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(truth.COLUMNS)).astype({"n_case": "Int64"})


def _expected_sources(
    model: expression.GeneModel,
    profiles: Mapping[str, np.ndarray],
    cells: pd.DataFrame,
    gene: str,
) -> dict[tuple[str, str, str], float]:
    """Return expected share of expressing cells, UMIs per 10,000 and share of the total."""
    column = model.genes.index.get_loc(gene)
    mito = model.genes.index.isin(MITOCHONDRIAL)
    sound = cells[~cells["broken"] & ~cells["double"]]
    numbers = {patient: at for at, patient in enumerate(dict.fromkeys(cells["patient"]))}
    found = []
    for (patient, lineage), part in sound.groupby(["patient", "lineage"]):
        rate = np.exp2(profiles[lineage][numbers[patient]])
        rate[mito] = 0.0
        umis = rate[column] / rate.sum() * part["depth"].to_numpy()
        found.append(
            (patient, lineage, (1 - np.exp(-umis)).mean(), 1e4 * umis.sum() / part["depth"].sum(),
             umis.sum())
        )  # fmt: skip
    frame = pd.DataFrame(found, columns=["patient", "lineage", "fraction", "mean", "umis"])
    frame["share"] = frame["umis"] / frame.groupby("patient")["umis"].transform("sum")
    means = frame.groupby("lineage")[["fraction", "mean", "share"]].mean()
    names = {
        "fraction": ("fraction expressing", "fraction"),
        "mean": ("mean", "umi_per_10k"),
        "share": ("share of total", "share"),
    }
    return {
        (*names[column], lineage): float(means.loc[lineage, column])
        for column in means
        for lineage in means.index
    }
