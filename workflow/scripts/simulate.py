"""Adaptor of rule simulate."""

from pathlib import Path

from cytostrat.genes import read_gene_table
from cytostrat.signatures import read_signatures

from cytostrat import simulate, tables
from cytostrat.runlog import logged

with logged(snakemake.log[0], what=f"simulate {snakemake.wildcards.cohort}"):
    cohort = simulate.simulate_cohort(
        snakemake.wildcards.cohort,
        seed=snakemake.params.seed,
        genes=read_gene_table(snakemake.input.genes),
        signatures=read_signatures(snakemake.input.signatures),
    )
    folder = Path(snakemake.output[0]).parent
    for name, content in cohort.files().items():
        tables.write_bytes(folder / name, content)
