"""Adaptor of rule survival."""

from cytostrat import signature_scores, survival, tables
from cytostrat.runlog import logged
from cytostrat.signatures import primary, read_signatures

with logged(snakemake.log[0], what=f"survival {snakemake.wildcards.cohort}"):
    params, cohort = snakemake.params, tables.read_cohort(snakemake.input.cohort)
    signatures = read_signatures(snakemake.input.signatures)
    scores = tables.read_table(snakemake.input.scores, tables.SCORES)
    common = {"cohort": snakemake.wildcards.cohort, "endpoints": params.endpoints or None}
    common["records"] = cohort.uns["provenance"]["endpoints"]
    effects = survival.survival_effects(
        cohort.obs,
        scores,
        tables.read_table(snakemake.input.coverage, tables.COVERAGE),
        signatures,
        **common,
        **params.choices,
        sampling=cohort.uns["provenance"]["sampling"],
        proliferation=tables.score_of(scores, params.proliferation, params.method),
        null_scores=signature_scores.null_scores(
            cohort, primary(signatures), **params.nulls, threads=snakemake.threads
        ),
    )
    curves = survival.km_curves(
        cohort.obs, scores, **common, signatures=list(primary(signatures)), method=params.method
    )
    tables.write_table(effects, snakemake.output.effects, tables.EFFECTS)
    tables.write_frame(curves, snakemake.output.curves)
