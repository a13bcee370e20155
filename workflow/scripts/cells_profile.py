"""Adaptor of rule cells_profile."""

from cytostrat import cells
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures

wildcards, params = snakemake.wildcards, snakemake.params
with logged(snakemake.log[0], what=f"cells_profile {wildcards.cohort} {wildcards.part}"):
    with cells.open_cells(snakemake.input.cohort) as file:
        start, stop = cells.part_of(len(file.obs), int(wildcards.part), params.jobs)
        profile = cells.profile_cells(
            file.counts,
            file.genes,
            read_signatures(snakemake.input.signatures),
            markers=cells.read_markers(snakemake.input.markers),
            features=params.genes,
            methods=params.methods,
            start=start,
            stop=stop,
            threads=snakemake.threads,
        )
    cells.write_profile(profile, snakemake.output[0])
