"""Adaptor of rule cells_check."""

from cytostrat import cells, qc, tables
from cytostrat.runlog import logged

wildcards, paths, params = snakemake.wildcards, snakemake.input, snakemake.params
log = logged(snakemake.log[0], what=f"cells_check {wildcards.cohort} {wildcards.part}")
with log, cells.open_cells(paths.cohort) as file:
    own, _, _ = qc.check_patients(
        file.obs,
        tables.read_patients(paths.earlier),
        expected=params.spec["expected"],
        cohort=wildcards.cohort,
    )
    samples = cells.captures(file.obs)
    among = own & cells.samples_of_part(samples, int(wildcards.part), params.jobs)
    found = cells.check_cells(
        file.counts, file.genes, samples, among=among, seed=params.seed, **params.rules
    )
    cells.write_check(found, snakemake.output.cells, snakemake.output.limits)
