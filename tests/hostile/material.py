"""Small intact inputs of every reader, cut from real tumours and cells.

An input is a folder of files given as bytes; a tar archive is given by its members. `read` does
what a run does with it, through to the written and reread table, and returns a digest.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import yaml
from anndata import AnnData
from scipy import io as scipy_io
from scipy import sparse

from cytostrat import (
    cohortfile,
    configfile,
    fetch,
    genes,
    harmonise,
    knowledge,
    readers,
    signatures,
    tables,
    validation,
)
from cytostrat.errors import CytostratError

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
COHORT = "cohort.yaml"
Files = dict[str, bytes | dict[str, bytes]]


@dataclass(frozen=True)
class Material:
    """An intact input of one reader.

    Parameters
    ----------
    reader
        Name in the printed table.
    files
        Name to bytes, or for an archive to its members.
    read
        Folder and results folder to the digest of what was read.
    spoiled
        Which files are spoiled as text; ``archive//member`` reaches into an archive.
    further
        ``hdf5`` or ``yaml``: the file of that format; ``kinds``: the only kinds that are tried;
        ``plain``: read as UTF-8 by its name only; ``shipped``: the project's own, of known size;
        ``known``: files whose checksum is known, so that any change is an error.
    lists
        Files in which any line is an entry, so that only its encoding and compression can be
        wrong.
    """

    reader: str
    files: Files
    read: Callable[[Path, Path], str]
    spoiled: tuple[str, ...]
    further: Mapping[str, Any] = field(default_factory=dict)
    lists: tuple[str, ...] = ()


def pack(members: Mapping[str, bytes]) -> bytes:
    """Return a ``.tar.gz`` of some members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def write(files: Mapping[str, bytes | dict[str, bytes]], folder: Path) -> None:
    """Write the files of an input."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(pack(content) if isinstance(content, dict) else content)


@cache
def gene_index() -> genes.GeneIndex:
    """Return the shipped index of gene ids."""
    return genes.read_index(RESOURCES / "gene_ids.tsv.gz")


def digest(*parts: Any) -> str:
    """Return a digest of frames, arrays and texts that does not know their order of columns."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, pd.DataFrame):
            part = part.reindex(sorted(part.columns, key=str), axis=1).to_csv(sep="\t")
        elif isinstance(part, np.ndarray):
            part = part.tobytes()
        elif not isinstance(part, str):
            part = json.dumps(part, sort_keys=True, default=str)
        total.update(part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass"))
        total.update(b"\0")
    return total.hexdigest()[:16]


def read_whole_cohort(folder: Path, results: Path) -> str:
    """Load, read, harmonise and write a cohort as rule harmonise does, then read it back."""
    spec = cohortfile.load(folder / COHORT, environ={})
    paths = spec["files"]
    excluded = paths.get("exclude_patients")
    cohort, flow = harmonise.harmonise(
        readers.read_expression(paths, spec),
        readers.read_clinical(paths, spec),
        spec,
        gene_index(),
        annotation=readers.read_annotation(paths, spec),
        excluded_patients=readers.read_patients(excluded) if excluded else (),
    )
    tables.write_cohort(cohort, results / "cohort.h5ad")
    tables.write_table(flow, results / "flow.tsv", tables.FLOW)
    tables.write_lines(cohort.obs["patient"], results / "patients.tsv")
    again = tables.read_cohort(results / "cohort.h5ad")
    if np.isinf(_dense(again.X)).any() or again.n_obs < 2:
        raise AssertionError("an infinite value or less than two samples came through")
    _no_formula(results / "flow.tsv", results / "patients.tsv")
    _no_formula_in(map(str, again.obs_names))
    again = again[sorted(again.obs_names), sorted(again.var_names)]
    return digest(_dense(again.X), again.obs, list(again.var_names))


def _dense(values: Any) -> np.ndarray:
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def _no_formula(*files: Path) -> None:
    for file in files:
        cells = (cell for line in tables.read_lines(file) for cell in line.split("\t"))
        _no_formula_in(cells)


def _no_formula_in(cells: Any) -> None:
    for cell in cells:
        if cell.startswith(("=", "@", "\t", "\r")):
            raise AssertionError(f"a table for spreadsheets holds the formula {cell[:40]!r}")


# --- the real samples -----------------------------------------------------------------------


@dataclass(frozen=True)
class Real:
    """A few real tumours: genes x samples and their clinical rows, and real cells."""

    expression: pd.DataFrame
    counts: pd.DataFrame
    clinical: pd.DataFrame
    cells: dict[str, bytes]


def real(data: Path) -> Real:
    """Cut 24 tumours x 150 genes and 60 cells x 200 genes from the real cohorts."""
    every = pd.read_csv(data / "scanb_400/log2_fpkm.tsv.gz", sep="\t", index_col=0)
    clinical = pd.read_csv(data / "scanb_400/clinical.tsv", sep="\t", dtype=str)
    clinical = clinical.fillna("").query("her2_status != '' and title in @every.columns")
    chosen = pd.concat([rows.head(6) for _, rows in clinical.groupby(["her2_status", "er_status"])])
    known = [gene for gene in every.index if gene in _approved()]
    wanted = list(dict.fromkeys(["ERBB2", "ESR1", "GRB7", "STARD3", "IL1B", *known[::100]]))[:150]
    expression = every.loc[wanted, chosen["title"]].rename_axis("gene_symbol")
    counts = np.exp2(expression + 4).round().astype(int)
    return Real(expression, counts, chosen.set_index("title"), _cells(data))


@cache
def _approved() -> frozenset[str]:
    return frozenset(genes.read_gene_table(RESOURCES / "gene_ids.tsv.gz")["symbol"])


def _cells(data: Path) -> dict[str, bytes]:
    with tarfile.open(data / "wu2021_cid4465/GSE176078_CID4465.tar.gz") as archive:
        content = {
            member.name.rsplit("/", 1)[-1]: archive.extractfile(member).read()
            for member in archive
            if member.isfile()
        }
    matrix = scipy_io.mmread(io.BytesIO(content["count_matrix_sparse.mtx"])).tocsr()
    names = content["count_matrix_genes.tsv"].decode().split("\n")
    rows = np.argsort(-np.asarray(matrix.sum(axis=1)).ravel(), kind="stable")[:200]
    stream = io.BytesIO()
    scipy_io.mmwrite(stream, matrix[rows][:, :60].tocoo(), field="integer")
    metadata = content["metadata.csv"].decode().split("\n")
    return {
        "CID4465/count_matrix_sparse.mtx": stream.getvalue(),
        "CID4465/count_matrix_genes.tsv": _lines(names[row] for row in rows),
        "CID4465/count_matrix_barcodes.tsv": _lines(
            content["count_matrix_barcodes.tsv"].decode().split("\n")[:60]
        ),
        "CID4465/metadata.csv": _lines(metadata[:61]),
    }


def _lines(texts: Any) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def _tsv(frame: pd.DataFrame, **options: Any) -> bytes:
    return frame.to_csv(sep="\t", lineterminator="\n", **options).encode()


def _spec(**keys: Any) -> bytes:
    spec = {
        "schema_version": 1,
        "name": "small",
        "kind": "bulk",
        "columns": {
            "her2": {"column": "her2_status", "values": {"1": "positive", "0": "negative"}},
            "er": {"column": "er_status", "values": {"1": "positive", "0": "negative"}},
        },
        "filters": {"sample_type": {"missing": "keep"}, "sex": {"missing": "keep"}},
    }
    return yaml.safe_dump(spec | keys, sort_keys=False).encode()


def _clinical(to: str, column: str, **keys: Any) -> list[dict[str, Any]]:
    return [{"join": {"column": column, "to": to}, **keys}]


# --- one function per reader ----------------------------------------------------------------


def _delimited(base: Real) -> Material:
    spec = _spec(
        expression={"source": "expression.tsv", "gene_ids": "symbol", "scale": "log2"},
        clinical=_clinical("sample", "title", source="clinical.tsv"),
        filters={"sample_type": {"missing": "keep"}, "sex": {"missing": "keep"},
                 "exclude_patients": "excluded.txt"},
    )  # fmt: skip
    files: Files = {
        "expression.tsv": _tsv(base.expression),
        "clinical.tsv": _tsv(base.clinical),
        "excluded.txt": _lines(["# withdrawn", base.expression.columns[0], "P0", "P1"]),
        COHORT: spec,
    }
    return Material(
        "delimited", files, read_whole_cohort,
        ("expression.tsv", "clinical.tsv", "excluded.txt"), lists=("excluded.txt",),
    )  # fmt: skip


def _counts(base: Real) -> Material:
    spec = _spec(
        expression={"source": "expression.tsv", "gene_ids": "symbol", "scale": "counts",
                    "orientation": "genes_in_columns"},
        clinical=_clinical("sample", "title", source="clinical.tsv"),
    )  # fmt: skip
    files: Files = {
        "expression.tsv": _tsv(base.counts.T.rename_axis("sample")),
        "clinical.tsv": _tsv(base.clinical),
        COHORT: spec,
    }
    return Material("delimited, genes in columns", files, read_whole_cohort, ("expression.tsv",))


def _geo(base: Real) -> Material:
    names = base.clinical["gsm"].tolist()
    probes = [f"{number}_at" for number in range(len(base.expression))]
    quoted = ['"' + '"\t"'.join(row) + '"' for row in (["ID_REF", *names],)]
    lines = ['!Series_title\t"A series"']
    lines += ["!Sample_geo_accession\t" + "\t".join(f'"{name}"' for name in names)]
    for key in ("her2_status", "er_status", "age_at_diagnosis"):
        values = (f'"{key}: {value}"' for value in base.clinical[key])
        lines.append("!Sample_characteristics_ch1\t" + "\t".join(values))
    lines += ["!series_matrix_table_begin", *quoted]
    lines += [
        "\t".join([f'"{probe}"', *map(str, row)])
        for probe, row in zip(probes, base.expression.to_numpy(), strict=True)
    ]
    lines.append("!series_matrix_table_end")
    platform = ["^Annotation", "#ID = ID", "!platform_table_begin", "ID\tGene symbol\tGene ID"]
    platform += [
        f"{probe}\t{gene}\t0" for probe, gene in zip(probes, base.expression.index, strict=True)
    ]
    platform.append("!platform_table_end")
    spec = _spec(
        expression={"source": "series.txt", "format": "geo_series_matrix", "gene_ids": "probe",
                    "scale": "log2", "annotation": {"source": "platform.annot"}},
        clinical=_clinical("sample", "geo_accession", source="series.txt",
                           format="geo_series_matrix"),
    )  # fmt: skip
    files: Files = {"series.txt": _lines(lines), "platform.annot": _lines(platform), COHORT: spec}
    return Material("geo_series_matrix", files, read_whole_cohort, ("series.txt", "platform.annot"))


def _cbioportal(base: Real) -> Material:
    head = "#Patient\tHER2\tER\n#Patient\tHER2\tER\n#STRING\tSTRING\tSTRING\n#1\t1\t1\n"
    sample = base.clinical[["her2_status", "er_status"]].reset_index(names="SAMPLE_ID")
    sample.insert(0, "PATIENT_ID", sample["SAMPLE_ID"])
    matrix = base.expression.rename_axis("Hugo_Symbol")
    matrix.insert(0, "Entrez_Gene_Id", range(len(matrix)))
    members = {
        "study/data_mrna_seq.txt": _tsv(matrix),
        "study/data_clinical_sample.txt": head.encode() + _tsv(sample, index=False),
        "study/meta_study.txt": b"type_of_cancer: brca\n",
    }
    spec = _spec(
        expression={"source": "study.tar.gz", "format": "cbioportal", "gene_ids": "symbol",
                    "scale": "log2"},
        clinical=_clinical("sample", "SAMPLE_ID", source="study.tar.gz", format="cbioportal"),
    )  # fmt: skip
    return Material(
        "cbioportal",
        {"study.tar.gz": members, COHORT: spec},
        read_whole_cohort,
        tuple(f"study.tar.gz//{name}" for name in list(members)[:2]),
    )


def _xena(base: Real) -> Material:
    barcodes = [f"TCGA-AA-{number:04d}-01" for number in range(base.expression.shape[1])]
    phenotype = base.clinical[["her2_status", "er_status"]].set_axis(barcodes).rename_axis("sample")
    matrix = base.expression.set_axis(barcodes, axis=1).rename_axis("sample")
    spec = _spec(
        expression={"source": "HiSeqV2.tsv", "format": "xena", "gene_ids": "symbol",
                    "scale": "log2"},
        clinical=_clinical("sample", "sample", source="phenotype.tsv", format="xena"),
        sample_to_patient={"rule": "tcga_barcode"},
    )  # fmt: skip
    files: Files = {"HiSeqV2.tsv": _tsv(matrix), "phenotype.tsv": _tsv(phenotype), COHORT: spec}
    return Material("xena", files, read_whole_cohort, ("HiSeqV2.tsv", "phenotype.tsv"))


def _star(base: Real) -> Material:
    table = genes.read_gene_table(RESOURCES / "gene_ids.tsv.gz").set_index("symbol")["ensembl"]
    ids = [f"{table[gene].split('|')[0]}.4" for gene in base.counts.index]
    members: dict[str, bytes] = {}
    sheet = ["File ID\tFile Name\tSample ID"]
    for number, sample in enumerate(base.counts.columns):
        name = f"f{number}.rna_seq.augmented_star_gene_counts.tsv"
        rows = ["# gene-model: GENCODE v36", "gene_id\tgene_name\tgene_type\tunstranded"]
        rows += ["N_unmapped\t\t\t12", "N_ambiguous\t\t\t3"]
        rows += [
            f"{gene}\t{symbol}\tprotein_coding\t{value}"
            for gene, symbol, value in zip(ids, base.counts.index, base.counts[sample], strict=True)
        ]
        members[f"cart/f{number}/{name}"] = _lines(rows)
        sheet.append(f"f{number}\t{name}\t{sample}")
    members["cart/gdc_sample_sheet.2026.tsv"] = _lines(sheet)
    spec = _spec(
        expression={"source": "cart.tar.gz", "format": "gdc_star", "gene_ids": "ensembl",
                    "scale": "counts"},
        clinical=_clinical("sample", "title", source="clinical.tsv"),
    )  # fmt: skip
    names = list(members)
    return Material(
        "gdc_star",
        {"cart.tar.gz": members, "clinical.tsv": _tsv(base.clinical), COHORT: spec},
        read_whole_cohort,
        (f"cart.tar.gz//{names[3]}", f"cart.tar.gz//{names[-1]}"),
    )


_CELL_KEYS = {
    "kind": "single_cell",
    "columns": {
        "her2": {"column": "subtype", "values": {"TNBC": "negative"}},
        "cell_type": "celltype_major",
        "batch": "orig.ident",
    },
    "sample_to_patient": {"rule": "column", "column": "orig.ident"},
}


def _wu(base: Real) -> Material:
    spec = _spec(
        expression={"source": "cells.tar.gz", "format": "wu2021", "gene_ids": "symbol",
                    "scale": "counts"},
        clinical=_clinical("sample", "barcode", source="cells.tar.gz", format="wu2021"),
        **_CELL_KEYS,
    )  # fmt: skip
    return Material(
        "wu2021",
        {"cells.tar.gz": dict(base.cells), COHORT: spec},
        read_whole_cohort,
        tuple(f"cells.tar.gz//{name}" for name in base.cells),
        lists=tuple(f"cells.tar.gz//{name}" for name in list(base.cells)[1:3]),
    )


def _tenx_parts(base: Real) -> tuple[dict[str, bytes], bytes]:
    names = base.cells["CID4465/count_matrix_genes.tsv"].decode().split()
    features = _lines(f"ENSG{n:011d}\t{name}\tGene Expression" for n, name in enumerate(names))
    members = {
        "filtered/matrix.mtx": base.cells["CID4465/count_matrix_sparse.mtx"],
        "filtered/features.tsv": features,
        "filtered/barcodes.tsv": base.cells["CID4465/count_matrix_barcodes.tsv"],
    }
    return members, base.cells["CID4465/metadata.csv"].replace(b'""', b"barcode", 1)


def _tenx_spec(source: str) -> bytes:
    return _spec(
        expression={"source": source, "format": "tenx", "gene_ids": "symbol", "scale": "counts"},
        clinical=_clinical("sample", "barcode", source="metadata.csv"),
        **_CELL_KEYS,
    )


def _named_metadata(content: bytes) -> bytes:
    header, _, rest = content.partition(b"\n")
    return b"barcode" + header.removeprefix(b'""') + b"\n" + rest


def _tenx(base: Real) -> Material:
    members, _ = _tenx_parts(base)
    files: Files = {
        "filtered.tar.gz": members,
        "metadata.csv": _named_metadata(base.cells["CID4465/metadata.csv"]),
        COHORT: _tenx_spec("filtered.tar.gz"),
    }
    return Material(
        "tenx", files, read_whole_cohort,
        tuple(f"filtered.tar.gz//{name}" for name in members),
        lists=("filtered.tar.gz//filtered/barcodes.tsv",),
    )  # fmt: skip


def _tenx_hdf5(base: Real) -> Material:
    matrix = scipy_io.mmread(io.BytesIO(base.cells["CID4465/count_matrix_sparse.mtx"])).tocsc()
    names = base.cells["CID4465/count_matrix_genes.tsv"].decode().split()
    barcodes = base.cells["CID4465/count_matrix_barcodes.tsv"].decode().split()
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        group = file.create_group("matrix")
        group["shape"] = np.array(matrix.shape, dtype=np.int32)
        for key in ("data", "indices", "indptr"):
            group.create_dataset(key, data=getattr(matrix, key), compression="gzip")
        group["barcodes"] = np.array(barcodes, dtype="S")
        features = group.create_group("features")
        features["id"] = np.array([f"ENSG{n:011d}" for n in range(len(names))], dtype="S")
        features["name"] = np.array(names, dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * len(names), dtype="S")
        features["genome"] = np.array(["GRCh38"] * len(names), dtype="S")
    files: Files = {
        "filtered.h5": stream.getvalue(),
        "metadata.csv": _named_metadata(base.cells["CID4465/metadata.csv"]),
        COHORT: _tenx_spec("filtered.h5"),
    }
    return Material("tenx HDF5", files, read_whole_cohort, (), {"hdf5": "filtered.h5"})


def _h5ad(base: Real, *, packed: bool, folder: Path) -> Material:
    values = base.expression.T.to_numpy(dtype=np.float32)
    cohort = AnnData(
        X=sparse.csr_matrix(base.counts.T.to_numpy(dtype=np.float32)) if packed else values,
        obs=base.clinical.rename_axis("title"),
        var=pd.DataFrame(index=base.expression.index),
    )
    file = folder / "intact.h5ad"
    cohort.write_h5ad(file, compression="gzip")
    spec = _spec(
        expression={"source": "cohort.h5ad", "format": "h5ad", "gene_ids": "symbol",
                    "scale": "counts" if packed else "log2"},
        clinical=_clinical("sample", "obs_names", source="cohort.h5ad", format="h5ad"),
    )  # fmt: skip
    files: Files = {"cohort.h5ad": file.read_bytes(), COHORT: spec}
    file.unlink()
    name = "h5ad, sparse" if packed else "h5ad"
    return Material(name, files, read_whole_cohort, (), {"hdf5": "cohort.h5ad"})


def _cohort_file(base: Real) -> Material:
    intact = _delimited(base)
    return Material("cohort file", intact.files, read_whole_cohort, (), {"yaml": COHORT})


def _config(base: Real) -> Material:
    def read(folder: Path, results: Path) -> str:
        file = folder / "config.yaml"
        validation.load_yaml(file)
        # the workflow engine reads the file with a loader of its own
        run = configfile.load_run(yaml.safe_load(file.read_bytes()), file=file)
        return digest(run.config)

    files = dict(_delimited(base).files)
    files["config.yaml"] = yaml.safe_dump(
        {"schema_version": 1, "title": "Small", "cohorts": [COHORT], "methods": ["ssgsea"]}
    ).encode()
    return Material("configuration", files, read, (), {"yaml": "config.yaml"})


def _documents(base: Real) -> Material:
    shipped = signatures.read_signatures(RESOURCES / "signatures/signatures.tsv")

    def read(folder: Path, results: Path) -> str:
        return digest(
            knowledge.read_documents(
                folder / "therapies.yaml", folder / "claims.yaml", signatures=shipped
            )
        )

    files: Files = {
        name: (RESOURCES / name).read_bytes() for name in ("therapies.yaml", "claims.yaml")
    }
    return Material("claims file", files, read, (), {"yaml": "claims.yaml"})


def _gene_sets(base: Real) -> Material:
    def read(folder: Path, results: Path) -> str:
        own = [(folder / "own.gmt", folder / "own.tsv")]
        found = signatures.read_signatures(
            RESOURCES / "signatures/signatures.tsv", user=own, symbols=_own_symbol
        )
        table, sets = signatures.written(found, gmt="signatures.gmt")
        tables.write_bytes(results / "signatures.tsv", table.encode())
        tables.write_bytes(results / "signatures.gmt", sets.encode())
        _no_formula(results / "signatures.tsv", results / "signatures.gmt")
        again = signatures.read_signatures(results / "signatures.tsv")
        if again != found:
            raise AssertionError("signatures do not survive being written")
        return digest({name: vars(found[name]) for name in found})

    names = base.expression.index.tolist()
    header = list(signatures.SIGNATURE_COLUMNS)
    row = {
        "name": "MY_SET", "title": "My set", "axis": "user", "role": "secondary",
        "direction": "up", "kind": "expert", "source": "own", "version": "1", "licence": "CC0",
        "doi": "", "required": names[5], "confidence": "low", "note": "", "gmt": "own.gmt",
    }  # fmt: skip
    gmt = ["\t".join(["MY_SET", "mine", *names[5:20]]), "\t".join(["OTHER", "", *names[20:30]])]
    table = ["\t".join(header), "\t".join(row.get(name, "") for name in header)]
    files: Files = {"own.gmt": _lines(gmt), "own.tsv": _lines(table)}
    return Material(
        "gene sets", files, read, ("own.gmt", "own.tsv"), {"plain": True}, lists=("own.gmt",)
    )


def _own_symbol(name: str) -> str | None:
    return gene_index().resolve(name)[0]


def _gene_tables(base: Real) -> Material:
    def read(folder: Path, results: Path) -> str:
        index = genes.read_index(folder / "gene_ids.tsv")
        filters = signatures.read_gene_filters(folder / "amplicon.tsv")
        return digest(
            [index.resolve(gene)[0] for gene in base.expression.index],
            {name: sorted(found) for name, found in filters.items()},
        )

    with gzip.open(RESOURCES / "gene_ids.tsv.gz", "rt", encoding="utf-8") as stream:
        rows = [line for line in stream if not line.startswith("#")]
    kept = [rows[0], *(row for row in rows if row.split("\t")[0] in set(base.expression.index))]
    files: Files = {
        "gene_ids.tsv": "".join(kept).encode(),
        "amplicon.tsv": (RESOURCES / "amplicon.tsv").read_bytes(),
    }
    return Material(
        "gene tables",
        files,
        read,
        ("gene_ids.tsv", "amplicon.tsv"),
        {"plain": True, "shipped": True},
    )


def _stage_tables(base: Real) -> Material:
    def read(folder: Path, results: Path) -> str:
        scores = tables.read_table(folder / "scores.tsv", tables.SCORES)
        flow = tables.read_table(folder / "flow.tsv", tables.FLOW)
        return digest(scores, flow)

    scores = pd.DataFrame(
        {
            "cohort": "small", "sample": base.expression.columns, "cell_type": "",
            "signature": "IL1", "method": "ssgsea",
            "score": base.expression.loc["IL1B"].to_numpy(), "percentile": 50.0,
        }
    )  # fmt: skip
    flow = pd.DataFrame(
        {"cohort": "small", "step": "qc", "reason": ["a", "b"], "n_in": [24, 20], "n_out": [20, 19]}
    )
    files: Files = {
        "scores.tsv": _tsv(tables.SCORES.conform(scores), index=False),
        "flow.tsv": _tsv(tables.FLOW.conform(flow), index=False),
    }
    return Material(
        "tables between stages",
        files,
        read,
        ("scores.tsv", "flow.tsv"),
        {"plain": True, "shipped": True},
    )


def _stage_cohort(base: Real, folder: Path) -> Material:
    def read(folder: Path, results: Path) -> str:
        cohort = tables.read_cohort(folder / "cohort.h5ad")
        return digest(_dense(cohort.X), cohort.obs, cohort.uns["provenance"])

    cohort = AnnData(
        X=base.expression.T.to_numpy(dtype=np.float32),
        obs=base.clinical.assign(patient="P"),
        var=pd.DataFrame(index=base.expression.index),
        uns={"provenance": {"cohort": "small", "warnings": []}},
    )
    tables.write_cohort(cohort, folder / "intact.h5ad")
    files: Files = {"cohort.h5ad": (folder / "intact.h5ad").read_bytes()}
    (folder / "intact.h5ad").unlink()
    return Material(
        "cohort between stages",
        files,
        read,
        (),
        {"hdf5": "cohort.h5ad", "kinds": ("bytes", "rows", "wrong kind")},
    )


def _downloads(base: Real) -> Material:
    def read(folder: Path, results: Path) -> str:
        address = "https://example.org/data/matrix.tsv.gz"
        known = fetch.read_lock(folder / "fetch.lock")
        if address not in known:
            raise CytostratError("the lock file does not know the address")
        got = fetch.fetch(
            address, results / "matrix.tsv.gz", cache=results / "downloads",
            mirror=folder / "mirror", lock=results / "fetch.lock", sha256=known[address][0],
            report=lambda line: None,
        )  # fmt: skip
        return digest(got.sha256)

    content = gzip.compress(_tsv(base.expression), mtime=0)
    lines = [
        "url\tsha256\tsize",
        f"https://example.org/data/matrix.tsv.gz\t{hashlib.sha256(content).hexdigest()}"
        f"\t{len(content)}",
    ]
    place = fetch.cache_path("https://example.org/data/matrix.tsv.gz", "mirror").as_posix()
    files: Files = {place: content, "fetch.lock": _lines(lines)}
    return Material(
        "fetch",
        files,
        read,
        (place, "fetch.lock"),
        {"plain": True, "shipped": True, "known": (place,)},
        lists=("fetch.lock",),
    )


def materials(data: Path, scratch: Path) -> list[Material]:
    """Return the intact inputs of all readers."""
    base = real(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            _delimited(base), _counts(base), _geo(base), _cbioportal(base), _xena(base),
            _star(base), _wu(base), _tenx(base), _tenx_hdf5(base),
            _h5ad(base, packed=False, folder=scratch), _h5ad(base, packed=True, folder=scratch),
            _cohort_file(base), _config(base), _documents(base), _gene_sets(base),
            _gene_tables(base), _stage_tables(base), _stage_cohort(base, scratch),
            _downloads(base),
        ]  # fmt: skip
