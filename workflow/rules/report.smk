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
        sources=expand("<results>/cells/{cohort}.sources.tsv", cohort=CELLS),
        composition=expand("<results>/cells/{cohort}.composition.tsv", cohort=CELLS),
        drawn=expand("<results>/cells/{cohort}.drawn.tsv.gz", cohort=CELLS),
        agreement=expand("<results>/qc/{cohort}.agreement.tsv", cohort=CELLS),
        depth=expand("<results>/cells/{cohort}.depth.tsv", cohort=CELLS),
    output:
        html=report(
            "<results>/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"file": "the report for readers"},
        ),
        signatures=report(
            directory("<results>/figures/signatures"),
            patterns=["{signature}/{figure}.svg"],
            caption="../report/signatures.rst",
            category="Signatures",
            subcategory="{signature}",
            labels={"figure": "{figure}"},
        ),
        outcome=report(
            directory("<results>/figures/outcome"),
            patterns=["{figure}.svg"],
            caption="../report/outcome.rst",
            category="Outcome",
            labels={"figure": "{figure}"},
        ),
        response=report(
            directory("<results>/figures/response"),
            patterns=["{figure}.svg"],
            caption="../report/response.rst",
            category="Response",
            labels={"figure": "{figure}"},
        ),
        cells=report(
            directory("<results>/figures/cells"),
            patterns=["{cohort}/{figure}.svg"],
            caption="../report/cells.rst",
            category="Cells",
            subcategory="{cohort}",
            labels={"figure": "{figure}"},
        ),
        relations=report(
            directory("<results>/figures/relations"),
            patterns=["{figure}.svg"],
            caption="../report/relations.rst",
            category="Relations of signatures",
            labels={"figure": "{figure}"},
        ),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    localrule: True
    threads: 2
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        config=RUN.config,
        config_file=os.path.relpath(CONFIG_FILE, HOME),
        cohort_files=RUN.cohort_files,
        tables=TABLES,
        figures=FIGURES,
        bulk=BULK,
        cells=CELLS,
        frames=["sources", "composition", "drawn", "agreement", "depth"],
        code=digest("report"),
    script:
        "../scripts/report.py"


rule provenance:
    input:
        results=[
            "<results>/report.html",
            *expand("<results>/figures/{kind}", kind=FIGURES),
            *expand("<results>/tables/{table}.tsv", table=TABLES),
            *expand("<results>/cohorts/{cohort}.h5ad", cohort=COHORTS),
            *expand("<results>/scores/{cohort}.tsv.gz", cohort=COHORTS),
            *expand("<results>/cells/{cohort}.h5ad", cohort=CELLS),
            "<results>/signatures/signatures.tsv",
            "<results>/signatures/signatures.gmt",
        ],
        sources=[file for cohort in COHORTS for file in located(cohort).values()],
    output:
        "<results>/provenance.json",
    log:
        "<logs>/provenance.log",
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=RUN.config,
        cohorts=COHORTS,
        code=digest("provenance"),
    script:
        "../scripts/provenance.py"
