"""Bad input ends in one sentence that names file, column or key, value and remedy."""

from __future__ import annotations

import gzip
import random

import numpy as np
import pandas as pd
import pytest
import yaml

from cytostrat.errors import CytostratError
from tests.cohort_files import CLINICAL, EXPRESSION, SPEC, changed, run, write

TEXT = EXPRESSION.to_csv(sep="\t").encode()
TURNED = EXPRESSION.T.rename_axis("sample")
PAGE = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"


def values(**cells):
    """Return the expression with cells replaced; ``IL1B_S2=x``."""
    frame = EXPRESSION.astype(object)
    for place, value in cells.items():
        gene, sample = place.split("_")
        frame.loc[gene, sample] = value
    return frame


CASES = {
    "missing file": (
        {"spec": changed(SPEC, expression__source="nowhere.tsv")},
        ["nowhere.tsv", "no such file", "correct the path"],
    ),
    "a folder": (
        {"spec": changed(SPEC, expression__source=".")},
        ["is a folder", "name the file inside it"],
    ),
    "an empty file": ({"expression": b""}, ["expression.tsv", "is empty", "get it again"]),
    "truncated gzip": (
        {"expression": gzip.compress(TEXT)[:-12]},
        ["expression.tsv", "truncated", "get it again"],
    ),
    "damaged gzip": (
        {"expression": gzip.compress(TEXT)[:-8] + b"\0" * 8},
        ["expression.tsv", "damaged", "get it again"],
    ),
    "web page in place of data": ({"expression": PAGE}, ["expression.tsv", "web page", "save"]),
    "web page as clinical table": ({"clinical": PAGE}, ["clinical.tsv", "web page", "save"]),
    "spreadsheet": ({"clinical": b"PK\x03\x04rest"}, ["clinical.tsv", "spreadsheet", "save"]),
    "binary": ({"expression": b"\x89HDF\r\n\x1a\n\0\0"}, ["binary content", "`format`"]),
    "file cut off within a line": (
        {"expression": TEXT[:-6]},
        ["expression.tsv, line 5", "has 4 fields where the header has 5", "get it again"],
    ),
    "header only": (
        {"expression": b"gene\tS1\tS2\n"},
        ["has a header but no rows", "get the file again"],
    ),
    "one field per line": (
        {"expression": b"gene\nERBB2\n"},
        ["one field only", "`delimiter`"],
    ),
    "text among numbers": (
        {"expression": values(IL1B_S2="high")},
        ["line 4", "column 'S2' of row 'IL1B'", "'high'", "no number", "drop_columns"],
    ),
    "unknown key": (
        {"spec": changed(SPEC, expresion={})},
        ["small.yaml", "unknown key 'expresion'", "did you mean 'expression'"],
    ),
    "key given twice": (
        {"spec": "schema_version: 1\nname: a\nname: b\n"},
        ["small.yaml, line 3", "'name' is given twice"],
    ),
    "column that does not exist": (
        {"spec": changed(SPEC, columns__age="Agee")},
        ["clinical.tsv", "no column 'Agee'", "columns.age", "'age'"],
    ),
    "endpoint column that does not exist": (
        {"spec": changed(SPEC, endpoints__OS={"time": "t", "event": "ER", "unit": "days"})},
        ["clinical.tsv", "no column 't'", "endpoints.OS.time"],
    ),
    "join column that does not exist": (
        {"spec": changed(SPEC, clinical__0__join__column="sample")},
        ["clinical.tsv", "no column 'sample'", "clinical.0.join.column"],
    ),
    "column given twice in the header": (
        {"clinical": "id\tHER2\tER\tHER2\nS1\tpos\t1\tneg\nS2\tneg\t0\tneg\n"},
        ["clinical.tsv", "several columns 'HER2'", "'HER2 (1)', 'HER2 (2)'"],
    ),
    "value not in the map": (
        {"clinical": CLINICAL.replace({"HER2": {"neg": "negativ"}})},
        ["clinical.tsv", "column 'HER2'", "'negativ' in 2 sample(s)", "columns.her2.values",
         "did you mean 'negative'"],
    ),
    "map to a word outside the vocabulary": (
        {"spec": changed(SPEC, columns__her2__values={"pos": "plus", "neg": "negative"})},
        ["columns.her2.values maps to 'plus'", "use one of positive, negative, equivocal"],
    ),
    "map of a number to a word": (
        {"spec": changed(SPEC, columns__age={"column": "age", "values": {"44": "old"}})},
        ["columns.age.values maps to 'old'", "use one of a number, or null"],
    ),
    "number that is none": (
        {"clinical": CLINICAL.replace({"age": {"44": "4O"}}),
         "spec": changed(SPEC, columns__age="age")},
        ["clinical.tsv", "column 'age'", "'4O'", "no number", "columns.age.values"],
    ),
    "time that is none": (
        {"spec": changed(SPEC, endpoints__OS={"time": "HER2", "event": "ER", "unit": "days"})},
        ["column 'HER2' holds 'pos'", "no time", "endpoints.OS.time"],
    ),
    "time with a decimal comma": (
        {"clinical": CLINICAL.replace({"age": {"61.5": "61,5"}}),
         "spec": changed(SPEC, endpoints__OS={"time": "age", "event": "ER", "unit": "months"})},
        ["clinical.tsv: column 'age' holds '61,5', a number with a comma", "the decimal mark",
         'decimal: "," under clinical'],
    ),
    "number with a decimal comma": (
        {"clinical": CLINICAL.replace({"age": {"61.5": "61,5"}}),
         "spec": changed(SPEC, columns__age="age")},
        ["clinical.tsv: column 'age' holds '61,5', a number with a comma", "the decimal mark",
         'decimal: "," under clinical'],
    ),
    "age in days": (
        {"clinical": CLINICAL.replace({"age": {"44": "16071"}}),
         "spec": changed(SPEC, columns__age="age")},
        ["column 'age' holds '16071'", "outside 0 to 120", "columns.age.multiply"],
    ),
    "event not in the map": (
        {"spec": changed(SPEC, endpoints__OS={"time": "age", "event": "HER2", "unit": "days"})},
        ["column 'HER2' holds 'pos'", "endpoints.OS.event_values", "0 (censored)"],
    ),
    "ids that do not overlap": (
        {"clinical": CLINICAL.assign(id=["P1", "P2", "P3", "P4"])},
        ["clinical.tsv", "'P1', 'P2', 'P3', 'P4'", "'S1', 'S2', 'S3', 'S4'", "clinical.0.join"],
    ),
    "ids that the sample names begin with": (
        {"expression": EXPRESSION.add_suffix("_T1")},
        ["clinical.tsv", "'S1_T1' begins with 'S1'", "characters: 2,",
         "sample_to_patient the rule pattern", "clinical.0.join"],
    ),
    "ids that begin with the sample names": (
        {"clinical": CLINICAL.assign(id=[f"S{number}-N" for number in range(1, 5)])},
        ["clinical.tsv", "'S1-N' begins with 'S1'", "characters: 2,", "clinical.0.join"],
    ),
    "duplicate samples": (
        {"expression": EXPRESSION.set_axis(["S1", "S2", "S2", "S4"], axis=1)},
        ["expression.tsv", "sample 'S2' occurs 2 times", "rename or remove"],
    ),
    "samples that differ in a blank only": (
        {"expression": EXPRESSION.set_axis(["S1", "S2", "S2 ", "S4"], axis=1)},
        ["sample 'S2' occurs 2 times"],
    ),
    "clinical rows that contradict each other": (
        {"clinical": pd.concat([CLINICAL, CLINICAL.iloc[[0]].assign(HER2="neg")])},
        ["clinical.tsv", "key 'S1'", "several rows that differ", "keep one"],
    ),
    "all genes unknown": (
        {"expression": EXPRESSION.rename(index=str.lower)},
        ["expression.tsv", "none of 4 gene ids ('erbb2', 'esr1'", "expression.gene_ids"],
    ),
    "genes of another kind": (
        {"expression": EXPRESSION.set_axis([f"ENSG0000000000{i}.1" for i in range(4)])
         .rename_axis("gene")},
        ["gene_ids: symbol, they look like ensembl"],
    ),
    "matrix the other way round": (
        {"expression": TURNED},
        ["expression.tsv", "its samples have names of genes ('ERBB2', 'ESR1', 'IL1B', ...)",
         "its genes have not ('S1', 'S2', 'S3', ...)", "orientation round, to genes_in_columns"],
    ),
    "matrix the other way round, of genes that nobody knows": (
        {"expression": EXPRESSION.rename(index=str.lower).T.rename_axis("sample")},
        ["expression.tsv", "its gene ids, not its samples", "'id'", "expression.orientation"],
    ),
    "matrix the other way round with a pattern for patients": (
        {"expression": TURNED,
         "spec": changed(SPEC, sample_to_patient={"rule": "pattern", "pattern": r"^(S\d)"})},
        ["expression.tsv", "names of genes", "orientation round, to genes_in_columns"],
    ),
    "matrix the other way round with barcodes": (
        {"expression": TURNED, "spec": changed(SPEC, sample_to_patient={"rule": "tcga_barcode"})},
        ["expression.tsv", "names of genes", "orientation round, to genes_in_columns"],
    ),
    "matrix the other way round with an id column": (
        {"expression": TURNED, "spec": changed(SPEC, expression__id_column="gene")},
        ["expression.tsv", "no column 'gene'", "genes in its columns",
         "expression.orientation round", "from genes_in_rows to genes_in_columns", "id_column"],
    ),
    "matrix of genes in rows declared the other way": (
        {"spec": changed(SPEC, expression__orientation="genes_in_columns")},
        ["expression.tsv", "names of genes", "orientation round, to genes_in_rows"],
    ),
    "matrix of genes in rows declared the other way with an id column": (
        {"spec": changed(SPEC, expression__orientation="genes_in_columns",
                         expression__id_column="sample")},
        ["expression.tsv", "no column 'sample'", "from genes_in_columns to genes_in_rows"],
    ),
    "id column that does not exist in a matrix that lies right": (
        {"spec": changed(SPEC, expression__id_column="Gene")},
        ["expression.tsv", "no column 'Gene'", "first are gene, S1", "correct id_column"],
    ),
    "infinite value": (
        {"expression": values(IL1B_S2="-Inf")},
        ["expression.tsv", "gene 'IL1B' in sample 'S2'", "infinite", "pseudocount"],
    ),
    "nothing but missing values": (
        {"expression": EXPRESSION * np.nan},
        ["expression.tsv", "no number at all"],
    ),
    "missing count": (
        {"expression": values(IL1B_S2=np.nan).mul(4),
         "spec": changed(SPEC, expression__scale="counts")},
        ["expression.tsv", "'counts'"],
    ),
    "negative count": (
        {"expression": (EXPRESSION * 100).round(),
         "spec": changed(SPEC, expression__scale="counts")},
        ["expression.scale is 'counts'", "smallest value is -350", "never negative", "log2"],
    ),
    "log2 that holds counts": (
        {"expression": (EXPRESSION * 1000).abs()},
        ["expression.scale is 'log2'", "whole numbers up to 9500", "set scale: counts"],
    ),
    "log2 that holds TPM": (
        {"expression": EXPRESSION.abs() * 7.1},
        ["expression.scale is 'log2'", "67.45", "too large for a logarithm", "tpm or fpkm"],
    ),
    "counts that hold log2": (
        {"expression": EXPRESSION.abs(), "spec": changed(SPEC, expression__scale="counts")},
        ["expression.scale is 'counts'", "look like logarithms", "set scale: log2"],
    ),
    "TPM that hold log2": (
        {"expression": EXPRESSION.abs(), "spec": changed(SPEC, expression__scale="tpm")},
        ["expression.scale is 'tpm'", "look like logarithms", "set scale: log2"],
    ),
    "sample without any count": (
        {"expression": EXPRESSION.abs().round().assign(S3=0),
         "spec": changed(SPEC, expression__scale="counts")},
        ["sample 'S3' has no counts", "leave it out"],
    ),
    "one HER2 group empty": (
        {"clinical": CLINICAL.assign(HER2="neg")},
        ["no sample is HER2 positive", "'HER2'", "negative 4", "expected.groups.her2.positive: 0"],
    ),
    "cohort of one sample": (
        {"expression": EXPRESSION[["S1"]]},
        ["expression.tsv", "one sample only", "'S1'", "at least 2"],
    ),
    "nobody left after a filter": (
        {"spec": changed(SPEC, filters__sex__missing="drop")},
        ["expression.tsv", "'sex not recorded'", "filters.sex.missing: keep"],
    ),
    "barcodes that are none": (
        {"spec": changed(SPEC, sample_to_patient={"rule": "tcga_barcode"})},
        ["sample 'S1' (4 in all)", "'tcga_barcode'", "sample_to_patient.rule"],
    ),
    "h5ad that is none": (
        {"spec": changed(SPEC, expression__format="h5ad")},
        ["expression.tsv", "can't be read as .h5ad", "`format`"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_sentence(case, tmp_path) -> None:
    files, parts = CASES[case]
    path = write(tmp_path, **files)
    with pytest.raises(CytostratError) as caught:
        run(path)
    message = str(caught.value)
    assert [part for part in parts if part not in message] == [], message
    assert "\n" not in message
    assert message.endswith((".", "?"))


def test_duplicate_genes_and_odd_names_are_no_error(tmp_path) -> None:
    odd = ["a b", "\u00e4\u00f6\u00fc", "<script>", "S4"]
    doubled = pd.concat([EXPRESSION, EXPRESSION.loc[["IL1B"]]]).set_axis(odd, axis=1)
    cohort, _ = run(write(tmp_path, expression=doubled, clinical=CLINICAL.assign(id=odd)))
    assert cohort.obs_names.tolist() == odd
    assert cohort.uns["provenance"]["genes"]["n_collapsed"] == 1


def test_an_empty_group_is_allowed_where_it_is_stated(tmp_path) -> None:
    spec = changed(SPEC, expected__groups={"her2": {"positive": 0}})
    cohort, _ = run(write(tmp_path, clinical=CLINICAL.assign(HER2="neg"), spec=spec))
    assert cohort.obs["her2"].unique().tolist() == ["negative"]


PIECES = [b"\t", b"\n", b"\r", b'"', b"\xff", b"\0", b"NaN", b"Inf", b"-", b"1e999", b",", b"#",
          b" ", b"\xe2\x80\xa8", b"0x1F", b"True", b"\x1f\x8b", b"[", b":", b"*a"]  # fmt: skip
FILES = {
    "expression": TEXT,
    "clinical": CLINICAL.to_csv(sep="\t", index=False).encode(),
    "cohort file": yaml.safe_dump(SPEC, sort_keys=False).encode(),
}


def spoiled(content: bytes, chance: random.Random) -> bytes:
    """Return content with a few bytes inserted, removed, changed or doubled."""
    out = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(out))
        match chance.randrange(4):
            case 0:
                out[place:place] = chance.choice(PIECES)
            case 1:
                del out[place : place + chance.randint(1, 12)]
            case 2:
                out[place] = chance.randrange(256)
            case _:
                other = chance.randrange(len(out))
                out[place:place] = out[other : other + chance.randint(1, 20)]
    return bytes(out)


@pytest.mark.parametrize("which", FILES)
def test_spoiled_files_end_in_one_sentence_or_in_a_whole_cohort(which, tmp_path) -> None:
    for seed in range(80):
        content = spoiled(FILES[which], random.Random(seed))
        path = write(tmp_path)
        name = {"expression": "expression.tsv", "clinical": "clinical.tsv"}.get(which, path.name)
        (tmp_path / name).write_bytes(content)
        message = ""
        try:
            cohort, _ = run(path)
        except CytostratError as error:
            message = str(error)
        assert "\n" not in message, seed
        if not message:
            assert cohort.n_obs >= 2, seed
            assert not np.isinf(cohort.X).any(), seed
