"""The manual says what the schemas say."""

from __future__ import annotations

from tests import manual


def test_manual_is_up_to_date():
    text = manual.MANUAL.read_text(encoding="utf-8")
    assert text.splitlines() == manual.updated(text).splitlines(), "run: make docs"
