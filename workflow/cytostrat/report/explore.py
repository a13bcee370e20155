"""Data of the interactive view: every score of the primary method, quantised, and clinical fields.

The view is drawn by BokehJS (BSD-3-Clause), whose minified scripts come with the installed
package ``bokeh`` and are put into the page.
"""

from __future__ import annotations

import json
from importlib import resources, util
from typing import Any

import numpy as np
import pandas as pd

from cytostrat.report import palette, tables_html, wording
from cytostrat.report.facts import ReportInputs

STEPS = 1023
SCRIPTS = ("bokeh.min.js", "bokeh-api.min.js")
LABELS = {
    "her2": "HER2",
    "er": "ER",
    "pr": "PR",
    "pam50": "PAM50",
    "her2_low": "HER2-low",
    "her2_ihc": "HER2 IHC",
    "grade": "grade",
    "stage": "stage",
    "age": "age (years)",
    "nodes": "positive nodes",
    "tumour_size": "tumour size (mm)",
    "purity": "purity",
    "leukocyte": "leukocyte fraction",
    "chemo": "chemotherapy",
    "endocrine": "endocrine therapy",
    "timepoint": "time point",
    "response": "response",
    "batch": "batch",
    "treatment": "treatment",
}
NUMBERS = ("age", "nodes", "tumour_size", "purity", "leukocyte")
MOST_LEVELS = 12


def scripts() -> list[str]:
    """Return the texts of the plotting library, or nothing where it is not installed."""
    if util.find_spec("bokeh") is None:
        return []
    folder = resources.files("bokeh").joinpath("server", "static", "js")
    return [folder.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS]


def quantised(values: pd.Series) -> dict[str, Any] | None:
    """Return numbers as whole steps between their limits; -1 is missing.

    Returns
    -------
    dict or None
        ``low``, ``high`` and ``steps`` (0 to 1023); the error is at most (high - low) / 2046.
        None where no value is finite.
    """
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
    known = np.isfinite(numbers)
    if not known.any():
        return None
    low, high = float(f"{numbers[known].min():.6g}"), float(f"{numbers[known].max():.6g}")
    reach = high - low or 1.0
    steps = np.full(len(numbers), -1)
    steps[known] = np.clip(np.rint((numbers[known] - low) / reach * STEPS), 0, STEPS)
    return {"low": low, "high": low + reach, "steps": steps.astype(int).tolist()}


def _groups(values: pd.Series) -> dict[str, Any] | None:
    texts = ["" if wording.is_missing(v) else str(v) for v in values]
    found = sorted(set(texts) - {""})
    preferred = ("positive", "negative", "equivocal")
    found.sort(key=lambda t: preferred.index(t) if t in preferred else len(preferred))
    if not found or len(found) > MOST_LEVELS:
        return None
    index = {text: code for code, text in enumerate(found)}
    return {"levels": found, "codes": [index.get(text, -1) for text in texts]}


def context(inputs: ReportInputs, z_scores: dict[str, pd.DataFrame]) -> dict[str, Any] | None:
    """Build the data and the choices of the view; None where no cohort has scores.

    Parameters
    ----------
    inputs
        Inputs of the report.
    z_scores
        Cohort to samples x signatures, standardised over the cohort.
    """
    cohorts, numbers, groups = [], {}, {}
    for name in inputs.cohorts:
        wide = z_scores.get(name)
        if wide is None or wide.empty:
            continue
        obs = inputs.clinical[name].reindex(wide.index)
        fields: dict[str, Any] = {}
        for signature in inputs.signatures:
            packed = quantised(wide[signature]) if signature in wide else None
            if packed:
                fields[signature] = packed
        clinical: dict[str, Any] = {}
        for key in LABELS:
            if key not in obs:
                continue
            if key in NUMBERS:
                packed = quantised(obs[key])
                if packed:
                    fields[key] = packed
                    numbers[key] = LABELS[key]
            else:
                packed = _groups(obs[key])
                if packed:
                    clinical[key] = packed
                    groups[key] = LABELS[key]
        cohorts.append(
            {
                "name": name,
                "simulated": name in inputs.simulated,
                "samples": [str(sample) for sample in wide.index],
                "numbers": fields,
                "groups": clinical,
            }
        )
    if not cohorts:
        return None
    measured = {key for cohort in cohorts for key in cohort["numbers"]}
    signatures = [sig for sig in inputs.signatures.values() if sig.name in measured]
    if not signatures:
        return None
    labels = {sig.name: f"{wording.visible(sig.title)} (SD)" for sig in signatures}
    content = {
        "cohorts": cohorts,
        "most": STEPS,
        "labels": labels | numbers | groups,
        "colours": {"her2": palette.HER2, "er": palette.ER},
        "palette": list(palette.COHORTS),
    }
    axes: dict[str, list[Any]] = {}
    for sig in signatures:
        axes.setdefault(sig.axis, []).append(sig)
    second = next((sig for sig in signatures if sig.axis != signatures[0].axis), signatures[0])
    library = scripts()
    return {
        "data": tables_html.pack(
            json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        ),
        "library": [tables_html.pack(text.encode()) for text in library],
        "scripts": library,
        "cohorts": [cohort["name"] for cohort in cohorts],
        "axes": axes,
        "numbers": numbers,
        "groups": groups,
        "first": (signatures[0].name, second.name),
        "colour": next((key for key in ("her2", "er") if key in groups), ""),
        "simulated": any(cohort["simulated"] for cohort in cohorts),
    }
