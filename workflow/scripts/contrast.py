"""Adaptor of rule contrast."""

from cytostrat import contrast, signature_scores, tables
from cytostrat.runlog import logged
from cytostrat.signatures import primary, read_signatures

with logged(snakemake.log[0], what=f"contrast {snakemake.wildcards.cohort}"):
    cohort, scores = tables.read_baseline(snakemake.input.cohort, snakemake.input.scores)
    signatures = read_signatures(snakemake.input.signatures)
    effects = contrast.contrast_effects(
        cohort.obs,
        scores,
        tables.read_table(snakemake.input.coverage, tables.COVERAGE),
        signatures,
        cohort=snakemake.wildcards.cohort,
        sampling=cohort.uns["provenance"]["sampling"],
        null_scores=signature_scores.null_scores(
            cohort, primary(signatures), **snakemake.params.nulls, threads=snakemake.threads
        ),
        **snakemake.params.choices,
    )
    tables.write_table(effects, snakemake.output[0], tables.EFFECTS)
