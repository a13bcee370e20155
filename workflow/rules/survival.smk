# INPUT   a cohort's endpoints, scores and coverage
# OUTPUT  Effects rows: hazard ratio per SD of each score; Kaplan-Meier curves for the eye


rule survival:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        scores="<results>/scores/{cohort}.tsv.gz",
        coverage="<results>/qc/{cohort}.coverage.tsv",
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
    output:
        effects="<results>/survival/{cohort}.tsv",
        curves="<results>/survival/{cohort}.curves.tsv.gz",
    log:
        "<logs>/survival/{cohort}.log",
    benchmark:
        "<benchmarks>/survival/{cohort}.tsv"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        endpoints=RUN.config["survival"]["endpoints"],
        choices=SURVIVAL,
        method=RUN.config["methods"][0],
        proliferation=RUN.config["contrast"]["covariate_signatures"]["proliferation"],
        nulls=NULLS,
        code=digest("survival"),
        scoring=digest("signature_scores"),
    script:
        "../scripts/survival.py"
