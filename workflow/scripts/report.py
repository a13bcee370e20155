"""Adaptor of rule report."""

from pathlib import Path

from cytostrat import knowledge, provenance, report, tables
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures

with logged(snakemake.log[0], what="report"):
    paths, params = snakemake.input, snakemake.params
    cohorts = tables.read_cohorts(params.cohort_files, paths.cohorts)
    inputs = report.ReportInputs(
        **tables.read_tables({name: paths[name] for name in params.tables}),
        curves=tables.stacked(tables.read_frames(params.bulk, paths.curves)),
        running=tables.stacked(tables.read_frames(params.bulk, paths.running)),
        gene_effects=tables.read_frames(params.bulk, paths.genes),
        cells=tables.read_by_cohort(params.cells, {kind: paths[kind] for kind in params.frames}),
        scores=tables.read_scores(cohorts, paths.scores),
        clinical={name: cohort.obs for name, cohort in cohorts.items()},
        provenance={name: cohort.uns["provenance"] for name, cohort in cohorts.items()},
        signatures=(signatures := read_signatures(paths.signatures)),
        **knowledge.read_documents(paths.therapies, paths.claims, signatures=signatures),
        config=params.config,
        config_file=params.config_file,
        cohort_files=params.cohort_files,
        versions=provenance.versions(),
    )
    made = report.build_report(inputs, processes=snakemake.threads)
    tables.write_folders(
        made.figures, Path(snakemake.output.html).parent / "figures", params.figures
    )
    tables.write_bytes(snakemake.output.html, made.html.encode())
