"""Readers give back what was written, in every dialect, and refuse what they do not understand."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytostrat.errors import InputError
from cytostrat.readers.delimited import read_clinical_table, read_matrix
from cytostrat.readers.expression import Expression, narrow, stack
from cytostrat.readers.hdf5 import read_h5ad_clinical, read_h5ad_matrix

NAMES = st.text(
    st.characters(categories=["L", "N", "P", "S"], exclude_characters='"\t,;|#'),
    min_size=1, max_size=8,
)  # fmt: skip


@st.composite
def matrices(draw):
    samples = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    genes = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    cell = st.one_of(st.just(np.nan), st.floats(-1e6, 1e6, width=32), st.integers(0, 10**9))
    rows = draw(st.lists(
        st.lists(cell, min_size=len(samples), max_size=len(samples)),
        min_size=len(genes), max_size=len(genes),
    ))  # fmt: skip
    return samples, genes, np.array(rows, dtype=float)


@settings(max_examples=60, deadline=None)
@given(
    matrix=matrices(),
    separator=st.sampled_from(["\t", ",", ";", "|"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    bom=st.booleans(),
    packed=st.booleans(),
    quoted=st.booleans(),
    corner=st.booleans(),
    transposed=st.booleans(),
    blank=st.sampled_from(["", "NA", "NaN", "null", "--"]),
    last_end=st.booleans(),
)
def test_matrix_survives_every_dialect(
    tmp_path_factory, matrix, separator, end, bom, packed, quoted, corner, transposed, blank,
    last_end,
) -> None:  # fmt: skip
    samples, genes, values = matrix
    columns, rows, cells = (genes, samples, values.T) if transposed else (samples, genes, values)

    def text(name: str) -> str:
        return f'"{name}"' if quoted else name

    lines = [separator.join([*(["id"] if corner else []), *map(text, columns)])]
    for name, numbers in zip(rows, cells, strict=True):
        fields = [blank if np.isnan(x) else repr(float(x)) for x in numbers]
        lines.append(separator.join([text(name), *fields]))
    content = (end.join(lines) + (end if last_end else "")).encode("utf-8-sig" if bom else "utf-8")
    path = tmp_path_factory.mktemp("dialect") / "matrix.txt"
    path.write_bytes(gzip.compress(content) if packed else content)
    found = read_matrix(path, genes_in_rows=not transposed)
    assert found.samples == tuple(samples)
    assert found.genes == tuple(genes)
    np.testing.assert_allclose(found.values, values.T, rtol=1e-7, atol=0)
    whole = np.rint(values.T) == values.T
    np.testing.assert_array_equal(found.values[whole].astype(float), values.T[whole])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_clinical_table_keeps_every_value_as_text(tmp_path, end) -> None:
    lines = ["#comment\tof the portal", "ID\tHER2 \tnote\tnote", '1.0\t+\t"a, b"\t[Not Evaluated]',
             "02\tnull\tNA\t", "3\t-\t\u00e9<b>\t--"]  # fmt: skip
    path = tmp_path / "clinical.txt"
    path.write_bytes(end.join(lines).encode("utf-8-sig"))
    table = read_clinical_table(path, comment="#")
    assert table.to_dict("list") == {
        "ID": ["1.0", "02", "3"],
        "HER2": ["+", "null", "-"],
        "note (1)": ["a, b", "NA", "\u00e9<b>"],
        "note (2)": ["[Not Evaluated]", "", "--"],
    }


def test_real_portal_files_with_bare_cr(data_dir) -> None:
    folder = data_dir / "metabric_clinical"
    table = read_clinical_table(folder / "data_clinical_patient.txt", comment="#")
    assert table.shape == (2509, 20)
    assert (table["ER_IHC"] == "pos").sum() == 1498


def test_latin1_is_understood(tmp_path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("ID\tcity\n1\tMalm\u00f6\n".encode("latin-1"))
    assert read_clinical_table(path)["city"].tolist() == ["Malm\u00f6"]


def test_columns_are_taken_by_name(tmp_path) -> None:
    path = tmp_path / "portal.txt"
    path.write_text("Entrez\tSymbol\tB\tA\tNote\n7\tTP53\t1\t2\tx\n8\tIL1B\t3\t4\ty\n")
    found = read_matrix(path, id_column="Symbol", drop_columns=["Entrez", "Note"])
    assert (found.samples, found.genes) == (("B", "A"), ("TP53", "IL1B"))
    np.testing.assert_array_equal(found.values, [[1, 3], [2, 4]])


def test_decimal_comma(tmp_path) -> None:
    path = tmp_path / "comma.csv"
    path.write_text("gene;A;B\nTP53;1,5;-2,25\nIL1B;0,5;3\n")
    np.testing.assert_array_equal(read_matrix(path, decimal=",").values, [[1.5, 0.5], [-2.25, 3]])
    with pytest.raises(InputError, match=r"line 2: column 'A' of row 'TP53' holds '1,5'"):
        read_matrix(path)


def test_digits_of_large_counts_are_kept(tmp_path) -> None:
    path = tmp_path / "counts.tsv"
    path.write_text("gene\tA\tB\nTP53\t205039539\t1\nIL1B\t0\t16777217\n")
    values = read_matrix(path).values
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, [[205039539, 0], [1, 16777217]])
    assert narrow(np.array([[16777216.0, 0.1]])).dtype == np.float32


def test_files_of_one_cohort_are_joined_on_their_ids() -> None:
    one = Expression(np.array([[1.0, 2.0, 3.0]]), ("a",), ("X", "Y", "Z"), "one")
    two = Expression(np.array([[5.0, 4.0]]), ("b",), ("Y", "X"), "two")
    found = stack([one, two])
    assert (found.samples, found.genes) == (("a", "b"), ("X", "Y"))
    np.testing.assert_array_equal(found.values, [[1, 2], [4, 5]])
    assert found.warnings == ("one: 1 genes are in no other file",)
    with pytest.raises(InputError, match="share no gene id"):
        stack([one, Expression(np.ones((1, 1)), ("c",), ("Q",), "three")])


def test_h5ad_matrix_layer_and_obs(tmp_path) -> None:
    import anndata
    from scipy import sparse

    cohort = anndata.AnnData(
        X=np.array([[1.5, 2.5], [3.5, 4.5]], dtype=np.float32),
        obs=pd.DataFrame({"HER2": ["pos", None], "age": [50.0, 61.0]}, index=["s 1", "s2"]),
        var=pd.DataFrame(index=["TP53", "IL1B"]),
        layers={"counts": sparse.csr_matrix([[0, 3], [4, 0]])},
    )
    cohort.write_h5ad(tmp_path / "c.h5ad")
    found = read_h5ad_matrix(tmp_path / "c.h5ad")
    assert (found.samples, found.genes) == (("s 1", "s2"), ("TP53", "IL1B"))
    np.testing.assert_array_equal(found.values, cohort.X)
    counts = read_h5ad_matrix(tmp_path / "c.h5ad", layer="counts").values
    np.testing.assert_array_equal(counts.toarray(), [[0, 3], [4, 0]])
    table = read_h5ad_clinical(tmp_path / "c.h5ad")
    assert table["obs_names"].tolist() == ["s 1", "s2"]
    assert table["HER2"].tolist() == ["pos", ""]
    with pytest.raises(InputError, match=r"no layer 'tpm' .it has X, counts."):
        read_h5ad_matrix(tmp_path / "c.h5ad", layer="tpm")


def test_memory_stays_near_the_size_of_the_matrix(tmp_path) -> None:
    path = tmp_path / "wide.tsv"
    with path.open("w") as stream:
        stream.write("gene\t" + "\t".join(f"s{i}" for i in range(1000)) + "\n")
        for row in range(4000):
            stream.write(f"g{row}" + "\t1.25" * 1000 + "\n")
    tracemalloc.start()
    found = read_matrix(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.values.nbytes == 16_000_000
    assert peak < 120_000_000


def test_blanks_separate_only_where_nothing_else_does(tmp_path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("id,the stage\nS1,Stage II A\nS2,Stage III B\n")
    assert read_clinical_table(path).columns.tolist() == ["id", "the stage"]
    path.write_text("id   HER2\nS1  pos\nS2     neg\n")
    assert read_clinical_table(path)["HER2"].tolist() == ["pos", "neg"]


def test_quotation_mark_that_is_not_closed(tmp_path) -> None:
    path = tmp_path / "t.txt"
    path.write_text('id\tnote\nS1\t"open\nS2\tb\nS3\tc"d\n')
    assert read_clinical_table(path)["note"].tolist() == ['"open', "b", 'c"d']
    path.write_text('id,note\nS1,"open\nS2,b\nS3,"c\n')
    with pytest.raises(InputError, match="quotation mark is not closed"):
        read_clinical_table(path)
