"""Verdicts on the documents' claims: one line each, with the intervals that decided drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cytostrat.report import facts, palette, strips, therapies, wording
from cytostrat.report.facts import ReportInputs, select

DECIDED = ("supported", "consistent", "contradicted", "inconsistent", "no difference")
SMALL = "small, though not zero"
GROUPS = {
    "pooled": "Decided by the pooled estimate",
    "single": "Decided in single cohorts only",
    "open": "Not decided",
    "untestable": "Not testable on these data",
}
UNTESTABLE = "not testable"
EXPLAINED = {
    "supported": "the data show what the document says",
    "contradicted": "the data show the opposite",
    "consistent": "a surrogate measurement points the same way",
    "inconsistent": "a surrogate measurement points the other way",
    "no difference": "a difference of relevant size is ruled out",
    "inconclusive": "neither a difference nor its absence is shown",
    "not testable": "these data can't answer it",
}
RELATIONS = {
    "direct": "measured directly",
    "surrogate": "a surrogate is measured",
    "extrapolation": "extrapolated beyond the document",
}


def context(inputs: ReportInputs) -> dict[str, Any]:
    """Build the lines of the first screen and the claim-by-claim section.

    Returns
    -------
    dict
        ``short`` (one sentence), ``groups`` (heading, folded, lines), ``all`` (every line, in file
        order), ``rule``, ``explained`` (verdict words that occur, with their meaning). Only what
        a pooled estimate decides counts as decided; a statement that some cohort decides and no
        pool stands apart, with the number of cohorts.
    """
    lines = [line for line in (_line(inputs, claim) for claim in _claims(inputs)) if line]
    shelves: dict[str, list[dict[str, Any]]] = {group: [] for group in GROUPS}
    for line in lines:
        shelves[_group(line)].append(line)
    used = {word for line in lines for word in line["words"]}
    return {
        "groups": [
            {"title": GROUPS[group], "folded": group == "untestable", "lines": found}
            for group, found in shelves.items()
            if found
        ],
        "short": _short(shelves) if lines else "",
        "all": lines,
        "rule": inputs.claims.get("rule") or {},
        "explained": [(word, EXPLAINED[word]) for word in EXPLAINED if word in used],
    }


def _group(line: Mapping[str, Any]) -> str:
    """Return under which heading a line stands."""
    found = set(line["words"])
    if found & set(DECIDED):
        return "pooled" if line["pooled"] else "single"
    return "open" if found - {UNTESTABLE} else "untestable"


def _short(shelves: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Write in one sentence how many statements pooled estimates decide, and how."""
    n = {group: len(lines) for group, lines in shelves.items()}
    judged = wording.plural(sum(n.values()), "statement")
    single = f"{n['single']} {'is' if n['single'] == 1 else 'are'} decided in single cohorts only"
    stay = f"{n['open']} {'stays' if n['open'] == 1 else 'stay'} open"
    return (
        f"Of {judged} of the documents, pooled estimates decide {n['pooled'] or 'none'}"
        f"{_ways(shelves['pooled'])}, {single}{_ways(shelves['single'])}, {stay}, and "
        f"{n['untestable']} cannot be tested on these data."
    )


def _ways(lines: Sequence[Mapping[str, Any]]) -> str:
    """Write how lines are decided, in brackets; nothing where there is none.

    A line whose estimates are decided in several ways counts once, as mixed.
    """
    how: Counter[str] = Counter()
    for line in lines:
        found = [word for word in DECIDED if word in line["words"]]
        how[found[0] if len(found) == 1 else f"mixed: {' and '.join(found)}"] += 1
    order = {word: place for place, word in enumerate(DECIDED)}
    ways = sorted(how, key=lambda word: (order.get(word, len(order)), word))
    return f" ({', '.join(f'{how[word]} {word}' for word in ways)})" if ways else ""


def _decided_in(single: pd.DataFrame, *, pooled: bool, words: Sequence[str]) -> str:
    """Say in how many usable cohorts a claim is decided, unless the pooled estimate decides it."""
    if pooled and set(words) & set(DECIDED):
        return ""
    usable = single.loc[single["verdict"].ne(UNTESTABLE), "cohort"].nunique()
    decided = single[single["verdict"].isin(DECIDED)]
    if decided.empty:
        return ""
    text = f"decided in {decided['cohort'].nunique()} of {wording.plural(usable, 'usable cohort')}"
    return text + (", not alike" if decided["verdict"].nunique() > 1 else "")


def _remarks(
    inputs: ReportInputs, entries: Sequence[Mapping[str, Any]], *, reachable: bool
) -> list[str]:
    """Return what else to know: effects that are small and not zero, and what was out of reach."""
    out = [
        f"{entry['signature']}: {entry['reason'].partition(';')[0]}"
        for entry in entries
        if entry["reason"].startswith(SMALL)
    ]
    if reachable or not any(entry["verdict"] == "inconclusive" for entry in entries):
        return out
    rule = inputs.claims.get("rule") or {}
    sized = {*(rule.get("large") or {}), *(rule.get("equivalence") or {})}
    if all(entry["row"]["scale"] in sized for entry in entries if entry["row"]["scale"]):
        return [*out, "with this n no other verdict was within reach"]
    return [
        *out,
        "no size that matters is declared for this unit, so no difference cannot be said; with "
        "this n only a very large effect would have been seen",
    ]


def _open(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what keeps single estimates inconclusive, and how many of them, the commonest first."""
    stuck = [entry for entry in entries if entry["verdict"] == "inconclusive"]
    count = Counter(reason for entry in stuck for reason in entry["obstacles"])
    if not count:
        return []
    of = f" of {len(stuck)}" if len(stuck) > 1 else ""
    parts = [f"{reason}{f' in {n}{of}' if of else ''}" for reason, n in count.most_common()]
    return [f"inconclusive: {', '.join(parts)}"]


def _obstacles(rule: Mapping[str, Any], row: pd.Series, null: float, size: bool) -> list[str]:
    """Return what keeps an estimate from a verdict, in words that can be counted."""
    found = []
    if wording.finite(row["low"]) and float(row["low"]) <= null <= float(row["high"]):
        found.append(f"the interval holds {f'{null:g}' if size else 'no difference'}")
    for name, level, text in (
        ("q", "alpha", "q is not below {:g}"),
        ("null_p", "null_alpha", "random sets do as well"),
    ):
        if wording.finite(row[name]) and float(row[name]) >= rule[level]:
            found.append(text.format(rule[level]))
    return found


def of_therapy(lines: Sequence[Mapping[str, Any]], therapy: str) -> list[Mapping[str, Any]]:
    """Return the lines on claims about one therapy."""
    return [line for line in lines if line["therapy"] == therapy]


def of_signature(lines: Sequence[Mapping[str, Any]], signature: str) -> list[Mapping[str, Any]]:
    """Return the lines on claims that rest on one signature."""
    return [line for line in lines if signature in line["signatures"]]


def _claims(inputs: ReportInputs) -> list[Mapping[str, Any]]:
    """Return the claims in file order; verdicts on claims without an entry keep their id."""
    known = {str(entry["id"]): entry for entry in inputs.claims.get("claims") or []}
    for _, row in inputs.verdicts.drop_duplicates("claim").iterrows():
        known.setdefault(
            row["claim"],
            {
                "id": row["claim"],
                "text": row["claim"],
                "document": row["document"],
                "therapy": row["therapy"],
                "relation": row["relation"],
            },
        )
    return list(known.values())


def _scale(inputs: ReportInputs, claim: Mapping[str, Any], row: pd.Series) -> str:
    if not wording.is_missing(row.get("scale", "")):
        return str(row["scale"])
    return str((claim.get("select") or {}).get("scale", "") or "")


def _line(inputs: ReportInputs, claim: Mapping[str, Any]) -> dict[str, Any] | None:
    rows = select(inputs.verdicts, claim=str(claim["id"]))
    if rows.empty:
        return None
    pooled = rows[rows["cohort"].isin(facts.POOLED_NAMES)]
    single = rows[~rows["cohort"].isin(facts.POOLED_NAMES)]
    # The pooled verdict is the answer; without one the cohorts are shown one by one.
    answer = pooled if pooled["estimate"].notna().any() else single
    if not answer["estimate"].notna().any():
        answer = pooled if len(pooled) else single
    titles = {sig.name: sig.title for sig in inputs.signatures.values()}
    entries = [_entry(inputs, claim, row, titles) for _, row in answer.iterrows()]
    order = {c: i for i, c in enumerate(inputs.cohorts)}
    single = single.assign(_order=single["cohort"].map(order)).sort_values(
        ["_order", "signature"], kind="stable"
    )
    found = Counter(entry["verdict"] for entry in entries)
    words = {word: found[word] for word in (*EXPLAINED, *found) if word in found}
    therapy = next(
        (t for t in inputs.therapies.get("therapies") or [] if t["id"] == claim.get("therapy")), {}
    )
    # what can't be judged is neither drawn nor counted in a range; the tables hold its numbers
    drawn = [
        entry
        for entry in entries
        if wording.finite(entry["row"]["estimate"]) and entry["verdict"] != UNTESTABLE
    ]
    reasons = list(dict.fromkeys(entry["reason"] for entry in entries if entry["reason"]))
    reachable = bool(answer["reachable"].fillna(False).astype(bool).any())
    return {
        "id": str(claim["id"]),
        "text": claim.get("text") or str(claim["id"]),
        "document": claim.get("document", ""),
        "level": therapies.documents(inputs).get(str(claim.get("document")), {}).get("type", ""),
        "source": claim.get("source", ""),
        "therapy": claim.get("therapy", ""),
        "therapy_name": therapy.get("name", ""),
        "relation": RELATIONS.get(claim.get("relation", ""), claim.get("relation", "")),
        "why": claim.get("why", ""),
        "needs": claim.get("needs", ""),
        "expected": claim.get("expected", ""),
        "disagreement": claim.get("disagreement", ""),
        "disagrees_with": [str(name) for name in claim.get("disagrees_with") or []],
        "adjustment": _adjustment(claim),
        "signatures": sorted(set(rows["signature"]) - {""}),
        "words": list(words),
        "badges": [
            {
                "word": word,
                "state": palette.VERDICTS.get(word, "none"),
                "count": "" if len(words) == 1 else f"{n} of {len(entries)}",
            }
            for word, n in words.items()
        ],
        "pooled": bool(len(pooled)) and answer is pooled,
        "drawn": drawn,
        "entries": entries,
        "cohorts": [_entry(inputs, claim, row, titles) for _, row in single.iterrows()],
        "reasons": reasons,
        "lacking": list(
            dict.fromkeys(
                entry["reason"].split(";")[0]
                for entry in entries
                if entry["verdict"] == "inconclusive" and entry["reason"]
            )
        ),
        "summary": _summary(drawn, pooled=answer is pooled),
        "pool": list(dict.fromkeys(pooled["reason"])) if answer is not pooled else [],
        "reachable": reachable,
        "decided_in": _decided_in(single, pooled=answer is pooled, words=list(words)),
        "remarks": [
            *_remarks(inputs, entries, reachable=reachable),
            *([] if answer is pooled else _open(entries)),
        ],
        "strip": strips.strip([{**entry["row"], "kind": "verdict"} for entry in drawn]),
        "simulated": inputs.any_simulated(sorted(set(answer["cohort"]))),
    }


def _adjustment(claim: Mapping[str, Any]) -> str:
    """Return the covariates of a claim in words; empty where it has none or takes any."""
    named = str((claim.get("select") or {}).get("adjustment", ""))
    return "" if named in ("", "none", "any") else wording.adjustment_words(named)


def _summary(drawn: Sequence[Mapping[str, Any]], *, pooled: bool) -> list[dict[str, str]]:
    """Write the numbers of a line: each pooled or single estimate, or the range of many."""
    if pooled or len(drawn) <= 2:
        return [
            {
                "number": entry["text"],
                "what": entry["signature"] + ("" if pooled else f", {entry['cohort']}"),
            }
            for entry in drawn
        ]
    scale = drawn[0]["row"]["scale"]
    values = [wording.on_scale(entry["row"]["estimate"], scale) for entry in drawn]
    cohorts = len({entry["cohort"] for entry in drawn})
    return [
        {
            "number": f"{wording.scale_of(scale).label} {wording.number(min(values))} to "
            f"{wording.number(max(values))}",
            "what": f"over {len(drawn)} usable estimates in "
            f"{wording.plural(cohorts, 'cohort')}, one by one",
        }
    ]


def _entry(
    inputs: ReportInputs, claim: Mapping[str, Any], row: pd.Series, titles: Mapping[str, str]
) -> dict[str, Any]:
    scale = _scale(inputs, claim, row)
    numbers = {key: row[key] for key in ("estimate", "low", "high")}
    if scale == "r2" and claim.get("threshold"):
        numbers["null"] = float(claim["threshold"])
    null = numbers.get("null", wording.scale_of(scale).null)
    pooled = row["cohort"] in facts.POOLED_NAMES
    verdict = str(row["verdict"])
    return {
        "cohort": "pooled" if pooled else row["cohort"],
        "signature": titles.get(row["signature"], row["signature"]),
        "row": {**numbers, "scale": scale},
        "text": wording.estimate({**numbers, "scale": scale})
        if np.isfinite(float(row["estimate"]))
        else "",
        "q": wording.p_value(row["q"], "q"),
        "null_p": wording.p_value(row["null_p"]),
        "verdict": verdict,
        "state": palette.VERDICTS.get(verdict, "none"),
        "reachable": "" if pd.isna(row["reachable"]) else ("yes" if row["reachable"] else "no"),
        "obstacles": _obstacles(inputs.rule, row, null, "null" in numbers),
        "reason": "" if wording.is_missing(row["reason"]) else str(row["reason"]),
        "simulated": inputs.any_simulated([row["cohort"]]),
    }
