# INPUT   the seed of the configuration, gene ids, gene sets
# OUTPUT  a cohort in its own dialect, and beside it the truth that was planted


rule simulate:
    input:
        genes=workflow.source_path("../../resources/gene_ids.tsv.gz"),
        signatures=workflow.source_path("../../resources/signatures/signatures.tsv"),
    output:
        "<results>/simulated/{cohort}/truth.tsv",
    log:
        "<logs>/simulate/{cohort}.log",
    benchmark:
        "<benchmarks>/simulate/{cohort}.tsv"
    params:
        seed=RUN.config["simulate"]["seed"],
        code=digest("simulate"),
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../scripts/simulate.py"
