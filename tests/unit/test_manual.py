"""The manual says what the schemas say."""

from __future__ import annotations

from cytostrat.validation import load_yaml, schema
from tests import manual


def test_manual_is_up_to_date():
    text = manual.MANUAL.read_text(encoding="utf-8")
    assert text.splitlines() == manual.updated(text).splitlines(), "run: make docs"


def test_the_shipped_configuration_spells_out_the_default_families():
    shipped = load_yaml(manual.MANUAL.with_name("config.yaml"))
    assert shipped["families"] == schema("config")["properties"]["families"]["default"]
