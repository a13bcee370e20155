"""Facts that several sections of the report read: inputs, selections of rows, cohort summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cytostrat.report import palette, wording
from cytostrat.stats import notes
from cytostrat.stats.controls import failed_cohorts
from cytostrat.tables import ENDPOINTS, SAME_PATIENTS

if TYPE_CHECKING:
    from cytostrat.signatures import Signature

POOLED_NAMES = ("", "pooled")
SAMPLING = {
    "population": "population-based",
    "case_control": "case-control",
    "trial": "trial",
    "convenience": "convenience sample",
}


class Shelves:
    """Rows of a long table by question and signature: a few are found without reading them all.

    Parameters
    ----------
    frame
        Effects or Pooled.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._questions = _shelved(frame, "question")
        self._signatures: dict[str, dict[str, pd.DataFrame]] = {}

    def of(self, question: str, signature: str | None) -> pd.DataFrame:
        """Return the rows of one question, and of one signature where it is named."""
        rows = self._questions.get(question, self._frame.iloc[:0])
        if signature is None:
            return rows
        if question not in self._signatures:
            self._signatures[question] = _shelved(rows, "signature")
        return self._signatures[question].get(signature, rows.iloc[:0])

    def narrowed(self, where: dict[str, Any]) -> pd.DataFrame:
        """Take question and signature out of the conditions and return the rows they leave."""
        question = where.pop("question")
        names = [question] if isinstance(question, str) else list(question)
        signature = where.pop("signature") if isinstance(where.get("signature"), str) else None
        found = [self.of(name, signature) for name in names]
        return found[0] if len(found) == 1 else pd.concat(found).sort_index(kind="stable")


def _shelved(frame: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    places = frame.groupby(column, sort=False).indices
    return {value: frame.take(rows) for value, rows in places.items()}


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """Everything the report is made from; it reads nothing else.

    Parameters
    ----------
    effects, pooled, verdicts, coverage, flow
        The tables of `cytostrat.tables`; any may have no rows.
    scores
        Cohort to its Scores table.
    clinical
        Cohort to its clinical frame: index = sample, canonical columns, and
        ``<ENDPOINT>_time`` in days with ``<ENDPOINT>_event``. Of single cells a row is a patient,
        with ``n_cells``.
    provenance
        Cohort to the provenance mapping of its Cohort table, in the order of the config.
    signatures
        Name to signature record.
    therapies
        The parsed ``therapies.yaml``: ``documents`` and ``therapies``, in the order shown.
    claims
        The parsed ``claims.yaml``: ``rule`` and ``claims``, in the order shown.
    config
        The run's configuration, defaults filled in.
    cohort_files
        Cohort to its parsed cohort file, shown with the config.
    versions
        Software name to version.
    config_file
        The run's configuration file, relative to the project's folder.
    curves
        Kaplan-Meier curves of all cohorts, as `cytostrat.survival.km_curves` returns them.
    running
        Running sums of all cohorts: ``cohort``, ``signature``, ``position``, ``running_sum``.
    gene_effects
        Cohort to its moderated contrast of single genes: ``gene``, ``coefficient``, ``t``, ``p``,
        ``q``.
    cells
        Single-cell cohort to its frames ``sources``, ``composition``, ``drawn``, ``agreement`` and
        ``depth``, as `cytostrat.cells` describes them.
    """

    effects: pd.DataFrame
    pooled: pd.DataFrame
    verdicts: pd.DataFrame
    coverage: pd.DataFrame
    flow: pd.DataFrame
    scores: Mapping[str, pd.DataFrame]
    clinical: Mapping[str, pd.DataFrame]
    provenance: Mapping[str, Mapping[str, Any]]
    signatures: Mapping[str, Signature]
    config: Mapping[str, Any]
    therapies: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    cohort_files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    config_file: str = ""
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)
    running: pd.DataFrame = field(default_factory=pd.DataFrame)
    gene_effects: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    cells: Mapping[str, Mapping[str, pd.DataFrame]] = field(default_factory=dict)

    @cached_property
    def effect_rows(self) -> Shelves:
        """Effects, shelved for `select`."""
        return Shelves(self.effects)

    @cached_property
    def pooled_rows(self) -> Shelves:
        """Pooled rows, shelved for `select`."""
        return Shelves(self.pooled)

    @cached_property
    def contrasts(self) -> dict[str, Any]:
        """HER2 contrasts that were put together before, by signature: several sections show one."""
        return {}

    @cached_property
    def failed(self) -> frozenset[str]:
        """Cohorts of which a positive control failed."""
        return frozenset(failed_cohorts(self.effects))

    @property
    def cohorts(self) -> list[str]:
        """Cohorts in the order of the config."""
        return list(self.provenance)

    @property
    def simulated(self) -> frozenset[str]:
        """Cohorts made by the simulator."""
        return frozenset(c for c, record in self.provenance.items() if record.get("simulated"))

    @property
    def method(self) -> str:
        """Primary scoring method: the first of the config."""
        return self.config["methods"][0]

    @property
    def adjustment(self) -> str:
        """Name of the primary adjustment in the Effects table."""
        return "+".join(self.config["contrast"]["adjustment"])

    @property
    def survival_adjustment(self) -> str:
        """Name of the primary adjustment of survival models."""
        return "+".join(self.config["survival"]["adjustment"])

    @property
    def min_coverage(self) -> float:
        """Share of genes below which a set is flagged."""
        return self.config["signatures"]["min_coverage"]

    @property
    def rule(self) -> dict[str, Any]:
        """The one rule of the verdicts, by which a difference between groups is named too."""
        return {"alpha": 0.05, "null_alpha": 0.05, "min_cohorts": 3} | dict(
            self.claims.get("rule") or {}
        )

    def primary(self) -> list[Signature]:
        """Signatures of role primary, in the order of the table."""
        return [sig for sig in self.signatures.values() if sig.role == "primary"]

    def any_simulated(self, cohorts: Sequence[str] | None = None) -> bool:
        """Whether one of the cohorts (all by default) is simulated; pooled counts as all."""
        names = self.cohorts if cohorts is None else cohorts
        return any(c in self.simulated or c in POOLED_NAMES for c in names) and bool(self.simulated)


def select(frame: pd.DataFrame | Shelves, **where: Any) -> pd.DataFrame:
    """Return the rows whose columns equal the given values (a list means any of them).

    Of `Shelves` the question must be among the conditions.
    """
    if isinstance(frame, Shelves):
        frame = frame.narrowed(where)
    # The most selective columns first: each condition then looks at what is left.
    for column in sorted(where, key=lambda name: name not in ("signature", "claim", "cohort")):
        if column not in frame:
            return frame.iloc[:0]
        value = where[column]
        if isinstance(value, (list, tuple, set, frozenset)):
            frame = frame[frame[column].isin(list(value))]
        else:
            frame = frame[frame[column].eq(value)]
    return frame


def first(frame: pd.DataFrame) -> pd.Series | None:
    """Return the first row, or nothing."""
    return None if frame.empty else frame.iloc[0]


def main_rows(frame: pd.DataFrame | Shelves, **where: Any) -> pd.DataFrame:
    """Select rows made with the primary HER2 rule and all genes."""
    return select(frame, her2_rule=["primary", ""], gene_filter=["all genes", ""], **where)


CRUDE, SAME, ADJUSTED = "crude", "same", "adjusted"


def kind_of_row(inputs: ReportInputs, kind: str) -> dict[str, str]:
    """Return scale and adjustment of a HER2 contrast.

    ``crude`` takes all patients with HER2 status, ``adjusted`` those with all covariates, and
    ``same`` is the crude difference in the patients of ``adjusted``.
    """
    adjustment = {
        CRUDE: "none", SAME: SAME_PATIENTS + inputs.adjustment, ADJUSTED: inputs.adjustment,
    }[kind]  # fmt: skip
    return {"scale": "hedges_g" if kind == CRUDE else "adjusted_g", "adjustment": adjustment}


def her2_effect(inputs: ReportInputs, signature: str, cohort: str, *, kind: str,
                stratum: str = "all") -> pd.Series | None:  # fmt: skip
    """Return the HER2 contrast of one signature in one cohort; `kind` as in `kind_of_row`."""
    return first(
        main_rows(
            inputs.effect_rows, question="her2", cohort=cohort, signature=signature,
            stratum=stratum, method=inputs.method, **kind_of_row(inputs, kind),
        )
    )  # fmt: skip


def usable(inputs: ReportInputs, row: pd.Series | None) -> bool:
    """Whether a row of Effects may speak: estimated, measured well enough, controls passed."""
    return (
        row is not None
        and wording.finite(row["estimate"])
        and notes.UNUSABLE not in str(row["note"])
        and row["cohort"] not in inputs.failed
    )


def lacking(inputs: ReportInputs, row: pd.Series) -> list[str]:
    """Return what an estimate lacks to be called a difference, by the rule of the verdicts.

    The 95 % interval must leave out zero, q lie below alpha in its family and the random-set p
    below its own alpha. How many cohorts a pooled estimate needs is asked elsewhere.
    """
    rule, out = inputs.rule, []
    if not wording.side(row):
        out.append("the interval holds zero")
    for name, level, absent in (
        ("q", "alpha", "in no declared family"),
        ("null_p", "null_alpha", "not compared with random sets"),
    ):
        value = row.get(name)
        if not wording.finite(value):
            out.append(absent)
        elif float(value) >= rule[level]:
            out.append(wording.p_value(value, "random-set p" if name == "null_p" else name))
    return out


def tested(row: pd.Series) -> bool:
    """Whether an estimate can be called a difference at all: in a family, or against random sets.

    The signatures that stand beside the primary ones are described and not tested.
    """
    return wording.finite(row.get("q")) or wording.finite(row.get("null_p"))


def comparable(before: pd.Series | None, after: pd.Series | None) -> bool:
    """Whether two estimates are of the same patients and cohorts, so that they can be compared."""
    if before is None or after is None:
        return False
    if not (wording.finite(before["estimate"]) and wording.finite(after["estimate"])):
        return False
    same = ("model", "k", "cohorts") if "model" in after else ("n", "n_case")
    return all(before[name] == after[name] for name in same)


MODELS = {"random": "random effects", "fixed": "fixed effect"}


def pooled_models(frame: pd.DataFrame) -> pd.DataFrame:
    """Order pooled rows of one question so that the row to be read comes first.

    Random effects are the answer from three cohorts on; with two the fixed-effect row is read,
    because the variance between two cohorts can't be known. A row of one cohort is left out: it
    repeats that cohort's estimate.
    """
    k = frame["k"].to_numpy(float, na_value=np.nan)
    model = frame["model"].to_numpy(str)
    second = (model == "random") == (k < 3)
    order = np.lexsort((model, second))
    return frame.take(order[k[order] >= 2])


def pooled_effect(
    inputs: ReportInputs, signature: str, *, kind: str, stratum: str = "all"
) -> pd.Series | None:
    """Return the pooled HER2 contrast to be read first, or nothing."""
    rows = main_rows(
        inputs.pooled_rows, question="her2", signature=signature, stratum=stratum,
        method=inputs.method, **kind_of_row(inputs, kind),
    )  # fmt: skip
    return first(pooled_models(rows))


def counts(obs: pd.DataFrame, column: str, values: Sequence[str]) -> dict[str, int]:
    """Count the values of a clinical column, with ``missing`` for what is not there."""
    if column not in obs:
        return {**dict.fromkeys(values, 0), "missing": len(obs)}
    known = obs[column].map(lambda v: "" if wording.is_missing(v) else str(v))
    out = {value: int(known.eq(value).sum()) for value in values}
    out["missing"] = int(len(obs) - known.isin(list(values)).sum())
    return out


def endpoints(obs: pd.DataFrame) -> list[dict[str, Any]]:
    """List the endpoints that a cohort has, with n and events."""
    found = []
    for name in ENDPOINTS:
        time, event = f"{name}_time", f"{name}_event"
        if time not in obs or event not in obs:
            continue
        usable = (
            pd.to_numeric(obs[time], errors="coerce").notna()
            & pd.to_numeric(obs[event], errors="coerce").notna()
        )
        if usable.any():
            events = int(pd.to_numeric(obs.loc[usable, event]).sum())
            found.append({"name": name, "n": int(usable.sum()), "events": events})
    return found


def one_per_patient(obs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per patient: of each column the first value that is known, by sample name."""
    if "patient" not in obs or not obs["patient"].dropna().duplicated().any():
        return obs
    patient = obs["patient"].where(obs["patient"].notna(), obs.index.to_series())
    return obs.sort_index().groupby(patient.sort_index(), sort=False).first()


def cohort_facts(inputs: ReportInputs, name: str) -> dict[str, Any]:
    """Summarise one cohort for the first screen and the quality section."""
    record = inputs.provenance[name]
    samples = inputs.clinical.get(name, pd.DataFrame())
    obs = one_per_patient(samples)
    cells = int(samples["n_cells"].sum()) if "n_cells" in samples else 0
    sampling = record.get("sampling") or {}
    design = sampling.get("design", "")
    text = SAMPLING.get(design, str(design) or "not stated")
    if sampling.get("on"):
        text += f" on {wording.join_names(str(x).upper() for x in sampling['on'])}"
    flow = select(inputs.flow, cohort=name)
    started = pd.to_numeric(flow["n_in"], errors="coerce").max() if len(flow) else None
    return {
        "name": name,
        "title": record.get("title") or name,
        "kind": record.get("kind", "bulk"),
        "simulated": bool(record.get("simulated")),
        "n": len(obs),
        "n_samples": len(samples),
        "n_cells": cells or None,
        "n_started": None if cells or started is None or pd.isna(started) else int(started),
        "her2": counts(obs, "her2", ("positive", "negative", "equivocal")),
        "er": counts(obs, "er", ("positive", "negative")),
        "platform": record.get("platform") or "not stated",
        "sampling": text,
        "sampled": notes.sampled_how(notes.sampling_note(sampling)),
        "remarks": _remarks(obs, sampling, inputs.cohort_files.get(name, {})),
        "endpoints": endpoints(obs),
        "response": _response(obs, record),
        "citation": record.get("citation") or "",
        "doi": record.get("doi") or "",
        "licence": record.get("licence") or "",
        "scale": record.get("scale") or "",
        "transform": record.get("transform") or "",
        "gene_ids": record.get("gene_ids") or "",
        "genes": record.get("genes") or {},
        "sources": record.get("sources") or [],
        "warnings": list(record.get("warnings") or []),
        "control_failed": control_failed(inputs, name),
        "colours": palette.HER2,
    }


def _remarks(
    obs: pd.DataFrame, sampling: Mapping[str, Any], cohort_file: Mapping[str, Any]
) -> list[str]:
    """Return what a reader should know of a cohort beside its numbers."""
    age = pd.to_numeric(obs["age"], errors="coerce") if "age" in obs else pd.Series(dtype=float)
    low = counts(obs, "her2_low", ("low", "zero"))
    found = [str(cohort_file.get("note") or ""), str(sampling.get("note") or "")]
    if age.notna().any():
        found.append(f"Median age at diagnosis {age.median():.0f} years")
    if low["low"] + low["zero"]:
        found.append(
            f"Of the HER2-negative tumours {low['low']} are HER2-low (IHC 1+, or 2+ without "
            f"amplification) and {low['zero']} HER2-zero (IHC 0)"
        )
    found += [f"Not verified by a download: {text}" for text in cohort_file.get("unverified") or ()]
    sentences = [text.strip().rstrip(".") for text in found]
    return [f"{text[0].upper()}{text[1:]}." for text in sentences if text]


def _response(obs: pd.DataFrame, record: Mapping[str, Any]) -> dict[str, Any] | None:
    if "response" not in obs:
        return None
    found = counts(obs, "response", ("yes", "no"))
    if found["yes"] + found["no"] == 0:
        return None
    return {**found, "definition": (record.get("response") or {}).get("definition", "")}


def control_failed(inputs: ReportInputs, cohort: str) -> list[str]:
    """Return the positive controls that a cohort failed."""
    rows = select(inputs.effect_rows, cohort=cohort, question="control")
    return sorted(
        str(signature)
        for signature, own in rows.groupby("signature", sort=False)
        if failed_cohorts(own)
    )


def standardised(scores: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return samples x signatures of one method, standardised over the cohort.

    A signature without spread, or with fewer than two samples, is NaN.
    """
    bulk = scores[scores["method"].eq(method) & scores["cell_type"].fillna("").eq("")]
    wide = bulk.pivot(index="sample", columns="signature", values="score")
    deviation = wide.std(ddof=1)
    return (wide - wide.mean()) / deviation.where(deviation > 0)


def usable_anywhere(inputs: ReportInputs, signature: str) -> bool:
    """Whether any cohort measures enough genes of a set."""
    rows = select(inputs.coverage, signature=signature)
    return bool(rows["usable"].fillna(False).astype(bool).any())


def labels_of(obs: pd.DataFrame, name: str) -> list[str]:
    """Return a clinical column as text, one per sample; a missing value is empty."""
    if name not in obs:
        return [""] * len(obs)
    return ["" if wording.is_missing(v) else str(v) for v in obs[name]]


def anchor(inputs: ReportInputs, signature: str) -> str:
    """Return the element id where a signature is described."""
    role = inputs.signatures[signature].role
    return f"{'sig' if role == 'primary' else 'set'}-{wording.slug(signature)}"
