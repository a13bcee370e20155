"""Adaptor of rule qc."""

from cytostrat import qc, tables
from cytostrat.runlog import logged

with logged(snakemake.log[0], what=f"qc {snakemake.wildcards.cohort}"):
    cohort, flow, controls = qc.check(
        tables.read_cohort(snakemake.input.cohort),
        tables.read_patients(snakemake.input.earlier),
        expected=snakemake.params.spec["expected"],
    )
    flow = tables.FLOW.concat([tables.read_table(snakemake.input.flow, tables.FLOW), flow])
    tables.write_cohort(cohort, snakemake.output.cohort)
    tables.write_table(flow, snakemake.output.flow, tables.FLOW)
    tables.write_table(controls, snakemake.output.controls, tables.EFFECTS)
    tables.write_lines(cohort.obs["patient"], snakemake.output.patients)
