"""Hand-made inputs of the report: small cohorts whose numbers follow from their scores.

Means, g and intervals are worked out here from the drawn scores, so that a figure can be compared
with its table. Nothing else depends on this module.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from cytostrat import tables
from cytostrat.report import ReportInputs
from cytostrat.signatures import Signature
from cytostrat.survival import km_curves
from cytostrat.validation import validate

GENES = [f"GENE{i}" for i in range(60)]


def settings(**keys: Any) -> dict[str, Any]:
    """Return a run's configuration, defaults filled in."""
    given = {"schema_version": 1, "cohorts": ["alpha.yaml"], "methods": ["ssgsea"], "families": {}}
    return validate(given | keys, "config", file="config.yaml")


def signatures(extra: int = 0) -> dict[str, Signature]:
    """Return the example's signatures, and `extra` secondary ones to make a run large."""
    rows = [
        ("IL1_SURROGATE_A", "IL1A response", "IL1", "primary", 0, "one of two IL1 surrogates"),
        ("IL1_SURROGATE_B", "Blood inflammation modules", "IL1", "primary", 8, ""),
        ("IFN_I", "Interferon alpha response", "IFN-I", "primary", 16, ""),
        ("IFN_II", "Interferon gamma response", "IFN-II", "secondary", 20, ""),
        ("IL2", "IL-2/STAT5 signalling", "IL2", "secondary", 32, ""),
        ("TNF_NFKB", "TNF via NF-\u03baB", "TNF", "comparator", 40, ""),
        ("IL7_MEMBERS", "IL-7 pathway members", "IL7", "secondary", 50, "members only"),
    ]
    for i in range(extra):
        role = "primary" if i < 5 else "secondary"
        rows.append((f"EXTRA_{i}", f"Further signature {i}", "other", role, i % 50, ""))
    return {
        name: Signature(
            name, title, tuple(GENES[start : start + 10]), axis=axis, role=role, note=note,
            kind="response footprint", source="Example collection", version="1",
            licence="CC-BY-4.0", doi="10.1000/example", confidence="high",
        )
        for name, title, axis, role, start, note in rows
    }  # fmt: skip


def _effect(**values: Any) -> dict[str, Any]:
    row = dict.fromkeys(tables.EFFECTS.columns, "")
    row |= dict.fromkeys(
        ("n", "n_case", "events", "estimate", "se", "low", "high", "p", "q", "null_p",
         "power_limit"), None,
    )  # fmt: skip
    row |= {"her2_rule": "primary", "gene_filter": "all genes", "adjustment": "none",
            "method": "ssgsea", "stratum": "all"}  # fmt: skip
    return row | values


def _mean(z: np.ndarray) -> tuple[float, float]:
    return float(z.mean()), float(1.96 * z.std(ddof=1) / np.sqrt(len(z)))


def cohort(
    name: str, n: int, *, seed: int, survival: bool = True, shift: float = 0.4, extra: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """Draw clinical data and scores of one cohort, and work out its Effects rows."""
    rng = np.random.default_rng(seed)
    samples = [f"{name}_{i:04d}" for i in range(n)]
    her2 = np.where(rng.random(n) < 0.18, "positive", "negative").astype(object)
    er = np.where(rng.random(n) < np.where(her2 == "positive", 0.5, 0.8), "positive", "negative")
    her2[rng.random(n) < 0.05] = None
    obs = pd.DataFrame(
        {
            "patient": [f"EX:{s}" for s in samples],
            "her2": her2,
            "her2_source": np.where(pd.isna(her2), None, "ihc+ish"),
            "her2_ihc": np.where(her2 == "positive", "3+", "1+"),
            "her2_ish": None,
            "her2_flag": "",
            "er": er.astype(object),
            "age": rng.normal(58, 11, n).round(),
            "pam50": rng.choice(["LumA", "LumB", "Her2", "Basal"], n),
        },
        index=pd.Index(samples, name="sample"),
    )
    obs.loc[obs.index[:3], "her2_flag"] = "stated call against score"
    if survival:
        obs["OS_time"] = rng.exponential(2500, n).round() + 1
        obs["OS_event"] = (rng.random(n) < 0.2).astype(float)
    scores, effects = [], []
    for i, sig in enumerate(signatures(extra).values()):
        raw = rng.normal(size=n) + shift * (i % 3 - 1) * (her2 == "positive")
        raw = raw - 0.3 * (er == "positive")
        scores.append(
            pd.DataFrame(
                {
                    "cohort": name,
                    "sample": samples,
                    "cell_type": "",
                    "signature": sig.name,
                    "method": "ssgsea",
                    "score": 1000 + 150 * raw,
                    "percentile": pd.Series(raw).rank(pct=True).to_numpy(),
                }
            )
        )
        z = (raw - raw.mean()) / raw.std(ddof=1)
        a, b = z[her2 == "positive"], z[her2 == "negative"]
        pooled_sd = np.sqrt(
            ((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(a) + len(b) - 2)
        )
        g = (a.mean() - b.mean()) / pooled_sd
        se = float(np.sqrt(1 / len(a) + 1 / len(b)))
        common = {
            "cohort": name,
            "question": "her2",
            "signature": sig.name,
            "contrast": "positive - negative",
            "n": len(a) + len(b),
            "n_case": len(a),
        }
        for scale, adjustment, value in (
            ("hedges_g", "none", g),
            ("adjusted_g", tables.SAME_PATIENTS + "er+age", g * 1.1),
            ("adjusted_g", "er+age", g * 0.8),
        ):
            for gene_filter in ("all genes", "without amplicon core"):
                effects.append(
                    _effect(**common, scale=scale, adjustment=adjustment, gene_filter=gene_filter,
                            estimate=value, se=se, low=value - 1.96 * se, high=value + 1.96 * se,
                            p=0.04, family="her2_primary" if sig.role == "primary" else "",
                            q=0.08 if sig.role == "primary" else None, null_p=0.2,
                            power_limit=2.8 * se)
                )  # fmt: skip
        for er_sign, er_status in (("+", "positive"), ("-", "negative")):
            for her2_sign, her2_status in (("+", "positive"), ("-", "negative")):
                values = z[(er == er_status) & (her2 == her2_status)]
                mean, half = _mean(values)
                effects.append(
                    _effect(cohort=name, question="er_her2_cells", signature=sig.name,
                            stratum=f"er{er_sign}/her2{her2_sign}", scale="mean_z", n=len(values),
                            estimate=mean, low=mean - half, high=mean + half)
                )  # fmt: skip
        if survival:
            for adjustment, shrink in (("none", 1.0), ("er+age", 0.8)):
                value = 0.2 * shrink * (i % 3 - 1)
                effects.append(
                    _effect(cohort=name, question="survival", endpoint="OS", signature=sig.name,
                            contrast="per sd", adjustment=adjustment, scale="log_hr",
                            n=n, events=int(obs["OS_event"].sum()), estimate=value, se=0.15,
                            low=value - 0.3, high=value + 0.3, p=0.2, null_p=0.3)
                )  # fmt: skip
    for gene, endpoint in (("ERBB2", "her2"), ("ESR1", "er")):
        effects.append(
            _effect(cohort=name, question="control", signature=gene, endpoint=endpoint,
                    contrast="positive - negative", scale="auc", estimate=0.93, low=0.88, high=0.97,
                    n=n, method="log2 expression")
        )  # fmt: skip
    return obs, pd.concat(scores, ignore_index=True), effects


def provenance(name: str, *, simulated: bool, design: str = "population") -> dict[str, Any]:
    return {
        "cohort": name,
        "title": f"Example cohort {name}",
        "kind": "bulk",
        "simulated": simulated,
        "citation": "Example et al. 2020",
        "doi": "10.1000/cohort",
        "licence": "CC0",
        "platform": "RNA-seq",
        "sampling": {"design": design, "on": ["her2"] if design == "case_control" else [],
                     "note": ""},
        "gene_ids": "symbol",
        "scale": "counts",
        "transform": "log2 CPM",
        "namespace": "EX",
        "sources": [{"name": f"{name}.tsv.gz", "sha256": "0" * 64, "size": 1234}],
        "genes": {"n_in": 20000, "n_out": 18000, "n_ambiguous": 10, "n_unknown": 1900,
                  "n_collapsed": 90},
        "warnings": ["2 sample names ended in a blank"],
        "endpoints": {"OS": {"time": "days"}},
        "response": {},
    }  # fmt: skip


def pooled(effects: pd.DataFrame) -> pd.DataFrame:
    rows = effects[
        effects["question"].isin(["her2", "survival"]) & effects["gene_filter"].eq("all genes")
    ]
    keys = ["question", "endpoint", "stratum", "signature", "method", "contrast", "her2_rule",
            "gene_filter", "adjustment", "scale"]  # fmt: skip
    out = []
    for key, group in rows.groupby(keys):
        weight = 1 / group["se"].astype(float) ** 2
        estimate = float((weight * group["estimate"]).sum() / weight.sum())
        half = 1.96 / np.sqrt(weight.sum())
        for model in ("random", "fixed"):
            out.append(
                dict.fromkeys(tables.POOLED.columns)
                | dict(zip(keys, key, strict=True))
                | {"model": model, "k": len(group), "cohorts": ", ".join(sorted(group["cohort"])),
                   "estimate": estimate, "low": estimate - half, "high": estimate + half,
                   "p": 0.01, "family": "f", "q": 0.08, "null_p": 0.2, "note": ""}
            )  # fmt: skip
    return tables.POOLED.conform(pd.DataFrame(out)) if out else tables.POOLED.empty()


DOCUMENTS = [
    {"id": "S4", "title": "A news item", "citation": "Example 2018", "doi": "10.1000/news",
     "evidence": "press release", "notes": ["One uncontrolled study."]},
]  # fmt: skip
THERAPIES = [
    {"id": "anakinra", "name": "Anakinra", "kind": "agent", "axis": "IL1",
     "tumour_effect": "inhibits", "summary": "Blocks the IL-1 receptor.",
     "statements": [{"document": "S4", "text": "Expression of IL1B fell.", "evidence": "press"}],
     "approval": [{"text": "No cancer indication.", "date": "2020", "source": "label"}],
     "side_effects": [], "later": [], "caution": "A high score is no evidence of benefit.",
     "prediction": "Not known in advance.",
     "signatures": ["IL1_SURROGATE_A", "IL1_SURROGATE_B"], "genes": ["IL1B"]},
]  # fmt: skip
CLAIMS = [
    {"id": "il1_her2", "hypothesis": "H1", "document": "S4", "therapy": "anakinra",
     "text": "IL1 is higher in HER2-negative tumours.", "relation": "surrogate",
     "why": "The paper looked at blood.", "expected": "negative", "needs": "HER2 status",
     "select": {"question": "her2", "adjustment": "er+age", "scale": "adjusted_g"}},
    {"id": "il1_outcome", "hypothesis": "H2", "document": "S4", "therapy": "anakinra",
     "text": "IL-1 goes with poor outcome.", "relation": "surrogate", "why": "Prognostic only.",
     "expected": "positive", "needs": "survival",
     "select": {"question": "survival", "adjustment": "er+age", "scale": "log_hr"}},
    {"id": "anakinra_targets", "hypothesis": "", "document": "S4", "therapy": "anakinra",
     "text": "IL-1 can be targeted.", "relation": "direct", "why": "Benefit needs a trial.",
     "expected": "either", "needs": "a randomised trial"},
]  # fmt: skip
RULE = {"alpha": 0.05, "null_alpha": 0.05, "equivalence": {"adjusted_g": 0.2}, "min_cohorts": 3}


def verdicts(effects: pd.DataFrame, pools: pd.DataFrame) -> pd.DataFrame:
    """Return verdicts on `CLAIMS`: the first inconsistent when pooled, the last not testable."""
    out = []
    for claim, question, scale, word in (
        ("il1_her2", "her2", "adjusted_g", "inconsistent"),
        ("il1_outcome", "survival", "log_hr", "inconclusive"),
    ):
        chosen = {"question": question, "scale": scale, "adjustment": "er+age",
                  "gene_filter": "all genes"}  # fmt: skip
        random = pools[pools["model"].eq("random")] if len(pools) else pools
        for table in (effects, random.assign(cohort="pooled")):
            rows = table[table["signature"].isin(["IL1_SURROGATE_A", "IL1_SURROGATE_B"])]
            for column, value in chosen.items():
                rows = rows[rows[column].eq(value)]
            for _, row in rows.iterrows():
                is_pool = row["cohort"] == "pooled"
                out.append(
                    {"claim": claim, "document": "S4", "therapy": "anakinra",
                     "relation": "surrogate", "cohort": row["cohort"], "question": question,
                     "signature": row["signature"], "method": "ssgsea", "p": 0.02, "q": 0.04,
                     "null_p": 0.03, "verdict": word if is_pool else "inconclusive",
                     "reachable": True, "reason": "the 95 % interval holds 0",
                     **{key: row[key] for key in ("estimate", "low", "high")}, "scale": scale}
                )  # fmt: skip
    out.append(
        dict.fromkeys(tables.VERDICTS.columns)
        | {"claim": "anakinra_targets", "document": "S4", "therapy": "anakinra",
           "relation": "direct", "cohort": "pooled", "signature": "", "method": "",
           "verdict": "not testable", "reachable": False, "reason": "It would take a trial."}
    )  # fmt: skip
    return tables.VERDICTS.conform(pd.DataFrame(out))


def with_odd_sample(inputs: ReportInputs, name: str) -> ReportInputs:
    """Return the inputs with the first sample of the first cohort under another name."""
    cohort = inputs.cohorts[0]
    obs, scores = inputs.clinical[cohort], inputs.scores[cohort]
    old = obs.index[0]
    return replace(
        inputs,
        clinical={**inputs.clinical, cohort: obs.rename(index={old: name})},
        scores={**inputs.scores, cohort: scores.replace({"sample": {old: name}})},
    )


def single_cell() -> ReportInputs:
    """Return the inputs of a run with one single-cell cohort and nothing else."""
    types = {"myeloid": 0.9, "T": 0.05, "cancer epithelial": 0.02}
    effects = [
        _effect(cohort="cells", question="cell_source", endpoint=endpoint, stratum=stratum,
                signature="IL1B", method="counts", scale="share", n=1, estimate=value,
                low=value * 0.8, high=min(1.0, value * 1.1), note="one patient: a description")
        for endpoint in ("share of total", "fraction expressing")
        for stratum, value in types.items()
    ]  # fmt: skip
    effects += [
        _effect(cohort="cells", question="cell_source", endpoint="mean score", stratum=stratum,
                signature="IFN_I", method="ucell", scale="score", n=100, estimate=value)
        for stratum, value in types.items()
    ]  # fmt: skip
    effects.append(
        _effect(cohort="cells", question="cell_coupling", endpoint="IL1B in myeloid",
                stratum="cancer epithelial", signature="TGFB1", method="counts",
                scale="partial_rho", n=1, note="not estimated: one patient")
    )  # fmt: skip
    record = provenance("cells", simulated=False) | {"kind": "single_cell"}
    return ReportInputs(
        effects=tables.EFFECTS.conform(pd.DataFrame(effects)),
        pooled=tables.POOLED.empty(),
        verdicts=tables.VERDICTS.empty(),
        coverage=tables.COVERAGE.empty(),
        flow=tables.FLOW.empty(),
        scores={},
        clinical={
            "cells": pd.DataFrame(
                {"patient": ["EX:1", "EX:2"], "her2": ["positive", None], "n_cells": [3, 2]},
                index=["EX:1", "EX:2"],
            )
        },
        provenance={"cells": record},
        signatures=signatures(),
        therapies={"documents": DOCUMENTS, "therapies": THERAPIES},
        config=settings(title="Cells alone"),
    )


def example(
    *,
    cohorts: tuple[str, ...] = ("alpha", "beta", "gamma"),
    n: int = 120,
    simulated: tuple[str, ...] = (),
    survival: bool = True,
    unseen: str = "",
    claims: bool = False,
    many_signatures: int = 0,
    **others: Any,
) -> ReportInputs:
    """Return inputs of a run.

    Parameters
    ----------
    cohorts, n, simulated, survival
        Names and size of the cohorts, which of them are simulated, whether they have OS.
    unseen
        A signature that no cohort covers.
    claims
        Whether therapies, claims, verdicts and survival curves are there.
    many_signatures
        Further signatures, five of them primary, to make a run large.
    others
        Fields of the inputs to give by hand.
    """
    clinical, scores, effects, coverage, flow = {}, {}, [], [], []
    for i, name in enumerate(cohorts):
        obs, frame, rows = cohort(name, n + 10 * i, seed=i + 1, survival=survival,
                                   extra=many_signatures)  # fmt: skip
        if unseen:
            frame = frame[frame["signature"].ne(unseen)]
            for row in rows:
                if row["signature"] == unseen:
                    row |= dict.fromkeys(("estimate", "se", "low", "high", "p", "q"))
                    row["note"] = "no gene of the set is measured"
        clinical[name], scores[name] = obs, tables.SCORES.conform(frame)
        effects += rows
        for sig in signatures(many_signatures).values():
            lost = sig.up[7:] if sig.name != unseen else sig.up
            share = 1 - len(lost) / len(sig.up)
            coverage.append(
                {"cohort": name, "signature": sig.name, "n_genes": len(sig.up),
                 "n_present": len(sig.up) - len(lost), "fraction": share,
                 "missing": " ".join(lost), "usable": share >= 0.6, "note": ""}
            )  # fmt: skip
        flow += [
            {"cohort": name, "step": "harmonise", "reason": "no expression profile",
             "n_in": len(obs) + 12, "n_out": len(obs) + 5},
            {"cohort": name, "step": "harmonise", "reason": "not a primary tumour",
             "n_in": len(obs) + 5, "n_out": len(obs) + 1},
            {"cohort": name, "step": "qc", "reason": "patient in an earlier cohort",
             "n_in": len(obs) + 1, "n_out": len(obs)},
        ]  # fmt: skip
    effects_table = tables.EFFECTS.conform(pd.DataFrame(effects))
    values: dict[str, Any] = {
        "effects": effects_table,
        "pooled": pooled(effects_table) if len(cohorts) > 1 else tables.POOLED.empty(),
        "verdicts": tables.VERDICTS.empty(),
        "coverage": tables.COVERAGE.conform(pd.DataFrame(coverage)),
        "flow": tables.FLOW.conform(pd.DataFrame(flow)),
        "scores": scores,
        "clinical": clinical,
        "provenance": {
            name: provenance(
                name,
                simulated=name in simulated,
                design="case_control" if name == "alpha" else "population",
            )
            for name in cohorts
        },
        "signatures": signatures(many_signatures),
        "config": settings(title="Example run"),
        "versions": {"cytostrat": "0.1.0", "pandas": "2.3.3"},
        "config_file": "config/config.yaml",
    }  # fmt: skip
    if claims:
        values |= {
            "therapies": {"documents": DOCUMENTS, "therapies": THERAPIES},
            "claims": {"rule": RULE, "claims": CLAIMS},
            "verdicts": verdicts(effects_table, values["pooled"]),
            "curves": pd.concat(
                [
                    km_curves(clinical[name], scores[name], cohort=name, method="ssgsea",
                              signatures=["IL1_SURROGATE_A"])
                    for name in cohorts
                ],
                ignore_index=True,
            ),
        }  # fmt: skip
    return ReportInputs(**(values | others))
