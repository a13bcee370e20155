"""Every rule says what a scheduler has to know, and is measured; make says what is absent."""

from __future__ import annotations

import os
import re
import subprocess

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


def test_make_names_a_configuration_that_is_absent(repository):
    command = ["make", "--assume-old=.venv/.ready", "CONFIG=nix.yaml", "SNAKEMAKE=false"]
    environment = {key: value for key, value in os.environ.items() if "MAKE" not in key}
    found = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    sentence, *rest = found.stderr.splitlines()
    assert found.returncode == 2
    assert sentence == (
        "make: CONFIG=nix.yaml is no file here; name the configuration of a run, such as "
        "config/config.yaml"
    )
    assert len(rest) == 1
    assert found.stdout == ""
