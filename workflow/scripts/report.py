"""Adaptor of rule report."""

from pathlib import Path

from cytostrat import knowledge, provenance, report, tables
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures

with logged(snakemake.log[0], what="report"):
    paths, params = snakemake.input, snakemake.params
    signatures = read_signatures(paths.signatures)
    therapies = knowledge.read_therapies(paths.therapies, signatures=signatures)
    cohorts = tables.read_cohorts(params.cohort_files, paths.cohorts)
    inputs = report.ReportInputs(
        **tables.read_tables({name: paths[name] for name in params.tables}),
        scores=tables.read_scores(cohorts, paths.scores),
        clinical={name: cohort.obs for name, cohort in cohorts.items()},
        provenance={name: cohort.uns["provenance"] for name, cohort in cohorts.items()},
        signatures=signatures,
        therapies={key: [*entries.values()] for key, entries in vars(therapies).items()},
        config=params.config,
        cohort_files=params.cohort_files,
        versions=provenance.versions(),
    )
    made = report.build_report(inputs)
    for name, content in made.figures.items():
        tables.write_bytes(Path(snakemake.output.figures) / name, content)
    tables.write_bytes(snakemake.output.html, made.html.encode())
