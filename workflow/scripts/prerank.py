"""Adaptor of rule prerank."""

from cytostrat import contrast, tables
from cytostrat.runlog import logged
from cytostrat.signatures import primary, read_signatures

with logged(snakemake.log[0], what=f"prerank {snakemake.wildcards.cohort}"):
    cohort, _ = tables.read_baseline(snakemake.input.cohort, snakemake.input.scores)
    found = contrast.prerank(
        cohort.X,
        cohort.var_names,
        cohort.obs,
        primary(read_signatures(snakemake.input.signatures)),
        cohort=snakemake.wildcards.cohort,
        **snakemake.params.common,
        **snakemake.params.permutations,
        adjustment=snakemake.params.adjustment,
        threads=snakemake.threads,
    )
    tables.write_table(found.effects, snakemake.output.effects, tables.EFFECTS)
    tables.write_frame(found.genes, snakemake.output.genes)
    tables.write_frame(found.running, snakemake.output.running)
