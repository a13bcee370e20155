# INPUT   a cohort's expression, clinical columns, scores and coverage
# OUTPUT  Effects rows: associations between signatures, genes, stage and infiltration


rule associate:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        scores="<results>/scores/{cohort}.tsv.gz",
        coverage="<results>/qc/{cohort}.coverage.tsv",
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
    output:
        "<results>/associate/{cohort}.tsv",
    log:
        "<logs>/associate/{cohort}.log",
    benchmark:
        "<benchmarks>/associate/{cohort}.tsv"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        nulls=NULLS,
        code=digest("associate"),
        scoring=digest("signature_scores"),
    script:
        "../scripts/associate.py"
