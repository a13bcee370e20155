"""The report: what it says must be what the tables hold, whatever a run lacks."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytostrat import survival, tables
from cytostrat.report import (
    build_report,
    cohort_entries,
    contrast,
    explore,
    facts,
    figures,
    methods,
    opening,
    outcome,
    relations,
    signature_entries,
    strips,
    tables_html,
    verdicts,
    wording,
)
from cytostrat.stats import notes
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
        "simulated": {"cohorts": ("alpha",), "simulated": ("alpha",)},
        "partly simulated": {
            "cohorts": ("alpha", "beta"),
            "simulated": ("beta",),
            "survival": False,
        },
        "one cohort": {"cohorts": ("alpha",)},
        "signature that no cohort covers": {"cohorts": ("alpha",), "unseen": "IFN_I"},
    }
    inputs = report_example.example(n=60, **situations[situation])
    return inputs, build_report(inputs)


SITUATIONS = [
    "three cohorts",
    "simulated",
    "partly simulated",
    "one cohort",
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


def test_same_inputs_give_the_same_bytes_from_one_process_or_two():
    inputs = report_example.example(cohorts=("alpha",), n=60, unseen="IFN_I")
    first, second = build_report(inputs), build_report(inputs, processes=2)
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


@pytest.mark.parametrize(
    ("situation", "marked"), [("simulated", False), ("partly simulated", True)]
)
def test_rows_are_marked_only_where_not_all_is_simulated(situation, marked):
    _, made = report(situation)
    rows = "".join(re.findall("<tr>.*?</tr>", made.html, flags=re.DOTALL))
    assert ("SIMULATED" in rows) == marked
    for part in ("summary", "signatures", "quality", "tables"):
        body = made.html.split(f'<section id="{part}"')[1].split("</section>\n<section id")[0]
        assert '<span class="simulated">SIMULATED' in body, part


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
    for name in packed:
        content = json.loads(gzip.decompress(base64.b64decode(packed[name])))
        frame = getattr(inputs, name)
        assert content["rows"] == len(frame)
        assert [column["name"] for column in content["columns"]] == list(frame.columns)
        for column in content["columns"]:
            cells = unpacked(column, len(frame))
            assert cells == list(tables_html.texts(frame[column["name"]]))


def unpacked(column: dict, rows: int) -> list[str]:
    """Read one column of a packed table as the page's script does."""
    if not rows:
        return []
    if "text" in column:
        return column["text"].split("\n")
    alphabet = {chr(point): place for place, point in enumerate(tables_html.CODES)}
    return [
        column["values"][alphabet.get(char, ord(char) - tables_html.CODES_ON + len(alphabet))]
        for char in column["codes"]
    ]


@given(
    st.lists(st.text(max_size=3), min_size=1, max_size=6),
    st.integers(1, 400),
    st.integers(1, 2000),
)
def test_any_text_comes_back_from_its_column(values, repeats, many):
    """Cells with line ends, quotes or many values are read again as they were."""
    for cells in (values * repeats, [f"v{i}" for i in range(many)] * tables_html.FEW):
        frame = pd.DataFrame({"a": pd.Series(cells, dtype=object)})
        (column,) = json.loads(tables_html.columnar(frame))["columns"]
        assert unpacked(column, len(frame)) == cells


def test_cells_of_the_page_are_those_of_the_file(tmp_path):
    inputs, _ = report("one cohort")
    tables.write_table(inputs.effects, tmp_path / "effects.tsv", tables.EFFECTS)
    with open(tmp_path / "effects.tsv", newline="") as file:
        names, *rows = csv.reader(file, delimiter="\t")
    packed = json.loads(tables_html.columnar(inputs.effects))
    assert [column["name"] for column in packed["columns"]] == names
    shown = [unpacked(column, packed["rows"]) for column in packed["columns"]]
    assert list(map(list, zip(*shown, strict=True))) == rows


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


@given(low=st.floats(0.001, 3), width=st.floats(0.001, 3), sign=st.sampled_from([-1, 1]))
def test_what_lacks_a_condition_of_the_rule_names_no_direction(low, width, sign):
    ends = sorted([sign * low, sign * (low + width)])
    row = {"estimate": sum(ends) / 2, "low": ends[0], "high": ends[1], "scale": "adjusted_g"}
    verb = wording.contrast_verb(row, ["q = 0.200"])
    assert verb == "not shown to differ: q = 0.200"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            (0.5, 0.1, 0.9),
            (0.1, -0.3, 0.5),
            "0.10 (\u22120.30 to 0.50), an interval that holds zero",
        ),
        ((0.5, 0.1, 0.9), (0.4, 0.1, 0.7), "0.40 (0.10 to 0.70): on the same side of zero"),
        ((0.5, 0.1, 0.9), (-0.4, -0.7, -0.1), "to the other side of zero"),
        ((0.1, -0.3, 0.5), (0.4, 0.1, 0.7), "an interval that leaves out zero"),
        ((0.1, -0.3, 0.5), (0.1, -0.3, 0.5), "both intervals hold zero"),
    ],
)
def test_wording_of_adjustment(before, after, expected):
    rows = [
        dict(zip(("estimate", "low", "high"), values, strict=True)) | {"scale": "adjusted_g"}
        for values in (before, after)
    ]
    text = wording.adjusted_verb(*rows)
    assert text.startswith("In the same patients adjustment moves it from ")
    assert expected in text
    assert "HER2" not in text


HER2_ROW = {"question": "her2", "stratum": "all", "gene_filter": "all genes"}


def changed(frame, values, **where):
    """Return a table in which the rows that meet the conditions hold other values."""
    frame = frame.copy()
    mask = np.logical_and.reduce([frame[name].eq(value) for name, value in where.items()])
    assert mask.any()
    for name, value in values.items():
        frame.loc[mask, name] = value
    return frame


CLEAR = {"estimate": 0.4, "low": 0.1, "high": 0.7, "q": 0.01, "null_p": 0.02}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (CLEAR, "1 of 3 primary signatures pooled over 3 cohorts or more differs "
                "(Interferon alpha response, higher in HER2-positive)"),
        (CLEAR | {"q": 0.2},
         "none of 3 primary signatures pooled over 3 cohorts or more is shown to differ"),
        (CLEAR | {"q": math.nan}, "none of 3 primary"),
        (CLEAR | {"null_p": 0.2}, "none of 3 primary"),
        (CLEAR | {"null_p": math.nan}, "none of 3 primary"),
        (CLEAR | {"low": -0.1}, "none of 3 primary"),
    ],
)  # fmt: skip
def test_the_first_sentence_calls_a_difference_what_a_verdict_would(values, said):
    inputs, _ = report("three cohorts")
    where = HER2_ROW | {"signature": "IFN_I", "adjustment": "er+age", "model": "random"}
    inputs = replace(inputs, pooled=changed(inputs.pooled, values, **where))
    context = opening.headlines(inputs)
    assert said in context["short"]
    line = next(line for line in context["lines"] if line["signature"].name == "IFN_I")
    assert ("higher" in line["contrast"].verb) == said.startswith("1")


def test_one_pooled_signature_is_named_in_the_singular():
    inputs, _ = report("three cohorts")
    primary = {"IFN_I": inputs.signatures["IFN_I"]}
    short = opening.headlines(replace(inputs, signatures=primary))["short"]
    assert f"{primary['IFN_I'].title}, the one primary signature pooled over 3 cohorts" in short
    # an interval that holds zero is no proof of equality: say so, with the interval
    assert re.search(
        r"or more, is not shown to differ: adjusted g [^;]*\d to [^;]*\d\)\. To", short
    )


def test_two_cohorts_are_counted_and_name_no_direction():
    inputs = report_example.example(cohorts=("alpha", "beta"), n=60)
    where = HER2_ROW | {"signature": "IFN_I", "adjustment": "er+age"}
    effects = changed(inputs.effects, CLEAR, **where, cohort="alpha")
    inputs = replace(
        inputs, effects=effects, pooled=changed(inputs.pooled, CLEAR, **where)
    )  # fmt: skip
    context = opening.headlines(inputs)
    assert (
        "1 of 3 primary signatures usable in fewer than 3 cohorts differs in single cohorts "
        "(Interferon alpha response in 1 of 2 usable cohorts)"
    ) in context["short"]
    made = build_report(inputs)
    shown = signature_entries.signature_sentence(inputs, "IFN_I")
    assert "differs in 1 of 2 usable cohorts" in shown
    for text in (context["short"], shown):
        assert "higher" not in text
    assert context["short"] in Page(made.html).text
    unusable = changed(effects, {"note": notes.UNUSABLE}, **where, cohort="beta")
    found = contrast.her2_contrast(replace(inputs, effects=unusable), "IFN_I")
    assert (found.differ, found.usable) == (1, 1)


def test_what_adjustment_did_is_told_of_the_same_patients_only():
    inputs, made = report("three cohorts")
    found = contrast.her2_contrast(inputs, "IFN_I")
    assert found.same is not None
    assert found.after in Page(made.html).text
    assert [row["kind"] for row in found.drawn] == ["before", "adjusted"]
    same = tables.SAME_PATIENTS + "er+age"
    assert found.drawn[0]["adjustment"] == same
    for other in (
        inputs.pooled[inputs.pooled["adjustment"].ne(same)],
        changed(inputs.pooled, {"cohorts": "alpha, beta"}, adjustment=same),
        changed(inputs.pooled, {"estimate": math.nan}, adjustment=same),
    ):
        without = replace(inputs, pooled=other)
        found = contrast.her2_contrast(without, "IFN_I")
        assert found.after == ""
        assert [row["kind"] for row in found.drawn] == ["adjusted"]
        assert "In the same patients" not in signature_entries.signature_sentence(without, "IFN_I")
        assert found.crude is not None


def test_one_cohort_compares_the_same_patients_or_nothing():
    inputs, _ = report("one cohort")
    assert contrast.her2_contrast(inputs, "IFN_I").after
    fewer = changed(inputs.effects, {"n": 3}, adjustment=tables.SAME_PATIENTS + "er+age")
    assert contrast.her2_contrast(replace(inputs, effects=fewer), "IFN_I").after == ""
    rows = signature_entries.effect_rows(replace(inputs, effects=fewer), "IFN_I")
    assert rows[0]["same"] is None
    assert rows[0]["crude"] is not None


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


@cache
def claims_report():
    inputs = report_example.example(n=60, simulated=("beta",), claims=True)
    return inputs, build_report(inputs)


def test_every_claim_has_one_line_and_its_verdicts():
    """The line of a claim shows the pooled verdict; every cohort's stands in the claim's table."""
    inputs, made = claims_report()
    page = Page(made.html)
    assert page.targets <= set(page.ids)
    context = verdicts.context(inputs)
    lines = {line["id"]: line for line in context["all"]}
    assert list(lines) == ["il1_her2", "il1_outcome", "anakinra_targets"]
    assert lines["il1_her2"]["words"] == ["inconsistent"]
    assert [group["title"] for group in context["groups"]] == [
        "Decided by the pooled estimate",
        "Not decided",
        "Not testable on these data",
    ]
    rows = inputs.verdicts[inputs.verdicts["claim"].eq("il1_her2")]
    cohort_rows = rows[rows["cohort"].ne("pooled")]
    assert len(lines["il1_her2"]["cohorts"]) == len(cohort_rows) == 6
    drawn = {entry["text"] for entry in lines["il1_her2"]["drawn"]}
    assert drawn == {
        wording.estimate(row) for _, row in rows[rows["cohort"].eq("pooled")].iterrows()
    }


def test_pooled_verdicts_of_partly_simulated_runs_are_marked():
    inputs, _ = claims_report()
    lines = verdicts.context(inputs)["all"]
    assert all(line["simulated"] for line in lines)
    marks = {entry["cohort"]: entry["simulated"] for line in lines for entry in line["cohorts"]}
    assert marks == {"alpha": False, "beta": True, "gamma": False}


def test_two_cohorts_give_no_pooled_line():
    """Without a pooled verdict the line gives the range over cohorts and says why."""
    inputs = report_example.example(cohorts=("alpha", "beta"), n=60, claims=True)
    table = inputs.verdicts
    table = table[table["cohort"].ne("pooled") | table["estimate"].isna()]
    line = verdicts.context(replace(inputs, verdicts=table))["all"][0]
    assert not line["pooled"]
    assert line["summary"][0]["what"] == "over 4 usable estimates in 2 cohorts, one by one"


def test_interval_is_drawn_to_scale():
    row = {"estimate": 0.25, "low": 0.0, "high": 2.0, "scale": "adjusted_g", "kind": "verdict"}
    (drawn,) = strips.strip([row])
    assert (drawn["low"], drawn["estimate"], drawn["high"]) == (50, 62, 98)
    assert drawn["cut_high"]
    assert not drawn["cut_low"]
    assert drawn["beyond"] == 0


@pytest.mark.parametrize(("rho", "end", "place"), [(0.7, 1, 98), (0.5, 0, 98), (-0.7, -1, 2)])
def test_estimate_beyond_a_strip_is_told_from_one_at_its_end(rho, end, place):
    row = {"estimate": rho, "low": rho - 0.1, "high": rho + 0.1, "scale": "partial_rho"}
    (drawn,) = strips.strip([row | {"kind": "verdict"}])
    assert (drawn["estimate"], drawn["beyond"]) == (place, end)


FOREST_ROW = {"group": "", "n": "", "pooled": False, "hollow": False, "colour": ""}
FOREST_COHORTS = [
    FOREST_ROW | {"label": name, "estimate": 0.1, "low": -0.2, "high": 0.4} for name in "abc"
]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], ""),
        ([{"estimate": 0.1, "low": 0.0, "high": 0.2}], "Diamonds are pooled estimates."),
        (
            [{"estimate": 0.1, "low": -3.0, "high": 3.2}],
            "Diamonds are pooled estimates. An arrow: the interval goes on beyond the axis.",
        ),
        (
            [{"estimate": math.nan, "low": -0.1, "high": 0.3}],
            "The dashed line is where a further cohort is expected.",
        ),
    ],
)
def test_caption_of_a_forest_names_the_marks_that_are_drawn(more, said):
    rows = [*FOREST_COHORTS, *(FOREST_ROW | {"label": "p", "pooled": True} | row for row in more)]
    drawn = figures.forest(
        rows, name="f", title="t", caption="Lines are intervals.", xlabel="x", simulated=False
    )
    assert drawn.caption == f"Lines are intervals. {said}".rstrip()


def test_outcome_is_drawn_and_named_prognostic():
    _, made = claims_report()
    names = {name for name in made.figures if name.startswith("outcome/")}
    assert "outcome/OS.svg" in names
    assert "outcome/IL1_SURROGATE_A/alpha.svg" in names
    text = Page(made.html).text
    assert "display only" in text
    assert "An association with outcome is prognostic" in text


def test_numbers_at_risk_fall_and_start_with_the_group():
    inputs, made = claims_report()
    data = pd.read_csv(
        pd.io.common.BytesIO(made.figures["outcome/IL1_SURROGATE_A/alpha.tsv"]), sep="\t"
    )
    assert set(data["group"]) == {"low", "middle", "high"}
    first = data[data["tick"] & data["time"].eq(0)]
    assert first["at_risk"].sum() == len(inputs.clinical["alpha"])


def test_what_follow_up_cannot_say_stands_in_figures_and_limits():
    """Other deaths censored in a relapse endpoint, late entry, treatment after time 0."""
    inputs, made = claims_report()
    plain = Page(made.html).text
    assert "overstate the risk" not in plain
    assert "late entry" in plain
    assert "immortal time" not in plain

    effects, curves = inputs.effects.copy(), inputs.curves.copy()
    alpha = effects["question"].eq("survival") & effects["cohort"].eq("alpha")
    assert alpha.any()
    effects["endpoint"] = effects["endpoint"].replace("OS", "PFI")
    said = "cause-specific hazard: other deaths are censored"
    effects.loc[alpha, "note"] = f"{said}; {survival.IMMORTAL_TIME}"
    curves["endpoint"] = "PFI"
    curves.loc[curves["cohort"].eq("alpha"), "note"] = survival.OVERSTATES
    changed = replace(inputs, effects=effects, curves=curves)
    built = outcome.survival(changed)
    assert built["overstated"] == ["PFI in alpha"]
    (entry,) = (one for one in built["endpoints"] if one["name"] == "PFI")
    assert entry["forest"].keywords["sides"] == ("fewer", "more events")
    assert "In alpha other deaths are censored" in entry["forest"].keywords["caption"]
    drawings = [one for entry in built["curves"] for one in entry["drawings"]]
    assert {one.keywords["cohort"]: one.keywords["competing"] for one in drawings} == {
        name: name == "alpha" for name in inputs.clinical
    }
    assert "other deaths censored" in drawings[0]().svg
    assert any("immortal time" in text for text in outcome.limits(changed))


def test_adjusted_odds_of_the_panel_stand_beside_the_crude_ones():
    inputs, _ = claims_report()
    template = inputs.effects.iloc[[0]].assign(
        question="panel_1998", endpoint="response", stratum="all", contrast="per sd",
        scale="log_or", signature="IFNG", method="gene z", note="",
    )  # fmt: skip
    crude = template.assign(adjustment="none", estimate=0.7, low=0.4, high=1.0)
    beside = template.assign(adjustment="er+her2+age+treatment", estimate=0.0, low=-0.3, high=0.3)
    changed = replace(inputs, effects=pd.concat([inputs.effects, crude, beside]))
    (block,) = outcome.response(changed)["blocks"]
    drawn = block["forest"].args[0]
    assert [(row["label"], row["hollow"], row["estimate"]) for row in drawn] == [
        ("adjusted", False, 0.0), ("crude", True, 0.7),
    ]  # fmt: skip
    assert "adjusted for ER, HER2, age and treatment" in block["forest"].keywords["caption"]
    text = Page(build_report(changed).html).text
    assert "an interaction of score and arm in a randomised trial" in text


def test_a_run_without_survival_has_no_outcome_section():
    _, made = report("partly simulated")
    page = Page(made.html)
    assert "late entry" not in page.text
    assert "outcome" not in page.ids
    assert "no cohort has an endpoint" in page.text


def test_a_single_cell_cohort_stands_alone():
    inputs = report_example.single_cell()
    made = build_report(inputs)
    page = Page(made.html)
    assert page.targets <= set(page.ids)
    assert {"cells", "summary", "tables"} <= set(page.ids)
    assert "explore" not in page.ids
    assert "cells/cells/IL1B-share-of-total" in " ".join(made.figures)
    assert "1 coupling with IL1B in myeloid could not be estimated: one patient." in page.text
    assert "Contrasts over patients" not in made.html
    assert "90 % of its transcripts in myeloid cells" in page.text
    shown = facts.cohort_facts(inputs, "cells")
    assert (shown["n"], shown["n_cells"]) == (2, 5)
    assert shown["her2"] == {"positive": 1, "negative": 0, "equivocal": 0, "missing": 1}


def test_method_agreement_is_the_lowest_rank_correlation():
    inputs = report_example.example(cohorts=("alpha",), n=60)
    scores = inputs.scores["alpha"]
    other = scores.assign(method="singscore", score=-scores["score"])
    inputs = replace(inputs, scores={"alpha": pd.concat([scores, other])})
    drawing = relations.method_agreement(inputs)()
    assert set(drawing.data["column"]) == {"singscore"}
    np.testing.assert_allclose(drawing.data["value"], -1)


def test_overlap_is_the_share_of_common_genes():
    """The example's sets hold ten genes each; A starts at 0 and B at 8, so 2 of 18 are common."""
    data = relations.overlap(report_example.example(cohorts=("alpha",), n=60))().data
    pair = data[data["row"].eq("IL1A response") & data["column"].eq("Blood inflammation modules")]
    assert pair["value"].tolist() == pytest.approx([2 / 18])


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=50).filter(
        lambda values: np.isfinite(values).any()
    )
)
def test_quantised_numbers_come_back(values):
    packed = explore.quantised(pd.Series(values))
    steps = np.array(packed["steps"])
    back = packed["low"] + steps * (packed["high"] - packed["low"]) / explore.STEPS
    known = np.isfinite(values)
    assert (steps[~known] == -1).all()
    reach = packed["high"] - packed["low"]
    limit = reach / (2 * explore.STEPS) + 1e-5 * np.abs(np.array(values)[known]).max() + 1e-9
    assert (np.abs(back[known] - np.array(values)[known]) <= limit).all()


def test_flow_starts_and_ends_with_the_table():
    inputs, made = report("one cohort")
    flow = cohort_entries.flow_steps(inputs, "alpha")
    lost = sum(step["lost"] for step in flow["steps"])
    assert flow["start"] - lost == flow["end"] == len(inputs.clinical["alpha"])
    assert "\u22127 no expression profile" in Page(made.html).text


def test_methods_state_the_settings_of_the_run():
    inputs = report_example.example(
        cohorts=("alpha",),
        n=60,
        config=report_example.settings(
            methods=["singscore"],
            contrast={"adjustment": ["er", "grade"], "min_group": 7},
            signatures={"min_coverage": 0.75},
            families={"my_family": {"question": ["her2"]}},
        ),
    )
    text = " ".join(methods.paragraphs(inputs, [facts.cohort_facts(inputs, "alpha")]))
    for said in ("singscore", "ER and grade", "fewer than 7", "75 %", "my_family"):
        assert said in text


def test_methods_name_the_cohorts_of_each_sample_type_and_source_of_her2():
    inputs = report_example.example(cohorts=("alpha", "beta"), n=60)
    alpha, beta = (inputs.clinical[name] for name in ("alpha", "beta"))
    n = len(beta)
    clinical = {
        "alpha": alpha.assign(sample_type=None, sex="female", her2_source="stated"),
        "beta": beta.assign(
            sample_type="metastasis", sex="female", her2_source=["ihc", "ihc+ish"] * (n // 2),
            patient=[f"B:{i // 2}" for i in range(n)],
        ),
    }  # fmt: skip
    inputs = replace(inputs, clinical=clinical)
    found = [facts.cohort_facts(inputs, name) for name in inputs.cohorts]
    text = methods.paragraphs(inputs, found)[0]
    assert "Sample type not recorded in alpha, metastasis in beta; sex female; one" in text
    assert f"one sample per patient but for beta ({n} samples of {n // 2} patients)" in text
    assert (
        "HER2 status: a stated call in alpha; immunohistochemistry and in situ hybridisation in "
        "beta."
    ) in text


def test_patients_are_counted_once_however_many_samples_they_gave():
    inputs = report_example.example(cohorts=("alpha",), n=60)
    obs = inputs.clinical["alpha"]
    # three samples of each patient; what is known of one sample is known of the patient
    patient = [f"A:{i // 3}" for i in range(len(obs))]
    her2 = [["positive", None, None][i % 3] for i in range(len(obs))]
    inputs = replace(inputs, clinical={"alpha": obs.assign(patient=patient, her2=her2)})
    found = facts.cohort_facts(inputs, "alpha")
    assert (found["n"], found["n_samples"]) == (len(obs) // 3, len(obs))
    assert found["her2"]["positive"] == len(obs) // 3
    flow = cohort_entries.flow_steps(inputs, "alpha")
    assert flow["unit"] == f"samples of {len(obs) // 3} patients"


def test_an_il1_statement_needs_both_surrogates():
    """Where the surrogates differ in sign, every place that shows IL1 says so."""
    inputs, _ = report("one cohort")
    effects = inputs.effects.copy()
    mine = effects["question"].eq("her2") & effects["signature"].eq("IL1_SURROGATE_B")
    other = effects["question"].eq("her2") & effects["signature"].eq("IL1_SURROGATE_A")
    effects.loc[mine, ["estimate", "low", "high"]] = [0.4, 0.1, 0.7]
    effects.loc[other, ["estimate", "low", "high"]] = [-0.4, -0.7, -0.1]
    lines = opening.headlines(replace(inputs, effects=effects))["lines"]
    said = {line["signature"].name: line["agreement"] for line in lines}
    assert "disagree in sign, so no IL1 statement is made" in said["IL1_SURROGATE_A"]
    assert said["IL1_SURROGATE_A"] == said["IL1_SURROGATE_B"]
    assert said["IFN_I"] == ""


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("config/config.yaml", "config/config.yaml"),
        ("../../srv/somebody/my run/own.yaml", "own.yaml"),
        ("/srv/somebody/own run.yaml", "'own run.yaml'"),
    ],
)
def test_how_to_rerun_names_the_config_and_nobody_s_folder(given, named):
    inputs = replace(report("one cohort")[0], config_file=given)
    lines = methods.commands(inputs)
    assert lines[0] == f"make CONFIG={named}"
    assert lines[-1].endswith(f" --configfile {named}")
    files = {"alpha": {"expression": {"source": "${CYTOSTRAT_DATA}/a.tsv"}}}
    assert methods.commands(replace(inputs, cohort_files=files))[0].startswith("export CYTOSTRAT_D")


def test_the_short_answer_counts_every_claim_once():
    inputs, made = claims_report()
    short = verdicts.context(inputs)["short"]
    assert short == (
        "Of 3 statements of the documents, pooled estimates decide 1 (1 inconsistent), 0 are "
        "decided in single cohorts only, 1 stays open, and 1 cannot be tested on these data."
    )
    assert short in Page(made.html).text


def outcome_line(inputs, rows):
    """Return the context with other verdicts on the second claim, and its line."""
    others = inputs.verdicts[inputs.verdicts["claim"].ne("il1_outcome")]
    base = {
        "claim": "il1_outcome", "document": "S4", "therapy": "anakinra", "relation": "surrogate",
        "question": "survival", "signature": "IL1_SURROGATE_A", "method": "ssgsea",
        "estimate": 0.3, "low": 0.1, "high": 0.5, "p": 0.01, "q": 0.02, "null_p": 0.03,
        "reachable": True, "reason": "because", "scale": "log_hr",
    }  # fmt: skip
    table = pd.concat([others, pd.DataFrame([base | row for row in rows])], ignore_index=True)
    context = verdicts.context(replace(inputs, verdicts=tables.VERDICTS.conform(table)))
    line = next(line for line in context["all"] if line["id"] == "il1_outcome")
    title = next(
        group["title"] for group in context["groups"]
        if "il1_outcome" in [entry["id"] for entry in group["lines"]]
    )  # fmt: skip
    return context, line, title


NO_POOL = {"cohort": "pooled", "verdict": "not testable", "estimate": math.nan, "reason": "k < 3"}


def test_a_claim_that_single_cohorts_decide_is_filed_apart():
    inputs, _ = claims_report()
    rows = [
        {"cohort": "alpha", "verdict": "consistent"},
        {"cohort": "beta", "verdict": "inconclusive"},
        {"cohort": "gamma", "verdict": "not testable"},
    ]
    context, line, title = outcome_line(inputs, [*rows, NO_POOL])
    assert title == "Decided in single cohorts only"
    assert line["decided_in"] == "decided in 1 of 2 usable cohorts"
    assert "1 is decided in single cohorts only (1 consistent)" in context["short"]
    other = {"cohort": "beta", "verdict": "no difference"}
    _, line, _ = outcome_line(inputs, [rows[0], other, NO_POOL])
    assert line["decided_in"] == "decided in 2 of 2 usable cohorts, not alike"
    context, _, _ = outcome_line(inputs, [rows[0], other, NO_POOL])
    assert "cohorts only (1 mixed: consistent and no difference)" in context["short"]
    # where the pool is open, so is the statement, and the cohort is still told of
    _, line, title = outcome_line(inputs, [*rows, {"cohort": "pooled", "verdict": "inconclusive"}])
    assert title == "Not decided"
    assert line["decided_in"] == "decided in 1 of 2 usable cohorts"
    _, line, title = outcome_line(inputs, [*rows, {"cohort": "pooled", "verdict": "consistent"}])
    assert (title, line["decided_in"]) == ("Decided by the pooled estimate", "")


def test_an_estimate_that_can_not_be_judged_is_neither_drawn_nor_ranged_over():
    inputs, _ = claims_report()
    numbers = [{"estimate": g, "low": g - 0.1, "high": g + 0.1} for g in (0.1, 0.2, 0.3, -3.0)]
    cohorts = ("alpha", "beta", "gamma", "delta")
    rows = [
        {"cohort": name, "verdict": "inconclusive", "scale": "adjusted_g"} | own
        for name, own in zip(cohorts, numbers, strict=True)
    ]
    rows[-1]["verdict"] = "not testable"
    _, line, _ = outcome_line(inputs, [*rows, NO_POOL])
    assert len(line["drawn"]) == len(line["strip"]) == 3
    assert line["summary"][0] == {
        "number": "adjusted g 0.10 to 0.30",
        "what": "over 3 usable estimates in 3 cohorts, one by one",
    }  # fmt: skip
    assert [entry["cohort"] for entry in line["cohorts"]] == list(cohorts)


def test_what_keeps_single_estimates_open_is_counted():
    inputs, _ = claims_report()
    open_ = {"verdict": "inconclusive", "q": 0.01, "null_p": 0.3, "scale": "adjusted_g"}
    rows = [
        open_ | {"cohort": "alpha"},
        open_ | {"cohort": "beta", "low": -0.1},
        {"cohort": "gamma", "verdict": "consistent"},
    ]
    _, line, _ = outcome_line(inputs, [*rows, NO_POOL])
    assert line["remarks"][-1] == (
        "inconclusive: random sets do as well in 2 of 2, the interval holds no difference in 1 of 2"
    )
    _, line, _ = outcome_line(inputs, [open_ | {"cohort": "alpha", "q": 0.2}, NO_POOL])
    assert line["remarks"][-1] == "inconclusive: q is not below 0.05, random sets do as well"


def test_a_signature_in_no_family_and_without_random_sets_is_described_only():
    """That none of its effects is called a difference follows from the rule, not from the data."""
    inputs = report_example.example(cohorts=("alpha", "beta"), n=60)
    where = HER2_ROW | {"signature": "IFN_I", "adjustment": "er+age"}
    bare = CLEAR | {"q": math.nan, "null_p": math.nan}
    described = replace(
        inputs, effects=changed(inputs.effects, bare, **where),
        pooled=changed(inputs.pooled, bare, **where),
    )  # fmt: skip
    assert contrast.her2_contrast(described, "IFN_I").verb.startswith("described only: ")
    told = replace(inputs, effects=changed(inputs.effects, CLEAR | {"q": 0.2}, **where))
    found = contrast.her2_contrast(told, "IFN_I")
    assert found.verb == "differs in 0 of 2 usable cohorts"
    assert found.lacks == "alpha: q = 0.200; beta: q = 0.200"


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (11, "IL1B: 10 of 11 transcripts in myeloid cells (59 % to > 99 %; cells, 1 patient, "),
        (
            40,
            "IL1B: 10 of 40 transcripts in myeloid cells, 25 % (59 % to > 99 %; cells, 1 patient, ",
        ),
    ],
)
def test_a_share_of_few_transcripts_is_told_as_a_count(of, said):
    inputs = report_example.single_cell()
    here = {"question": "cell_source", "endpoint": "share of total", "stratum": "myeloid"}
    numbers = {"n": of, "n_case": 10, "estimate": 10 / of, "low": 0.59, "high": 0.998}
    others = changed(inputs.effects, {"estimate": 0.01}, question="cell_source")
    inputs = replace(
        inputs, effects=changed(others, numbers, **here),
        clinical={"cells": inputs.clinical["cells"].iloc[:1]},
    )  # fmt: skip
    (words,) = outcome.cell_words(inputs, ["IL1B"])
    assert words.startswith(said)


def test_a_small_effect_that_is_not_zero_says_so():
    inputs, _ = claims_report()
    reason = f"{verdicts.SMALL}: the 95 % interval lies above 0, q = 1e-05; effects from 0.1 on"
    rows = [{"cohort": "pooled", "verdict": "no difference", "reason": reason}]
    _, line, _ = outcome_line(inputs, rows)
    assert line["remarks"] == [f"IL1A response: {reason.partition(';')[0]}"]
    assert "no effect" not in Page(claims_report()[1].html).text.lower()


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        ("adjusted_g", "with this n no other verdict was within reach"),
        ("umi_per_10k difference", "no size that matters is declared for this unit"),
    ],
)
def test_out_of_reach_is_said_where_the_rule_can_tell(scale, said):
    inputs, _ = claims_report()
    row = {"cohort": "alpha", "verdict": "inconclusive", "reachable": False, "scale": scale}
    _, line, _ = outcome_line(inputs, [row, NO_POOL])
    assert len(line["remarks"]) == 1
    assert line["remarks"][0].startswith(said)
    _, line, _ = outcome_line(inputs, [row | {"reachable": True}, NO_POOL])
    assert line["remarks"] == []


def test_sampling_that_shapes_crude_effects_is_among_the_limits():
    inputs, made = report("one cohort")
    assert "crude contrasts in alpha (sampled by her2 (case-control))" in Page(made.html).text
    record = inputs.provenance["alpha"] | {"sampling": {"design": "trial", "on": ["her2"]}}
    inputs = replace(inputs, provenance={"alpha": record})
    assert facts.cohort_facts(inputs, "alpha")["sampled"] == "sampled by her2 (trial)"
