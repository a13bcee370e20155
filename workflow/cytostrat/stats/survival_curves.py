"""Kaplan-Meier estimates, for the eye only.

Reference: Kaplan & Meier 1958, doi:10.1080/01621459.1958.10501452.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from cytostrat.stats.survival_models import _merged_times


def kaplan_meier(time: np.ndarray, event: np.ndarray, *, level: float = 0.95) -> pd.DataFrame:
    """Return the Kaplan-Meier curve with Greenwood's error and the log-log interval.

    Parameters
    ----------
    time
        Shape (n,), positive, in days.
    event
        Shape (n,), boolean.
    level
        Level of the pointwise interval.

    Returns
    -------
    pandas.DataFrame
        One row per distinct time, rising: `time`, `at_risk` (just before), `events`,
        `censored`, `survival`, `low`, `high`. The limits are NaN while survival is 1 or once it
        is 0, where the log-log transform has no value. This is R's
        ``survfit(conf.type = "log-log")``.
    """
    time, event = np.asarray(time, dtype=float), np.asarray(event, dtype=bool)
    codes = _merged_times(time)
    order = np.argsort(codes, kind="stable")
    first = order[np.flatnonzero(np.diff(codes[order], prepend=-1))]
    events = np.bincount(codes, weights=event).astype(int)
    leaving = np.bincount(codes)
    at_risk = leaving[::-1].cumsum()[::-1]
    survival = np.cumprod(1 - events / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(events / (at_risk * (at_risk - events)))
        log_s = np.log(survival)
        width = stats.norm.ppf(0.5 + level / 2) * np.sqrt(greenwood) / np.abs(log_s)
        low, high = survival ** np.exp(width), survival ** np.exp(-width)
    inside = (survival > 0) & (survival < 1)
    return pd.DataFrame(
        {
            "time": time[first],
            "at_risk": at_risk,
            "events": events,
            "censored": leaving - events,
            "survival": survival,
            "low": np.where(inside, low, np.nan),
            "high": np.where(inside, high, np.nan),
        }
    )
