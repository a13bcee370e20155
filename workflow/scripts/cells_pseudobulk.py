"""Adaptor of rule cells_pseudobulk."""

from cytostrat import cells
from cytostrat.runlog import logged

wildcards = snakemake.wildcards
with logged(snakemake.log[0], what=f"cells_pseudobulk {wildcards.cohort} {wildcards.part}"):
    labels = cells.read_labels(snakemake.input.labels)
    with cells.open_cells(snakemake.input.cohort) as file:
        start, stop = cells.part_of(len(file.obs), int(wildcards.part), snakemake.params.jobs)
        bulk = cells.pseudobulk(
            file.counts,
            file.genes,
            file.obs["patient"],
            labels["cell_type"],
            start=start,
            stop=stop,
        )
    cells.write_pseudobulk(bulk, snakemake.output[0])
