"""Judge the documents' claims, cohort by cohort and pooled, by one rule for all.

Output: Verdicts (`cytostrat.tables.VERDICTS`), one row per claim, cohort and signature, and one
per claim and signature with cohort `POOLED`. A claim that no data of this kind can test has one
row with cohort `POOLED`.

===================================== ========================================================
verdict                               meaning
===================================== ========================================================
supported, contradicted               a direct test: the 95 % interval lies wholly on the
                                      expected (other) side of the threshold, q is below alpha in
                                      its declared family, and so is the random-set null p
consistent, inconsistent              the same for a surrogate or an extrapolation
no difference                         the 90 % interval lies inside the equivalence bound
inconclusive                          none of these
not testable                          no estimate, a measurement that can't be used, a crude
                                      effect of a cohort whose sampling shapes it, a failed
                                      positive control, or fewer cohorts than the rule asks for
===================================== ========================================================

Rules

* Where a claim says that its signatures must agree, a decisive verdict stands only while the
  estimates of all of them lie on the same side; without a usable estimate of each the claim is
  not testable.
* A direction that the document doesn't state (``either``) is met by any decisive difference.
* An estimate that isn't compared with zero (`threshold`) has no p in the Effects table; its
  p is the normal one of estimate, threshold and standard error, and q is Benjamini-Hochberg over
  the claim's signatures.
* A pooled row takes the random-effects model over the cohorts that entered it, with the null p
  that `cytostrat.meta.joined_null_p` joined over these: it is small where that of more than half
  of them is, a cohort whose estimate lies on the other side than the pooled one counting with 1.
* A crude effect gives no verdict where the cohort was sampled case-control, or where it was
  sampled by a variable that its file names, as a trial that took one HER2 group was.
* An effect inside the bound is ``no difference`` even where its 95 % interval leaves out zero; the
  reason then says that it is small, though not zero, and gives q and null p.
* Where proportional hazards failed, the reason says so: the hazard ratio is then an average over
  the time of follow-up.
* ``reachable``: another verdict than inconclusive was given; or a large effect would have been
  seen with 80 % power; or an estimate of zero would have passed as no difference. A scale of its
  own unit, for which the rule names neither a large effect nor a bound, is counted in standard
  deviations between its n (se times the root of n) and takes the large ``paired_d``; no
  difference can't be said on it.

References
----------
Schuirmann 1987, doi:10.1007/BF01068419 (two one-sided tests).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from cytostrat import tables
from cytostrat.errors import TableError
from cytostrat.knowledge import ANY, Claims
from cytostrat.stats import notes
from cytostrat.stats.controls import failed_cohorts
from cytostrat.stats.equivalence import tost_from_interval
from cytostrat.stats.estimates import bounded_p
from cytostrat.stats.multiplicity import benjamini_hochberg

POOLED = "pooled"
PRIMARY = "primary"
RANDOM = "random"
NOT_TESTABLE = "not testable"
INCONCLUSIVE = "inconclusive"
NO_DIFFERENCE = "no difference"
OWN_UNIT = "paired_d"
WORDS = {
    "direct": ("supported", "contradicted"),
    "surrogate": ("consistent", "inconsistent"),
    "extrapolation": ("consistent", "inconsistent"),
}
RATIOS = {"log_hr": "hazard ratio", "log_or": "odds ratio"}  # kept as logarithms
VERDICT_VALUES = (
    *WORDS["direct"],
    *WORDS["surrogate"],
    NO_DIFFERENCE,
    INCONCLUSIVE,
    NOT_TESTABLE,
)
_POWER_TO_HALF_WIDTH = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / stats.norm.ppf(0.975)


@dataclass(frozen=True)
class _Estimate:
    """One estimate of a claim, or the reason why there is none.

    `spread` is the standard deviation between the units that n counts, `limits` what its note
    says of how it may be read. `df` is that of the interval, infinite where the normal
    distribution or an unknown number stands behind it, which makes the 90 % interval taken from
    it too wide rather than too narrow.
    """

    estimate: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    q: float = np.nan
    null_p: float = np.nan
    scale: str = ""
    method: str = ""
    power_limit: float = np.nan
    spread: float = np.nan
    df: float = np.inf
    limits: str = ""
    missing: str = ""


def judge(
    claims: Claims,
    effects: pd.DataFrame,
    pooled: pd.DataFrame,
    *,
    cohorts: Mapping[str, str],
    method: str,
) -> pd.DataFrame:
    """Return the Verdicts table.

    Parameters
    ----------
    claims
        The claims and the rule, as read by `cytostrat.knowledge.read_claims`.
    effects
        Effects rows of all cohorts, families assigned.
    pooled
        Pooled rows, families assigned.
    cohorts
        Cohort to its kind, ``bulk`` or ``single_cell``; a claim looks at cohorts of its kind.
    method
        Primary scoring method, what a claim's method ``primary`` means.

    Returns
    -------
    pandas.DataFrame
        Conforms to `cytostrat.tables.VERDICTS`, with the further columns ``hypothesis`` and
        ``scale``.

    Raises
    ------
    TableError
        A claim selects several rows where it must select one.
    """
    failed = failed_cohorts(effects)
    rows = []
    for claim in claims.claims.values():
        if not claim["testable"]:
            rows.append(
                _row(claim, POOLED, "", "", _Estimate(), NOT_TESTABLE, False, _untestable(claim))
            )
            continue
        chosen = _chosen(effects, claim, method)
        alike = [name for name, kind in cohorts.items() if kind == claim["kind"]]
        for cohort in alike:
            here = chosen[chosen["cohort"] == cohort]
            found = _of_cohort(claim, here, cohort in failed)
            rows.extend(_verdicts(claims.rule, claim, cohort, found, method))
        found = _of_pool(claims.rule, claim, _chosen(pooled, claim, method))
        rows.extend(_verdicts(claims.rule, claim, POOLED, found, method))
    return tables.VERDICTS.conform(
        pd.DataFrame(rows, columns=[*tables.VERDICTS.columns, "hypothesis", "scale"])
    )


def _untestable(claim: Mapping[str, Any]) -> str:
    return f"{claim['why']} It would take {claim['needs']}."


def _chosen(table: pd.DataFrame, claim: Mapping[str, Any], method: str) -> pd.DataFrame:
    """Return the rows that a claim is about, signatures and endpoints in its own order."""
    mask = table["signature"].isin(claim["signatures"])
    if claim["method"] != ANY:
        mask &= table["method"] == (method if claim["method"] == PRIMARY else claim["method"])
    for column, wanted in claim["select"].items():
        if wanted != ANY:
            values = [wanted] if isinstance(wanted, str) else wanted
            mask &= table[column].isin(values)
    return table[mask]


def _one(claim: Mapping[str, Any], rows: pd.DataFrame, where: str) -> pd.Series | None:
    """Return the row to judge: with several endpoints the first that has an estimate.

    Raises
    ------
    TableError
        Several rows remain.
    """
    endpoints = claim["select"]["endpoint"]
    if isinstance(endpoints, list):
        for endpoint in endpoints:
            here = rows[(rows["endpoint"] == endpoint) & rows["estimate"].notna()]
            if len(here):
                rows = here
                break
        else:
            rows = rows.iloc[:1]
    if len(rows) > 1:
        differ = [name for name in tables.EFFECTS.key if name in rows and rows[name].nunique() > 1]
        raise TableError(
            f"Claim {claim['id']} selects {len(rows)} rows of {where}, which differ in "
            f"{', '.join(differ)}; name the value of {differ[0] if differ else 'its key'} in its "
            "select."
        )
    return None if rows.empty else rows.iloc[0]


def _of_cohort(claim: Mapping[str, Any], rows: pd.DataFrame, failed: bool) -> dict[str, _Estimate]:
    found = {}
    for signature in claim["signatures"]:
        row = _one(claim, rows[rows["signature"] == signature], "the Effects table")
        if row is None:
            found[signature] = _Estimate(missing=f"the cohort lacks {claim['needs']}")
        elif not np.isfinite(row["estimate"]):
            found[signature] = _Estimate(missing=row["note"] or "not estimated")
        else:
            found[signature] = _measured(row, _excluded(claim, row, failed))
    return _against_threshold(claim, found, rows)


def _excluded(claim: Mapping[str, Any], row: pd.Series, failed: bool) -> str:
    """Return why a measured effect gives no verdict."""
    note = str(row["note"])
    if failed or notes.CONTROL_FAILED in note:
        return "the cohort failed a positive control"
    if notes.SAMPLED in note:
        return f"it is a crude effect of a cohort {notes.sampled_how(note)}"
    if notes.UNUSABLE in note:
        return "too few genes of the signature are measured"
    if claim["threshold"] == 0 and pd.isna(row["p"]):
        return f"it is a description without a test: {note}" if note else "it carries no test"
    return ""


def _measured(row: pd.Series, missing: str = "", **more: float) -> _Estimate:
    numbers = {
        name: float(row[name])
        for name in ("estimate", "low", "high", "p", "q", "null_p", "power_limit")
        if name in row and pd.notna(row[name])
    }
    if {"se", "n"} <= set(row.index) and pd.notna(row["se"]) and pd.notna(row["n"]):
        numbers["spread"] = float(row["se"]) * float(row["n"]) ** 0.5
    texts = {name: str(row[name]) for name in ("scale", "method")}
    limits = notes.join(notes.clauses(str(row["note"]), notes.HAZARDS))
    return _Estimate(missing=missing, limits=limits, **texts, **(numbers | more))


def _against_threshold(
    claim: Mapping[str, Any], found: dict[str, _Estimate], rows: pd.DataFrame
) -> dict[str, _Estimate]:
    """Give estimates that aren't compared with zero their own p and q."""
    threshold = claim["threshold"]
    if threshold == 0:
        return found
    se = rows.drop_duplicates("signature").set_index("signature")["se"]
    names = [name for name, one in found.items() if np.isfinite(one.estimate)]
    p = np.array(
        [
            2 * stats.norm.sf(abs(found[name].estimate - threshold) / se[name])
            if se[name] > 0
            else np.nan
            for name in names
        ]
    )
    p = bounded_p(p)
    return found | {
        name: _Estimate(**(vars(found[name]) | {"p": float(own), "q": float(q)}))
        for name, own, q in zip(names, p, benjamini_hochberg(p), strict=True)
    }


def _of_pool(
    rule: Mapping[str, Any], claim: Mapping[str, Any], pooled: pd.DataFrame
) -> dict[str, _Estimate]:
    found = {}
    least = rule["min_cohorts"]
    for signature in claim["signatures"]:
        rows = pooled[pooled["signature"] == signature]
        most = int(rows["k"].max()) if len(rows) else 0
        row = _one(
            claim, rows[(rows["model"] == RANDOM) & (rows["k"] >= least)], "the Pooled table"
        )
        if claim["threshold"] != 0:
            found[signature] = _Estimate(missing="this question is answered cohort by cohort")
        elif row is None or not np.isfinite(row["estimate"]):
            few = f"{least} usable cohorts needed, {most} here"
            sampled = [
                clause
                for note in rows["note"]
                for clause in notes.clauses(note, "left out")
                if ", sampled " in clause
            ]
            found[signature] = _Estimate(missing=notes.join(few, sampled))
        else:
            found[signature] = _measured(row, df=float(row["k"]) - 1)
    return found


def _verdicts(
    rule: Mapping[str, Any],
    claim: Mapping[str, Any],
    cohort: str,
    found: Mapping[str, _Estimate],
    method: str,
) -> Iterator[dict[str, Any]]:
    apart = _disagreement(claim, found)
    for signature, one in found.items():
        if one.missing:
            verdict, reachable, reason = NOT_TESTABLE, False, one.missing
        else:
            verdict, reason = _verdict(rule, claim, one)
            reachable, how = _reachable(rule, one)
            reachable |= verdict != INCONCLUSIVE
            reason = notes.join(reason, one.limits, how)
        if apart:
            alone = {name for name, other in found.items() if other.missing}
            if verdict != NOT_TESTABLE and alone:
                verdict, reachable = NOT_TESTABLE, False
            elif verdict not in (NOT_TESTABLE, NO_DIFFERENCE):
                verdict = INCONCLUSIVE
            reason = f"{apart}; {reason}"
        named = {PRIMARY: method, ANY: one.method}.get(claim["method"], claim["method"])
        yield _row(claim, cohort, signature, named, one, verdict, reachable, reason)


def _disagreement(claim: Mapping[str, Any], found: Mapping[str, _Estimate]) -> str:
    """Return why signatures that must agree don't; empty where they do or needn't."""
    if not claim["agree"] or len(found) < 2:
        return ""
    missing = [name for name, one in found.items() if one.missing]
    if len(missing) == len(found):
        return ""
    if missing:
        return f"all signatures must agree and {', '.join(missing)} can't be used"
    above = {bool(one.estimate > claim["threshold"]) for one in found.values()}
    return "" if len(above) == 1 else "the signatures that must agree differ in sign"


def _verdict(rule: Mapping[str, Any], claim: Mapping[str, Any], one: _Estimate) -> tuple[str, str]:
    """Return the verdict on one estimate, and why."""
    threshold = claim["threshold"]
    side = int(one.low > threshold) - int(one.high < threshold)
    middle = _value(one.scale, threshold)
    clear = f"the 95 % interval lies {'above' if side > 0 else 'below'} {middle}"
    lacking = []
    if side == 0:
        lacking.append(f"the 95 % interval holds {middle}")
    if np.isnan(one.q):
        lacking.append("it is in no declared family")
    elif one.q >= rule["alpha"]:
        lacking.append(f"q = {one.q:.2g}")
    if claim["random_sets"] == "required":
        if np.isnan(one.null_p):
            lacking.append("it was not compared with random sets")
        elif one.null_p >= rule["null_alpha"]:
            lacking.append(f"random sets do as well (p = {one.null_p:.2g})")
    bound = rule["equivalence"].get(one.scale) if threshold == 0 else None
    if not lacking:
        expected = {"positive": 1, "negative": -1, "either": side}[claim["expected"]]
        word = WORDS[claim["relation"]][0 if side == expected else 1]
        small = bound is not None and _equivalent(one, bound)
        though = f", though the 90 % interval {_inside(one.scale, bound)}" if small else ""
        return word, f"{clear} and every further condition holds{though}"
    if bound is not None and _equivalent(one, bound):
        inside = f"the 90 % interval {_inside(one.scale, bound)}"
        if side == 0:
            return NO_DIFFERENCE, inside
        tested = [
            f"{name} = {value:.2g}"
            for name, value in (("q", one.q), ("random-set p", one.null_p))
            if np.isfinite(value)
        ]
        return NO_DIFFERENCE, ", ".join([f"small, though not zero: {clear}", inside, *tested])
    return INCONCLUSIVE, ", ".join(lacking)


def _value(scale: str, value: float) -> str:
    """Return a value in the unit in which readers see the scale."""
    return f"{np.exp(value) if scale in RATIOS else value:.3g}"


def _inside(scale: str, bound: float) -> str:
    what = f"{RATIOS[scale]}s of " if scale in RATIOS else ""
    return f"lies between {what}{_value(scale, -bound)} and {_value(scale, bound)}"


def _from(scale: str, limit: float) -> str:
    if scale not in RATIOS:
        return f"effects from {limit:.2g} on"
    return f"{RATIOS[scale]}s from {np.exp(limit):.2f} up or {np.exp(-limit):.2f} down"


def _equivalent(one: _Estimate, bound: float) -> bool:
    return tost_from_interval(one.low, one.high, df=one.df, bound=bound).equivalent


def _reachable(rule: Mapping[str, Any], one: _Estimate) -> tuple[bool, str]:
    """Return whether this n could have given any verdict but inconclusive, and how."""
    half = (one.high - one.low) / 2
    limit = one.power_limit if np.isfinite(one.power_limit) else half * _POWER_TO_HALF_WIDTH
    large, bound = rule["large"].get(one.scale), rule["equivalence"].get(one.scale)
    if large is None and bound is None:
        large = rule["large"].get(OWN_UNIT, np.nan) * one.spread
    seen = large is not None and limit <= large
    centred = bound is not None and tost_from_interval(-half, half, df=one.df, bound=bound)
    flat = bool(centred and centred.equivalent)
    parts = [f"{_from(one.scale, limit)} would have been seen"]
    if bound is None:
        parts.append(f"'no difference' can't be said, the rule has no bound for {one.scale}")
    else:
        parts.append(f"'no difference' {'could' if flat else 'could not'} have been shown")
    return bool(seen or flat), ", ".join(parts)


def _row(
    claim: Mapping[str, Any],
    cohort: str,
    signature: str,
    method: str,
    one: _Estimate,
    verdict: str,
    reachable: bool,
    reason: str,
) -> dict[str, Any]:
    return {
        "claim": claim["id"],
        "document": claim["document"],
        "therapy": claim["therapy"],
        "relation": claim["relation"],
        "cohort": cohort,
        "question": claim["select"]["question"] if claim["testable"] else "",
        "signature": signature,
        "method": method,
        "estimate": one.estimate,
        "low": one.low,
        "high": one.high,
        "p": one.p,
        "q": one.q,
        "null_p": one.null_p,
        "verdict": verdict,
        "reachable": reachable,
        "reason": reason,
        "hypothesis": claim["hypothesis"],
        "scale": one.scale,
    }
