"""What the documents say: the therapies and claims files, read, validated and cross-checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytostrat.errors import ConfigError
from cytostrat.signatures import Signature
from cytostrat.validation import load_yaml, validate

Entry = dict[str, Any]
LITERATURE = "literature"
ANY = "any"


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


@dataclass(frozen=True)
class Claims:
    """Content of the claims file.

    Parameters
    ----------
    rule
        The verdict rule: `alpha`, `null_alpha`, `equivalence` and `large` by scale,
        `min_cohorts`.
    claims
        Claim id to its entry, in file order; `signatures` holds the names in full, those of
        `axes` first.
    """

    rule: Entry
    claims: dict[str, Entry]

    @property
    def adjustments(self) -> tuple[str, ...]:
        """Adjustments that claims are judged by, sorted: those a pool must know."""
        named = {claim["select"]["adjustment"] for claim in self.claims.values()
                 if claim["testable"]}  # fmt: skip
        return tuple(sorted(named - {ANY}))


def read_claims(
    path: str | Path, *, signatures: Mapping[str, Signature], therapies: Therapies
) -> Claims:
    """Read the claims file and resolve its axes to signatures.

    Parameters
    ----------
    path
        YAML file of schema ``claims``.
    signatures
        Name to signature; an axis stands for all its primary ones.
    therapies
        Content of the therapies file; claims name its documents and therapies.

    Raises
    ------
    ConfigError
        The file breaks its schema, an id occurs twice, an entry names a document, therapy,
        axis or claim that doesn't exist, or a claim that can be tested has no signature.
    """
    content = validate(load_yaml(path), "claims", file=path)
    claims = _by_id(content["claims"], path, "claims")
    primary: dict[str, list[str]] = {}
    for name, found in signatures.items():
        if found.role == "primary":
            primary.setdefault(found.axis, []).append(name)
    for name, entry in claims.items():
        key = f"claims.{name}"
        documents = {*therapies.documents, LITERATURE}
        _known(path, f"{key}.document", [entry["document"]], documents, "document")
        _known(path, f"{key}.therapy", [entry["therapy"]], therapies.therapies, "therapy")
        _known(path, f"{key}.disagrees_with", entry["disagrees_with"], claims, "claim")
        _known(path, f"{key}.axes", entry["axes"], primary, "axis")
        of_axes = [found for axis in entry["axes"] for found in primary[axis]]
        entry["signatures"] = list(dict.fromkeys([*of_axes, *entry["signatures"]]))
        if entry["testable"] and not entry["signatures"]:
            raise ConfigError(
                f"{path}: key {key} names no signature; give axes or signatures, or say "
                "testable: false."
            )
        if entry["document"] == LITERATURE and not entry["source"]:
            raise ConfigError(
                f"{path}: key {key}.source is empty; a claim from the literature needs one."
            )
    return Claims(rule=content["rule"], claims=claims)


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


def read_documents(
    therapies: str | Path, claims: str | Path, *, signatures: Mapping[str, Signature]
) -> dict[str, dict[str, Any]]:
    """Read both files as ``therapies`` and ``claims``, each a dict of lists as in the file.

    Parameters
    ----------
    therapies, claims
        The YAML files.
    signatures
        Name to signature.
    """
    known = read_therapies(therapies, signatures=signatures)
    judged = read_claims(claims, signatures=signatures, therapies=known)
    return {
        "therapies": {key: [*entries.values()] for key, entries in vars(known).items()},
        "claims": {"rule": judged.rule, "claims": [*judged.claims.values()]},
    }
