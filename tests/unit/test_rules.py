"""Every rule says what a scheduler has to know, and is measured."""

from __future__ import annotations

import re

import pytest

# `provenance` is what collects the measures; it can't hold its own.
UNMEASURED = {"provenance"}


def _rules(repository) -> dict[str, str]:
    """Name of each rule that runs a script -> its text."""
    found = {}
    for file in sorted(repository.glob("workflow/rules/*.smk")):
        for block in re.split(r"(?m)^(?=\s*rule\b)", file.read_text(encoding="utf-8"))[1:]:
            if "script:" in block:
                found[re.search(r"rule (\w+)|f\"(\w+)_\{", block).group()] = block
    return found


@pytest.mark.parametrize("word", ["threads:", "mem_mb=", "runtime=", "log:", "benchmark:"])
def test_every_rule_states(repository, word):
    rules = _rules(repository)
    assert len(rules) > 15
    without = {name.removeprefix("rule ") for name, text in rules.items() if word not in text}
    assert without <= (UNMEASURED if word == "benchmark:" else set())
