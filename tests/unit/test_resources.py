"""What ships: checksums, vocabularies, and agreement with the published facts."""

from __future__ import annotations

import hashlib
import re

import pandas as pd
import pytest

from cytostrat.errors import ConfigError
from cytostrat.genes import map_ids, read_index
from cytostrat.knowledge import read_therapies
from cytostrat.signatures import overlap, read_gene_filters, read_gmt, read_signatures

# Our name to the name in the collection that the fact comes from, where they differ.
RENAMED = {
    "LI2014_M29": "LI.M29",
    "BIIR_M1_2_INTERFERON": "DC.M1.2",
    "BENCI2019_ISG_RS": "BENCI2019_ISG_RS",
    "ROONEY2015_TYPE_I_IFN": "TYPE_I_IFN_REPONSE_ROONEY_ET_AL",
    "ROONEY2015_CYTOLYTIC": "CYTOLYTIC_ACTIVITY_ROONEY_ET_AL",
    "AYERS2017_IFNG6": "IFNG_signature_Ayers_et_al",
    "MARIATHASAN2018_PAN_F_TBRS": "Pan_F_TBRs",
    "VENET2011_META_PCNA": "META_PCNA_SUBSET",
}
MODULES = [f"DC.M{number}" for number in ("3.2", "4.2", "4.6", "4.13", "5.1", "5.7", "7.1")]
DERIVED = {"IL1_BLOOD_INFLAMMATION", "IL1_BLOOD_INFLAMMATION_ALL", "BENCI2019_IFNG_GS"}
IL1_FAMILY = {
    *[
        "IL1A",
        "IL1B",
        "IL1RN",
        "IL18",
        "IL33",
        "IL36A",
        "IL36B",
        "IL36G",
        "IL36RN",
        "IL37",
        "IL1F10",
    ],
    *[
        "IL1R1",
        "IL1R2",
        "IL1RAP",
        "IL1RL1",
        "IL1RL2",
        "IL18R1",
        "IL18RAP",
        "IL1RAPL1",
        "IL1RAPL2",
        "SIGIRR",
    ],
}
AXES = {"IL1", "IFN-I", "IFN-II", "IL2"}


@pytest.fixture(scope="module")
def resources(repository):
    return repository / "resources"


@pytest.fixture(scope="module")
def index(resources):
    return read_index(resources / "gene_ids.tsv.gz")


@pytest.fixture(scope="module")
def signatures(resources):
    return read_signatures(resources / "signatures" / "signatures.tsv")


@pytest.fixture(scope="module")
def published(reference_dir):
    sets: dict[str, tuple[str, ...]] = {}
    for name in ("signatures.gmt", "controls.gmt", "h.all.v2024.1.Hs.symbols.gmt"):
        sets |= read_gmt(reference_dir / name)
    return sets


def approved(genes, index):
    symbols, _ = map_ids(genes, "symbol", index)
    return {symbol for symbol in symbols if symbol}


def reference_name(name):
    danaher = re.sub(r"^DANAHER2017_(.*)$", r"\1_DANAHER_ET_AL", name)
    return RENAMED.get(name, danaher)


def test_every_file_is_listed_with_its_checksum(resources):
    listed = dict(
        re.findall(
            r"^\| `([^`]+)` .*\| `([0-9a-f]{64})` \|$", (resources / "README.md").read_text(), re.M
        )
    )
    files = {
        str(path.relative_to(resources))
        for path in resources.rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    assert set(listed) == files
    for name, expected in listed.items():
        found = hashlib.sha256((resources / name).read_bytes()).hexdigest()
        assert found == expected, f"resources/README.md has another checksum of {name}"


def test_each_main_axis_has_two_primary_sets_that_state_their_terms(signatures):
    primary = [found for found in signatures.values() if found.role == "primary"]
    assert sorted(found.axis for found in primary) == sorted([*AXES, *AXES])
    for found in signatures.values():
        assert found.source, found.name
        assert found.licence, found.name


def test_both_il1_surrogates_say_that_they_are_surrogates(signatures):
    for name in ("MAHAJAN_RESPONSE_TO_IL1A_UP", "IL1_BLOOD_INFLAMMATION"):
        assert "surrogate" in signatures[name].note
        assert "agree in sign" in signatures[name].note


def test_pathway_members_are_never_primary(signatures):
    members = [found for found in signatures.values() if found.kind == "pathway members"]
    assert members
    assert {(found.role, found.confidence) for found in members} == {("secondary", "low")}


def test_no_set_of_forbidden_terms_ships(resources):
    text = "".join(path.read_text() for path in (resources / "signatures").iterdir())
    assert not re.search("biocarta|cytosig|kegg", text, re.IGNORECASE)


def test_signature_genes_are_approved_and_have_ids(resources, signatures, index):
    genes = {gene for found in signatures.values() for gene in found.genes}
    assert genes <= index.approved
    table = pd.read_csv(resources / "genes.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert genes <= set(table["symbol"])
    assert {"ERBB2", "ESR1", "PGR", "IL1B", "IFNG", "IL2RA", "EPCAM"} <= set(table["symbol"])
    assert table["entrez"].ne("").all()
    assert table["ensembl"].ne("").all()
    assert table["chromosome"].ne("").all()


def test_the_readable_gene_table_is_part_of_the_whole_one(resources):
    columns = ["symbol", "previous", "alias", "ensembl", "entrez", "band", "chromosome", "type"]
    part, whole = (
        pd.read_csv(resources / name, sep="\t", dtype=str, keep_default_na=False)[columns]
        for name in ("genes.tsv", "gene_ids.tsv.gz")
    )
    whole = whole[whole["symbol"].isin(part["symbol"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, whole)


def test_members_are_those_of_the_published_sets(signatures, published, index):
    for name, found in signatures.items():
        if name not in DERIVED:
            assert set(found.genes) == approved(published[reference_name(name)], index), name


def test_only_blood_modules_lose_genes_by_normalisation(signatures, published):
    for name, found in signatures.items():
        if name not in DERIVED and not reference_name(name).startswith("DC."):
            assert len(found.genes) == len(published[reference_name(name)]), name


def test_the_blood_composite_follows_its_stated_rule(signatures, published, index):
    members = {name: approved(published[name], index) for name in MODULES}
    chosen = {name for name, genes in members.items() if genes & IL1_FAMILY}
    assert chosen == {"DC.M3.2", "DC.M4.2", "DC.M4.13"}
    assert set(signatures["IL1_BLOOD_INFLAMMATION"].genes) == set().union(
        *(members[name] for name in chosen)
    )
    everything = set().union(*members.values())
    assert set(signatures["IL1_BLOOD_INFLAMMATION_ALL"].genes) == everything
    repeated = sum(map(len, members.values())) - len(everything)
    assert repeated == 20  # nearly disjoint: 'in at least two modules' would leave 20 genes


def test_the_two_interferon_hallmarks_share_73_genes(signatures, reference_dir):
    alpha, gamma = (
        set(signatures[f"HALLMARK_INTERFERON_{kind}_RESPONSE"].genes) for kind in ("ALPHA", "GAMMA")
    )
    assert len(alpha & gamma) == 73
    resistance = set(signatures["BENCI2019_ISG_RS"].genes)
    assert set(signatures["BENCI2019_IFNG_GS"].genes) == gamma - resistance
    assert len(gamma - resistance) == 176


def test_the_overlap_matrix_matches_the_published_one(signatures, reference_dir):
    expected = pd.read_csv(reference_dir / "signatures_jaccard.tsv", sep="\t", index_col=0)
    found = overlap(signatures)
    # Modules lose withdrawn probes; everywhere else the published index must come out.
    names = [name for name in found if name in expected.index and name in expected.columns]
    assert len(names) > 25
    difference = (found.loc[names, names] - expected.loc[names, names]).abs()
    assert difference.max().max() < 0.005


def test_amplicon_genes_of_the_sets_are_those_of_the_manifest(signatures, reference_dir):
    manifest = pd.read_csv(
        reference_dir / "signatures_manifest.tsv", sep="\t", dtype=str, keep_default_na=False
    ).set_index("set")
    near = set(",".join(manifest["ERBB2_amplicon_genes"]).split(",")) - {""}
    for name, found in signatures.items():
        if name in manifest.index:
            expected = set(manifest.loc[name, "ERBB2_amplicon_genes"].split(",")) - {""}
            assert set(found.genes) & near == expected, name


def test_the_amplicon_filters_agree_with_the_manifest(resources, reference_dir):
    filters = read_gene_filters(resources / "amplicon.tsv")
    core, wide = filters["without amplicon core"], filters["without 17q12-q21"]
    assert core < wide
    manifest = pd.read_csv(
        reference_dir / "signatures_manifest.tsv", sep="\t", dtype=str, keep_default_na=False
    )
    near, far = (
        set(",".join(manifest[column]).split(",")) - {""}
        for column in ("ERBB2_amplicon_genes", "chr17q12-21_other")
    )
    assert near <= core
    assert far <= wide - core


def test_the_amplicon_core_is_what_lies_within_a_megabase_of_erbb2(resources, signatures):
    table = pd.read_csv(resources / "amplicon.tsv", sep="\t").set_index("symbol")
    low, high = table.loc["ERBB2", "start"] - 1_000_000, table.loc["ERBB2", "end"] + 1_000_000
    inside = (table["end"] >= low) & (table["start"] <= high)
    assert (inside == table["core"].eq("yes")).all()
    assert set(signatures["ERBB2_AMPLICON_CORE"].genes) <= set(table.index[inside])


def test_the_wide_filter_is_the_band(resources, index):
    ids = pd.read_csv(
        resources / "gene_ids.tsv.gz", sep="\t", dtype=str, keep_default_na=False
    ).set_index("symbol")
    wide = read_gene_filters(resources / "amplicon.tsv")["without 17q12-q21"]
    band = set(ids.index[ids["band"].str.startswith(("17q12", "17q21"))])
    assert band <= wide
    assert wide <= index.approved


def test_the_amplicon_core_lies_on_17q12(resources, signatures):
    table = pd.read_csv(resources / "genes.tsv", sep="\t", dtype=str).set_index("symbol")
    assert set(table.loc[list(signatures["ERBB2_AMPLICON_CORE"].genes), "band"]) == {"17q12"}


def test_aliases_that_are_also_approved_symbols_are_never_remapped(index, reference_dir):
    pairs = pd.read_csv(
        reference_dir / "hgnc_alias_symbols.tsv.gz", sep="\t", dtype=str, keep_default_na=False
    )
    symbols = set(pairs["Approved.Symbol"])
    both = symbols & set(pairs.loc[pairs["Symbol"] != pairs["Approved.Symbol"], "Symbol"])
    assert len(both) == 717
    kept = [symbol for symbol in both if symbol in index.approved]
    assert len(kept) > 700  # the others were renamed since
    assert all(index.resolve(symbol) == (symbol, "approved") for symbol in kept)


def test_every_unambiguous_name_of_2022_still_leads_to_its_gene(index, reference_dir):
    pairs = pd.read_csv(
        reference_dir / "hgnc_alias_symbols.tsv.gz", sep="\t", dtype=str, keep_default_na=False
    )
    pairs = pairs[~pairs["Symbol"].isin(index.ambiguous)]
    single = pairs[~pairs.duplicated("Symbol", keep=False)]
    found, _ = map_ids(single["Symbol"], "symbol", index)
    today, _ = map_ids(single["Approved.Symbol"], "symbol", index)
    same = pd.Series(found).eq(pd.Series(today)) & pd.Series(found).notna()
    assert same.mean() > 0.995  # the rest became approved symbols of their own


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("IL8", "CXCL8"),
        ("DDX58", "RIGI"),
        ("CTGF", "CCN2"),
        ("FAM101B", "RFLNB"),
        ("WARS", "WARS1"),
        ("FAM126B", "HYCC2"),
        ("MARCH1", "MARCHF1"),
        ("KIAA0125", "FAM30A"),
    ],
)
def test_known_renamings(index, old, new):
    assert index.resolve(old) == (new, "renamed")


@pytest.mark.parametrize("name", ["TAZ", "AGPAT9"])
def test_ambiguous_aliases_are_dropped(index, name):
    assert index.resolve(name) == (None, "ambiguous")


def test_ids_of_a_tcga_cohort_have_symbols(index, data_dir):
    ids = pd.read_csv(
        data_dir / "tcga_brca_100_ensembl" / "counts.tsv.gz", sep="\t", usecols=[0], index_col=0
    ).index
    _, status = map_ids(ids, "ensembl", index)
    assert status.eq("approved").mean() > 0.94


@pytest.mark.parametrize(
    ("folder", "file", "kind", "alpha", "stat5"),
    [
        ("scanb_400", "log2_fpkm.tsv.gz", "symbol", 80, 144),
        ("tcga_brca_100_ensembl", "counts.tsv.gz", "ensembl", 61, 86),
    ],
)
def test_coverage_of_real_cohorts_is_as_published(
    folder, file, kind, alpha, stat5, signatures, index, data_dir
):
    ids = pd.read_csv(data_dir / folder / file, sep="\t", usecols=[0], dtype=str)
    names = ids.index if kind == "ensembl" and ids.index.dtype == object else ids.iloc[:, 0]
    symbols, _ = map_ids(list(names), kind, index)
    present = set(symbols) - {None}
    for name, expected in (
        ("HALLMARK_INTERFERON_ALPHA_RESPONSE", alpha),
        ("HALLMARK_IL2_STAT5_SIGNALING", stat5),
    ):
        assert len(present & set(signatures[name].genes)) == expected


def test_therapies_are_complete_and_sourced(resources, signatures):
    found = read_therapies(resources / "therapies.yaml", signatures=signatures)
    assert list(found.documents) == ["S0", "S1", "S2", "S3", "S4"]
    agents = {name for name, entry in found.therapies.items() if entry["kind"] == "agent"}
    assert agents == {
        *[
            "anakinra",
            "aldesleukin",
            "ifn_alpha",
            "ifn_beta",
            "ifn_gamma",
            "ifn_beta_gamma_endocrine",
        ],
        *["ifn_beta_il2_endocrine", "il6", "il7", "il12", "il21"],
    }
    assert set(found.therapies) - agents == {"il11", "il18", "tgfb"}
    assert found.documents["S4"]["doi"] == "10.1158/0008-5472.CAN-18-0413"


def test_every_axis_of_a_signature_that_speaks_to_a_therapy_is_used(resources, signatures):
    found = read_therapies(resources / "therapies.yaml", signatures=signatures)
    named = {name for entry in found.therapies.values() for name in entry["signatures"]}
    assert {s.name for s in signatures.values() if s.role == "primary"} <= named


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: il7\n", "id: il6\n", "two entries with the id 'il6'"),
        ("PID_IL12_2PATHWAY", "NO_SUCH_SET", "signature 'NO_SUCH_SET', which doesn't exist"),
        ("document: S2", "document: S9", "document 'S9', which doesn't exist"),
        ("kind: effect", "kind: drug", "did you mean|must be one of agent, effect"),
    ],
)
def test_a_broken_therapies_file_is_refused(tmp_path, resources, signatures, old, new, message):
    path = tmp_path / "therapies.yaml"
    path.write_text((resources / "therapies.yaml").read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        read_therapies(path, signatures=signatures)
