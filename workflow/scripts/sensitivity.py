"""Adaptor of rule sensitivity."""

from cytostrat import contrast, signature_scores, tables
from cytostrat.runlog import logged
from cytostrat.signatures import primary, read_gene_filters, read_signatures

with logged(snakemake.log[0], what=f"sensitivity {snakemake.wildcards.cohort}"):
    cohort, scores = tables.read_baseline(snakemake.input.cohort, snakemake.input.scores)
    signatures = read_signatures(snakemake.input.signatures)
    coverage = tables.read_table(snakemake.input.coverage, tables.COVERAGE)
    filters = read_gene_filters(snakemake.input.filters)
    data = (cohort.obs, scores, coverage, signatures)
    common = {"cohort": snakemake.wildcards.cohort, **snakemake.params.common}
    common["sampling"] = cohort.uns["provenance"]["sampling"]
    options = {"methods": snakemake.params.methods, "threads": snakemake.threads}
    rules = contrast.sensitivity_effects(
        *data,
        **common,
        adjustment=snakemake.params.adjustment,
        filter_genes=filters,
        filter_scores=signature_scores.filtered_scores(cohort, signatures, filters, **options),
        erbb2=signature_scores.expression_of(cohort, ["ERBB2"]).get("ERBB2"),
        null_scores=signature_scores.null_scores(
            cohort, primary(signatures), **snakemake.params.nulls, threads=snakemake.threads
        ),
    )
    permuted = contrast.permuted_effects(*data, **common, **snakemake.params.permutations)
    tables.write_table(
        tables.EFFECTS.concat([rules, permuted]), snakemake.output[0], tables.EFFECTS
    )
