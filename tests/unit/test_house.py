"""The house keeps its order: imports run one way, and nothing hides from the reruns."""

from __future__ import annotations

import re
import subprocess

import pytest

from cytostrat import digest

KERNEL = {
    "__init__", "errors", "tables", "genes", "her2", "signatures", "signature_scores", "compiled",
    "readers", "scoring", "stats",
    "validation", "cohortfile", "knowledge", "runlog", "digest", "configfile", "fetch",
    "following",
}  # fmt: skip
STAGES = {
    "simulate", "harmonise", "qc", "score", "contrast", "associate", "survival", "response",
    "cells", "meta", "claims", "report", "provenance",
}  # fmt: skip
TOP = {"cli", "draft"}


def _modules() -> dict[str, set[str]]:
    """Top-level module of the package -> top-level modules it imports."""
    edges: dict[str, set[str]] = {}
    for file in sorted(digest.PACKAGE.rglob("*.py")):
        parts = file.relative_to(digest.PACKAGE).with_suffix("").parts
        names = digest.imported(file.read_text(encoding="utf-8"), ".".join(parts))
        targets = {name.split(".")[0] for name in names}
        known = {path.stem if path.suffix else path.name for path in digest.PACKAGE.iterdir()}
        edges.setdefault(parts[0], set()).update(targets & known - {parts[0]})
    return edges


def test_every_module_has_its_place():
    assert set(_modules()) <= KERNEL | STAGES | TOP


def test_kernel_never_imports_a_stage():
    wrong = {
        name: hit for name, to in _modules().items() if name in KERNEL and (hit := to - KERNEL)
    }
    assert wrong == {}


def test_a_stage_never_imports_another_stage():
    wrong = {
        name: hit for name, to in _modules().items() if name in STAGES and (hit := to & STAGES)
    }
    assert wrong == {}


def test_package_never_imports_snakemake():
    pattern = re.compile(r"^\s*(?:import|from)\s+snakemake\b", re.M)
    files = [file for file in digest.PACKAGE.rglob("*.py") if pattern.search(file.read_text())]
    assert files == []


def test_scripts_are_short_and_belong_to_a_rule(repository):
    rules = "\n".join(file.read_text() for file in repository.glob("workflow/rules/*.smk"))
    for script in repository.glob("workflow/scripts/*.py"):
        lines = [line for line in script.read_text().splitlines() if line.strip()]
        assert len(lines) <= 30, f"{script.name} has {len(lines)} lines"
        assert f"../scripts/{script.name}" in rules, script.name


def test_digest_follows_imports(tmp_path, monkeypatch):
    package = tmp_path / "cytostrat"
    (package / "kernel").mkdir(parents=True)
    (package / "stage.py").write_text("from cytostrat.kernel import deep\n")
    (package / "kernel" / "__init__.py").write_text("")
    deep = package / "kernel" / "deep.py"
    deep.write_text("x = 1\n")
    (package / "other.py").write_text("y = 1\n")
    monkeypatch.setattr(digest, "PACKAGE", package)

    def fresh() -> str:
        digest.closure.cache_clear()
        digest.digest.cache_clear()
        return digest.digest("stage")

    before = fresh()
    (package / "other.py").write_text("y = 2\n")
    assert fresh() == before
    deep.write_text("x = 2\n")
    assert fresh() != before
    with pytest.raises(FileNotFoundError):
        digest.digest("absent")
    monkeypatch.undo()
    digest.closure.cache_clear()
    digest.digest.cache_clear()


def test_no_file_names_a_package_index_or_a_path_of_a_machine(repository):
    if not (repository / ".git").exists():
        files = [
            file for file in repository.rglob("*") if file.is_file() and ".venv" not in file.parts
        ]
    else:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=True
        )
        files = [repository / name for name in listed.stdout.split("\0") if name]
    pattern = re.compile(r"index-url|registry\s*=|/simple/?\"|(?:/home|/root|/Users)/\w{2}", re.I)
    own = repository / "tests/unit/test_house.py"
    wrong = []
    for file in files:
        if file == own or not file.is_file() or file.stat().st_size > 2_000_000:
            continue
        hit = pattern.search(file.read_bytes().decode("utf-8", "ignore"))
        if hit:
            wrong.append(f"{file.relative_to(repository)}: {hit.group()}")
    assert wrong == []
