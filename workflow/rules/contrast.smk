# INPUT   a cohort's clinical columns, expression, scores and coverage
# OUTPUT  Effects rows: HER2-positive against negative and by ER, crude and adjusted, with the
#         random-set null; under other HER2 rules; without the amplicon's genes; labels permuted


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
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        choices=RUN.config["contrast"],
        nulls=NULLS,
        code=digest("contrast"),
        scoring=digest("signature_scores"),
    script:
        "../scripts/contrast.py"


rule sensitivity:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        scores="<results>/scores/{cohort}.tsv.gz",
        coverage="<results>/qc/{cohort}.coverage.tsv",
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
        filters=f"{RESOURCES}/amplicon.tsv",
    output:
        "<results>/sensitivity/{cohort}.tsv",
    log:
        "<logs>/sensitivity/{cohort}.log",
    benchmark:
        "<benchmarks>/sensitivity/{cohort}.tsv"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        common=GROUPS,
        adjustment=RUN.config["contrast"]["adjustment"],
        methods=RUN.config["methods"],
        permutations=PERMUTATIONS,
        nulls=NULLS,
        code=digest("contrast"),
        scoring=digest("signature_scores"),
    script:
        "../scripts/sensitivity.py"


rule prerank:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        scores="<results>/scores/{cohort}.tsv.gz",
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
    output:
        effects="<results>/prerank/{cohort}.tsv",
        genes="<results>/prerank/{cohort}.genes.tsv.gz",
        running="<results>/prerank/{cohort}.running.tsv.gz",
    log:
        "<logs>/prerank/{cohort}.log",
    benchmark:
        "<benchmarks>/prerank/{cohort}.tsv"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        common=GROUPS,
        adjustment=RUN.config["contrast"]["adjustment"],
        permutations=PERMUTATIONS,
        code=digest("contrast"),
    script:
        "../scripts/prerank.py"
