# INPUT   effects and pooled effects, the claims of the documents, the therapies
# OUTPUT  a verdict per claim and cohort, and pooled, by the one rule of claims.yaml


rule claims:
    input:
        effects="<results>/tables/effects.tsv",
        pooled="<results>/tables/pooled.tsv",
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
        claims=f"{RESOURCES}/claims.yaml",
        therapies=f"{RESOURCES}/therapies.yaml",
    output:
        report(
            "<results>/tables/verdicts.tsv",
            caption="../report/verdicts.rst",
            category="Tables",
            labels={"table": "verdicts"},
        ),
    log:
        "<logs>/claims.log",
    benchmark:
        "<benchmarks>/claims.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        kinds={name: cohort["kind"] for name, cohort in COHORTS.items()},
        method=RUN.config["methods"][0],
        code=digest("claims"),
    script:
        "../scripts/claims.py"
