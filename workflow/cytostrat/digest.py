"""Fingerprint of the code behind a stage, so that an edit reruns the rules that use it.

Snakemake watches a rule's script but not what the script imports. Each rule therefore
carries ``params: code=digest("<stage>")``.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def imported(source: str, module: str) -> set[str]:
    """Return the dotted names below ``cytostrat`` that a module's source imports.

    Parameters
    ----------
    source
        Python source text.
    module
        Dotted name of the module relative to the package, for relative imports.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                parts = f"cytostrat.{module}".split(".")
                base = ".".join(parts[: len(parts) - node.level + 1])
                origin = f"{base}.{node.module}" if node.module else base
            else:
                origin = node.module or ""
            names.add(origin)
            names |= {f"{origin}.{alias.name}" for alias in node.names}
    prefix = "cytostrat."
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def _files(module: str) -> list[Path]:
    """Return the files of a module: itself, or for a package all files in it."""
    path = PACKAGE.joinpath(*module.split("."))
    if path.is_dir():
        return sorted(
            file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts
        )
    path = path.with_suffix(".py")
    return [path] if path.is_file() else []


@cache
def closure(module: str) -> frozenset[Path]:
    """Return every file of the package that a module reaches by import.

    Raises
    ------
    FileNotFoundError
        No such module.
    """
    if not _files(module):
        raise FileNotFoundError(f"cytostrat has no module {module!r}")
    seen: set[Path] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        for file in _files(name):
            if file in seen:
                continue
            seen.add(file)
            if file.suffix == ".py":
                own = file.relative_to(PACKAGE).with_suffix("").parts
                dotted = ".".join(own if own[-1] != "__init__" else (*own[:-1], "__init__"))
                todo += imported(file.read_text(encoding="utf-8"), dotted)
    return frozenset(seen)


@cache
def digest(module: str) -> str:
    """Return 16 hex digits of a sha256 over a stage module and all it imports of the package."""
    total = hashlib.sha256()
    for file in sorted(closure(module)):
        total.update(file.relative_to(PACKAGE).as_posix().encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]
