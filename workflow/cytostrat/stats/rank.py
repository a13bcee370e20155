"""Rank-based comparison of two groups: AUC with DeLong's variance, Mann-Whitney p.

References
----------
DeLong, DeLong & Clarke-Pearson 1988, doi:10.2307/2531595 (variance);
Brunner & Munzel 2000, doi:10.1002/(SICI)1521-4036(200001)42:1<17::AID-BIMJ17>3.0.CO;2-U
(degrees of freedom); Kottas, Kuss & Zapf 2014, doi:10.1186/1471-2288-14-26 (logit scale);
Newcombe 2006, doi:10.1002/sim.2324 (method 5, for complete separation);
Mann & Whitney 1947, doi:10.1214/aoms/1177730491.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, special, stats

from cytostrat.stats.estimates import Estimates, bounded_p, split_groups

EXACT_BELOW = 50
SEPARATION_NOTE = "complete separation: the interval is Newcombe's, DeLong's has no width"


def mann_whitney_p(values: np.ndarray, case: np.ndarray) -> np.ndarray:
    """Return the two-sided Mann-Whitney p per column, by one rule.

    Without ties in a column and with both groups below 50 samples the exact distribution is
    used; otherwise the normal approximation with the variance corrected for ties and a
    continuity correction of one half. This is the rule of R's ``wilcox.test``.
    A column of one single value gives p = 1.
    """
    cases, controls = split_groups(values, case)
    n1, n0 = len(cases), len(controls)
    both = np.sort(np.vstack([cases, controls]), axis=0)
    tied = (np.diff(both, axis=0) == 0).any(axis=0)
    exact = ~tied & (max(n1, n0) < EXACT_BELOW)
    p = np.full(both.shape[1], np.nan)
    for columns, method in ((exact, "exact"), (~exact, "asymptotic")):
        if columns.any():
            with np.errstate(invalid="ignore", divide="ignore"):
                p[columns] = stats.mannwhitneyu(
                    cases[:, columns], controls[:, columns], axis=0, method=method
                ).pvalue
    constant = both[0] == both[-1]
    return bounded_p(np.where(constant, 1.0, p))


def auc(values: np.ndarray, case: np.ndarray, *, level: float = 0.95) -> Estimates:
    """Return the probability that a case scores above a control, per column.

    Parameters
    ----------
    values
        Shape (samples, columns); ties count one half, NaN gives NaN for its column.
    case
        Shape (samples,), boolean.
    level
        Level of the two-sided interval.

    Returns
    -------
    Estimates
        `se` is DeLong's. The interval takes it to the logit scale with a t distribution of
        Satterthwaite's degrees of freedom: logit A -+ t(df) se / (A (1 - A)). The plain interval
        A -+ 1.96 se holds the truth in only 87-94 % of cohorts with 15 to 40 cases, this one in
        94-96 %. Where all cases score above all controls, or below, the variance is zero and
        the interval is Newcombe's method 5. `p` is from `mann_whitney_p`.
    """
    cases, controls = split_groups(values, case)
    n1, n0 = len(cases), len(controls)
    # ranks within everything minus ranks within the group = number of the other group below
    joint = stats.rankdata(np.vstack([cases, controls]), axis=0, nan_policy="propagate")
    case_share = (joint[:n1] - stats.rankdata(cases, axis=0)) / n0
    control_share = 1 - (joint[n1:] - stats.rankdata(controls, axis=0)) / n1
    area = case_share.mean(axis=0)
    of_cases = case_share.var(axis=0, ddof=1) / n1
    of_controls = control_share.var(axis=0, ddof=1) / n0
    se = np.sqrt(of_cases + of_controls)
    limit = _separation_limit(n1, n0, stats.norm.ppf(0.5 + level / 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        df = se**4 / (of_cases**2 / (n1 - 1) + of_controls**2 / (n0 - 1))
        half = stats.t.ppf(0.5 + level / 2, df) * se / (area * (1 - area))
        low, high = special.expit(special.logit(area) + np.array([-1.0, 1.0])[:, None] * half)
    low = np.where(area == 1, limit, np.where(area == 0, 0.0, low))
    high = np.where(area == 0, 1 - limit, np.where(area == 1, 1.0, high))
    return Estimates(
        estimate=area, se=se, low=low, high=high, p=mann_whitney_p(values, case),
        n=n1 + n0, n_case=n1,
    )  # fmt: skip


def _separation_limit(n1: int, n0: int, z: float) -> float:
    """Return the lower limit of the AUC where the observed one is 1 (Newcombe's method 5).

    The smallest area A with (1 - A)^2 <= z^2 V(A), where V is Hanley and McNeil's variance
    with both group sizes replaced by their mean m in the terms of overlap:
    V(A) = A (1 - A) / (n1 n0) (1 + (m - 1) ((1 - A) / (2 - A) + A / (1 + A))).
    """
    m = (n1 + n0) / 2

    def excess(area: float) -> float:
        overlap = (1 - area) / (2 - area) + area / (1 + area)
        variance = area * (1 - area) / (n1 * n0) * (1 + (m - 1) * overlap)
        return (1 - area) ** 2 - z**2 * variance

    return float(optimize.brentq(excess, 1e-12, 1 - 1e-12, xtol=1e-14))
