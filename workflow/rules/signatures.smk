# INPUT   the shipped gene sets and the user's own
# OUTPUT  the gene sets of this run, in approved symbols: what every later stage reads


rule signatures:
    input:
        table=f"{RESOURCES}/signatures/signatures.tsv",
        sets=SHIPPED_SETS,
        user=[file for pair in RUN.gene_sets for file in pair if file],
        genes=f"{RESOURCES}/gene_ids.tsv.gz",
    output:
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
    log:
        "<logs>/signatures.log",
    benchmark:
        "<benchmarks>/signatures.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        user=RUN.gene_sets,
        code=digest("signatures"),
    script:
        "../scripts/signatures.py"
