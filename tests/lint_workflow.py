"""Run ``snakemake --lint`` and fail on all it says but one thing.

The one: it asks every rule for a conda environment or a container, even where one locked
virtual environment serves the whole workflow (requirements.lock), as it does here.
(Text is parsed because ``--lint json`` prints text in Snakemake 9.27.)
"""

from __future__ import annotations

import re
import subprocess
import sys

ANSWERED = "Specify a conda environment or container for each rule."
BLOCK = re.compile(r"^Lints for (.+):$", re.M)
REMARK = re.compile(r"^    \* ", re.M)


def remarks(text: str) -> list[str]:
    """Return 'place: remark' for everything the linter said, the answered remark left out."""
    parts = BLOCK.split(text)[1:]
    return [
        f"{place}: {remark.strip()}"
        for place, body in zip(parts[::2], parts[1::2], strict=True)
        for remark in REMARK.split(body)[1:]
        if not remark.startswith(ANSWERED)
    ]


def main() -> int:
    """Print what remains; return 1 if anything does."""
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], capture_output=True, text=True, check=False
    )
    text = run.stdout + run.stderr
    if "Lints for" not in text and "Congratulations" not in text:
        sys.stdout.write(text)
        return 1
    rest = remarks(text)
    sys.stdout.write("".join(f"{remark}\n" for remark in rest))
    sys.stdout.write(f"snakemake --lint: {len(rest)} remark(s)\n")
    return 1 if rest else 0


if __name__ == "__main__":
    sys.exit(main())
