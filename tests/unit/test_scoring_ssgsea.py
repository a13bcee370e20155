"""ssGSEA equals GSEApy without ties, and a plain running sum under its tie rule with them."""

import gseapy
import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from cytostrat.scoring import score


def within(found, wanted, tolerance):
    """Largest difference as a fraction of each signature's range over samples."""
    spread = np.ptp(wanted, axis=0)
    assert (spread > 0).all()
    assert (np.abs(found - wanted) / spread).max() <= tolerance


def running_sum(values, members):
    """Walk from the highest to the lowest value; tied genes step together, each by their mean."""
    ranks = rankdata(values)
    weights = np.where(members, ranks**0.25, 0.0)
    steps = weights / weights.sum() - np.where(members, 0.0, 1.0 / (~members).sum())
    height, area = 0.0, 0.0
    for value in sorted(set(values), reverse=True):
        tied = values == value
        for _ in range(tied.sum()):
            height += steps[tied].mean()
            area += height
    return area


@pytest.fixture
def made():
    rng = np.random.default_rng(20260101)
    matrix = rng.normal(size=(12, 2500))
    genes = [f"G{i}" for i in range(2500)]
    sets = {
        f"set of {k}": (list(rng.choice(genes, k, replace=False)), []) for k in (1, 2, 15, 80, 200)
    }
    return matrix, genes, sets


def test_without_ties_it_is_the_enrichment_score_of_gseapy(made):
    matrix, genes, sets = made
    found = score(matrix, genes, sets, method="ssgsea", threads=2)
    result = gseapy.ssgsea(
        data=pd.DataFrame(matrix.T, index=genes),
        gene_sets={name: up for name, (up, _) in sets.items()},
        sample_norm_method="rank",
        min_size=1,
        max_size=5000,
        weight=0.25,
        permutation_num=0,
        threads=1,
        outdir=None,
        no_plot=True,
    ).res2d
    wanted = result.astype({"Name": int, "ES": float}).pivot(
        index="Name", columns="Term", values="ES"
    )
    within(found.to_numpy(), wanted.sort_index()[found.columns].to_numpy(), 1e-9)


def test_with_ties_it_is_the_running_sum_in_which_tied_genes_step_together(made):
    matrix, genes, sets = made
    matrix = np.maximum(np.round(matrix[:5], 1), 0.0)  # half of all values share a tie of zeros
    found = score(matrix, genes, sets, method="ssgsea")
    index = pd.Index(genes)
    wanted = np.array(
        [[running_sum(row, index.isin(up)) for up, _ in sets.values()] for row in matrix]
    )
    within(found.to_numpy(), wanted, 1e-9)
