"""Reading signatures, what a cohort holds of them, and their overlap."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytostrat.errors import SignatureError
from cytostrat.signatures import (
    SIGNATURE_COLUMNS,
    Signature,
    affected,
    coverage,
    coverage_of,
    overlap,
    read_gene_filters,
    read_gmt,
    read_signatures,
    without,
    written,
)

GENES = st.lists(st.sampled_from("ABCDEFGHIJKLMNOP"), min_size=1, max_size=12, unique=True)
SETS = {"S": ("A", "B"), "T": ("Z",)}
ROW = {
    "name": "S1",
    "title": "a set",
    "axis": "IL1",
    "role": "primary",
    "direction": "up",
    "kind": "response",
    "source": "paper",
    "version": "1",
    "licence": "cited",
    "doi": "",
    "required": "",
    "confidence": "high",
    "note": "",
    "gmt": "a.gmt",
}


def write(folder, *rows, gmt=b"S1\td\tIL1B\tIL6\n", columns=SIGNATURE_COLUMNS):
    table = folder / "table.tsv"
    pd.DataFrame([ROW | row for row in rows or [{}]])[list(columns)].to_csv(
        table, sep="\t", index=False
    )
    if gmt is not None:
        (folder / "a.gmt").write_bytes(gmt)
    return table


def signature(*up, down=(), **more):
    return Signature(name="S", title="s", up=up, down=tuple(down), **more)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_any_line_end_byte_order_mark_and_blanks_read_the_same(tmp_path, end):
    lines = [b"\xef\xbb\xbfone\tabout\tIL1B\t IL6 \tIL1B\t", b"", b"two\t\tTNF"]
    path = tmp_path / "sets.gmt"
    path.write_bytes(end.join(lines))
    assert read_gmt(path) == {"one": ("IL1B", "IL6"), "two": ("TNF",)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one IL1B IL6\n", "line 1 has no tab"),
        (b"one\td\tIL1B\none\td\tIL6\n", "line 2: the set 'one' occurs a second time"),
        (b"one\td\tIL1B\ntwo\td\t\t \n", "line 2: the set 'two' has no gene"),
        (b"one\td\n", "'one' has no gene"),
        (b"\td\tIL1B\n", "line 1 has no set name"),
        (b"\n \n", "holds no gene set"),
        (b"\x1f\x8b\x08\x00", "isn't UTF-8 text"),
    ],
)
def test_a_broken_gmt_file_is_named_with_line_and_remedy(tmp_path, content, message):
    path = tmp_path / "sets.gmt"
    path.write_bytes(content)
    with pytest.raises(SignatureError, match=message) as caught:
        read_gmt(path)
    assert "sets.gmt" in str(caught.value)


def test_an_absent_gmt_file_is_an_error(tmp_path):
    with pytest.raises(SignatureError, match=r"a\.gmt can't be read"):
        read_signatures(write(tmp_path, gmt=None))


def test_a_row_and_its_set_make_a_signature(tmp_path):
    found = read_signatures(write(tmp_path, {"required": "IL6"}))
    assert list(found) == ["S1"]
    assert found["S1"].up == ("IL1B", "IL6")
    assert found["S1"].required == ("IL6",)
    assert (found["S1"].role, found["S1"].axis, found["S1"].down) == ("primary", "IL1", ())


def test_a_two_sided_row_takes_two_sets(tmp_path):
    table = write(tmp_path, {"direction": "updown"}, gmt=b"S1_UP\td\tIL1B\nS1_DN\td\tESR1\n")
    found = read_signatures(table)["S1"]
    assert (found.up, found.down, found.genes) == (("IL1B",), ("ESR1",), ("IL1B", "ESR1"))


@pytest.mark.parametrize(
    ("row", "gmt", "message"),
    [
        ({"role": "main"}, b"S1\td\tA\n", "column role of signature S1 is 'main'"),
        ({"direction": "down"}, b"S1\td\tA\n", "column direction"),
        ({"confidence": ""}, b"S1\td\tA\n", "column confidence"),
        ({"licence": " "}, b"S1\td\tA\n", "column licence of signature 'S1' is empty"),
        ({"required": "IFNG"}, b"S1\td\tA\n", "required gene.* IFNG aren't in signature S1"),
        ({"name": "S2"}, b"S1\td\tA\n", "holds no set called S2"),
        ({"direction": "updown"}, b"S1_UP\td\tA\n", "holds no set called S1_DN"),
        (
            {"direction": "updown"},
            b"S1_UP\td\tA\tB\nS1_DN\td\tB\n",
            "B of signature S1 are both up and down",
        ),
    ],
)
def test_a_wrong_cell_is_named_with_line_and_value(tmp_path, row, gmt, message):
    with pytest.raises(SignatureError, match=message) as caught:
        read_signatures(write(tmp_path, row, gmt=gmt))
    assert "table.tsv, line 2" in str(caught.value)


def test_an_absent_column_is_named(tmp_path):
    table = write(tmp_path, columns=[c for c in SIGNATURE_COLUMNS if c != "licence"])
    with pytest.raises(SignatureError, match=r"lacks the column\(s\) licence"):
        read_signatures(table)


def test_names_are_unique_over_all_files(tmp_path):
    table = write(tmp_path)
    own = tmp_path / "own.gmt"
    own.write_text("S1\td\tTNF\n")
    with pytest.raises(SignatureError, match=r"own\.gmt: a signature called S1 exists already"):
        read_signatures(table, user=[(own, "")])


def test_a_user_set_without_a_table_is_secondary_and_of_unknown_direction(tmp_path):
    table = write(tmp_path)
    own = tmp_path / "own.gmt"
    own.write_text("MINE\td\tIL8\tnonsense\tCXCL8\n")
    found = read_signatures(table, user=[(own, "")], symbols={"IL8": "CXCL8", "CXCL8": "CXCL8"})
    assert list(found) == ["S1", "MINE"]
    assert found["MINE"].up == ("CXCL8",)
    assert (found["MINE"].role, found["MINE"].direction) == ("secondary", "unknown")
    assert found["MINE"].axis == "user"


def test_a_user_table_says_what_a_set_is_for(tmp_path):
    table = write(tmp_path)
    own = tmp_path / "own"
    own.mkdir()
    own_table = write(own, {"name": "WU2018_IL1", "required": "IL1B"}, gmt=b"WU2018_IL1\td\tIL1B\n")
    found = read_signatures(table, user=[(own / "a.gmt", own_table)], symbols=lambda gene: gene)
    assert found["WU2018_IL1"].role == "primary"
    assert found["WU2018_IL1"].required == ("IL1B",)


def test_a_user_table_must_be_about_the_file_it_is_given_for(tmp_path):
    table = write(tmp_path)
    own = tmp_path / "own.gmt"
    own.write_text("S2\td\tTNF\n")
    own_table = tmp_path / "own.tsv"
    pd.DataFrame([ROW | {"name": "S2"}]).to_csv(own_table, sep="\t", index=False)
    with pytest.raises(SignatureError, match=r"is 'a\.gmt', but the table is given for own\.gmt"):
        read_signatures(table, user=[(own, own_table)])


def test_a_user_set_of_unknown_symbols_is_an_error(tmp_path):
    own = tmp_path / "own.gmt"
    own.write_text("MINE\td\tENSG00000125538\n")
    with pytest.raises(SignatureError, match="none of the 1 genes of MINE has an approved symbol"):
        read_signatures(write(tmp_path), user=[(own, "")], symbols={})


def test_what_is_written_reads_back_the_same(tmp_path):
    table = write(
        tmp_path,
        {"required": "IL6", "note": "a; b"},
        {"name": "S2", "direction": "updown"},
        gmt=b"S1\td\tIL1B\tIL6\nS2_UP\td\tTNF\nS2_DN\td\tESR1\n",
    )
    found = read_signatures(table)
    text, sets = written(found, gmt="out.gmt")
    (tmp_path / "out.tsv").write_text(text)
    (tmp_path / "out.gmt").write_text(sets)
    assert read_signatures(tmp_path / "out.tsv") == found


@pytest.mark.parametrize("text", ["symbol\tcore\nA\tyes\n", ""], ids=["column", "empty"])
def test_a_broken_amplicon_table_is_refused(tmp_path, text):
    path = tmp_path / "amplicon.tsv"
    path.write_text(text)
    with pytest.raises(SignatureError, match=r"amplicon\.tsv (lacks the column|can't be read)"):
        read_gene_filters(path)


def test_leaving_genes_out_keeps_order_and_forgets_their_requirement():
    found = without(signature("A", "B", "C", required=("B", "C")), {"B"})
    assert (found.up, found.required) == (("A", "C"), ("C",))
    assert affected(signature("A", "B", "C"), {"B", "X"}) == ("B",)


def test_leaving_every_gene_out_is_an_error():
    with pytest.raises(SignatureError, match="would hold no gene without A"):
        without(signature("A"), {"A"})


@given(genes=GENES, gone=GENES)
def test_leaving_out_partitions_the_set(genes, gone):
    whole = signature(*genes)
    if set(genes) <= set(gone):
        return
    kept = without(whole, gone)
    assert sorted(kept.genes + affected(whole, gone)) == sorted(genes)
    assert not set(kept.genes) & set(gone)


@pytest.mark.parametrize(
    ("present", "usable"),
    [("ABC", True), ("ABX", False), ("", False), ("ABCDE", True)],
    ids=["3 of 5 is the share of 0.6", "2 of 5", "none", "all"],
)
def test_coverage_compares_the_share_of_genes(present, usable):
    found = coverage_of(signature(*"ABCDE"), present, min_coverage=0.6)
    assert found.usable is usable
    assert bool(found.note) is not usable
    assert found.n_present == len(set(present) & set("ABCDE"))


def test_a_missing_required_gene_makes_a_set_unusable():
    found = coverage_of(signature(*"ABCDE", required=("E",)), "ABCD")
    assert not found.usable
    assert found.note == "the required gene E is not measured"
    assert found.missing == ("E",)


def test_a_two_sided_set_needs_both_sides():
    found = coverage_of(signature(*"ABCD", down="XY"), "ABCD")
    assert found.note == "only 0 of 2 down genes are measured, below the share of 0.6"
    assert found.fraction == pytest.approx(4 / 6)


def test_the_coverage_table_keeps_every_set():
    sets = {name: Signature(name=name, title="", up=genes) for name, genes in SETS.items()}
    table = coverage(sets, ["A", "B"], cohort="c").set_index("signature")
    assert table["n_present"].to_dict() == {"S": 2, "T": 0}
    assert table["usable"].to_dict() == {"S": True, "T": False}
    assert table.loc["T", "missing"] == "Z"
    assert set(table["cohort"]) == {"c"}


@given(first=GENES, second=GENES)
def test_the_overlap_is_the_jaccard_index(first, second):
    table = overlap({"a": signature(*first), "b": signature(*second)})
    shared = sum(gene in second for gene in first)
    assert table.loc["a", "b"] == pytest.approx(shared / (len(first) + len(second) - shared))
    assert table.loc["a", "b"] == table.loc["b", "a"]
    assert (table.loc["a", "a"], table.loc["b", "b"]) == (1.0, 1.0)
