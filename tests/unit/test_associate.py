"""Associations: base R as oracle, planted truths, and what cannot be estimated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cytostrat import scoring
from cytostrat.associate import (
    CYTOLYTIC,
    EMT,
    PROLIFERATION,
    T_CELLS,
    TNF,
    WITHOUT_SHARED,
    adjusted_r2,
    association_effects,
    judged,
)
from cytostrat.errors import EstimationError
from cytostrat.signatures import Signature, coverage
from cytostrat.stats import notes
from cytostrat.tables import EFFECTS

MARKERS = {"myeloid_a": "myeloid", "myeloid_b": "myeloid"} | {
    "lymphoid_a": "lymphoid",
    "lymphoid_b": "lymphoid",
}


def signature(name, axis, role="secondary", genes=None):
    return Signature(name=name, title=name, up=genes or (f"G_{name}",), axis=axis, role=role)


SIGNATURES = {
    found.name: found
    for found in (
        signature("tgfb", "TGFB"),
        signature("il1", "IL1", "primary"),
        signature(TNF, "TNF/NF-kB", "comparator"),
        signature(PROLIFERATION, "proliferation", "comparator"),
        signature(EMT, "EMT", "comparator"),
        *(signature(name, axis, "celltype") for name, axis in MARKERS.items()),
    )
}
SCORED = {TNF: "tnf", PROLIFERATION: "proliferation", EMT: "emt"}


def long(wide, cohort="c"):
    """Return samples x signatures as Scores rows."""
    rows = wide.rename_axis(index="sample", columns="signature").stack().rename("score")
    return rows.reset_index().assign(cohort=cohort, cell_type="", method="ssgsea", percentile=50.0)


def run(clinical, wide, genes, signatures=SIGNATURES, *, matrix=None, measured=None, **more):
    matrix = genes.to_numpy(np.float32) if matrix is None else matrix
    present = {gene for found in signatures.values() for gene in found.genes}
    table = coverage(signatures, present if measured is None else measured, cohort="c")
    found = association_effects(
        clinical, long(wide), matrix, list(genes.columns), table, signatures, cohort="c", **more
    )
    return EFFECTS.conform(found)


def pick(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, f"{len(table)} rows for {where}"
    return table.iloc[0]


@pytest.fixture(scope="module")
def samples(repository):
    found = pd.read_csv(repository / "tests/oracles/associate/samples.csv")
    found.index = [f"s{number}" for number in range(len(found))]
    return found


@pytest.fixture(scope="module")
def expected(repository):
    return pd.read_csv(repository / "tests/oracles/associate/expected.csv", index_col="name")


def clinic(samples):
    status = {1: "positive", 0: "negative"}
    return pd.DataFrame(
        {
            "er": samples["er"].map(status),
            "her2": samples["her2"].map(status),
            "age": samples["age"],
            "stage": samples["stage"].map(lambda x: None if np.isnan(x) else str(int(x))),
        },
        index=samples.index,
    )


def score_frame(samples):
    columns = {name: samples[SCORED.get(name, name)] for name in SIGNATURES}
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def table(samples):
    return run(clinic(samples), score_frame(samples), samples[["il1b"]].set_axis(["IL1B"], axis=1))


@pytest.mark.parametrize(
    ("name", "where"),
    [
        (
            "tgfb_il1b_given_infiltrate",
            {"endpoint": "IL1B", "signature": "tgfb", "adjustment": "myeloid+lymphoid"},
        ),
        ("tgfb_il1b_crude", {"endpoint": "IL1B", "signature": "tgfb", "adjustment": "none"}),
        (
            "tgfb_proliferation",
            {"endpoint": "proliferation", "signature": "tgfb", "adjustment": "er+myeloid+lymphoid"},
        ),
        (
            "tgfb_emt",
            {"endpoint": "emt", "signature": "tgfb", "adjustment": "er+myeloid+lymphoid"},
        ),
        (
            "il1_stage",
            {
                "question": "stage_trend",
                "endpoint": "stage",
                "signature": "il1",
                "adjustment": "er+age",
            },
        ),
        (
            "il1b_stage",
            {
                "question": "stage_trend",
                "endpoint": "stage",
                "signature": "IL1B",
                "adjustment": "er+age",
            },
        ),
        ("nested_her2", {"question": "nested", "endpoint": "her2"}),
        ("nested_stage", {"question": "nested", "endpoint": "stage"}),
        ("infiltration_myeloid", {"question": "infiltration", "endpoint": "myeloid"}),
        ("infiltration_both", {"question": "infiltration", "endpoint": "myeloid+lymphoid"}),
    ],
)
def test_estimates_equal_those_of_r(table, expected, name, where):
    row, truth = pick(table, **where), expected.loc[name]
    assert row["n"] == truth["n"]
    for column in ("estimate", "low", "high", "p"):
        # The gene goes through float32, with tied values tied in it too: ranks are the same.
        assert row[column] == pytest.approx(truth[column], rel=1e-6), column


def test_the_error_of_explained_variance_is_its_spread_over_samples(expected):
    mean = expected.loc["mean_of_r2_n200_k3", "estimate"]
    plain = 1 - (1 - mean) * (200 - 3 - 1) / 199
    adjusted, se = adjusted_r2(plain, n=200, terms=3)
    assert adjusted == pytest.approx(mean, rel=1e-9)
    assert se == pytest.approx(expected.loc["spread_of_r2_n200_k3", "estimate"], rel=0.05)


def test_every_number_has_its_contract(table):
    estimated = table["estimate"].notna()
    assert estimated.any()
    assert table.loc[~estimated, "note"].ne("").all()
    assert table.loc[estimated, "p"].between(0, 1, inclusive="right").all()
    assert (table.loc[estimated, "low"] <= table.loc[estimated, "estimate"]).all()
    assert (table.loc[estimated, "estimate"] <= table.loc[estimated, "high"]).all()


def test_a_covariate_that_is_not_recorded_leaves_a_row_with_a_note(table):
    row = pick(table, endpoint="IL1B", signature="tgfb", adjustment="myeloid+purity")
    assert np.isnan(row["estimate"])
    assert row["note"] == "not estimated: covariate purity is not in the cohort"


def test_recorded_purity_is_used(samples):
    clinical = clinic(samples).assign(purity=np.linspace(0.2, 0.9, len(samples)))
    genes = samples[["il1b"]].set_axis(["IL1B"], axis=1)
    found = run(clinical, score_frame(samples), genes)
    row = pick(found, endpoint="IL1B", signature="tgfb", adjustment="myeloid+purity")
    assert np.isfinite(row["estimate"])


def test_a_gene_or_column_that_is_absent_is_named(samples):
    clinical = clinic(samples).drop(columns=["stage", "her2"])
    genes = pd.DataFrame({"TP53": np.arange(80.0)}, index=samples.index)
    found = run(clinical, score_frame(samples), genes)
    row = pick(found, endpoint="IL1B", signature="tgfb", adjustment="none")
    assert row["note"] == "not estimated: gene IL1B is not measured"
    row = pick(found, question="nested", endpoint="her2")
    assert row["note"] == "not estimated: her2 is not recorded"
    row = pick(found, question="stage_trend", endpoint="stage", signature="il1", adjustment="none")
    assert row["note"] == "not estimated: stage is not recorded"


def test_crude_rows_of_a_case_control_cohort_say_so(samples):
    genes = samples[["il1b"]].set_axis(["IL1B"], axis=1)
    found = run(clinic(samples), score_frame(samples), genes, sampling={"design": "case_control"})
    crude = (found["adjustment"] == "none") & (found["question"] != "infiltration")
    said = notes.carries(found["note"], notes.CASE_CONTROL)
    assert (said == crude).all()


def test_unusable_sets_are_flagged_and_never_covariates(samples):
    genes = samples[["il1b"]].set_axis(["IL1B"], axis=1)
    present = {gene for found in SIGNATURES.values() for gene in found.genes}
    spoilt = score_frame(samples).assign(myeloid_b=np.random.default_rng(1).normal(size=80))
    found = run(clinic(samples), spoilt, genes, measured=present - {"G_myeloid_b", "G_tgfb"})
    row = pick(found, endpoint="IL1B", signature="tgfb", adjustment="myeloid+lymphoid")
    assert notes.UNUSABLE in row["note"]
    row = pick(found, question="infiltration", endpoint="myeloid")
    assert row["note"].startswith("1 cell-marker sets")


def test_without_any_marker_set_nothing_is_adjusted_for(samples):
    signatures = {n: s for n, s in SIGNATURES.items() if s.role != "celltype"}
    genes = samples[["il1b"]].set_axis(["IL1B"], axis=1)
    found = run(clinic(samples), score_frame(samples)[list(signatures)], genes, signatures)
    row = pick(found, endpoint="IL1B", signature="tgfb", adjustment="myeloid+lymphoid")
    assert np.isnan(row["estimate"])
    row = pick(found, question="infiltration", endpoint="myeloid")
    assert row["note"] == "not estimated: no cell-marker set is usable"


def test_too_few_samples_are_named(samples):
    few = samples.iloc[:12]
    found = run(clinic(few), score_frame(few), few[["il1b"]].set_axis(["IL1B"], axis=1))
    row = pick(found, endpoint="IL1B", signature="tgfb", adjustment="none")
    assert row["note"] == "not estimated: 12 samples have both, 20 are needed"
    assert found["estimate"].isna().all()


def test_a_cohort_of_one_sample_gives_rows_without_numbers(samples):
    one = samples.iloc[:1]
    found = run(clinic(one), score_frame(one), one[["il1b"]].set_axis(["IL1B"], axis=1))
    assert found["estimate"].isna().all()
    assert len(found) > 0


def test_a_score_that_does_not_vary_has_no_correlation(samples):
    flat = score_frame(samples).assign(tgfb=1.0)
    found = run(clinic(samples), flat, samples[["il1b"]].set_axis(["IL1B"], axis=1))
    row = pick(found, endpoint="IL1B", signature="tgfb", adjustment="none")
    assert np.isnan(row["estimate"])
    assert "doesn't vary" in row["note"]


def test_the_null_p_compares_with_random_sets(samples):
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(80, 99))
    same = np.repeat(samples[["tgfb"]].to_numpy(), 99, axis=1)
    genes = samples[["il1b"]].set_axis(["IL1B"], axis=1)
    p = {}
    for name, null in (("noise", noise), ("same", same)):
        found = run(
            clinic(samples), score_frame(samples), genes,
            null_scores=lambda name, *_, null=null: null if name == "tgfb" else None,
        )  # fmt: skip
        of_tgfb = found[(found["endpoint"] == "IL1B") & (found["signature"] == "tgfb")]
        p[name] = pick(of_tgfb, adjustment="myeloid+lymphoid")["null_p"]
        assert np.isnan(pick(of_tgfb, adjustment="none")["null_p"])
    assert p == {"noise": 0.01, "same": 1.0}  # (0 + 1) / 100 and (99 + 1) / 100


def test_axes_without_a_primary_set_are_judged_by_their_secondary_ones():
    given = SIGNATURES | {"other": signature("other", "IL1"), "il2": signature("il2", "IL2")}
    assert set(judged(given)) == {"tgfb", "il1", "il2"}


def test_row_order_changes_nothing(samples, table):
    shuffled = samples.sample(frac=1, random_state=3)
    found = run(
        clinic(shuffled), score_frame(shuffled), shuffled[["il1b"]].set_axis(["IL1B"], axis=1)
    )
    pd.testing.assert_frame_equal(found, table, rtol=1e-9)


def test_matrix_and_clinical_frame_must_be_of_one_cohort(samples):
    genes = samples[["il1b"]].set_axis(["IL1B"], axis=1)
    with pytest.raises(EstimationError, match="The matrix has 79 rows and the clinical frame 80"):
        run(
            clinic(samples), score_frame(samples), genes,
            matrix=genes.to_numpy(np.float32)[:79],
        )  # fmt: skip


@pytest.fixture(scope="module")
def overlapping():
    """A TGF-beta set whose own genes are noise and whose shared genes are EMT's."""
    rng = np.random.default_rng(12)
    n, background = 120, [f"B{number}" for number in range(300)]
    shared, own = [f"S{number}" for number in range(8)], [f"A{number}" for number in range(8)]
    programme = rng.normal(size=(n, 1))
    values = np.hstack(
        [
            6 + 2 * programme + 0.2 * rng.normal(size=(n, 8)),
            6 + rng.normal(size=(n, 8)),
            6 + rng.normal(size=(n, 300)),
        ]
    )
    genes = pd.DataFrame(
        values, columns=[*shared, *own, *background], index=[f"s{i}" for i in range(n)]
    )
    signatures = {
        found.name: found
        for found in (
            signature("tgfb", "TGFB", genes=(*shared, *own)),
            signature(EMT, "EMT", "comparator", genes=(*shared, "B0", "B1")),
            signature("il1", "IL1", "primary", genes=("B2", "B3")),
        )
    }
    sets = {name: (found.up, found.down) for name, found in signatures.items()}
    wide = scoring.score(
        genes.to_numpy(np.float32), list(genes.columns), sets, method="ssgsea"
    ).set_axis(genes.index)
    clinical = pd.DataFrame({"er": rng.choice(["positive", "negative"], n)}, index=genes.index)
    return run(clinical, wide, genes, signatures), wide


def test_genes_of_both_sides_do_not_make_a_correlation(overlapping):
    table, wide = overlapping
    assert wide["tgfb"].corr(wide[EMT], method="spearman") > 0.7
    row = pick(table, endpoint="emt", signature="tgfb", adjustment="none")
    assert row["gene_filter"] == WITHOUT_SHARED
    assert abs(row["estimate"]) < 0.25
    assert "8 shared genes left out" in row["note"]


def test_a_set_of_shared_genes_only_has_no_score(overlapping):
    wide = overlapping[1]
    signatures = {
        "tgfb": signature("tgfb", "TGFB", genes=("S0", "S1")),
        EMT: signature(EMT, "EMT", "comparator", genes=("S0", "S1", "S2")),
    }
    genes = pd.DataFrame(
        np.random.default_rng(2).normal(size=(120, 4)),
        columns=["S0", "S1", "S2", "X"],
        index=wide.index,
    )
    found = run(pd.DataFrame(index=wide.index), wide[["tgfb", EMT]], genes, signatures)
    row = pick(found, endpoint="emt", signature="tgfb", adjustment="none")
    assert np.isnan(row["estimate"])
    assert "2 shared genes left out" in row["note"]


def test_random_sets_are_asked_for_without_the_genes_of_the_endpoint_once_each(samples):
    asked = []

    def null_scores(name, method, forbidden=frozenset()):
        asked.append((name, method, forbidden))
        return np.random.default_rng(1).normal(size=(80, 19))

    names = ["IL1B", "G_tgfb", "G_il1", *(f"G_{name}" for name in (*MARKERS, PROLIFERATION, EMT))]
    genes = pd.DataFrame(
        np.random.default_rng(3).normal(size=(80, len(names))), columns=names, index=samples.index
    ).assign(IL1B=samples["il1b"])
    found = run(clinic(samples), score_frame(samples), genes, null_scores=null_scores)
    assert len(asked) == len(set(asked))
    cells = {f"G_{name}" for name in MARKERS}
    of_tgfb = {forbidden for name, _, forbidden in asked if name == "tgfb"}
    assert of_tgfb == {
        frozenset(cells | {end}) for end in ("IL1B", f"G_{PROLIFERATION}", f"G_{EMT}")
    }
    # the trends with clinical columns have no genes to leave out and share one draw
    assert [forbidden for name, _, forbidden in asked if name == "il1"].count(frozenset()) == 1
    judged_rows = found[found["null_p"].notna()]
    assert set(judged_rows["question"]) == {"association", "stage_trend", "nested"}


@pytest.fixture(scope="module")
def nested_in_tnf():
    """HER2 raises only the genes that an IL1 set shares with that of TNF."""
    rng = np.random.default_rng(21)
    n = 160
    her2 = np.arange(n) % 4 == 0
    common, own = [f"C{i}" for i in range(8)], [f"A{i}" for i in range(8)]
    further, background = [f"T{i}" for i in range(30)], [f"B{i}" for i in range(300)]
    values = 6 + rng.normal(size=(n, 346))
    values[:, :8] += 3.0 * her2[:, None]
    genes = pd.DataFrame(
        values, columns=[*common, *own, *further, *background], index=[f"s{i}" for i in range(n)]
    )
    signatures = {
        "il1": signature("il1", "IL1", "primary", genes=(*common, *own)),
        TNF: signature(TNF, "TNF/NF-kB", "comparator", genes=(*common, *further)),
    }
    clinical = pd.DataFrame(
        {
            "her2": np.where(her2, "positive", "negative"),
            "er": rng.choice(["positive", "negative"], n),
            "age": rng.normal(60, 10, n),
        },
        index=genes.index,
    )
    sets = {name: (found.up, found.down) for name, found in signatures.items()}
    wide = scoring.score(genes.to_numpy(np.float32), list(genes), sets, method="ssgsea")
    return clinical, wide.set_axis(genes.index), genes, signatures


def test_what_il1_adds_to_tnf_rests_on_genes_of_its_own(nested_in_tnf):
    clinical, wide, genes, signatures = nested_in_tnf
    row = pick(run(clinical, wide, genes, signatures), question="nested", endpoint="her2")
    assert row["gene_filter"] == WITHOUT_SHARED
    assert "8 shared genes left out of the signature and of TNF" in row["note"]
    # by hand: both scored without the eight, correlated given ER, age and TNF
    sets = {
        name: ([gene for gene in found.up if not gene.startswith("C")], [])
        for name, found in signatures.items()
    }
    left = scoring.score(genes.to_numpy(np.float32), list(genes), sets, method="ssgsea")
    given = np.column_stack(
        [np.ones(len(genes)), clinical["er"] == "positive", clinical["age"], left[TNF]]
    ).astype(float)
    sides = np.column_stack([left["il1"], clinical["her2"] == "positive"]).astype(float)
    residual = sides - given @ np.linalg.lstsq(given, sides, rcond=None)[0]
    assert row["estimate"] == pytest.approx(np.corrcoef(residual.T)[0, 1], abs=1e-9)
    assert abs(row["estimate"]) < 0.2
    # with the eight on either side HER2 alone would make a correlation
    assert abs(wide["il1"].corr((clinical["her2"] == "positive").astype(float))) > 0.4


def test_il2_is_related_to_cytolytic_activity_given_t_cells(samples):
    signatures = SIGNATURES | {
        name: signature(name, axis, role)
        for name, axis, role in (
            ("il2", "IL2", "primary"),
            (CYTOLYTIC, "lymphoid", "celltype"),
            (T_CELLS, "lymphoid", "celltype"),
        )
    }
    rng = np.random.default_rng(8)
    cells = rng.normal(size=80)
    wide = score_frame(samples).assign(
        **{T_CELLS: cells, CYTOLYTIC: cells + 0.1 * rng.normal(size=80)}
    )
    wide["il2"] = cells + 0.1 * rng.normal(size=80)
    found = run(clinic(samples), wide, samples[["il1b"]].set_axis(["IL1B"], axis=1), signatures)
    crude = pick(found, endpoint="cytolytic", signature="il2", adjustment="none")
    given = pick(found, endpoint="cytolytic", signature="il2", adjustment="er+t_cells")
    assert crude["estimate"] > 0.9
    assert given["p"] > 0.01
    assert given["low"] < 0 < given["high"]
