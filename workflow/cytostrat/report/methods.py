"""The Methods part: a paragraph made from the settings really used, and the run's provenance."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import yaml

from cytostrat.report import facts, signature_entries, wording
from cytostrat.report.facts import ReportInputs, select

SOFTWARE_DOI = {
    "python": "",
    "snakemake": "10.12688/f1000research.29032.2",
    "numpy": "10.1038/s41586-020-2649-2",
    "scipy": "10.1038/s41592-019-0686-2",
    "pandas": "10.25080/Majora-92bf1922-00a",
    "statsmodels": "10.25080/Majora-92bf1922-011",
    "lifelines": "10.21105/joss.01317",
    "gseapy": "10.1093/bioinformatics/btac757",
    "scanpy": "10.1186/s13059-017-1382-0",
    "anndata": "10.21105/joss.04371",
    "matplotlib": "10.1109/MCSE.2007.55",
    "numba": "10.1145/2833157.2833162",
}

SCORES = {"ihc": "immunohistochemistry", "ish": "in situ hybridisation"}
ROLES = {"celltype": "cell-type markers", "comparator": "comparators", "control": "controls"}


def context(inputs: ReportInputs, cohorts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Build the Methods paragraphs, software, sources, configuration and commands."""
    return {
        "paragraphs": paragraphs(inputs, cohorts),
        "scores": score_meaning(inputs),
        "software": [
            {"name": name, "version": version, "doi": SOFTWARE_DOI.get(name.lower(), "")}
            for name, version in inputs.versions.items()
        ],
        "config": dump(inputs.config),
        "cohort_files": [(name, dump(content)) for name, content in inputs.cohort_files.items()],
        "commands": commands(inputs),
        "questions": [
            (question, wording.QUESTIONS.get(question, ""))
            for question in sorted(set(inputs.effects["question"].astype(str)))
        ],
        "scales": [
            (scale, wording.scale_of(scale).meaning)
            for scale in sorted(set(inputs.effects["scale"].astype(str)))
            if wording.scale_of(scale).meaning
        ],
        "nulls": nulls(inputs),
    }


def commands(inputs: ReportInputs) -> list[str]:
    """Return the shell lines that make the report again; none where the config has no file.

    A configuration outside the project's folder is named without its folder, which is nobody
    else's.
    """
    if not inputs.config_file:
        return []
    path = PurePosixPath(inputs.config_file)
    name = shlex.quote(path.name if ".." in path.parts or path.is_absolute() else str(path))
    lines = []
    if "${CYTOSTRAT_DATA}" in dump(inputs.cohort_files):
        lines.append("export CYTOSTRAT_DATA=FOLDER  # the one that holds the files listed above")
    return [
        *lines,
        f"make CONFIG={name}",
        "# or, in an environment installed from requirements.lock:",
        f"snakemake --profile workflow/profiles/laptop --cores 2 --configfile {name}",
    ]


def dump(content: Mapping[str, Any]) -> str:
    """Return a configuration as YAML text in its own order."""
    return yaml.safe_dump(
        _plain(content), sort_keys=False, allow_unicode=True, default_flow_style=False, width=96
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def score_meaning(inputs: ReportInputs) -> dict[str, str]:
    """Return title, meaning and DOI of the primary scoring method, for readers of scores."""
    from cytostrat.scoring import METHODS

    record = METHODS.get(inputs.method)
    if record is None:
        return {"title": inputs.method, "meaning": "", "doi": ""}
    return {"title": record.title, "meaning": record.meaning, "doi": record.doi}


def paragraphs(inputs: ReportInputs, cohorts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write the Methods as they would stand in a paper, each sentence from the run's settings."""
    from cytostrat.scoring import METHODS

    config = inputs.config
    asked = set(inputs.effects["question"].astype(str))
    roles: dict[str, int] = {}
    for sig in inputs.signatures.values():
        roles[sig.role] = roles.get(sig.role, 0) + 1
    out = []
    named = wording.join_names(
        f"{c['name']} (n = {wording.count(c['n'])}, {c['platform']}, {c['sampling']}"
        f"{', simulated' if c['simulated'] else ''})"
        for c in cohorts
    )
    out.append(
        f"Cohorts: {named}. Expression was brought to approved HGNC symbols and to the log2 "
        f"scale. {_kept(inputs)} {_her2(inputs)}"
    )
    methods = config["methods"]
    first = METHODS.get(inputs.method)
    scored = first.title + (f", doi:{first.doi}" if first.doi else "") if first else inputs.method
    others = [METHODS[m].title if m in METHODS else m for m in methods[1:]]
    known_roles = wording.join_names(
        f"{n} {ROLES.get(role, role)}" for role, n in sorted(roles.items())
    )
    text = (
        f"Signatures: {len(inputs.signatures)} gene sets ({known_roles}) were scored in each "
        f"sample by {scored}"
    )
    text += f", and as a check by {wording.join_names(others)}. " if others else ". "
    text += (
        f"A set of which a cohort measures less than {wording.percent(inputs.min_coverage)} of "
        "the genes, or lacks a required gene, was scored and flagged, and left out of pools and "
        "verdicts. Two surrogates stand in for the IL1 signature, whose gene list was not "
        "available; an IL1 statement needs both to agree in sign."
    )
    out.append(text)
    words = wording.adjustment_words(inputs.adjustment)
    text = (
        "Contrasts: HER2-positive and HER2-negative tumours were compared within each cohort by "
        "Hedges' g with an interval that lets the groups vary unequally (Satterthwaite's degrees "
        f"of freedom) and a Mann-Whitney p-value, and by linear regression adjusted for {words} "
        "with HC3 standard errors and the degrees of freedom of the design, the coefficient "
        "divided by the pooled within-group standard deviation"
    )
    text += f"; groups of fewer than {config['contrast']['min_group']} samples were not compared"
    text += "."
    if (inputs.effects["gene_filter"] == signature_entries.AMPLICON_FREE).any():
        text += " Every contrast was repeated without the genes of the ERBB2 amplicon core."
    if inputs.effects["null_p"].notna().any():
        text += (
            " Primary signatures were compared with random gene sets matched to them (empirical p)."
        )
    out.append(text)
    if "survival" in asked:
        out.append(
            "Outcome: Cox regression per standard deviation of the continuous score, crude and "
            f"adjusted for {wording.adjustment_words(inputs.survival_adjustment)}; fewer than ten "
            "events per term gives no estimate; proportional hazards were tested by Schoenfeld "
            "residuals. Kaplan-Meier curves by thirds fixed beforehand are for display. An "
            "association with outcome is prognostic and says nothing about who benefits from a "
            "treatment."
        )
    if "response" in asked or "response_change" in asked:
        out.append(
            "Response: scores before treatment were compared between responders and others; "
            "changes within patients were tested by sign flips."
        )
    if len(cohorts) > 1:
        out.append(
            "Pooling: estimates adjusted alike in every cohort were pooled by random effects "
            "(REML) with the modified Hartung-Knapp interval, with a prediction interval and "
            "leave-one-out estimates from three cohorts on; with two cohorts the fixed effect is "
            "shown and gives no verdict. A cohort whose positive control failed was left out, and "
            "so were hazard ratios of parts of the follow-up, which exist only where proportional "
            "hazards failed. What adjustment does is read off the crude difference in the patients "
            "of the adjusted one."
        )
    families = config["families"]
    if families:
        out.append(
            "Multiplicity: p-values are not adjusted; q is Benjamini-Hochberg within the declared "
            f"families {wording.join_names(families)}. A test outside every family is exploratory."
        )
    if len(inputs.verdicts):
        rule = inputs.claims["rule"]
        bounds = ", ".join(
            _bound(scale, float(value)) for scale, value in rule["equivalence"].items()
        )
        out.append(
            "Verdicts: one rule for all claims. A claim is supported (for a surrogate "
            "measurement: consistent) or contradicted (inconsistent) where the 95 % interval lies "
            f"on one side of no difference, q < {rule['alpha']:g} in its family and the "
            f"random-set p < {rule['null_alpha']:g}; no difference where the 90 % "
            f"interval lies inside {bounds}, which may be a small effect that is not zero; else "
            "inconclusive. Crude effects of cohorts sampled case-control, or by a variable such as "
            "HER2, give no verdict and enter no crude pool; a pooled verdict needs "
            f"{rule['min_cohorts']} cohorts. Its random-set p is k / r times the r-th smallest of "
            "those of its k cohorts, r being the least that is more than half of k and a cohort on "
            "the other side counting with 1; that is valid however they depend on each other "
            "(Ruger 1978, Metrika 25:171-178)." + _sizes(inputs)
        )
    return out


def _column(inputs: ReportInputs, cohort: str, name: str) -> pd.Series:
    """Return the known values of a clinical column; none where the cohort lacks it."""
    return inputs.clinical[cohort].get(name, pd.Series(dtype=object)).dropna().astype(str)


def _by_value(inputs: ReportInputs, cohorts: Sequence[str], name: str) -> dict[str, list[str]]:
    """Return what a column holds, in words, and the cohorts in which it does."""
    found: dict[str, list[str]] = {}
    for cohort in cohorts:
        values = sorted(set(_column(inputs, cohort, name)))
        found.setdefault(wording.join_names(values) or "not recorded", []).append(cohort)
    return found


def _kept(inputs: ReportInputs) -> str:
    """Write which samples are in the cohorts: their type, sex, and how many of a patient."""
    bulk = [c for c in inputs.cohorts if inputs.provenance[c].get("kind") != "single_cell"]
    clauses = []
    for column, what in (("sample_type", "sample type"), ("sex", "sex")):
        found = _by_value(inputs, bulk, column)
        values = [f"{value} in {wording.join_names(names)}" for value, names in found.items()]
        only = next(iter(found), "")
        clauses.append(f"{what} {only if len(found) == 1 else ', '.join(values)}")
    several = [
        f"{c} ({len(obs)} samples of {patients} patients)"
        for c in bulk
        if (patients := len(facts.one_per_patient(obs := inputs.clinical[c]))) < len(obs)
    ]
    clauses.append(
        "one sample per patient"
        + (f" but for {wording.join_names(several)}" if several else "")
        + (", a patient found in two cohorts kept in the first" if len(bulk) > 1 else "")
    )
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}." if bulk else ""


def _her2(inputs: ReportInputs) -> str:
    """Write what HER2 status rests on in each cohort."""
    found: dict[str, list[str]] = {}
    for cohort in inputs.cohorts:
        sources = set(_column(inputs, cohort, "her2_source"))
        scores = sorted({part for source in sources for part in source.split("+")} & set(SCORES))
        words = [wording.join_names(SCORES[score] for score in scores)] if scores else []
        words += ["a stated call"] if "stated" in sources else []
        found.setdefault(", else ".join(words) or "not recorded", []).append(cohort)
    parts = [f"{what} in {wording.join_names(names)}" for what, names in found.items()]
    only = next(iter(found), "not recorded")
    return (
        f"HER2 status: {only if len(found) <= 1 else '; '.join(parts)}. A missing or indeterminate "
        "status is missing, never negative."
    )


def _sizes(inputs: ReportInputs) -> str:
    """Write of claims that ask how much, not whether, what their estimates are compared with."""
    judged = set(inputs.verdicts["claim"])
    sized = [
        f"{claim['id']} ({wording.scale_of(claim['select']['scale']).label} "
        f"{float(claim['threshold']):g})"
        for claim in inputs.claims.get("claims") or []
        if claim.get("threshold") and claim["id"] in judged
    ]
    if not sized:
        return ""
    return (
        " A claim that asks how much and not whether is compared with a stated size in place of no "
        "difference, cohort by cohort, with q over its own signatures and without random sets: "
        f"{wording.join_names(sized)}."
    )


def _bound(scale: str, value: float) -> str:
    record = wording.scale_of(scale)
    if record.exponentiate:
        low, high = (wording.number(wording.on_scale(v, scale)) for v in (-value, value))
        return f"{record.label} {low} to {high}"
    return f"{record.label} \u00b1{value:g}"


def nulls(inputs: ReportInputs) -> list[dict[str, Any]]:
    """List the comparisons of primary signatures with random gene sets."""
    rows = facts.main_rows(inputs.effects, method=inputs.method)
    rows = rows[
        rows["null_p"].notna()
        & rows["signature"].isin([sig.name for sig in inputs.primary()])
        & rows["question"].isin(["her2", "survival"])
        & rows["stratum"].eq("all")
    ]
    shown = select(rows, adjustment=[inputs.adjustment, "none"])
    return [
        {
            "cohort": row["cohort"],
            "simulated": row["cohort"] in inputs.simulated,
            "question": row["question"] + (f", {row['endpoint']}" if row["endpoint"] else ""),
            "signature": inputs.signatures[row["signature"]].title,
            "adjustment": wording.adjustment_words(row["adjustment"])
            if row["adjustment"] != "none"
            else "none",
            "row": row,
            "null_p": wording.p_value(row["null_p"]),
        }
        for _, row in shown.iterrows()
    ]
