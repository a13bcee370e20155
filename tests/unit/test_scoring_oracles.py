"""Scores equal those of the reference implementations, see ``tests/oracles/scoring``."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cytostrat.scoring import cytosig, score


@pytest.fixture(scope="session")
def oracles(repository):
    return repository / "tests" / "oracles" / "scoring"


@pytest.fixture(scope="session")
def sets(oracles):
    table = pd.read_csv(oracles / "sets.tsv", sep="\t")
    return {
        name: tuple(list(part.loc[part["side"] == side, "gene"]) for side in ("up", "down"))
        for name, part in table.groupby("set", sort=False)
    }


def read_matrix(oracles, data):
    return pd.read_csv(oracles / f"{data}.tsv.gz", sep="\t", index_col="gene").T.astype(float)


def expected(oracles, file, data, method, variant):
    table = pd.read_csv(oracles / file, sep="\t", dtype=str, keep_default_na=False)
    table = table[
        (table["data"] == data) & (table["method"] == method) & (table["variant"] == variant)
    ]
    wide = table.astype({"score": float}).pivot(index="sample", columns="set", values="score")
    assert len(wide) > 0
    assert wide.notna().all(axis=None)
    return wide


def difference(found, wanted):
    assert list(found.index) == list(wanted.index)
    return (found[wanted.columns] - wanted).abs()


CASES = [
    # file, data, method, variant, options, tolerance, as a fraction of the range
    ("gsva.tsv", "continuous", "ssgsea", "", {}, 1e-9, True),
    ("gsva.tsv", "continuous", "zscore", "", {}, 1e-7, False),
    ("gsva.tsv", "tied", "zscore", "", {}, 1e-7, False),
    ("gsva.tsv", "continuous", "gsva", "gaussian", {}, 1e-4, False),
    ("gsva.tsv", "negative_binomial", "gsva", "poisson", {"kernel": "poisson"}, 1e-4, False),
    ("singscore.tsv", "continuous", "singscore", "min known", {}, 1e-12, False),
    ("singscore.tsv", "tied", "singscore", "min known", {}, 1e-12, False),
    ("singscore.tsv", "tied", "singscore", "average known", {"ties": "average"}, 1e-12, False),
    ("ucell.tsv", "continuous", "ucell", "400 impute 1", {"max_rank": 400}, 1e-12, False),
    (
        "ucell.tsv", "continuous", "ucell", "400 skip 0.5",
        {"max_rank": 400, "missing": "skip", "down_weight": 0.5}, 1e-12, False,
    ),
    ("ucell.tsv", "tied", "ucell", "300 impute 1", {"max_rank": 300}, 1e-12, False),
    (
        "ucell.tsv", "tied", "ucell", "300 skip 0",
        {"max_rank": 300, "missing": "skip", "down_weight": 0}, 1e-12, False,
    ),
    ("pyucell.tsv", "tied", "ucell", "300 impute 1", {"max_rank": 300}, 1e-6, False),
    ("aucell.tsv", "continuous", "aucell", "0.05", {}, 1e-12, False),
    ("aucell.tsv", "continuous", "aucell", "0.2", {"fraction": 0.2}, 1e-12, False),
]  # fmt: skip


@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize(
    ("file", "data", "method", "variant", "options", "tolerance", "relative"),
    CASES,
    ids=[f"{case[0]} {case[1]} {case[2]} {case[3]}".rstrip() for case in CASES],
)
def test_scores_equal_the_reference(
    oracles, sets, store, file, data, method, variant, options, tolerance, relative
):
    matrix = read_matrix(oracles, data)
    wanted = expected(oracles, file, data, method, variant)
    found = score(
        store(matrix), list(matrix.columns), sets, method=method, samples=matrix.index,
        threads=2, **options,
    )  # fmt: skip
    spread = np.ptp(wanted, axis=0) if relative else 1.0
    assert (difference(found, wanted) / spread).max(axis=None) <= tolerance


@pytest.mark.parametrize(
    ("data", "ties"), [("continuous", "min"), ("tied", "min"), ("tied", "average")]
)
def test_sets_of_unknown_direction_equal_upstream_singscore(oracles, sets, data, ties):
    matrix = read_matrix(oracles, data)
    wanted = expected(oracles, "singscore.tsv", data, "singscore", f"{ties} unknown")
    alone = {name: sets[name] for name in wanted.columns}
    found = score(
        matrix.to_numpy(), list(matrix.columns), alone, method="singscore",
        samples=matrix.index, unknown=list(alone), ties=ties,
    )  # fmt: skip
    assert difference(found, wanted).max(axis=None) <= 1e-12


def test_cytosig_equals_ridge_regression_and_its_permutations(oracles):
    matrix = read_matrix(oracles, "continuous").iloc[:, :300]
    weights = matrix.iloc[5:12].T
    activity = cytosig(
        matrix.iloc[:5].to_numpy(), list(matrix.columns), weights, seed=3,
        n_permutations=4000, samples=matrix.index[:5],
    )  # fmt: skip

    def wanted(variant):
        return expected(oracles, "ridge.tsv", "continuous", "cytosig", variant)

    assert difference(activity.beta, wanted("beta")).max(axis=None) <= 1e-12
    # standard deviations and p of two independent sets of permutations: within 5 standard errors
    assert (difference(activity.se, wanted("se")) / wanted("se")).max(axis=None) <= 5 / 200
    p = wanted("p")
    error = np.sqrt((p * (1 - p)).clip(lower=1e-4) * (1 / 4000 + 1 / 20000))
    assert (difference(activity.p, p) / error).max(axis=None) <= 5
    assert activity.p.min(axis=None) >= 1 / 4001
    pd.testing.assert_frame_equal(activity.z, activity.beta / activity.se)


def test_cytosig_on_the_published_responses_is_the_closed_form(reference_dir):
    responses = pd.read_csv(reference_dir / "cytosig.tsv.gz", sep="\t", index_col=0)
    rng = np.random.default_rng(8)
    genes = list(responses.index)
    truth = rng.normal(size=(6, responses.shape[1]))
    matrix = truth @ responses.to_numpy().T + rng.normal(size=(6, len(genes)))
    found = cytosig(matrix, genes, responses, seed=1, n_permutations=20, centre=False).beta
    x = ((responses - responses.mean()) / responses.std()).to_numpy()
    y = matrix.T - matrix.mean(axis=1)
    y = y / y.std(axis=0, ddof=1)
    # the ridge solution is ordinary least squares on rows extended by sqrt(lambda) * identity
    extended = np.vstack([x, 100 * np.eye(x.shape[1])])
    target = np.vstack([y, np.zeros((x.shape[1], 6))])
    wanted = np.linalg.lstsq(extended, target, rcond=None)[0].T
    np.testing.assert_allclose(found.to_numpy(), wanted, atol=1e-12)
