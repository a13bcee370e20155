"""Read every spoiled input and print how it ended: ``python -m tests.hostile --help``."""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import random
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import anndata  # noqa: F401 - loaded once, here, and not in each forked child
import scanpy  # noqa: F401

from cytostrat import validation
from tests.hostile import guard
from tests.hostile.archives import ARCHIVE
from tests.hostile.hdf5 import HDF5
from tests.hostile.material import Material, gene_index, materials, write
from tests.hostile.mutations import ANY, ERROR, OTHER, SAFE, SAME, TEXT, Mutation
from tests.hostile.yamls import YAML

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAS = bytes.maketrans(b",\t", b"\t,")
MOST_GROWTH = 1000.0
OUTCOMES = ("named error", "same result", "other, whole result", "FAILED")


@dataclass(frozen=True)
class Case:
    """One spoiled input."""

    material: Material
    file: str
    mutation: Mutation

    @property
    def allowed(self) -> frozenset[str]:
        """What may come of it."""
        kind = self.mutation.kind
        if self.file.endswith(".mtx"):
            # plain ASCII by its definition, and the numbers of a row stand alone
            return {"encoding": SAFE, "rows": ANY}.get(kind, self.mutation.allowed)
        if self.material.further.get("plain") and kind in {"encoding", "compression"}:
            return self.mutation.allowed | SAFE
        if self.file in self.material.further.get("known", ()):
            return SAFE
        if self.file in self.material.lists and kind not in {"encoding", "compression"}:
            return ANY
        return self.mutation.allowed

    @property
    def name(self) -> str:
        return f"{self.material.reader} | {self.file} | {self.mutation.kind}: {self.mutation.name}"

    def write(self, folder: Path) -> None:
        """Write the intact files, and the spoiled one in place of its own."""
        files = dict(self.material.files)
        rng = random.Random(self.name)
        outer, _, member = self.file.partition("//")
        content = files[outer]
        if member:
            members = dict(content)
            members[member] = self._spoiled(members[member], rng)
            files[outer] = members
        else:
            files[outer] = self._spoiled(content, rng)
        write(files, folder)

    def _spoiled(self, content, rng: random.Random) -> bytes:
        turned = {"rows", "columns", "values", "formula"}
        if not self.file.endswith(".csv") or self.mutation.kind not in turned:
            return self.mutation.spoil(content, rng)
        # the ways to spoil a table are written for tabs
        return self.mutation.spoil(content.translate(COMMAS), rng).translate(COMMAS)


def cases(found: list[Material]) -> Iterator[Case]:
    """Return every spoiled input."""
    for material in found:
        for file in material.spoiled:
            # large inputs take long: one file of each reader is enough
            left_out = set()
            if file != material.spoiled[0] or material.further.get("shipped"):
                left_out = {"size"}
            if file in material.further.get("known", ()):
                left_out = {"size", "encoding", "rows", "columns", "values", "formula"}
            yield from (
                Case(material, file, mutation) for mutation in TEXT if mutation.kind not in left_out
            )
        for file, content in material.files.items():
            if isinstance(content, dict):
                yield from (Case(material, file, mutation) for mutation in ARCHIVE)
        for key, mutations in (("hdf5", HDF5), ("yaml", YAML)):
            if key in material.further:
                file = material.further[key]
                kinds = material.further.get("kinds", ())
                yield from (
                    Case(material, file, mutation)
                    for mutation in mutations
                    if not kinds or mutation.kind in kinds
                )


def _work(material: Material, folder: Path, results: Path):
    def work() -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return material.read(folder, results)

    return work


def judge(case: Case, intact: str, scratch: Path) -> tuple[str, str, guard.Outcome]:
    """Return outcome, what is wrong with it ('' where nothing is), and how reading ended."""
    folder = scratch / "case"
    shutil.rmtree(folder, ignore_errors=True)
    data, results = folder / "data", folder / "results"
    data.mkdir(parents=True)
    results.mkdir()
    case.write(data)
    before = _tree(folder, results)
    ended = guard.run(_work(case.material, data, results), results=results)
    wrong = []
    if ended.state == "error":
        outcome = ERROR
        text = ended.text
        if "\n" in text or len(text) > guard.LONGEST_MESSAGE or re.search(r"[\x00-\x1f]", text):
            wrong.append(f"message of {len(text)} characters or several lines: {text[:300]!r}")
    elif ended.state == "result":
        outcome = SAME if ended.text == intact else OTHER
    else:
        outcome = ended.state
        wrong.append(f"{ended.state}: {ended.text[-1500:]}")
    if not wrong and outcome not in case.allowed:
        allowed = " or ".join(sorted(case.allowed))
        wrong.append(f"ended as {outcome}, expected {allowed}: {ended.text[:300]}")
    if ended.trespasses:
        wrong.append(f"trespassed: {ended.trespasses[:3]}")
    if _tree(folder, results) != before:
        wrong.append("changed files beside the results")
    if ended.grown > MOST_GROWTH:
        wrong.append(f"grew by {ended.grown:.0f} MB")
    left = [file.name for file in results.rglob("*.part*")]
    if left:
        wrong.append(f"left {left} behind")
    return outcome, "; ".join(wrong), ended


# What the workers of `_judged` take over from the process that they are forked from.
SHARED: dict = {}


def _judged(jobs: int) -> Iterator[tuple[str, str, guard.Outcome]]:
    """Return the outcomes of the shared cases in their order, judged in processes at once."""
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        yield from pool.map(_judge, range(len(SHARED["chosen"])), chunksize=4)


def _judge(number: int) -> tuple[str, str, guard.Outcome]:
    case = SHARED["chosen"][number]
    scratch = SHARED["scratch"] / str(os.getpid())
    return judge(case, SHARED["intact"][case.material.reader], scratch)


def _tree(folder: Path, results: Path) -> dict[str, tuple[int, int]]:
    return {
        str(file): (file.lstat().st_size, file.lstat().st_mtime_ns)
        for file in folder.rglob("*")
        if results not in file.parents and file != results and not file.is_dir()
    }


def _data_folder() -> Path:
    folder = Path(os.environ.get("CYTOSTRAT_DATA") or REPOSITORY.parent / "shared/data")
    if not folder.is_dir():
        raise SystemExit("the real cohorts are not there: set CYTOSTRAT_DATA to their folder")
    return folder


def main() -> int:
    """Run all cases, or a seeded choice, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--only", default="", help="regular expression over reader, file, kind")
    parser.add_argument("--sample", type=int, default=0, help="run that many cases, spread evenly")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at once")
    parser.add_argument("--show", action="store_true", help="print every case with its message")
    options = parser.parse_args()
    begun = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="cytostrat-hostile-"))
    try:
        code = _run(options, scratch)
        sys.stdout.write(f"{time.monotonic() - begun:.0f} s\n")
        return code
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _chosen(every: list[Case], options: argparse.Namespace) -> list[Case]:
    """Return the cases asked for; a choice leaves out the large ones and takes all kinds."""
    found = [case for case in every if re.search(options.only, case.name)]
    if not options.sample or options.sample >= len(found):
        return found
    small = [case for case in found if case.mutation.kind != "size"]
    random.Random(options.seed).shuffle(small)
    seen: collections.Counter = collections.Counter()
    ranked = []
    for case in small:
        key = (case.material.reader, case.mutation.kind)
        ranked.append((seen[key], len(ranked), case))
        seen[key] += 1
    return [case for *_, case in sorted(ranked, key=lambda item: item[:2])[: options.sample]]


def _run(options: argparse.Namespace, scratch: Path) -> int:
    gene_index()
    for name in ("cohort", "config", "therapies", "claims"):
        validation.schema(name)
    found = materials(_data_folder(), scratch)
    intact = {}
    for material in found:
        folder = scratch / "intact"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "results").mkdir(parents=True)
        write(material.files, folder / "data")
        ended = guard.run(
            _work(material, folder / "data", folder / "results"), results=folder / "results"
        )
        if ended.state != "result" or ended.trespasses:
            sys.stdout.write(f"{material.reader}: the intact input failed: {ended}\n")
            return 2
        intact[material.reader] = ended.text
    chosen = _chosen(list(cases(found)), options)
    SHARED.update(chosen=chosen, intact=intact, scratch=scratch)
    table: dict[tuple[str, str], collections.Counter] = {}
    failures = []
    most, slowest = 0.0, 0.0
    for case, (outcome, wrong, ended) in zip(chosen, _judged(options.jobs), strict=True):
        column = (
            OUTCOMES[3]
            if wrong
            else dict(zip((ERROR, SAME, OTHER), OUTCOMES, strict=False))[outcome]
        )
        key = (case.mutation.kind, case.material.reader)
        table.setdefault(key, collections.Counter())[column] += 1
        most, slowest = max(most, ended.grown), max(slowest, ended.seconds)
        if wrong:
            failures.append(f"{case.name}\n    {wrong}")
            sys.stdout.write(f"FAILED {failures[-1]}\n")
            sys.stdout.flush()
        elif options.show:
            sys.stdout.write(f"{case.name}: {outcome} {ended.text[:200]} ({ended.seconds:.1f} s)\n")
    _print(table)
    sys.stdout.write(
        f"{len(chosen)} broken inputs, {len(failures)} failed; at most {most:.0f} MB more memory "
        f"and {slowest:.1f} s of processor time\n"
    )
    return 1 if failures else 0


def _print(table: dict[tuple[str, str], collections.Counter]) -> None:
    head = "".join(f"{outcome:>21}" for outcome in OUTCOMES)
    sys.stdout.write(f"\n{'kind':<12} {'reader':<27}{head}\n")
    total: collections.Counter = collections.Counter()
    for (kind, reader), counts in sorted(table.items()):
        total.update(counts)
        cells = "".join(f"{counts[outcome] or '':>21}" for outcome in OUTCOMES)
        sys.stdout.write(f"{kind:<12} {reader:<27}{cells}\n")
    cells = "".join(f"{total[outcome]:>21}" for outcome in OUTCOMES)
    sys.stdout.write(f"{'all':<12} {'':<27}{cells}\n")


if __name__ == "__main__":
    sys.exit(main())
