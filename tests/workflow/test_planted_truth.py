"""What was planted in simulated cohorts comes back through files, harmonise, scores and tests.

The truth is computed from latent factors, never from expression (`cytostrat.simulate.truth`).
An analysis sees it through two imperfect instruments, and each weakens a standardised
difference by a known factor:

* the score: the correlation of score and latent level *within* HER2 x ER groups, which holds
  nothing of the difference between groups;
* the HER2 call: the share of called positives that are positive, plus that of called negatives
  that are negative, minus one.

An estimate is compared with the truth times both factors.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cytostrat import (
    cells,
    cohortfile,
    contrast,
    harmonise,
    meta,
    qc,
    readers,
    response,
    score,
    simulate,
    survival,
    tables,
)
from cytostrat.genes import read_index
from cytostrat.signatures import read_signatures

SEED = 20180716
FURTHER = ("HALLMARK_TGF_BETA_SIGNALING", "PLASARI_TGFB1_TARGETS_10HR_UP", "HALLMARK_E2F_TARGETS")
IL1 = ("MAHAJAN_RESPONSE_TO_IL1A_UP", "IL1_BLOOD_INFLAMMATION")
OUTCOME = (*IL1, "HALLMARK_IL2_STAT5_SIGNALING")
KEY = ["signature", "question", "stratum", "endpoint", "contrast", "adjustment", "scale"]


class Pipeline:
    """The stages from a simulated cohort to Effects rows, without the workflow engine."""

    def __init__(self, repository):
        resources = repository / "resources"
        path = resources / "gene_ids.tsv.gz"
        self.cohort_files = repository / "config/cohorts"
        self.genes = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        self.index = read_index(path)
        self.all = read_signatures(resources / "signatures/signatures.tsv")
        self.signatures = {
            name: item
            for name, item in self.all.items()
            if item.role == "primary" or name in FURTHER
        }

    def spec(self, name):
        return cohortfile.load(self.cohort_files / f"{name}.yaml", environ={})

    def from_files(self, cohort, folder):
        """Write the cohort as its archive would, and harmonise what is read back."""
        for name, content in cohort.files().items():
            tables.write_bytes(folder / name, content)
        spec = self.spec(cohort.name)
        paths = {
            key: folder / location.removeprefix("simulated:")
            for key, location in spec["files"].items()
        }
        return harmonise.harmonise(
            readers.read_expression(paths, spec),
            readers.read_clinical(paths, spec),
            spec,
            self.index,
        )[0]

    def from_memory(self, cohort):
        """Harmonise an array cohort without the detour over a large text file."""
        spec = self.spec(cohort.name)
        frame = cohort.expression.frame
        expression = readers.Expression(
            frame.iloc[:, 1:].to_numpy(np.float32),
            tuple(frame.iloc[:, 0]),
            tuple(frame.columns[1:]),
            "simulated",
        )
        clinical = {
            table["name"]: cohort.clinical[
                table["source"][0]["location"].removeprefix("simulated:")
            ].frame
            for table in spec["clinical"]
        }
        return harmonise.harmonise(expression, clinical, spec, self.index)[0]

    def scores(self, harmonised, name):
        return score.score_cohort(
            harmonised.X,
            harmonised.obs_names,
            harmonised.var_names,
            self.signatures,
            cohort=name,
            methods=["ssgsea"],
            min_coverage=0.6,
        )

    def effects(self, clinical, scores, coverage, name):
        return contrast.contrast_effects(clinical, scores, coverage, self.signatures, cohort=name)


def attenuation(wide, cohort, harmonised):
    """Return the factor of the score, per signature, and the factor of the HER2 call."""
    latents = cohort.latents.set_index("sample").loc[wide.index]
    groups = latents["her2"] + 2 * latents["er"]
    level = cohort.level.loc[wide.index, wide.columns]
    centred = [frame - frame.groupby(groups).transform("mean") for frame in (wide, level)]
    within = centred[0].corrwith(centred[1])
    called = harmonised.obs["her2"].astype(object)
    positive = latents["her2"] == 1
    call = (
        positive[(called == "positive").to_numpy()].mean()
        + (~positive)[(called == "negative").to_numpy()].mean()
        - 1
    )
    return within, call


@pytest.fixture(scope="module")
def pipeline(repository):
    return Pipeline(repository)


@pytest.fixture(scope="module")
def demo(pipeline, tmp_path_factory):
    """The three demo cohorts from files to Effects rows, each row beside its truth."""
    effects, rows, controls = [], [], []
    for name in ("demo_rnaseq_counts", "demo_rnaseq_fpkm", "demo_array"):
        cohort = simulate.simulate_cohort(
            name, seed=SEED, genes=pipeline.genes, signatures=pipeline.all
        )
        harmonised = pipeline.from_files(cohort, tmp_path_factory.mktemp(name))
        harmonised, _, control = qc.check(harmonised, {})
        scores, coverage = pipeline.scores(harmonised, name)
        found = pipeline.effects(harmonised.obs, scores, coverage, name)
        outcome = survival.survival_effects(
            harmonised.obs, scores, coverage, OUTCOME, cohort=name, bootstrap=2
        )
        wide = scores.pivot_table(index="sample", columns="signature", values="score")
        within, call = attenuation(wide.loc[harmonised.obs_names], cohort, harmonised)
        beside = tables.EFFECTS.concat([found, outcome]).merge(
            cohort.truth.rename(columns={"name": "signature"}), on=["cohort", *KEY]
        )
        beside["score_factor"] = beside["signature"].map(within)
        beside["call_factor"] = np.where(beside["question"] == "her2", call, 1.0)
        effects.append(found)
        rows.append(beside)
        controls.append(control)
    return (
        tables.EFFECTS.concat(effects),
        pd.concat(rows, ignore_index=True),
        pd.concat(controls, ignore_index=True),
    )


def test_scores_measure_the_planted_level_in_every_cohort(demo):
    factors = demo[1].groupby(["cohort", "signature"])["score_factor"].first()
    assert factors.min() > 0.8
    assert factors.median() > 0.97


def test_positive_controls_separate_in_every_cohort(demo):
    controls = demo[2]
    assert len(controls) == 6
    assert (controls["low"] > 0.8).all()


def test_estimates_are_the_latent_truth_through_score_and_call(demo):
    rows = demo[1].query("question == 'her2' and stratum == 'all'")
    assert len(rows) == 3 * 2 * len(rows["signature"].unique())
    expected = rows["realised"] * rows["score_factor"] * rows["call_factor"]
    gap = (rows["estimate"] - expected).abs()
    assert gap.median() < 0.05
    assert gap.max() < 0.3


def test_intervals_cover_the_latent_truth(demo):
    rows = demo[1].query("question in ['her2', 'er']")
    expected = rows["realised"] * rows["score_factor"] * rows["call_factor"]
    inside = rows["low"].lt(expected) & expected.lt(rows["high"])
    assert set(rows["stratum"]) == {"all", "er_positive", "er_negative"}
    assert inside.mean() > 0.97
    assert (rows["low"].lt(rows["realised"]) & rows["realised"].lt(rows["high"])).mean() > 0.9


def test_signs_and_order_of_the_pooled_effects(demo):
    effects, rows, _ = demo
    pooled = meta.pool_effects(effects).query(
        "question == 'her2' and stratum == 'all' and adjustment == 'er+age' and model == 'random'"
    )
    assert (pooled["k"] == 3).all()
    pooled = pooled.set_index("signature")
    planted = (
        rows.query("question == 'her2' and stratum == 'all' and scale == 'adjusted_g'")
        .groupby("signature")["planted"]
        .mean()
    )
    found = pooled["estimate"]
    assert stats.spearmanr(found, planted[found.index]).statistic > 0.9
    for name in IL1:
        assert pooled.loc[name, "high"] < 0
    for name in ("HALLMARK_INTERFERON_ALPHA_RESPONSE", "HECKER_IFNB1_TARGETS"):
        assert pooled.loc[name, "low"] > 0
    for name in FURTHER[:2]:
        assert abs(found[name]) < 0.25
    assert (pooled["low"].lt(planted) & planted.lt(pooled["high"])).all()


def test_confounding_hides_the_il1_effect_until_er_is_adjusted_for(demo):
    rows = demo[1].query(
        "question == 'her2' and stratum == 'all' and signature == 'MAHAJAN_RESPONSE_TO_IL1A_UP'"
    )
    found = rows.pivot(index="cohort", columns="scale", values="estimate")
    assert (found["adjusted_g"] < found["hedges_g"] - 0.15).all()
    assert (found["adjusted_g"] < -0.25).all()


def test_outcome_follows_il1_by_the_planted_hazard_ratio(demo):
    rows = demo[1].query("question == 'survival' and endpoint in ['OS', 'RFS', 'PFI']")
    assert len(rows) == 3 * 2 * 2 * len(OUTCOME)
    expected = rows["realised"] * rows["score_factor"]
    assert (rows["estimate"] - expected).abs().max() < 0.12
    assert (rows["low"].lt(expected) & expected.lt(rows["high"])).all()
    assert (rows.loc[rows["signature"].isin(IL1), "low"] > 0).all()
    found = rows.pivot(
        index=["cohort", "endpoint", "adjustment"], columns="signature", values="estimate"
    )
    assert (found[list(IL1)].min(axis=1) > found["HALLMARK_IL2_STAT5_SIGNALING"]).all()


@pytest.fixture(scope="module")
def trial(pipeline, tmp_path_factory):
    """Every estimate of the simulated trial beside its truth."""
    cohort = simulate.simulate_cohort(
        "demo_paired", seed=SEED, genes=pipeline.genes, signatures=pipeline.all
    )
    harmonised = pipeline.from_files(cohort, tmp_path_factory.mktemp("trial"))
    scores, coverage = pipeline.scores(harmonised, cohort.name)
    panel = list(response.PANEL_1998)
    found = response.response_effects(
        harmonised.obs,
        scores,
        coverage,
        pipeline.signatures,
        cohort=cohort.name,
        expression=harmonised[:, panel].to_df(),
        permutations=999,
    )
    truth = cohort.truth.rename(columns={"name": "signature"})
    return found.merge(truth, on=["cohort", *KEY])


def test_the_trial_gives_back_what_treatment_and_response_do(trial):
    assert set(trial["question"]) == {"response", "response_change", "panel_1998"}
    assert set(trial["stratum"]) >= {"all", "responders", "non-responders"}
    assert trial["stratum"].str.startswith("treatment: ").any()
    inside = trial["low"].lt(trial["realised"]) & trial["realised"].lt(trial["high"])
    assert inside.mean() > 0.95
    change = trial.query("contrast == 'after - before'").set_index(["stratum", "signature"])
    for name in ("HALLMARK_INTERFERON_ALPHA_RESPONSE", "HECKER_IFNB1_TARGETS"):
        assert change.loc[("all", name), "low"] > 0.8
        assert change.loc[("non-responders", name), "low"] > 0.3
    for name in IL1:
        assert change.loc[("responders", name), "high"] < -0.5


def test_the_panel_of_1998_moves_in_responders_as_planted(trial):
    panel = trial.query("question == 'panel_1998'")
    responders = panel.query("stratum == 'responders' and contrast == 'after - before'")
    responders = responders.set_index("signature")
    for gene in ("IL1B", "IL6", "IL2RA"):
        assert responders.loc[gene, "high"] < 0, gene
    assert responders.loc["IFNG", "low"] > 0
    for gene in ("IL2", "TNF"):
        assert responders.loc[gene, "low"] < 0 < responders.loc[gene, "high"], gene
    between = panel.query(
        "stratum == 'all' and contrast == 'change (after - before), yes - no'"
    ).set_index("signature")
    whole = between.loc["IFNG - mean(IL1B, IL6, IL2RA)"]
    assert whole["low"] > 0.8
    assert whole["estimate"] == between["estimate"].max()


@pytest.fixture(scope="module")
def single_cells(repository, pipeline, tmp_path_factory):
    """Effects rows of the simulated cells, patients as the unit, beside their truth."""
    cohort = simulate.simulate_cohort(
        "demo_cells", seed=SEED, genes=pipeline.genes, signatures=pipeline.all
    )
    name, harmonised = cohort.name, pipeline.from_files(cohort, tmp_path_factory.mktemp("cells"))
    genes, patients = list(harmonised.var_names), list(harmonised.obs["patient"])
    checked = cells.check_cells(harmonised.layers["counts"], genes, patients, doublets=False)
    sound = harmonised[checked.cells["excluded"].eq("").to_numpy()]
    patients = list(sound.obs["patient"])
    celltypes = cells.read_celltypes(repository / "resources/celltypes.tsv")
    types = list(cells.map_labels(sound.obs[["cell_type"]], celltypes)[0]["cell_type"])
    counts = sound.layers["counts"]
    features = pd.DataFrame(
        sound[:, ["IL1B", "TGFB1"]].layers["counts"].toarray(), columns=["IL1B", "TGFB1"]
    )
    sources = cells.describe_sources(
        features, pd.DataFrame(), counts.sum(axis=1).A1, patients, types, cohort=name
    )
    sums = cells.large_enough(cells.pseudobulk(counts, genes, patients, types))
    scores = cells.score_pseudobulk(sums, pipeline.signatures, cohort=name, methods=["ssgsea"])
    values = cells.patient_values(sums, scores, features=["IL1B", "TGFB1"])
    her2 = dict(zip(harmonised.obs["patient"], harmonised.obs["her2"], strict=True))
    found = tables.EFFECTS.concat(
        [
            cells.source_effects(sources, cohort=name),
            cells.her2_effects(values, her2, cohort=name),
            cells.coupling_effects(values, cohort=name, tumour=["TGFB1"]),
        ]
    )
    truth = cohort.truth.rename(columns={"name": "signature"})
    rows = found.merge(truth, on=["cohort", *KEY])
    assert set(rows["question"]) == {"cell_source", "cell_her2", "cell_coupling"}
    return rows


def test_il1b_is_found_in_myeloid_cells(single_cells):
    rows = single_cells.query("question == 'cell_source'")
    inside = rows["low"].le(rows["realised"]) & rows["realised"].le(rows["high"])
    assert inside.mean() > 0.85
    il1b = rows[rows["signature"] == "IL1B"].pivot(
        index="stratum", columns="endpoint", values="estimate"
    )
    assert len(il1b) == 6
    assert (il1b.idxmax() == "myeloid").all()
    assert il1b.loc["myeloid", "share of total"] > 0.7


def test_coupling_of_tumour_tgfb1_and_myeloid_il1b_is_found_over_patients(single_cells):
    row = single_cells.query("question == 'cell_coupling'").squeeze()
    assert row["n_x"] == 8
    assert row["low"] > 0
    assert row["low"] < row["realised"] < row["high"]


def test_interferon_differs_by_her2_in_cells_and_il1_does_not(single_cells):
    rows = single_cells.query("question == 'cell_her2'").set_index(["signature", "stratum"])
    large = rows[rows.index.get_level_values("stratum").isin(["epithelial tumour", "T", "myeloid"])]
    assert large["estimate"].notna().all()
    covered = large["low"].lt(large["realised"]) & large["realised"].lt(large["high"])
    assert covered.mean() > 0.9
    for name in ("HALLMARK_INTERFERON_ALPHA_RESPONSE", "HECKER_IFNB1_TARGETS"):
        for lineage in ("epithelial tumour", "T"):
            assert rows.loc[(name, lineage), "low"] > 0
    for name in IL1:
        row = rows.loc[(name, "epithelial tumour")]
        assert row["low"] < 0 < row["high"]


def many_cohorts(pipeline, *, n_cohorts, size, n_genes=0, **planted):
    """One large simulated cohort, harmonised and scored once, cut into many small ones.

    Scores of single samples do not depend on the other samples, so a cut is a cohort.
    """
    cohort = simulate.simulate_cohort(
        "demo_array",
        seed=SEED,
        genes=pipeline.genes,
        signatures=pipeline.signatures,
        n=n_cohorts * size,
        n_genes=n_genes,
        **planted,
    )
    harmonised = pipeline.from_memory(cohort)
    scores, coverage = pipeline.scores(harmonised, cohort.name)
    wide = scores.pivot_table(index="sample", columns="signature", values="score")
    within, call = attenuation(wide.loc[harmonised.obs_names], cohort, harmonised)
    part = pd.Series(np.arange(len(harmonised)) // size, index=harmonised.obs_names)
    pieces = scores.groupby(scores["sample"].map(part))
    found = []
    for number, clinical in harmonised.obs.groupby(part):
        effects = pipeline.effects(
            clinical, pieces.get_group(number), coverage, f"{cohort.name}_{number}"
        )
        found.append(effects.query("question == 'her2' and stratum == 'all'"))
    truth = cohort.truth.rename(columns={"name": "signature"}).drop(columns="cohort")
    rows = pd.concat(found).merge(truth, on=KEY)
    rows["factor"] = rows["signature"].map(within) * call
    return rows


def test_without_effects_and_confounding_p_values_are_uniform(pipeline):
    rows = many_cohorts(pipeline, n_cohorts=120, size=40, effects=simulate.NONE, confounding=0.0)
    assert rows["planted"].abs().max() < 0.05
    groups = rows.groupby(["signature", "scale"])
    for (name, scale), group in groups:
        assert len(group) == 120
        # one false alarm in a hundred over all signatures together
        assert stats.kstest(group["p"], "uniform").pvalue > 0.01 / len(groups), (name, scale)
        # 99.9 % interval of a binomial count at the nominal rate
        low, high = stats.binom.interval(0.999, 120, 0.05)
        assert low <= (group["p"] < 0.05).sum() <= high, (name, scale)


def test_intervals_of_many_cohorts_cover_the_planted_population_value(pipeline):
    rows = many_cohorts(pipeline, n_cohorts=50, size=100, n_genes=4000)
    target = rows["planted"] * rows["factor"]
    rows["inside"] = rows["low"].lt(target) & target.lt(rows["high"])
    for (name, scale), group in rows.groupby(["signature", "scale"]):
        assert len(group) == 50
        low = stats.binom.interval(0.999, 50, 0.95)[0]
        assert group["inside"].sum() >= low, (name, scale)
        mean_error = group["estimate"].std() / np.sqrt(50)
        assert abs(group["estimate"].mean() - target[group.index].iloc[0]) < 3.5 * mean_error
