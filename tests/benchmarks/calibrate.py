"""Do the tests reject as often as they say, and do the intervals cover as often as they say?

    python tests/benchmarks/calibrate.py [--only PART ...] [--write docs/calibration.md]

Every line of the table simulates null cohorts (or cohorts with a known effect) and counts. A
test that is meant to be exact must stay inside the 99.9 % binomial interval around 5 % (or 95 %
for coverage); one that is conservative by design must stay at or below its upper end (coverage:
at or above its lower end). What is known to be approximate is printed and not judged. All seeds
are fixed, so the table comes out the same every time. With `--only` the other lines of the written
table stay as they are. The exit code is 1 where a line fails.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from cytostrat import contrast, meta, tables
from cytostrat.signatures import Signature
from cytostrat.stats import effect_size, linear, permutation, random_effects, rank
from cytostrat.stats.equivalence import tost
from cytostrat.stats.logistic import fit_logistic
from cytostrat.stats.moderated import moderated_t
from cytostrat.stats.multiplicity import benjamini_hochberg
from cytostrat.stats.paired import paired_d
from cytostrat.stats.survival_models import fit_cox, risk_sets, score_test

COHORTS = 1000
OFTEN = 10  # times as many, for lines that cost little and are looked at closely
NULL_COHORTS = 200
NULL_SETS = 200
EXACT, CONSERVATIVE, APPROXIMATE = "exact", "conservative", "approximate"
SURVIVAL = "Cox, 200 patients, about 80 events"


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Parameters
    ----------
    what
        Estimator and situation.
    kind
        ``exact``, ``conservative`` or ``approximate``.
    nominal
        0.05 for rejection, 0.95 for coverage.
    hits, n
        Rejections, or intervals that hold the truth, of `n` cohorts.
    """

    what: str
    kind: str
    nominal: float
    hits: int
    n: int

    @property
    def allowed(self) -> tuple[float, float]:
        """Smallest and largest share that passes."""
        low, high = stats.binom.interval(0.999, self.n, self.nominal) / np.array(float(self.n))
        if self.kind == APPROXIMATE:
            return 0.0, 1.0
        if self.kind == EXACT:
            return float(low), float(high)
        return (0.0, float(high)) if self.nominal < 0.5 else (float(low), 1.0)

    @property
    def passes(self) -> bool:
        """Whether the share is among those allowed."""
        low, high = self.allowed
        return low <= self.hits / self.n <= high


def _rejection(what: str, p: np.ndarray, kind: str = EXACT) -> Line:
    p = np.asarray(p, dtype=float)
    if not ((p > 0) & (p <= 1)).all():
        raise ValueError(f"{what}: a p-value lies outside (0, 1] or is missing")
    return Line(what, kind, 0.05, int((p <= 0.05).sum()), p.size)


def _coverage(
    what: str, low: np.ndarray, high: np.ndarray, truth: float, kind: str = EXACT
) -> Line:
    low, high = np.asarray(low), np.asarray(high)
    return Line(what, kind, 0.95, int(((low <= truth) & (truth <= high)).sum()), low.size)


def two_groups(cohorts: int) -> Iterator[Line]:
    """Hedges' g, Mann-Whitney and AUC; every column is a cohort."""
    rng = np.random.default_rng(1)
    for n1, n0 in ((15, 85), (40, 80), (6, 9)):
        case = np.arange(n1 + n0) < n1
        noise = rng.normal(size=(n1 + n0, cohorts))
        g = effect_size.hedges_g(noise, case)
        size = f"{n1} v {n0}"
        # wide with few samples in both groups, because it counts the SD's uncertainty
        kind = CONSERVATIVE if n1 + n0 < 20 else EXACT
        yield _rejection(f"Hedges' g, interval excludes 0, {size}", g.p, kind)
        shifted = noise + 0.8 * case[:, None]
        g = effect_size.hedges_g(shifted, case)
        yield _coverage(
            f"Hedges' g, interval, true difference 0.8 SD, {size}", g.low, g.high, 0.8, kind
        )
        exact = max(n1, n0) < rank.EXACT_BELOW
        yield _rejection(
            f"Mann-Whitney, {'exact distribution' if exact else 'normal approximation'}, {size}",
            rank.mann_whitney_p(noise, case),
            CONSERVATIVE if n1 + n0 < 30 else EXACT,
        )
        if n1 >= 15:
            yield _rejection(
                f"Mann-Whitney, scores in steps of half an SD (ties), {size}",
                rank.mann_whitney_p(np.round(noise * 2) / 2, case),
            )
            area = rank.auc(shifted, case)
            yield _coverage(
                f"AUC, interval (DeLong, logit scale), true AUC 0.71, {size}", area.low, area.high,
                float(stats.norm.cdf(0.8 / np.sqrt(2))),
            )  # fmt: skip
    case = np.arange(120) < 40
    at_bound = rng.normal(size=(120, cohorts)) + 0.2 * case[:, None]
    g = effect_size.hedges_g(at_bound, case)
    p = [tost(e, s, df=df).p for e, s, df in zip(g.estimate, g.se, g.df, strict=True)]
    yield _rejection("TOST of +-0.2 where the truth is 0.2, 40 v 80", np.array(p), CONSERVATIVE)
    case = np.arange(2400) < 800
    at_bound = rng.normal(size=(2400, cohorts)) + 0.2 * case[:, None]
    g = effect_size.hedges_g(at_bound, case)
    p = [tost(e, s, df=df).p for e, s, df in zip(g.estimate, g.se, g.df, strict=True)]
    yield _rejection("TOST of +-0.2 where the truth is 0.2, 800 v 1600", np.array(p))


def unequal_groups(cohorts: int) -> Iterator[Line]:
    """Hedges' g where one group varies more than the other."""
    rng = np.random.default_rng(10)
    for n1, n0, sd in ((15, 85, 1.8), (85, 15, 1.8), (5, 20, 1.8), (30, 270, 1.5)):
        case, n = np.arange(n1 + n0) < n1, n1 + n0
        noise = rng.normal(size=(n, OFTEN * cohorts)) * np.where(case, sd, 1.0)[:, None]
        label = f"{n1} v {n0}, cases {sd} times as spread"
        g = effect_size.hedges_g(noise, case)
        yield _rejection(f"Hedges' g, interval excludes 0, {label}", g.p)
        unit = np.sqrt(((n1 - 1) * sd**2 + n0 - 1) / (n - 2))
        for truth in (0.5, 1.5):
            g = effect_size.hedges_g(noise + truth * unit * case[:, None], case)
            yield _coverage(f"Hedges' g, interval, true g {truth}, {label}", g.low, g.high, truth)


def skewed_scores(cohorts: int) -> Iterator[Line]:
    """Two groups of one skewed distribution: where the t distribution is not to be trusted."""
    rng = np.random.default_rng(13)
    for n1, n0 in ((10, 75), (30, 270)):
        case = np.arange(n1 + n0) < n1
        scores = rng.exponential(size=(n1 + n0, cohorts))
        label = f"exponential scores, {n1} v {n0}"
        g = effect_size.hedges_g(scores, case)
        yield _rejection(f"Hedges' g, interval excludes 0, {label}", g.p, APPROXIMATE)
        fitted = linear.adjusted_difference(scores, case, rng.normal(size=(n1 + n0, 1)))
        yield _rejection(f"adjusted difference (HC3), {label}", fitted.p, APPROXIMATE)
        yield _rejection(f"Mann-Whitney, {label}", rank.mann_whitney_p(scores, case))


def _confounded(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return HER2, ER and age with the association that breast tumours have."""
    while True:
        er = rng.random(n) < 0.75
        her2 = rng.random(n) < np.where(er, 0.1, 0.35)
        if min(her2.sum(), (~her2).sum(), (her2 & er).sum(), (her2 & ~er).sum()) >= 3:
            return her2, er, rng.normal(60, 12, n)


def adjusted(cohorts: int) -> Iterator[Line]:
    """OLS with HC3 under confounding and unequal variances, each cohort with its own design."""
    rng = np.random.default_rng(2)
    for n, spread, label in ((120, 1.0, "equal spread"), (120, 1.8, "HER2+ 1.8 times as spread"),
                             (400, 1.8, "HER2+ 1.8 times as spread")):  # fmt: skip
        p, inside = [], []
        for _ in range(cohorts):
            her2, er, age = _confounded(rng, n)
            noise = rng.normal(size=n) * np.where(her2, spread, 1.0)
            y = noise - 0.8 * er + 0.01 * age
            covariates = np.column_stack([er, (age - 60) / 12]).astype(float)
            p.append(linear.adjusted_difference(y, her2, covariates).p[0])
            # the unit is the pooled SD of the population: the spread by ER and age is in it
            effect = linear.adjusted_difference(y + 0.5 * her2, her2, covariates)
            inside.append((effect.low[0], effect.high[0]))
        yield _rejection(f"adjusted difference (HC3), ER confounds, n {n}, {label}", np.array(p))
        truth = 0.5 / _population_sd(spread)
        low, high = np.array(inside).T
        yield _coverage(
            f"adjusted difference, interval, true 0.5, n {n}, {label}", low, high, truth
        )


def few_cases(cohorts: int) -> Iterator[Line]:
    """OLS with HC3 where few tumours are HER2-positive; a design serves a few cohorts."""
    rng = np.random.default_rng(11)
    for n1, n0 in ((5, 295), (6, 480), (8, 292)):
        her2, n = np.arange(n1 + n0) < n1, n1 + n0
        for spread in (1.0, 1.8):
            unit = np.sqrt(((n1 - 1) * spread**2 + n0 - 1) / (n - 2))
            p, inside = [], []
            for _ in range(cohorts):
                er = rng.random(n) < np.where(her2, 0.45, 0.75)
                if er[:n1].min() == er[:n1].max():
                    er[0] = ~er[0]
                covariates = np.column_stack([er, rng.normal(size=n)]).astype(float)
                noise = rng.normal(size=(n, OFTEN)) * np.where(her2, spread, 1.0)[:, None]
                shifted = noise + 0.5 * unit * her2[:, None]
                p.append(linear.adjusted_difference(noise, her2, covariates).p)
                found = linear.adjusted_difference(shifted, her2, covariates)
                inside.append((found.low, found.high))
            label = f"{n1} v {n0}, " + (
                "equal spread" if spread == 1 else f"HER2+ {spread} times as spread"
            )
            yield _rejection(f"adjusted difference (HC3), {label}", np.concatenate(p))
            yield _coverage(
                f"adjusted difference, interval, true 0.5, {label}", *np.hstack(inside), 0.5
            )


def _population_sd(spread: float) -> float:
    """Return the pooled within-HER2 SD of `adjusted`, from a very large cohort."""
    rng = np.random.default_rng(99)
    her2, er, age = _confounded(rng, 2_000_000)
    y = rng.normal(size=len(er)) * np.where(her2, spread, 1.0) - 0.8 * er + 0.01 * age
    return float(effect_size.pooled_sd(y, her2)[0])


def regression(cohorts: int) -> Iterator[Line]:
    """Partial correlation and nested models."""
    rng = np.random.default_rng(3)
    n = 100
    z = rng.normal(size=(n, 2))
    x = rng.normal(size=(n, cohorts)) + z @ np.array([[0.7], [0.3]])
    for method in ("pearson", "spearman"):
        y = rng.normal(size=n) + z @ np.array([0.5, -0.5])
        rho = linear.partial_correlation(x, y, z, method=method)
        yield _rejection(f"partial correlation ({method}), 2 covariates, n {n}", rho.p)
        yield _coverage(
            f"partial correlation ({method}), interval, true 0, n {n}", rho.low, rho.high, 0.0
        )
    r = 0.4
    limits = []
    for _ in range(cohorts):
        a = rng.normal(size=n)
        b = r * a + np.sqrt(1 - r**2) * rng.normal(size=n)
        rho = linear.partial_correlation(a, b)
        limits.append((rho.low[0], rho.high[0]))
    # Spearman's rho of a bivariate normal
    truth = 6 / np.pi * np.arcsin(r / 2)
    yield _coverage("Spearman correlation, interval, true 0.38, n 100", *np.array(limits).T, truth)
    nested = linear.nested_test(rng.normal(size=(n, cohorts)), z, rng.normal(size=(n, 2)))
    yield _rejection(f"nested model, F test, 2 added terms, n {n}", nested.p)


def few_patients(cohorts: int) -> Iterator[Line]:
    """Spearman's correlation of so few patients that all orders are counted."""
    rng = np.random.default_rng(12)
    for n in (5, 7, 9):
        rho = linear.partial_correlation(rng.normal(size=(n, cohorts)), rng.normal(size=n))
        yield _rejection(f"Spearman correlation, exact p, {n} patients", rho.p, CONSERVATIVE)


def meta_analysis(cohorts: int) -> Iterator[Line]:
    """Fixed and random effects; a cohort here is one meta-analysis."""
    rng = np.random.default_rng(4)
    for k in (3, 5, 8):
        for tau in (0.0, 0.2):
            p, limits, ahead = [], [], []
            fixed = []
            for _ in range(cohorts):
                se = rng.uniform(0.08, 0.35, k)
                y = rng.normal(0, np.sqrt(tau**2 + se**2))
                pool = random_effects.random_effects(y, se)
                p.append(pool.p)
                limits.append((pool.low + 0.3, pool.high + 0.3))
                further = rng.normal(0, tau) if tau else 0.0
                ahead.append(pool.pi_low <= further <= pool.pi_high)
                fixed.append(random_effects.fixed_effect(y, se).p)
            label = f"{k} cohorts, tau {tau}"
            yield _rejection(
                f"random effects (modified Hartung-Knapp), {label}", np.array(p), CONSERVATIVE
            )
            yield _coverage(
                f"random effects, interval, {label}", *np.array(limits).T, 0.3, CONSERVATIVE
            )
            if tau == 0:
                yield _rejection(f"fixed effect, {label}", np.array(fixed))
            else:
                yield Line(f"prediction interval, {label}", APPROXIMATE, 0.95, sum(ahead), cohorts)


def permutations(cohorts: int) -> Iterator[Line]:
    """Label permutation, sign flips and multiplicity."""
    rng = np.random.default_rng(5)
    p = []
    for seed in range(cohorts):
        case = rng.permutation(np.arange(40) < 12)
        values = rng.exponential(size=(40, 1))
        labels = permutation.permuted_labels(case, 199, seed=seed)
        null = effect_size.permuted_g(values, labels)
        p.append(permutation.empirical_p(effect_size.g_estimate(values, case), null)[0])
    yield _rejection(
        "permuted labels, 199 permutations, 12 v 28, skewed scores", np.array(p), CONSERVATIVE
    )
    p = permutation.sign_flip_p(rng.laplace(size=(cohorts, 9)).T)
    yield _rejection("sign flips, exact, 9 pairs", np.array(p), CONSERVATIVE)
    pairs = rng.normal(size=(25, cohorts)) + 0.5
    paired = paired_d(pairs, permutations=199, seed=1)
    truth = 0.5 * float(effect_size.small_sample_correction(24))
    yield _coverage(
        "paired effect, interval, true 0.5 SD, 25 pairs", paired.low, paired.high, truth
    )
    any_q = [(benjamini_hochberg(row) <= 0.05).any() for row in rng.random((cohorts, 10))]
    yield Line(
        "Benjamini-Hochberg, any q at or below 0.05 among 10 nulls",
        EXACT,
        0.05,
        sum(any_q),
        cohorts,
    )


def genes(cohorts: int) -> Iterator[Line]:
    """Moderated contrast: one gene of each cohort, and enrichment of a correlated set."""
    rng = np.random.default_rng(6)
    case = np.arange(40) < 14
    p = []
    for _ in range(cohorts):
        sd = np.sqrt(1 / rng.gamma(4, 1 / 4, size=60))
        p.append(moderated_t(rng.normal(size=(40, 60)) * sd, case).p[0])
    yield _rejection("moderated t (limma), 14 v 26, 60 genes", np.array(p))
    few = max(cohorts // 5, 1)
    p = []
    names = [f"G{i}" for i in range(300)]
    sets = {"set": Signature("set", "set", up=tuple(names[:30]))}
    for seed in range(few):
        her2, er, age = _confounded(rng, 80)
        shared = rng.normal(size=(80, 1))
        matrix = rng.normal(size=(80, 300))
        matrix[:, :30] += shared - 1.0 * er[:, None]
        found = contrast.prerank(
            matrix, names, _clinical(her2, er, age), sets, cohort="c", seed=seed,
            n_permutations=199,
        )  # fmt: skip
        p.append(found.effects["p"].iloc[0])
    yield _rejection(
        "enrichment of 30 correlated genes, labels permuted within ER", np.array(p), CONSERVATIVE
    )


def _clinical(her2: np.ndarray, er: np.ndarray, age: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "her2": np.where(her2, "positive", "negative").astype(object),
            "er": np.where(er, "positive", "negative").astype(object),
            "age": age,
        },
        index=[f"s{i:04d}" for i in range(len(er))],
    )


def random_sets(cohorts: int, sets: int) -> Iterator[Line]:
    """The contrast stage where the signature is itself a random set of correlated genes."""
    rng = np.random.default_rng(7)
    n, n_genes, size = 120, 400, 20
    found = []
    for _ in range(cohorts):
        her2, er, age = _confounded(rng, n)
        factors = np.column_stack([rng.normal(size=(n, 3)), er - er.mean(), her2 - her2.mean()])
        matrix = factors @ rng.normal(size=(5, n_genes)) + rng.normal(size=(n, n_genes))
        chosen = np.array([rng.choice(n_genes, size, replace=False) for _ in range(sets + 1)])
        scores = matrix[:, chosen].mean(axis=2)
        clinical = _clinical(her2, er, age)
        long = pd.DataFrame(
            {
                "cohort": "c", "sample": clinical.index, "cell_type": "", "signature": "set",
                "method": "mean", "score": scores[:, 0], "percentile": 50.0,
            }
        )  # fmt: skip
        effects = contrast.contrast_effects(
            clinical, tables.SCORES.conform(long), tables.COVERAGE.empty(),
            {"set": Signature("set", "set", up=("A",))}, cohort="c", min_group=3,
            null_scores=lambda *_, null=scores[:, 1:]: null,
        )  # fmt: skip
        rows = effects[(effects["question"] == "her2") & (effects["stratum"] == "all")]
        rows = rows[rows["adjustment"].isin(["none", "er+age"])].set_index("scale")
        found.append({**rows["null_p"], "plain": rows.loc["hedges_g", "p"]})
    p = pd.DataFrame(found)
    yield Line(
        "plain p of the same contrast, genes that follow ER and HER2", APPROXIMATE, 0.05,
        int((p["plain"] <= 0.05).sum()), cohorts,
    )  # fmt: skip
    size_note = f"{sets} random sets, genes that follow ER and HER2"
    yield _rejection(f"null_p of Hedges' g, {size_note}", p["hedges_g"].to_numpy(), CONSERVATIVE)
    yield _rejection(
        f"null_p of the adjusted difference, {size_note}", p["adjusted_g"].to_numpy(), CONSERVATIVE
    )


def replicating_genes(pools: int, sets: int) -> Iterator[Line]:
    """Null p's of four cohorts, joined, where genes do the same in each and the set is random.

    What a gene has to do with HER2 comes back in every cohort; the signature is one more random
    set of the same genes, so it differs by HER2 as the others do, in all four alike.
    """
    rng = np.random.default_rng(9)
    n, n_genes, size, k = 120, 400, 20, 4
    joined, fisher = [], []
    for _ in range(pools):
        gene_effects = rng.normal(size=n_genes)
        loadings = rng.normal(size=(3, n_genes))
        chosen = rng.choice(n_genes, size, replace=False)
        estimates, ses, p = np.empty(k), np.empty(k), np.empty(k)
        for cohort in range(k):
            case = rng.random(n) < 0.25
            matrix = np.outer(case, gene_effects) + rng.normal(size=(n, n_genes))
            matrix += 0.5 * rng.normal(size=(n, 3)) @ loadings
            draws = np.array([rng.choice(n_genes, size, replace=False) for _ in range(sets)])
            g = effect_size.hedges_g(matrix[:, chosen].mean(axis=1)[:, None], case)
            null = effect_size.g_estimate(matrix[:, draws].mean(axis=2), case)
            estimates[cohort], ses[cohort] = g.estimate[0], g.se[0]
            p[cohort] = permutation.empirical_p(g.estimate[0], null)
        pooled = random_effects.random_effects(estimates, ses).estimate
        joined.append(meta.joined_null_p(p, estimates, pooled=pooled))
        fisher.append(stats.combine_pvalues(p, method="fisher").pvalue)
    what = f"null_p of {k} cohorts in which genes do the same, {sets} random sets each"
    yield _rejection(
        f"{what}, joined: more than half must be small", np.array(joined), CONSERVATIVE
    )
    yield _rejection(f"{what}, by Fisher's method (not used)", np.array(fisher), APPROXIMATE)


def survival(cohorts: int) -> Iterator[Line]:
    """Cox regression per SD, its HER2 interaction, its score test, and logistic regression."""
    rng = np.random.default_rng(8)
    n = 200
    wald, crude, interaction, limits, score, logistic, hazards = [], [], [], [], [], [], []
    null_p = []
    for number in range(cohorts):
        her2, er, age = _confounded(rng, n)
        covariates = np.column_stack([er, her2, (age - 60) / 12]).astype(float)
        x = rng.normal(size=n) - 0.8 * er
        for log_hr in (0.0, 0.3):
            hazard = np.exp(log_hr * x - 0.5 * er + 0.4 * her2)
            death, end = rng.exponential(1 / hazard), rng.uniform(0.1, 1.5, n)
            risk = risk_sets(np.ceil(200 * np.minimum(death, end)), death <= end)
            fit = fit_cox(risk, covariates=covariates, scores=x[:, None], test_hazards=log_hr == 0)
            coef, se = fit.coef[0, -1], fit.se[0, -1]
            if log_hr:
                limits.append((coef - 1.959964 * se, coef + 1.959964 * se))
                continue
            wald.append(fit.p[0, -1])
            hazards.append(fit.ph_p[0, -1])
            noise = rng.normal(size=(n, NULL_SETS + 1))
            if number < NULL_COHORTS:
                z = score_test(risk, noise, covariates=covariates).z
                null_p.append(float(permutation.empirical_p(z[0], z[1:])))
            crude.append(fit_cox(risk, scores=noise[:, :1]).p[0, -1])
            product = fit_cox(
                risk, covariates=covariates, scores=x[:, None], modifier=her2.astype(float)
            )
            interaction.append(product.p[0, -1])
            score.append(2 * stats.norm.sf(abs(score_test(risk, noise[:, :1]).z[0])))
        logistic.append(fit_logistic(rng.random(n) < 0.3, x[:, None], covariates=covariates).p[0])
    yield _rejection(f"{SURVIVAL}, Wald, adjusted", np.array(wald))
    yield _coverage(f"{SURVIVAL}, interval, true log HR 0.3", *np.array(limits).T, 0.3)
    yield _rejection(f"{SURVIVAL}, Wald, crude", np.array(crude))
    yield _rejection(f"{SURVIVAL}, score test", np.array(score))
    yield _rejection(f"{SURVIVAL}, score x HER2", np.array(interaction))
    yield _rejection(f"{SURVIVAL}, Schoenfeld test", np.array(hazards))
    yield _rejection(
        f"null_p of Cox against {NULL_SETS} random sets", np.array(null_p), CONSERVATIVE
    )
    yield _rejection("logistic regression, Wald, 200 patients, 60 responders", np.array(logistic))


def parts(
    cohorts: int = COHORTS, null_cohorts: int = NULL_COHORTS
) -> dict[str, Callable[[], Iterator[Line]]]:
    """Return what makes the lines of the table, by name and in its order."""
    return {
        "two_groups": lambda: two_groups(cohorts),
        "adjusted": lambda: adjusted(cohorts),
        "regression": lambda: regression(cohorts),
        "meta_analysis": lambda: meta_analysis(cohorts),
        "permutations": lambda: permutations(cohorts),
        "genes": lambda: genes(cohorts),
        "random_sets": lambda: random_sets(null_cohorts, NULL_SETS),
        "survival": lambda: survival(cohorts),
        "replicating_genes": lambda: replicating_genes(null_cohorts, NULL_SETS),
        "unequal_groups": lambda: unequal_groups(cohorts),
        "few_cases": lambda: few_cases(cohorts),
        "few_patients": lambda: few_patients(cohorts),
        "skewed_scores": lambda: skewed_scores(OFTEN * cohorts),
    }


def merged(old: str, new: str) -> str:
    """Return a table in which rows of the same first cell are replaced and others added."""
    rows = {row.split("|")[1]: row for table in (old, new) for row in table.splitlines()}
    return "\n".join(rows.values()) + "\n"


def lines(cohorts: int = COHORTS, null_cohorts: int = NULL_COHORTS) -> list[Line]:
    """Return all lines of the table."""
    return [line for part in parts(cohorts, null_cohorts).values() for line in part()]


def markdown(found: list[Line]) -> str:
    """Return the table."""
    rows = [
        "| what | meant to be | cohorts | nominal | found | allowed | passes |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for line in found:
        low, high = line.allowed
        rows.append(
            f"| {line.what} | {line.kind} | {line.n} | {line.nominal:.2f} | "
            f"{line.hits / line.n:.3f} | "
            + ("| not judged |" if line.kind == APPROXIMATE else f"{low:.3f} to {high:.3f} | ")
            + ("" if line.kind == APPROXIMATE else f"{'yes' if line.passes else '**no**'} |")
        )
    return "\n".join(rows) + "\n"


def main() -> int:
    """Print the table, write it where asked, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=COHORTS)
    parser.add_argument("--null-cohorts", type=int, default=NULL_COHORTS)
    parser.add_argument("--only", nargs="+", choices=list(parts()), metavar="PART")
    parser.add_argument("--write", type=Path, help="Markdown file whose table is replaced")
    options = parser.parse_args()
    named = parts(options.cohorts, options.null_cohorts)
    found = [line for name in options.only or named for line in named[name]()]
    table = markdown(found)
    sys.stdout.write(table)
    if options.write:
        head, mark, old = options.write.read_text(encoding="utf-8").partition("| what |")
        table = merged(mark + old, table) if options.only else table
        options.write.write_text(head + table, encoding="utf-8")
    return 0 if all(line.passes for line in found) else 1


if __name__ == "__main__":
    sys.exit(main())
