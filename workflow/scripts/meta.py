"""Adaptor of rule meta."""

from cytostrat import meta, tables
from cytostrat.configfile import family_selectors
from cytostrat.knowledge import read_claims, read_therapies
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures
from cytostrat.stats.multiplicity import assign_families

with logged(snakemake.log[0], what="meta"):
    signatures = read_signatures(snakemake.input.signatures)
    families = family_selectors(
        snakemake.params.families,
        roles={name: signature.role for name, signature in signatures.items()},
        primary_method=snakemake.params.methods[0],
    )
    files = [*snakemake.input.controls, *snakemake.input.effects]
    found = [tables.read_table(file, tables.EFFECTS) for file in files]
    effects = assign_families(tables.EFFECTS.concat(found), families)
    therapies = read_therapies(snakemake.input.therapies, signatures=signatures)
    claims = read_claims(snakemake.input.claims, signatures=signatures, therapies=therapies)
    patients = map(tables.read_lines, snakemake.input.patients)
    pooled = meta.pool_effects(
        effects,
        patients=dict(zip(snakemake.params.cohorts, patients, strict=True)),
        rivals=snakemake.params.rivals,
        adjustments=claims.adjustments,
    )
    random = {name: columns | {"model": ["random"]} for name, columns in families.items()}
    pooled = assign_families(pooled, random)
    tables.write_table(effects, snakemake.output.effects, tables.EFFECTS)
    tables.write_table(pooled, snakemake.output.pooled, tables.POOLED)
