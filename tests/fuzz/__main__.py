"""Feed the text readers random input: ``python -m tests.fuzz --seconds 120``.

With atheris (coverage-guided, Linux) where it is installed, otherwise with hypothesis. Anything
but a result or an error of the project's own hierarchy is a finding; its input is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from cytostrat import cohortfile, fetch, signatures, tables, validation
from cytostrat.errors import CytostratError
from cytostrat.readers import cbioportal, delimited, geo, read_patients, tcga
from cytostrat.readers.cells import read_wu2021_clinical

PIECES = [
    b"\t", b"\n", b"\r", b"\r\n", b",", b";", b"|", b" ", b'"', b"'", b"\\", b"#", b"!", b"%",
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe2\x80\xa8", b"\x0c", b"\x1c", b"=", b"@",
    b"-", b"+", b"NA", b"NaN", b"Inf", b"1", b"0", b"2.5", b"1e400", b"0x1F", b"1,5", b"gene",
    b"S1", b"S2", b"ERBB2", b"IL1B", b"ID_REF", b"ID", b"Gene symbol", b"sample", b"SAMPLE_ID",
    b"PATIENT_ID", b"Hugo_Symbol", b"Entrez_Gene_Id", b"!Sample_geo_accession",
    b"!Sample_characteristics_ch1", b"!series_matrix_table_begin", b"!series_matrix_table_end",
    b"!platform_table_begin", b"age: 5", b"orig.ident", b"url\tsha256\tsize", b"schema_version: 1",
    b"name: a", b"kind: bulk", b"expression:", b"source: x.tsv", b"clinical:", b"- ", b"  ", b"&a",
    b"*a", b"!!python/name:os.system", b"[", b"]", b"{", b"}", b": ", b"? ", b"<<: ", b"~",
    b"name", b"title", b"gmt", b"cohort\tstep\treason\tn_in\tn_out", b"<html>", b"\x1f\x8b",
    b"BZh", b"\xfd7zXZ",
]  # fmt: skip

TARGETS: dict[str, Callable[[Path], object]] = {
    "matrix": delimited.read_matrix,
    "matrix, genes in columns": lambda path: delimited.read_matrix(path, genes_in_rows=False),
    "matrix, comma": lambda path: delimited.read_matrix(path, delimiter="comma", decimal=","),
    "matrix, blanks": lambda path: delimited.read_matrix(path, delimiter="space"),
    "clinical table": delimited.read_clinical_table,
    "series matrix": geo.read_series_matrix,
    "series samples": geo.read_series_clinical,
    "annotation": geo.read_annotation,
    "portal matrix": cbioportal.read_study_expression,
    "portal samples": lambda path: cbioportal.read_study_clinical(path, to="sample"),
    "xena matrix": tcga.read_xena_matrix,
    "xena phenotype": tcga.read_xena_clinical,
    "patients": read_patients,
    "gene sets": signatures.read_gmt,
    "gene filters": signatures.read_gene_filters,
    "yaml": validation.load_yaml,
    "cohort file": lambda path: cohortfile.load(path, environ={}),
    "lock file": fetch.read_lock,
    "table": lambda path: tables.read_table(path, tables.FLOW),
    "cells' metadata": read_wu2021_clinical,
}


def feed(name: str, content: bytes, file: Path) -> str:
    """Read content by one reader; return what is wrong with the way it ended, '' for nothing."""
    file.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            TARGETS[name](file)
    except CytostratError as error:
        return "message of several lines" if "\n" in str(error) else ""
    except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
        return traceback.format_exc()
    return ""


def _examples(name: str, file: Path, seed: int, tried: list[int]) -> Callable[[], None]:
    """Return a function that reads 200 drawn inputs."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    pieces = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=60).map(b"".join)

    @seeded(seed)
    @settings(
        max_examples=200,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(pieces)
    def run(content: bytes) -> None:
        tried.append(len(content))
        wrong = feed(name, content, file)
        assert not wrong, f"{name} of {content!r}: {wrong}"

    return run


def with_hypothesis(seconds: float, seed: int, file: Path) -> tuple[int, list[str]]:
    """Draw input from pieces of the formats and from bytes until the time is over."""
    end = time.monotonic() + seconds
    tried: list[int] = []
    findings = []
    names = list(TARGETS)
    share = seconds / len(names)
    for number, name in enumerate(names):
        until = min(end, time.monotonic() + share)
        rounds = 0
        while time.monotonic() < until:
            rounds += 1
            run = _examples(name, file, seed + 1000 * number + rounds, tried)
            try:
                run()
            except AssertionError as error:
                findings.append(str(error))
                break
    return len(tried), findings


def with_atheris(seconds: float, seed: int, file: Path) -> None:
    """Let atheris mutate input by what it covers; it ends the process itself."""
    import atheris

    names = list(TARGETS)

    def one(content: bytes) -> None:
        if content:
            name = names[content[0] % len(names)]
            wrong = feed(name, content[1:], file)
            if wrong:
                raise AssertionError(f"{name} of {content[1:]!r}: {wrong}")

    atheris.instrument_all()
    options = [f"-max_total_time={int(seconds)}", f"-seed={seed}", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def main() -> int:
    """Fuzz for the given time."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "input.tsv"
        if importlib.util.find_spec("atheris"):
            with_atheris(options.seconds, options.seed, file)
        count, findings = with_hypothesis(options.seconds, options.seed, file)
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    sys.stdout.write(
        f"{count} inputs to {len(TARGETS)} readers (hypothesis), {len(findings)} findings\n"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
