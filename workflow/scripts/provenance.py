"""Adaptor of rule provenance."""

import json
import sys
from pathlib import Path

from cytostrat import provenance, tables
from cytostrat.runlog import logged

with logged(snakemake.log[0], what="provenance"):
    record = provenance.record(
        config=snakemake.params.config,
        cohorts=snakemake.params.cohorts,
        command=sys.argv,
        inputs=snakemake.input.sources,
        outputs=snakemake.input.results,
        benchmarks=Path(snakemake.output[0]).parent / "benchmarks",
        repository=Path(snakemake.scriptdir).resolve().parents[1],
    )
    text = json.dumps(record, indent=1, sort_keys=True, default=str)
    tables.write_bytes(snakemake.output[0], (text + "\n").encode())
