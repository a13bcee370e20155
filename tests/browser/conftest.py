"""A real browser for the report: Debian's chromium, driven by Playwright.

``CHROMIUM`` names another executable. ``CYTOSTRAT_REPORT`` names a report that is tested beside
the example, for instance that of the real cohorts. ``CYTOSTRAT_SCREENSHOTS`` is a folder for
pictures of the pages; without it they are made and thrown away.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from cytostrat.report import ReportInputs, build_report
from tests import report_example

# Each of the flags keeps the browser itself from calling home: what leaves, the page sent.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps",
)  # fmt: skip
ODD_SAMPLE = '<b>"bold"</b> & \u202egnissim\t$x$'


@dataclass
class Watch:
    """What a page asked for, what was answered, and what it complained about."""

    requests: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser():
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.fail("no chromium on the PATH; install Debian's package chromium or set CHROMIUM")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def inputs() -> ReportInputs:
    """Inputs of the example: simulated cohorts, one sample with a name that is all traps."""
    return report_example.with_odd_sample(
        report_example.example(n=90, simulated=("beta",), claims=True), ODD_SAMPLE
    )


@pytest.fixture(scope="session")
def example_file(inputs, tmp_path_factory) -> Path:
    made = build_report(inputs)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(made.html, encoding="utf-8")
    return path


@pytest.fixture(
    scope="session", params=["example", *(["given"] if os.environ.get("CYTOSTRAT_REPORT") else [])]
)
def report_file(request, example_file) -> Path:
    """The example, and the report that the environment names."""
    if request.param == "example":
        return example_file
    return Path(os.environ["CYTOSTRAT_REPORT"]).resolve()


@pytest.fixture
def opened(browser):
    """Return a function that opens a file at a width, in a scheme, and watches it."""
    contexts = []

    def open_page(path: Path, *, width: int = 1280, scheme: str = "light") -> tuple[Page, Watch]:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",  # no picture in the middle of a scroll
            accept_downloads=True,
        )
        contexts.append(context)
        page, watch = context.new_page(), Watch()
        page.on("request", lambda request: watch.requests.append(request.url))
        page.on("response", lambda response: watch.answered.append(response.url))
        page.on("pageerror", lambda error: watch.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                message.type in ("error", "warning") and watch.complaints.append(message.text)
            ),
        )
        page.goto(path.as_uri())
        return page, watch

    yield open_page
    for context in contexts:
        context.close()
