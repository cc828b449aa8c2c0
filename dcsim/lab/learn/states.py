"""Power states: Gaussian mixtures of measured watts, and how watts belong to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # not scipy.stats, which is loaded where it is first used
from scipy.special import logsumexp, ndtr

from dcsim.arrays import FloatArray
from dcsim.extras import optional

MIXTURE_SEED = 42
STATES = 10
"""As many as the published configurations have (K = 10 throughout)."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of normal distributions of watts, states by rising mean; arrays of shape (K,)."""

    weight: FloatArray
    mean_w: FloatArray
    std_w: FloatArray

    def posterior(self, power_w: FloatArray) -> FloatArray:
        """Probability of each state given the watts: (n,) in, (n, K) out."""
        z = (power_w[:, None] - self.mean_w) / self.std_w
        log = np.log(self.weight) - np.log(self.std_w) - 0.5 * z * z
        shares: FloatArray = np.exp(log - logsumexp(log, axis=1, keepdims=True))
        return shares

    def cdf(self, power_w: FloatArray, weight: FloatArray | None = None) -> FloatArray:
        """Share of the mixture below the watts; `weight`, shape (n, K), in place of its own."""
        weight = self.weight if weight is None else weight
        below: FloatArray = (weight * ndtr((power_w[:, None] - self.mean_w) / self.std_w)).sum(
            axis=1
        )
        return below

    def mean(self) -> float:
        """Mean watts."""
        return float(self.weight @ self.mean_w)

    def quantile(self, probability: FloatArray) -> FloatArray:
        """Watts below which these shares lie."""
        low = float((self.mean_w - 5 * self.std_w).min())
        high = float((self.mean_w + 5 * self.std_w).max())
        grid = np.linspace(low, high, 20001)
        return np.interp(probability, self.cdf(grid), grid)


def fit_mixture(power_w: FloatArray, states: int = STATES, seed: int = MIXTURE_SEED) -> Mixture:
    """Fit by expectation maximisation (scikit-learn). Fewer states where samples, or different
    whole watts among them, are few: each should stand for at least 20 samples."""
    mixtures = optional("sklearn.mixture", "fitting power states")
    distinct = len(np.unique(np.rint(power_w)))
    count = max(1, min(states, distinct, len(power_w) // 20))
    model = mixtures.GaussianMixture(
        count, n_init=3, reg_covar=1.0, max_iter=300, random_state=seed
    )
    model.fit(power_w[:, None])
    order = np.argsort(model.means_[:, 0])
    order = order[model.weights_[order] > 0.1 / len(power_w)]  # components left with nothing
    return Mixture(
        weight=model.weights_[order] / model.weights_[order].sum(),
        mean_w=model.means_[order, 0],
        std_w=np.sqrt(model.covariances_[order, 0, 0]),
    )


WIDE = 0.1
"""Of the range of the watts. A state wider than that is no state: expectation maximisation has made
it of a handful of single samples (a step in which work began, a slip of the meter) and, between
them, of all states. On the measured 14B run four samples between rest and work made one of 97 W,
whose draws, a twentieth of all, were false dips and spikes."""
MOST_STATES = 14
"""Twelve were enough for the 14B run; more would follow single samples."""


def fit_states(power_w: FloatArray) -> Mixture:
    """As `fit_mixture`, with up to MOST_STATES states, two more at a time, while one is WIDE."""
    limit_w = WIDE * float(np.ptp(power_w))
    for states in range(STATES, MOST_STATES + 1, 2):
        mixture = fit_mixture(power_w, states)
        if mixture.std_w.max() <= limit_w:
            break
    return mixture


HEADROOM_STATES = 4
HEADROOM_SIGMA = 2.0
HEADROOM_WEIGHT = 0.05
"""Of the states above those of a mixture, together: they are for work beyond it."""


def with_headroom(mixture: Mixture, power_w: FloatArray) -> Mixture:
    """The mixture, and states for those of the watts that lie above all of its own."""
    top_w = float((mixture.mean_w + HEADROOM_SIGMA * mixture.std_w).max())
    above = power_w[power_w > top_w]
    if len(above) < 40:
        return mixture
    more = fit_mixture(above, HEADROOM_STATES)
    return Mixture(
        np.concatenate([(1 - HEADROOM_WEIGHT) * mixture.weight, HEADROOM_WEIGHT * more.weight]),
        np.concatenate([mixture.mean_w, more.mean_w]),
        np.concatenate([mixture.std_w, more.std_w]),
    )


def distance(power_w: FloatArray, mixture: Mixture) -> float:
    """Kolmogorov-Smirnov distance between samples and a mixture."""
    return float(scipy.stats.kstest(power_w, mixture.cdf, method="asymp").statistic)
