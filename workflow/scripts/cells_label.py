"""Adaptor of rule cells_label."""

from cytostrat import cells, tables
from cytostrat.runlog import logged

with logged(snakemake.log[0], what=f"cells_label {snakemake.wildcards.cohort}"):
    profile = cells.join([cells.read_profile(file) for file in snakemake.input.profiles])
    with cells.open_cells(snakemake.input.cohort) as file:
        labels = cells.label_cells(
            file.obs,
            profile.markers,
            cells.captures(file.obs),
            cells.read_celltypes(snakemake.input.celltypes),
            margin=snakemake.params.margin,
        )
    cells.write_labels(labels.cells, snakemake.output.cells)
    tables.write_frame(labels.report, snakemake.output.report)
    tables.write_frame(cells.agreement_row(labels.agreement), snakemake.output.agreement)
