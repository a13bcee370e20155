# Load, validate, constrain, digest; nothing else.

import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.enums import Quietness

WORKFLOW = Path(HOME) / "workflow"
RESOURCES = Path(HOME) / "resources"
sys.path.insert(0, str(WORKFLOW))

from cytostrat.cohortfile import is_url
from cytostrat.configfile import load_run, remote_place
from cytostrat.digest import digest
from cytostrat.errors import CytostratError
from cytostrat.following import Follower, cohort_warnings
from cytostrat.runlog import import_from

# A rule's script imports the package of this checkout, installed or not.
import_from(WORKFLOW)

CONFIG_FILE = os.path.relpath(
    (workflow.overwrite_configfiles or [f"{HOME}/config/config.yaml"])[-1]
)
try:
    RUN = load_run(config, file=CONFIG_FILE)
    REMOTES = RUN.remotes()
except CytostratError as error:
    raise WorkflowError(str(error)) from None

COHORTS = RUN.cohorts
BULK = RUN.names("bulk")
CELLS = RUN.names("single_cell")
SIMULATED = [name for name, cohort in COHORTS.items() if cohort["simulated"]]
EFFECTS = ["contrast", "sensitivity", "prerank", "associate", "survival", "response"]
TABLES = ["effects", "pooled", "verdicts", "coverage", "flow"]
FIGURES = ["signatures", "outcome", "response", "cells", "relations"]
NULLS = {key: RUN.config["nulls"][key] for key in ("sets", "seed")}
PERMUTATIONS = {
    "n_permutations": RUN.config["nulls"]["permutations"],
    "seed": RUN.config["nulls"]["seed"],
}
GROUPS = {"min_group": RUN.config["contrast"]["min_group"]}
SURVIVAL = {
    **{
        key: RUN.config["survival"][key]
        for key in ("adjustment", "richer", "bootstrap")
    },
    "seed": RUN.config["nulls"]["seed"],
}
CELL_JOBS = RUN.config["cells"]["jobs"]
SHIPPED_SETS = sorted(map(str, RESOURCES.glob("signatures/*.gmt")))
FOLLOWER = Follower()


wildcard_constraints:
    cohort="|".join(map(re.escape, COHORTS)),
    part=r"\d+",
    remote="|".join(map(re.escape, REMOTES)) or "none",


def one_of(cohorts):
    """Pattern of a wildcard that takes these cohorts only."""
    return "|".join(map(re.escape, cohorts)) or "(?!)"


def located(cohort):
    """Local files of a cohort: paths as they are, others below the results."""
    return {
        key: (
            f"<results>/fetched/{remote_place(location)}"
            if is_url(location)
            else location.replace("simulated:", f"<results>/simulated/{cohort}/")
        )
        for key, location in COHORTS[cohort]["files"].items()
    }


def remote_source(wildcards):
    """Address, checksum and size of a file that is downloaded."""
    return REMOTES[wildcards.remote]._asdict()


def source_files(wildcards):
    """Local files of the cohort of a job."""
    return located(wildcards.cohort)


def simulated_files(cohort):
    """Files that a simulated cohort is made of, and the truth beside them."""
    names = [
        location.removeprefix("simulated:")
        for location in COHORTS[cohort]["files"].values()
    ]
    return expand(
        "<results>/simulated/{cohort}/{name}",
        cohort=cohort,
        name=[*names, "truth.tsv", "latents.tsv"],
    )


def earlier_patients(wildcards):
    """Patient lists of earlier cohorts whose patients are numbered by the same namespace."""
    return expand(
        "<results>/harmonised/{cohort}.patients.tsv",
        cohort=RUN.earlier(wildcards.cohort),
    )


def planned_jobs(dag):
    """Jobs of this run by rule."""
    return {rule: count for rule, count in dag.stats()[1].items() if rule != "total"}


def jobs_up_to_date(dag):
    """How many jobs need not run."""
    return sum(1 for job in dag.jobs) - len(list(dag.needrun_jobs()))


def summary():
    """What ran, what did not and why, warnings by cohort, where the report is."""
    place = workflow.pathvars.apply
    files = {name: place(f"<results>/cohorts/{name}.h5ad") for name in COHORTS}
    return FOLLOWER.summary(
        warnings=cohort_warnings(files), report=place("<results>/report.html")
    )
