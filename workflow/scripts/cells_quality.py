"""Adaptor of rule cells_quality."""

from cytostrat import cells, qc, tables
from cytostrat.runlog import logged

cohort, paths, params = snakemake.wildcards.cohort, snakemake.input, snakemake.params
log = logged(snakemake.log[0], what=f"cells_quality {cohort}")
with log, cells.open_cells(paths.cohort) as file:
    own, shared, warnings = qc.check_patients(
        file.obs,
        tables.read_patients(paths.earlier),
        expected=params.spec["expected"],
        cohort=cohort,
        step="10 shared patients",
    )
    checks = [cells.read_check(*pair) for pair in zip(paths.cells, paths.limits, strict=True)]
    found = cells.join_checks(checks, among=own, cohort=cohort, doublets=params.rules["doublets"])
    kept = file.obs[found.keep]
    flow = [tables.read_table(paths.flow, tables.FLOW), shared, found.flow]
    cells.keep_cells(file, found.keep, snakemake.output.cohort, kept, warnings=warnings)
    tables.write_table(tables.FLOW.concat(flow), snakemake.output.flow, tables.FLOW)
    tables.write_frame(found.limits, snakemake.output.limits)
    tables.write_lines(kept["patient"], snakemake.output.patients)
