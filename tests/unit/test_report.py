"""The report: what it says must be what the tables hold, whatever a run lacks."""

from __future__ import annotations

import base64
import gzip
import hashlib
import math
import re
import xml.etree.ElementTree as ElementTree
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytostrat import tables
from cytostrat.report import build_report, figures, tables_html, wording
from tests import report_example

VOID = {"meta", "link", "br", "hr", "img", "input", "line", "rect", "path", "use", "image"}
ODD_NAME = '<img src=x onerror=alert(1)>\u202e"&\u2019'


class Page(HTMLParser):
    """Elements, ids, references and text of a page; fails on markup that does not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: set[str] = set()
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        assert len(known) == len(attrs), f"attribute given twice in <{tag}>"
        if known.get("id"):
            self.ids.append(known["id"])
        for key in ("href", "xlink:href", "src", "srcset", "data", "action", "poster"):
            value = known.get(key)
            if value is None:
                continue
            if value.startswith("#"):
                self.targets.add(value[1:])
            elif tag == "a" and value.startswith("https://"):
                assert known.get("rel") == "noreferrer"
            elif not value.startswith("data:"):
                self.loads.append(f"{tag} {key}={value}")
        for key in ("aria-labelledby", "aria-describedby", "for"):
            if known.get(key):
                self.targets |= set(known[key].split())
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        depth = list(self.open)
        self.handle_starttag(tag, attrs)
        self.open = depth

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> does not nest"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@cache
def report(situation: str):
    """Build the report of a named situation once for all tests."""
    situations = {
        "three cohorts": {},
        "simulated": {"simulated": ("alpha", "beta", "gamma")},
        "partly simulated": {"cohorts": ("alpha", "beta"), "simulated": ("beta",)},
        "one cohort": {"cohorts": ("alpha",)},
        "no survival": {"cohorts": ("alpha", "beta"), "survival": False},
        "signature that no cohort covers": {"cohorts": ("alpha",), "unseen": "IFN_I"},
    }
    inputs = report_example.example(n=60, **situations[situation])
    return inputs, build_report(inputs)


SITUATIONS = [
    "three cohorts",
    "simulated",
    "partly simulated",
    "one cohort",
    "no survival",
    "signature that no cohort covers",
]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_page_is_sound_and_loads_nothing(situation):
    """Markup nests, ids are unique, every link in the page has its target, nothing is fetched."""
    _, made = report(situation)
    page = Page(made.html)
    assert len(page.ids) == len(set(page.ids))
    assert page.targets <= set(page.ids)
    assert page.loads == []
    style = "".join(re.findall(r"<style>(.*?)</style>", made.html, flags=re.DOTALL))
    assert "url(" not in style
    assert "@import" not in style


def test_policy_allows_the_page_script_and_no_other():
    _, made = report("three cohorts")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', made.html)[1]
    policy = policy.replace("&#39;", "'")
    assert policy.startswith("default-src 'none'")
    scripts = re.findall(r"<script>(.*?)</script>", made.html, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe-eval" not in policy
    assert "http" not in policy


def test_same_inputs_give_the_same_bytes():
    inputs = report_example.example(cohorts=("alpha",), n=60)
    first, second = build_report(inputs), build_report(inputs)
    assert first.html == second.html
    assert first.figures == second.figures


@pytest.mark.parametrize(
    ("situation", "mark"),
    [("simulated", "SIMULATED: "), ("partly simulated", "PARTLY SIMULATED: "), ("one cohort", "")],
)
def test_simulated_cohorts_are_marked_everywhere(situation, mark):
    inputs, made = report(situation)
    assert f"<title>{mark}{inputs.config['title']}</title>" in made.html
    svgs = {name: body.decode() for name, body in made.figures.items() if name.endswith(".svg")}
    for name, body in svgs.items():
        cohort = name.rsplit("/", 1)[1].removesuffix(".svg")
        expected = cohort in inputs.simulated if cohort in inputs.cohorts else bool(mark)
        expected &= cohort != "overlap"  # genes in common are a fact of the sets, not of a cohort
        assert ("SIMULATED" in body) == expected, name
    for table in tables_html.tables({"flow": inputs.flow}, simulated=bool(mark)):
        assert table["file"].startswith("SIMULATED_") == bool(mark)
    if not mark:
        assert "SIMULATED" not in Page(made.html).text


def test_names_with_markup_and_direction_marks_show_as_text():
    inputs = report_example.example(cohorts=("alpha",), n=60)
    record = inputs.provenance["alpha"]
    odd = report_example.example(
        cohorts=("alpha",),
        n=60,
        provenance={"alpha": {**record, "title": ODD_NAME, "platform": ODD_NAME}},
        config={**inputs.config, "title": ODD_NAME},
    )
    html = build_report(odd).html
    assert "<img" not in html
    assert "\u202e" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;\u2039U+202E\u203a" in html


def test_figures_draw_the_numbers_of_the_effects_table():
    """Means and intervals of ER x HER2, and every line of the forest, are rows of Effects."""
    inputs, made = report("three cohorts")
    cells = inputs.effects[inputs.effects["question"].eq("er_her2_cells")]
    drawn = 0
    for name, body in made.figures.items():
        if not (name.startswith("signatures/") and name.endswith(".tsv")):
            continue
        _, signature, what = name.removesuffix(".tsv").split("/")
        data = pd.read_csv(pd.io.common.BytesIO(body), sep="\t")
        if what == "forest":
            rows = inputs.effects[
                inputs.effects["question"].eq("her2")
                & inputs.effects["signature"].eq(signature)
                & inputs.effects["gene_filter"].eq("all genes")
            ]
            cohorts = data[~data["pooled"]]
            np.testing.assert_allclose(
                np.sort(cohorts[["estimate", "low", "high"]].to_numpy(), axis=0),
                np.sort(rows[["estimate", "low", "high"]].to_numpy(float), axis=0),
                rtol=1e-5,
            )
        else:
            rows = cells[cells["signature"].eq(signature) & cells["cohort"].eq(what)]
            means = data[data["kind"].eq("mean") & data["panel"].eq("ER x HER2")]
            merged = means.merge(rows, left_on="group", right_on="stratum", validate="1:1")
            assert len(merged) == 4
            np.testing.assert_allclose(merged["value"], merged["estimate"], rtol=1e-5)
            np.testing.assert_allclose(merged["low_x"], merged["low_y"], rtol=1e-5)
            # The points that are drawn have the mean that is drawn.
            points = data[data["kind"].eq("point") & data["panel"].eq("ER x HER2")]
            np.testing.assert_allclose(
                points.groupby("group")["value"].mean(),
                means.set_index("group")["value"].sort_index(),
                atol=1e-5,
            )
        drawn += 1
    assert drawn == 3 * (3 + 1)


def test_figure_files_come_as_svg_pdf_and_data():
    _, made = report("one cohort")
    stems = {name.rsplit(".", 1)[0] for name in made.figures}
    assert set(made.figures) == {f"{s}.{end}" for s in stems for end in ("svg", "pdf", "tsv")}
    for name, body in made.figures.items():
        if name.endswith(".svg"):
            text = body.decode()
            ElementTree.fromstring(text)
            assert "<text" in text
            assert "<dc:date>" not in text
        elif name.endswith(".pdf"):
            assert body.startswith(b"%PDF")
            assert b"CreationDate" not in body


def test_table_in_the_page_is_the_table_of_the_run():
    inputs, made = report("three cohorts")
    packed = dict(
        re.findall(r'data-table="(\w+)".*?class="payload">([^<]+)<', made.html, flags=re.DOTALL)
    )
    assert set(packed) == {"effects", "pooled", "verdicts", "coverage", "flow"}
    for name in ("effects", "coverage", "flow"):
        text = gzip.decompress(base64.b64decode(packed[name])).decode()
        assert text == tables_html.tsv(getattr(inputs, name))
        assert len(text.splitlines()) == 1 + len(getattr(inputs, name))


def test_table_text_is_the_text_of_its_file(tmp_path):
    inputs, _ = report("one cohort")
    tables.write_table(inputs.effects, tmp_path / "effects.tsv", tables.EFFECTS)
    assert (tmp_path / "effects.tsv").read_text() == tables_html.tsv(inputs.effects)


def test_signature_without_coverage_is_named_and_drawn_nowhere():
    _, made = report("signature that no cohort covers")
    assert not any(name.startswith("signatures/IFN_I/") for name in made.figures)
    text = Page(made.html).text
    assert "No cohort measures enough of this set" in text
    assert "Anything about IFN_I: no cohort measures enough of the genes." in text


def test_one_cohort_is_no_pool():
    _, made = report("one cohort")
    text = Page(made.html).text
    assert "there is one cohort and nothing to pool" in text
    assert "Pooled, " not in text


@given(
    low=st.floats(-3, 3), width=st.floats(0, 3), scale=st.sampled_from(["hedges_g", "adjusted_g"])
)
def test_direction_is_named_only_where_the_interval_leaves_out_zero(low, width, scale):
    row = {"estimate": low + width / 2, "low": low, "high": low + width, "scale": scale}
    verb = wording.contrast_verb(row)
    assert ("higher" in verb) == (low > 0)
    assert ("lower" in verb) == (low + width < 0)


@pytest.mark.parametrize(
    ("crude", "adjusted", "expected"),
    [
        ((0.5, 0.1, 0.9), (0.1, -0.3, 0.5), "no longer clear"),
        ((0.5, 0.1, 0.9), (0.4, 0.1, 0.7), "remains"),
        ((0.5, 0.1, 0.9), (-0.4, -0.7, -0.1), "turns round: lower in HER2-positive"),
        ((0.1, -0.3, 0.5), (0.4, 0.1, 0.7), "appears: higher in HER2-positive"),
        ((0.1, -0.3, 0.5), (0.1, -0.3, 0.5), "stays unclear"),
        ((0.5, 0.1, 0.9), (math.nan, math.nan, math.nan), "could not be estimated"),
    ],
)
def test_wording_of_adjustment(crude, adjusted, expected):
    rows = [
        dict(zip(("estimate", "low", "high"), values, strict=True)) | {"scale": "hedges_g"}
        for values in (crude, adjusted)
    ]
    assert expected in wording.adjusted_verb(*rows)


def test_numbers_are_written_once_and_for_all():
    row = {"estimate": math.log(2), "low": 0.0, "high": math.log(4), "scale": "log_hr"}
    assert wording.estimate(row) == "HR 2.00 (1.00 to 4.00)"
    assert wording.number(-0.001) == "0.00"
    assert wording.number(-0.5) == "\u22120.50"
    assert wording.percent(0.999) == "> 99 %"
    assert wording.p_value(1e-300) == "p < 0.001"
    assert wording.number(math.nan) == "not estimated"


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=200))
def test_points_stay_in_their_column_and_do_not_depend_on_their_order(values):
    y = np.array(values)
    offsets = figures.spread(y, width=0.4)
    assert np.abs(offsets).max() <= 0.4
    shuffled = np.random.default_rng(0).permutation(len(y))
    again = figures.spread(y[shuffled], width=0.4)
    assert sorted(zip(y.tolist(), offsets.tolist(), strict=True)) == sorted(
        zip(y[shuffled].tolist(), again.tolist(), strict=True)
    )


def test_report_never_says_predictive_of_its_own_data():
    """Association with outcome is prognostic; 'predict' occurs only where it is denied."""
    _, made = report("three cohorts")
    for found in re.finditer(r"[^.]*predict[^.]*\.", Page(made.html).text):
        assert re.search(r"\b(no|not|never|cannot)\b", found[0], flags=re.IGNORECASE), found[0]
