"""What the documents say: the therapies and claims files, read, validated and cross-checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytostrat.errors import ConfigError
from cytostrat.validation import load_yaml, validate

Entry = dict[str, Any]


@dataclass(frozen=True)
class Therapies:
    """Content of the therapies file.

    Parameters
    ----------
    documents
        Document id to its entry, in file order.
    therapies
        Therapy id to its entry, in file order.
    """

    documents: dict[str, Entry]
    therapies: dict[str, Entry]


def read_therapies(path: str | Path, *, signatures: Collection[str]) -> Therapies:
    """Read the therapies file.

    Parameters
    ----------
    path
        YAML file of schema ``therapies``.
    signatures
        Names of known signatures; every therapy must map to some of them.

    Raises
    ------
    ConfigError
        The file breaks its schema, an id occurs twice, or an entry names a document or a
        signature that doesn't exist.
    """
    content = validate(load_yaml(path), "therapies", file=path)
    documents = _by_id(content["documents"], path, "documents")
    therapies = _by_id(content["therapies"], path, "therapies")
    for name, entry in therapies.items():
        _known(path, f"therapies.{name}.signatures", entry["signatures"], signatures, "signature")
        named = [statement["document"] for statement in entry["statements"]]
        _known(path, f"therapies.{name}.statements", named, documents, "document")
    return Therapies(documents=documents, therapies=therapies)


def _by_id(entries: Iterable[Entry], path: str | Path, key: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry["id"] in found:
            raise ConfigError(
                f"{path}: key {key} has two entries with the id {entry['id']!r}; rename one."
            )
        found[entry["id"]] = entry
    return found


def _known(
    path: str | Path, key: str, names: Iterable[str], known: Collection[str], what: str
) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            f"{path}: key {key} names the {what} {unknown[0]!r}, which doesn't exist; known are "
            f"{', '.join(sorted(known)[:8])}, ..."
        )
