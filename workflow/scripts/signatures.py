"""Adaptor of rule signatures."""

from pathlib import Path

from cytostrat import tables
from cytostrat.genes import read_index
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures, written

with logged(snakemake.log[0], what="signatures"):
    genes = read_index(snakemake.input.genes)
    signatures = read_signatures(
        snakemake.input.table,
        user=snakemake.params.user,
        symbols=lambda symbol: genes.resolve(symbol)[0] or symbol,
    )
    table, sets = written(signatures, gmt=Path(snakemake.output.sets).name)
    tables.write_bytes(snakemake.output.sets, sets.encode())
    tables.write_bytes(snakemake.output.signatures, table.encode())
