"""How signatures relate: methods that agree, genes in common, correlation within groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cytostrat.report import facts, figures, wording
from cytostrat.report.drawing import Sketch
from cytostrat.report.facts import ReportInputs
from cytostrat.signatures import overlap as shared_genes
from cytostrat.tables import SAME_PATIENTS

FEWEST = 10


def context(inputs: ReportInputs, z_scores: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Build the figures on how signatures relate; each is None where it can't be drawn."""
    return {
        "agreement": method_agreement(inputs),
        "overlap": overlap(inputs),
        "correlations": [
            found
            for found in (
                correlation(inputs, z_scores, "positive"),
                correlation(inputs, z_scores, "negative"),
            )
            if found is not None
        ],
        "running": running(inputs),
    }


def _shown(inputs: ReportInputs) -> list[Any]:
    return [s for s in inputs.signatures.values() if s.role in ("primary", "comparator")]


def method_agreement(inputs: ReportInputs) -> Sketch | None:
    """Draw the lowest rank correlation over cohorts between the primary and each other method."""
    found: dict[tuple[str, str], float] = {}
    for scores in inputs.scores.values():
        bulk = scores[scores["cell_type"].fillna("").eq("")]
        for signature in inputs.primary():
            own = bulk[bulk["signature"].eq(signature.name)]
            wide = own.pivot(index="sample", columns="method", values="score")
            if inputs.method not in wide or len(wide) < FEWEST:
                continue
            rho = wide.corr(method="spearman")[inputs.method].drop(inputs.method)
            for method, value in rho.items():
                key = (signature.title, str(method))
                if np.isfinite(value):
                    found[key] = min(value, found.get(key, 1.0))
    if not found:
        return None
    matrix = pd.Series(found).unstack()
    matrix = matrix.reindex(index=[s.title for s in inputs.primary() if s.title in matrix.index])
    return Sketch(
        figures.heatmap,
        matrix,
        name="relations/method_agreement",
        title=f"Rank correlation between {inputs.method} and the other methods",
        caption=f"Spearman correlation over the samples between {inputs.method} and each other "
        "method; of several cohorts the lowest. Near 1: the choice of method does not matter.",
        label="Spearman \u03c1",
        diverging=False,
        simulated=bool(inputs.simulated),
    )


def overlap(inputs: ReportInputs) -> Sketch | None:
    """Draw the share of genes that two signatures have in common (Jaccard)."""
    shown = _shown(inputs)
    if len(shown) < 2:
        return None
    matrix = shared_genes({signature.title: signature for signature in shown})
    return Sketch(
        figures.heatmap,
        matrix,
        name="relations/overlap",
        title="Genes that signatures have in common",
        caption="Genes in both sets over genes in either (Jaccard). Sets that share genes are no "
        "independent evidence.",
        label="Jaccard",
        diverging=False,
        simulated=False,
    )


def correlation(
    inputs: ReportInputs, z_scores: Mapping[str, pd.DataFrame], status: str
) -> Sketch | None:
    """Draw rank correlations of signatures within one HER2 group, averaged over cohorts.

    Correlations are averaged as Fisher's z with weight n - 3.
    """
    shown = [s.name for s in _shown(inputs)]
    total = pd.DataFrame(0.0, index=shown, columns=shown)
    weight = total.copy()
    used = []
    for cohort, wide in z_scores.items():
        obs = inputs.clinical[cohort].reindex(wide.index)
        if "her2" not in obs:
            continue
        inside = wide.loc[obs["her2"].eq(status).to_numpy(), [n for n in shown if n in wide]]
        if len(inside) < FEWEST:
            continue
        rho = inside.corr(method="spearman").reindex(index=shown, columns=shown)
        known = rho.notna()
        z = np.arctanh(rho.clip(-0.999999, 0.999999)).fillna(0.0)
        total += z * (len(inside) - 3)
        weight += known * (len(inside) - 3)
        used.append(cohort)
    if not used:
        return None
    mean = np.tanh(total / weight.where(weight > 0)).dropna(how="all").dropna(how="all", axis=1)
    titles = {name: inputs.signatures[name].title for name in shown}
    # The mean of a score's correlation with itself says nothing.
    values = mean.to_numpy().copy()
    values[mean.index.to_numpy()[:, None] == mean.columns.to_numpy()[None, :]] = np.nan
    mean = pd.DataFrame(values, index=mean.index, columns=mean.columns)
    if mean.isna().all(axis=None):
        return None
    return Sketch(
        figures.heatmap,
        mean.rename(index=titles, columns=titles),
        name=f"relations/correlation_her2_{status}",
        title=f"Correlation of signatures in HER2-{status} tumours",
        caption=f"HER2-{status} tumours: Spearman correlation of scores, averaged over "
        f"{wording.join_names(used)}. In bulk tissue much of it is infiltration.",
        label="Spearman \u03c1",
        simulated=inputs.any_simulated(used),
    )


def running(inputs: ReportInputs) -> list[Sketch]:
    """Draw the running enrichment sums of the primary signatures in each cohort."""
    if inputs.running.empty:
        return []
    titles = {sig.name: sig.title for sig in inputs.primary()}
    out = []
    for cohort in inputs.cohorts:
        lines = facts.select(inputs.running, cohort=cohort, signature=list(titles))
        if len(lines):
            out.append(
                Sketch(
                    figures.running_sums,
                    lines,
                    name=f"relations/running_{wording.slug(cohort)}",
                    cohort=cohort,
                    titles=titles,
                    simulated=cohort in inputs.simulated,
                )
            )
    return out


def leading_genes(inputs: ReportInputs, signature: str, *, most: int = 8) -> list[dict[str, Any]]:
    """List the genes of a signature that differ most by HER2 in each cohort.

    Parameters
    ----------
    inputs
        Inputs of the report.
    signature
        Name of the signature.
    most
        How many genes to list per cohort.
    """
    record = inputs.signatures[signature]
    members = set(record.up) | set(record.down)
    out = []
    for cohort in inputs.cohorts:
        table = inputs.gene_effects.get(cohort)
        if table is None or table.empty:
            continue
        own = table[table["gene"].isin(members) & table["t"].notna()]
        own = own.assign(size=own["t"].abs()).sort_values(
            ["size", "gene"], ascending=[False, True], kind="stable"
        )
        genes = [
            {"gene": row["gene"], "up": float(row["coefficient"]) > 0, "t": float(row["t"])}
            for _, row in own.head(most).iterrows()
        ]
        if genes:
            out.append({"cohort": cohort, "genes": genes})
    return out


def by_method(inputs: ReportInputs, signature: str) -> list[dict[str, Any]]:
    """List the adjusted HER2 contrast of one signature under each scoring method."""
    where = {
        "question": "her2",
        "signature": signature,
        "stratum": "all",
        "scale": "adjusted_g",
        "adjustment": inputs.adjustment,
    }
    rows = facts.main_rows(inputs.pooled_rows, **where)
    out = []
    for method in inputs.config["methods"]:
        found = facts.first(facts.pooled_models(facts.select(rows, method=method)))
        if found is None:
            single = facts.main_rows(inputs.effect_rows, method=method, **where)
            found = facts.first(single) if len(single) == 1 else None
        if found is not None:
            out.append({"method": method, "row": found})
    return out


def _adjusted_for(adjustment: str) -> str:
    model = adjustment.removeprefix(SAME_PATIENTS).replace("+", ", ")
    if adjustment == "none":
        return "crude"
    if adjustment.startswith(SAME_PATIENTS):
        return f"crude, in the patients of the model with {model}"
    return f"adjusted for {model}"


def variants(inputs: ReportInputs, signature: str) -> list[dict[str, Any]]:
    """List the HER2 contrast of one signature under every choice that was tried.

    Returns
    -------
    list of dict
        ``label`` (stratum, HER2 rule, genes, covariates, in words) and ``cells`` (one row of
        Effects, or None, per cohort), the primary choices first.
    """
    rows = facts.select(
        inputs.effect_rows, question="her2", signature=signature, method=inputs.method,
        scale=["hedges_g", "adjusted_g"],
    )  # fmt: skip
    keys = ["stratum", "her2_rule", "gene_filter", "adjustment"]
    first = ("all", "primary", "all genes")
    out = []
    for key, own in rows.groupby(keys, sort=True):
        stratum, rule, genes, adjustment = key
        words = [
            wording.STRATA.get(stratum, stratum.replace("_", " ")),
            "" if rule == "primary" else f"HER2: {rule}",
            "" if genes == "all genes" else genes,
            _adjusted_for(adjustment),
        ]
        by_cohort = {row["cohort"]: row for _, row in own.iterrows()}
        out.append(
            {
                "label": "; ".join(word for word in words if word),
                "cells": [by_cohort.get(cohort) for cohort in inputs.cohorts],
                "order": ((stratum, rule, genes) != first, rule, genes, stratum, adjustment),
            }
        )
    return sorted(out, key=lambda entry: entry["order"])
