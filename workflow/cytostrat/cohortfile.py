"""Cohort files: read one, check it, and say where its sources lie.

`load` returns a plain dict: every key of ``workflow/schemas/cohort.schema.yaml`` with its
default filled in, short forms written out (a column name becomes ``{column: ...}``), paths
made absolute, and ``files``, the source keys with their locations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cytostrat.errors import ConfigError
from cytostrat.validation import load_yaml, schema, validate

SIMULATED = "simulated:"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_URL = re.compile(r"^https?://", re.IGNORECASE)


class Source(NamedTuple):
    """One file of a cohort: its key, path or URL, and what is known of its content."""

    key: str
    location: str
    sha256: str
    size: int | None


def is_url(location: str) -> bool:
    """Tell a web address from a path."""
    return bool(_URL.match(location))


def load(path: str | Path, *, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read and check a cohort file.

    Parameters
    ----------
    path
        The YAML file; relative paths in it start at its folder.
    environ
        Values of ``${VARIABLE}``; the process environment by default.

    Raises
    ------
    ConfigError
        Names the file, key, value and remedy.
    """
    return check(load_yaml(path), file=path, environ=os.environ if environ is None else environ)


def check(
    data: Mapping[str, Any], *, file: str | Path, environ: Mapping[str, str]
) -> dict[str, Any]:
    """Check the content of a cohort file; see `load`."""
    spec = validate(text_keys(data), "cohort", file=file)
    spec["title"] = spec["title"] or spec["name"]
    spec["namespace"] = spec["namespace"] or spec["name"]
    folder = Path(file).resolve().parent
    expression = spec["expression"]
    places: list[tuple[dict[str, Any], str, str]] = [(expression, "source", "expression.source")]
    if expression["annotation"] is not None:
        places.append((expression["annotation"], "source", "expression.annotation.source"))
    places += [
        (table, "source", f"clinical.{number}.source")
        for number, table in enumerate(spec["clinical"])
    ]
    for holder, key, place in places:
        holder[key] = _sources(holder[key], f"{file}: key {place}", folder, environ)
    excluded = spec["filters"]["exclude_patients"]
    if excluded:
        spec["filters"]["exclude_patients"] = _location(
            excluded, f"{file}: key filters.exclude_patients", folder, environ
        )
    spec["columns"] = {
        name: _column(value, f"{file}: key columns.{name}")
        for name, value in spec["columns"].items()
        if value is not None
    }
    spec["endpoints"] = {
        name: option for name, option in spec["endpoints"].items() if option is not None
    }
    for name, endpoint in spec["endpoints"].items():
        endpoint["event_values"] = {
            key_text(raw): value for raw, value in endpoint["event_values"].items()
        }
        _event_values(endpoint["event_values"], f"{file}: key endpoints.{name}.event_values")
        _competing(name, endpoint["competing"], f"{file}: key endpoints.{name}.competing")
    _relations(spec, file)
    spec["files"] = {source.key: source.location for source in sources(spec)}
    return spec


def sources(spec: Mapping[str, Any]) -> list[Source]:
    """Return the files of a checked cohort: keys are identifiers, such as ``clinical_main``.

    A second file under one key gets ``_2``, a third ``_3``.
    """

    def numbered(key: str, files: list[dict[str, Any]]) -> Iterator[Source]:
        for number, item in enumerate(files, start=1):
            name = key if number == 1 else f"{key}_{number}"
            yield Source(name, item["location"], item["sha256"], item["size"])

    found = [*numbered("expression", spec["expression"]["source"])]
    if spec["expression"]["annotation"] is not None:
        found += numbered("annotation", spec["expression"]["annotation"]["source"])
    for table in spec["clinical"]:
        found += numbered(f"clinical_{table['name']}", table["source"])
    if spec["filters"]["exclude_patients"]:
        found.append(Source("exclude_patients", spec["filters"]["exclude_patients"], "", None))
    return found


def key_text(value: Any) -> str:
    """Return a key of a value map as text: YAML reads yes, no and null as other things."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def text_keys(data: Any, key: str = "") -> Any:
    """Return a copy whose mapping keys are all texts, as a schema expects.

    YAML reads the bare words ``on`` and ``yes`` as true: ``on`` is a key of ``sampling``.
    """
    if isinstance(data, Mapping):
        true = "on" if key == "sampling" else "yes"
        texts = [(true if name is True else key_text(name), item) for name, item in data.items()]
        return {name: text_keys(item, name) for name, item in texts}
    return [text_keys(item) for item in data] if isinstance(data, list) else data


def _sources(
    value: Any, place: str, folder: Path, environ: Mapping[str, str]
) -> list[dict[str, Any]]:
    out = []
    for item in value if isinstance(value, list) else [value]:
        entry = {"path": item} if isinstance(item, str) else item
        given = [key for key in ("url", "path") if entry.get(key)]
        if len(given) != 1:
            raise ConfigError(
                f"{place} must have either url or path, but has {' and '.join(given) or 'none'}; "
                "give one of the two."
            )
        out.append(
            {
                "location": _location(entry[given[0]], place, folder, environ),
                "sha256": entry.get("sha256") or "",
                "size": entry.get("size"),
            }
        )
    return out


def expanded(text: str, place: str, environ: Mapping[str, str]) -> str:
    """Return a path or address with ``${VARIABLE}`` and ``~`` filled in.

    Raises
    ------
    ConfigError
        A variable is not set.
    """
    for name in _VARIABLE.findall(text):
        if not environ.get(name):
            raise ConfigError(
                f"{place} is {text!r}, but the environment variable {name} is not set; "
                f"set it, for example: export {name}=/path/to/folder."
            )
    text = _VARIABLE.sub(lambda match: environ[match.group(1)], text.strip())
    return environ.get("HOME", "~") + text[1:] if text == "~" or text.startswith("~/") else text


def _location(text: str, place: str, folder: Path, environ: Mapping[str, str]) -> str:
    text = expanded(text, place, environ)
    if is_url(text) or text.startswith(SIMULATED):
        return text
    if "://" in text:
        raise ConfigError(
            f"{place} is {text!r}, which is neither a path nor an address that starts with "
            "http:// or https://; download the file and give its path."
        )
    return os.path.normpath(folder / text)


def _column(value: Any, place: str) -> dict[str, Any]:
    column = {"column": value} if isinstance(value, str) else dict(value)
    defaults = schema("cohort")["properties"]["columns"]["properties"]["sample_type"]
    for key, rules in defaults["properties"].items():
        column.setdefault(key, rules["default"])
    if bool(column["column"]) == (column["constant"] is not None):
        raise ConfigError(f"{place} must name either a column or a constant; give one of the two.")
    column["values"] = {
        key_text(raw): ("yes" if canonical else "no") if isinstance(canonical, bool) else canonical
        for raw, canonical in column["values"].items()
    }
    return column


def _competing(name: str, stated: bool | None, place: str) -> None:
    sure = {"OS": False, "DSS": True}.get(name)
    if sure is not None and stated == (not sure):
        raise ConfigError(
            f"{place} is {str(stated).lower()}, but {name} "
            + (
                "censors deaths of other causes; leave the key out, or call the endpoint OS."
                if sure
                else "counts deaths of any cause; leave the key out, or call the endpoint DSS."
            )
        )


def _event_values(values: dict[str, Any], place: str) -> None:
    for raw, value in values.items():
        if value is not None and (isinstance(value, bool) or value not in (0, 1)):
            raise ConfigError(
                f"{place} maps {raw!r} to {value!r}; use 0 (censored), 1 (event) or null (missing)."
            )


def _relations(spec: Mapping[str, Any], file: str | Path) -> None:
    """Check what a schema can't say: keys that need each other, regular expressions."""
    expression = spec["expression"]
    if expression["gene_ids"] == "probe" and expression["annotation"] is None:
        raise ConfigError(
            f"{file}: key expression.gene_ids is 'probe', which needs expression.annotation with "
            "the platform's annotation file; add it."
        )
    names = [table["name"] for table in spec["clinical"]]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{file}: key clinical has two tables named {name!r}; give each a name."
            )
    users = {f"columns.{key}": value for key, value in spec["columns"].items()}
    users |= {f"endpoints.{key}": value for key, value in spec["endpoints"].items()}
    users["sample_to_patient"] = spec["sample_to_patient"]
    for key, value in users.items():
        if value["table"] and value["table"] not in names:
            raise ConfigError(
                f"{file}: key {key}.table is {value['table']!r}, but the clinical tables are "
                f"{', '.join(names) or 'none'}; name one of them."
            )
    link = spec["sample_to_patient"]
    if link["rule"] in {"column", "pattern"} and not link[link["rule"]]:
        raise ConfigError(
            f"{file}: key sample_to_patient.rule is {link['rule']!r}, which needs "
            f"sample_to_patient.{link['rule']}; add it."
        )
    for key, pattern in {
        "sample_to_patient.pattern": link["pattern"],
        "filters.exclude_samples": spec["filters"]["exclude_samples"],
    }.items():
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ConfigError(
                f"{file}: key {key} is {pattern!r}, which is no regular expression ({error}); "
                "correct it."
            ) from None
        if key.startswith("sample_to_patient") and pattern and groups != 1:
            raise ConfigError(
                f"{file}: key {key} is {pattern!r} and has {groups} groups; it needs one, the "
                "patient id."
            )
