"""Samples to patients, and clinical rows to samples."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cytostrat.errors import InputError
from cytostrat.harmonise.clinical import find_table

TCGA_PATIENT = 12
TCGA_SAMPLE_TYPES = {
    "01": "primary",
    "02": "recurrence",
    "05": "primary",
    "06": "metastasis",
    "07": "metastasis",
    "10": "normal",
    "11": "normal",
    "12": "normal",
    "13": "normal",
    "14": "normal",
}
_TCGA = re.compile(r"^TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?:-(\d{2})|$)")
_SHOWN = 5
_BEGINNINGS = 50
_SHORTEST_BEGINNING = 2
FORMULA_MARKS = ("=", "+", "-", "@")


def sample_names(samples: Sequence[str], *, file: str) -> tuple[list[str], list[str]]:
    """Return names without surrounding blanks, and a warning per name that had some.

    Raises
    ------
    InputError
        A name is empty, occurs twice, or could run as a formula in a spreadsheet.
    """
    names = [name.strip() for name in samples]
    changed = [old for old, new in zip(samples, names, strict=True) if old != new]
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name:
            raise InputError(
                f"{file}: sample {position} has no name; name it, or list the column under "
                "drop_columns."
            )
        if name in seen:
            raise InputError(
                f"{file}: the sample {name!r} occurs {names.count(name)} times; rename or remove "
                "all but one."
            )
        if name.startswith(FORMULA_MARKS) or not name.isprintable():
            raise InputError(
                f"{file}: the sample name {name!r} would be taken for a formula by a spreadsheet "
                "that opens the tables, or holds a control character; rename the sample."
            )
        seen.add(name)
    return names, [f"blanks around the sample name {name!r} removed" for name in changed]


def patients(
    names: Sequence[str], link: Mapping[str, Any], frames: Mapping[str, pd.DataFrame],
    files: Mapping[str, str], *, file: str,
) -> list[str | None]:  # fmt: skip
    """Return the patient of each sample by the rule of the cohort file; None where unknown.

    Parameters
    ----------
    names
        Sample names.
    link
        ``sample_to_patient`` of the cohort file.
    frames
        Clinical tables aligned to the samples, for the rule `column`.
    """
    if link["rule"] == "identity":
        return list(names)
    if link["rule"] == "column":
        table = find_table(frames, files, link["column"], link["table"], "sample_to_patient.column")
        values = frames[table][link["column"]]
        return [None if pd.isna(value) or not value.strip() else value.strip() for value in values]
    if link["rule"] == "tcga_barcode":
        wrong = [name for name in names if not _TCGA.match(name)]
        remedy = "correct sample_to_patient.rule in the cohort file"
        found = [name[:TCGA_PATIENT] for name in names]
    else:
        matches = [re.search(link["pattern"], name) for name in names]
        wrong = [name for name, match in zip(names, matches, strict=True) if not match]
        remedy = f"correct sample_to_patient.pattern, which is {link['pattern']!r}"
        found = [match.group(1) if match else None for match in matches]
    if wrong:
        raise InputError(
            f"{file}: the sample {wrong[0]!r} ({len(wrong)} in all) does not fit the rule "
            f"{link['rule']!r} that leads to its patient; {remedy}."
        )
    return found


def tcga_sample_type(name: str) -> str | None:
    """Return the sample type that a TCGA barcode states (characters 14 and 15)."""
    match = _TCGA.match(name)
    return TCGA_SAMPLE_TYPES.get(match.group(1) or "") if match else None


def join(
    table: pd.DataFrame, keys: Sequence[str | None], rule: Mapping[str, Any], *,
    table_file: str, expression_file: str, place: str, genes: Collection[str] = (),
) -> tuple[pd.DataFrame, int]:  # fmt: skip
    """Align a clinical table with the samples.

    Parameters
    ----------
    table
        Texts.
    keys
        Per sample the sample name or patient id, whichever the rule asks for.
    rule
        ``join`` of the table in the cohort file.
    genes
        Gene ids of the expression file, to recognise a matrix read the other way round.

    Returns
    -------
    frame, n_unused
        One row per sample (NaN where the table has none), and the number of rows without one.

    Raises
    ------
    ConfigError
        The key column does not exist.
    InputError
        No key is shared (five of each are shown), or a key that is needed occurs twice.
    """
    find_table({"": table}, {"": table_file}, rule["column"], "", f"{place}.column")
    cut = rule["characters"] or None
    own = []
    for text in table[rule["column"]]:
        key = text.strip()
        own.append(
            key.removeprefix(rule["remove_prefix"]).removesuffix(rule["remove_suffix"])[:cut]
        )
    wanted = [None if key is None else key[:cut] for key in keys]
    position: dict[str, int] = {}
    needed = set(wanted) - {None}
    for row, key in enumerate(own):
        if (
            key in position
            and key in needed
            and not table.iloc[row].equals(table.iloc[position[key]])
        ):
            raise InputError(
                f"{table_file}: the key {key!r} of column {rule['column']!r} has several rows that "
                f"differ; keep one, or correct {place} in the cohort file."
            )
        position.setdefault(key, row)
    rows = np.array([position.get(key, -1) if key is not None else -1 for key in wanted])
    if not (rows >= 0).any():
        if set(own) & {gene.strip()[:cut] for gene in genes}:
            raise InputError(
                f"{expression_file}: its gene ids, not its samples, are in column "
                f"{rule['column']!r} of {table_file}; turn expression.orientation round."
            )
        shown = [repr(key) for key in dict.fromkeys(wanted) if key is not None][:_SHOWN]
        theirs = [repr(key) for key in dict.fromkeys(own)][:_SHOWN]
        raise InputError(
            f"{table_file}: no value of column {rule['column']!r} ({', '.join(theirs)}, ...) is a "
            f"{rule['to']} of {expression_file} ({', '.join(shown)}, ...); "
            f"correct {place} (column, to, remove_prefix, remove_suffix, characters) or "
            f"sample_to_patient{_begun(wanted, own) or _begun(own, wanted)}."
        )
    frame = table.iloc[np.where(rows >= 0, rows, 0)].reset_index(drop=True).astype(object)
    frame[rows < 0] = np.nan
    return frame, len(set(position.values()) - set(rows.tolist()))


def _begun(longer: Sequence[str | None], shorter: Sequence[str | None]) -> str:
    """Say where names of one side begin with those of the other, and what joins these."""
    known = set(shorter)
    for name in [name for name in longer if name][:_BEGINNINGS]:
        for end in range(len(name) - 1, _SHORTEST_BEGINNING - 1, -1):
            if name[:end] in known:
                return (
                    f" ({name!r} begins with {name[:end]!r}: compare the first characters alone, "
                    f"characters: {end}, or join to the patient and give sample_to_patient the "
                    "rule pattern)"
                )
    return ""
