"""Console command ``cytostrat``: draft and check cohort files, verify a results folder."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cytostrat
from cytostrat.errors import ConfigError, CytostratError, InputError
from cytostrat.tables import write_bytes

HOME = Path(__file__).resolve().parents[2]
RESOURCES = HOME / "resources"
WIDTH = 100
MOST_NAMES = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 fine, 1 something is wrong, 2 bad usage."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except CytostratError as error:
        print(f"cytostrat: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # the reader of our output went away; nothing is wrong with what was checked
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cytostrat", description=__doc__)
    parser.add_argument("--version", action="version", version=f"cytostrat {cytostrat.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    draft = commands.add_parser(
        "draft",
        help="guess a cohort file from an expression matrix and clinical tables",
        description="Look at the files, guess layout, gene ids, scale and the clinical columns, "
        "say what is sure and what is not, and write a cohort file with a comment at every place "
        "to check.",
    )
    draft.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="expression matrix and clinical tables, in any order; or a folder or archive that "
        "holds them; a platform annotation where ids are probes",
    )
    draft.add_argument("-n", "--name", default="", help="name of the cohort")
    draft.add_argument("-o", "--output", type=Path, help="cohort file (default: NAME.yaml)")
    draft.add_argument("-f", "--force", action="store_true", help="replace an existing file")
    draft.set_defaults(run=_draft)

    check = commands.add_parser(
        "check",
        help="check a cohort file against its data before a run",
        description="Read the cohort as a run would and say what is in it: overlap of ids, groups, "
        "endpoints, genes, coverage, positive controls. Exit code 1 where something is to be "
        "corrected before a run.",
    )
    check.add_argument("cohort", nargs="+", type=Path, metavar="COHORT.yaml")
    check.add_argument(
        "--downloads",
        type=Path,
        default=Path("downloads"),
        help="folder of downloaded files (default: downloads)",
    )
    check.add_argument("--mirror", type=Path, help="folder that stands in for all URLs")
    check.add_argument(
        "--min-coverage",
        type=float,
        default=0.6,
        help="share of a signature's genes below which it is not used (default: 0.6)",
    )
    check.set_defaults(run=_check)

    verify = commands.add_parser(
        "verify",
        help="check a results folder against its provenance.json",
        description="Compare every file that provenance.json lists with its checksum. Exit code 1 "
        "where one differs or is gone.",
    )
    verify.add_argument("results", type=Path, metavar="RESULTS", nargs="?", default=Path("results"))
    verify.set_defaults(run=_verify)
    return parser


def _draft(options: argparse.Namespace) -> int:
    from cytostrat import draft
    from cytostrat.draft.columns import shortened
    from cytostrat.genes import read_index

    name = options.name or draft.cohort_name(options.files[0])
    output = options.output or Path(f"{name}.yaml")
    if output.exists() and not options.force:
        raise ConfigError(f"{output}: exists already; name another with --output, or use --force.")
    if not output.parent.is_dir():
        raise ConfigError(f"{output.parent}: no such folder; make it, or name another file.")
    found = draft.draft(
        options.files, output=output, index=read_index(RESOURCES / "gene_ids.tsv.gz"), name=name
    )
    write_bytes(output, found.text.encode())
    _list("Sure:", found.sure)
    _list("To check:", found.unsure)
    if found.unused:
        print(f"\nColumns not used: {shortened(found.unused, MOST_NAMES)}.")
    print(f"\nWritten: {output}. Look at its lines marked CHECK, then: cytostrat check {output}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from cytostrat.draft.check import check
    from cytostrat.genes import read_index
    from cytostrat.signatures import read_signatures

    index = read_index(RESOURCES / "gene_ids.tsv.gz")
    signatures = read_signatures(RESOURCES / "signatures" / "signatures.tsv")
    bad = 0
    for path in options.cohort:
        print(f"{path}")
        found = check(
            path, index=index, signatures=signatures, min_coverage=options.min_coverage,
            downloads=options.downloads, mirror=options.mirror,
        )  # fmt: skip
        width = max((len(topic) for topic, _ in found.facts), default=0)
        for topic, text in found.facts:
            print(f"  {topic:<{width}}  {text}")
        _list("To look at:", found.remarks)
        _list("To correct before a run:", found.problems)
        print("Not ready." if found.problems else "Ready for a run.")
        bad += bool(found.problems)
    return 1 if bad else 0


def _verify(options: argparse.Namespace) -> int:
    from cytostrat.provenance import sha256

    record, files = _record(options.results)
    wrong = []
    for path, expected in files.items():
        if not path.is_file():
            wrong.append(f"{path} is gone")
        elif sha256(path) != expected:
            wrong.append(f"{path} has changed since the run")
    _list("Not as the run left it:", wrong)
    n = len(files)
    print(f"{n - len(wrong)} of {n} files are as the run of {record['run']['finished']} left them.")
    return 1 if wrong else 0


def _record(results: Path) -> tuple[dict[str, Any], dict[Path, str]]:
    """Return provenance.json, and the checksum of each file, also where the folder was moved."""
    file = results / "provenance.json"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        listed = {Path(entry["path"]): entry["sha256"] for entry in record["outputs"]}
        base = next(path.parent for path in listed if path.name == "report.html")
        record["run"]["finished"]
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; name the results folder of a run.") from None
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise InputError(f"{file}: is no record of a run ({type(error).__name__}).") from None
    return record, {
        results / path.relative_to(base) if path.is_relative_to(base) else path: digest
        for path, digest in listed.items()
    }


def _list(title: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    if not lines:
        return
    print(f"\n{title}")
    for line in lines:
        print(textwrap.fill(line, WIDTH, initial_indent="  - ", subsequent_indent="    ",
                            break_long_words=False, break_on_hyphens=False))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
