"""Models that know no work: every replica at the same watts, always."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.model import Provenance


class ConstantPower:
    """Watts of a replica by its configuration, whenever it has power.

    Parameters
    ----------
    name
        As scenarios call the model.
    watts_of
        Watts of a replica; may raise ValueError for one of which they are unknown.
    source
        What the watts stand on, fit to print beside a figure.
    """

    pack: str | None = None

    def __init__(self, name: str, watts_of: Callable[[ReplicaConfig], float], source: str) -> None:
        self.name = name
        self._watts_of = watts_of
        self._source = source
        self._watts = np.zeros(0)

    def reset(
        self, configs: Sequence[ReplicaConfig], step_s: float, seed: np.random.SeedSequence
    ) -> None:
        """Raises ValueError for a replica of which the watts are unknown."""
        self._watts = np.array([self._watts_of(config) for config in configs], dtype=np.float64)

    def step(self, ledger: WorkLedger) -> FloatArray:
        return np.where(ledger.state == GpuState.OFF, 0.0, self._watts)

    def provenance(self, config: ReplicaConfig) -> Provenance:
        return Provenance("extrapolated", self._source)


def board_limit() -> ConstantPower:
    """GPUs x board limit. Measured servers have drawn more: fans under load come on top, and boards
    overshoot."""
    return ConstantPower(
        "board-limit",
        lambda config: config.gpus * config.gpu_nameplate_w,
        "board power limit of the data sheet; not a measurement",
    )


def label() -> ConstantPower:
    """The label of the server, less its constant watts, in equal parts to its replicas: what is
    provisioned for without traces. The sum of a server's replicas and its constant watts is the
    label."""
    return ConstantPower("label", _label_w, "the label of the server's maker; not a measurement")


def _label_w(config: ReplicaConfig) -> float:
    if config.label_w is None:
        raise ValueError("nameplate: a replica outside of a server has no label")
    return config.label_w
