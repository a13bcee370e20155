"""Adaptor of rule contrast."""

from cytostrat import contrast, tables
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures

with logged(snakemake.log[0], what=f"contrast {snakemake.wildcards.cohort}"):
    cohort = tables.read_cohort(snakemake.input.cohort)
    effects = contrast.contrast_effects(
        cohort.obs,
        tables.read_table(snakemake.input.scores, tables.SCORES),
        tables.read_table(snakemake.input.coverage, tables.COVERAGE),
        read_signatures(snakemake.input.signatures),
        cohort=snakemake.wildcards.cohort,
        sampling=cohort.uns["provenance"]["sampling"],
        **snakemake.params.choices,
    )
    tables.write_table(effects, snakemake.output[0], tables.EFFECTS)
