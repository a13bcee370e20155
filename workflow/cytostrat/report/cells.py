"""Figures and facts of single-cell cohorts: who expresses what, and what each patient has.

Cells are drawn, never tested: every figure with a comparison shows one point per patient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cytostrat.report import drawing, facts, palette, wording
from cytostrat.report.drawing import Sketch
from cytostrat.report.facts import ReportInputs

if TYPE_CHECKING:
    from cytostrat.report.drawing import Drawing
    from cytostrat.signatures import Signature

UNLABELLED = "unlabelled"
NOT_KNOWN = "not known"
DOT = 150.0
LABELLED_BARS = 40
POINT = 30_000.0
SEED = 0


def parts(inputs: ReportInputs, cohort: str) -> dict[str, Any]:
    """Return the figures of one cohort, its tests, what its labels rest on, and depth.

    Parameters
    ----------
    inputs
        All inputs; without ``cells`` of this cohort there is nothing to draw.
    cohort
        Name of a single-cell cohort.
    """
    frames = inputs.cells.get(cohort, {})
    pictures: list[Sketch] = []
    if frames:
        common = {"cohort": cohort, "simulated": cohort in inputs.simulated}
        her2 = _her2(inputs.clinical[cohort])
        shown = _one_per_axis(inputs)
        pictures = [
            Sketch(dots, frames["sources"], her2, inputs.primary(), **common),
            Sketch(composition, frames["composition"], her2, **common),
            Sketch(layout, frames["drawn"], shown, **common),
        ]
        scores = inputs.scores[cohort]
        scores = scores[scores["method"].eq(inputs.method)]
        if len(scores):
            pictures.append(Sketch(pseudobulk, scores, her2, shown, **common))
    return {
        "pictures": pictures,
        **over_patients(inputs, cohort),
        "labels": label_words(frames.get("agreement"), frames.get("composition")),
        "depth": depth_lines(frames.get("depth"), inputs.primary()),
    }


def over_patients(inputs: ReportInputs, cohort: str) -> dict[str, Any]:
    """List contrasts and couplings over patients, and once each why others have no estimate.

    Returns
    -------
    dict
        ``tests``: ``what``, ``type``, ``signature``, ``n``, ``row`` and ``note`` of every estimate;
        ``untested``: sentences, each a reason with the number of rows that it left out.
    """
    rows = facts.select(inputs.effect_rows, cohort=cohort, question=["cell_her2", "cell_coupling"])
    tests: list[dict[str, Any]] = []
    reasons: Counter[tuple[str, str, str]] = Counter()
    for _, row in rows.iterrows():
        signature = inputs.signatures.get(row["signature"])
        if signature is not None and signature.role != "primary":
            continue
        what, more = "HER2 contrast", ""
        if row["question"] == "cell_coupling":
            what, more = "coupling", f" with {row['endpoint']}"
        note = wording.note_of(row)
        if not wording.finite(row["estimate"]):
            clauses = note.split("; ")
            told = [one for one in clauses if one.startswith(wording.NOT_ESTIMATED)] or clauses
            reasons[what, more, told[-1].removeprefix(f"{wording.NOT_ESTIMATED}: ")] += 1
            continue
        tests.append(
            {
                "what": what + more,
                "type": row["stratum"],
                "signature": row["signature"] if signature is None else signature.title,
                "n": wording.count(row["n"]),
                "row": row,
                "note": note,
            }
        )
    untested = [
        f"{wording.plural(n, what)}{more} could not be estimated: {reason}."
        for (what, more, reason), n in reasons.items()
    ]
    return {"tests": tests, "untested": untested}


def _her2(patients: pd.DataFrame) -> dict[str, str]:
    """Return each patient's HER2 status, all that is neither positive nor negative as one."""
    if "her2" not in patients:
        return {}
    known = patients["her2"].astype(object)
    known = known.where(known.isin(["positive", "negative"]), NOT_KNOWN)
    return dict(zip(patients["patient"].astype(str), known, strict=True))


def _one_per_axis(inputs: ReportInputs) -> list[Signature]:
    found: dict[str, Signature] = {}
    for signature in inputs.primary():
        found.setdefault(signature.axis, signature)
    return list(found.values())


def _types(present: Sequence[str]) -> list[str]:
    """Return cell types in the order of the palette, others after them by name."""
    known = [name for name in palette.LINEAGES if name in set(present)]
    return [*known, *sorted(set(present) - set(known))]


def _colour(cell_type: str) -> str:
    return palette.LINEAGES.get(cell_type, palette.HER2["missing"])


def dots(
    sources: pd.DataFrame,
    her2: Mapping[str, str],
    signatures: Sequence[Signature],
    *,
    cohort: str,
    simulated: bool,
) -> Drawing | None:
    """Draw genes and scores by cell type and HER2: size is the share of cells, colour the mean.

    Parameters
    ----------
    sources
        Sources of one cohort; means over patients are drawn.
    her2
        Patient to HER2 status.
    signatures
        Those whose mean scores follow the genes.
    cohort, simulated
        For words.
    """
    own = sources[~sources["cell_type"].str.contains(": ") & sources["cell_type"].ne(UNLABELLED)]
    titles = {one.name: one.title for one in signatures}
    genes = list(dict.fromkeys(own.loc[own["method"].eq("counts"), "signature"]))
    scored = own[own["method"].ne("counts") & own["signature"].isin(list(titles))]
    scored = scored[scored["method"].eq(scored["method"].min())]
    own = pd.concat([own[own["method"].eq("counts")], scored])
    if own.empty:
        return None
    status = own["patient"].astype(str).map(her2).fillna(NOT_KNOWN)
    means = (
        own.assign(her2=status)
        .groupby(["signature", "her2", "cell_type"], sort=True)
        .agg(mean=("mean", "mean"), fraction=("fraction", "mean"), patients=("patient", "nunique"))
        .reset_index()
    )
    of_row = means.groupby("signature")["mean"]
    low, high = of_row.transform("min"), of_row.transform("max")
    means["relative"] = ((means["mean"] - low) / (high - low).where(high > low)).fillna(0.5)
    rows = [*genes, *(name for name in titles if name in set(means["signature"]))]
    types = _types(means["cell_type"])
    panels = [name for name in ("positive", "negative", NOT_KNOWN) if name in set(means["her2"])]
    with drawing.style():
        size = (2.9 + 0.34 * len(types) * len(panels), 1.5 + 0.3 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(all_axes, panels, strict=True):
            here = means[means["her2"].eq(panel)]
            x = here["cell_type"].map(types.index)
            y = here["signature"].map(rows.index)
            gene = here["fraction"].notna()
            colours = {"cmap": palette.SEQUENTIAL, "vmin": 0, "vmax": 1, "linewidths": 0}
            points = axes.scatter(
                x[gene],
                y[gene],
                s=DOT * here["fraction"][gene],
                c=here["relative"][gene],
                **colours,
            )
            axes.scatter(
                x[~gene], y[~gene], s=DOT / 2, marker="s", c=here["relative"][~gene], **colours
            )
            n = here["patients"].max()
            axes.set_title(f"HER2 {panel}\nn = {n}", loc="left", fontsize=8.5)
            axes.set_xticks(range(len(types)), types, rotation=90)
            axes.set_xlim(-0.6, len(types) - 0.4)
        names = [wording.visible(titles.get(name, name)) for name in rows]
        all_axes[0].set_yticks(range(len(rows)), names)
        all_axes[0].set_ylim(len(rows) - 0.4, -0.6)
        bar = figure.colorbar(points, ax=list(all_axes), shrink=0.7, aspect=25)
        bar.set_label("mean, from the row's lowest to its highest")
        marks = [
            Line2D([], [], ls="", marker="o", color=palette.MUTED, ms=np.sqrt(DOT * share),
                   label=f"{share:.0%}")
            for share in (0.1, 0.5, 1.0)
        ]  # fmt: skip
        figure.legend(
            handles=marks, loc="outside lower center", ncols=3, title="share of cells expressing"
        )
        return drawing.finish(
            figure,
            name=f"cells/{wording.slug(cohort)}/dots",
            title=f"Genes and scores by cell type and HER2 in {cohort}",
            caption="Genes (dots: size is the share of cells that express the gene) and signature "
            "scores (squares) by cell type; colour is the mean over patients, from the lowest "
            "to the highest of its row; n counts patients. A description, no comparison of "
            "patients.",
            data=means,
            simulated=simulated,
        )


def composition(
    frame: pd.DataFrame, her2: Mapping[str, str], *, cohort: str, simulated: bool
) -> Drawing:
    """Draw each patient's cells by type.

    Parameters
    ----------
    frame
        patient, cell_type, n_cells, fraction.
    her2
        Patient to HER2 status; patients are sorted by it.
    cohort, simulated
        For words.
    """
    wide = frame.pivot(index="patient", columns="cell_type", values="fraction").fillna(0.0)
    total = frame.groupby("patient")["n_cells"].sum()
    ranks = {"positive": 0, "negative": 1, NOT_KNOWN: 2}
    order = sorted(wide.index, key=lambda name: (ranks[her2.get(str(name), NOT_KNOWN)], str(name)))
    wide = wide.loc[order]
    types = _types(wide.columns)
    step = 0.26 if len(order) <= LABELLED_BARS else LABELLED_BARS * 0.26 / len(order)
    signs = {"positive": "HER2+", "negative": f"HER2{wording.MINUS}", NOT_KNOWN: "HER2 ?"}
    with drawing.style():
        # the list of types needs its height beside few patients
        height = max(1.1 + step * len(order), 0.3 + 0.17 * len(types))
        figure = Figure(figsize=(5.6, height), layout="constrained")
        axes = figure.add_subplot()
        left = np.zeros(len(order))
        for name in types:
            axes.barh(
                range(len(order)),
                wide[name],
                left=left,
                color=_colour(name),
                label=name,
                height=0.8,
            )
            left += wide[name].to_numpy()
        if len(order) <= LABELLED_BARS:
            axes.set_yticks(
                range(len(order)),
                [f"{wording.visible(name)}  {signs[her2.get(str(name), NOT_KNOWN)]}  "
                 f"({wording.count(total[name])})" for name in order],
            )  # fmt: skip
        else:
            axes.set_yticks([])
            axes.set_ylabel(f"{len(order)} patients, HER2-positive ones first")
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of the patient's cells")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7.5)
        return drawing.finish(
            figure,
            name=f"cells/{wording.slug(cohort)}/composition",
            title=f"Cells of each patient by type in {cohort}",
            caption="The cells of each patient by type, in brackets their number. Dissociation "
            "loses some types more than others, so shares are not those of the tumour.",
            data=frame,
            simulated=simulated,
        )


def layout(
    drawn: pd.DataFrame, signatures: Sequence[Signature], *, cohort: str, simulated: bool
) -> Drawing:
    """Draw cells where UMAP puts them, coloured by type and by scores.

    Parameters
    ----------
    drawn
        x, y, patient, cell_type, and a column per signature.
    signatures
        One panel for each that has a column.
    cohort, simulated
        For words.
    """
    types = drawn["cell_type"].fillna(UNLABELLED).astype(str)
    shown = [one for one in signatures if one.name in drawn]
    # whoever is drawn last covers the others: chance, from a fixed seed, decides
    order = np.random.default_rng(SEED).permutation(len(drawn))
    x, y = drawn["x"].to_numpy()[order], drawn["y"].to_numpy()[order]
    point = {"s": float(np.clip(POINT / len(drawn), 1.5, 12)), "linewidths": 0, "rasterized": True}
    columns = 3
    n_rows = -(-(len(shown) + 2) // columns)
    with drawing.style():
        figure = Figure(figsize=(2.7 * columns, 2.5 * n_rows), layout="constrained")
        panels = list(figure.subplots(n_rows, columns, squeeze=False).ravel())
        for axes in panels:
            axes.set_axis_off()
        panels[0].scatter(x, y, c=[_colour(name) for name in types.to_numpy()[order]], **point)
        panels[0].set_title("Cell type", loc="left")
        handles = [
            Line2D([], [], ls="", marker="o", ms=5, color=_colour(name), label=name)
            for name in _types(types)
        ]
        panels[1].legend(handles=handles, loc="center left", fontsize=7.5)
        for axes, one in zip(panels[2:], shown, strict=False):
            values = drawn[one.name].to_numpy()[order]
            top = max(float(np.quantile(values, 0.99)), 1e-9)
            points = axes.scatter(
                x, y, c=values, cmap=palette.SEQUENTIAL, vmin=0, vmax=top, **point
            )
            axes.set_title(wording.visible(one.title), loc="left", fontsize=8)
            figure.colorbar(points, ax=axes, shrink=0.7, aspect=20)
        return drawing.finish(
            figure,
            name=f"cells/{wording.slug(cohort)}/umap",
            title=f"Cells of {cohort} by type and score",
            caption=f"{wording.count(len(drawn))} cells laid out by UMAP from a fixed seed, by "
            "cell type and by the first signature of each axis. A picture: distances between "
            "groups mean little.",
            data=drawn,
            simulated=simulated,
        )


def pseudobulk(
    scores: pd.DataFrame,
    her2: Mapping[str, str],
    signatures: Sequence[Signature],
    *,
    cohort: str,
    simulated: bool,
) -> Drawing | None:
    """Draw one point per patient and cell type.

    Parameters
    ----------
    scores
        Scores of pseudobulk by one method.
    her2
        Patient to HER2 status.
    signatures
        One panel for each that was scored.
    cohort, simulated
        For words.
    """
    shown = [one for one in signatures if one.name in set(scores["signature"])]
    if not shown:
        return None
    types = _types(scores["cell_type"])
    colours = {**palette.HER2, NOT_KNOWN: palette.HER2["equivocal"]}
    status = scores["sample"].astype(str).map(her2).fillna(NOT_KNOWN)
    groups = [name for name in ("positive", "negative", NOT_KNOWN) if name in set(status)]
    kept = []
    with drawing.style():
        height = 1.3 + 0.3 * len(types)
        figure = Figure(figsize=(1.2 + 2.4 * len(shown), height), layout="constrained")
        all_axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axes, one in zip(all_axes, shown, strict=True):
            own = scores[scores["signature"].eq(one.name)]
            kept.append(own.assign(her2=status.loc[own.index]))
            for at, group in enumerate(groups):
                here = own[status.loc[own.index].eq(group)]
                y = here["cell_type"].map(types.index) + 0.22 * (at - (len(groups) - 1) / 2)
                axes.plot(here["score"], y, ls="", marker="o", ms=4.5, mew=0, color=colours[group])
            axes.set_title(wording.visible(one.title), loc="left", fontsize=8)
            axes.set_xlabel("score of the sum")
        all_axes[0].set_yticks(range(len(types)), types)
        all_axes[0].set_ylim(len(types) - 0.4, -0.6)
        handles = [
            Line2D([], [], ls="", marker="o", ms=5, color=colours[name], label=f"HER2 {name}")
            for name in groups
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        return drawing.finish(
            figure,
            name=f"cells/{wording.slug(cohort)}/patients",
            title=f"Scores of the summed cells of each patient in {cohort}",
            caption="One point is the sum of one patient's cells of one type, scored as a bulk "
            "sample is; types with too few cells have none. Tests compare such points, given "
            "enough patients.",
            data=pd.concat(kept),
            simulated=simulated,
        )


def label_words(agreement: pd.DataFrame | None, composition: pd.DataFrame | None) -> str:
    """Say where cell types come from, and how marker genes agree with given ones."""
    if composition is None:
        return ""
    if agreement is None or agreement.empty:
        free = composition["cell_type"].eq(UNLABELLED)
        share = composition.loc[free, "n_cells"].sum() / composition["n_cells"].sum()
        return (
            "Cell types come from marker genes, because the cohort gives none; "
            f"{wording.percent(share)} of the cells are unlabelled."
        )
    row = agreement.iloc[0]
    return (
        "Cell types are those of the cohort. Marker genes alone would have labelled "
        f"{wording.count(row['n_called'])} of {wording.count(row['n'])} of these cells, and agree "
        f"in {wording.percent(row['share'])} (Cohen's kappa {wording.number(row['kappa'])})."
    )


def depth_lines(
    depth: pd.DataFrame | None, signatures: Sequence[Signature]
) -> list[dict[str, str]]:
    """Return, per signature, how its score follows the depth of cells: all, and within types."""
    lines = []
    for one in signatures if depth is not None else ():
        own = depth[depth["signature"].eq(one.name)]
        is_all = own["cell_type"].isna() | own["cell_type"].eq("")
        within = own.loc[~is_all, "rho"].dropna()
        if own[is_all].empty:
            continue
        lines.append(
            {
                "signature": one.title,
                "all": wording.number(own.loc[is_all, "rho"].iloc[0]),
                "within": f"{wording.number(within.min())} to {wording.number(within.max())}"
                if len(within)
                else wording.NOT_ESTIMATED,
            }
        )
    return lines
