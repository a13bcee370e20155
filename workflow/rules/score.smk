# INPUT   a cohort and the gene sets
# OUTPUT  a score per sample, signature and method; how much of each set the cohort measures


rule score:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
    output:
        scores="<results>/scores/{cohort}.tsv.gz",
        coverage="<results>/qc/{cohort}.coverage.tsv",
    log:
        "<logs>/score/{cohort}.log",
    benchmark:
        "<benchmarks>/score/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of(BULK),
    threads: 2
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        methods=RUN.config["methods"],
        min_coverage=RUN.config["signatures"]["min_coverage"],
        code=digest("score"),
    script:
        "../scripts/score.py"
