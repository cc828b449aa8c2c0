"""Published power states: mixtures of measured watts, and models held against them.

powertrace-sim publishes one mixture a configuration, of all runs of a campaign at six rates
(docs/reference/method.md, Measured campaigns). Nothing else of those runs is known, so a model is
compared with the pooled watts of the same campaign, simulated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.bench import campaign
from dcsim.lab.learn.evaluate import generate_readings
from dcsim.lab.learn.states import Mixture, distance
from dcsim.ledger import ReplicaConfig
from dcsim.power.model import PowerModel

PUBLISHED_GPUS = {"A100": "a100-sxm-80gb", "H100": "h100-sxm-80gb"}


def published_key(name: str) -> str:
    """`ReplicaConfig.key` of a published file's name, such as `llama-3-8b_A100_tp1`.

    Raises
    ------
    ValueError
        For a name of another form.
    """
    try:
        model, gpu, parallel = name.rsplit("_", maxsplit=2)
        return f"{model}/{PUBLISHED_GPUS[gpu]}/tp{int(parallel.removeprefix('tp'))}"
    except (ValueError, KeyError) as error:
        raise ValueError(f"{name}: expected MODEL_GPU_tpN, GPU one of A100, H100") from error


def read_published(file: Path) -> tuple[Mixture, float | None]:
    """A published configuration's mixture, and its weighted within-state lag-one correlation
    where that was published too (in the folder `ar1` beside the file's own).

    Raises
    ------
    ValueError
        If there is no usable mixture in the file, which is named.
    """
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        weight, mean_w, variance = (
            np.array(table[name], dtype=np.float64) for name in ("weight", "mean_w", "variance_w2")
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{file}: expected JSON with lists weight, mean_w and variance_w2 ({why})"
        ) from error
    if not len(weight) or not len(weight) == len(mean_w) == len(variance):
        raise ValueError(f"{file}: weight, mean_w and variance_w2 must be as long as each other")
    everything = np.concatenate([weight, mean_w, variance])
    if not np.isfinite(everything).all() or (everything < 0).any() or weight.sum() <= 0:
        raise ValueError(f"{file}: weight, mean_w and variance_w2 must be finite and positive")
    order = np.argsort(mean_w)
    mixture = Mixture(weight[order] / weight.sum(), mean_w[order], np.sqrt(variance[order]))
    correlations = file.parent.parent / "ar1" / file.name
    if not correlations.is_file():
        return mixture, None
    phi = np.array(json.loads(correlations.read_text(encoding="utf-8"))["phi"])[order]
    return mixture, float((mixture.weight * phi).sum())


@dataclass(frozen=True)
class CampaignFit:
    """A model's pooled watts over a simulated campaign, beside the published mixture."""

    mean_w: float
    measured_mean_w: float
    ks: float
    """Kolmogorov-Smirnov distance of the two distributions."""

    @property
    def mean_bias_pct(self) -> float:
        """Signed error of the mean."""
        return 100.0 * (self.mean_w / self.measured_mean_w - 1.0)


def fit_to_campaign(
    model: PowerModel,
    config: ReplicaConfig,
    mixture: Mixture,
    catalogue: Catalogue,
    seed: int,
    repeats: int,
) -> CampaignFit:
    """Simulate the six-rate campaign behind a published mixture, `repeats` runs at each rate, and
    compare what the GPU's sensor would show of the model's watts with it.

    Nothing is fitted: arrivals and lengths are drawn, batches simulated, power drawn.
    """
    work = campaign(config, catalogue, seed, repeats)
    watts = np.concatenate([generate_readings(model, series, 1)[:, 0] for series in work])
    return CampaignFit(float(watts.mean()), mixture.mean(), distance(watts, mixture))
