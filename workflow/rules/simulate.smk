# INPUT   the seed of the configuration, gene ids, gene sets
# OUTPUT  a cohort in its own dialect, and beside it the truth that was planted

# Each simulated cohort has files of its own names, which one rule with a wildcard can't say.
for cohort in SIMULATED:

    rule:
        name:
            f"simulate_{cohort}"
        input:
            genes=f"{RESOURCES}/gene_ids.tsv.gz",
            signatures=f"{RESOURCES}/signatures/signatures.tsv",
            sets=SHIPPED_SETS,
        output:
            simulated_files(cohort),
        log:
            f"<logs>/simulate/{cohort}.log",
        benchmark:
            f"<benchmarks>/simulate/{cohort}.tsv"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            cohort=cohort,
            seed=RUN.config["simulate"]["seed"],
            code=digest("simulate"),
        script:
            "../scripts/simulate.py"
