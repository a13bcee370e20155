# cytostrat: which breast tumours carry an IL1, interferon or IL-2 signal, does it differ by
# HER2 status, and what does that mean for the cytokine therapies that have been tried?
#
# Reads from top to bottom as the analysis. Every choice is in the configuration
# (config/config.yaml), every table in workflow/cytostrat/tables.py.

from snakemake.utils import min_version

min_version("9.27")


HOME = workflow.current_basedir.get_path_or_uri(secret_free=True)

# A configuration given on the command line stands alone; the demo is the default.
if "cohorts" not in config:

    configfile: f"{HOME}/config/config.yaml"


pathvars:
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


include: "workflow/rules/common.smk"
include: "workflow/rules/signatures.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/harmonise.smk"
include: "workflow/rules/qc.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/contrast.smk"
include: "workflow/rules/associate.smk"
include: "workflow/rules/survival.smk"
include: "workflow/rules/response.smk"
include: "workflow/rules/cells.smk"
include: "workflow/rules/meta.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "<results>/report.html",
        "<results>/provenance.json",


onstart:
    FOLLOWER.start(
        logger,
        planned=planned_jobs(workflow.dag),
        up_to_date=jobs_up_to_date(workflow.dag),
        quietness=Quietness.PROGRESS,
    )


onsuccess:
    print(summary())


onerror:
    print(summary())
