"""What a file or folder is: a matrix, a clinical table, an annotation; and how it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from cytostrat.draft.columns import plain
from cytostrat.errors import InputError
from cytostrat.genes import GeneIndex, guess_kind
from cytostrat.readers import cbioportal, geo, tcga
from cytostrat.readers.text import Member, contents, delimiter_of, open_text, split_line

HDF5 = b"\x89HDF\r\n\x1a\n"
PROBE = re.compile(r"^(?:\d+(?:_[a-z]+)?_at|AFFX-.+|ILMN_\d+|A_\d+_P\d+|cg\d{8})$")
TCGA = re.compile(r"^TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}")
STAR = ".augmented_star_gene_counts.tsv"
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
LINES = 120
SHOWN = 4000
FEWEST_GENES = 0.2
MATRIX = 0.9
LEADING = 6
FEWEST_CLINICAL = 2
FEWEST_ENTREZ = 50
_NOT_DATA = re.compile(r"^(?:\.|readme|licen[cs]e|meta_|md5|sha256|manifest)", re.IGNORECASE)
_CLINICAL = re.compile(
    r"^(?:age|er|pr|pgr|grade|stage|sex|gender|death|dead|event|status)\b|her2|surviv|pam50|"
    r"subtype|diagnosis|chemo|months|days"
)
_MARKS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe", " ": "space"}


@dataclass(frozen=True)
class Part:
    """One thing that a file holds.

    Parameters
    ----------
    path
        The file or folder.
    role
        ``expression``, ``clinical`` or ``annotation``.
    format
        A format of the cohort file.
    options
        Further keys of the cohort file that the reader needs.
    kind
        ``bulk`` or ``single_cell``.
    unsure
        What a person should look at, per key of the cohort file.
    """

    path: Path
    role: str
    format: str
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "bulk"
    unsure: Mapping[str, str] = field(default_factory=dict)


def identify(path: Path, index: GeneIndex) -> list[Part]:
    """Return what a file, archive or folder holds; a plain folder is looked at file by file.

    Raises
    ------
    InputError
        It is absent, or nothing in it is of a known layout.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check the path.")
    if path.is_dir() or path.name.endswith(ARCHIVES):
        names = {name.rsplit("/", 1)[-1].removesuffix(".gz"): name for name in contents(path)}
        known = _bundle(path, names)
        if known:
            return known
        if path.is_dir():
            return _folder(path, index)
        raise InputError(
            f"{path}: holds no known layout (its files: {', '.join(sorted(names)[:6])}); unpack it "
            "and name the expression matrix and the clinical table."
        )
    with path.open("rb") as stream:
        if stream.read(8) == HDF5:
            return _hdf5(path)
    return _text(path, index)


def _folder(path: Path, index: GeneIndex) -> list[Part]:
    parts: list[Part] = []
    reasons: list[str] = []
    for file in sorted(path.iterdir()):
        if not file.is_file() or _NOT_DATA.match(file.name):
            continue
        try:
            parts += identify(file, index)
        except InputError as error:
            reasons.append(str(error))
    if not parts:
        raise InputError(
            f"{path}: holds no expression matrix and no clinical table"
            f"{f' ({reasons[0]})' if reasons else ''}; name the files themselves."
        )
    return parts


def _bundle(path: Path, names: Mapping[str, str]) -> list[Part]:
    """Recognise the layouts that are several files."""
    if "count_matrix_sparse.mtx" in names:
        cells = {"gene_ids": "symbol", "scale": "counts"}
        parts = [Part(path, "expression", "wu2021", cells, "single_cell")]
        if "metadata.csv" in names:
            parts.append(Part(path, "clinical", "wu2021", {}, "single_cell"))
        return parts
    if "matrix.mtx" in names:
        options = {"gene_ids": "symbol", "scale": "counts"}
        return [Part(path, "expression", "tenx", options, "single_cell")]
    if any(name.endswith(STAR) for name in names):
        return [Part(path, "expression", "gdc_star", {"gene_ids": "ensembl", "scale": "counts"})]
    parts = []
    profiles = [
        name for name in names
        if re.match(r"^data_(mrna|expression|rna_seq)\w*\.txt$", name, re.IGNORECASE)
        and not re.search(r"z_?scores?", name, re.IGNORECASE)
    ]  # fmt: skip
    if profiles:
        chosen = sorted(profiles, key=lambda name: ("median" in name, len(name), name))[0]
        unsure = {}
        if len(profiles) > 1:
            others = ", ".join(sorted(set(profiles) - {chosen}))
            unsure["member"] = f"the study also holds {others}"
        parts.append(Part(path, "expression", "cbioportal", {"member": chosen}, "bulk", unsure))
    for to, known in cbioportal.CLINICAL_FILES.items():
        if any(name in names for name in known):
            parts.append(Part(path, "clinical", "cbioportal", {"to": to}))
    return parts


def _hdf5(path: Path) -> list[Part]:
    import h5py

    with h5py.File(path) as file:
        if "matrix" in file and "obs" not in file:
            options = {"gene_ids": "symbol", "scale": "counts"}
            return [Part(path, "expression", "tenx", options, "single_cell")]
        if "obs" not in file or "var" not in file:
            raise InputError(
                f"{path}: is HDF5, but neither .h5ad (no obs and var) nor a 10x matrix; convert it "
                "to .h5ad or to a table."
            )
        layers = list(file["layers"]) if "layers" in file else []
        n_rows = _length(file["obs"])
    options = {"layer": "counts"} if "counts" in layers else {}
    unsure = {"layer": f"the file has X and the layers {', '.join(layers)}"} if layers else {}
    kind = "single_cell" if n_rows > 5000 else "bulk"
    unsure["kind"] = f"{n_rows} rows: bulk samples or single cells?"
    return [
        Part(path, "expression", "h5ad", options, kind, unsure),
        Part(path, "clinical", "h5ad", {}, kind),
    ]


def _length(group: Any) -> int:
    index = group[group.attrs.get("_index", "_index")]
    return int(index.shape[0])


def head(path: Path | Member) -> list[str]:
    """Return the first lines of a text file."""
    with open_text(path) as stream:
        return list(islice(stream, LINES))


def _text(path: Path, index: GeneIndex) -> list[Part]:
    lines = [line for line in head(path) if line.strip()]
    if not lines:
        raise InputError(f"{path}: holds no lines of data; get the file again.")
    if lines[0].startswith(("!Series_", "!Sample_")):
        return _series(path)
    if lines[0].startswith(("^Annotation", "^PLATFORM", "!platform_table_begin")):
        return [Part(path, "annotation", "annotation")]
    commented = [line for line in lines if line.startswith("#")]
    body = [line for line in lines if not line.startswith("#")]
    if not body:
        raise InputError(f"{path}: its first {LINES} lines are all comments; check the file.")
    mark = delimiter_of(path, body[:12], "auto")
    rows = [[cell.strip() for cell in split_line(line, mark)] for line in body]
    header, rows = rows[0], rows[1:]
    if not rows:
        raise InputError(f"{path}: has a header but no rows; get the file again.")
    if len(header) == len(rows[0]) - 1:
        header = ["", *header]
    if {"PATIENT_ID", "SAMPLE_ID"} & set(header) and (commented or header[0].endswith("_ID")):
        to = "sample" if "SAMPLE_ID" in header else "patient"
        return [Part(path, "clinical", "cbioportal", {"to": to})]
    if "ID" in header and set(header) & {name for names in geo.GENE_COLUMNS.values()
                                         for name in names}:  # fmt: skip
        return [Part(path, "annotation", "annotation")]
    return [_delimited(path, header, rows, mark, index, commented=bool(commented))]


def _series(path: Path) -> list[Part]:
    """Tell whether a series matrix holds values beside the samples."""
    parts = [Part(path, "clinical", "geo_series_matrix")]
    with open_text(path) as stream:
        inside = False
        ids: list[str] = []
        for line in stream:
            if inside:
                if line.startswith("!") or len(ids) > SHOWN:
                    break
                ids.append(split_line(line, "\t")[0].strip())
            inside = inside or line.startswith("!series_matrix_table_begin")
    if len(ids) > 1:
        kind = gene_id_kind(ids[1:])
        parts.insert(0, Part(path, "expression", "geo_series_matrix", {"gene_ids": kind}))
    return parts


def gene_id_kind(ids: list[str]) -> str:
    """Return what most ids look like: probe, or what `genes.guess_kind` says."""
    probes = sum(bool(PROBE.match(name)) for name in ids)
    return "probe" if 2 * probes > len(ids) else guess_kind(ids)


def _delimited(
    path: Path, header: list[str], rows: list[list[str]], mark: str, index: GeneIndex, *,
    commented: bool,
) -> Part:  # fmt: skip
    """Tell a matrix from a clinical table, and its orientation."""
    rows = [row for row in rows if len(row) == len(header)]
    columns = list(zip(*rows, strict=True)) if rows else []
    numeric = [_is_numeric(column) for column in columns]
    texts = [number for number, is_number in enumerate(numeric) if not is_number]
    options: dict[str, Any] = {}
    if commented:
        options["comment"] = "#"
    if mark not in "\t,;":
        options["delimiter"] = _MARKS[mark]
    decimal_comma = mark != "," and any(re.match(r"^-?\d+,\d+$", cell) for cell in rows[0])
    if decimal_comma:
        options["decimal"] = ","
        numeric = [_is_numeric([cell.replace(",", ".") for cell in column]) for column in columns]
        texts = [number for number, is_number in enumerate(numeric) if not is_number]
    share = sum(numeric) / max(1, len(columns))
    named = _share(header, index)
    clinical = sum(bool(_CLINICAL.search(plain(name))) for name in header) >= FEWEST_CLINICAL
    shares = [_share(column, index) for column in columns[:LEADING]]
    if clinical:  # numbers of patients, days: any small whole number is some gene's Entrez id
        shares = [0.0 if numeric[n] else share for n, share in enumerate(shares)]
    best = max(range(len(shares)), key=lambda n: (shares[n], -n), default=0)
    listed = shares[best] if shares else 0.0
    if share >= MATRIX and len(columns) > 20 and named > max(FEWEST_GENES, listed):
        keys = [number for number in texts if len(set(columns[number])) == len(rows)] or [0]
        options |= {"orientation": "genes_in_columns"}
        return _matrix(path, header, keys[0], texts, options, gene_id_kind(_wanted(header, keys)))
    leading = len(texts) <= 5 and len(columns) - len(texts) >= 2
    if listed > FEWEST_GENES and leading:
        ids = list(columns[best])
        form = "xena" if header[0] in tcga.XENA_ROWS and any(map(TCGA.match, header)) else ""
        if header[best] in ("Hugo_Symbol", "Entrez_Gene_Id"):
            form = "cbioportal"
        return _matrix(path, header, best, texts, options, gene_id_kind(ids), form=form)
    options.pop("decimal", None)
    if any(map(_has_decimal_comma, columns)):
        options["decimal"] = ","
    return Part(path, "clinical", "delimited", options)


def _wanted(header: list[str], keys: list[int]) -> list[str]:
    return [name for number, name in enumerate(header) if number not in keys]


def _matrix(
    path: Path, header: list[str], id_at: int, texts: list[int], options: dict[str, Any],
    gene_ids: str, *, form: str = "",
) -> Part:  # fmt: skip
    options = {**options, "gene_ids": gene_ids}
    if form:
        options = {"gene_ids": gene_ids} if form == "xena" else {"member": "", **options}
        options.pop("member", None)
        return Part(path, "expression", form, options)
    drop = [header[number] for number in texts if number != id_at and header[number]]
    if drop:
        options["drop_columns"] = drop
    if id_at or header[id_at]:
        options["id_column"] = header[id_at]
    return Part(path, "expression", "delimited", options)


def _is_numeric(cells: Any) -> bool:
    found = [cell for cell in cells if cell not in ("", "NA", "NaN", "nan", "null", "--")]
    return all(_number(cell) for cell in found) and bool(found)


def _has_decimal_comma(cells: Any) -> bool:
    """Tell whether a column holds numbers with a decimal comma, not one between thousands."""
    decimal = any(re.match(r"^-?\d+,(?!\d{3}$)\d+$", cell) for cell in cells)
    return decimal and _is_numeric([cell.replace(",", ".") for cell in cells])


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _share(ids: Any, index: GeneIndex) -> float:
    """Return the share of ids that are a human gene or look like a probe."""
    names = [str(name) for name in islice(ids, SHOWN) if str(name).strip()]
    if len(names) < 2 or len(set(names)) < 0.9 * len(names):
        return 0.0
    if (kind := gene_id_kind(names)) == "probe":
        return 1.0
    if kind == "entrez" and len(names) < FEWEST_ENTREZ:
        return 0.0
    return sum(index.resolve(name, kind)[0] is not None for name in names) / len(names)


def numbered(items: list[Any]) -> Iterator[tuple[str, Any]]:
    """Give clinical tables distinct names: main, or clinical_1, clinical_2, ..."""
    for number, item in enumerate(items, start=1):
        yield ("main" if len(items) == 1 else f"clinical_{number}"), item
