"""The report in a browser: nothing leaves, tables and the explore view work, all can read it."""

from __future__ import annotations

import os
import re
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from io import StringIO
from pathlib import Path

import html5lib
import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe

from cytostrat import tables
from cytostrat.report import build_report
from tests import report_example

WIDTHS = (1280, 390)


def local(urls: list[str]) -> bool:
    return all(url.startswith(("file://", "data:", "blob:")) for url in urls)


def open_table(page, name: str):
    box = page.locator(f'details.datatable[data-table="{name}"]')
    box.evaluate("node => { node.open = true; }")
    page.wait_for_selector(f'details.datatable[data-table="{name}"][data-ready]')
    return box


def start_explore(page):
    page.locator("#explore").scroll_into_view_if_needed()
    page.locator("#explore-plot").scroll_into_view_if_needed()
    page.wait_for_selector("#explore-plot[data-drawn]")


def downloaded(page, click) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_nothing_leaves_and_nothing_complains(report_file, opened):
    """With every part of the page used, only the file itself is read."""
    page, watch = opened(report_file)
    for name in page.locator("details.datatable").evaluate_all(
        "all => all.map(d => d.dataset.table)"
    ):
        open_table(page, name)
    start_explore(page)
    page.click("#theme")
    page.wait_for_timeout(300)
    assert local(watch.requests), watch.requests
    assert [url for url in watch.requests if url.startswith("file:")] == [report_file.as_uri()]
    assert watch.complaints == []


def test_the_policy_forbids_what_a_script_might_try(example_file, opened):
    page, watch = opened(example_file)
    stopped = page.evaluate(
        """async () => {
            const broken = [], there = "https://example.org/";
            document.addEventListener("securitypolicyviolation", (e) =>
                broken.push(e.violatedDirective));
            await fetch(there).catch(() => {});
            const add = (tag, values) =>
                document.body.append(Object.assign(document.createElement(tag), values));
            add("img", { src: there + "x.png", alt: "" });
            add("iframe", { src: there });
            add("script", { textContent: "window.ran = 1" });
            await new Promise((done) => setTimeout(done, 300));
            return [broken, window.ran ?? null];
        }"""
    )
    kinds = {directive.split("-src")[0] for directive in stopped[0]}
    assert {"connect", "img", "frame", "script"} <= kinds
    assert stopped[1] is None
    assert watch.answered == [example_file.as_uri()]


def as_file(frame, folder):
    """Return a table as the text of its file."""
    tables.write_frame(frame, folder / "table.tsv")
    return (folder / "table.tsv").read_text(encoding="utf-8")


def test_tables_sort_and_filter(inputs, example_file, opened, tmp_path):
    page, _ = opened(example_file)
    box = open_table(page, "effects")
    text = as_file(inputs.effects, tmp_path)
    frame = pd.read_csv(StringIO(text), sep="\t", keep_default_na=False)
    numbers = pd.to_numeric(frame["estimate"])

    box.get_by_label("Filter estimate").fill(">0.2")
    box.get_by_label("Filter question").fill("her2")
    box.get_by_label("Filter signature").fill("=IFN_I")
    expected = frame[
        (numbers > 0.2) & frame["question"].str.contains("her2") & frame["signature"].eq("IFN_I")
    ]
    assert 0 < len(expected) < len(frame)
    page.wait_for_function(
        "([table, n]) => document.querySelector(`${table} [role=status]`)"
        ".textContent.startsWith(`${n} of `)",
        arg=["details[data-table=effects]", str(len(expected))],
    )

    box.get_by_role("button", name="estimate", exact=True).click()
    column = box.locator("thead tr:first-child th").evaluate_all(
        "all => all.findIndex(th => th.textContent.startsWith('estimate'))"
    )
    assert box.locator("thead th").nth(column).get_attribute("aria-sort") == "descending"
    shown = [
        float(t) for t in box.locator(f"tbody tr td:nth-child({column + 1})").all_inner_texts()
    ]
    assert shown == sorted(shown, reverse=True)
    assert shown == sorted(pd.to_numeric(expected["estimate"]), reverse=True)[:50]

    name, body = downloaded(page, box.locator("button.visible-rows").click)
    taken = pd.read_csv(StringIO(body.decode()), sep="\t", keep_default_na=False)
    assert name == "SIMULATED_effects.filtered.tsv"
    assert list(taken.columns) == list(frame.columns)
    merged = taken.merge(expected, how="outer", indicator=True)
    assert merged["_merge"].eq("both").all()

    box.get_by_label("Filter estimate").fill(">what")
    assert box.get_by_label("Filter estimate").get_attribute("aria-invalid") == "true"


@pytest.mark.parametrize("name", ["effects", "coverage", "flow"])
def test_whole_table_download_is_the_table(inputs, example_file, opened, name, tmp_path):
    page, _ = opened(example_file)
    box = open_table(page, name)
    file, body = downloaded(page, box.locator("button.all-rows").click)
    assert file == f"SIMULATED_{name}.tsv"
    assert body.decode() == as_file(getattr(inputs, name), tmp_path)


def test_a_spreadsheet_computes_nothing_from_a_download(opened, tmp_path):
    """A text that begins like a formula gets an apostrophe; negative numbers stay numbers."""
    small = report_example.example(cohorts=("alpha",), n=60)
    formula = '=HYPERLINK("https://example.org")'
    flow = small.flow.assign(reason=[formula, *["-1"] * (len(small.flow) - 1)])
    path = tmp_path / "report.html"
    path.write_text(build_report(replace(small, flow=flow)).html, encoding="utf-8")
    page, _ = opened(path)
    box = open_table(page, "flow")
    _, body = downloaded(page, box.locator("button.all-rows").click)
    taken = pd.read_csv(StringIO(body.decode()), sep="\t", dtype=str)
    assert set(taken["reason"]) == {f"'{formula}", "-1"}


def test_explore_view_answers_and_saves(inputs, example_file, opened):
    page, watch = opened(example_file)
    start_explore(page)
    first = page.inner_text("#explore-status")
    page.select_option("#explore-x", "TNF_NFKB")
    page.select_option("#explore-y", "age")
    page.select_option("#explore-colour", "er")
    page.wait_for_selector('#explore-plot[data-drawn="alpha TNF_NFKB age er"]')
    assert page.inner_text("#explore-status") != first

    scores = inputs.scores["alpha"]
    score = scores[scores["signature"].eq("TNF_NFKB")].set_index("sample")["score"]
    age = inputs.clinical["alpha"]["age"].reindex(score.index)
    rho = score.corr(age, method="spearman")
    said = re.search("\u03c1 = (\u2212?[\\d.]+)", page.inner_text("#explore-status"))[1]
    assert float(said.replace("\u2212", "-")) == pytest.approx(rho, abs=0.011)

    name, body = downloaded(page, lambda: page.click("#explore-tsv"))
    points = pd.read_csv(StringIO(body.decode()), sep="\t").set_index("sample")
    assert set(points.index) == set(score.index)
    standard = (score - score.mean()) / score.std(ddof=1)
    off = (points["TNF_NFKB"] - standard.reindex(points.index)).abs().max()
    assert off < (standard.max() - standard.min()) / 2000
    assert name.endswith(".tsv")

    _, svg = downloaded(page, lambda: page.click("#explore-svg"))
    texts = [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text")]
    assert "age (years)" in texts
    _, png = downloaded(page, lambda: page.click("#explore-png"))
    assert png.startswith(b"\x89PNG")

    page.select_option("#explore-cohort", label="beta")
    page.wait_for_selector('#explore-plot[data-drawn="beta TNF_NFKB age er"]')
    name, _ = downloaded(page, lambda: page.click("#explore-tsv"))
    assert name.startswith("SIMULATED_beta_")
    assert watch.complaints == []


def test_sample_name_under_the_pointer_is_text(example_file, opened):
    """The tooltip shows a name that holds markup as it is written, and runs none of it."""
    page, watch = opened(example_file)
    start_explore(page)
    shown = page.evaluate(
        """() => {
            const view = Object.values(Bokeh.index.roots ?? Bokeh.index)[0] ?? [...Bokeh.index][0];
            const found = [];
            for (const one of view.model.renderers ?? []) {
                const source = one.data_source;
                if (!source) continue;
                const at = source.data.sample.findIndex((s) => s.includes("bold"));
                if (at >= 0) found.push([source.data.x[at], source.data.y[at]]);
            }
            const [x, y] = found[0];
            const box = document.querySelector("#explore-plot").getBoundingClientRect();
            const frame = view.frame;
            return [box.left + frame.x_scale.compute(x), box.top + frame.y_scale.compute(y)];
        }"""
    )
    page.mouse.move(shown[0] - 30, shown[1] - 30)
    page.mouse.move(shown[0], shown[1], steps=5)
    tip = page.get_by_text("\u2039U+202E\u203a").first
    tip.wait_for(timeout=5000)
    assert '<b>"bold"</b> & ' in tip.inner_text()
    assert watch.complaints == []


COLOURS = "color-contrast"


# Colours change with the scheme and not with the width; all else the other way round.
@pytest.mark.parametrize(
    ("width", "scheme", "rules"),
    [
        (1280, "light", {}),
        (390, "light", {"rules": {COLOURS: {"enabled": False}}}),
        (1280, "dark", {"runOnly": {"type": "rule", "values": [COLOURS]}}),
    ],
)
def test_page_can_be_read_by_all(report_file, opened, width, scheme, rules):
    """axe-core finds no serious or critical violation, with every part of the page in use."""
    page, _ = opened(report_file, width=width, scheme=scheme)
    open_table(page, "effects")
    start_explore(page)
    # Of lists, figures and rows, which repeat one pattern, the first of each stand for all.
    page.evaluate(
        """() => {
            for (const d of document.querySelectorAll("details:not(.long)")) d.open = true;
            for (const s of document.querySelectorAll("main > section")) {
                s.querySelector("details.long")?.setAttribute("open", "");
                for (const svg of [...s.querySelectorAll("figure.plot svg")].slice(1))
                    svg.classList.add("seen-one");
            }
        }"""
    )
    page.wait_for_timeout(300)
    found = Axe().run(
        page,
        context={"exclude": [[".seen-one"], ["tbody tr:nth-child(n+7)"]]},
        options={"resultTypes": ["violations"], "preload": False, **rules},
    )
    grave = [
        (v["id"], v["impact"], [n["html"][:120] for n in v["nodes"][:3]])
        for v in found.response["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert grave == []


@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_its_width(report_file, opened, width, tmp_path):
    page, _ = opened(report_file, width=width)
    start_explore(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    folder = Path(os.environ.get("CYTOSTRAT_SCREENSHOTS") or tmp_path)
    for part in page.locator("main > section").all():
        name = part.get_attribute("id")
        page.evaluate("id => document.getElementById(id).scrollIntoView()", name)
        shown = folder / f"{report_file.parent.name}_{name}_{width}.png"
        for _ in range(20):  # a busy machine paints late
            page.wait_for_timeout(100)
            if len(page.screenshot(path=shown)) > 5000:
                break
        assert shown.stat().st_size > 5000, f"{name} is blank"


def test_what_is_folded_opens_where_it_is_wanted(report_file, opened):
    """A link opens its entry, also a second time; print opens all, a button a section."""
    page, _ = opened(report_file)
    link = page.locator('#summary a[href^="#sig-"]').first
    fold = page.locator(f"{link.get_attribute('href')} > details.fold")
    shut = "node => !node.open"
    assert fold.evaluate(shut)
    link.click()
    page.wait_for_function("node => node.open", arg=fold.element_handle())
    fold.evaluate("node => { node.open = false; }")
    link.click()
    assert not fold.evaluate(shut)
    rest = page.locator("#signatures details.fold:not([open])")
    assert rest.count() > 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert rest.count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert rest.count() > 0
    button = page.locator("#signatures button.unfold")
    button.click()
    assert rest.count() == 0
    page.wait_for_function("node => node.textContent === 'Close all'", arg=button.element_handle())


def test_page_prints(report_file, opened, tmp_path):
    page, _ = opened(report_file, scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for control in ("nav.sections", "#theme"):
        assert not page.locator(control).is_visible()
    printed = page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 3


def test_markup_is_valid(report_file):
    """The HTML5 parser reports no error, and ids are unique."""
    parser = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("etree"), strict=True)
    tree = parser.parse(report_file.read_text(encoding="utf-8"))
    ids = [node.get("id") for node in tree.iter() if node.get("id")]
    assert len(ids) == len(set(ids))


def test_five_cohorts_of_a_thousand_stay_small_and_quick(opened, tmp_path):
    inputs = report_example.example(
        cohorts=("one", "two", "three", "four", "five"), n=1000, many_signatures=60
    )
    path = tmp_path / "report.html"
    path.write_text(build_report(inputs, processes=2).html, encoding="utf-8")
    assert path.stat().st_size < 6_000_000
    times = []
    for _ in range(3):
        started = time.monotonic()
        page, _ = opened(path)
        page.locator("nav.sections a").first.click()
        times.append(time.monotonic() - started)
    assert np.median(times) < 2
