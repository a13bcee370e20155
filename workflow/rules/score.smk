# INPUT   a cohort and the gene sets
# OUTPUT  a score per sample, signature and method; how much of each set the cohort measures


rule score:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        signatures=workflow.source_path("../../resources/signatures/signatures.tsv"),
        user=GENE_SETS,
    output:
        scores="<results>/scores/{cohort}.tsv.gz",
        coverage="<results>/qc/{cohort}.coverage.tsv",
    log:
        "<logs>/score/{cohort}.log",
    benchmark:
        "<benchmarks>/score/{cohort}.tsv"
    params:
        methods=RUN.config["methods"],
        min_coverage=RUN.config["signatures"]["min_coverage"],
        gene_sets=RUN.gene_sets,
        code=digest("score"),
    threads: 2
    resources:
        mem_mb=3000,
        runtime=30,
    script:
        "../scripts/score.py"
