"""Adaptor of rule cells_picture."""

from cytostrat import cells, tables
from cytostrat.runlog import logged
from cytostrat.signatures import primary, read_signatures

paths, params = snakemake.input, snakemake.params
with logged(snakemake.log[0], what=f"cells_picture {snakemake.wildcards.cohort}"):
    profile = cells.join([cells.read_profile(part) for part in paths.profiles])
    with cells.open_cells(paths.cohort) as file:
        obs = cells.labelled(file.obs, cells.read_labels(paths.labels), profile.depth)
        rows = cells.choose_cells(
            obs["patient"], obs["cell_type"], max_cells=params.max_cells, seed=params.seed
        )
        coordinates = cells.umap(file.counts, rows, seed=params.seed)
        cells.write_cell_scores(
            snakemake.output.cells,
            obs,
            profile.scores,
            file.provenance,
            drawn=rows,
            coordinates=coordinates,
        )
    signatures = primary(read_signatures(paths.signatures))
    drawn = cells.drawn_cells(obs, profile, rows, coordinates, signatures=list(signatures))
    tables.write_frame(drawn, snakemake.output.drawn)
