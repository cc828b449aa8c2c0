"""Nameplate power: every server at what its maker's label says, always."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.model import Provenance


class Nameplate:
    """The label of the server, less its constant watts, in equal parts to its replicas.

    What is provisioned for without traces. The sum of a server's replicas and its constant watts
    is the label.
    """

    name: str = "label"
    pack: str | None = None

    def __init__(self) -> None:
        self._watts = np.zeros(0)

    def reset(
        self, configs: Sequence[ReplicaConfig], step_s: float, seed: np.random.SeedSequence
    ) -> None:
        """Raises ValueError for a replica of which no server's label is known."""
        known = [c.label_w for c in configs if c.label_w is not None]
        if len(known) < len(configs):
            raise ValueError("nameplate: a replica outside of a server has no label")
        self._watts = np.array(known, dtype=np.float64)

    def step(self, ledger: WorkLedger) -> FloatArray:
        return np.where(ledger.state == GpuState.OFF, 0.0, self._watts)

    def provenance(self, config: ReplicaConfig) -> Provenance:
        return Provenance("extrapolated", "the label of the server's maker; not a measurement")
