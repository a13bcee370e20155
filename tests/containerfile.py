"""Write the Containerfile from the lock file: ``python -m tests.containerfile``.

tests/unit/test_containerfile.py fails while the recipe is behind.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "Containerfile"
SHOWN = ("snakemake", "snakemake-executor-plugin-slurm")


def python_version() -> str:
    """Return the newest Python that the project and hence the lock file allow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    beyond = re.search(r"<3\.(\d+)", project["requires-python"])
    return f"3.{int(beyond.group(1)) - 1}"


def locked(name: str) -> str:
    """Return the version of a package in the lock file."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return re.search(rf"^{re.escape(name)}==(\S+)", text, re.MULTILINE).group(1)


def recipe() -> str:
    """Return the text of the recipe."""
    versions = "\n".join(f'LABEL {name}="{locked(name)}"' for name in SHOWN)
    return f"""# Made from requirements.lock by: python -m tests.containerfile
# The same environment as `make` sets up, for sites that need a container: docs/operations.md.
FROM python:{python_version()}-slim
{versions}
# git: the commit in provenance.json; procps: peak memory of jobs
RUN apt-get update && apt-get install -y --no-install-recommends git procps \\
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/cytostrat
COPY requirements.lock ./
RUN python -m pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN python -m pip install --no-cache-dir --no-deps --no-build-isolation -e .
# Any user may run it in any directory: fonts and compiled loops are cached outside of /root.
ENV MPLCONFIGDIR=/tmp/matplotlib NUMBA_CACHE_DIR=/tmp/numba XDG_CACHE_HOME=/tmp/cache
WORKDIR /work
ENTRYPOINT ["python", "-m", "snakemake", "--snakefile", "/opt/cytostrat/Snakefile"]
CMD ["--cores", "2"]
"""


if __name__ == "__main__":
    RECIPE.write_text(recipe(), encoding="utf-8")
