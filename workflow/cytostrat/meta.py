"""Pool one estimate over cohorts.

Output: Pooled rows (`cytostrat.tables.POOLED`). For each estimate that several cohorts share
there are two rows, `model` fixed (inverse variance) and random (REML with the modified
Hartung-Knapp interval); with three cohorts or more the random one has a prediction interval and
the range of the leave-one-out estimates. With two cohorts the random row carries no information
beyond the two and says so; a single cohort is one row of model ``single`` that says it is no
meta-analysis.

Partial correlations are pooled as Fisher's z and carried back (tau2 stays on the scale of z).

`cohorts` names the cohorts that entered, and `null_p` joins their random-set p's
(`joined_null_p`). Crude effects of a cohort whose sampling shapes them stay out, and so do the
strata of a time-split hazard ratio: a cohort has them only where proportional hazards failed in
it, so that a pool of them would be selected on the outcome. Where those of the score were not
proportional in a cohort, the pooled row says so.

References
----------
Ruger 1978, Metrika 25:171-178 (an order statistic of dependent p-values); Vovk & Wang 2020,
doi:10.1093/biomet/asaa027 (ways to join such p-values).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cytostrat import tables
from cytostrat.errors import EstimationError
from cytostrat.stats import notes
from cytostrat.stats.controls import failed_cohorts
from cytostrat.stats.estimates import SMALLEST_P, UNDERFLOW_NOTE
from cytostrat.stats.random_effects import Pool, fixed_effect, leave_one_out, random_effects

POOLED_SCALES = ("hedges_g", "adjusted_g", "log_hr", "log_or", "partial_rho")
POOLED_ADJUSTMENTS = ("none", "er+age")
NOT_POOLED_QUESTIONS = ("control",)
TIME_SPLIT = re.compile(r", (?:first|after) \S+ years$")
SINGLE_NOTE = "one cohort is not a meta-analysis: the row repeats its estimate"
TWO_NOTE = "uninformative: two cohorts cannot show how far cohorts differ"
NUMBERS = ("estimate", "se", "low", "high", "p", "null_p")
KEY = [column for column in tables.POOLED.key if column != "model"]


def pool_effects(
    effects: pd.DataFrame,
    *,
    patients: Mapping[str, Sequence[str]] | None = None,
    rivals: Mapping[str, Sequence[str]] | None = None,
    adjustments: Sequence[str] = POOLED_ADJUSTMENTS,
    scales: Sequence[str] = POOLED_SCALES,
) -> pd.DataFrame:
    """Return the Pooled rows of an Effects table.

    A row enters a pool where it has an estimate and a standard error, its HER2 rule is the
    primary one, its adjustment and scale are among those pooled, its signature was measured
    well enough in that cohort, the cohort's positive controls passed, and it is no crude effect
    of a cohort whose sampling shapes crude effects. With each adjustment goes the crude effect in
    the same patients (`cytostrat.tables.SAME_PATIENTS`), which serves to compare the two and
    nothing else, so sampling does not keep it out. Cohorts that had to stay out are named in the
    note.

    Parameters
    ----------
    effects
        Effects rows of all cohorts.
    patients
        Cohort to its patient ids (with namespace), to make sure that no patient counts twice.
    rivals
        Cohort to the cohorts with which it may share patients that nobody can match. It gives
        way in every pool that one of them enters, and the note says so.
    adjustments
        Adjustments that are the same in every cohort and so may be pooled.
    scales
        Scales on which a standard error describes the estimate.

    Raises
    ------
    EstimationError
        A patient is in two cohorts.
    """
    _no_shared_patient(patients or {})
    wanted = effects[
        effects["scale"].isin(scales)
        & effects["adjustment"].isin(
            [*adjustments, *(tables.SAME_PATIENTS + name for name in adjustments)]
        )
        & (effects["her2_rule"] == "primary")
        & ~effects["question"].isin(NOT_POOLED_QUESTIONS)
        & ~effects["stratum"].str.contains(TIME_SPLIT)
    ]
    failed = failed_cohorts(effects)
    usable = (
        np.isfinite(wanted["estimate"])
        & (wanted["se"] > 0)
        & ~notes.carries(wanted["note"], notes.UNUSABLE)
        & ~wanted["cohort"].isin(failed)
    )
    compared = wanted["adjustment"].str.startswith(tables.SAME_PATIENTS)
    sampled = wanted["note"].map(notes.sampled_how).mask(compared, "")
    columns = {name: wanted[name].to_numpy() for name in ("cohort", *NUMBERS)} | {
        "usable": (usable & (sampled == "")).to_numpy(dtype=bool),
        "sampled": sampled.where(usable, "").to_numpy(dtype=object),
        "drifting": notes.carries(wanted["note"], notes.SCORE_HAZARDS).to_numpy(dtype=bool),
    }
    rows = []
    for key, members in sorted(wanted.groupby(KEY).indices.items()):
        group = {name: values[members] for name, values in columns.items()}
        rows.extend(_pooled(dict(zip(KEY, key, strict=True)), group, rivals or {}))
    return tables.POOLED.records(rows)


def _no_shared_patient(patients: Mapping[str, Sequence[str]]) -> None:
    seen: dict[str, str] = {}
    for cohort, ids in patients.items():
        for patient in dict.fromkeys(ids):
            if patient in seen:
                raise EstimationError(
                    f"Patient {patient} is in the cohorts {seen[patient]} and {cohort}; "
                    "remove it from one of them before pooling."
                )
            seen[patient] = cohort


def _pooled(
    key: dict[str, str], group: dict[str, np.ndarray], rivals: Mapping[str, Sequence[str]]
) -> list[dict[str, object]]:
    left = sorted(group["cohort"][~group["usable"] & (group["sampled"] == "")])
    usable, gave_way = _without_rivals(group["cohort"], group["usable"], rivals)
    pooled = {name: values[usable] for name, values in group.items()}
    common = notes.join(
        f"left out: {', '.join(left)}" if left else "", _sampled(group), gave_way, _drifting(pooled)
    )
    k = int(usable.sum())
    entered = {"cohorts": ", ".join(sorted(pooled["cohort"]))}
    if k == 0:
        return [_row(key, "random", 0, notes.join("no cohort has a usable estimate", common))]
    if k == 1:
        values = {name: pooled[name][0] for name in NUMBERS if name != "se"}
        return [_row(key, "single", 1, notes.join(SINGLE_NOTE, common), **values, **entered)]
    y, se = pooled["estimate"], pooled["se"]
    correlation = key["scale"] == "partial_rho"
    if correlation:
        y, se = np.arctanh(y), se / (1 - y**2)
    back = np.tanh if correlation else np.asarray
    fixed, random = fixed_effect(y, se), random_effects(y, se)
    extra: dict[str, object] = {}
    if k >= 3:
        left_out = back(leave_one_out(y, se))
        extra = {
            "pi_low": float(back(random.pi_low)), "pi_high": float(back(random.pi_high)),
            "loo_low": float(left_out.min()), "loo_high": float(left_out.max()),
        }  # fmt: skip
    rows = []
    for model, pool, note, more in (
        ("fixed", fixed, "", {}), ("random", random, TWO_NOTE if k == 2 else "", extra),
    ):  # fmt: skip
        null_p = joined_null_p(pooled["null_p"], y, pooled=pool.estimate)
        numbers = _numbers(pool, back) | more | entered
        rows.append(_row(key, model, k, notes.join(note, common), null_p=null_p, **numbers))
    return rows


def joined_null_p(null_p: np.ndarray, estimates: np.ndarray, *, pooled: float) -> float:
    r"""Join the random-set p's of one pool: more than half of the cohorts must have a small one.

    The same genes are judged in every cohort, and what they do with HER2, ER or outcome comes
    back from cohort to cohort, so the p's depend on each other; methods for independent p's,
    such as Fisher's, reject too often here. With :math:`r = \lfloor k / 2 \rfloor + 1` of
    :math:`k` cohorts,

    .. math::

       p = \min\left(1, \frac{k}{r}\, p_{(r)}\right)

    is a valid p under any dependence (Ruger 1978, Metrika 25:171-178), and one cohort alone can
    neither carry nor block a pool of three or more. A cohort whose estimate doesn't lie on the
    side of the pooled one counts with 1, because its p speaks for the other direction. That
    only raises p's, so the result stays valid.

    Parameters
    ----------
    null_p
        Shape (k,), one per cohort; where one is missing, so is the result. A single one stands
        as it is.
    estimates
        Shape (k,), the cohorts' estimates, 0 = no difference.
    pooled
        The pooled estimate.
    """
    p = np.asarray(null_p, dtype=float)
    if p.size == 0 or np.isnan(p).any():
        return float("nan")
    if p.size == 1:
        return float(p[0])
    same_side = np.sign(estimates) * np.sign(pooled) > 0
    ordered = np.sort(np.where(same_side, p, 1.0))
    needed = p.size // 2 + 1
    return float(min(1.0, p.size / needed * ordered[needed - 1]))


def _without_rivals(
    cohorts: np.ndarray, usable: np.ndarray, rivals: Mapping[str, Sequence[str]]
) -> tuple[np.ndarray, list[str]]:
    """Leave out cohorts that give way to a usable one; return who is left, and notes."""
    keep, clauses = usable.copy(), []
    for cohort, others in rivals.items():
        mine = cohorts == cohort
        winners = sorted(set(others) & set(cohorts[keep & ~mine]))
        if (keep & mine).any() and winners:
            keep &= ~mine
            clauses.append(
                f"left out: {cohort}, which may share patients with {', '.join(winners)}"
            )
    return keep, clauses


def _sampled(group: dict[str, np.ndarray]) -> list[str]:
    """Say which crude effects stay out, by how their cohorts were sampled."""
    reasons = sorted(set(group["sampled"]) - {""})
    return [
        f"left out: {', '.join(sorted(group['cohort'][group['sampled'] == reason]))}, {reason}"
        for reason in reasons
    ]


def _drifting(pooled: dict[str, np.ndarray]) -> str:
    cohorts = sorted(pooled["cohort"][pooled["drifting"]])
    return f"{notes.SCORE_HAZARDS} in {', '.join(cohorts)}" if cohorts else ""


def _numbers(pool: Pool, back: np.ufunc) -> dict[str, float]:
    return {
        "estimate": float(back(pool.estimate)), "low": float(back(pool.low)),
        "high": float(back(pool.high)), "p": pool.p, "tau2": pool.tau2, "i2": pool.i2,
    }  # fmt: skip


def _row(key: dict[str, str], model: str, k: int, note: str, **values: object) -> dict[str, object]:
    if values.get("p") == SMALLEST_P:
        note = notes.join(note, UNDERFLOW_NOTE)
    return {**key, "model": model, "k": k, "note": note, **values}
