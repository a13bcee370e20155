"""The report: from tables to one HTML file and the figures beside it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from cytostrat.report import cells as single_cells
from cytostrat.report import (
    cohort_entries,
    explore,
    facts,
    methods,
    opening,
    outcome,
    relations,
    signature_entries,
    tables_html,
    therapies,
    verdicts,
    wording,
)
from cytostrat.report.drawing import Drawing, Sketch, drawn
from cytostrat.report.facts import ReportInputs


@dataclass(frozen=True)
class Report:
    """What the stage makes.

    Parameters
    ----------
    html
        The page, self-contained.
    figures
        File name below the folder of figures to content (SVG, PDF, TSV).
    """

    html: str = field(repr=False)
    figures: Mapping[str, bytes] = field(repr=False)


def build_report(inputs: ReportInputs, *, processes: int = 1) -> Report:
    """Build the report of a run.

    Parameters
    ----------
    inputs
        All tables and facts; see `cytostrat.report.facts.ReportInputs`. Verdicts, pooled rows,
        survival, response and cells may be absent, and so may any single signature.
    processes
        How many processes draw figures.

    Returns
    -------
    Report
        The same inputs give the same bytes, whatever the processes.
    """
    context = _context(inputs)
    sketches = _sketches(context)
    drawings = drawn(sketches, processes=processes)
    files = {name: content for one in drawings if one for name, content in one.files.items()}
    finished = dict(zip(map(id, sketches), drawings, strict=True))
    return Report(
        html=_render(_with_drawings(context, finished)), figures=dict(sorted(files.items()))
    )


def _sketches(value: Any) -> list[Sketch]:
    """Collect every figure of a context."""
    if isinstance(value, Sketch):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [found for item in value for found in _sketches(item)]
    return []


def _with_drawings(value: Any, finished: Mapping[int, Drawing | None]) -> Any:
    """Return a context with its figures drawn; one that had nothing to show leaves its list."""
    if isinstance(value, Sketch):
        return finished[id(value)]
    if isinstance(value, Mapping):
        return {key: _with_drawings(item, finished) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        kept = [
            (item, _with_drawings(item, finished))
            for item in value
            if not (isinstance(item, Sketch) and finished[id(item)] is None)
        ]
        return type(value)(done for _, done in kept)
    return value


def _context(inputs: ReportInputs) -> dict[str, Any]:
    cohorts = [facts.cohort_facts(inputs, name) for name in inputs.cohorts]
    z_scores = {
        cohort: facts.standardised(frame, inputs.method)
        for cohort, frame in inputs.scores.items()
        if len(frame)
    }
    simulated = inputs.any_simulated()
    explored = explore.context(inputs, z_scores)
    cards = therapies.therapy_cards(inputs)
    judged = verdicts.context(inputs)
    survived = outcome.survival(inputs)
    responded = outcome.response(inputs)
    cells = [entry | single_cells.parts(inputs, entry["cohort"]) for entry in outcome.cells(inputs)]
    title = inputs.config["title"]
    signatures = [
        signature_entries.signature_entry(inputs, sig.name, z_scores) for sig in inputs.primary()
    ]
    for card in cards:
        card["claims"] = verdicts.of_therapy(judged["all"], card["id"])
        card["cells"] = outcome.cell_words(inputs, card["genes"])
        for line in card["lines"]:
            line["outcome"] = outcome.words(inputs, line["name"])
    for entry in signatures:
        entry["claims"] = verdicts.of_signature(judged["all"], entry["record"].name)
    parts = [
        ("summary", "Summary", True),
        ("therapies", "Therapies", cards),
        ("claims", "Claims", judged["all"]),
        ("signatures", "Signatures", True),
        ("outcome", "Outcome", survived),
        ("response", "Response", responded),
        ("cells", "Cells", cells),
        ("quality", "Quality and methods", True),
        ("tables", "Tables", True),
        ("explore", "Explore", explored),
    ]
    return {
        "title": title,
        "mark": _mark(inputs),
        "simulated": simulated,
        "research_use": wording.RESEARCH_USE,
        "adjustment": wording.adjustment_words(inputs.adjustment),
        "survival_adjustment": wording.adjustment_words(inputs.survival_adjustment),
        "method": inputs.method,
        "min_coverage": inputs.min_coverage,
        "cohorts": cohorts,
        "headlines": opening.headlines(inputs),
        "limits": [*opening.limits(inputs, cohorts), *outcome.limits(inputs)],
        "signatures": signatures,
        "index": signature_entries.signature_index(inputs),
        "flows": [cohort_entries.flow_steps(inputs, name) for name in inputs.cohorts],
        "evidence": [cohort_entries.her2_evidence(inputs, name) for name in inputs.cohorts],
        "controls": cohort_entries.controls(inputs),
        "tables": tables_html.tables(
            {
                "effects": inputs.effects,
                "pooled": inputs.pooled,
                "verdicts": inputs.verdicts,
                "coverage": inputs.coverage,
                "flow": inputs.flow,
            },
            simulated=simulated,
        ),
        "explore": explored,
        "meta": tables_html.pack(json.dumps(_meta(inputs), separators=(",", ":")).encode()),
        "versions": dict(inputs.versions),
        "therapies": cards,
        "documents": list(therapies.documents(inputs).values()),
        "document_ids": set(therapies.documents(inputs)),
        "claim_ids": {line["id"] for line in judged["all"]},
        "parts": [(name, words) for name, words, there in parts if there],
        "verdicts": judged,
        "outcome": survived,
        "response": responded,
        "cells": cells,
        "relations": relations.context(inputs, z_scores),
        "methods": methods.context(inputs, cohorts),
    }


def _meta(inputs: ReportInputs) -> dict[str, Any]:
    """Return what the script needs to know of signatures: title, genes, where described."""
    return {
        "signatures": {
            sig.name: {
                "title": wording.visible(sig.title),
                "genes": [*sig.up, *sig.down],
                "anchor": facts.anchor(inputs, sig.name),
            }
            for sig in inputs.signatures.values()
        }
    }


def _mark(inputs: ReportInputs) -> str:
    """Return the mark of the title: all, some or none of the cohorts are simulated."""
    if not inputs.simulated:
        return ""
    return "SIMULATED" if len(inputs.simulated) == len(inputs.cohorts) else "PARTLY SIMULATED"


def _asset(name: str) -> str:
    return resources.files("cytostrat.report").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def environment() -> jinja2.Environment:
    """Return the template environment: escaping on, an undefined name is an error."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("cytostrat.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        number=wording.number,
        count=wording.count,
        percent=wording.percent,
        pvalue=wording.p_value,
        estimate=wording.estimate,
        visible=wording.visible,
        slug=wording.slug,
        svg=Markup,  # markup made by figures.py, where every text is escaped by matplotlib
    )
    return env


def _render(context: Mapping[str, Any]) -> str:
    script = _asset("report.js")
    scripts = [script, *(context["explore"] or {"scripts": []})["scripts"]]
    # Only scripts that are part of the file may run, and nothing may be loaded from anywhere.
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    template = environment().get_template("page.html.j2")
    return template.render(
        **context, policy=policy, script=Markup(script), style=Markup(_asset("report.css"))
    )
