# INPUT   a cohort's clinical columns, scores and coverage
# OUTPUT  Effects rows: HER2-positive against negative, crude and adjusted, and by ER


rule contrast:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        scores="<results>/scores/{cohort}.tsv.gz",
        coverage="<results>/qc/{cohort}.coverage.tsv",
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
    output:
        "<results>/contrast/{cohort}.tsv",
    log:
        "<logs>/contrast/{cohort}.log",
    benchmark:
        "<benchmarks>/contrast/{cohort}.tsv"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        choices=RUN.config["contrast"],
        code=digest("contrast"),
    script:
        "../scripts/contrast.py"
