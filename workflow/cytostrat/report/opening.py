"""What the report opens with: the answer per signature, and what the run cannot say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cytostrat.report import facts, wording
from cytostrat.report.contrast import her2_contrast, il1_agreement
from cytostrat.report.facts import ReportInputs
from cytostrat.report.strips import with_strips


def headlines(inputs: ReportInputs) -> dict[str, Any]:
    """Build one line per primary signature: the HER2 contrast before and after adjustment."""
    lines = []
    for signature in inputs.primary():
        found = her2_contrast(inputs, signature.name)
        lines.append(
            {
                "signature": signature,
                "contrast": found,
                "note": wording.note_of(found.adjusted),
                "agreement": il1_agreement(inputs) if signature.axis == "IL1" else "",
            }
        )
    limit = with_strips(lines)
    return {"lines": lines, "limit": limit, "short": _short(inputs, lines)}


def _short(inputs: ReportInputs, lines: Sequence[Mapping[str, Any]]) -> str:
    """Write in one sentence which primary signatures differ by HER2 after adjustment."""
    pooled = [line for line in lines if line["contrast"].pooled]
    single = [line for line in lines if not line["contrast"].pooled and line["contrast"].usable]
    if not pooled and not single:
        return ""
    rule, parts = inputs.rule, []
    fewest = rule["min_cohorts"]
    if pooled:
        apart = [line for line in pooled if line["contrast"].differs]
        named = [f"{line['signature'].title}, {line['contrast'].verb}" for line in apart]
        over = f"pooled over {fewest} cohorts or more"
        if len(pooled) == 1:
            only = pooled[0]
            how = f"differs ({only['contrast'].verb})" if apart else "is not shown to differ"
            parts.append(
                f"{only['signature'].title}, the one primary signature {over}, {how}: "
                f"{wording.estimate(only['contrast'].adjusted)}"
            )
        else:
            parts.append(
                f"{_differ(len(apart), f'{len(pooled)} primary signatures {over}')}"
                + (f" ({'; '.join(named)})" if named else "")
            )
    if single:
        alone = {cohort for line in lines for cohort in line["contrast"].seen} if not pooled else ()
        some = [line for line in single if line["contrast"].differ]
        if len(alone) == 1:
            (cohort,) = alone
            named = [line["signature"].title for line in some]
            of = f"{wording.plural(len(single), 'primary signature')} usable in {cohort}"
        else:
            named = [
                f"{line['signature'].title} in {line['contrast'].differ} of "
                f"{wording.plural(line['contrast'].usable, 'usable cohort')}"
                for line in some
            ]
            of = (
                f"{wording.plural(len(single), 'primary signature')} usable in fewer than "
                f"{fewest} cohorts"
            )
        where = "" if len(alone) == 1 else (" in single cohorts" if some else " in any of them")
        parts.append(
            f"{_differ(len(some), of)}{where}" + (f" ({'; '.join(named)})" if named else "")
        )
    return (
        f"By HER2, given {wording.adjustment_words(inputs.adjustment)}: {'; '.join(parts)}. To "
        f"differ takes q < {rule['alpha']:g} in its family, p < {rule['null_alpha']:g} against "
        "random sets and a 95 % interval without zero."
    )


def _differ(n: int, of: str) -> str:
    """Write how many of the signatures differ; that none is shown to is no proof of equality."""
    if not n:
        return f"none of {of} is shown to differ"
    return f"{n} of {of} {'differs' if n == 1 else 'differ'}"


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
        "contrast mixes the two; read the one adjusted for "
        f"{wording.adjustment_words(inputs.adjustment)}."
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
    unseen = [sig.name for sig in inputs.primary() if not facts.usable_anywhere(inputs, sig.name)]
    if unseen:
        out.append(
            f"Anything about {wording.join_names(unseen)}: no cohort measures enough of the genes."
        )
    return out
