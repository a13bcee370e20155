"""What each cohort is: flow of samples, evidence for HER2, positive controls."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from cytostrat.report import facts, wording
from cytostrat.report.facts import ReportInputs, select
from cytostrat.stats.controls import GOOD_FROM, PASS_ABOVE


def flow_steps(inputs: ReportInputs, cohort: str) -> dict[str, Any]:
    """Return the flow of one cohort: where it started, each exclusion, where it ended.

    Steps stand in the order of their numbers, or of falling n where a step has none. Reasons that
    cost nothing are gathered, but for those that say what was kept.
    """
    record = inputs.provenance[cohort]
    rows = select(inputs.flow, cohort=cohort)
    rows = rows[rows["n_in"].notna() & rows["n_out"].notna()]
    numbered = rows["step"].str.match(r"\d").all()
    steps = [
        {
            "step": re.sub(r"^\d+\s*", "", row["step"]),
            "reason": row["reason"],
            "n_in": int(row["n_in"]),
            "n_out": int(row["n_out"]),
            "lost": int(row["n_in"]) - int(row["n_out"]),
            "order": (row["step"],) if numbered else (-int(row["n_in"]), -int(row["n_out"])),
        }
        for _, row in rows.iterrows()
    ]
    steps.sort(key=lambda step: step["order"])
    started = bool(numbered) and bool(steps) and not steps[0]["lost"]
    later = steps[1:] if started else steps
    return {
        "cohort": cohort,
        "first": steps[0]["reason"] if started else "received",
        "steps": [step for step in later if step["lost"] or "kept" in step["reason"]],
        "nothing": [
            step["reason"] for step in later if not step["lost"] and "kept" not in step["reason"]
        ],
        "start": steps[0]["n_in"] if steps else None,
        "end": steps[-1]["n_out"] if steps else None,
        "unit": "cells" if record.get("kind") == "single_cell" else _unit(inputs, cohort),
        "simulated": cohort in inputs.simulated,
    }


def _unit(inputs: ReportInputs, cohort: str) -> str:
    """Return what is counted of a bulk cohort: samples of so many patients, where they differ."""
    samples = inputs.clinical.get(cohort, pd.DataFrame())
    patients = len(facts.one_per_patient(samples))
    return "tumours" if patients == len(samples) else f"samples of {patients} patients"


def her2_evidence(inputs: ReportInputs, cohort: str) -> dict[str, Any]:
    """Tabulate what HER2 status rests on in one cohort, with the conflicts."""
    obs = inputs.clinical.get(cohort, pd.DataFrame())
    columns = ["her2_source", "her2_ihc", "her2_ish", "her2"]
    frame = pd.DataFrame(
        {column: facts.labels_of(obs, column) for column in columns}, index=obs.index
    )
    table = frame.groupby(columns, sort=True).size().rename("n").reset_index()
    flags = pd.Series(facts.labels_of(obs, "her2_flag"))
    flags = flags[flags.ne("")].value_counts()
    return {
        "cohort": cohort,
        "rows": table.to_dict("records"),
        "flags": sorted(flags.items(), key=lambda item: (-item[1], item[0])),
        "simulated": cohort in inputs.simulated,
    }


def controls(inputs: ReportInputs) -> list[dict[str, Any]]:
    """List the positive controls with their verdict."""
    out = []
    rows = select(inputs.effect_rows, question="control", scale="auc", cohort=inputs.cohorts)
    order = rows["cohort"].map({name: i for i, name in enumerate(inputs.cohorts)})
    for _, row in rows.loc[order.sort_values(kind="stable").index].iterrows():
        low = row["low"]
        if not wording.finite(low):
            state, text = "none", "not estimated"
        elif float(low) <= PASS_ABOVE:
            state, text = "bad", f"failed: lower limit at or below {PASS_ABOVE}"
        elif float(row["estimate"]) < GOOD_FROM:
            state, text = "open", f"passed, labels of limited quality (AUC below {GOOD_FROM})"
        else:
            state, text = "good", "passed"
        out.append(
            {
                "cohort": row["cohort"],
                "signature": row["signature"],
                "endpoint": str(row["endpoint"]).upper(),
                "estimate": wording.estimate(row, label=False, digits=3),
                "n": wording.count(row["n"]),
                "state": state,
                "text": text,
                "note": wording.note_of(row),
                "simulated": row["cohort"] in inputs.simulated,
            }
        )
    return out
