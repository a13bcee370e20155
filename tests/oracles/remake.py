"""Run the R programs behind the expected values again and compare with what is committed.

``make test-oracles``: installs R and its packages from Debian where they are missing (root).
Programs that need a checkout of another package (singscore, UCell, AUCell) are left to a person.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
PROGRAMS = (
    "associate/make_oracle.R",
    "cells/cells.R",
    "response/make_oracle.R",
    "scoring/ridge.R",
    "scoring/gsva.R",
    "stats/contrast.R",
    "stats/meta.R",
    "stats/moderated.R",
    "survival/make_oracle.R",
)
PACKAGES = ("r-base-core", "r-bioc-gsva", "r-bioc-limma", "r-cran-survival", "r-cran-metafor")
PACKAGES += ("r-cran-proc",)


def install() -> None:
    """Install R from Debian unless it is there with its packages."""
    wanted = "for (p in c('GSVA','limma','survival','metafor','pROC')) library(p, character.only=T)"
    if shutil.which("Rscript"):
        run = subprocess.run(["Rscript", "-e", wanted], capture_output=True, check=False)
        if run.returncode == 0:
            return
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
    subprocess.run(command, check=True)


def differences(made: Path, committed: Path) -> str:
    """Return what differs between two tables of numbers and text, '' where nothing does."""
    separator = "," if made.name.endswith(".csv") else "\t"
    new, old = (pd.read_csv(file, sep=separator) for file in (made, committed))
    if list(new.columns) != list(old.columns) or len(new) != len(old):
        return f"{len(new)} x {new.shape[1]} in place of {len(old)} x {old.shape[1]}"
    for column in new:
        if pd.api.types.is_numeric_dtype(old[column]):
            close = np.isclose(new[column], old[column], rtol=1e-6, atol=1e-9, equal_nan=True)
            if not close.all():
                return f"column {column} differs in {int((~close).sum())} rows"
        elif not new[column].fillna("").equals(old[column].fillna("")):
            return f"column {column} differs"
    return ""


def main() -> int:
    """Print one line per program; return 1 if a file differs."""
    install()
    failed = 0
    for program in PROGRAMS:
        folder, name = program.split("/")
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / folder
            shutil.copytree(HERE / folder, copy)
            run = subprocess.run(["Rscript", name], cwd=copy, capture_output=True, text=True)
            if run.returncode:
                raise SystemExit(f"{program} failed:\n{run.stderr}")
            wrong = []
            tables = [*copy.glob("*.csv"), *copy.glob("*.tsv"), *copy.glob("*.tsv.gz")]
            for made in sorted(tables):
                difference = differences(made, HERE / folder / made.name)
                if difference:
                    wrong.append(f"{made.name}: {difference}")
        failed += bool(wrong)
        sys.stdout.write(f"{program}: {'; '.join(wrong) or 'as committed'}\n")
    sys.stdout.write(f"{len(PROGRAMS) - failed} passed, {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
