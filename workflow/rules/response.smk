# INPUT   a cohort's response and time points, expression, scores and coverage
# OUTPUT  Effects rows: scores against response, their change under treatment, the 1998 panel


rule response:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        scores="<results>/scores/{cohort}.tsv.gz",
        coverage="<results>/qc/{cohort}.coverage.tsv",
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
    output:
        "<results>/response/{cohort}.tsv",
    log:
        "<logs>/response/{cohort}.log",
    benchmark:
        "<benchmarks>/response/{cohort}.tsv"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        choices=RUN.config["response"],
        nulls=NULLS,
        code=digest("response"),
        scoring=digest("signature_scores"),
    script:
        "../scripts/response.py"
