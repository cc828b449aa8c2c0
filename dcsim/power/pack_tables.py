"""Which of a pack's tables speaks for a configuration: its own, a general one, or the nearest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dcsim.hardware.catalogue import Catalogue
from dcsim.ledger import ReplicaConfig, split_key
from dcsim.power.model import Provenance
from dcsim.power.pack import FALLBACK_KINDS, ModelKind, Pack, States, any_key, model_kind
from dcsim.spec.nearest import nearest_few

KIND_NAMES: dict[ModelKind, str] = {
    "dense": "a dense model",
    "experts": "a model with experts of 16 bits",
    "narrow-experts": "a model with experts of fewer than 16 bits",
}
IN_COMMON = " have in common: "
"""In a general table's source, before the list of the configurations that taught it."""


class PackTables:
    """The tables of a pack, for any configuration on its GPUs."""

    def __init__(self, pack: Pack, catalogue: Catalogue) -> None:
        self._pack = pack
        self._catalogue = catalogue

    def states(self, config: ReplicaConfig) -> States:
        """The configuration's own table, the general one of its kind, or else per-GPU states of the
        configuration on the same GPU whose weights a GPU are nearest, by ratio."""
        configs = self._pack.configs
        key = config.key if config.key in configs else self.general_key(config)
        if key is not None:
            return configs[key]
        on_gpu = [key for key in self._pack.known if split_key(key)[1] == config.gpu]
        donor = min(on_gpu, key=lambda key: self._distance(key, config))
        scale = np.float32(config.gpus / split_key(donor)[2])
        states = configs[donor]
        return replace(
            states,
            mean_w=states.mean_w * scale,
            std_w=states.std_w * scale,
            evidence="extrapolated",
            source=f"per-GPU states of {donor} ({states.source})",
            figures={},
        )

    def general_key(self, config: ReplicaConfig) -> str | None:
        """The table that stands for configurations of this kind which have none."""
        kind = model_kind(self._catalogue.models[config.model])
        keys = [any_key(config.gpu, alike) for alike in (kind, *FALLBACK_KINDS[kind])]
        return next((key for key in keys if key in self._pack.configs), None)

    def is_relative(self, config: ReplicaConfig) -> bool:
        """Whether the configuration's states are ratios to the linear ledger model."""
        return config.key not in self._pack.configs and self.general_key(config) is not None

    def highest_w(self, config: ReplicaConfig) -> float:
        """Three sigma above the configuration's highest state. Where states are ratios, of the
        highest that any configuration was measured in on that GPU, for as many GPUs; 0 where none
        was."""
        if not self.is_relative(config):
            return _highest_w(self.states(config))
        per_gpu_w = (
            _highest_w(table) / split_key(key)[2]
            for key, table in self._pack.configs.items()
            if table.evidence == "fitted" and split_key(key)[1] == config.gpu
        )
        return config.gpus * max(per_gpu_w, default=0.0)

    def provenance(self, config: ReplicaConfig) -> Provenance:
        """What the configuration's watts rest on. Of the configurations that taught a general
        table, the few most alike are named."""
        table = self.states(config)
        source = table.source
        if self.is_relative(config):
            what, _, taught_by = source.partition(IN_COMMON)
            if taught_by:
                source = what + IN_COMMON + nearest_few(config.key, taught_by.split(", "))
            low, high = (
                table.figures.get(f"unseen_mean_bias_pct_{edge}") for edge in ("p10", "p90")
            )
            if low is not None and high is not None:
                source += (
                    f"; on configurations left out the mean was off by {low:+.0f} to {high:+.0f} %"
                )
            kind = model_kind(self._catalogue.models[config.model])
            if self.general_key(config) != any_key(config.gpu, kind):
                source += f"; none of them is like {config.model}, {KIND_NAMES[kind]}"
        unseen_pct = table.figures.get("unseen_mean_error_pct_median")
        error = None if unseen_pct is None else unseen_pct / 100.0
        return Provenance(table.evidence, source, error)

    def _distance(self, key: str, config: ReplicaConfig) -> float:
        """Between weights a GPU, as a logarithm of their ratio."""
        model, _, gpus = split_key(key)
        bytes_per_gpu = self._catalogue.models[model].weight_bytes / gpus
        return abs(float(np.log(bytes_per_gpu / (config.weight_bytes / config.gpus))))


def _highest_w(table: States) -> float:
    """Three sigma above the highest state. A wide one below it may reach further on paper: it
    stands for all that lies between two levels, and was not seen there."""
    top = int(table.mean_w.argmax())
    return float(table.mean_w[top] + 3.0 * table.std_w[top])
