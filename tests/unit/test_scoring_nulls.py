"""Random sets match their signature, are reproducible, and score as named sets do."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from cytostrat import signature_scores
from cytostrat.errors import ScoringError
from cytostrat.scoring import matched_sets, mean_expression, rank, score, score_random
from cytostrat.signatures import Signature


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(77)
    genes = [f"G{i}" for i in range(3000)]
    matrix = rng.normal(rng.gamma(2.0, 2.0, size=3000), 1.0, size=(40, 3000))
    high = np.argsort(-matrix.mean(axis=0))[:400]
    sets = {
        "high": ([genes[i] for i in rng.choice(high, 30, replace=False)], []),
        "both": (list(rng.choice(genes[:1500], 12, replace=False)), genes[2000:2020]),
        "one": (["G17"], ["ABSENT"]),
    }
    return matrix, genes, sets


def names_of(drawn, genes):
    return [[genes[i] for i in row] for row in np.hstack([drawn.up, drawn.down])]


def test_sets_match_in_size_and_expression_and_hold_other_genes(cohort):
    matrix, genes, sets = cohort
    means = mean_expression(matrix)
    drawn = matched_sets(means, genes, sets, n=2000, seed=1)
    assert drawn["high"].up.shape == (2000, 30)
    assert drawn["both"].down.shape == (2000, 20)
    assert drawn["one"].down.shape == (2000, 0)
    column = {gene: i for i, gene in enumerate(genes)}
    for name, (up, down) in sets.items():
        own = {column[gene] for gene in (*up, *down) if gene in column}
        both = np.hstack([drawn[name].up, drawn[name].down])
        assert own.isdisjoint(both.ravel())
        assert (np.diff(np.sort(both, axis=1), axis=1) > 0).all()
    # the level of the signature is met, which that of all genes would not be
    wanted = means[[column[gene] for gene in sets["high"][0]]].mean()
    level = means[drawn["high"].up].mean(axis=1)
    assert abs(level.mean() - wanted) < 0.1 < abs(means.mean() - wanted) / 10
    # each gene has a few hundred stand-ins, drawn about equally often
    times = np.unique(drawn["one"].up, return_counts=True)[1]
    assert len(times) == 200
    assert times.min() >= 1
    assert times.max() < 30


def test_the_draw_depends_on_seed_and_signature_only(cohort):
    matrix, genes, sets = cohort
    means = mean_expression(matrix)
    drawn = matched_sets(means, genes, sets, n=50, seed=5)
    shuffle = np.random.default_rng(1).permutation(len(genes))
    shuffled = [genes[i] for i in shuffle]
    for name in sets:
        once = names_of(drawn[name], genes)
        alone = matched_sets(means, genes, {name: sets[name]}, n=50, seed=5)[name]
        assert names_of(alone, genes) == once
        moved = matched_sets(means[shuffle], shuffled, sets, n=50, seed=5)[name]
        assert names_of(moved, shuffled) == once
        other = matched_sets(means, genes, sets, n=50, seed=6)[name]
        assert names_of(other, genes) != once


@pytest.mark.parametrize("method", ["ssgsea", "singscore", "ucell", "aucell", "zscore", "gsva"])
def test_random_sets_score_as_sets_given_by_name(cohort, method):
    matrix, genes, sets = cohort
    drawn = matched_sets(mean_expression(matrix), genes, sets, n=5, seed=2)
    for name in ("both", "one"):
        named = {
            str(i): ([genes[j] for j in up], [genes[j] for j in down])
            for i, (up, down) in enumerate(zip(drawn[name].up, drawn[name].down, strict=True))
        }
        wanted = score(matrix, genes, named, method=method).to_numpy()
        found = score_random(matrix, drawn[name], method=method, threads=2)
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_one_ranking_serves_all_random_sets(cohort):
    matrix, genes, sets = cohort
    drawn = matched_sets(mean_expression(matrix), genes, sets, n=20, seed=2)["high"]
    for method in ("ssgsea", "singscore"):
        found = score_random(rank(matrix, tied=True), drawn, method=method)
        np.testing.assert_array_equal(found, score_random(matrix, drawn, method=method))
    folded = score_random(matrix, drawn, method="singscore", unknown=True)
    assert (folded > 0).all()


def test_a_planted_signal_stands_out_of_its_null_and_a_random_set_does_not(cohort):
    matrix, genes, sets = cohort
    group = np.arange(40) < 20
    column = {gene: i for i, gene in enumerate(genes)}
    planted = matrix.copy()
    planted[np.ix_(group, [column[gene] for gene in sets["high"][0]])] += 0.7
    p = []
    for values in (planted, matrix):
        drawn = matched_sets(mean_expression(values), genes, sets, n=400, seed=3)["high"]
        own = score(values, genes, {"high": sets["high"]}, method="ssgsea")["high"].to_numpy()
        null = score_random(values, drawn, method="ssgsea")
        shift = own[group].mean() - own[~group].mean()
        shifts = null[group].mean(axis=0) - null[~group].mean(axis=0)
        p.append((1 + (np.abs(shifts) >= abs(shift)).sum()) / 401)
    assert p[0] == 1 / 401
    assert p[1] > 0.05


@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix])
def test_mean_expression_leaves_gaps_out(store):
    matrix = np.array([[1.0, 0, np.nan, 4], [2, 0, np.nan, np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(mean_expression(store(matrix)), [1.5, 0, np.nan, 4])


def test_a_crowded_neighbourhood_widens(cohort):
    matrix, genes, _ = cohort
    means = mean_expression(matrix)
    order = np.argsort(means)
    crowd = {"crowd": ([genes[i] for i in order[1000:1300]], [])}
    drawn = matched_sets(means, genes, crowd, n=3, seed=1, window=5)["crowd"].up
    assert (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all()


def test_a_signature_without_enough_other_genes_has_no_random_sets(cohort):
    matrix, genes, _ = cohort
    sets = {"most": (genes[:1501], []), "half": (genes[:1500], []), "none": (["ABSENT"], [])}
    assert set(matched_sets(mean_expression(matrix), genes, sets, n=1, seed=1)) == {"half"}


def test_forbidden_genes_are_never_drawn_and_change_nothing_elsewhere(cohort):
    matrix, genes, sets = cohort
    means = mean_expression(matrix)
    free = matched_sets(means, genes, sets, n=300, seed=1)
    some = {genes[i] for i in np.unique(free["high"].up)[::2]}
    drawn = matched_sets(means, genes, sets, n=300, seed=1, forbidden=some)
    assert some.isdisjoint(np.array(genes)[drawn["high"].up].ravel())
    assert drawn["high"].up.shape == free["high"].up.shape
    again = matched_sets(means, genes, sets, n=300, seed=1, forbidden=sorted(some, reverse=True))
    np.testing.assert_array_equal(again["high"].up, drawn["high"].up)
    own = matched_sets(means, genes, sets, n=300, seed=1, forbidden={*sets["high"][0], "ABSENT"})
    np.testing.assert_array_equal(own["high"].up, free["high"].up)
    assert set(matched_sets(means, genes, sets, n=1, seed=1, forbidden=genes[25:])) == {"one"}


def test_sets_of_a_reduced_signature_are_drawn_once_and_hold_nothing_forbidden(cohort, monkeypatch):
    matrix, genes, _ = cohort
    scored = []

    def spy(values, random, **options):
        scored.append(random)
        return score_random(values, random, **options)

    monkeypatch.setattr(signature_scores.scoring, "score_random", spy)
    data = AnnData(matrix, var=pd.DataFrame(index=genes))
    whole = Signature("whole", "whole", up=("G5", "G6", "G7", "ABSENT"), down=("G8",))
    nulls = signature_scores.null_scores(data, {"whole": whole}, sets=200, seed=3)
    gone = {"G6", "G8", "ELSEWHERE", *genes[100:300]}
    for method in ("ssgsea", "singscore"):
        assert nulls("whole", method, gone).shape == (40, 200)
    assert scored[0] is scored[1]
    assert scored[0].up.shape == (200, 2)
    assert scored[0].down.shape == (200, 0)
    assert gone.isdisjoint(np.array(genes)[scored[0].up].ravel())
    named = {str(i): ([genes[j] for j in row], []) for i, row in enumerate(scored[0].up)}
    expected = score(matrix, genes, named, method="ssgsea").to_numpy()
    np.testing.assert_allclose(nulls("whole", "ssgsea", gone), expected)
    assert nulls("whole", "ssgsea", set(whole.genes)) is None
    assert nulls("other", "ssgsea") is None
    assert nulls("whole", "ssgsea").shape == (40, 200)
    assert scored[-1].down.shape == (200, 1)


def test_impossible_requests_are_named(cohort):
    matrix, genes, sets = cohort
    means = mean_expression(matrix)
    with pytest.raises(ScoringError, match="not 0, 100 and 1"):
        matched_sets(means, genes, sets, n=0, seed=1)
    with pytest.raises(ScoringError, match="2999 means"):
        matched_sets(means[1:], genes, sets, n=1, seed=1)
