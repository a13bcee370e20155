"""Gene ids lead to approved symbols by the stated rule, whatever the order of the file."""

from __future__ import annotations

import gzip
import random

import numpy as np
import pandas as pd
import pytest

from cytostrat import genes
from cytostrat.errors import InputError
from tests.cohort_files import INDEX


@pytest.mark.parametrize(
    ("name", "symbol", "status"),
    [
        ("ERBB2", "ERBB2", "approved"),
        (" ERBB2 ", "ERBB2", "approved"),
        ("TP53", "TP53", "approved"),  # also an alias of BRCA1: never remapped
        ("HER2", "ERBB2", "renamed"),
        ("SHARED", None, "ambiguous"),
        ("C11ORF80", "C11orf80", "renamed"),
        ("Il1b", None, "unknown"),  # a mouse symbol is not a human gene
        ("3-Sep", "SEPTIN3", "mangled"),
        ("Sep-03", "SEPTIN3", "mangled"),
        ("2023-09-03", "SEPTIN3", "mangled"),
        ("1-Mar", None, "ambiguous"),  # MARCH1 and MARC1
        ("1-Jan", None, "unknown"),
        ("", None, "unknown"),
    ],
)
def test_symbol(name, symbol, status) -> None:
    assert INDEX.resolve(name) == (symbol, status)


@pytest.mark.parametrize(
    ("name", "kind", "symbol"),
    [
        ("ENSG00000141736", "ensembl", "ERBB2"),
        ("ENSG00000141736.14", "ensembl", "ERBB2"),
        ("ENSG00000169429.11_PAR_Y", "ensembl", "CXCL8"),
        ("ENSG00000000001.2", "ensembl", None),
        ("ENSG99999999999.1", "ensembl", None),
        ("2064", "entrez", "ERBB2"),
        ("2064.0", "entrez", "ERBB2"),
        ("20640", "entrez", None),
    ],
)
def test_ids(name, kind, symbol) -> None:
    assert INDEX.resolve(name, kind)[0] == symbol


def test_collapse_does_not_depend_on_the_order_of_the_file() -> None:
    ids = ["CXCL8", "IL8", "ERBB2", "HER2", "nonsense"]
    means = dict(zip(ids, [1.0, 1.0, 2.0, np.nan, 9.0], strict=True))
    for seed in range(10):
        order = random.Random(seed).sample(ids, len(ids))
        symbols, _ = genes.map_ids(order, "symbol", INDEX)
        weights = np.array([means[name] for name in order])
        found, kept = genes.collapse_plan(symbols, order, weights)
        assert found == ["CXCL8", "ERBB2"]
        assert [[order[column] for column in group] for group in kept] == [["CXCL8"], ["ERBB2"]]
        _, summed = genes.collapse_plan(symbols, order, None)
        assert [[order[column] for column in group] for group in summed] == [
            ["CXCL8", "IL8"],
            ["ERBB2", "HER2"],
        ]


def test_kind_is_guessed_from_the_ids() -> None:
    assert genes.guess_kind(["ENSG00000141736.14", "x", "ENSG00000091831"]) == "ensembl"
    assert genes.guess_kind(["2064", "2099", "x"]) == "entrez"
    assert genes.guess_kind(["ERBB2", "ESR1", "2064"]) == "symbol"


def test_shipped_table_obeys_the_rule(repository, reference_dir) -> None:
    index = genes.read_index(repository / "resources" / "gene_ids.tsv.gz")
    with gzip.open(reference_dir / "hgnc_alias_symbols.tsv.gz", "rt") as stream:
        table = pd.read_csv(stream, sep="\t", dtype=str, keep_default_na=False)
    approved = set(table["Approved.Symbol"]) & index.approved
    assert len(approved) > 40_000
    assert all(index.resolve(symbol) == (symbol, "approved") for symbol in sorted(approved))
    targets = table[~table["Symbol"].isin(index.approved)].groupby("Symbol")["Approved.Symbol"]
    shared = targets.nunique().loc[lambda n: n > 1].index
    assert len(shared) > 1_000
    assert not [name for name in shared if index.resolve(name)[0] is not None and "-" not in name]
    for old, new in {
        "IL8": "CXCL8", "DDX58": "RIGI", "WARS": "WARS1", "CTGF": "CCN2", "FAM129A": "NIBAN1",
        "MARCH1": "MARCHF1", "C19orf59": "MCEMP1",
    }.items():  # fmt: skip
        assert index.resolve(old)[0] == new


def test_table_without_a_column_is_refused(tmp_path) -> None:
    path = tmp_path / "ids.tsv"
    path.write_text("symbol\tensembl\nERBB2\tENSG00000141736\n")
    with pytest.raises(InputError, match=r"lacks the column.*previous, alias, entrez"):
        genes.read_index(path)
