"""Genes, their loadings on the latent factors, and expression on three platforms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.simulate.factors import N_NUISANCE, generator

if TYPE_CHECKING:
    from cytostrat.signatures import Signature

GENE_COLUMNS = ("symbol", "previous", "alias", "ensembl", "entrez", "band")
_SEPARATOR = re.compile(r"[|,;\s]+")

# Genes that are named in questions and panels, with what drives them in place of their sets.
NAMED_GENES: dict[str, dict[str, float]] = {
    "ERBB2": {"ERBB2": 1.5},
    "ESR1": {"ER": 2.4},
    "PGR": {"ER": 1.8},
    "IL1B": {"IL1": 0.8, "TGFB": 0.45, "myeloid": 0.5},
    "IL1A": {"IL1": 0.7},
    "IL6": {"IL6": 0.8},
    "TNF": {"TNF": 0.7},
    "IFNG": {"IFN-II": 0.8, "T cells": 0.4},
    "IL2": {"IL2": 0.4},
    "IL2RA": {"IL2": 0.8},
    "TGFB1": {"TGFB": 0.7},
    "CD8A": {"T cells": 0.9},
    "CD68": {"myeloid": 0.8},
    "MKI67": {"proliferation": 0.9},
    "AURKA": {"proliferation": 0.8},
}
AMPLICON_BANDS = ("17q12", "17q21")
_KIND_WEIGHT = (("member", 0.35), ("gene", 1.0), ("module", 0.8))
_ROLE_WEIGHT = {"primary": 1.0, "secondary": 0.8, "comparator": 0.8, "control": 1.0, "celltype": 1}
_FACTOR_OF_AXIS = {
    "IFNI": "IFN-I", "IFN1": "IFN-I", "IFNII": "IFN-II", "IFN2": "IFN-II",
    "TGFBETA": "TGFB", "HER2": "ERBB2", "EMT": "EMT",
    "TNFNFKB": "TNF", "NFKB": "TNF", "INFLAM": "TNF", "INFLAMMATION": "TNF",
    "PROLIFERATION": "proliferation", "ER": "ER", "OESTROGEN": "ER", "ESTROGEN": "ER",
    "ERBB2": "ERBB2", "AMPLICON": "ERBB2", "ERBB2AMPLICON": "ERBB2",
    "MYELOID": "myeloid", "LYMPHOID": "T cells", "LEUKOCYTE": "T cells",
}  # fmt: skip


@dataclass(frozen=True)
class GeneModel:
    """What is fixed about the genes before any patient is drawn.

    Parameters
    ----------
    genes
        Gene table, one row per approved symbol (index), columns of `GENE_COLUMNS`.
    loadings
        Genes x factors, log2 units per unit of the factor.
    mean
        Mean log2 expression per gene.
    noise
        Standard deviation of the independent part per gene, log2 units.
    background
        Genes x unnamed factors.
    table
        The whole gene table, indexed by approved symbol.
    """

    genes: pd.DataFrame
    loadings: pd.DataFrame
    mean: np.ndarray
    noise: np.ndarray
    background: np.ndarray
    table: pd.DataFrame


def names(text: object) -> list[str]:
    """Split a cell that holds several names."""
    if not isinstance(text, str):
        return []
    return [word for word in _SEPARATOR.split(text) if word]


def factor_of(signature: Signature) -> str | None:
    """Return the latent factor that drives a signature, None where nothing drives it.

    An axis outside the model becomes a factor of its own, independent of HER2 and ER: a set of
    the user's own is scored against a planted 'no effect'.
    """
    axis = re.sub(r"[^A-Z0-9]", "", signature.axis.upper())
    if axis in {"", "NONE", "HOUSEKEEPING"}:
        return None
    return _FACTOR_OF_AXIS.get(axis, signature.axis)


def _weight(signature: Signature) -> float:
    weight = _ROLE_WEIGHT.get(signature.role, 0.8)
    for word, factor in _KIND_WEIGHT:
        if word in signature.kind.lower():
            return weight * factor
    return weight


def gene_model(
    genes: pd.DataFrame,
    signatures: Mapping[str, Signature],
    *,
    seed: int,
    n_genes: int,
    further: Iterable[str] = (),
) -> GeneModel:
    """Choose the genes and draw their loadings; cohorts of one seed share the result.

    Parameters
    ----------
    genes
        Gene table with the columns of `GENE_COLUMNS`; several names in a cell are separated by
        a bar, comma, semicolon or blank.
    signatures
        Sets whose genes must be there.
    seed
        Seed of the simulation.
    n_genes
        Number of genes; more where the signatures alone hold more.
    further
        Genes that are to be there besides.

    Raises
    ------
    InputError
        The gene table lacks a column, or has fewer usable genes than asked for.
    """
    absent = [column for column in GENE_COLUMNS if column not in genes.columns]
    if absent:
        raise InputError(
            f"The gene table lacks the column(s) {', '.join(absent)}: "
            f"it needs {', '.join(GENE_COLUMNS)}."
        )
    table = genes.loc[:, list(GENE_COLUMNS)].astype(object)
    table = table.where(table.notna(), "").astype(str)
    table = table[table["symbol"].ne("")].drop_duplicates("symbol").set_index("symbol")
    table = table.sort_index()
    rng = generator(seed, "genes")

    wanted = {gene for item in signatures.values() for gene in (*item.up, *item.down)}
    wanted |= {*NAMED_GENES, *further}
    in_sets = table.index.isin(sorted(wanted))
    whole = table["ensembl"].ne("") & table["entrez"].ne("") & table["band"].ne("")
    n_fill = max(0, n_genes - int(in_sets.sum()))
    pool = table.index[~in_sets & whole.to_numpy()]
    if n_fill > len(pool):
        raise InputError(
            f"The gene table has {len(pool)} genes beside the signature genes, "
            f"{n_fill} are needed: ask for fewer genes."
        )
    fill = rng.permutation(len(pool))[:n_fill]
    chosen = table.loc[in_sets | table.index.isin(pool[fill])]

    loadings = _loadings(chosen, signatures, rng)
    size = len(chosen)
    mean = np.clip(rng.normal(4.5, 2.3, size), -2.0, 13.0)
    named = chosen.index.isin(sorted(wanted))
    mean[named] = np.clip(mean[named], 1.5, None)
    for gene, level in (("ERBB2", 8.0), ("ESR1", 7.0)):
        mean[chosen.index == gene] = level
    noise = rng.uniform(0.45, 1.1, size)
    background = rng.normal(0.0, 0.22, (size, N_NUISANCE))
    return GeneModel(chosen, loadings, mean, noise, background, table)


def claims(table: pd.DataFrame) -> dict[str, set[str]]:
    """Return every symbol, previous symbol and alias with the approved symbols that claim it."""
    out: dict[str, set[str]] = {symbol: {symbol} for symbol in table.index}
    for column in ("previous", "alias"):
        for symbol, cell in zip(table.index, table[column], strict=True):
            for name in names(cell):
                out.setdefault(name, set()).add(symbol)
    return out


def _loadings(
    chosen: pd.DataFrame, signatures: Mapping[str, Signature], rng: np.random.Generator
) -> pd.DataFrame:
    """Draw loadings by set membership; a gene of several axes shares its strength among them."""
    shares: dict[str, dict[str, float]] = {}
    for name in sorted(signatures):
        item = signatures[name]
        factor = factor_of(item)
        if factor is None:
            continue
        for sign, members in ((1.0, item.up), (-1.0, item.down)):
            for gene in members:
                have = shares.setdefault(gene, {})
                weight = sign * _weight(item)
                if abs(weight) > abs(have.get(factor, 0.0)):
                    have[factor] = weight
    fixed = ("ER", "ERBB2", "proliferation", "purity_z", "TGFB", "myeloid", "T cells")
    factors = sorted(
        {*fixed, *(name for have in shares.values() for name in have)}
        | {name for have in NAMED_GENES.values() for name in have}
    )
    column = {name: at for at, name in enumerate(factors)}
    values = np.zeros((len(chosen), len(factors)))
    strength = rng.uniform(0.5, 1.1, len(chosen))
    draws = rng.random((len(chosen), 3))
    signs = rng.choice([-1.0, 1.0], (len(chosen), 3))
    bands = chosen["band"].str.startswith(AMPLICON_BANDS).to_numpy()
    for row, gene in enumerate(chosen.index):
        have = shares.get(gene)
        if have:
            total = np.sqrt(sum(weight**2 for weight in have.values()))
            scale = strength[row] * max(abs(weight) for weight in have.values()) / total
            for factor, weight in have.items():
                values[row, column[factor]] = scale * weight
        else:
            for at, (factor, share, size) in enumerate(
                (("ER", 0.2, 0.45), ("proliferation", 0.2, 0.3), ("purity_z", 0.15, 0.25))
            ):
                if draws[row, at] < share:
                    values[row, column[factor]] = signs[row, at] * size
        if bands[row] and "ERBB2" not in (have or {}) and draws[row, 0] < 0.25:
            values[row, column["ERBB2"]] += 0.35
        if gene in NAMED_GENES:
            values[row] = 0.0
            for factor, weight in NAMED_GENES[gene].items():
                values[row, column[factor]] = weight
    return pd.DataFrame(values, index=chosen.index, columns=factors)


def log2_expression(
    model: GeneModel, factors: pd.DataFrame, background: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return samples x genes log2 expression: factors, unnamed factors, batch and noise.

    Parameters
    ----------
    model
        The genes.
    factors
        Samples x factors; ``batch`` (integer) adds a gene-wise shift.
    background
        Samples x unnamed factors.
    rng
        Source of randomness.
    """
    signal = factors[model.loadings.columns].to_numpy() @ model.loadings.to_numpy().T
    batches = factors["batch"].to_numpy()
    shift = rng.normal(0.0, 0.2, (int(batches.max()) + 1, len(model.mean)))
    noise = rng.standard_normal((len(factors), len(model.mean))) * model.noise
    return model.mean + signal + background @ model.background.T + shift[batches] + noise


def counts(log2: np.ndarray, rng: np.random.Generator, *, depth: float = 1.2e7) -> np.ndarray:
    """Poisson counts about a library whose size varies by a factor of about 1.4 (log-normal)."""
    relative = np.exp2(log2)
    library = depth * np.exp(rng.normal(0.0, 0.35, len(log2)))
    return rng.poisson(relative / relative.sum(axis=1, keepdims=True) * library[:, None])


def log2_fpkm(log2: np.ndarray) -> np.ndarray:
    """log2(FPKM + 0.1) with a common total per sample, rounded to two decimals."""
    relative = np.exp2(log2)
    fpkm = relative / relative.sum(axis=1, keepdims=True) * 3e5
    return np.round(np.log2(fpkm + 0.1), 2) + 0.0


def log_intensity(log2: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Array log2 intensity: compressed, above a background of 2^5, rounded to three decimals."""
    level = np.log2(np.exp2(0.85 * log2 + 2.0) + 2.0**5)
    return np.round(level + rng.normal(0.0, 0.08, level.shape), 3)
