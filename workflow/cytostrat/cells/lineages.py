"""Cell types: published labels onto lineages, and labels from marker genes.

Marker labels cannot tell a tumour cell from a normal epithelial one (that takes copy numbers), so
every epithelial cell that they find is called ``epithelial tumour``, and comparisons with given
labels join the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.tables import read_frame, write_frame

TUMOUR, NORMAL = "epithelial tumour", "epithelial normal"
LINEAGES = (
    TUMOUR, NORMAL, "myeloid", "T", "NK", "B", "plasma", "fibroblast", "perivascular",
    "endothelial",
)  # fmt: skip
EPITHELIAL = "epithelial"
MARKER_LINEAGES = (EPITHELIAL, *LINEAGES[2:])
CELLTYPE_COLUMNS = ("label", "lineage", "subset", "source", "doi")
MARKER_COLUMNS = ("lineage", "gene", "source", "doi")
MARGIN = 0.05
ROUNDS = 4
FEWEST_CELLS = 3


@dataclass(frozen=True)
class CellTypes:
    """The map of published labels.

    Parameters
    ----------
    lineage, subset
        Folded label to its lineage, and to a finer name ('' where there is none).
    """

    lineage: Mapping[str, str]
    subset: Mapping[str, str]


@dataclass(frozen=True)
class Agreement:
    """How marker labels agree with given ones, over cells that have a given one.

    Parameters
    ----------
    n
        Cells with a given label.
    n_called
        Among them, cells with a marker label.
    n_agree
        Among these, cells where both are the same.
    kappa
        Cohen's kappa over the called cells.
    table
        Given label x marker label ('unlabelled' where the margin was too small), cells.
    """

    n: int
    n_called: int
    n_agree: int
    kappa: float
    table: pd.DataFrame

    @property
    def share(self) -> float:
        """Share of called cells that agree."""
        return self.n_agree / self.n_called if self.n_called else float("nan")


def fold(label: object) -> str:
    """Return the form in which labels are compared: no case, and ``_``, ``-``, ``.`` as blanks."""
    return re.sub(r"[\s_.\-]+", " ", str(label)).strip().casefold()


def read_celltypes(path: str | Path) -> CellTypes:
    """Read the map of labels (`CELLTYPE_COLUMNS`, tab-separated).

    Raises
    ------
    InputError
        A column is absent, a lineage is unknown, or two rows give one label two meanings.
    """
    table = _read(path, CELLTYPE_COLUMNS)
    lineage: dict[str, str] = {}
    subset: dict[str, str] = {}
    for line, row in enumerate(table.itertuples(index=False), start=2):
        if row.lineage not in LINEAGES:
            raise InputError(
                f"{path}, line {line}: lineage {row.lineage!r} is none of {', '.join(LINEAGES)}."
            )
        key = fold(row.label)
        if key in lineage and (lineage[key], subset[key]) != (row.lineage, row.subset):
            raise InputError(
                f"{path}, line {line}: label {row.label!r} is {row.lineage} here and "
                f"{lineage[key]} above; keep one."
            )
        lineage[key], subset[key] = row.lineage, row.subset
    return CellTypes(lineage, subset)


def read_markers(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read the marker genes of each of `MARKER_LINEAGES` (`MARKER_COLUMNS`, tab-separated).

    Raises
    ------
    InputError
        A column is absent, a lineage is unknown or has no gene, or a gene stands for two.
    """
    table = _read(path, MARKER_COLUMNS)
    unknown = sorted(set(table["lineage"]) - set(MARKER_LINEAGES))
    absent = [name for name in MARKER_LINEAGES if name not in set(table["lineage"])]
    if unknown or absent:
        raise InputError(
            f"{path}: column lineage must hold {', '.join(MARKER_LINEAGES)}; "
            f"unknown: {', '.join(unknown) or 'none'}, absent: {', '.join(absent) or 'none'}."
        )
    twice = table.loc[table["gene"].duplicated(), "gene"].tolist()
    if twice:
        raise InputError(f"{path}: {', '.join(twice[:5])} stand in more than one row; keep one.")
    return {name: tuple(table.loc[table["lineage"] == name, "gene"]) for name in MARKER_LINEAGES}


def _read(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, comment="#")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path} can't be read: {error}.") from None
    absent = [column for column in columns if column not in table]
    if absent:
        raise InputError(f"{path}: lacks the column(s) {', '.join(absent)}.")
    return table


def map_labels(labels: pd.DataFrame, celltypes: CellTypes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Map given labels onto lineages; the finest level that the map knows decides.

    Parameters
    ----------
    labels
        Cells x levels, the finest level first; a missing label is None.
    celltypes
        The map.

    Returns
    -------
    cells, report
        Per cell ``cell_type`` (a lineage or None) and ``cell_subset`` ('' where none); and one
        row per level and label: n_cells, lineage ('' where unmapped), note.
    """
    n = len(labels)
    lineage = np.full(n, None, dtype=object)
    subset = np.full(n, "", dtype=object)
    rows = []
    for level in labels:
        values = labels[level].astype(object)
        for label, positions in sorted(values.groupby(values, sort=False).indices.items()):
            key = fold(label)
            found = celltypes.lineage.get(key, "")
            note = "" if found else "unmapped: add it to the map of cell types"
            if found:
                finer = lineage[positions]
                other = int(sum(value is not None and value != found for value in finer))
                if other:
                    note = f"a finer label makes {other} of them another lineage"
                free = positions[[value is None for value in finer]]
                lineage[free] = found
                subset[free] = celltypes.subset[key]
            rows.append((level, str(label), len(positions), found, note))
    cells = pd.DataFrame({"cell_type": lineage, "cell_subset": subset}, index=labels.index)
    report = pd.DataFrame(rows, columns=["level", "label", "n_cells", "lineage", "note"])
    return cells, report


@dataclass(frozen=True)
class Labels:
    """The cell types that an analysis uses.

    Parameters
    ----------
    cells
        Per cell: cell_type (a lineage or None), cell_subset, label_source (given, markers or
        ''), marker_label and margin.
    report
        What became of each given label, see `map_labels`.
    agreement
        Of marker labels with given ones; None where none are given.
    """

    cells: pd.DataFrame
    report: pd.DataFrame
    agreement: Agreement | None


def label_cells(
    obs: pd.DataFrame,
    markers: pd.DataFrame,
    samples: Sequence[str],
    celltypes: CellTypes,
    *,
    margin: float = MARGIN,
) -> Labels:
    """Choose each cell's type: the given one where the cohort gives any, else that of markers.

    In a cohort with given labels a cell whose label is unmapped stays without a type; marker
    labels do not fill such gaps, because the two kinds differ.

    Parameters
    ----------
    obs
        Canonical columns; ``cell_subtype`` and ``cell_type`` as the cohort gives them.
    markers, samples, margin
        As in `marker_labels`.
    celltypes
        The map of given labels.
    """
    levels = [name for name in ("cell_subtype", "cell_type") if name in obs]
    given = obs[levels].astype(object)
    given = given.where(given.notna(), None).reset_index(drop=True)
    cells, report = map_labels(given, celltypes)
    called = marker_labels(markers.reset_index(drop=True), samples, margin=margin)
    cells["label_source"] = "given"
    agreed = None
    if given.notna().any(axis=None):
        agreed = agreement(cells["cell_type"], called["label"])
    else:
        cells["cell_type"], cells["label_source"] = called["label"], "markers"
    cells.loc[cells["cell_type"].isna(), "label_source"] = ""
    cells["marker_label"], cells["margin"] = called["label"], called["margin"]
    cells.index = obs.index
    return Labels(cells, report, agreed)


def agreement_row(agreed: Agreement | None) -> pd.DataFrame:
    """Return the agreement as a frame of one row: n, n_called, n_agree, share, kappa.

    Without given labels there is no row.
    """
    columns = ["n", "n_called", "n_agree", "share", "kappa"]
    rows = [] if agreed is None else [[getattr(agreed, name) for name in columns]]
    return pd.DataFrame(rows, columns=columns)


def write_labels(cells: pd.DataFrame, path: str | Path) -> None:
    """Write the cell types of `label_cells`, one row per cell."""
    write_frame(cells.rename_axis("sample").reset_index(), path)


def read_labels(path: str | Path) -> pd.DataFrame:
    """Read what `write_labels` wrote."""
    frame = read_frame(path, dtype=str, keep_default_na=False, index_col="sample")
    for column in ("cell_type", "marker_label"):
        frame[column] = frame[column].astype(object).where(frame[column] != "", None)
    return frame.assign(margin=pd.to_numeric(frame["margin"]))


def subset_types(
    cells: pd.DataFrame, *, of: Sequence[str] = ("T", "NK", "myeloid")
) -> list[str | None]:
    """Return finer types, ``T: regulatory T``, for cells that have one in these lineages."""
    return [
        f"{lineage}: {subset}" if subset not in ("", lineage) and lineage in of else None
        for lineage, subset in zip(cells["cell_type"], cells["cell_subset"], strict=True)
    ]


def marker_labels(
    scores: pd.DataFrame, samples: Sequence[str], *, margin: float = MARGIN
) -> pd.DataFrame:
    """Label cells by their marker scores.

    Immunoglobulin and collagen transcripts float through a whole tumour, so from each lineage's
    score the sample's background is taken off: the median over the other lineages of the median
    score of their cells, whatever their numbers. Which cells are theirs is found in `ROUNDS`
    rounds, which start from the lowest twentieth of all cells. The highest rest is the label
    where it is above zero and exceeds the second by `margin`.

    Parameters
    ----------
    scores
        Cells x `MARKER_LINEAGES`, UCell scores.
    samples
        Sample of each cell; one sample's labels do not depend on another's cells.
    margin
        Smallest lead over the second lineage.

    Returns
    -------
    pandas.DataFrame
        label (a lineage, None where unlabelled), best (the highest lineage, always), margin.
    """
    lineages = np.array([TUMOUR if name == EPITHELIAL else name for name in scores], dtype=object)
    names = pd.Series(list(samples), dtype=object)
    best = np.zeros(len(scores), dtype=int)
    lead = np.zeros(len(scores))
    rest_of_best = np.zeros(len(scores))
    for positions in names.groupby(names, sort=True).indices.values():
        own = scores.to_numpy(dtype=float)[positions]
        rest = own - _background(own)
        two = np.sort(rest, axis=1)[:, -2:]
        best[positions] = rest.argmax(axis=1)
        lead[positions] = two[:, 1] - two[:, 0]
        rest_of_best[positions] = two[:, 1]
    label = lineages[best].astype(object)
    out = pd.DataFrame({"label": label, "best": label.copy(), "margin": lead}, index=scores.index)
    out.loc[(lead < margin) | (rest_of_best <= 0), "label"] = None
    return out


def _background(scores: np.ndarray) -> np.ndarray:
    """Return each lineage's score in cells that are not of it."""
    background = np.quantile(scores, 0.05, axis=0)
    for _ in range(ROUNDS):
        top = (scores - background).argmax(axis=1)
        medians = {
            column: np.median(scores[top == column], axis=0)
            for column in range(scores.shape[1])
            if (top == column).sum() >= FEWEST_CELLS
        }
        for column in range(scores.shape[1]):
            others = [values[column] for name, values in medians.items() if name != column]
            if others:
                background[column] = np.median(others)
    return background


def agreement(given: Sequence[str | None], called: Sequence[str | None]) -> Agreement:
    """Compare given with marker labels; both kinds of epithelial cell count as one."""
    a = pd.Series(list(given), dtype=object).replace({NORMAL: TUMOUR})
    b = pd.Series(list(called), dtype=object).replace({NORMAL: TUMOUR})
    known = a.notna()
    both = known & b.notna()
    x, y = a[both], b[both]
    n_agree = int((x == y).sum())
    kappa = float("nan")
    if both.any():
        expected = float((x.value_counts(normalize=True) * y.value_counts(normalize=True)).sum())
        observed = n_agree / int(both.sum())
        kappa = (observed - expected) / (1 - expected) if expected < 1 else float("nan")
    table = pd.crosstab(a[known], b[known].fillna("unlabelled"))
    table.index.name, table.columns.name = "given", "called"
    return Agreement(int(known.sum()), int(both.sum()), n_agree, kappa, table)
