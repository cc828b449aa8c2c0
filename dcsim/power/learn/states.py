"""Power states: Gaussian mixtures of measured watts, and how watts belong to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp, ndtr

Float64 = npt.NDArray[np.float64]
STATES = 10
"""As many as the published configurations have (K = 10 throughout)."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of normal distributions of watts, states by rising mean; arrays of shape (K,)."""

    weight: Float64
    mean_w: Float64
    std_w: Float64

    def posterior(self, power_w: Float64) -> Float64:
        """Probability of each state given the watts: (n,) in, (n, K) out."""
        z = (power_w[:, None] - self.mean_w) / self.std_w
        log = np.log(self.weight) - np.log(self.std_w) - 0.5 * z * z
        found: Float64 = np.exp(log - logsumexp(log, axis=1, keepdims=True))
        return found

    def cdf(self, power_w: Float64, weight: Float64 | None = None) -> Float64:
        """Share of the mixture below the watts; `weight`, shape (n, K), in place of its own."""
        weight = self.weight if weight is None else weight
        below: Float64 = (weight * ndtr((power_w[:, None] - self.mean_w) / self.std_w)).sum(axis=1)
        return below

    def quantile(self, probability: Float64) -> Float64:
        """Watts below which these shares lie."""
        low = float((self.mean_w - 5 * self.std_w).min())
        high = float((self.mean_w + 5 * self.std_w).max())
        grid = np.linspace(low, high, 20001)
        return np.interp(probability, self.cdf(grid), grid)


def fit_mixture(power_w: Float64, seed: int, states: int = STATES) -> Mixture:
    """Fit by expectation maximisation (scikit-learn). Fewer states where samples, or different
    whole watts among them, are few: each should stand for at least 20 samples."""
    from sklearn.mixture import GaussianMixture

    distinct = len(np.unique(np.rint(power_w)))
    count = max(1, min(states, distinct, len(power_w) // 20))
    model = GaussianMixture(count, n_init=3, reg_covar=1.0, max_iter=300, random_state=seed)
    model.fit(power_w[:, None])
    order = np.argsort(model.means_[:, 0])
    order = order[model.weights_[order] > 0.1 / len(power_w)]  # components left with nothing
    return Mixture(
        weight=model.weights_[order] / model.weights_[order].sum(),
        mean_w=model.means_[order, 0],
        std_w=np.sqrt(model.covariances_[order, 0, 0]),
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


def read_published(folder: Path, name: str) -> tuple[Mixture, float | None]:
    """A published configuration's mixture, and its weighted within-state lag-one correlation
    where that was published too."""
    table = json.loads((folder / "state_distributions" / f"{name}.json").read_text())
    order = np.argsort(table["mean_w"])
    mixture = Mixture(
        weight=np.array(table["weight"])[order] / sum(table["weight"]),
        mean_w=np.array(table["mean_w"])[order],
        std_w=np.sqrt(np.array(table["variance_w2"])[order]),
    )
    file = folder / "ar1" / f"{name}.json"
    if not file.is_file():
        return mixture, None
    phi = np.array(json.loads(file.read_text())["phi"])[order]
    return mixture, float((mixture.weight * phi).sum())
