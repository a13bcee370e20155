"""The drafted cohort file as text, with a comment at every place to check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import yaml

from cytostrat.draft.columns import Guess

CHECK = "# CHECK: "
_HEADER = """\
# Cohort file drafted by `cytostrat draft`. Every key is explained in config/README.md.
# Look at the lines marked CHECK, then run `cytostrat check` on this file.

schema_version: 1
"""
_TO_FILL = """\
# For the report; fill in what is known.
title: {name}
citation: ""
doi: ""
licence: ""
platform: ""

# Whose numbering the patient ids are: cohorts of one namespace are searched for shared patients.
namespace: "{namespace}"

# population, case_control (then name the variables under "on"), trial or convenience.
sampling: {{design: convenience}}
"""


def flow(value: Any) -> str:
    """Return a value in YAML's flow style, on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...").removesuffix("...").strip()


def parsed(text: str) -> dict[str, Any]:
    """Return the content of a drafted text."""
    return yaml.safe_load(text)


def counted(counts: Mapping[str, int]) -> str:
    """Return counts in words, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {n}" for name, n in ordered) or "none"


class Entries:
    """What the draft has found so far, key by key."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[str, Any] = {}
        self.notes: dict[str, list[str]] = {}
        self.tables: list[dict[str, Any]] = []
        self.guesses: list[Guess] = []
        self.filters: dict[str, Any] = {}
        self.remarks: list[str] = []
        self.said: list[str] = []
        self.unsure: list[str] = []

    def put(self, key: str, value: Any) -> None:
        """Set one key of the cohort file."""
        self.values[key] = value

    def get(self, key: str) -> Any:
        """Return what was set, None where nothing was."""
        return self.values.get(key)

    def note(self, key: str, doubt: str) -> None:
        """Mark a key as one to check."""
        if doubt not in self.notes.setdefault(key, []):
            self.notes[key].append(doubt)

    def say(self, sentence: str) -> None:
        """Say something that is sure."""
        self.said.append(sentence)

    def sentences(self) -> tuple[list[str], list[str]]:
        """Return what is sure and what is not."""
        sure = list(self.said)
        unsure = list(self.unsure)
        for key, doubts in self.notes.items():
            unsure += [f"{key}: {doubt}" for doubt in doubts]
        for guess in self.guesses:
            source = guess.value["column"] if "column" in guess.value else guess.value["time"]
            text = f"{guess.key} is {source} ({guess.found})"
            if guess.doubts:
                unsure.append(f"{text}: {'; '.join(guess.doubts)}")
            else:
                sure.append(text)
        return sure, unsure + self.remarks

    def unused(self, tables: Mapping[str, pd.DataFrame]) -> list[str]:
        """Return the columns of the clinical tables that no key names."""
        used = {table["join"]["column"] for table in self.tables}
        used.add(self.values.get("sample_to_patient", {}).get("column"))
        for guess in self.guesses:
            used |= {guess.value.get(key) for key in ("column", "time", "event")}
        found = (str(column) for table in tables.values() for column in table)
        return list(dict.fromkeys(column for column in found if column not in used))

    def text(self) -> str:
        """Return the cohort file."""
        blocks = [
            f"{_HEADER}name: {self.name}\n" + self._line("kind", self.values.get("kind", "bulk")),
            _TO_FILL.format(name=self.name, namespace=self._namespace()),
            self._expression(),
        ]
        if self.tables:
            blocks.append("clinical:\n" + "".join(self._table(table) for table in self.tables))
        if "sample_to_patient" in self.values:
            blocks.append(self._line("sample_to_patient", self.values["sample_to_patient"]))
        for section in ("columns", "endpoints"):
            found = [guess for guess in self.guesses if guess.key.startswith(f"{section}.")]
            if found:
                blocks.append(f"{section}:\n" + "".join(self._guess(guess) for guess in found))
        if self.remarks:
            blocks.append("".join(f"# {remark}.\n" for remark in self.remarks))
        if self.filters:
            lines = [
                self._line(f"filters.{key}", value, indent="  ") for key, value in
                self.filters.items()
            ]  # fmt: skip
            blocks.append("filters:\n" + "".join(lines))
        blocks.append(
            "# Published numbers, if there are any; a run stops where the data differ.\n"
            "# expected: {n: 100, groups: {her2: {positive: 15, negative: 85}}}\n"
        )
        return "\n".join(blocks)

    def _namespace(self) -> str:
        rule = self.values.get("sample_to_patient", {}).get("rule")
        return "TCGA" if rule == "tcga_barcode" else ""

    def _line(self, key: str, value: Any, *, indent: str = "") -> str:
        notes = "".join(f"{indent}{CHECK}{doubt}\n" for doubt in self.notes.get(key, []))
        return f"{notes}{indent}{key.rsplit('.', 1)[-1]}: {flow(value)}\n"

    def _expression(self) -> str:
        keys = [key for key in self.values if key.startswith("expression.")]
        return "expression:\n" + "".join(
            self._line(key, self.values[key], indent="  ") for key in keys
        )

    def _table(self, table: Mapping[str, Any]) -> str:
        notes = self.notes.get(f"clinical.{table['name']}", [])
        lines = [f"  {CHECK}{doubt}" for doubt in notes]
        for number, (key, value) in enumerate(table.items()):
            lines.append(f"  {'  ' if number else '- '}{key}: {flow(value)}")
        return "\n".join(lines) + "\n"

    def _guess(self, guess: Guess) -> str:
        lines = [f"  # {guess.found}"] if guess.found else []
        lines += [f"  {CHECK}{doubt}" for doubt in guess.doubts]
        value: Any = guess.value
        name = guess.key.split(".")[1]
        if guess.unread:
            lines += [f"  {name}:", *_spread(value, guess.unread)]
        else:
            value = value["column"] if list(value) == ["column"] else value
            lines.append(f"  {name}: {flow(value)}")
        return "\n".join(lines) + "\n"


def _spread(value: Mapping[str, Any], unread: Mapping[str, int]) -> list[str]:
    """Return an entry with its values on lines of their own, those not understood marked."""
    lines = []
    for key, item in value.items():
        if not isinstance(item, Mapping):
            lines.append(f"    {key}: {flow(item)}")
            continue
        lines.append(f"    {key}:")
        for level, canonical in item.items():
            n = unread.get(level, 0)
            mark = f"  {CHECK}{n} value{'s' if n > 1 else ''}" if n else ""
            lines.append(f"      {flow(level)}: {flow(canonical)}{mark}")
    return lines
