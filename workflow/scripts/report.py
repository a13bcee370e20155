"""Adaptor of rule report."""

from pathlib import Path

from cytostrat import knowledge, provenance, report, tables
from cytostrat.runlog import logged
from cytostrat.signatures import read_signatures

with logged(snakemake.log[0], what="report"):
    read = {
        name: tables.read_table(snakemake.input[name], tables.TABLES[name])
        for name in snakemake.params.tables
    }
    cohorts = dict(
        zip(
            snakemake.params.cohort_files,
            map(tables.read_cohort, snakemake.input.cohorts),
            strict=True,
        )
    )
    scores = [tables.read_table(file, tables.SCORES) for file in snakemake.input.scores]
    made = report.build_report(
        report.ReportInputs(
            **read,
            scores=dict(zip(cohorts, scores, strict=True)),
            clinical={name: cohort.obs for name, cohort in cohorts.items()},
            provenance={name: cohort.uns["provenance"] for name, cohort in cohorts.items()},
            signatures=read_signatures(snakemake.input.signatures),
            therapies=knowledge.read_therapies(snakemake.input.therapies),
            config=snakemake.params.config,
            cohort_files=snakemake.params.cohort_files,
            versions=provenance.versions(),
        )
    )
    for name, content in made.figures.items():
        tables.write_bytes(Path(snakemake.output.figures) / name, content)
    tables.write_bytes(snakemake.output.html, made.html.encode())
