"""The HER2 truth table, row by row, and on real tumours."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from cytostrat import her2
from cytostrat.readers.delimited import read_clinical_table

NO = None
AMP, NOT, EQUI = "amplified", "not amplified", "equivocal"
POS, NEG = "positive", "negative"

# ihc, ish, stated -> her2, source, low, flag; written from the rule, not from the code
ROWS = [
    # IHC 3+ is positive
    ("3+", NO, NO, POS, "ihc", NO, ""),
    ("3+", AMP, NO, POS, "ihc+ish", NO, ""),
    ("3+", EQUI, NO, POS, "ihc", NO, ""),
    ("3+", NOT, NO, POS, "ihc+ish", NO, "IHC 3+ but ISH not amplified"),
    # amplified ISH is positive, flagged where IHC is 0 or 1+
    ("0", AMP, NO, POS, "ihc+ish", NO, "ISH amplified but IHC 0"),
    ("1+", AMP, NO, POS, "ihc+ish", NO, "ISH amplified but IHC 1+"),
    ("2+", AMP, NO, POS, "ihc+ish", NO, ""),
    # IHC 2+ follows ISH, without a usable one it is equivocal
    ("2+", NOT, NO, NEG, "ihc+ish", "low", ""),
    ("2+", EQUI, NO, EQUI, "ihc", NO, ""),
    ("2+", NO, NO, EQUI, "ihc", NO, ""),
    # IHC 0 and 1+ are otherwise negative
    ("0", NO, NO, NEG, "ihc", "zero", ""),
    ("0", EQUI, NO, NEG, "ihc", "zero", ""),
    ("0", NOT, NO, NEG, "ihc+ish", "zero", ""),
    ("1+", NO, NO, NEG, "ihc", "low", ""),
    ("1+", EQUI, NO, NEG, "ihc", "low", ""),
    ("1+", NOT, NO, NEG, "ihc+ish", "low", ""),
    # a score beats a stated call that contradicts it, flagged
    ("1+", NO, POS, NEG, "ihc", "low", "stated positive but IHC 1+"),
    ("0", NO, EQUI, NEG, "ihc", "zero", "stated equivocal but IHC 0"),
    ("3+", NO, NEG, POS, "ihc", NO, "stated negative but IHC 3+"),
    ("3+", NO, EQUI, POS, "ihc", NO, "stated equivocal but IHC 3+"),
    ("2+", NO, POS, EQUI, "ihc", NO, "stated positive but IHC 2+"),
    ("2+", NOT, POS, NEG, "ihc+ish", "low", "stated positive but IHC 2+ and ISH not amplified"),
    ("2+", AMP, NEG, POS, "ihc+ish", NO, "stated negative but IHC 2+ and ISH amplified"),
    # a stated call that agrees is no conflict; equivocal agrees with 2+
    ("1+", NO, NEG, NEG, "ihc", "low", ""),
    ("3+", AMP, POS, POS, "ihc+ish", NO, ""),
    ("2+", AMP, EQUI, POS, "ihc+ish", NO, ""),
    ("2+", NO, EQUI, EQUI, "ihc", NO, ""),
    # without a score the stated call stands, against ISH it is kept and flagged
    (NO, NO, POS, POS, "stated", NO, ""),
    (NO, NO, NEG, NEG, "stated", NO, ""),
    (NO, AMP, POS, POS, "stated", NO, ""),
    (NO, NOT, NEG, NEG, "stated", NO, ""),
    (NO, EQUI, NEG, NEG, "stated", NO, ""),
    (NO, NOT, POS, POS, "stated", NO, "stated positive but ISH not amplified"),
    (NO, AMP, NEG, NEG, "stated", NO, "stated negative but ISH amplified"),
    # an equivocal call follows ISH
    (NO, AMP, EQUI, POS, "ish", NO, ""),
    (NO, NOT, EQUI, NEG, "ish", NO, ""),
    (NO, EQUI, EQUI, EQUI, "stated", NO, ""),
    (NO, NO, EQUI, EQUI, "stated", NO, ""),
    # ISH alone counts
    (NO, AMP, NO, POS, "ish", NO, ""),
    (NO, NOT, NO, NEG, "ish", NO, ""),
    (NO, EQUI, NO, EQUI, "ish", NO, ""),
    # nothing known is missing, never negative
    (NO, NO, NO, NO, NO, NO, ""),
]


@pytest.mark.parametrize(("ihc", "ish", "stated", "status", "source", "low", "flag"), ROWS)
def test_truth_table_row(ihc, ish, stated, status, source, low, flag) -> None:
    assert her2.call(ihc, ish, stated) == (status, source, low, flag)


def test_every_combination_is_decided_and_unknown_is_never_negative() -> None:
    for ihc, ish, stated in itertools.product(
        (None, *her2.IHC), (None, *her2.ISH), (None, *her2.CALLS)
    ):
        status, source, low, _ = her2.call(ihc, ish, stated)
        assert (status is None) == (ihc is None and ish is None and stated is None)
        assert (source is None) == (status is None)
        assert low is None or status == "negative"
        if status == "negative":
            assert ihc in ("0", "1+", "2+") or ish == NOT or stated == NEG


def test_classify_keeps_index_and_says_expression_for_a_derived_call() -> None:
    frame = pd.DataFrame({"her2": ["positive", None]}, index=["b", "a"])
    found = her2.classify(frame, derived=True)
    assert list(found.index) == ["b", "a"]
    assert list(found["her2_source"]) == ["expression", None]
    assert found.loc["a", "her2"] is None


def _tcga(table: pd.DataFrame, stated: str, ihc: str, ish: str) -> pd.DataFrame:
    call = {"Positive": POS, "Negative": NEG, "Equivocal": EQUI}
    score = {"0": "0", "1": "1+", "2": "2+", "3": "3+", "1+": "1+", "2+": "2+", "3+": "3+"}
    hybrid = {"Positive": AMP, "Negative": NOT, "Equivocal": EQUI}
    return her2.classify(
        pd.DataFrame(
            {
                "her2": table[stated].map(call),
                "her2_ihc": table[ihc].map(score),
                "her2_ish": table[ish].map(hybrid),
            }
        )
    )


def test_all_1080_tumours_of_tcga(data_dir) -> None:
    table = read_clinical_table(data_dir / "tcga_clinical_1080" / "clinical.tsv")
    found = _tcga(table, "IHC-HER2", "HER2 ihc score", "HER2 fish status")
    # 3+ 87, 2+ amplified 36, 0/1+ amplified 3, stated 41 and ISH alone 9 without a score
    assert found["her2"].value_counts(dropna=False).to_dict() == {
        NEG: 761, POS: 176, EQUI: 27, None: 116,
    }  # fmt: skip
    assert found["her2_low"].value_counts().to_dict() == {"low": 396, "zero": 60}
    score = table["HER2 ihc score"]
    conflict = found["her2_flag"] != ""
    assert (conflict & (score == "1") & (table["IHC-HER2"] == "Positive")).sum() == 11
    assert (conflict & (score == "3") & (table["IHC-HER2"] == "Negative")).sum() == 2
    assert found["her2_flag"].str.startswith("ISH amplified but IHC").sum() == 3
    assert conflict.sum() == 38


def test_scores_and_hybridisation_change_the_groups_of_tcga_129(data_dir) -> None:
    table = read_clinical_table(data_dir / "tcga_brca_129" / "clinical.tsv")
    found = _tcga(
        table, "HER2_IHC", "her2_immunohistochemistry_level_result",
        "lab_procedure_her2_neu_in_situ_hybrid_outcome_type",
    )  # fmt: skip
    assert table["HER2_IHC"].value_counts().to_dict() == {"Negative": 90, "Positive": 39}
    assert found["her2"].value_counts().to_dict() == {NEG: 93, POS: 34, EQUI: 2}
    assert (found["her2_flag"] != "").sum() == 7


def test_metabric_call_is_not_the_copy_number_gain(data_dir) -> None:
    folder = data_dir / "metabric_clinical"
    samples = read_clinical_table(folder / "data_clinical_sample.txt", comment="#")
    patients = read_clinical_table(folder / "data_clinical_patient.txt", comment="#")
    stated = samples["HER2_STATUS"].map({"+": POS, "-": NEG})
    found = her2.classify(pd.DataFrame({"her2": stated}))["her2"]
    assert found.value_counts(dropna=False).to_dict() == {NEG: 1733, None: 529, POS: 247}
    gain = set(patients.loc[patients["HER2_SNP6"] == "GAIN", "PATIENT_ID"])
    assert (len(gain), samples.loc[found == NEG, "PATIENT_ID"].isin(gain).sum()) == (438, 194)
