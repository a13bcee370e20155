"""Adaptor of rule response."""

from cytostrat import response, signature_scores, tables
from cytostrat.runlog import logged
from cytostrat.signatures import primary, read_signatures

with logged(snakemake.log[0], what=f"response {snakemake.wildcards.cohort}"):
    cohort = tables.read_cohort(snakemake.input.cohort)
    provenance = cohort.uns["provenance"]
    signatures = read_signatures(snakemake.input.signatures)
    effects = response.response_effects(
        cohort.obs,
        tables.read_table(snakemake.input.scores, tables.SCORES),
        tables.read_table(snakemake.input.coverage, tables.COVERAGE),
        signatures,
        cohort=snakemake.wildcards.cohort,
        expression=signature_scores.expression_of(cohort, response.PANEL_1998),
        definition=provenance["response"]["definition"],
        sampling=provenance["sampling"],
        null_scores=signature_scores.null_scores(
            cohort, primary(signatures), **snakemake.params.nulls, threads=snakemake.threads
        ),
        null_genes=signature_scores.null_expression(cohort, **snakemake.params.nulls),
        **snakemake.params.choices,
    )
    tables.write_table(effects, snakemake.output[0], tables.EFFECTS)
