"""Effects rows of single-cell cohorts: the patient is the unit, always.

No function here takes cells. Input is one value per patient and cell type, which `_by_patient`
enforces, so neither more cells nor deeper sequencing of the same patients can shrink a p-value's
denominator. With one patient the rows describe that patient with exact intervals and carry no p.

============ ================= ==================================================================
question     endpoint          row
============ ================= ==================================================================
cell_source  fraction          share of a type's cells with at least one transcript of the gene
             expressing
             mean              transcripts of the gene per 10,000 of the type's transcripts
             share of total    share of the tumour's transcripts of the gene that lie in the type
             mean score        mean over the type's cells of their score
             median score      one patient only: median over the cells
cell_her2    (none)            pseudobulk of HER2-positive minus negative patients, per type
cell_coupling IL1B in myeloid  Spearman correlation over patients of the tumour cells' TGFB1 or
                               TGF-beta score with IL1B of their myeloid cells
============ ================= ==================================================================

``stratum`` is the cell type. Rows of `cell_source` with an empty contrast are levels: mean over
patients with a t interval. Rows ``<type> - other cells`` are paired within patients: mean of the
differences with a t interval, p by sign flips (`cytostrat.stats.permutation.sign_flip_p`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats as distributions

from cytostrat.cells.lineages import TUMOUR
from cytostrat.cells.sources import PER, UNLABELLED
from cytostrat.errors import EstimationError
from cytostrat.stats import notes
from cytostrat.stats.effect_size import hedges_g
from cytostrat.stats.effect_table import ALL_GENES, PRIMARY
from cytostrat.stats.linear import PERFECT_NOTE, partial_correlation
from cytostrat.stats.permutation import sign_flip_p
from cytostrat.stats.rank import mann_whitney_p
from cytostrat.tables import EFFECTS

MIN_CELLS = 10
FEWEST_FOR_TEST = 3
FEWEST_FOR_CORRELATION = 5
ONE_PATIENT = "one patient: a description of its cells, no test"
NOT_ADJUSTED = "not adjusted for ER"
_USUAL = {"her2_rule": PRIMARY, "gene_filter": ALL_GENES, "adjustment": "none"}
_GENE_ENDPOINTS = (
    ("fraction expressing", "fraction", "fraction", "n_cells", "n_expressing"),
    ("mean", "mean", "umi_per_10k", "depth", "umis"),
    ("share of total", "share", "share", "total", "umis"),
)


def source_effects(
    sources: pd.DataFrame, *, cohort: str, min_cells: int = MIN_CELLS, level: float = 0.95
) -> pd.DataFrame:
    """Return the rows of the question ``cell_source``.

    Parameters
    ----------
    sources
        What `cytostrat.cells.sources.describe_sources` returned.
    cohort
        Name of the cohort.
    min_cells
        Fewest cells of a type for a patient to count; ``share of total`` takes all patients that
        have a transcript at all.
    level
        Level of the intervals.

    Returns
    -------
    pandas.DataFrame
        Conforms to `cytostrat.tables.EFFECTS`. In rows of one patient n and n_case are what the
        exact interval rests on: cells and expressing cells, or transcripts. Otherwise n counts
        patients.
    """
    frame = sources.copy()
    frame["total"] = frame.groupby(["signature", "method", "patient"])["umis"].transform("sum")
    rows: list[dict[str, Any]] = []
    for (signature, method), own in frame.groupby(["signature", "method"], sort=True):
        base = {"cohort": cohort, "question": "cell_source", "signature": signature}
        base |= {"method": method}
        single = own["patient"].nunique() == 1
        endpoints = _GENE_ENDPOINTS if method == "counts" else (
            ("mean score", "mean", "score", "n_cells", ""),
        )  # fmt: skip
        for endpoint, column, scale, n_column, k_column in endpoints:
            part = base | {"endpoint": endpoint, "scale": scale}
            levels = (
                _one_patient(own, part, column, n_column, k_column, min_cells)
                if single
                else _levels(own, part, column, min_cells, level)
            )
            rows.extend(_ranked(levels))
            if column != "share":
                rows.extend(_against_others(own, part, column, min_cells, level))
        if single and method != "counts":
            part = base | {"endpoint": "median score", "scale": "score"}
            rows.extend(_ranked(_one_patient(own, part, "median", "n_cells", "", min_cells)))
    return _table(rows)


def _one_patient(
    own: pd.DataFrame,
    part: Mapping[str, Any],
    column: str,
    n_column: str,
    k_column: str,
    min_cells: int,
) -> list[dict[str, Any]]:
    rows = []
    for row in own[own["cell_type"] != UNLABELLED].to_dict("records"):
        note = [ONE_PATIENT]
        if row["n_cells"] < min_cells:
            note.append(f"only {row['n_cells']} cells")
        if column == "share" and not row["total"] > 0:
            note.append("the tumour has no transcript of the gene")
        if column == "mean" and not k_column:
            note.append("no exact interval for a mean of scores, see the median")
        rows.append(
            {
                **part,
                "stratum": row["cell_type"],
                "n": round(row[n_column]),  # estimated counts need not be whole
                "n_case": round(row[k_column]) if k_column else np.nan,
                "estimate": row[column],
                "low": row.get(f"{column}_low", np.nan),
                "high": row.get(f"{column}_high", np.nan),
                "note": notes.join(note),
                "counts": column == "share" or row["n_cells"] >= min_cells,
            }
        )
    return rows


def _levels(
    own: pd.DataFrame, part: Mapping[str, Any], column: str, min_cells: int, level: float
) -> list[dict[str, Any]]:
    rows = []
    bounded = column in ("fraction", "share")
    for cell_type, cells in own[own["cell_type"] != UNLABELLED].groupby("cell_type", sort=True):
        if column == "share":
            # a patient whose tumour expresses the gene but who has no such cell has a share of 0
            patients = own.loc[own["total"] > 0, "patient"].unique()
            values = _by_patient(cells, column).reindex(sorted(patients)).fillna(0.0).to_numpy()
        else:
            values = _by_patient(cells[cells["n_cells"] >= min_cells], column).dropna().to_numpy()
        row = {**part, "stratum": cell_type, "n": len(values)} | _t_interval(values, level)
        if bounded and len(values) > 1:
            row["low"], row["high"] = max(row["low"], 0.0), min(row["high"], 1.0)
        row["note"] = _few(len(values), 2, "an interval")
        rows.append(row)
    return rows


def _ranked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say in the notes where each type stands; types of too few cells take no place."""
    estimates = pd.Series(
        [row["estimate"] if row.pop("counts", True) else np.nan for row in rows], dtype=float
    )
    ranks = estimates.rank(ascending=False, method="min")
    known = int(estimates.notna().sum())
    for row, rank in zip(rows, ranks, strict=True):
        if np.isfinite(rank):
            row["note"] = notes.join(row["note"], f"rank {int(rank)} of {known} cell types")
    return rows


def _against_others(
    own: pd.DataFrame, part: Mapping[str, Any], column: str, min_cells: int, level: float
) -> list[dict[str, Any]]:
    """Return, per type, its difference from the patient's other cells taken together."""
    rows = []
    sums = ["n_cells", "n_expressing", "umis", "depth"]
    own = own.assign(weighted=own["mean"] * own["n_cells"])
    total = own.groupby("patient")[[*sums, "weighted"]].sum()
    for cell_type in sorted(set(own["cell_type"]) - {UNLABELLED}):
        cells = own[own["cell_type"] == cell_type]
        inside = cells.set_index("patient")[[*sums, "weighted", column]]
        inside = inside.loc[_by_patient(cells, column).index]
        rest = total.loc[inside.index] - inside[[*sums, "weighted"]]
        enough = (inside["n_cells"] >= min_cells) & (rest["n_cells"] >= min_cells)
        inside, rest = inside[enough], rest[enough]
        if column == "fraction":
            others = rest["n_expressing"] / rest["n_cells"]
        elif part["method"] == "counts":
            others = PER * rest["umis"] / rest["depth"]
        else:
            others = rest["weighted"] / rest["n_cells"]
        differences = (inside[column] - others).dropna().sort_index().to_numpy()
        n = len(differences)
        row = {**part, "stratum": cell_type, "contrast": f"{cell_type} - other cells", "n": n}
        row["scale"] = f"{part['scale']} difference"
        row |= _t_interval(differences, level)
        note = ONE_PATIENT if n == 1 else _few(n, FEWEST_FOR_TEST, "a test")
        if n >= FEWEST_FOR_TEST:
            row["p"] = float(sign_flip_p(differences))
        rows.append({**row, "note": note})
    return rows


def her2_effects(
    values: pd.DataFrame,
    her2: Mapping[str, str | None],
    *,
    cohort: str,
    sampling: Mapping[str, Any] | None = None,
    min_group: int = FEWEST_FOR_TEST,
    level: float = 0.95,
) -> pd.DataFrame:
    """Return the rows of the question ``cell_her2``.

    Parameters
    ----------
    values
        What `cytostrat.cells.pseudobulk.patient_values` returned.
    her2
        Patient to positive, negative, equivocal or None.
    cohort
        Name of the cohort.
    sampling
        ``design`` and ``on`` of the provenance; where patients were chosen by a variable or
        case-control, the effects say so.
    min_group
        Fewest patients in the smaller group.
    level
        Level of the intervals.

    Returns
    -------
    pandas.DataFrame
        Conforms to `cytostrat.tables.EFFECTS`; Hedges' g with its interval, p by
        Mann-Whitney, as in the bulk contrast. n counts patients, n_case HER2-positive ones.
    """
    rows = []
    crude = notes.join(NOT_ADJUSTED, notes.sampling_note(sampling))
    for (cell_type, signature, method), own in values.groupby(
        ["cell_type", "signature", "method"], sort=True
    ):
        series = _by_patient(own, "value").dropna().sort_index()
        status = pd.Series({patient: her2.get(patient) for patient in series.index}, dtype=object)
        known = status.isin(["positive", "negative"]).to_numpy()
        case = (status == "positive").to_numpy()[known]
        numbers = series.to_numpy()[known]
        counts = {"positive": int(case.sum()), "negative": int((~case).sum())}
        row = {
            "cohort": cohort, "question": "cell_her2", "stratum": cell_type,
            "signature": signature, "method": method, "contrast": "positive - negative",
            "scale": "hedges_g", "n": len(numbers), "n_case": counts["positive"],
            "estimate": np.nan, "note": crude,
        }  # fmt: skip
        needed = max(min_group, 2)
        short = [f"{_patients(n, 'is', 'are')} {name}" for name, n in counts.items() if n < needed]
        if short:
            row["note"] = f"not estimated: {' and '.join(short)}, at least {needed} are needed"
        else:
            found = hedges_g(numbers, case, level=level)
            row |= {
                "estimate": found.estimate[0], "se": found.se[0], "low": found.low[0],
                "high": found.high[0], "p": mann_whitney_p(numbers, case)[0],
            }  # fmt: skip
            if not np.isfinite(row["estimate"]):
                row["p"] = np.nan
                row["note"] = notes.join(crude, "not estimated: no spread within the groups")
        rows.append(row)
    return _table(rows)


def coupling_effects(
    values: pd.DataFrame,
    *,
    cohort: str,
    tumour: Sequence[str],
    partner: str = "IL1B",
    partner_type: str = "myeloid",
    tumour_type: str = TUMOUR,
    level: float = 0.95,
) -> pd.DataFrame:
    """Return the rows of the question ``cell_coupling``.

    Parameters
    ----------
    values
        What `cytostrat.cells.pseudobulk.patient_values` returned.
    cohort
        Name of the cohort.
    tumour
        Quantities of the tumour cells, such as TGFB1 and the TGF-beta signatures.
    partner, partner_type
        Gene and the cell type in which it is read.
    tumour_type
        The tumour cells.
    level
        Level of the interval.

    Returns
    -------
    pandas.DataFrame
        Conforms to `cytostrat.tables.EFFECTS`; one row per quantity and method, n counts the
        patients that have both pseudobulks. Spearman's correlation, p exact up to nine patients;
        no interval and no standard error where the order is perfect. Positive: patients whose
        tumour cells have more have more of the partner gene in the partner cells.
    """
    answer = values[(values["cell_type"] == partner_type) & (values["signature"] == partner)]
    y = _by_patient(answer, "value").dropna()
    rows = []
    for signature in tumour:
        mine = values[(values["cell_type"] == tumour_type) & (values["signature"] == signature)]
        methods = sorted(mine["method"].unique()) or [""]
        for method in methods:
            x = _by_patient(mine[mine["method"] == method], "value").dropna()
            shared = sorted(set(x.index) & set(y.index))
            row = {
                "cohort": cohort, "question": "cell_coupling",
                "endpoint": f"{partner} in {partner_type}", "stratum": tumour_type,
                "signature": signature, "method": method, "scale": "partial_rho",
                "n": len(shared), "estimate": np.nan,
            }  # fmt: skip
            if len(shared) < FEWEST_FOR_CORRELATION:
                row["note"] = (
                    f"not estimated: {_patients(len(shared), 'has', 'have')} both cell types, at "
                    f"least {FEWEST_FOR_CORRELATION} are needed"
                )
            else:
                found = partial_correlation(x[shared].to_numpy(), y[shared].to_numpy(), level=level)
                row |= {
                    "estimate": found.estimate[0], "se": found.se[0], "low": found.low[0],
                    "high": found.high[0], "p": found.p[0], "note": "",
                }  # fmt: skip
                if not np.isfinite(row["estimate"]):
                    row["p"], row["note"] = np.nan, "not estimated: one side does not vary"
                elif not np.isfinite(row["se"]):
                    row["note"] = PERFECT_NOTE
            rows.append(row)
    return _table(rows)


def mark_coverage(effects: pd.DataFrame, coverage: pd.DataFrame) -> pd.DataFrame:
    """Note on every row of a signature below the configured coverage that it is unusable."""
    poor = effects["signature"].isin(coverage.loc[~coverage["usable"].astype(bool), "signature"])
    out = effects.copy()
    out.loc[poor, "note"] = [notes.join(note, notes.UNUSABLE) for note in out.loc[poor, "note"]]
    return out


def _by_patient(frame: pd.DataFrame, column: str) -> pd.Series:
    """Return one value per patient.

    Raises
    ------
    EstimationError
        A patient occurs twice: rows are cells or samples, which are no independent units.
    """
    if frame["patient"].duplicated().any():
        twice = frame.loc[frame["patient"].duplicated(), "patient"].iloc[0]
        raise EstimationError(
            f"Patient {twice} has several values where one is needed; tests are over patients, so "
            "pool the patient's cells first."
        )
    return frame.set_index("patient")[column].astype(float)


def _t_interval(values: np.ndarray, level: float) -> dict[str, float]:
    """Return mean, standard error and t interval over patients; NaN where too few."""
    n = len(values)
    out = {"estimate": float(np.mean(values)) if n else np.nan}
    if n > 1:
        out["se"] = float(np.std(values, ddof=1) / np.sqrt(n))
        half = distributions.t.ppf(0.5 + level / 2, n - 1) * out["se"]
        out |= {"low": out["estimate"] - half, "high": out["estimate"] + half}
    return out


def _few(n: int, needed: int, what: str) -> str:
    if n >= needed:
        return ""
    return f"{_patients(n, 'has', 'have')} enough cells, {what} needs {needed}"


def _patients(n: int, one: str, many: str) -> str:
    """Return the number of patients with the form of the verb that goes with it."""
    return f"1 patient {one}" if n == 1 else f"{n} patients {many}"


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return EFFECTS.records({**_USUAL, **row} for row in rows)
