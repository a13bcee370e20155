"""Adaptor of rule fetch."""

import sys

from cytostrat import fetch
from cytostrat.runlog import logged


def say(line):
    """Put progress into the log, and on the console of whoever waits for a download."""
    for stream in (sys.stdout, sys.__stderr__):
        print(line, file=stream, flush=True)


source = snakemake.params.source
with logged(snakemake.log[0], what="fetch"):
    fetch.fetch(
        source["location"],
        snakemake.output[0],
        sha256=source["sha256"],
        size=source["size"],
        cache=snakemake.params.downloads,
        mirror=snakemake.params.mirror or None,
        lock=f"{snakemake.params.downloads}/fetch.lock",
        report=say,
    )
