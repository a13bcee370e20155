"""Clinical evidence of simulated patients: what a pathologist and a registry would record."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cytostrat.simulate.factors import Effects

IHC_SCORES = ("0", "1+", "2+", "3+")
# Share of each IHC score by true status, and how often ISH was done for a score.
_IHC = {1: (0.01, 0.03, 0.22, 0.74), 0: (0.38, 0.41, 0.205, 0.005)}
_ISH_DONE = {"0": 0.03, "1+": 0.06, "2+": 0.9, "3+": 0.15}
_ISH_RIGHT = {1: 0.97, 0: 0.99}
_STAGE = np.array([0.27, 0.48, 0.21, 0.04])
DAYS_PER_YEAR = 365.25


def evidence(
    rng: np.random.Generator,
    patients: pd.DataFrame,
    stage: np.ndarray,
    *,
    score_missing: float = 0.1,
) -> pd.DataFrame:
    """Record HER2, ER, PR, PAM50, grade, stage, nodes and size of each patient.

    HER2 evidence errs as the assays do: an IHC score given the true status, ISH mostly where
    IHC is 2+, and a stated call that follows them but for a few slips. Missing is ''.

    Parameters
    ----------
    rng
        Source of randomness.
    patients
        Rows of `cytostrat.simulate.factors.draw`.
    stage
        Stage 1-4, see `stages`.
    score_missing
        Share of patients whose IHC score was not kept; the stated call stays.

    Returns
    -------
    pandas.DataFrame
        Text columns in the canonical vocabulary: ``her2_ihc``, ``her2_ish``, ``her2_stated``,
        ``er``, ``pr``, ``pam50``, ``grade``, ``stage``, ``nodes``, ``tumour_size``.
    """
    size = len(patients)
    her2 = patients["her2"].to_numpy().astype(int)
    er = patients["er"].to_numpy().astype(int)
    ihc = np.array(
        [IHC_SCORES[_pick(_IHC[state], u)] for state, u in zip(her2, rng.random(size), strict=True)]
    )
    done = rng.random(size) < np.array([_ISH_DONE[score] for score in ihc])
    right = rng.random(size) < np.array([_ISH_RIGHT[state] for state in her2])
    amplified = np.where(right, her2 == 1, her2 == 0)
    vague = rng.random(size) < 0.02
    ish = np.where(amplified, "amplified", "not amplified").astype(object)
    ish[vague] = "equivocal"
    ish[~done] = ""
    stated = np.where(np.isin(ihc, ["3+"]), "positive", "negative").astype(object)
    two = ihc == "2+"
    stated[two] = np.where(ish[two] == "", "equivocal", "negative")
    stated[(ish == "amplified") & (ihc != "3+")] = "positive"
    slip = rng.random(size)
    stated[(slip < 0.012) & (stated == "negative") & (her2 == 0)] = "positive"
    stated[(slip > 0.975)] = ""
    kept = rng.random(size) >= score_missing

    er_seen = np.where(rng.random(size) < 0.005, 1 - er, er)
    pr = rng.random(size) < np.where(er == 1, 0.78, 0.06)
    proliferation = patients["proliferation"].to_numpy()
    grade = 1 + (proliferation + 0.6 * rng.standard_normal(size) > -0.9).astype(int)
    grade += proliferation + 0.6 * rng.standard_normal(size) > 0.7
    nodes = np.where(
        stage == 1,
        0,
        rng.negative_binomial(1.1, 1 / (1 + np.array([0.4, 1.2, 5.0, 7.0])[stage - 1])),
    )
    tumour = np.exp(rng.normal(np.log([13.0, 24.0, 36.0, 42.0])[stage - 1], 0.35))
    record = {
        "her2_ihc": np.where(kept, ihc, ""),
        "her2_ish": np.where(kept, ish, ""),
        "her2_stated": stated,
        "er": np.where(er_seen == 1, "positive", "negative"),
        "pr": np.where(pr, "positive", "negative"),
        "pam50": _intrinsic(rng, patients),
        "grade": grade.astype(str),
        "stage": stage.astype(str),
        "nodes": nodes.astype(str),
        "tumour_size": np.char.mod("%.0f", tumour),
    }
    frame = pd.DataFrame(record, index=patients.index).astype(object)
    for column, share in (("er", 0.01), ("pr", 0.03), ("grade", 0.05), ("nodes", 0.04)):
        frame.loc[rng.random(size) < share, column] = ""
    return frame


def _pick(shares: tuple[float, ...], u: float) -> int:
    return int(min(np.searchsorted(np.cumsum(shares), u, side="right"), len(shares) - 1))


def stages(rng: np.random.Generator, patients: pd.DataFrame) -> np.ndarray:
    """Draw stages 1-4, a little later where proliferation is high."""
    from scipy.special import ndtri

    cuts = ndtri(np.cumsum(_STAGE)[:-1])
    hidden = 0.25 * patients["proliferation"].to_numpy() + rng.normal(0, 0.95, len(patients))
    return 1 + np.searchsorted(cuts, hidden)


def _intrinsic(rng: np.random.Generator, patients: pd.DataFrame) -> np.ndarray:
    """PAM50 subtype given ER, HER2 and proliferation."""
    shares = {
        (0, 0): {"Basal": 0.8, "Her2": 0.08, "Normal": 0.06, "LumB": 0.06},
        (0, 1): {"Her2": 0.75, "Basal": 0.17, "LumB": 0.08},
        (1, 1): {"LumB": 0.42, "Her2": 0.35, "LumA": 0.23},
    }
    high = {"LumB": 0.7, "LumA": 0.2, "Her2": 0.06, "Normal": 0.04}
    low = {"LumA": 0.78, "LumB": 0.13, "Normal": 0.08, "Her2": 0.01}
    out = []
    for er, her2, speed, u in zip(
        patients["er"],
        patients["her2"],
        patients["proliferation"],
        rng.random(len(patients)),
        strict=True,
    ):
        table = shares.get((int(er), int(her2))) or (high if speed > 0.4 else low)
        out.append(list(table)[_pick(tuple(table.values()), u)])
    return np.array(out, dtype=object)


def log_hazard(patients: pd.DataFrame, stage: np.ndarray, effects: Effects) -> np.ndarray:
    """Linear predictor of both endpoints: stage, proliferation, age and the planted axes."""
    weights = effects.hazards
    out = (
        weights.get("stage", 0.0) * (stage - 2)
        + weights.get("proliferation", 0.0) * patients["proliferation"].to_numpy()
        + weights.get("age", 0.0) * patients["age10"].to_numpy()
    )
    for name, value in effects.log_hr.items():
        factor = patients[name].to_numpy()
        out = out + value * factor / factor.std()
    return out


def survival(
    rng: np.random.Generator,
    predictor: np.ndarray,
    *,
    endpoints: Mapping[str, float],
    follow_up: tuple[float, float],
) -> pd.DataFrame:
    """Draw times (days) and events of each endpoint; hazards are proportional.

    Parameters
    ----------
    rng
        Source of randomness.
    predictor
        Linear predictor per patient.
    endpoints
        Endpoint to the Weibull scale in years at predictor 0; the shape is 1.2. ``OS`` comes
        from its own draw, any other endpoint is the earlier of a relapse and death: the minimum
        of two proportional hazards with one predictor is again proportional.
    follow_up
        Shortest and longest administrative follow-up, years; uniform.
    """
    shape = 1.2
    size = len(predictor)
    end = rng.uniform(*follow_up, size)
    death = endpoints["OS"] * (rng.exponential(size=size) / np.exp(predictor)) ** (1 / shape)
    columns = {}
    for name, scale in endpoints.items():
        time = death
        if name != "OS":
            relapse = scale * (rng.exponential(size=size) / np.exp(predictor)) ** (1 / shape)
            time = np.minimum(relapse, death)
        columns[f"{name}_event"] = (time <= end).astype(int)
        columns[f"{name}_time"] = np.ceil(np.minimum(time, end) * DAYS_PER_YEAR).astype(int)
    return pd.DataFrame(columns)
