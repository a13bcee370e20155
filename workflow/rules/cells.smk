# INPUT   a harmonised single-cell cohort, signatures, the map and the markers of cell types
# OUTPUT  the cells that are analysed, their scores and types, sums per patient and cell type,
#         Scores and Coverage of the sums, Effects rows with the patient as the unit, a picture


rule cells_check:
    input:
        cohort="<results>/harmonised/{cohort}.h5ad",
        earlier=earlier_patients,
    output:
        cells=temp("<results>/cells/{cohort}.check.{part}.tsv.gz"),
        limits=temp("<results>/cells/{cohort}.limits.{part}.tsv"),
    log:
        "<logs>/cells_check/{cohort}.{part}.log",
    benchmark:
        "<benchmarks>/cells_check/{cohort}.{part}.tsv"
    wildcard_constraints:
        cohort=one_of(CELLS),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        spec=lookup(dpath="{cohort}", within=COHORTS),
        rules=RUN.config["cells"]["quality"],
        seed=RUN.config["nulls"]["seed"],
        jobs=CELL_JOBS,
        code=digest("cells"),
        shared=digest("qc"),
    script:
        "../scripts/cells_check.py"


rule cells_quality:
    input:
        cohort="<results>/harmonised/{cohort}.h5ad",
        flow="<results>/harmonised/{cohort}.flow.tsv",
        earlier=earlier_patients,
        cells=expand(
            "<results>/cells/{{cohort}}.check.{part}.tsv.gz", part=range(CELL_JOBS)
        ),
        limits=expand(
            "<results>/cells/{{cohort}}.limits.{part}.tsv", part=range(CELL_JOBS)
        ),
    output:
        cohort="<results>/cohorts/{cohort}.h5ad",
        flow="<results>/qc/{cohort}.flow.tsv",
        limits="<results>/qc/{cohort}.limits.tsv",
        patients="<results>/qc/{cohort}.patients.tsv",
    log:
        "<logs>/cells_quality/{cohort}.log",
    benchmark:
        "<benchmarks>/cells_quality/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of(CELLS),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        spec=lookup(dpath="{cohort}", within=COHORTS),
        rules=RUN.config["cells"]["quality"],
        code=digest("cells"),
        shared=digest("qc"),
    script:
        "../scripts/cells_quality.py"


rule cells_profile:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
        markers=f"{RESOURCES}/lineage_markers.tsv",
    output:
        temp("<results>/cells/{cohort}.profile.{part}.npz"),
    log:
        "<logs>/cells_profile/{cohort}.{part}.log",
    benchmark:
        "<benchmarks>/cells_profile/{cohort}.{part}.tsv"
    wildcard_constraints:
        cohort=one_of(CELLS),
    threads: 2
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        jobs=CELL_JOBS,
        genes=RUN.config["cells"]["genes"],
        methods=RUN.config["cells"]["methods"],
        code=digest("cells"),
    script:
        "../scripts/cells_profile.py"


rule cells_label:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        profiles=expand(
            "<results>/cells/{{cohort}}.profile.{part}.npz", part=range(CELL_JOBS)
        ),
        celltypes=f"{RESOURCES}/celltypes.tsv",
    output:
        cells="<results>/cells/{cohort}.labels.tsv.gz",
        report="<results>/qc/{cohort}.labels.tsv",
        agreement="<results>/qc/{cohort}.agreement.tsv",
    log:
        "<logs>/cells_label/{cohort}.log",
    benchmark:
        "<benchmarks>/cells_label/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of(CELLS),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        margin=RUN.config["cells"]["margin"],
        code=digest("cells"),
    script:
        "../scripts/cells_label.py"


rule cells_pseudobulk:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        labels="<results>/cells/{cohort}.labels.tsv.gz",
    output:
        temp("<results>/cells/{cohort}.pseudobulk.{part}.npz"),
    log:
        "<logs>/cells_pseudobulk/{cohort}.{part}.log",
    benchmark:
        "<benchmarks>/cells_pseudobulk/{cohort}.{part}.tsv"
    wildcard_constraints:
        cohort=one_of(CELLS),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        jobs=CELL_JOBS,
        code=digest("cells"),
    script:
        "../scripts/cells_pseudobulk.py"


rule cells_summary:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        labels="<results>/cells/{cohort}.labels.tsv.gz",
        profiles=expand(
            "<results>/cells/{{cohort}}.profile.{part}.npz", part=range(CELL_JOBS)
        ),
        pseudobulk=expand(
            "<results>/cells/{{cohort}}.pseudobulk.{part}.npz", part=range(CELL_JOBS)
        ),
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
    output:
        scores="<results>/scores/{cohort}.tsv.gz",
        coverage="<results>/qc/{cohort}.coverage.tsv",
        effects="<results>/cells/{cohort}.effects.tsv",
        sources="<results>/cells/{cohort}.sources.tsv",
        composition="<results>/cells/{cohort}.composition.tsv",
        depth="<results>/cells/{cohort}.depth.tsv",
    log:
        "<logs>/cells_summary/{cohort}.log",
    benchmark:
        "<benchmarks>/cells_summary/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of(CELLS),
    threads: 2
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        methods=RUN.config["methods"],
        min_coverage=RUN.config["signatures"]["min_coverage"],
        choices={
            key: RUN.config["cells"][key]
            for key in ("genes", "coupling", "min_cells", "min_group")
        },
        code=digest("cells"),
    script:
        "../scripts/cells_summary.py"


rule cells_picture:
    input:
        cohort="<results>/cohorts/{cohort}.h5ad",
        labels="<results>/cells/{cohort}.labels.tsv.gz",
        profiles=expand(
            "<results>/cells/{{cohort}}.profile.{part}.npz", part=range(CELL_JOBS)
        ),
        signatures="<results>/signatures/signatures.tsv",
        sets="<results>/signatures/signatures.gmt",
    output:
        cells="<results>/cells/{cohort}.h5ad",
        drawn="<results>/cells/{cohort}.drawn.tsv.gz",
    log:
        "<logs>/cells_picture/{cohort}.log",
    benchmark:
        "<benchmarks>/cells_picture/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of(CELLS),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        max_cells=RUN.config["cells"]["drawn"],
        seed=RUN.config["nulls"]["seed"],
        code=digest("cells"),
    script:
        "../scripts/cells_picture.py"
