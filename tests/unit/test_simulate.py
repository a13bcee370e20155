"""Simulated cohorts: reproducible, of the announced shape, and with the truth they announce."""

from __future__ import annotations

import gzip
import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cytostrat import cohortfile, readers, simulate, tables
from cytostrat.errors import InputError
from cytostrat.genes import map_ids, read_index
from cytostrat.signatures import read_signatures
from cytostrat.simulate import clinic, factors, truth
from cytostrat.simulate.expression import factor_of, gene_model

SEED = 20180716
N = 40
BULK = ("demo_rnaseq_counts", "demo_rnaseq_fpkm", "demo_array", "demo_paired")


@pytest.fixture(scope="module")
def genes(repository) -> pd.DataFrame:
    path = repository / "resources/gene_ids.tsv.gz"
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def signatures(repository):
    return read_signatures(repository / "resources/signatures/signatures.tsv")


@pytest.fixture(scope="module")
def cohorts(genes, signatures):
    return {
        name: simulate.simulate_cohort(name, seed=SEED, genes=genes, signatures=signatures, n=N)
        for name in BULK
    } | {
        "demo_cells": simulate.simulate_cohort(
            "demo_cells", seed=SEED, genes=genes, signatures=signatures, n=4
        )
    }


@pytest.fixture(scope="module")
def population():
    return factors.draw(
        factors.generator(SEED, "test"),
        n=60_000,
        her2_fraction=0.15,
        effects=simulate.PLANTED,
        confounding=1.0,
    )


def test_the_order_of_genes_and_signatures_moves_no_byte(genes, signatures, cohorts):
    shuffled = genes.sample(frac=1.0, random_state=3)
    reversed_sets = dict(sorted(signatures.items(), reverse=True))
    again = simulate.simulate_cohort(
        "demo_array", seed=SEED, genes=shuffled, signatures=reversed_sets, n=N
    )
    assert again.files() == cohorts["demo_array"].files()
    again = simulate.simulate_cohort(
        "demo_cells", seed=SEED, genes=shuffled, signatures=reversed_sets, n=4
    )
    assert again.files() == cohorts["demo_cells"].files()


def test_another_seed_gives_other_patients(genes, signatures, cohorts):
    other = simulate.simulate_cohort(
        "demo_array", seed=SEED + 1, genes=genes, signatures=signatures, n=N
    )
    assert not other.latents["IL1"].equals(cohorts["demo_array"].latents["IL1"])


def test_generators_do_not_depend_on_the_process():
    first = factors.generator(7, "demo").integers(0, 1_000_000, 3).tolist()
    assert (
        first
        == np.random.default_rng(
            int.from_bytes(bytes.fromhex("55568aa2b4cff83c56dde808b000ac37"), "big")
        )
        .integers(0, 1_000_000, 3)
        .tolist()
    )


def test_every_signature_gene_and_at_least_8000_genes(repository, genes, signatures, cohorts):
    index = read_index(repository / "resources/gene_ids.tsv.gz")
    known = genes.set_index("symbol")
    wanted = {gene for item in signatures.values() for gene in (*item.up, *item.down)}
    wanted &= set(known.index)
    readers = {
        "demo_rnaseq_counts": (lambda frame: frame["gene_id"], "ensembl"),
        "demo_rnaseq_fpkm": (lambda frame: frame["gene_symbol"], "symbol"),
        "demo_array": (lambda frame: frame.columns[1:], "entrez"),
        "demo_paired": (lambda frame: frame["symbol"], "symbol"),
    }
    for name, (ids, kind) in readers.items():
        symbols, _ = map_ids(list(ids(cohorts[name].expression.frame)), kind, index)
        found = {symbol for symbol in symbols if symbol}
        assert len(found) >= 8000
        measurable = {gene for gene in wanted if kind == "symbol" or known.loc[gene, kind] != ""}
        missing = measurable - found
        assert len(missing) <= 0.01 * len(measurable), sorted(missing)


def test_counts_carry_versioned_ensembl_ids(cohorts):
    frame = cohorts["demo_rnaseq_counts"].expression.frame
    assert frame["gene_id"].str.fullmatch(r"ENSG\d{11}\.\d+").all()
    values = frame.drop(columns="gene_id").to_numpy()
    assert np.issubdtype(values.dtype, np.integer)
    assert values.min() >= 0


def test_fpkm_carries_outdated_and_ambiguous_symbols(repository, cohorts):
    index = read_index(repository / "resources/gene_ids.tsv.gz")
    frame = cohorts["demo_rnaseq_fpkm"].expression.frame
    assert frame["gene_symbol"].is_unique
    status = map_ids(list(frame["gene_symbol"]), "symbol", index)[1].value_counts()
    assert status["renamed"] > 300
    assert status["ambiguous"] == 5
    assert "unknown" not in status
    assert frame.iloc[:, 1:].to_numpy().min() >= np.round(np.log2(0.1), 2)


def test_array_has_samples_in_rows_and_genes_with_two_probes(cohorts):
    frame = cohorts["demo_array"].expression.frame
    assert frame.columns[0] == "SAMPLE_ID"
    ids = frame.columns[1:]
    assert all(re.fullmatch(r"\d+", name) for name in ids)
    assert ids.duplicated().sum() > 20
    values = frame.iloc[:, 1:].to_numpy()
    assert values.min() > 4
    assert values.max() < 20


@pytest.mark.parametrize(
    ("name", "file", "separator", "line_end"),
    [
        ("demo_rnaseq_counts", "clinical_patient.tsv", b"\t", b"\n"),
        ("demo_rnaseq_fpkm", "clinical.csv", b";", b"\r\n"),
        ("demo_array", "data_clinical_patient.txt", b"\t", b"\r\n"),
    ],
)
def test_each_dialect_writes_as_its_archive_does(cohorts, name, file, separator, line_end):
    content = cohorts[name].files()[file]
    lines = content.split(line_end)
    assert lines[-1] == b""
    assert all(b"\n" not in line for line in lines)
    table = [line for line in lines if line and not line.startswith(b"#")]
    assert len(table) == N + 1
    assert len({line.count(separator) for line in table}) == 1


def test_the_registry_holds_normal_metastatic_second_and_badly_named_samples(cohorts):
    cohort = cohorts["demo_rnaseq_counts"]
    kinds = cohort.clinical["biospecimen_sample.tsv"].frame["sample_type"].value_counts()
    assert kinds.to_dict() == {
        "Primary Tumor": N + 3, "Solid Tissue Normal": 6, "Metastatic": 3,
    }  # fmt: skip
    names = cohort.expression.frame.columns[1:]
    assert sum(name != name.strip() for name in names) == 1
    assert set(cohort.latents["sample"]) == {name.strip() for name in names}


@pytest.mark.parametrize("name", [*BULK, "demo_cells"])
def test_the_cohort_file_names_the_files_and_columns_that_are_written(repository, cohorts, name):
    spec = cohortfile.load(repository / f"config/cohorts/{name}.yaml", environ={})
    files = cohorts[name].files()
    assert spec["simulated"]
    named = {location.removeprefix("simulated:") for location in spec["files"].values()}
    assert named | {"truth.tsv", "latents.tsv"} == set(files)
    tables = {}
    for table in spec["clinical"]:
        file = table["source"][0]["location"].removeprefix("simulated:")
        tables[table["name"]] = cohorts[name].clinical[file].frame
        assert table["join"]["column"] in tables[table["name"]]
    columns = {column: frame for frame in tables.values() for column in frame}
    for canonical, entry in spec["columns"].items():
        if entry["constant"] is None:
            frame = columns[entry["column"]]
            if entry["values"]:
                unmapped = set(frame[entry["column"]]) - set(entry["values"])
                assert unmapped <= {"", "NA", "null", "[Not Available]", "[Not Evaluated]"}, (
                    canonical
                )
    for endpoint in spec["endpoints"].values():
        assert {endpoint["time"], endpoint["event"]} <= set(columns)


def test_the_archive_of_cells_is_what_its_reader_expects(repository, cohorts, tmp_path):
    cohort = cohorts["demo_cells"]
    path = tmp_path / "expression.tar.gz"
    tables.write_bytes(path, cohort.files()[path.name])
    spec = cohortfile.load(repository / "config/cohorts/demo_cells.yaml", environ={})
    read = readers.read_expression({"expression": path}, spec)
    named = cohort.clinical["cells.csv"].frame
    assert list(read.samples) == list(named["cell"])
    assert set(named["orig.ident"]) == set(cohort.clinical["patients.csv"].frame["patient"])
    total = np.asarray(read.values.sum(axis=1)).ravel()
    assert total.min() > 0
    assert 1500 < np.median(total) < 3000
    assert read.values.nnz / np.prod(read.values.shape) < 0.3
    sick = [gene.startswith("MT-") for gene in read.genes]
    share = np.asarray(read.values[:, sick].sum(axis=1)).ravel() / total
    assert 0.01 < (share > 0.25).mean() < 0.08


def test_files_are_text_that_pandas_reads_back(cohorts):
    for cohort in cohorts.values():
        content = cohort.files()
        back = pd.read_csv(io.BytesIO(content["truth.tsv"]), sep="\t", keep_default_na=False)
        assert list(back.columns) == list(truth.COLUMNS)
        key = ["name", "question", "stratum", "endpoint", "contrast", "adjustment", "scale"]
        assert not back.duplicated(key).any()
        assert (back["cohort"] == cohort.name).all()
        assert len(gzip.compress(content["latents.tsv"])) > 0


def test_er_follows_her2_as_in_metabric(population):
    """139 of 247 HER2-positive and 335 of 1,733 HER2-negative tumours are ER-negative."""
    rates = 1 - population.groupby("her2")["er"].mean()
    assert rates[1.0] == pytest.approx(139 / 247, abs=0.02)
    assert rates[0.0] == pytest.approx(335 / 1733, abs=0.01)


def test_confounding_zero_makes_er_independent_of_her2():
    patients = factors.draw(
        factors.generator(SEED, "test"),
        n=60_000,
        her2_fraction=0.15,
        effects=simulate.NONE,
        confounding=0.0,
    )
    rates = patients.groupby("her2")["er"].mean()
    assert rates[1.0] == pytest.approx(rates[0.0], abs=0.015)
    for axis in (*simulate.AXES, "ERBB2", "proliferation"):
        means = patients.groupby("her2")[axis].mean()
        assert means[1.0] == pytest.approx(means[0.0], abs=0.05), axis


@pytest.mark.parametrize(
    ("axis", "total"),
    [
        ("IL1", -0.55),
        ("IFN-II", 0.45),
        # 0.85 directly and 0.35 of the effect on interferon gamma
        ("IFN-I", 0.85 + 0.35 * 0.45),
        ("IL2", 0.2),
        ("TGFB", 0.0),
    ],
)
def test_the_adjusted_difference_is_the_path_sum_of_the_structure(population, axis, total):
    her2, er, age = (population[name].to_numpy() for name in ("her2", "er", "age"))
    values = population[[axis]].to_numpy()
    found = truth.adjusted_difference(values, her2, (er, age))[0]
    assert found * truth.pooled_sd(values, her2)[0] == pytest.approx(total, abs=0.04)


def test_standardised_differences_on_a_frame_one_can_check_by_hand():
    values = np.array([[1.0], [3.0], [4.0], [6.0], [8.0]])
    group = np.array([0, 0, 1, 1, 1])
    # means 2 and 6, sums of squares 2 and 8 on 3 degrees of freedom; J = 1 - 3 / 11
    assert truth.pooled_sd(values, group)[0] == pytest.approx(np.sqrt(10 / 3))
    expected = 4 / np.sqrt(10 / 3) * 8 / 11
    assert truth.standardised_difference(values, group)[0] == pytest.approx(expected)


def test_a_covariate_that_explains_the_difference_leaves_none():
    er = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    her2 = np.array([0, 0, 1, 1, 1, 0])
    values = (3.0 * er + np.array([0.1, -0.1, 0.1, -0.1, 0.0, 0.0]))[:, None]
    assert truth.standardised_difference(values, her2)[0] < -0.4
    assert truth.adjusted_difference(values, her2, (er,))[0] == pytest.approx(0.0, abs=1e-9)


def test_a_signature_measures_the_mean_of_what_drives_its_genes(genes, signatures):
    sets = {
        name: signatures[name]
        for name in ("HALLMARK_INTERFERON_ALPHA_RESPONSE", "ERBB2_AMPLICON_CORE")
    }
    model = gene_model(genes, sets, seed=SEED, n_genes=500)
    drivers = pd.DataFrame(0.0, index=[0, 1], columns=[*model.loadings, *simulate.AXES])
    drivers = drivers.loc[:, ~drivers.columns.duplicated()]
    drivers.loc[1, "IFN-I"] = 1.0
    level = truth.levels(model, drivers, sets)
    step = level.loc[1] - level.loc[0]
    assert step["IFN-I"] == 1.0
    members = list(sets["HALLMARK_INTERFERON_ALPHA_RESPONSE"].up)
    loading = model.loadings["IFN-I"]
    assert loading.mean() > 0
    assert step["HALLMARK_INTERFERON_ALPHA_RESPONSE"] == pytest.approx(
        loading[members].mean() - loading.mean()
    )
    assert step["ERBB2_AMPLICON_CORE"] == pytest.approx(-loading.mean())


def test_cox_models_find_the_planted_hazard_ratio(population):
    """The log hazard ratio per SD of IL1 given stage, proliferation and age, by lifelines."""
    from lifelines import CoxPHFitter

    patients = population.iloc[:6000]
    rng = factors.generator(SEED, "survival test")
    stage = clinic.stages(rng, patients)
    times = clinic.survival(
        rng,
        clinic.log_hazard(patients, stage, simulate.PLANTED),
        endpoints={"OS": 17, "RFS": 17},
        follow_up=(2, 12),
    )
    assert (times["RFS_time"] <= times["OS_time"]).all()
    assert (times > 0)[["OS_time", "RFS_time"]].to_numpy().all()
    il1 = patients["IL1"] / patients["IL1"].std(ddof=0)
    given = np.column_stack([stage, patients[["proliferation", "age10"]]])
    for endpoint in ("OS", "RFS"):
        frame = pd.DataFrame(
            {
                "time": times[f"{endpoint}_time"],
                "event": times[f"{endpoint}_event"],
                "IL1": il1.to_numpy(),
                "stage": stage,
                "proliferation": patients["proliferation"].to_numpy(),
                "age10": patients["age10"].to_numpy(),
            }
        )
        fit = CoxPHFitter().fit(frame, "time", "event")
        for name, planted in (("IL1", 0.45), ("stage", 0.45), ("proliferation", 0.25)):
            found, error = fit.params_[name], fit.standard_errors_[name]
            assert abs(found - planted) < 3.5 * error, (endpoint, name, found)
        event, time = frame["event"].to_numpy(), frame["time"].to_numpy()
        crude = CoxPHFitter().fit(frame[["time", "event", "IL1"]], "time", "event")
        for covariates, expected in ((given, fit), (np.empty((len(time), 0)), crude)):
            ours = truth.log_hazard_ratios(il1.to_numpy()[:, None], covariates, time, event)
            # Breslow's and Efron's treatment of ties differ a little
            assert ours[0] == pytest.approx(expected.params_["IL1"], abs=2e-3)


def test_her2_evidence_errs_but_rarely(population):
    from cytostrat import her2

    patients = population.iloc[:5000]
    rng = factors.generator(SEED, "evidence test")
    seen = clinic.evidence(rng, patients, clinic.stages(rng, patients))
    calls = [
        her2.call(ihc or None, ish or None, stated or None)
        for ihc, ish, stated in zip(
            seen["her2_ihc"], seen["her2_ish"], seen["her2_stated"], strict=True
        )
    ]
    status = pd.Series([call[0] or "missing" for call in calls])
    table = pd.crosstab(patients["her2"].to_numpy(), status.to_numpy(), normalize="index")
    assert 0.88 < table.loc[1.0, "positive"] < 0.97
    assert table.loc[0.0, "positive"] < 0.02
    assert 0.005 < (status == "equivocal").mean() < 0.05
    assert 0.001 < (status == "missing").mean() < 0.02
    assert any(call[3] for call in calls)


def test_without_effects_the_amplicon_is_silent_too(genes, signatures):
    cohort = simulate.simulate_cohort(
        "demo_array",
        seed=SEED,
        genes=genes,
        signatures=signatures,
        n=N,
        effects=simulate.NONE,
        confounding=0.0,
        n_genes=100,
    )
    planted = cohort.truth.query("question == 'her2'")["planted"].abs()
    assert planted.max() < 0.05


def test_a_trial_without_a_course_changes_nothing(genes, signatures):
    cohort = simulate.simulate_cohort(
        "demo_paired",
        seed=SEED,
        genes=genes,
        signatures=signatures,
        n_genes=100,
        course=simulate.NO_COURSE,
    )
    planted = cohort.truth.set_index(["question", "scale"])["planted"].abs()
    assert planted["response_change"].max() < 0.06
    assert planted["response"].max() < 0.08


def test_cells_without_coupling_have_none(genes, signatures):
    cohort = simulate.simulate_cohort(
        "demo_cells", seed=SEED, genes=genes, signatures=signatures, planted=0.0, n_genes=100
    )
    planted = cohort.truth.groupby("question")["planted"].agg(lambda column: column.abs().max())
    assert planted["cell_coupling"] < 0.03
    assert planted["cell_her2"] < 0.06


def test_an_axis_outside_the_model_is_independent_of_her2(genes, signatures):
    own = replace(
        signatures["AYERS2017_IFNG6"], name="OWN", axis="my axis", role="secondary", up=("ACTB",)
    )
    assert factor_of(own) == "my axis"
    cohort = simulate.simulate_cohort(
        "demo_array", seed=SEED, genes=genes, signatures={"OWN": own}, n=N, n_genes=3000
    )
    planted = cohort.truth.query("name == 'OWN' and question == 'her2'")["planted"].abs()
    assert planted.max() < 0.05


def test_what_cannot_be_simulated_says_why(genes, signatures):
    common = {"seed": 1, "signatures": signatures}
    with pytest.raises(InputError, match=r"'elsewhere'.*demo_array"):
        simulate.simulate_cohort("elsewhere", genes=genes, **common)
    for name in BULK:
        with pytest.raises(InputError, match=f"{name}.*at least 10"):
            simulate.simulate_cohort(name, genes=genes, n=3, **common)
    with pytest.raises(InputError, match=r"demo_cells.*at least 4"):
        simulate.simulate_cohort("demo_cells", genes=genes, n=3, **common)
    with pytest.raises(InputError, match="entrez"):
        simulate.simulate_cohort("demo_array", genes=genes.drop(columns="entrez"), **common)
    with pytest.raises(InputError, match="fewer genes"):
        simulate.simulate_cohort("demo_array", genes=genes, n_genes=100_000, **common)
