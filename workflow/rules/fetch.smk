# INPUT   the addresses that cohort files name; the only rule that touches the network
# OUTPUT  each file under <results>/fetched, whole and verified, linked to the shared downloads


rule fetch:
    output:
        "<results>/fetched/{remote}",
    log:
        "<logs>/fetch/{remote}.log",
    benchmark:
        "<benchmarks>/fetch/{remote}.tsv"
    # the script knows which failures may pass and tries those again; a 404 fails once
    retries: 0
    localrule: True
    threads: 1
    resources:
        mem_mb=500,
        runtime=240,
    params:
        source=remote_source,
        downloads=RUN.downloads,
        mirror=RUN.mirror,
        code=digest("fetch"),
    script:
        "../scripts/fetch.py"


# On a login node: snakemake fetch_all; everything after needs no network.
rule fetch_all:
    input:
        expand("<results>/fetched/{remote}", remote=REMOTES),
    localrule: True
