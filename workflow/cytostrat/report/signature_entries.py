"""One entry per signature: sentence, table, figures, coverage, and the index."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from cytostrat.report import facts, figures, palette, relations, wording
from cytostrat.report.contrast import her2_contrast, il1_agreement
from cytostrat.report.drawing import Sketch
from cytostrat.report.facts import ReportInputs, select
from cytostrat.report.therapies import therapies_of

AMPLICON_FREE = "without amplicon core"
PREDICTION = "95 % prediction interval"


def signature_entry(
    inputs: ReportInputs, name: str, z_scores: Mapping[str, pd.DataFrame]
) -> dict[str, Any]:
    """Build the section of one primary signature, figures included."""
    record = inputs.signatures[name]
    drawings = []
    for cohort in inputs.cohorts:
        wide = z_scores.get(cohort)
        if wide is None or name not in wide or wide[name].notna().sum() == 0:
            continue
        obs = inputs.clinical[cohort].reindex(wide.index)
        frame = pd.DataFrame(
            {
                "sample": wide.index.astype(str),
                "score": wide[name].to_numpy(),
                "her2": facts.labels_of(obs, "her2"),
                "er": facts.labels_of(obs, "er"),
            }
        )
        if not frame["her2"].isin(["positive", "negative"]).any():
            continue
        cells = facts.main_rows(
            inputs.effect_rows, question="er_her2_cells", cohort=cohort, signature=name,
            method=inputs.method, scale="mean_z",
        )  # fmt: skip
        drawings.append(
            Sketch(
                figures.distribution,
                frame,
                cells=cells,
                name=f"signatures/{wording.slug(name)}/{wording.slug(cohort)}",
                signature=record.title,
                cohort=cohort,
                method=inputs.method,
                simulated=cohort in inputs.simulated,
            )
        )
    forest = her2_forest(inputs, name)
    return {
        "record": record,
        "n_genes": len(record.up) + len(record.down),
        "distributions": drawings,
        "forest": forest,
        "effects": effect_rows(inputs, name),
        "coverage": coverage_rows(inputs, name),
        "usable": facts.usable_anywhere(inputs, name),
        "therapies": therapies_of(inputs, name),
        "methods": relations.by_method(inputs, name),
        "agreement": il1_agreement(inputs) if record.axis == "IL1" else "",
        "variants": relations.variants(inputs, name),
        "leading": relations.leading_genes(inputs, name),
        "sentence": signature_sentence(inputs, name),
        "simulated": bool(inputs.simulated),
    }


def signature_sentence(inputs: ReportInputs, name: str) -> str:
    """Write what the HER2 contrast of one signature shows."""
    found = her2_contrast(inputs, name)
    if not found.where:
        return "No cohort gives a HER2 contrast for this signature."
    if found.shown is None:
        return f"Cohorts are shown one by one: {found.verb}."
    text = f"{found.where[0].upper()}{found.where[1:]}: "
    if found.adjusted is not None:
        words = wording.adjustment_words(inputs.adjustment)
        text += f"{wording.estimate(found.adjusted)} adjusted for {words}; "
    text += f"{found.verb}."
    if found.crude is not None:
        text += f" Crude, {_cohorts(found.crude)}: {wording.estimate(found.crude)}."
    return f"{text} {found.after}".rstrip()


def _cohorts(row: pd.Series) -> str:
    """Name the cohorts behind a row."""
    return wording.plural(int(row["k"]), "cohort") if "k" in row else str(row["cohort"])


def effect_rows(inputs: ReportInputs, name: str) -> list[dict[str, Any]]:
    """List crude, adjusted and amplicon-free contrasts per cohort and pooled."""
    rows = []
    for cohort in inputs.cohorts:
        crude = facts.her2_effect(inputs, name, cohort, kind=facts.CRUDE)
        same = facts.her2_effect(inputs, name, cohort, kind=facts.SAME)
        adjusted = facts.her2_effect(inputs, name, cohort, kind=facts.ADJUSTED)
        free = facts.first(
            select(inputs.effect_rows, question="her2", cohort=cohort, signature=name,
                   stratum="all", method=inputs.method, her2_rule="primary",
                   gene_filter=AMPLICON_FREE, scale="adjusted_g", adjustment=inputs.adjustment)
        )  # fmt: skip
        if crude is None and adjusted is None:
            continue
        rows.append(
            {
                "cohort": cohort,
                "simulated": cohort in inputs.simulated,
                "n": _n(adjusted if adjusted is not None else crude),
                "crude": crude,
                "crude_n": "" if crude is None else _n(crude),
                "same": same if facts.comparable(same, adjusted) else None,
                "adjusted": adjusted,
                "free": free,
                "q": wording.p_value(adjusted["q"], "q") if adjusted is not None else "",
                "null_p": "" if adjusted is None else wording.p_value(adjusted["null_p"]),
                "notes": wording.notes_of(crude, adjusted, free),
            }
        )
    crude, same, adjusted = (
        facts.pooled_effect(inputs, name, kind=kind)
        for kind in (facts.CRUDE, facts.SAME, facts.ADJUSTED)
    )
    if crude is not None or adjusted is not None:
        row = adjusted if adjusted is not None else crude
        rows.append(
            {
                "cohort": f"Pooled, {facts.MODELS[row['model']]}",
                "simulated": bool(inputs.simulated),
                "n": wording.plural(int(row["k"]), "cohort"),
                "crude": crude,
                "crude_n": "" if crude is None else wording.plural(int(crude["k"]), "cohort"),
                "same": same if facts.comparable(same, adjusted) else None,
                "adjusted": adjusted,
                "free": None,
                "q": "" if adjusted is None else wording.p_value(adjusted["q"], "q"),
                "null_p": "" if adjusted is None else wording.p_value(adjusted["null_p"]),
                "notes": wording.notes_of(crude, adjusted),
            }
        )
    return rows


def _n(row: pd.Series) -> str:
    if not wording.finite(row["n"]):
        return ""
    if not wording.finite(row["n_case"]):
        return wording.count(row["n"])
    return f"{wording.count(row['n_case'])} v {wording.count(int(row['n']) - int(row['n_case']))}"


def coverage_rows(inputs: ReportInputs, name: str) -> list[dict[str, Any]]:
    """List the coverage of one signature in every cohort, with the missing genes."""
    rows = []
    for _, row in select(inputs.coverage, signature=name).iterrows():
        missing = re.split(r"[\s,;|]+", str(row["missing"]).strip(" ,;|"))
        missing = [gene for gene in missing if gene]
        rows.append(
            {
                "cohort": row["cohort"],
                "present": wording.count(row["n_present"]),
                "n": wording.count(row["n_genes"]),
                "fraction": float(row["fraction"]) if wording.finite(row["fraction"]) else 0.0,
                "percent": wording.percent(row["fraction"]),
                "usable": bool(row["usable"]) if not pd.isna(row["usable"]) else False,
                "missing": missing,
                "note": "" if wording.is_missing(row["note"]) else row["note"],
            }
        )
    order = {c: i for i, c in enumerate(inputs.cohorts)}
    return sorted(rows, key=lambda row: order.get(row["cohort"], len(order)))


def her2_forest(inputs: ReportInputs, name: str) -> Sketch | None:
    """Draw the HER2 contrast of one signature over cohorts: crude, adjusted and pooled."""
    rows = []
    groups = (
        ("Crude, all patients with HER2 status", facts.CRUDE),
        ("Crude, in the patients of the adjusted row", facts.SAME),
        (f"Adjusted for {wording.adjustment_words(inputs.adjustment)}", facts.ADJUSTED),
    )
    for heading, kind in groups:
        hollow = kind != facts.ADJUSTED
        for cohort in inputs.cohorts:
            row = facts.her2_effect(inputs, name, cohort, kind=kind)
            if row is None:
                continue
            rows.append(_forest_row(row, heading, cohort, _n(row), hollow=hollow))
        pooled = facts.main_rows(
            inputs.pooled_rows, question="her2", signature=name, stratum="all",
            method=inputs.method, **facts.kind_of_row(inputs, kind),
        )  # fmt: skip
        for _, row in facts.pooled_models(pooled).iterrows():
            label, k = f"Pooled, {facts.MODELS[row['model']]}", f"k = {wording.count(row['k'])}"
            rows.append(_forest_row(row, heading, label, k, hollow=hollow, pooled=True))
            if wording.finite(row["pi_low"]) and wording.finite(row["pi_high"]):
                expected = {"estimate": None, "low": row["pi_low"], "high": row["pi_high"]}
                rows.append({**rows[-1], **expected, "label": PREDICTION, "n": ""})
    if not any(wording.finite(row["estimate"]) for row in rows):
        return None
    title = inputs.signatures[name].title
    return Sketch(
        figures.forest,
        rows,
        name=f"signatures/{wording.slug(name)}/forest",
        title=f"{title}: HER2-positive minus HER2-negative in each cohort",
        caption="Squares are cohorts, lines 95 % intervals; hollow is crude, filled is adjusted. "
        "What adjustment did is seen between the rows of the same patients. Numbers in brackets: "
        "HER2-positive v HER2-negative.",
        xlabel="difference in standard deviations (g)",
        sides=("higher in HER2\u2212", "higher in HER2+"),
        simulated=bool(inputs.simulated),
    )


def _forest_row(row: pd.Series, group: str, label: str, n: str, *, hollow: bool,
                pooled: bool = False) -> dict[str, Any]:  # fmt: skip
    return {
        "group": group,
        "label": label,
        "estimate": row["estimate"],
        "low": row["low"],
        "high": row["high"],
        "n": n,
        "pooled": pooled,
        "hollow": hollow,
        "colour": palette.INK,
    }


def signature_index(inputs: ReportInputs) -> list[dict[str, Any]]:
    """List every signature: what it is, how well it is covered, and its pooled contrast."""
    out = []
    for signature in inputs.signatures.values():
        shares = select(inputs.coverage, signature=signature.name)["fraction"].dropna()
        adjusted = her2_contrast(inputs, signature.name).adjusted
        out.append(
            {
                "record": signature,
                "n_genes": len(signature.up) + len(signature.down),
                "lowest": wording.percent(shares.min()) if len(shares) else "\u2013",
                "highest": wording.percent(shares.max()) if len(shares) else "\u2013",
                "usable": facts.usable_anywhere(inputs, signature.name),
                "adjusted": adjusted,
                "therapies": therapies_of(inputs, signature.name),
            }
        )
    return out
