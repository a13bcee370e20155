"""Run ``snakemake --lint`` and fail on all it says but one thing.

The one: it asks every rule for a conda environment or a container, even where one locked
virtual environment serves the whole workflow (requirements.lock), as it does here.
"""

from __future__ import annotations

import json
import subprocess
import sys

ANSWERED = "Specify a conda environment or container for each rule."


def main() -> int:
    """Print what remains; return 1 if anything does."""
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    start = run.stdout.find("{")
    if start < 0:
        clean = run.returncode == 0
        sys.stdout.write(run.stdout + ("" if clean else run.stderr))
        return 0 if clean else 1
    found = json.loads(run.stdout[start:])
    rest = [(None, lint) for lint in found.get("global", [])]
    for rule in found.get("rules", []):
        rest += [(rule["for"], lint) for lint in rule["lints"] if lint["title"] != ANSWERED]
    for place, lint in rest:
        sys.stdout.write(f"{place or 'workflow'}: {lint['title']} {lint['body']}\n")
    sys.stdout.write(f"snakemake --lint: {len(rest)} remark(s)\n")
    return 1 if rest else 0


if __name__ == "__main__":
    sys.exit(main())
