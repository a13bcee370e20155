"""Contexts of the report's sections: plain dictionaries that the templates write out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cytostrat.report import facts, figures, palette, relations, wording
from cytostrat.report.drawing import Sketch
from cytostrat.report.facts import ReportInputs, select
from cytostrat.stats import notes
from cytostrat.stats.controls import GOOD_FROM, PASS_ABOVE

AMPLICON_FREE = "without amplicon core"
PREDICTION = "95 % prediction interval"


def standardised(scores: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return samples x signatures of one method, standardised over the cohort.

    A signature without spread, or with fewer than two samples, is NaN.
    """
    bulk = scores[scores["method"].eq(method) & scores["cell_type"].fillna("").eq("")]
    wide = bulk.pivot(index="sample", columns="signature", values="score")
    deviation = wide.std(ddof=1)
    return (wide - wide.mean()) / deviation.where(deviation > 0)


def strip(rows: Sequence[Mapping[str, Any]], *, limit: float | None = None) -> list[dict[str, Any]]:
    """Place intervals on a drawing of 100 units with no difference in the middle.

    Parameters
    ----------
    rows
        Each with ``estimate``, ``low``, ``high``, ``scale`` and ``kind`` (before, adjusted,
        verdict), and ``null`` where it is not that of the scale. Rows without an estimate are
        left out.
    limit
        Distance from no difference at which an interval is cut; by default that of the scale.
    """
    placed = []
    for row in rows:
        if not wording.finite(row["estimate"]):
            continue
        scale = wording.scale_of(row["scale"])
        null = float(row.get("null", scale.null))
        reach = limit or scale.reach
        bounded = wording.finite(row["low"]) and wording.finite(row["high"])
        placed.append(
            {
                "kind": row["kind"],
                "estimate": _place(row["estimate"], null, reach),
                "low": _place(row["low"], null, reach) if bounded else None,
                "high": _place(row["high"], null, reach) if bounded else None,
                "cut_low": bounded and float(row["low"]) - null < -reach,
                "cut_high": bounded and float(row["high"]) - null > reach,
                "text": wording.estimate(row),
            }
        )
    return placed


def _place(value: Any, null: float, reach: float) -> float:
    return round(50 + 48 * max(-1.0, min(1.0, (float(value) - null) / reach)), 2)


def strip_limit(frames: Sequence[Mapping[str, Any] | None]) -> float:
    """Choose one limit for a column of strips, so that their lengths can be compared."""
    reach = [
        abs(float(row[key]) - wording.scale_of(row["scale"]).null)
        for row in frames
        if row is not None
        for key in ("low", "high")
        if wording.finite(row[key])
    ]
    return float(np.clip(np.quantile(reach, 0.9), 0.3, 3.0)) if reach else 1.0


@dataclass(frozen=True)
class Contrast:
    """The HER2 contrast of one signature that a line of the report shows.

    Parameters
    ----------
    where
        Cohorts behind it, in words.
    crude
        Row of all patients with HER2 status; None where there is none.
    same
        Crude row in the patients of `adjusted`; None where it is not of the same ones.
    adjusted
        Row of the primary adjustment.
    pooled
        Whether enough cohorts are pooled for a verdict.
    differ, usable
        In how many of the usable cohorts the adjusted estimate is a difference by the rule.
    verb
        What may be said of it.
    differs
        Whether the pooled estimate is a difference by the rule of the verdicts.
    """

    where: str
    crude: pd.Series | None
    same: pd.Series | None
    adjusted: pd.Series | None
    pooled: bool
    differ: int
    usable: int
    verb: str
    differs: bool

    @property
    def shown(self) -> pd.Series | None:
        """The adjusted row, the crude one where there is none."""
        return self.adjusted if self.adjusted is not None else self.crude

    @property
    def after(self) -> str:
        """What adjustment did, from the same patients; empty where they are not at hand."""
        return "" if self.same is None else wording.adjusted_verb(self.same, self.adjusted)

    @property
    def drawn(self) -> list[dict[str, Any]]:
        """Rows of a strip: before and after adjustment, in the same patients."""
        return [
            {**row.to_dict(), "kind": kind}
            for kind, row in (("before", self.same), ("adjusted", self.adjusted))
            if row is not None
        ]


def her2_contrast(inputs: ReportInputs, name: str) -> Contrast:
    """Return the pooled HER2 contrast, or that of the only cohort.

    A direction is named only of a difference by the rule of the verdicts that is pooled over as
    many cohorts as a pooled verdict takes; of fewer it is said in how many they differ.
    """
    if name not in inputs.contrasts:
        inputs.contrasts[name] = _her2_contrast(inputs, name)
    return inputs.contrasts[name]


def _her2_contrast(inputs: ReportInputs, name: str) -> Contrast:
    kinds = (facts.CRUDE, facts.SAME, facts.ADJUSTED)
    by_cohort = {
        cohort: {kind: facts.her2_effect(inputs, name, cohort, kind=kind) for kind in kinds}
        for cohort in inputs.cohorts
    }
    rows = {kind: facts.pooled_effect(inputs, name, kind=kind) for kind in kinds}
    is_pool = rows[facts.CRUDE] is not None or rows[facts.ADJUSTED] is not None
    if is_pool:
        k = next(
            int(rows[kind]["k"]) for kind in (facts.ADJUSTED, facts.CRUDE) if rows[kind] is not None
        )
        where = "fixed effect of 2 cohorts" if k == 2 else f"{wording.plural(k, 'cohort')} pooled"
    else:
        known = {
            cohort: own
            for cohort, own in by_cohort.items()
            if own[facts.CRUDE] is not None or own[facts.ADJUSTED] is not None
        }
        where = "cohorts shown one by one" if known else ""
        if len(known) == 1:
            ((where, rows),) = known.items()
    crude, same, adjusted = (rows[kind] for kind in kinds)
    usable = [
        own[facts.ADJUSTED] for own in by_cohort.values()
        if facts.usable(inputs, own[facts.ADJUSTED])
    ]  # fmt: skip
    differ = sum(not facts.lacking(inputs, row) for row in usable)
    enough = is_pool and adjusted is not None and adjusted["k"] >= inputs.rule["min_cohorts"]
    lacking = facts.lacking(inputs, adjusted) if enough else []
    if enough:
        verb = wording.contrast_verb(adjusted, lacking)
    elif usable:
        verb = f"differs in {differ} of {wording.plural(len(usable), 'usable cohort')}"
    else:
        verb = "no usable adjusted estimate"
    return Contrast(
        where=where,
        crude=crude,
        same=same if facts.comparable(same, adjusted) else None,
        adjusted=adjusted,
        pooled=bool(enough),
        differ=differ,
        usable=len(usable),
        verb=verb,
        differs=bool(enough) and not lacking,
    )


def headlines(inputs: ReportInputs) -> dict[str, Any]:
    """Build one line per primary signature: the HER2 contrast before and after adjustment."""
    lines = []
    for signature in inputs.primary():
        found = her2_contrast(inputs, signature.name)
        lines.append(
            {
                "signature": signature,
                "contrast": found,
                "note": _note(found.adjusted),
                "agreement": il1_agreement(inputs) if signature.axis == "IL1" else "",
            }
        )
    limit = _with_strips(lines)
    return {"lines": lines, "limit": limit, "short": _short(inputs, lines)}


def _with_strips(lines: Sequence[dict[str, Any]]) -> float:
    """Draw the contrast of each line, all to one limit, and return it."""
    limit = strip_limit([row for line in lines for row in line["contrast"].drawn])
    for line in lines:
        line["strip"] = strip(line["contrast"].drawn, limit=limit)
    return limit


def _short(inputs: ReportInputs, lines: Sequence[Mapping[str, Any]]) -> str:
    """Write in one sentence which primary signatures differ by HER2 after adjustment."""
    pooled = [line for line in lines if line["contrast"].pooled]
    single = [line for line in lines if not line["contrast"].pooled and line["contrast"].usable]
    if not pooled and not single:
        return ""
    rule, parts = inputs.rule, []
    if pooled:
        apart = [line for line in pooled if line["contrast"].differs]
        named = [f"{line['signature'].title}, {line['contrast'].verb}" for line in apart]
        over = f"pooled over {rule['min_cohorts']} cohorts or more"
        if len(pooled) == 1:
            only = pooled[0]
            how = f"differs ({only['contrast'].verb})" if apart else "does not differ"
            parts.append(f"{only['signature'].title}, the one primary signature {over}, {how}")
        else:
            parts.append(
                f"{len(apart) or 'none'} of {len(pooled)} primary signatures {over} "
                f"{'differ' if len(apart) > 1 else 'differs'}"
                + (f" ({'; '.join(named)})" if named else "")
            )
    if single:
        some = [
            f"{line['signature'].title} in {line['contrast'].differ} of "
            f"{wording.plural(line['contrast'].usable, 'usable cohort')}"
            for line in single
            if line["contrast"].differ
        ]
        of = wording.plural(len(single), "primary signature") + " usable in fewer cohorts"
        parts.append(
            f"of {of}, {len(some)} {'differ' if len(some) > 1 else 'differs'} in single cohorts "
            f"({'; '.join(some)})"
            if some
            else f"none of {of} differs in any of them"
        )
    return (
        f"By HER2, given {adjustment_words(inputs.adjustment)}: {'; '.join(parts)}. To differ "
        f"takes q < {rule['alpha']:g} in its family, p < {rule['null_alpha']:g} against random "
        "sets and a 95 % interval without zero."
    )


def _note(row: pd.Series | None) -> str:
    return "" if row is None or wording.is_missing(row["note"]) else str(row["note"])


def limits(inputs: ReportInputs, cohorts: Sequence[Mapping[str, Any]]) -> list[str]:
    """List what this run can't say, worked out from what it holds."""
    out = []
    if inputs.simulated:
        names = wording.join_names(sorted(inputs.simulated))
        who = (
            "All cohorts are"
            if len(inputs.simulated) == len(cohorts)
            else f"{names} is"
            if len(inputs.simulated) == 1
            else f"{names} are"
        )
        out.append(
            f"{who} simulated: the numbers show that the analysis works and say nothing about "
            "tumours."
        )
    out.append(
        "Who would benefit from a cytokine or an antagonist. No cohort here tests a signature "
        "as a predictor in a trial that allots the drug; an association with outcome is prognostic."
    )
    axes = {sig.axis for sig in inputs.signatures.values()}
    if "IL1" in axes:
        out.append(
            "What the IL1 signature of Wu 2018 itself does. Its gene list is not at hand; two "
            "surrogates stand in for it, and an IL1 statement needs both to agree in sign. In bulk "
            "tumour IL1 can't be told apart from TNF and NF-\u03baB activity."
        )
        out.append(
            "Anything about blood. That claim was made on blood leukocytes of women with "
            "metastatic HER2-negative disease; a contrast between primary tumours is a surrogate."
        )
    out.append(
        "Which single tumour carries a signal, or what share of tumours do. A score has no zero "
        "and no threshold from outside the cohort, so groups of tumours are compared."
    )
    out.append(
        "What HER2 does by itself. HER2-positive tumours are more often ER-negative, so the crude "
        f"contrast mixes the two; read the one adjusted for {adjustment_words(inputs.adjustment)}."
    )
    sampled = [f"{c['name']} ({c['sampled']})" for c in cohorts if c["sampled"]]
    if sampled:
        out.append(
            f"Population frequencies or crude contrasts in {wording.join_names(sampled)}: how "
            "patients were chosen shapes both, so their crude effects give no verdict and enter "
            "no crude pool."
        )
    if len(cohorts) == 1:
        out.append("Whether the finding holds elsewhere: there is one cohort and nothing to pool.")
    elif len(cohorts) == 2:
        out.append(
            "How much cohorts differ: with two, the variance between them can't be estimated."
        )
    if not any(c["endpoints"] for c in cohorts):
        out.append("Anything about survival: no cohort has an endpoint.")
    failed = [f"{c['name']} ({', '.join(c['control_failed'])})" for c in cohorts
              if c["control_failed"]]  # fmt: skip
    if failed:
        out.append(
            f"Anything that rests on {wording.join_names(failed)}: the positive control failed, "
            "and the cohort is kept out of verdicts."
        )
    unseen = [sig.name for sig in inputs.primary() if not usable_anywhere(inputs, sig.name)]
    if unseen:
        out.append(
            f"Anything about {wording.join_names(unseen)}: no cohort measures enough of the genes."
        )
    return out


def adjustment_words(adjustment: str) -> str:
    """Write ``er+age`` as in a sentence."""
    words = {"er": "ER", "her2": "HER2", "pam50": "PAM50", "tnf": "TNF", "none": "nothing"}
    return wording.join_names(
        words.get(part, part.replace("_", " ")) for part in adjustment.split("+")
    )


def usable_anywhere(inputs: ReportInputs, signature: str) -> bool:
    """Whether any cohort measures enough genes of a set."""
    rows = select(inputs.coverage, signature=signature)
    return bool(rows["usable"].fillna(False).astype(bool).any())


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
                "her2": _column(obs, "her2"),
                "er": _column(obs, "er"),
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
        "usable": usable_anywhere(inputs, name),
        "therapies": therapies_of(inputs, name),
        "methods": relations.by_method(inputs, name),
        "agreement": il1_agreement(inputs) if record.axis == "IL1" else "",
        "variants": relations.variants(inputs, name),
        "leading": relations.leading_genes(inputs, name),
        "sentence": signature_sentence(inputs, name),
        "simulated": bool(inputs.simulated),
    }


def _column(obs: pd.DataFrame, name: str) -> list[str]:
    if name not in obs:
        return [""] * len(obs)
    return ["" if wording.is_missing(v) else str(v) for v in obs[name]]


def signature_sentence(inputs: ReportInputs, name: str) -> str:
    """Write what the HER2 contrast of one signature shows."""
    found = her2_contrast(inputs, name)
    if not found.where:
        return "No cohort gives a HER2 contrast for this signature."
    if found.shown is None:
        return f"Cohorts are shown one by one: {found.verb}."
    text = f"{found.where[0].upper()}{found.where[1:]}: "
    if found.adjusted is not None:
        words = adjustment_words(inputs.adjustment)
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
                "notes": notes_of(crude, adjusted, free),
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
                "notes": notes_of(crude, adjusted),
            }
        )
    return rows


def _n(row: pd.Series) -> str:
    if not wording.finite(row["n"]):
        return ""
    if not wording.finite(row["n_case"]):
        return wording.count(row["n"])
    return f"{wording.count(row['n_case'])} v {wording.count(int(row['n']) - int(row['n_case']))}"


def notes_of(*rows: pd.Series | None) -> list[str]:
    """Return the notes of several rows, each clause once."""
    seen: dict[str, None] = {}
    for row in rows:
        for part in _note(row).split("; "):
            if part:
                seen.setdefault(part)
    return list(seen)


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
        (f"Adjusted for {adjustment_words(inputs.adjustment)}", facts.ADJUSTED),
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
        caption="Squares are cohorts, diamonds pooled estimates, lines 95 % intervals, the dashed "
        "line is where a further cohort is expected; hollow is crude, filled is adjusted. What "
        "adjustment did is seen between the rows of the same patients. "
        "Numbers in brackets: HER2-positive v HER2-negative.",
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
                "usable": usable_anywhere(inputs, signature.name),
                "adjusted": adjusted,
                "therapies": therapies_of(inputs, signature.name),
            }
        )
    return out


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
        "unit": "cells" if record.get("kind") == "single_cell" else "tumours",
        "simulated": cohort in inputs.simulated,
    }


def her2_evidence(inputs: ReportInputs, cohort: str) -> dict[str, Any]:
    """Tabulate what HER2 status rests on in one cohort, with the conflicts."""
    obs = inputs.clinical.get(cohort, pd.DataFrame())
    columns = ["her2_source", "her2_ihc", "her2_ish", "her2"]
    frame = pd.DataFrame({column: _column(obs, column) for column in columns}, index=obs.index)
    table = frame.groupby(columns, sort=True).size().rename("n").reset_index()
    flags = pd.Series(_column(obs, "her2_flag"))
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
                "note": _note(row),
                "simulated": row["cohort"] in inputs.simulated,
            }
        )
    return out


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


def anchor(inputs: ReportInputs, signature: str) -> str:
    """Return the element id where a signature is described."""
    role = inputs.signatures[signature].role
    return f"{'sig' if role == 'primary' else 'set'}-{wording.slug(signature)}"


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
    limit = _with_strips([line for card in cards for line in card["lines"]])
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
        "anchor": anchor(inputs, name),
        "usable": usable_anywhere(inputs, name),
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


def il1_agreement(inputs: ReportInputs) -> str:
    """Say whether the primary IL1 surrogates agree in sign, which an IL1 statement needs."""
    rows = [
        her2_contrast(inputs, signature.name).shown
        for signature in inputs.primary()
        if signature.axis == "IL1"
    ]
    rows = [row for row in rows if row is not None and wording.finite(row["estimate"])]
    if len(rows) < 2:
        return "Fewer than two IL1 surrogates could be estimated, so no IL1 statement is made."
    if len({float(row["estimate"]) > 0 for row in rows}) > 1:
        return "The IL1 surrogates disagree in sign, so no IL1 statement is made."
    if any(float(row["low"]) <= 0 <= float(row["high"]) for row in rows):
        return (
            "The IL1 surrogates agree in sign, but an interval holds zero: their sign supports no "
            "statement."
        )
    return "The IL1 surrogates agree in sign."
