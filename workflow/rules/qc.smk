# INPUT   a harmonised cohort, and the patients of earlier cohorts of its namespace
# OUTPUT  the Cohort table that everything after works on; every exclusion as a Flow row


rule qc:
    input:
        cohort="<results>/harmonised/{cohort}.h5ad",
        flow="<results>/harmonised/{cohort}.flow.tsv",
        earlier=earlier_patients,
    output:
        cohort="<results>/cohorts/{cohort}.h5ad",
        flow="<results>/qc/{cohort}.flow.tsv",
        controls="<results>/qc/{cohort}.controls.tsv",
        patients="<results>/qc/{cohort}.patients.tsv",
    log:
        "<logs>/qc/{cohort}.log",
    benchmark:
        "<benchmarks>/qc/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of(BULK),
    threads: 1
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        spec=lookup(dpath="{cohort}", within=COHORTS),
        code=digest("qc"),
    script:
        "../scripts/qc.py"


rule quality:
    input:
        flow=expand("<results>/qc/{cohort}.flow.tsv", cohort=COHORTS),
        coverage=expand("<results>/qc/{cohort}.coverage.tsv", cohort=COHORTS),
    output:
        flow=report(
            "<results>/tables/flow.tsv",
            caption="../report/flow.rst",
            category="Tables",
            labels={"table": "flow"},
        ),
        coverage=report(
            "<results>/tables/coverage.tsv",
            caption="../report/coverage.rst",
            category="Tables",
            labels={"table": "coverage"},
        ),
    log:
        "<logs>/quality.log",
    benchmark:
        "<benchmarks>/quality.tsv"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        min_coverage=RUN.config["signatures"]["min_coverage"],
        code=digest("tables"),
    script:
        "../scripts/quality.py"
