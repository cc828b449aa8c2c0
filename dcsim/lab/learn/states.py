"""Power states: Gaussian mixtures of measured watts, and how watts belong to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy  # not scipy.stats, which is loaded where it is first used
from scipy.special import logsumexp, ndtr

from dcsim.arrays import FloatArray
from dcsim.extras import optional

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
        found: FloatArray = np.exp(log - logsumexp(log, axis=1, keepdims=True))
        return found

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


def fit_mixture(power_w: FloatArray, seed: int, states: int = STATES) -> Mixture:
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
it of a handful of lonely samples (a step in which work began, a slip of the meter) and, between
them, of all states. On the measured 14B run four samples between rest and work made one of 97 W,
whose draws, a twentieth of all, were false dips and spikes."""
MOST_STATES = 14
"""Twelve were enough for the 14B run; more would follow single samples."""


def fit_states(power_w: FloatArray, seed: int) -> Mixture:
    """As `fit_mixture`, with up to MOST_STATES states, two more at a time, while one is WIDE."""
    limit_w = WIDE * float(np.ptp(power_w))
    for states in range(STATES, MOST_STATES + 1, 2):
        found = fit_mixture(power_w, seed, states)
        if found.std_w.max() <= limit_w:
            break
    return found


HEADROOM_STATES = 4
HEADROOM_SIGMA = 2.0
HEADROOM_WEIGHT = 0.05
"""Of the states above those of a mixture, together: they are for work beyond it."""


def with_headroom(mixture: Mixture, power_w: FloatArray, seed: int) -> Mixture:
    """The mixture, and states for those of the watts that lie above all of its own."""
    top_w = float((mixture.mean_w + HEADROOM_SIGMA * mixture.std_w).max())
    above = power_w[power_w > top_w]
    if len(above) < 40:
        return mixture
    more = fit_mixture(above, seed, HEADROOM_STATES)
    return Mixture(
        np.concatenate([(1 - HEADROOM_WEIGHT) * mixture.weight, HEADROOM_WEIGHT * more.weight]),
        np.concatenate([mixture.mean_w, more.mean_w]),
        np.concatenate([mixture.std_w, more.std_w]),
    )


PUBLISHED_GPUS = {"A100": "a100-sxm-80gb", "H100": "h100-sxm-80gb"}


def published_key(name: str) -> str:
    """`ReplicaConfig.key` of a published file's name, such as `llama-3-8b_A100_tp1`.

    Raises ValueError for a name of another form.
    """
    try:
        model, gpu, parallel = name.rsplit("_", maxsplit=2)
        return f"{model}/{PUBLISHED_GPUS[gpu]}/tp{int(parallel.removeprefix('tp'))}"
    except (ValueError, KeyError) as error:
        raise ValueError(f"{name}: expected MODEL_GPU_tpN, GPU one of A100, H100") from error


def split_key(key: str) -> tuple[str, str, int]:
    """Model, GPU and tensor parallel size of a `ReplicaConfig.key`."""
    model, gpu, parallel = key.split("/")
    return model, gpu, int(parallel.removeprefix("tp"))


def _said(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def read_published(file: Path) -> tuple[Mixture, float | None]:
    """A published configuration's mixture, and its weighted within-state lag-one correlation
    where that was published too (in the folder `ar1` beside the file's own).

    Raises ValueError, naming the file, where there is no usable mixture in it.
    """
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        weight, mean_w, variance = (
            np.array(table[name], dtype=np.float64) for name in ("weight", "mean_w", "variance_w2")
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: expected JSON with lists weight, mean_w and variance_w2 ({_said(error)})"
        ) from error
    if not len(weight) or not len(weight) == len(mean_w) == len(variance):
        raise ValueError(f"{file}: weight, mean_w and variance_w2 must be as long as each other")
    everything = np.concatenate([weight, mean_w, variance])
    if not np.isfinite(everything).all() or (everything < 0).any() or weight.sum() <= 0:
        raise ValueError(f"{file}: weight, mean_w and variance_w2 must be finite and positive")
    order = np.argsort(mean_w)
    mixture = Mixture(weight[order] / weight.sum(), mean_w[order], np.sqrt(variance[order]))
    beside = file.parent.parent / "ar1" / file.name
    if not beside.is_file():
        return mixture, None
    phi = np.array(json.loads(beside.read_text(encoding="utf-8"))["phi"])[order]
    return mixture, float((mixture.weight * phi).sum())


def distance(power_w: FloatArray, mixture: Mixture) -> float:
    """Kolmogorov-Smirnov distance between samples and a mixture."""
    return float(scipy.stats.kstest(power_w, mixture.cdf, method="asymp").statistic)
