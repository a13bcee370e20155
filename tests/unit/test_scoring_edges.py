"""Tie rules written out by hand, tiny and degenerate inputs, and what is refused."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, special, stats

from cytostrat.errors import CytostratError, ScoringError, SignatureError
from cytostrat.scoring import METHODS, cytosig, measured, percentile, rank, score

GENES = [f"G{i}" for i in range(10)]
RANKED = ("ssgsea", "singscore", "ucell", "aucell")
SETWISE = (*RANKED, "zscore", "gsva")
FEW = {"aucell": {"fraction": 0.5}}  # 5 % of ten genes would leave no position


def one(values, sets, method, **options):
    """Score a single sample and return the row."""
    matrix = np.asarray(values, dtype=float)[None]
    return score(matrix, GENES[: matrix.shape[1]], sets, method=method, **options).iloc[0]


def recovery_area(order, members, limit):
    """Area under the recovery curve, step by step."""
    found = np.cumsum([gene in members for gene in order])
    best = np.minimum(np.arange(1, len(order) + 1), len(members))
    return found[: limit - 1].sum() / best[: limit - 1].sum()


def test_aucell_with_ties_is_the_mean_over_all_orders_of_the_tied_genes():
    values = np.array([5.0, 2, 2, 2, 2, 9, 1])
    members = {"G0", "G2", "G3", "G6"}
    areas = []
    for shuffled in itertools.permutations(["G1", "G2", "G3", "G4"]):
        areas.append(recovery_area(["G5", "G0", *shuffled, "G6"], members, limit=5))
    found = one(values, {"S": (members, [])}, "aucell", fraction=5 / 7)
    assert found["S"] == pytest.approx(np.mean(areas), abs=1e-14)


def walked(density, members):
    """GSVA's walk with tied genes stepping together, one value after the other."""
    n = len(density)
    ranks = stats.rankdata(density)
    weights = np.where(members, np.abs(ranks - n / 2), 0.0)
    height, heights = 0.0, [0.0]
    for value in sorted(set(density), reverse=True):
        tied = density == value
        height += weights[tied].sum() / weights.sum()
        height -= (tied & ~members).sum() / (~members).sum()
        heights.append(height)
    return max(heights) + min(heights)


@pytest.mark.parametrize("kernel", ["gaussian", "poisson"])
def test_gsva_with_ties_and_gaps_is_the_definition_written_out(kernel):
    rng = np.random.default_rng(9)
    matrix = rng.poisson(rng.gamma(1.0, 4.0, size=60), size=(11, 60)).astype(float)
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    matrix[:, 7] = 3.0  # constant: left out
    genes = [f"G{i}" for i in range(60)]
    member = np.arange(60) < 12
    found = score(
        matrix, genes, {"S": ([g for g, m in zip(genes, member, strict=True) if m], [])},
        method="gsva", kernel=kernel,
    )["S"]  # fmt: skip
    density = np.full(matrix.shape, np.nan)
    for gene in range(60):
        x = matrix[:, gene]
        seen = x[~np.isnan(x)]
        if np.ptp(seen) == 0:
            continue
        if kernel == "gaussian":
            z = (x[:, None] - seen) / (np.std(seen, ddof=1) / 4)
            cell = np.floor(np.abs(np.nan_to_num(z)) * 1000) / 1000
            values = np.where(z < 0, 1 - special.ndtr(cell), special.ndtr(cell))
        else:
            values = stats.poisson.cdf(x[:, None], seen + 0.5)
        density[:, gene] = np.where(np.isnan(x), np.nan, values.mean(axis=1))
    density = np.round(density, 12)  # sums in another order differ in the last digits
    for sample, row in enumerate(density):
        kept = ~np.isnan(row)
        assert found[sample] == pytest.approx(walked(row[kept], member[kept]), abs=1e-9)


def test_one_gene_follows_its_rank():
    values = np.array([4.0, 1, 3, 2, 5])  # G0 has ascending rank 4 of 5
    sets = {"S": (["G0"], [])}
    assert one(values, sets, "ssgsea")["S"] == pytest.approx(4 - (15 - 4) / 4)
    assert one(values, sets, "singscore")["S"] == pytest.approx(3 / 4 - 0.5)
    assert one(values, sets, "ucell", max_rank=5)["S"] == pytest.approx(1 - (2 - 1) / (5 - 1))
    assert one(values, sets, "aucell", fraction=0.6)["S"] == pytest.approx((3 - 2) / (3 - 1))


def test_a_sample_of_zeros_says_nothing_in_either_direction():
    sets = {"up": (GENES[:3], []), "both": (GENES[:3], GENES[5:7])}
    for store in (np.asarray, sparse.csr_matrix):
        matrix = store(np.zeros((2, 10)))
        assert (score(matrix, GENES, sets, method="ssgsea").abs() < 1e-12).all(axis=None)
        singscore = score(matrix, GENES, sets, method="singscore", ties="average")
        assert (singscore.abs() < 1e-12).all(axis=None)
        # every gene has rank 5.5 of 10
        ucell = score(matrix, GENES, sets, method="ucell")["up"]
        assert ucell.to_list() == pytest.approx([1 - (3 * 5.5 - 6) / (30 - 6)] * 2)


def test_singscore_of_all_zeros_takes_the_lowest_rank_as_upstream_does():
    # mean rank 1, lowest possible mean 2, highest 9
    found = score(np.zeros((1, 10)), GENES, {"S": (GENES[:3], [])}, method="singscore")
    assert found.iloc[0, 0] == pytest.approx((1 - 2) / (9 - 2) - 0.5)


@pytest.mark.parametrize("method", SETWISE)
def test_a_set_without_a_measured_gene_stays_and_is_missing(method):
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(4, 10))
    matrix[1, [2, 3]] = np.nan
    sets = {
        "absent": (["NONE"], []),
        "gaps": (["G2", "G3"], []),
        "half": (["G1", "G5"], ["NONE"]),
        "fine": (["G1", "G5"], ["G6"]),
    }
    found = score(matrix, GENES, sets, method=method, **FEW.get(method, {}))
    assert list(found.columns) == list(sets)
    assert found["absent"].isna().all()
    assert found["gaps"].isna().to_list() == [False, True, False, False]
    assert found["half"].isna().all()
    assert found["fine"].notna().all()
    counts = measured(matrix, GENES, sets)
    assert counts["gaps"].to_list() == [2, 0, 2, 2]
    assert counts["fine"].to_list() == [3, 3, 3, 3]
    assert counts["absent"].eq(0).all()
    pd.testing.assert_frame_equal(counts, measured(sparse.csr_matrix(matrix), GENES, sets))
    pd.testing.assert_frame_equal(counts, measured(rank(matrix), GENES, sets))


@pytest.mark.parametrize("method", ["ssgsea", "gsva"])
def test_a_set_of_all_genes_has_no_other_genes_to_be_compared_with(method):
    matrix = np.random.default_rng(3).normal(size=(3, 10))
    assert score(matrix, GENES, {"all": (GENES, [])}, method=method).isna().all(axis=None)


@pytest.mark.parametrize("method", SETWISE)
def test_no_samples_and_no_sets_give_empty_frames(method):
    matrix = np.random.default_rng(3).normal(size=(4, 10))
    assert score(matrix, GENES, {}, method=method).shape == (4, 0)
    if method in RANKED:
        assert score(matrix[:0], GENES, {"S": (GENES[:3], [])}, method=method).shape == (0, 1)


def test_integers_are_scored_as_numbers():
    counts = np.random.default_rng(3).integers(0, 5, size=(4, 10))
    sets = {"S": (GENES[:3], [])}
    for method in SETWISE:
        for store in (np.asarray, sparse.csr_matrix):
            found = score(store(counts), GENES, sets, method=method)
            pd.testing.assert_frame_equal(
                found, score(counts.astype(float), GENES, sets, method=method)
            )


def test_down_genes_count_against_the_signature():
    rng = np.random.default_rng(6)
    matrix = rng.normal(size=(30, 10))
    for method in SETWISE:
        signature = {"S": (GENES[:3], GENES[3:6])}
        both = score(matrix, GENES, signature, method=method, **FEW.get(method, {}))["S"]
        for gene, sign in (("G1", 1), ("G4", -1)):
            assert sign * both.corr(pd.Series(matrix[:, GENES.index(gene)])) > 0.1, method


def test_percentiles_lie_within_the_cohort():
    scores = pd.DataFrame({"S": [0.3, np.nan, 0.1, 0.3, 0.9]})
    assert percentile(scores)["S"].to_list() == pytest.approx(
        [50.0, np.nan, 12.5, 50.0, 87.5], nan_ok=True
    )


def test_records_say_what_a_reader_needs():
    for name, method in METHODS.items():
        assert method.name == name
        assert method.needs in {"any", "log", "counts"}
        assert method.doi.startswith("10.")
        assert method.meaning.endswith(".")
        assert "compare" in method.meaning or "cohort" in method.meaning


INFINITE = np.zeros((3, 10))
INFINITE[2, 4] = np.inf


@pytest.mark.parametrize("method", SETWISE)
@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix])
def test_an_infinite_value_is_refused_by_sample(method, store):
    sets = {"S": (["G4", "G5"], [])}
    with pytest.raises(ScoringError, match=r"Sample number 2 .* infinite"):
        score(store(INFINITE), GENES, sets, method=method, threads=2)


OK = np.random.default_rng(1).normal(size=(3, 10))
S = {"S": (["G1"], [])}
LONG = [f"L{i}" for i in range(40)]


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ((OK, GENES, S), {"method": "plage"}, ScoringError, "'plage' is not known"),
        ((OK, GENES, S), {"method": "cytosig"}, ScoringError, "matrix of responses"),
        ((OK, GENES[:9], S), {"method": "ssgsea"}, ScoringError, "10 columns and 9 genes"),
        ((OK, [*GENES[:9], "G0"], S), {"method": "ssgsea"}, ScoringError, "'G0' stands twice"),
        ((OK, GENES, {"E": ([], [])}), {"method": "ssgsea"}, SignatureError, "'E' names no gene"),
        ((OK, GENES, {"C": (["G1"], ["G1"])}), {"method": "ssgsea"}, SignatureError, "'G1' as an"),
        ((OK, GENES, S), {"method": "ssgsea", "threads": 0}, ScoringError, "threads is 0"),
        ((OK, GENES, S), {"method": "zscore", "threads": 0}, ScoringError, "threads is 0"),
        ((OK[:1], GENES, S), {"method": "gsva"}, ScoringError, "two or more"),
        ((OK[:1], GENES, S), {"method": "zscore"}, ScoringError, "two or more"),
        ((rank(OK), GENES, S), {"method": "zscore"}, ScoringError, "not their ranks"),
        ((rank(OK), GENES, S), {"method": "aucell"}, ScoringError, "tied=True"),
        ((OK, GENES, S), {"method": "gsva", "kernel": "epan"}, ScoringError, "'epan'"),
        ((OK - 9, GENES, S), {"method": "gsva", "kernel": "poisson"}, ScoringError, "counts"),
        ((OK, GENES, S), {"method": "singscore", "ties": "max"}, ScoringError, "'max'"),
        (
            (OK, GENES, {"B": (["G1"], ["G2"])}), {"method": "singscore", "unknown": ["B"]},
            ScoringError, "'B' is of unknown direction",
        ),
        ((OK, GENES, S), {"method": "ucell", "missing": "drop"}, ScoringError, "'drop'"),
        ((OK, GENES, S), {"method": "ucell", "max_rank": 0}, ScoringError, "max_rank"),
        ((OK, GENES, {"L": (LONG, [])}), {"method": "ucell"}, ScoringError, "'L' has 40 genes"),
        ((OK, GENES, S), {"method": "aucell", "fraction": 0}, ScoringError, "fraction"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_named(arguments, options, kind, message):
    with pytest.raises(kind, match=message) as caught:
        score(*arguments, **options)
    assert isinstance(caught.value, CytostratError)


def test_cytosig_names_what_it_lacks():
    responses = pd.DataFrame(np.eye(60), index=[f"R{i}" for i in range(60)])
    with pytest.raises(ScoringError, match="share 0 genes"):
        cytosig(OK, GENES, responses, seed=1)
    matrix = np.random.default_rng(1).normal(size=(3, 60))
    genes = list(responses.index)
    with pytest.raises(ScoringError, match="one sample"):
        cytosig(matrix[:1], genes, responses, seed=1)
    with pytest.raises(ScoringError, match="infinite"):
        cytosig(np.full((3, 60), np.inf), genes, responses, seed=1)
    with pytest.raises(ScoringError, match="penalty"):
        cytosig(matrix, genes, responses, seed=1, penalty=-1)
    twice = pd.concat([responses, responses])
    with pytest.raises(ScoringError, match="twice"):
        cytosig(matrix, genes, twice, seed=1)


def test_cytosig_leaves_a_missing_gene_out_of_that_sample_only():
    rng = np.random.default_rng(11)
    genes = [f"R{i:02d}" for i in range(80)]
    responses = pd.DataFrame(rng.normal(size=(80, 3)), index=genes)
    matrix = rng.normal(size=(4, 80))
    gap = matrix.copy()
    gap[2, 5] = np.nan
    options = {"seed": 1, "n_permutations": 99, "centre": False}
    found = cytosig(gap, genes, responses, **options)
    kept = [gene for gene in genes if gene != "R05"]
    alone = cytosig(np.delete(matrix[2:3], 5, axis=1), kept, responses, **options)
    np.testing.assert_allclose(found.beta.iloc[2], alone.beta.iloc[0], atol=1e-14)
    whole = cytosig(matrix, genes, responses, **options)
    np.testing.assert_allclose(found.p.iloc[[0, 1, 3]], whole.p.iloc[[0, 1, 3]])
    shuffled = rng.permutation(80)
    again = cytosig(matrix[:, shuffled], [genes[i] for i in shuffled], responses, **options)
    pd.testing.assert_frame_equal(again.p, whole.p)
