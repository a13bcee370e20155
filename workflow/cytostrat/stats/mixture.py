"""Two-component Gaussian mixture on one gene: the expression-derived HER2 call.

Wanted where a cohort has no clinical call, and as a sensitivity analysis beside one, never
mixed with it. Idea and limits: Haibe-Kains 2012, doi:10.1093/jnci/djr545 (kappa 0.65-0.70
between expression-based subtype models, and clinical status agrees less).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cytostrat.errors import EstimationError

POSITIVE_ABOVE = 0.9
NEGATIVE_BELOW = 0.1
FEWEST = 20


@dataclass(frozen=True)
class Mixture:
    """A fitted mixture.

    Parameters
    ----------
    posterior
        Shape (samples,), probability of the component with the higher mean; NaN where the
        value is missing.
    means, sds, weights
        Of the lower and the upper component.
    bic_gain
        BIC of one component minus BIC of two; above zero two components describe the values
        better.
    """

    posterior: np.ndarray
    means: tuple[float, float]
    sds: tuple[float, float]
    weights: tuple[float, float]
    bic_gain: float

    @property
    def call(self) -> np.ndarray:
        """``positive`` above 0.9, ``negative`` below 0.1, None between and where missing.

        All None where one component describes the values as well as two (`bic_gain` <= 0).
        """
        out = np.full(self.posterior.shape, None, dtype=object)
        if self.bic_gain > 0:
            out[self.posterior > POSITIVE_ABOVE] = "positive"
            out[self.posterior < NEGATIVE_BELOW] = "negative"
        return out


def two_component_mixture(values: np.ndarray) -> Mixture:
    """Fit two Gaussians with own variances by maximum likelihood (EM).

    EM starts from splits at several quantiles and the likeliest end is kept, so the result does
    not depend on a random seed. With unequal variances the posterior can turn round in either
    tail; there it is held level, because lower expression is never stronger evidence for an
    amplified gene.

    Parameters
    ----------
    values
        Shape (samples,), log expression; NaN is left out and gets a NaN posterior.

    Raises
    ------
    EstimationError
        Fewer than 20 values, or values that do not vary.
    """
    from sklearn.mixture import GaussianMixture

    values = np.asarray(values, dtype=float)
    present = np.isfinite(values)
    x = values[present]
    if x.size < FEWEST:
        raise EstimationError(f"A mixture needs at least {FEWEST} values, {x.size} are there.")
    if np.ptp(x) == 0:
        raise EstimationError("A mixture needs values that vary, all are equal.")
    column = x[:, None]
    fits = []
    for share in (0.5, 0.75, 0.85, 0.95):
        upper = x > np.quantile(x, share)
        if not 0 < upper.sum() < x.size:
            continue
        model = GaussianMixture(
            2, tol=1e-9, max_iter=5000, reg_covar=1e-3 * float(x.var()),
            means_init=[[x[~upper].mean()], [x[upper].mean()]],
            weights_init=[1 - upper.mean(), upper.mean()],
            precisions_init=[[[1 / x.var()]]] * 2, random_state=0,
        )  # fmt: skip
        fits.append(model.fit(column))
    best = max(fits, key=lambda model: model.score(column))
    order = np.argsort(best.means_[:, 0])
    raw = best.predict_proba(column)[:, order[1]]
    rank = np.argsort(x, kind="stable")
    rising = raw[rank]
    lowest = int(np.argmin(np.where(x[rank] <= best.means_[order[1], 0], rising, np.inf)))
    rising[:lowest] = rising[lowest]
    monotone = np.empty_like(raw)
    monotone[rank] = np.maximum.accumulate(rising)
    posterior = np.full(values.shape, np.nan)
    posterior[present] = monotone
    one = GaussianMixture(1, random_state=0).fit(column)
    return Mixture(
        posterior=posterior,
        means=tuple(float(m) for m in best.means_[order, 0]),
        sds=tuple(float(s) for s in np.sqrt(best.covariances_[order, 0, 0])),
        weights=tuple(float(w) for w in best.weights_[order]),
        bic_gain=float(one.bic(column) - best.bic(column)),
    )
