"""Adaptor of rule cells_summary."""

from cytostrat import cells, tables
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures

paths, output = snakemake.input, snakemake.output
with logged(snakemake.log[0], what=f"cells_summary {snakemake.wildcards.cohort}"):
    with cells.open_cells(paths.cohort) as file:
        found = cells.summarise(
            cells.join([cells.read_profile(part) for part in paths.profiles]),
            cells.add([cells.read_pseudobulk(part) for part in paths.pseudobulk]),
            file.obs,
            cells.read_labels(paths.labels),
            read_signatures(paths.signatures),
            cohort=snakemake.wildcards.cohort,
            sampling=file.provenance["sampling"],
            methods=snakemake.params.methods,
            min_coverage=snakemake.params.min_coverage,
            **snakemake.params.choices,
            threads=snakemake.threads,
        )
    for name, table in {"scores": tables.SCORES, "coverage": tables.COVERAGE,
                        "effects": tables.EFFECTS, "sources": cells.SOURCES}.items():  # fmt: skip
        tables.write_table(getattr(found, name), output[name], table)
    tables.write_frame(found.composition, output.composition)
    tables.write_frame(found.depth, output.depth)
