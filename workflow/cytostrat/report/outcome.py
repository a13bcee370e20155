"""Sections on outcome, response and single cells, for cohorts that have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cytostrat.report import facts, figures, palette, wording
from cytostrat.report.drawing import Sketch
from cytostrat.report.facts import ReportInputs, select
from cytostrat.stats import notes
from cytostrat.tables import ENDPOINTS

WITH_PROLIFERATION = "proliferation"
SHARE = "share of total"
FEWEST_TRANSCRIPTS = 20
CAUSE_SPECIFIC = "cause-specific hazard"
OVERSTATES = "overstates the risk"
SIDES = {
    "OS": ("longer", "shorter survival"),
    "DSS": ("fewer", "more deaths of cancer"),
}
RELAPSE_SIDES = ("fewer", "more events")
LATER_TREATMENT = "immortal time"


def survival(inputs: ReportInputs) -> dict[str, Any] | None:
    """Build the section on outcome; None where no cohort has a survival row."""
    rows = select(inputs.effect_rows, question="survival", method=inputs.method, scale="log_hr")
    rows = rows[rows["signature"].isin([sig.name for sig in inputs.primary()])]
    main = select(rows, stratum="all", gene_filter=["all genes", ""])
    if main.empty:
        return None
    entries = [_endpoint(inputs, main, e) for e in ENDPOINTS if e in set(main["endpoint"])]
    entries.sort(key=lambda entry: entry["forest"] is None)
    curves = _curves(inputs)
    return {
        "endpoints": entries,
        "curves": curves,
        "overstated": sorted(
            {
                f"{drawing.keywords['endpoint']} in {drawing.keywords['cohort']}"
                for entry in curves
                for drawing in entry["drawings"]
                if drawing.keywords["competing"]
            }
        ),
        "simulated": inputs.any_simulated(sorted(set(main["cohort"]))),
    }


def _endpoint(inputs: ReportInputs, main: pd.DataFrame, endpoint: str) -> dict[str, Any]:
    rows = select(main, endpoint=endpoint)
    lines, drawn = [], []
    interaction = select(
        inputs.effect_rows, question="survival_her2_interaction", endpoint=endpoint,
        method=inputs.method,
    )  # fmt: skip
    gain = select(
        inputs.effect_rows, question="concordance", endpoint=endpoint, method=inputs.method
    )
    for signature in inputs.primary():
        own = select(rows, signature=signature.name)
        group = f"{signature.title}"
        for cohort in inputs.cohorts:
            here = select(own, cohort=cohort)
            if here.empty:
                continue
            crude = facts.first(select(here, adjustment="none"))
            adjusted = facts.first(select(here, adjustment=inputs.survival_adjustment))
            mask = here["adjustment"].str.contains(WITH_PROLIFERATION, regex=False)
            lines.append(
                {
                    "signature": signature,
                    "cohort": cohort,
                    "simulated": cohort in inputs.simulated,
                    "n": _size(adjusted if adjusted is not None else crude),
                    "crude": crude,
                    "adjusted": adjusted,
                    "proliferation": facts.first(here[mask]),
                    "interaction": facts.first(
                        select(interaction, cohort=cohort, signature=signature.name)
                    ),
                    "gain": facts.first(select(gain, cohort=cohort, signature=signature.name)),
                    "null_p": _null(adjusted if adjusted is not None else crude),
                    "notes": wording.notes_of(crude, adjusted),
                }
            )
            known = [
                row for row in (adjusted, crude)
                if row is not None and wording.finite(row["estimate"])
            ]  # fmt: skip
            shown = known[0] if known else adjusted if adjusted is not None else crude
            if shown is not None:
                line = _line(shown, group, cohort, _events(shown))
                drawn.append({**line, "hollow": shown["adjustment"] == "none"})
        pooled = facts.first(
            facts.pooled_models(
                select(
                    inputs.pooled_rows, question="survival", endpoint=endpoint, stratum="all",
                    signature=signature.name, method=inputs.method, scale="log_hr",
                    adjustment=inputs.survival_adjustment, gene_filter=["all genes", ""],
                )
            )
        )  # fmt: skip
        if pooled is not None:
            label = f"Pooled, {facts.MODELS[pooled['model']]}"
            drawn.append(_line(pooled, group, label, f"k = {pooled['k']}", pooled=True))
    cohorts = sorted({line["cohort"] for line in lines})
    censoring = _carries(rows, CAUSE_SPECIFIC)
    forest = None
    if any(wording.finite(row["estimate"]) for row in drawn):
        forest = Sketch(
            figures.forest,
            drawn,
            name=f"outcome/{wording.slug(endpoint)}",
            title=f"{endpoint}: hazard ratio per standard deviation of each signature",
            caption=f"{endpoint}: Cox model per standard deviation of the score, adjusted for "
            f"{wording.adjustment_words(inputs.survival_adjustment)} where it could be, else "
            "crude (hollow). An association with outcome is prognostic."
            + (
                f" In {wording.join_names(censoring)} other deaths are censored: the hazard is "
                "that of the endpoint's own events."
                if censoring
                else ""
            ),
            xlabel="hazard ratio per SD of the score",
            sides=SIDES.get(endpoint, RELAPSE_SIDES),
            log=True,
            simulated=inputs.any_simulated(cohorts),
        )
    return {
        "name": endpoint,
        "words": wording.ENDPOINTS[endpoint],
        "lines": lines,
        "forest": forest,
        "simulated": inputs.any_simulated(cohorts),
    }


def _carries(rows: pd.DataFrame, words: str) -> list[str]:
    """Return the cohorts of which a row's notes hold these words, sorted."""
    return sorted(set(rows.loc[notes.carries(rows["note"], words), "cohort"]))


def limits(inputs: ReportInputs) -> list[str]:
    """List what follow-up as it is recorded can't say; empty without an outcome."""
    rows = select(inputs.effect_rows, question="survival")
    rows = rows[rows["estimate"].notna()]
    if rows.empty:
        return []
    out = [
        "How patients fared who died or relapsed before they could enter a tumour bank. Times "
        "count from diagnosis and no cohort records when a patient came under observation, so "
        "everyone is taken as followed from the start; late entry would flatter survival, as may "
        "be in TCGA and other collections of banked tumours."
    ]
    if _carries(rows, LATER_TREATMENT):
        out.append(
            "What a treatment did in the patients who had it. A stratum such as endocrine-treated "
            "patients is made of those who lived long enough to be treated (immortal time); its "
            "hazard ratios compare scores among them and say nothing about the treatment."
        )
    return out


def words(inputs: ReportInputs, signature: str) -> list[str]:
    """Say how one signature goes with outcome: pooled where it is, else cohort by cohort."""
    out = []
    where = {
        "question": "survival", "stratum": "all", "signature": signature, "method": inputs.method,
        "scale": "log_hr", "adjustment": inputs.survival_adjustment,
        "gene_filter": ["all genes", ""],
    }  # fmt: skip
    for endpoint in ENDPOINTS:
        pooled = facts.first(
            facts.pooled_models(select(inputs.pooled_rows, endpoint=endpoint, **where))
        )
        if pooled is not None and wording.finite(pooled["estimate"]):
            k = wording.plural(int(pooled["k"]), "cohort")
            out.append(f"{endpoint}: {wording.estimate(pooled)}, {k}")
            continue
        rows = select(inputs.effect_rows, endpoint=endpoint, **where)
        out += [
            f"{endpoint}: {wording.estimate(row)}, {row['cohort']}"
            for _, row in rows[rows["estimate"].notna()].iterrows()
        ]
    return out


def cell_words(inputs: ReportInputs, genes: Sequence[str]) -> list[str]:
    """Say in which cell type most transcripts of a therapy's genes lie, per single-cell cohort."""
    rows = select(
        inputs.effect_rows, question="cell_source", endpoint=SHARE, contrast="",
        signature=list(genes),
    )  # fmt: skip
    rows = rows[rows["estimate"].notna()]
    out = []
    for (cohort, gene), own in rows.groupby(["cohort", "signature"], sort=True):
        top = own.sort_values(["estimate", "stratum"], ascending=[False, True]).iloc[0]
        patients = inputs.clinical[cohort]["patient"].nunique()
        if patients > 1:
            out.append(
                f"{gene}: {wording.percent(top['estimate'])} of its transcripts in "
                f"{top['stratum']} cells ({cohort}, {wording.plural(patients, 'patient')})"
            )
            continue
        # of one patient the row counts transcripts
        share = (
            f"{wording.count(top['n_case'])} of {wording.count(top['n'])} transcripts in "
            f"{top['stratum']} cells"
        )
        if float(top["n"]) >= FEWEST_TRANSCRIPTS:
            share += f", {wording.percent(top['estimate'])}"
        out.append(
            f"{gene}: {share} ({wording.percent(top['low'])} to {wording.percent(top['high'])}; "
            f"{cohort}, 1 patient, a description)"
        )
    return out


def _contrast_words(contrast: str) -> str:
    """Write ``change (after - before), yes - no`` as in a sentence."""
    return contrast.replace("yes - no", "responders minus others").replace(" - ", " minus ")


def _size(row: pd.Series | None) -> str:
    if row is None:
        return ""
    return f"{wording.count(row['n'])}, {wording.count(row['events'])} events"


def _events(row: pd.Series) -> str:
    return wording.plural(int(row["events"]), "event") if wording.finite(row["events"]) else ""


def _null(row: pd.Series | None) -> str:
    return "" if row is None else wording.p_value(row["null_p"])


def _line(
    row: pd.Series, group: str, label: str, n: str, *, pooled: bool = False
) -> dict[str, Any]:
    return {
        "group": group,
        "label": label,
        "estimate": row["estimate"],
        "low": row["low"],
        "high": row["high"],
        "n": n,
        "pooled": pooled,
        "hollow": False,
        "colour": palette.INK,
    }


def _curves(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Draw survival curves of the primary signatures, one endpoint per cohort.

    Of several endpoints the one with most events is drawn; the models cover them all.
    """
    if inputs.curves.empty:
        return []
    out = []
    for signature in inputs.primary():
        drawings = []
        for cohort in inputs.cohorts:
            own = select(
                inputs.curves, cohort=cohort, signature=signature.name, method=inputs.method,
                group=["low", "middle", "high"],
            )  # fmt: skip
            if own.empty:
                continue
            steps = own[~own["tick"].astype(bool)]
            events = steps.groupby("endpoint")["events"].sum().sort_index(kind="stable")
            endpoint = str(events.idxmax())
            drawings.append(
                Sketch(
                    figures.kaplan_meier,
                    select(own, endpoint=endpoint),
                    name=f"outcome/{wording.slug(signature.name)}/{wording.slug(cohort)}",
                    signature=signature.title,
                    cohort=cohort,
                    endpoint=endpoint,
                    competing=bool(_carries(select(own, endpoint=endpoint), OVERSTATES)),
                    simulated=cohort in inputs.simulated,
                )
            )
        if drawings:
            out.append({"signature": signature, "drawings": drawings})
    return out


def response(inputs: ReportInputs) -> dict[str, Any] | None:
    """Build the section on response to treatment; None where no cohort has one."""
    questions = ["response", "response_change", "panel_1998"]
    rows = select(inputs.effect_rows, question=questions)
    rows = rows[rows["method"].isin([inputs.method, "expression", "gene z", ""])]
    if rows.empty:
        return None
    titles = {sig.name: sig.title for sig in inputs.signatures.values()}
    primary = {sig.name for sig in inputs.primary()}
    blocks = []
    words = {
        "response": "Score before treatment: responders minus others",
        "response_change": "Change under treatment",
        "panel_1998": "The panel of the 1998 trial, as expression in the tumour",
    }
    for question in questions:
        own = select(rows, question=question, stratum="all", scale=["hedges_g", "paired_d"])
        if question != "panel_1998":
            own = own[own["signature"].isin(primary)]
        own = own[own["estimate"].notna()]
        if own.empty:
            continue
        drawn = [
            _line(
                row,
                f"{row['cohort']}: {_contrast_words(row['contrast'])}",
                titles.get(row["signature"], row["signature"]),
                f"n = {wording.count(row['n'])}",
            )
            for _, row in own.sort_values(
                ["cohort", "contrast", "signature"], kind="stable"
            ).iterrows()
        ]
        blocks.append(
            {
                "title": words[question],
                "forest": Sketch(
                    figures.forest,
                    drawn,
                    name=f"response/{question}",
                    title=words[question],
                    caption="Standardised differences with 95 % intervals; groups name cohort and "
                    "contrast. The published trial measured protein in blood and culture.",
                    xlabel="standardised difference",
                    simulated=inputs.any_simulated(sorted(set(own["cohort"]))),
                ),
                "notes": wording.notes_of(*[row for _, row in own.iterrows()]),
            }
        )
    odds = select(rows, stratum="all", scale="log_or", question=["response", "panel_1998"])
    odds = odds[odds["signature"].isin(primary) | odds["question"].eq("panel_1998")]
    for question in ("response", "panel_1998"):
        blocks += _odds(inputs, select(odds, question=question), words[question], titles)
    definitions = [
        (name, (record.get("response") or {}).get("definition", ""))
        for name, record in inputs.provenance.items()
        if name in set(rows["cohort"])
    ]
    return {
        "blocks": blocks,
        "definitions": definitions,
        "unestimated": int(rows["estimate"].isna().sum()),
        "simulated": inputs.any_simulated(sorted(set(rows["cohort"]))),
    }


def _odds(
    inputs: ReportInputs, rows: pd.DataFrame, title: str, titles: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the block of odds ratios of one question: adjusted and, hollow, crude."""
    rows = rows[rows["estimate"].notna()]
    if rows.empty:
        return []
    adjusted = sorted(set(rows["adjustment"]) - {"none"})
    given = wording.join_names([wording.adjustment_words(name) for name in adjusted])
    drawn = [
        {
            **_line(
                row,
                f"{row['cohort']}: {titles.get(row['signature'], row['signature'])}",
                "crude" if row["adjustment"] == "none" else "adjusted",
                f"n = {wording.count(row['n'])}",
            ),
            "hollow": row["adjustment"] == "none",
        }
        for _, row in rows.sort_values(
            ["cohort", "signature", "adjustment"], kind="stable"
        ).iterrows()
    ]
    return [
        {
            "title": f"{title}: odds of response",
            "forest": Sketch(
                figures.forest,
                drawn,
                name=f"response/{rows['question'].iloc[0]}_odds",
                title=f"{title}: odds of response",
                caption="Odds ratio of response per standard deviation before treatment, 95 % "
                "intervals: crude (hollow)"
                + (f" and adjusted for {given}" if given else ", none could be adjusted")
                + ". Response goes with ER and HER2, so the crude one may be case mix.",
                xlabel="odds ratio of response per SD",
                log=True,
                simulated=inputs.any_simulated(sorted(set(rows["cohort"]))),
            ),
            "notes": wording.notes_of(*[row for _, row in rows.iterrows()]),
        }
    ]


def cells(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Build one entry per single-cell cohort: which cells carry the signal, by patient."""
    out = []
    titles = {sig.name: sig.title for sig in inputs.signatures.values()}
    for cohort in inputs.cohorts:
        rows = select(inputs.effect_rows, cohort=cohort, question="cell_source", contrast="")
        others = select(inputs.effect_rows, cohort=cohort, question=["cell_her2", "cell_coupling"])
        if rows.empty and others.empty:
            continue
        drawings = []
        primary = {sig.name for sig in inputs.primary()}
        # Of one patient the median has an exact interval and the mean has none.
        score = "median score" if (rows["endpoint"] == "median score").any() else "mean score"
        for (gene, endpoint), own in rows.groupby(["signature", "endpoint"], sort=True):
            wanted = (gene in primary and endpoint == score) or (
                gene not in inputs.signatures and endpoint in ("fraction expressing", SHARE)
            )
            own = own[own["estimate"].notna() & own["method"].eq(min(own["method"]))]
            if not wanted or own.empty:
                continue
            drawings.append(
                Sketch(
                    figures.cell_sources,
                    own.rename(columns={"stratum": "label"})[
                        ["label", "estimate", "low", "high", "n"]
                    ],
                    name=f"cells/{wording.slug(cohort)}/{wording.slug(f'{gene}-{endpoint}')}",
                    title=f"{titles.get(gene, gene)}: {endpoint} by cell type in {cohort}",
                    caption=f"{titles.get(gene, gene)}: {endpoint} by cell type; in brackets the "
                    "number behind each value.",
                    xlabel=endpoint,
                    simulated=cohort in inputs.simulated,
                )
            )
        out.append(
            {
                "cohort": cohort,
                "drawings": drawings,
                "notes": [
                    note
                    for note in wording.notes_of(*[row for _, row in rows.iterrows()])
                    if not note.startswith(("rank ", "only "))
                ],
                "simulated": cohort in inputs.simulated,
            }
        )
    return out
