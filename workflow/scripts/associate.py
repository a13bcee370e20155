"""Adaptor of rule associate."""

from cytostrat import associate, signature_scores, tables
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures

with logged(snakemake.log[0], what=f"associate {snakemake.wildcards.cohort}"):
    cohort, scores = tables.read_baseline(snakemake.input.cohort, snakemake.input.scores)
    signatures = read_signatures(snakemake.input.signatures)
    effects = associate.association_effects(
        cohort.obs,
        scores,
        cohort.X,
        cohort.var_names,
        tables.read_table(snakemake.input.coverage, tables.COVERAGE),
        signatures,
        cohort=snakemake.wildcards.cohort,
        sampling=cohort.uns["provenance"]["sampling"],
        null_scores=signature_scores.null_scores(
            cohort,
            associate.judged(signatures),
            **snakemake.params.nulls,
            threads=snakemake.threads,
        ),
        threads=snakemake.threads,
    )
    tables.write_table(effects, snakemake.output[0], tables.EFFECTS)
