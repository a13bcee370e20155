# INPUT   the Effects rows of every cohort
# OUTPUT  one Effects table with its declared families, and estimates pooled over cohorts


rule meta:
    input:
        patients=expand("<results>/qc/{cohort}.patients.tsv", cohort=COHORTS),
        controls=expand("<results>/qc/{cohort}.controls.tsv", cohort=BULK),
        effects=[
            *expand("<results>/{stage}/{cohort}.tsv", stage=EFFECTS, cohort=BULK),
            *expand("<results>/cells/{cohort}.effects.tsv", cohort=CELLS),
        ],
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
        claims=f"{RESOURCES}/claims.yaml",
        therapies=f"{RESOURCES}/therapies.yaml",
    output:
        effects=report(
            "<results>/tables/effects.tsv",
            caption="../report/effects.rst",
            category="Tables",
            labels={"table": "effects"},
        ),
        pooled=report(
            "<results>/tables/pooled.tsv",
            caption="../report/pooled.rst",
            category="Tables",
            labels={"table": "pooled effects"},
        ),
    log:
        "<logs>/meta.log",
    benchmark:
        "<benchmarks>/meta.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        cohorts=list(COHORTS),
        families=RUN.config["families"],
        methods=RUN.config["methods"],
        rivals=RUN.rivals(),
        code=digest("meta"),
    script:
        "../scripts/meta.py"
