"""How a figure is rendered: its style, the SVG of the page, the files for a paper, its numbers.

What is drawn is decided elsewhere (`cytostrat.report.figures`, `cytostrat.report.cells`).
"""

from __future__ import annotations

import base64
import hashlib
import io
import multiprocessing
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import matplotlib
import pandas as pd
from markupsafe import escape
from matplotlib.figure import Figure
from PIL import Image

from cytostrat.report import palette, wording

RC = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "text.color": palette.INK,
    "axes.labelcolor": palette.INK,
    "axes.edgecolor": palette.MUTED,
    "xtick.color": palette.INK,
    "ytick.color": palette.INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": False,
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "cytostrat",
    "pdf.fonttype": 3,  # half the time of embedded TrueType; the SVG beside it is the editable one
    "figure.dpi": 72,
    "savefig.dpi": 144,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Parameters
    ----------
    name
        Path below the folder of figures, without suffix.
    title
        Accessible name.
    caption
        What is shown, for the page.
    svg
        Markup for the page: no fixed size, ids made unique by `name`, ink as CSS variables.
    files
        File name to content: SVG, PDF and the drawn numbers as TSV.
    data
        The drawn numbers.
    simulated
        Whether any of the numbers comes from a simulated cohort.
    width
        Natural width in CSS pixels.
    """

    name: str
    title: str
    caption: str
    svg: str
    files: Mapping[str, bytes] = field(repr=False)
    data: pd.DataFrame = field(repr=False)
    simulated: bool
    width: int


class Sketch(partial):
    """A figure still to be drawn: a function that gives a `Drawing`, and what it is given."""


def _draw(sketch: Sketch) -> Drawing | None:
    return sketch()


def drawn(sketches: Sequence[Sketch], *, processes: int = 1) -> list[Drawing | None]:
    """Draw figures, on Linux in several processes.

    Parameters
    ----------
    sketches
        What to draw.
    processes
        How many processes draw; the drawings do not depend on it.
    """
    # Only a forked process has the libraries loaded and leaves the calling script alone; other
    # systems' own libraries do not survive a fork.
    if min(processes, len(sketches)) < 2 or sys.platform != "linux":
        return [_draw(sketch) for sketch in sketches]
    with warnings.catch_warnings():
        # Python warns of the idle threads of BLAS, which prepares for a fork by itself.
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("fork")) as pool:
            return list(pool.map(_draw, sketches))


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the report while the context lasts."""
    with matplotlib.rc_context(RC), warnings.catch_warnings():
        # A title in a script that DejaVu lacks still shows: SVG text takes the reader's fonts.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        yield


def _inline(svg: str, name: str, title: str) -> str:
    """Turn a stand-alone SVG into markup for the page: small, and safe beside other figures."""
    body = svg[svg.index("<svg") :]
    # The style of a figure inside a page would be a style of the whole page.
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r"(?<= d=\")[ML][^\"CQ]*(?=\")", _steps, body)
    # A hundredth of a point is finer than any screen.
    body = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", body)
    body = re.sub(r"data:image/png;base64,([^\"]+)", _slimmer, body)
    # The page names the font and knows that no turn is none.
    body = body.replace("font-family: 'DejaVu Sans'; ", "")
    body = re.sub(r" transform=\"rotate\(-0 [^\"]*\"", "", body)
    used = dict.fromkeys(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", body))
    prefix = hashlib.sha256(name.encode()).hexdigest()[:8]
    short = {old: f"g{prefix}-{number}" for number, old in enumerate(used)}
    body = re.sub(
        r"\sid=\"([^\"]+)\"",
        lambda found: f' id="{short[found[1]]}"' if found[1] in short else "",
        body,
    )
    body = re.sub(r"(url\(#|href=\"#)([^)\"]+)", lambda found: found[1] + short[found[2]], body)
    for hex_colour, variable in (
        (palette.INK, "--ink"),
        (palette.MUTED, "--muted"),
        (palette.GRID, "--grid"),
        (palette.PAPER, "--paper"),
    ):
        body = body.replace(hex_colour, f"var({variable})")
    # The page sets the size; the viewBox keeps the proportions.
    body = re.sub(r"(<svg[^>]*?) height=\"[^\"]*\"", r"\1", body, count=1)
    body = re.sub(r"(<svg[^>]*?) width=\"[^\"]*\"", r"\1", body, count=1)
    body = body.replace(
        "<svg ", f'<svg role="img" aria-label="{escape(wording.visible(title))}" ', 1
    )
    body = re.sub(
        r"(?<=style=\")[^\"]+", lambda style: style[0].replace(": ", ":").replace("; ", ";"), body
    )
    body = re.sub(r"<path d=\"[^\"]*\" style=\"fill:none\"/>", "", body)
    body = re.sub(r">\s+<", "><", body).strip()
    # A group without attributes groups nothing; the innermost go first.
    while (slimmer := re.sub(r"<g>((?:(?!</?g\b).)*)</g>", r"\1", body)) != body:
        body = slimmer
    return body


def _steps(path: re.Match[str]) -> str:
    """Return a path of straight lines as steps in tenths of a point, without adding up errors."""
    out, x, y = [], 0, 0
    for command, px, py in re.findall(r"([MLz])(?: (\S+) (\S+))?", path[0]):
        if command == "z":
            out.append("z")
            continue
        nx, ny = round(float(px) * 10), round(float(py) * 10)
        if command == "M":
            out.append(f"M{_tenths(nx)} {_tenths(ny)}")
        elif nx == x:
            out.append(f"v{_tenths(ny - y)}")
        elif ny == y:
            out.append(f"h{_tenths(nx - x)}")
        else:
            across, down = _tenths(nx - x), _tenths(ny - y)
            out.append(f"l{across}{'' if down.startswith('-') else ' '}{down}")
        x, y = nx, ny
    return "".join(out)


def _tenths(value: int) -> str:
    text = f"{value / 10:.1f}".removesuffix(".0")
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _slimmer(picture: re.Match[str]) -> str:
    """Return a picture of points with 64 colours: they have few, and their edges need no more."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(picture[1]))) as image:
        few = image.convert("RGBA").quantize(64, method=Image.Quantize.FASTOCTREE)
        few.save(out, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def finish(
    figure: Figure,
    *,
    name: str,
    title: str,
    caption: str,
    data: pd.DataFrame,
    simulated: bool,
) -> Drawing:
    """Render a figure to every format it is kept in."""
    if simulated:
        figure.text(
            0.995, 0.995, "SIMULATED", ha="right", va="top", fontsize=7.5, weight="bold",
            color=palette.MUTED,
        )  # fmt: skip
    svg, pdf = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    figure.set_layout_engine("none")  # the places found for the first format serve the second
    figure.savefig(
        pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None}
    )
    text = svg.getvalue().decode()
    tsv = data.to_csv(sep="\t", index=False, lineterminator="\n", float_format="%.6g").encode()
    return Drawing(
        name=name,
        title=title,
        caption=caption,
        svg=_inline(text, name, title),
        files={f"{name}.svg": text.encode(), f"{name}.pdf": pdf.getvalue(), f"{name}.tsv": tsv},
        data=data,
        simulated=simulated,
        width=round(figure.get_figwidth() * 96),
    )
