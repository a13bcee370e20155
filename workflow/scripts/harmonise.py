"""Adaptor of rule harmonise."""

from cytostrat import harmonise, provenance, readers, tables
from cytostrat.genes import read_index
from cytostrat.runlog import logged

with logged(snakemake.log[0], what=f"harmonise {snakemake.wildcards.cohort}"):
    spec = snakemake.params.spec
    paths = {key: snakemake.input[key] for key in spec["files"]}
    excluded = paths.get("exclude_patients")
    cohort, flow = harmonise.harmonise(
        readers.read_expression(paths, spec, stream=True),
        readers.read_clinical(paths, spec),
        spec,
        read_index(snakemake.input.genes),
        annotation=readers.read_annotation(paths, spec),
        excluded_patients=readers.read_patients(excluded) if excluded else (),
        sources=provenance.sources(paths.values()),
    )
    if isinstance(cohort, harmonise.Streamed):
        from cytostrat.cells import write_streamed as write
    else:
        from cytostrat.tables import write_cohort as write
    write(cohort, snakemake.output.cohort)
    tables.write_table(flow, snakemake.output.flow, tables.FLOW)
    tables.write_lines(cohort.obs["patient"], snakemake.output.patients)
