"""Adaptor of rule score."""

from cytostrat import score, tables
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures

with logged(snakemake.log[0], what=f"score {snakemake.wildcards.cohort}"):
    cohort = tables.read_cohort(snakemake.input.cohort)
    scores, coverage = score.score_cohort(
        cohort.X,
        cohort.obs_names,
        cohort.var_names,
        read_signatures(snakemake.input.signatures),
        cohort=snakemake.wildcards.cohort,
        methods=snakemake.params.methods,
        min_coverage=snakemake.params.min_coverage,
        threads=snakemake.threads,
    )
    tables.write_table(scores, snakemake.output.scores, tables.SCORES)
    tables.write_table(coverage, snakemake.output.coverage, tables.COVERAGE)
