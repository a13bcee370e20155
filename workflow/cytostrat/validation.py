"""Read a YAML file, check it against a schema, and say in one sentence what is wrong."""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from cytostrat.errors import ConfigError

LARGEST_FILE = 1 << 20
MOST_VALUES = 100_000
DEEPEST = 50
SLIP = 0.85  # likeness of two keys of which one is the other with a slip
LONGEST_DEFAULT = 200  # characters in a cell of the manual
SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe loader (no Python tags) that refuses a key given twice."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode, deep: bool = False) -> dict:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=deep)
        try:
            known = key in seen
        except TypeError:
            raise yaml.constructor.ConstructorError(
                None, None, "a key must be a text or number", key_node.start_mark
            ) from None
        if known:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is given twice", key_node.start_mark
            )
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=deep)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Return a YAML file's mapping.

    Raises
    ------
    ConfigError
        The file is absent, too large, is not UTF-8 YAML, has a key twice, or holds no mapping.
    """
    try:
        if (size := Path(path).stat().st_size) > LARGEST_FILE:
            raise ConfigError(
                f"{path}: has {size} bytes, more than the {LARGEST_FILE} of any configuration; "
                "check that this is the right file."
            )
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read as UTF-8 text ({error}).") from error
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise ConfigError(f"{path}{where}: not valid YAML: {problem}.") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: holds no keys; it must be a YAML mapping.")
    _check_extent(data, path)
    return data


def _check_extent(data: Any, file: str | Path) -> None:
    """Refuse values that hold themselves, or that aliases multiply beyond all use."""
    todo = [(data, 0)]
    count = 0
    while todo:
        value, depth = todo.pop()
        inner = (
            [*value.keys(), *value.values()] if isinstance(value, Mapping)
            else value if isinstance(value, list | tuple | set) else ()
        )  # fmt: skip
        count += len(inner)
        if count > MOST_VALUES or depth > DEEPEST:
            raise ConfigError(
                f"{file}: holds more than {MOST_VALUES} values or {DEEPEST} levels once its "
                "aliases (*name) are written out; write out what is meant."
            )
        todo += [(item, depth + 1) for item in inner]


@cache
def schema(name: str) -> dict[str, Any]:
    """Return the shipped schema ``workflow/schemas/<name>.schema.yaml``."""
    return yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8"))


def validate(data: Mapping[str, Any], name: str, *, file: str | Path) -> dict[str, Any]:
    """Return `data` with the schema's defaults filled in.

    Parameters
    ----------
    data
        Content of the file; not changed.
    name
        Name of the shipped schema.
    file
        Named in messages.

    Raises
    ------
    ConfigError
        An unknown, absent or ill-typed key; names file, key, value and remedy.
    """
    _check_extent(data, file)
    rules = schema(name)
    data = {str(key): value for key, value in data.items()}
    version = rules.get("properties", {}).get("schema_version", {}).get("const")
    if version is not None and data.get("schema_version") != version:
        raise ConfigError(
            f"{file}: key schema_version is {data.get('schema_version')!r}; this release reads "
            f"version {version}, so bring the keys up to date with the manual config/README.md "
            f"and set schema_version: {version}."
        )
    errors = sorted(
        jsonschema.Draft202012Validator(rules).iter_errors(data),
        key=lambda error: (-len(error.absolute_path), list(map(str, error.absolute_path))),
    )
    if errors:
        raise ConfigError(f"{file}: {_sentence(errors[0])}")
    out = copy.deepcopy(dict(data))
    _fill(out, rules)
    return out


def _sentence(error: jsonschema.ValidationError) -> str:
    """Turn the deepest schema error into key, value and remedy."""
    if error.validator in {"anyOf", "oneOf"} and error.context:
        return _sentence(max(error.context, key=lambda inner: len(inner.absolute_path)))
    key = ".".join(map(str, error.absolute_path))
    place = f"key {key}" if key else "the file"
    rules, value = error.schema, error.instance
    if error.validator == "additionalProperties":
        known = sorted(rules.get("properties", {}))
        unknown = sorted(set(map(str, value)) - set(known))[0]
        close = _meant(unknown, known)
        remedy = f"did you mean {close!r}?" if close else f"known keys are {', '.join(known)}."
        where = f"unknown key {unknown!r} below {key}" if key else f"unknown key {unknown!r}"
        return f"{where}; {remedy}"
    if error.validator == "required":
        absent = sorted(set(error.validator_value) - set(value))[0]
        about = rules.get("properties", {}).get(absent, {}).get("description", "")
        return f"{place} lacks the required key {absent!r}; add it. {about}".rstrip()
    about = rules.get("description", "")
    return f"{place} has the value {value!r}, but {_rule(error)}. {about}".rstrip()


def _meant(unknown: str, known: Sequence[str]) -> str:
    """Return the key that was probably meant, '' where none is near.

    A slip of the pen comes first; then the longest key that the unknown one holds as whole
    words (her2_stat holds her2, and shares more letters with her2_ish); then the nearest.
    """
    folded = {key.casefold(): key for key in known}
    name = unknown.casefold()
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unknown).casefold())
    held = sorted((key for key in folded if f"_{key}_" in f"_{words}_"), key=len)
    slips = difflib.get_close_matches(name, folded, n=1, cutoff=SLIP)
    close = slips or held[-1:] or difflib.get_close_matches(name, folded, n=1)
    return folded[close[0]] if close else ""


def _rule(error: jsonschema.ValidationError) -> str:
    wanted = error.validator_value
    if error.validator == "enum":
        close = difflib.get_close_matches(str(error.instance), list(map(str, wanted)), n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"it must be one of {', '.join(map(str, wanted))}{hint}"
    if error.validator == "type":
        names = wanted if isinstance(wanted, list) else [wanted]
        return f"it must be of type {' or '.join(names)}"
    if error.validator in {"minimum", "maximum"}:
        side = "at least" if error.validator == "minimum" else "at most"
        return f"it must be {side} {wanted}"
    return error.message.replace("\n", " ")


def reference(name: str) -> str:
    """Return the keys of a shipped schema as a Markdown table: key, what it is, default."""
    lines = ["| key | what it is | default |", "|---|---|---|"]
    _describe(schema(name), "", lines, seen={})
    return "\n".join(lines) + "\n"


def _describe(
    rules: Mapping[str, Any], prefix: str, lines: list[str], *, seen: dict[int, str]
) -> None:
    for key, sub in rules.get("properties", {}).items():
        full = f"{prefix}{key}"
        if id(sub) in seen:
            lines.append(f"| `{full}` | as `{seen[id(sub)]}` | |")
            continue
        text = sub.get("description", "")
        for how, choices in (("One", sub.get("enum")), ("Any", sub.get("items", {}).get("enum"))):
            if choices:
                text += f" {how} of: {', '.join(str(value) or 'empty' for value in choices)}."
        lines.append(f"| `{full}` | {text.replace('|', '/')} | {_default(rules, key)} |")
        seen[id(sub)] = full
        _describe(sub, f"{full}.", lines, seen=seen)
        for inner, mark in (
            (sub.get("items"), "[]."),
            (sub.get("additionalProperties"), ".<name>."),
        ):
            if isinstance(inner, dict):
                _describe(inner, f"{full}{mark}", lines, seen=seen)


def _default(rules: Mapping[str, Any], key: str) -> str:
    if key in rules.get("required", []):
        return "required"
    text = json.dumps(rules["properties"][key].get("default"))
    return f"`{text}`" if len(text) <= LONGEST_DEFAULT else "that of `config/config.yaml`"


def _fill(data: Any, rules: Mapping[str, Any]) -> None:
    if isinstance(data, dict):
        for key, sub in rules.get("properties", {}).items():
            if key not in data and "default" in sub:
                data[key] = copy.deepcopy(sub["default"])
            if key in data:
                _fill(data[key], sub)
        further = rules.get("additionalProperties")
        if isinstance(further, dict):
            for key in data.keys() - rules.get("properties", {}).keys():
                _fill(data[key], further)
    elif isinstance(data, list) and isinstance(rules.get("items"), dict):
        for item in data:
            _fill(item, rules["items"])
