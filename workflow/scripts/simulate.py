"""Adaptor of the simulate rules."""

from pathlib import Path

from cytostrat import simulate, tables
from cytostrat.genes import read_gene_table
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures

with logged(snakemake.log[0], what=f"simulate {snakemake.params.cohort}"):
    cohort = simulate.simulate_cohort(
        snakemake.params.cohort,
        seed=snakemake.params.seed,
        genes=read_gene_table(snakemake.input.genes),
        signatures=read_signatures(snakemake.input.signatures),
    )
    folder = Path(snakemake.output[0]).parent
    for name, content in cohort.files().items():
        tables.write_bytes(folder / name, content)
