"""Static figures: small, one message each, SVG with text as text, the same bytes every run.

Each function takes frames and gives a `Drawing`: the SVG that goes into the page, the files for a
paper (SVG, PDF) and the numbers that were drawn (TSV). Nothing is estimated here that a table
holds: means and intervals are read from Effects and Pooled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory
from scipy import special

from cytostrat.report import palette, wording
from cytostrat.report.drawing import Drawing, finish, style

RASTER_FROM = 60
MOST_NUMBERS = 24
LABEL_SIZE = 8.5


def spread(values: np.ndarray, *, width: float) -> np.ndarray:
    """Return horizontal offsets that fill the outline of a distribution, without chance.

    Offsets follow the van der Corput sequence in the order of the values, scaled by the local
    density, so that the same values always give the same picture.
    """
    n = len(values)
    if n == 0:
        return np.empty(0)
    order = np.argsort(values, kind="stable")
    index, low, base = np.arange(1, n + 1), np.zeros(n), 0.5
    while index.any():
        low += base * (index % 2)
        index //= 2
        base /= 2
    counts, edges = np.histogram(values, bins=max(5, min(30, round(np.sqrt(n) * 1.5))))
    density = counts / counts.max()
    bins = np.clip(np.digitize(values, edges[1:-1]), 0, len(counts) - 1)
    offsets = np.empty(n)
    offsets[order] = (low - 0.5) * 2 * width
    # A group of few is spread evenly; the outline of a dozen points is noise.
    return offsets * (density[bins] if n >= 12 else 0.5)


def _t_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean and its 95 % t interval; NaN limits below two values."""
    n = len(values)
    if n == 0:
        return np.nan, np.nan, np.nan
    mean = float(np.mean(values))
    if n < 2:
        return mean, np.nan, np.nan
    half = special.stdtrit(n - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def distribution(
    scores: pd.DataFrame,
    *,
    cells: pd.DataFrame,
    name: str,
    signature: str,
    cohort: str,
    method: str,
    simulated: bool,
) -> Drawing:
    """Draw one signature in one cohort by HER2 and by ER x HER2, every sample as a point.

    Parameters
    ----------
    scores
        One row per sample: ``sample``, ``score`` standardised over the cohort, ``her2``, ``er``.
    cells
        Effects rows of question ``er_her2_cells`` (mean and interval of each ER x HER2 group).
    name, signature, cohort, method
        File name and words for the titles.
    simulated
        Whether the cohort is simulated.

    Returns
    -------
    Drawing
        Its data has ``kind`` (mean or point), ``panel`` (HER2 or ER x HER2), ``group``,
        ``sample``, ``n``, ``value``, ``low``, ``high``.
    """
    import seaborn as sns

    groups: list[tuple[str, str, str, str, pd.Series]] = []
    for status in ("positive", "negative"):
        sign = "+" if status == "positive" else wording.MINUS
        groups.append(
            ("HER2", status, f"HER2{sign}", palette.HER2[status], scores["her2"].eq(status))
        )
    for key, label in palette.ER_HER2_LABELS.items():
        er = "positive" if key.startswith("er+") else "negative"
        her2 = "positive" if key.endswith("her2+") else "negative"
        mask = scores["her2"].eq(her2) & scores["er"].eq(er)
        groups.append(("ER x HER2", key, label, palette.ER_HER2[key], mask))

    known = cells.set_index("stratum")
    outlines: list[pd.DataFrame] = []
    rows, labels, positions, shift = [], [], [], 0.0
    with style():
        figure = Figure(figsize=(4.1, 2.9))
        axes = figure.add_axes((0.115, 0.19, 0.88, 0.71))
        axes.axhline(0, color=palette.GRID, lw=0.8, zorder=0)
        raster = len(scores) > RASTER_FROM
        for index, (panel, key, label, colour, mask) in enumerate(groups):
            if index == 2:
                shift = 0.5
            at = index + shift
            values = scores.loc[mask, ["sample", "score"]].dropna(subset="score")
            values = values.sort_values(["score", "sample"], kind="stable")
            y = values["score"].to_numpy(float)
            positions.append(at)
            labels.append(f"{label.replace(' ', chr(10))}\n{len(y)}")
            axes.scatter(
                at + spread(y, width=0.36), y, s=9 if len(y) < 300 else 5, color=colour,
                alpha=0.65, linewidths=0, rasterized=raster, zorder=2,
            )  # fmt: skip
            if len(y) >= 12 and np.ptp(y) > 0:
                outlines.append(pd.DataFrame({"at": at, "score": y, "colour": colour}))
            if panel == "HER2":
                mean, low, high = _t_interval(y)
            elif key in known.index:
                mean, low, high = known.loc[key, ["estimate", "low", "high"]].astype(float)
            else:
                mean = low = high = np.nan
            if np.isfinite(mean):
                if np.isfinite(low) and np.isfinite(high):
                    axes.plot([at, at], [low, high], color=palette.INK, lw=1.6, zorder=4)
                axes.plot(
                    [at], [mean], marker="D", ms=4.6, mfc=palette.PAPER, mec=palette.INK, mew=1.3,
                    zorder=5,
                )  # fmt: skip
            rows.append(("mean", panel, key, "", len(y), mean, low, high))
            rows += [
                ("point", panel, key, sample, 1, value, np.nan, np.nan)
                for sample, value in values.itertuples(index=False)
            ]
        if outlines:
            outline = pd.concat(outlines)
            sns.violinplot(
                outline, x="at", y="score", hue="at", ax=axes, alpha=0.16, inner=None,
                palette=dict(outline[["at", "colour"]].drop_duplicates().to_numpy()),
                linewidth=0, cut=0, width=0.86, native_scale=True, saturation=1, legend=False,
                dodge=False, gridsize=48, zorder=1,
            )  # fmt: skip
        axes.axvline(1.75, color=palette.GRID, lw=0.8, zorder=0)
        axes.set_xticks(positions, labels)
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.6, positions[-1] + 0.6)
        axes.set_xlabel("")
        axes.set_ylabel("score (SD of the cohort)")
        axes.set_title(wording.visible(cohort), loc="left")
        return finish(
            figure,
            name=name,
            title=f"{signature} in {cohort} by HER2 and by ER and HER2",
            caption=f"Points are tumours ({method}, standardised over the cohort); the diamond is "
            "the group mean with its 95 % interval; the last line of each label is n.",
            data=pd.DataFrame(
                rows,
                columns=["kind", "panel", "group", "sample", "n", "value", "low", "high"],
            ),
            simulated=simulated,
        )


def forest(
    rows: Sequence[Mapping[str, object]],
    *,
    name: str,
    title: str,
    caption: str,
    xlabel: str,
    simulated: bool,
    null: float = 0.0,
    log: bool = False,
    sides: tuple[str, str] | None = None,
) -> Drawing:
    """Draw estimates with intervals, one line each, pooled ones as diamonds.

    Parameters
    ----------
    rows
        Each with ``group`` (heading), ``label``, ``estimate``, ``low``, ``high``, ``n`` (text),
        ``pooled`` (bool), ``hollow`` (bool) and ``colour``. A row without an estimate keeps its
        line and says so; with limits alone it is a dashed line (a prediction interval).
    name, title, caption, xlabel
        File name and words; the caption goes on with the marks that are drawn.
    simulated
        Whether a cohort in it is simulated.
    null
        Value of no difference, before `log`.
    log
        Draw exp(estimate) on a logarithmic axis.
    sides
        What lies left and right of no difference.
    """
    data = pd.DataFrame(
        rows, columns=["group", "label", "estimate", "low", "high", "n", "pooled", "hollow",
                       "colour"],
    )  # fmt: skip
    lines: list[tuple[float, pd.Series | None, str]] = []
    y, heading = 0.0, None
    for _, row in data.iterrows():
        if row["group"] != heading:
            heading = row["group"]
            if heading:
                y += 1.15 if lines else 0.4
                lines.append((y, None, str(heading)))
        y += 1
        lines.append((y, row, str(row["label"])))
    # Pooled diamonds may be cut: with two cohorts a random-effects interval dwarfs all else.
    own = data.loc[~data["pooled"].astype(bool)] if not data["pooled"].all() else data
    known = own[["estimate", "low", "high"]].to_numpy(float)
    limit = np.nanmax(np.abs(known - null)) if np.isfinite(known).any() else 1.0
    # One interval far wider than the rest would flatten all others: it is cut and gets an arrow.
    wide = np.nanquantile(np.abs(known - null), 0.9) * 2 if np.isfinite(known).any() else 1.0
    limit = max(min(limit, wide), 0.15) * 1.08
    words = [
        wording.visible(label) + (f"  ({row['n']})" if row is not None and row["n"] else "")
        for _, row, label in lines
    ]
    with style():
        height = 0.235 * (y + 1) + (0.95 if sides else 0.75)
        longest = max(
            (_inches(text) for text, line in zip(words, lines, strict=True) if line[1] is not None),
            default=0.0,
        )
        labels = max(longest + 0.3, 2.4)  # the rest of the width does not depend on the labels
        width = labels + 4.0
        figure = Figure(figsize=(width, height))
        bottom, top = (0.72 if sides else 0.55) / height, 1 - 0.2 / height
        axes = figure.add_axes((labels / width, bottom, 2.3 / width, top - bottom))
        axes.set_ylim(y + 0.8, 0 if lines and lines[0][1] is None else 0.3)
        axes.set_xlim(null - limit, null + limit)
        axes.axvline(null, color=palette.MUTED, lw=0.9, zorder=1)
        # Text is placed by the figure from side to side and by the data from top to bottom.
        beside = blended_transform_factory(figure.transFigure, axes.transData)
        for (at, row, _), text in zip(lines, words, strict=True):
            if row is None:
                ground = {"facecolor": palette.PAPER, "edgecolor": "none", "pad": 1}
                axes.text(
                    0.06 / width, at, text, transform=beside, weight="bold", va="center",
                    bbox=ground,
                )  # fmt: skip
                continue
            axes.text(0.16 / width, at, text, transform=beside, va="center", fontsize=LABEL_SIZE)
            estimate, low, high = (float(row[key]) for key in ("estimate", "low", "high"))
            if np.isfinite(estimate):
                _interval(axes, at, estimate, low, high, row)
            elif np.isfinite(low) and np.isfinite(high):
                colour = row["colour"] or palette.INK
                axes.plot([low, high], [at, at], lw=1.2, ls=(0, (3, 2)), color=colour)
                _arrows(axes, at, low, high, colour)
            shown = {"estimate": estimate, "low": low, "high": high,
                     "scale": "log_hr" if log else "mean_z"}  # fmt: skip
            axes.text(
                (labels + 2.5) / width, at, wording.estimate(shown, label=False),
                transform=beside, va="center", fontsize=LABEL_SIZE,
                color=palette.INK if np.isfinite(estimate) else palette.MUTED,
            )  # fmt: skip
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        if log:
            axes.set_xticks(*_ratio_ticks(limit))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(xlabel, labelpad=17 if sides else 4)
        if sides:
            under = blended_transform_factory(axes.transAxes, figure.transFigure)
            for x, text, align in (
                (-0.02, f"\u25c2 {sides[0]}", "left"),
                (1.02, f"{sides[1]} \u25b8", "right"),
            ):
                axes.text(x, 0.37 / height, text, transform=under, ha=align, va="center",
                          fontsize=7.5, color=palette.MUTED)  # fmt: skip
        return finish(
            figure,
            name=name,
            title=title,
            caption=f"{caption} {_marks(data, null - limit, null + limit)}".rstrip(),
            data=data.drop(columns=["colour", "hollow"]),
            simulated=simulated,
        )


def _inches(text: str) -> float:
    """Return the width of a label."""
    return float(TextPath((0, 0), text, size=LABEL_SIZE).get_extents().width) / 72 if text else 0.0


def _ratio_ticks(limit: float) -> tuple[np.ndarray, list[str]]:
    """Return tick positions and labels of a ratio on a logarithmic axis."""
    ratios = (
        (0.1, 0.25, 0.5, 1, 2, 4, 10) if limit > np.log(2.2) else (0.5, 0.67, 0.8, 1, 1.25, 1.5, 2)
    )
    shown = [ratio for ratio in ratios if abs(np.log(ratio)) <= limit]
    return np.log(shown), [f"{ratio:g}" for ratio in shown]


def _interval(
    axes: Axes, at: float, estimate: float, low: float, high: float, row: pd.Series
) -> None:
    """Draw one line of a forest; what leaves the axis is cut."""
    colour = row["colour"] or palette.INK
    face = palette.PAPER if row["hollow"] else colour
    bounded = np.isfinite(low) and np.isfinite(high)
    if bounded:
        _arrows(axes, at, low, high, colour)
    if bounded and row["pooled"]:
        axes.fill(
            [low, estimate, high, estimate], [at, at - 0.32, at, at + 0.32], facecolor=face,
            edgecolor=colour, lw=1.2, zorder=3,
        )  # fmt: skip
        return
    if bounded:
        axes.plot([low, high], [at, at], color=colour, lw=1.5, zorder=2)
    axes.plot([estimate], [at], marker="s", ms=5, mfc=face, mec=colour, mew=1.3, zorder=4)


def _arrows(axes: Axes, at: float, low: float, high: float, colour: str) -> None:
    """Mark the ends of the axis beyond which an interval goes on."""
    left, right = axes.get_xlim()
    for end, beyond, marker in ((left, low < left, "<"), (right, high > right, ">")):
        if beyond:
            axes.plot([end], [at], marker=marker, ms=5, color=colour, clip_on=False, zorder=4)


def _marks(data: pd.DataFrame, left: float, right: float) -> str:
    """Say what those marks of a forest mean that are drawn in this one."""
    known = data["estimate"].notna()
    bounded = data[["low", "high"]].notna().all(axis=1)
    cut = bounded & ((data["low"] < left) | (data["high"] > right))
    meanings = (
        (known & bounded & data["pooled"].astype(bool), "Diamonds are pooled estimates."),
        (~known & bounded, "The dashed line is where a further cohort is expected."),
        (cut, "An arrow: the interval goes on beyond the axis."),
    )
    return " ".join(meaning for rows, meaning in meanings if rows.any())


def heatmap(
    matrix: pd.DataFrame,
    *,
    name: str,
    title: str,
    caption: str,
    simulated: bool,
    label: str,
    diverging: bool = True,
    limit: float = 1.0,
) -> Drawing:
    """Draw a labelled matrix with its numbers in the cells.

    Parameters
    ----------
    matrix
        Rows x columns of numbers; NaN stays empty.
    name, title, caption, label
        File name and words; `label` names the colour.
    simulated
        Whether a cohort in it is simulated.
    diverging
        Whether zero is the middle of the colours; else they start at zero.
    limit
        Value of the strongest colour.
    """
    import seaborn as sns

    rows, columns = matrix.shape
    with style():
        # Names need their room: about 0.066 inch a letter at this size, slanted below.
        longest = max((len(str(label)) for label in matrix.index), default=0)
        below = max((len(str(label)) for label in matrix.columns), default=0)
        size = (1.3 + 0.066 * longest + 0.46 * columns, 0.6 + 0.045 * below + 0.27 * rows)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        sns.heatmap(
            matrix.astype(float), ax=axes, cmap=palette.DIVERGING if diverging else "Blues",
            vmin=-limit if diverging else 0, vmax=limit, annot=columns <= MOST_NUMBERS, fmt=".2f",
            annot_kws={"fontsize": 7.5}, cbar_kws={"label": label, "shrink": 0.7, "aspect": 14},
            linewidths=0.6, linecolor=palette.PAPER, xticklabels=True, yticklabels=True,
        )  # fmt: skip
        for text in axes.texts:
            # Text on a coloured cell keeps its own contrast in dark and light.
            dark = matplotlib.colors.to_hex(text.get_color()) == "#ffffff"
            text.set_color("#fefefe" if dark else "#1a1a1a")
        axes.set(xlabel="", ylabel="")
        axes.tick_params(length=0)
        axes.set_xticklabels(axes.get_xticklabels(), rotation=40, ha="right",
                             rotation_mode="anchor")  # fmt: skip
        axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
        data = matrix.rename_axis("row").reset_index().melt("row", var_name="column")
        return finish(figure, name=name, title=title, caption=caption, data=data,
                       simulated=simulated)  # fmt: skip


def kaplan_meier(
    curves: pd.DataFrame,
    *,
    name: str,
    signature: str,
    cohort: str,
    endpoint: str,
    competing: bool,
    simulated: bool,
) -> Drawing:
    """Draw survival by thirds of a score, with the numbers at risk, for display only.

    Parameters
    ----------
    curves
        Rows of one cohort, endpoint and signature, as `cytostrat.survival.km_curves` returns them.
    name, signature, cohort, endpoint
        File name and words.
    competing
        Whether the endpoint censors deaths of other causes.
    simulated
        Whether the cohort is simulated.
    """
    year = 365.25
    with style():
        figure = Figure(figsize=(4.1, 3.3))
        axes = figure.add_axes((0.22, 0.42, 0.74, 0.48))
        beneath = blended_transform_factory(axes.transData, figure.transFigure)
        reach = float(curves["time"].max()) / year
        ticks = MaxNLocator(5, integer=reach >= 5).tick_values(0, reach)
        ticks = ticks[(ticks >= 0) & (ticks <= reach)]
        figure.text(0.01, 0.22, "at risk, by third", fontsize=7.5, weight="bold")
        groups = [group for group in ("low", "middle", "high") if group in set(curves["group"])]
        for line, group in enumerate(groups):
            rows = curves[curves["group"].eq(group)].sort_values("time", kind="stable")
            steps = rows[~rows["tick"].astype(bool)]
            colour = palette.TERTILES[("low", "middle", "high").index(group)]
            mark = {"color": colour, "lw": 1.6, "ls": ("-", "--", "-.")[line]}
            axes.step(steps["time"] / year, steps["survival"], where="post", **mark)
            at_tick = rows[rows["tick"].astype(bool)]
            height = 0.155 - 0.06 * line
            figure.text(0.01, height, group, fontsize=7.5)
            # The numbers are the key as well: a legend would lie on the curves.
            sample = Line2D((0.104, 0.168), (height + 0.012,) * 2, **mark)
            figure.add_artist(sample)
            for tick in ticks:
                found = at_tick.loc[np.isclose(at_tick["time"] / year, tick), "at_risk"]
                if len(found):
                    axes.text(
                        tick, height, f"{int(found.iloc[0])}", fontsize=7.5, ha="center",
                        transform=beneath,
                    )  # fmt: skip
        axes.set_xticks(ticks)
        axes.set_ylim(0, 1.02)
        axes.set_xlim(0, reach)
        axes.set_xlabel("years")
        axes.set_ylabel(
            "free of event,\nother deaths censored" if competing else "free of event",
            fontsize=8.5,
        )
        axes.set_title(wording.visible(f"{cohort}, {endpoint}"), loc="left")
        return finish(
            figure,
            name=name,
            title=f"{endpoint} in {cohort} by thirds of {signature}, display only",
            caption="Kaplan-Meier curves by thirds of the score, for display only: the thirds were "
            "fixed beforehand and nothing is tested on them; the numbers are the Cox models.",
            data=curves.drop(columns=["note"], errors="ignore"),
            simulated=simulated,
        )


def running_sums(
    lines: pd.DataFrame, *, name: str, cohort: str, titles: Mapping[str, str], simulated: bool
) -> Drawing:
    """Draw the running enrichment sum of several signatures along one gene ranking.

    Parameters
    ----------
    lines
        ``signature``, ``position`` (1 is highest in HER2-positive), ``running_sum``.
    name, cohort
        File name and words.
    titles
        Signature to its title.
    simulated
        Whether the cohort is simulated.
    """
    with style():
        figure = Figure(figsize=(6.4, 3.1), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=palette.MUTED, lw=0.8)
        for index, (signature, title) in enumerate(titles.items()):
            line = lines[lines["signature"].eq(signature)].sort_values("position", kind="stable")
            if line.empty:
                continue
            axes.plot(
                line["position"], line["running_sum"], lw=1.4, label=wording.visible(title),
                color=palette.COHORTS[index % len(palette.COHORTS)],
                ls=("-", "--")[index // 4 % 2],
            )  # fmt: skip
        axes.set_xlabel("rank of the gene, higher in HER2+ first")
        axes.set_ylabel("running sum")
        axes.set_title(wording.visible(cohort), loc="left")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7.5)
        return finish(
            figure,
            name=name,
            title=f"Running enrichment sums of the signatures in {cohort}",
            caption="Exploratory: the running sum of each signature along the genes ranked by the "
            "moderated t-statistic of HER2; it is largest where a signature's genes gather.",
            data=lines,
            simulated=simulated,
        )


def cell_sources(
    rows: pd.DataFrame, *, name: str, title: str, caption: str, xlabel: str, simulated: bool
) -> Drawing:
    """Draw one value per cell type with its interval.

    Parameters
    ----------
    rows
        ``label``, ``estimate``, ``low``, ``high``, ``n``, one per cell type.
    name, title, caption, xlabel
        File name and words.
    simulated
        Whether the cohort is simulated.
    """
    rows = rows.sort_values(["estimate", "label"], ascending=[False, True], kind="stable")
    with style():
        figure = Figure(figsize=(4.1, 0.9 + 0.27 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        for at, (_, row) in enumerate(rows.iterrows()):
            low, high = float(row["low"]), float(row["high"])
            if np.isfinite(low) and np.isfinite(high):
                axes.plot([low, high], [at, at], color=palette.INK, lw=1.4)
            axes.plot([float(row["estimate"])], [at], marker="o", ms=5, color=palette.INK)
        axes.set_yticks(
            range(len(rows)),
            [f"{wording.visible(row['label'])}  ({wording.count(row['n'])})"
             for _, row in rows.iterrows()],
        )  # fmt: skip
        axes.set_ylim(len(rows) - 0.5, -0.6)
        axes.set_xlim(left=min(0.0, *rows[["estimate", "low"]].min().dropna()))
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(xlabel)
        return finish(figure, name=name, title=title, caption=caption, data=rows,
                       simulated=simulated)  # fmt: skip
