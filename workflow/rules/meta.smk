# INPUT   the Effects rows of every cohort
# OUTPUT  one Effects table with its declared families, and estimates pooled over cohorts


rule meta:
    input:
        effects=expand("<results>/{stage}/{cohort}.tsv", stage=EFFECTS, cohort=BULK),
        signatures=workflow.source_path("../../resources/signatures/signatures.tsv"),
        user=GENE_SETS,
    output:
        effects="<results>/tables/effects.tsv",
        pooled="<results>/tables/pooled.tsv",
    log:
        "<logs>/meta.log",
    benchmark:
        "<benchmarks>/meta.tsv"
    params:
        families=RUN.config["families"],
        methods=RUN.config["methods"],
        gene_sets=RUN.gene_sets,
        code=digest("meta"),
    resources:
        mem_mb=2000,
        runtime=20,
    script:
        "../scripts/meta.py"
