"""Write the generated parts of config/README.md: key tables and the HER2 truth table.

``make docs`` runs it; tests/unit/test_manual.py fails while the manual is behind.
"""

from __future__ import annotations

import re
from pathlib import Path

from cytostrat import tables
from cytostrat.her2 import truth_table
from cytostrat.validation import reference

MANUAL = Path(__file__).resolve().parents[1] / "config" / "README.md"


def _markdown_her2() -> str:
    table = truth_table()
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * table.shape[1]]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def _markdown_clinical() -> str:
    lines = ["| column | values |", "|---|---|"]
    lines += [f"| `{name}` | {what} |" for name, what in tables.CLINICAL_COLUMNS.items()]
    return "\n".join(lines) + "\n"


def updated(text: str) -> str:
    """Return the manual with its generated parts made anew."""
    parts = {
        "her2": _markdown_her2(),
        "clinical": _markdown_clinical(),
        "config": reference("config"),
        "cohort": reference("cohort"),
    }
    for name, content in parts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
        text, count = pattern.subn(
            lambda match, content=content: match[1] + content + match[2], text
        )
        if count != 1:
            raise ValueError(f"config/README.md has {count} parts named {name}")
    return text


if __name__ == "__main__":
    MANUAL.write_text(updated(MANUAL.read_text(encoding="utf-8")), encoding="utf-8")
