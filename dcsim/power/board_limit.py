"""Board limits: every GPU at the power limit of its board, always."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.model import Provenance


class BoardLimit:
    """GPUs x board limit for every replica that has power. Measured servers have drawn more: fans
    under load come on top, and boards overshoot."""

    name: str = "board-limit"
    pack: str | None = None

    def __init__(self) -> None:
        self._watts = np.zeros(0)

    def reset(
        self, configs: Sequence[ReplicaConfig], step_s: float, seed: np.random.SeedSequence
    ) -> None:
        self._watts = np.array([c.gpus * c.gpu_nameplate_w for c in configs])

    def step(self, ledger: WorkLedger) -> FloatArray:
        return np.where(ledger.state == GpuState.OFF, 0.0, self._watts)

    def provenance(self, config: ReplicaConfig) -> Provenance:
        return Provenance("extrapolated", "board power limit of the data sheet; not a measurement")
