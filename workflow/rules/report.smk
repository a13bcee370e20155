# INPUT   every table, the cohorts and scores behind them, the therapies
# OUTPUT  results/report.html, the figures as files, and the record of the run


rule report:
    input:
        effects="<results>/tables/effects.tsv",
        pooled="<results>/tables/pooled.tsv",
        verdicts="<results>/tables/verdicts.tsv",
        coverage="<results>/tables/coverage.tsv",
        flow="<results>/tables/flow.tsv",
        cohorts=expand("<results>/cohorts/{cohort}.h5ad", cohort=COHORTS),
        scores=expand("<results>/scores/{cohort}.tsv.gz", cohort=COHORTS),
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
        therapies=f"{RESOURCES}/therapies.yaml",
        claims=f"{RESOURCES}/claims.yaml",
        curves=expand("<results>/survival/{cohort}.curves.tsv.gz", cohort=BULK),
        running=expand("<results>/prerank/{cohort}.running.tsv.gz", cohort=BULK),
        genes=expand("<results>/prerank/{cohort}.genes.tsv.gz", cohort=BULK),
    output:
        html="<results>/report.html",
        figures=directory("<results>/figures"),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    localrule: True
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        config=RUN.config,
        cohort_files=RUN.cohort_files,
        tables=TABLES,
        bulk=BULK,
        code=digest("report"),
    script:
        "../scripts/report.py"


rule provenance:
    input:
        results=[
            "<results>/report.html",
            "<results>/figures",
            *expand("<results>/tables/{table}.tsv", table=TABLES),
            *expand("<results>/cohorts/{cohort}.h5ad", cohort=COHORTS),
            *expand("<results>/scores/{cohort}.tsv.gz", cohort=COHORTS),
            "<results>/signatures/signatures.tsv",
            "<results>/signatures/signatures.gmt",
        ],
        sources=[file for cohort in COHORTS for file in located(cohort).values()],
    output:
        "<results>/provenance.json",
    log:
        "<logs>/provenance.log",
    localrule: True
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=RUN.config,
        cohorts=COHORTS,
        code=digest("provenance"),
    script:
        "../scripts/provenance.py"
            *expand("<results>/cells/{cohort}.h5ad", cohort=CELLS),
