"""Adaptor of rule quality."""

from cytostrat import tables
from cytostrat.runlog import logged

with logged(snakemake.log[0], what="quality"):
    for files, path, table in (
        (snakemake.input.flow, snakemake.output.flow, tables.FLOW),
        (snakemake.input.coverage, snakemake.output.coverage, tables.COVERAGE),
    ):
        merged = table.concat(tables.read_table(file, table) for file in files)
        tables.write_table(merged, path, table)
