"""Adaptor of rule qc."""

from pathlib import Path

from cytostrat import qc, tables
from cytostrat.runlog import logged

with logged(snakemake.log[0], what=f"qc {snakemake.wildcards.cohort}"):
    cohort, flow, controls = qc.check(
        tables.read_cohort(snakemake.input.cohort),
        {
            Path(file).name.removesuffix(".patients.tsv"): tables.read_lines(file)
            for file in snakemake.input.earlier
        },
        expected=snakemake.params.spec["expected"],
    )
    flow = tables.FLOW.concat([tables.read_table(snakemake.input.flow, tables.FLOW), flow])
    tables.write_cohort(cohort, snakemake.output.cohort)
    tables.write_table(flow, snakemake.output.flow, tables.FLOW)
    tables.write_table(controls, snakemake.output.controls, tables.EFFECTS)
    tables.write_lines(cohort.obs["patient"], snakemake.output.patients)
