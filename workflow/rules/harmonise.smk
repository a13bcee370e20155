# INPUT   a cohort's own files, and the table of gene ids
# OUTPUT  the Cohort table (.h5ad) before exclusions across cohorts, its Flow rows, its patients


rule harmonise:
    input:
        unpack(source_files),
        genes=f"{RESOURCES}/gene_ids.tsv.gz",
    output:
        cohort="<results>/harmonised/{cohort}.h5ad",
        flow="<results>/harmonised/{cohort}.flow.tsv",
        patients="<results>/harmonised/{cohort}.patients.tsv",
    log:
        "<logs>/harmonise/{cohort}.log",
    benchmark:
        "<benchmarks>/harmonise/{cohort}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=lookup(dpath="{cohort}", within=COHORTS),
        code=digest("harmonise"),
        writing=digest("cells.storage"),
    script:
        "../scripts/harmonise.py"
