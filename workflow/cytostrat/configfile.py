"""The configuration of a run with its cohort files, checked and with defaults filled in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytostrat import cohortfile
from cytostrat.errors import ConfigError
from cytostrat.fetch import cache_path
from cytostrat.validation import load_yaml, validate


@dataclass(frozen=True)
class Run:
    """Everything the rules need to know of a run.

    Parameters
    ----------
    config
        The configuration, defaults filled in.
    cohorts
        Cohort name to its checked cohort file, in the order of the configuration.
    cohort_files
        Cohort name to its file as it was written, which holds no path of a machine.
    gene_sets
        The user's GMT files, each with its table ('' where there is none).
    downloads, mirror
        Folder that keeps downloads, and the one that answers for every URL ('' for none).
    """

    config: dict[str, Any]
    cohorts: dict[str, dict[str, Any]]
    cohort_files: dict[str, dict[str, Any]]
    gene_sets: list[tuple[str, str]]
    downloads: str = ""
    mirror: str = ""

    def names(self, kind: str) -> list[str]:
        """Return the cohorts of one kind: bulk or single_cell."""
        return [name for name, cohort in self.cohorts.items() if cohort["kind"] == kind]

    def earlier(self, name: str) -> list[str]:
        """Return the cohorts before `name` whose patients carry the same namespace."""
        names = list(self.cohorts)
        own = self.cohorts[name]["namespace"]
        return [
            other
            for other in names[: names.index(name)]
            if own and self.cohorts[other]["namespace"] == own
        ]

    def rivals(self) -> dict[str, list[str]]:
        """Return cohorts that give way in a pool, each with the earlier cohorts it gives way to.

        Two cohorts may share patients whose numbers can't be compared. Until a list of patients
        to leave out is supplied, only one of them counts in a pool.
        """
        names = list(self.cohorts)
        found = {}
        for place, name in enumerate(names):
            earlier = [
                other
                for other in names[:place]
                if other in self.cohorts[name]["may_share_patients"]
                or name in self.cohorts[other]["may_share_patients"]
            ]
            if earlier and not self.cohorts[name]["filters"]["exclude_patients"]:
                found[name] = earlier
        return found

    def remotes(self) -> dict[str, cohortfile.Source]:
        """Return the files that are downloaded: place below a folder of downloads to source.

        Raises
        ------
        ConfigError
            An address can't be fetched, or two cohort files state different checksums for it.
        """
        found: dict[str, cohortfile.Source] = {}
        for name, cohort in self.cohorts.items():
            for source in cohortfile.sources(cohort):
                if not cohortfile.is_url(source.location):
                    continue
                place = remote_place(source.location)
                known = found.setdefault(place, source)
                for key in ("sha256", "size"):
                    stated, other = getattr(source, key), getattr(known, key)
                    if stated and other and stated != other:
                        raise ConfigError(
                            f"cohort {name}: the {key} of {source.location} is {stated}, but "
                            f"another source states {other}; correct one of the two."
                        )
                found[place] = known._replace(
                    sha256=known.sha256 or source.sha256, size=known.size or source.size
                )
        return found


def remote_place(url: str) -> str:
    """Return where a URL lies below a folder of downloads."""
    return cache_path(url, "").as_posix()


def load_run(config: Mapping[str, Any], *, file: str | Path) -> Run:
    """Check a configuration and read the cohort files it names.

    Parameters
    ----------
    config
        Content of the configuration.
    file
        Its file; relative paths in it start at its folder.

    Raises
    ------
    ConfigError
        A key or value can't be used, a file is absent, or two cohorts share a name.
    """
    checked = validate(config, "config", file=file)
    folder = Path(file).parent
    cohorts: dict[str, dict[str, Any]] = {}
    cohort_files: dict[str, dict[str, Any]] = {}
    for entry in checked["cohorts"]:
        path = folder / Path(entry).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"{file}: key cohorts names {entry!r}, but there is no file {path}; correct the "
                "path (it is relative to the configuration file) or write the cohort file."
            )
        cohort = cohortfile.load(path)
        if cohort["name"] in cohorts:
            raise ConfigError(
                f"{path}: key name is {cohort['name']!r}, which an earlier cohort of {file} "
                "already has; give each cohort a name of its own."
            )
        cohorts[cohort["name"]] = cohort
        cohort_files[cohort["name"]] = cohortfile.text_keys(load_yaml(path))
    gene_sets = []
    for item in checked["signatures"]["user"]:
        pair = []
        for key in ("gmt", "table"):
            path = os.path.normpath(folder / Path(item[key]).expanduser()) if item[key] else ""
            if path and not Path(path).is_file():
                raise ConfigError(
                    f"{file}: key signatures.user.{key} names {item[key]!r}, but there is no file "
                    f"{path}; correct the path (it is relative to the configuration file)."
                )
            pair.append(path)
        gene_sets.append((pair[0], pair[1]))
    places = {
        key: _folder(checked[key], f"{file}: key {key}", folder) for key in ("downloads", "mirror")
    }
    if places["mirror"] and not Path(places["mirror"]).is_dir():
        raise ConfigError(
            f"{file}: key mirror names {checked['mirror']!r}, but there is no folder "
            f"{places['mirror']}; correct the path, or leave it empty to download."
        )
    return Run(
        checked, cohorts, cohort_files, gene_sets, places["downloads"] or "downloads",
        places["mirror"],
    )  # fmt: skip


def _folder(text: str, place: str, folder: Path) -> str:
    """Return a folder of the configuration; ``~`` and ``${VARIABLE}`` are expanded."""
    return os.path.normpath(folder / cohortfile.expanded(text, place, os.environ)) if text else ""


def family_selectors(
    families: Mapping[str, Mapping[str, Any]], *, roles: Mapping[str, str], primary_method: str
) -> dict[str, dict[str, list[str]]]:
    """Return families of the configuration as selections of rows of the Effects table.

    Parameters
    ----------
    families
        Checked families: column to values, where empty means any; ``role`` and ``method``
        stand for signatures and methods.
    roles
        Signature to its role.
    primary_method
        First method of the configuration.
    """
    selectors = {}
    for name, family in families.items():
        columns = {
            column: list(values)
            for column, values in family.items()
            if values and column not in {"role", "method"}
        }
        if family["role"]:
            columns["signature"] = [who for who, role in roles.items() if role in family["role"]]
        if family["method"] == "primary":
            columns["method"] = [primary_method]
        selectors[name] = columns
    return selectors
