# INPUT   a cohort's clinical columns, scores and coverage
# OUTPUT  Effects rows: HER2-positive against negative, crude and adjusted, and by ER


rule contrast:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        scores="<results>/scores/{cohort}.tsv.gz",
        coverage="<results>/qc/{cohort}.coverage.tsv",
        signatures=workflow.source_path("../../resources/signatures/signatures.tsv"),
        user=GENE_SETS,
    output:
        "<results>/contrast/{cohort}.tsv",
    log:
        "<logs>/contrast/{cohort}.log",
    benchmark:
        "<benchmarks>/contrast/{cohort}.tsv"
    params:
        choices=RUN.config["contrast"],
        gene_sets=RUN.gene_sets,
        code=digest("contrast"),
    resources:
        mem_mb=2000,
        runtime=20,
    script:
        "../scripts/contrast.py"
