"""One card per therapy: what documents say, what came later, what the data show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cytostrat.report import facts, palette
from cytostrat.report.contrast import her2_contrast, il1_agreement
from cytostrat.report.facts import ReportInputs
from cytostrat.report.strips import with_strips
from cytostrat.stats import notes


def documents(inputs: ReportInputs) -> dict[str, Mapping[str, Any]]:
    """Return the source documents by id."""
    return {str(entry["id"]): entry for entry in inputs.therapies.get("documents") or []}


def therapies_of(inputs: ReportInputs, signature: str) -> list[Mapping[str, Any]]:
    """List the therapies that a signature speaks to."""
    return [
        therapy
        for therapy in inputs.therapies.get("therapies") or []
        if signature in (therapy.get("signatures") or [])
    ]


def therapy_cards(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Build one card per therapy: what documents say, what came later, what the data show."""
    sources = documents(inputs)
    cards = []
    for therapy in inputs.therapies.get("therapies") or []:
        shown = [name for name in therapy.get("signatures") or [] if name in inputs.signatures]
        lines = [_therapy_line(inputs, name) for name in shown]
        lines.sort(key=lambda line: line["role"] != "primary")
        cards.append(
            {
                "id": str(therapy["id"]),
                "name": therapy["name"],
                "kind": therapy.get("kind", "agent"),
                "axis": therapy.get("axis", ""),
                "effect": therapy.get("tumour_effect", ""),
                "summary": therapy.get("summary", ""),
                "statements": [
                    {**statement, "source": sources.get(str(statement["document"]), {})}
                    for statement in therapy.get("statements") or []
                ],
                "approval": therapy.get("approval") or [],
                "side_effects": therapy.get("side_effects") or [],
                "later": therapy.get("later") or [],
                "caution": therapy.get("caution", ""),
                "prediction": therapy.get("prediction", ""),
                "genes": therapy.get("genes") or [],
                "lines": lines,
                "absent": [
                    n for n in therapy.get("signatures") or [] if n not in inputs.signatures
                ],
                "agreement": il1_agreement(inputs) if therapy.get("axis") == "IL1" else "",
            }
        )
    limit = with_strips([line for card in cards for line in card["lines"]])
    for card in cards:
        card["limit"] = limit
    return cards


def _therapy_line(inputs: ReportInputs, name: str) -> dict[str, Any]:
    record = inputs.signatures[name]
    return {
        "name": name,
        "title": record.title,
        "role": record.role,
        "confidence": record.confidence,
        "anchor": facts.anchor(inputs, name),
        "usable": facts.usable_anywhere(inputs, name),
        "contrast": her2_contrast(inputs, name),
        "cells": cell_means(inputs, name),
    }


def cell_means(inputs: ReportInputs, name: str) -> list[dict[str, Any]]:
    """List the mean score of the four ER x HER2 groups, averaged over cohorts by size.

    A cohort that measures too few genes of the set is left out.
    """
    rows = facts.main_rows(
        inputs.effect_rows, question="er_her2_cells", signature=name, method=inputs.method,
        scale="mean_z",
    )  # fmt: skip
    unusable = notes.carries(rows["note"], notes.UNUSABLE)
    rows = rows[rows["estimate"].notna() & rows["n"].notna() & ~unusable]
    out = []
    for stratum, label in palette.ER_HER2_LABELS.items():
        here = rows[rows["stratum"].eq(stratum)]
        n = here["n"].astype(float)
        if not n.sum():
            continue
        mean = float((here["estimate"].astype(float) * n).sum() / n.sum())
        out.append({"label": label, "mean": mean, "n": int(n.sum())})
    return out
