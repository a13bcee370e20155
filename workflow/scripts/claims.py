"""Adaptor of rule claims."""

from cytostrat import claims, tables
from cytostrat.knowledge import read_claims, read_therapies
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures

with logged(snakemake.log[0], what="claims"):
    signatures = read_signatures(snakemake.input.signatures)
    therapies = read_therapies(snakemake.input.therapies, signatures=signatures)
    verdicts = claims.judge(
        read_claims(snakemake.input.claims, therapies=therapies, signatures=signatures),
        tables.read_table(snakemake.input.effects, tables.EFFECTS),
        tables.read_table(snakemake.input.pooled, tables.POOLED),
        cohorts=snakemake.params.kinds,
        method=snakemake.params.method,
    )
    tables.write_table(verdicts, snakemake.output[0], tables.VERDICTS)
