"""Mean power: every replica at its configuration's measured mean, always.

What a planner does who has one measuring campaign and no traces (docs/reference/method.md,
Baselines). Energy is right for the campaign's own load and for no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.errors import ConfigurationError
from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.baseline_tables import MeanRow, mean_table, no_mean
from dcsim.power.model import Provenance

UNSEEN_ERROR = 0.054
"""Of the energy of runs left out: -5.2 and +5.6 % (docs/fidelity-power.md)."""


class MeanPower:
    """Measured means by `ReplicaConfig.key`; the shipped ones unless others are given."""

    name: str = "mean"
    pack: str | None = None

    def __init__(self, table: Mapping[str, MeanRow] | None = None) -> None:
        self._table = mean_table() if table is None else table
        self._watts = np.zeros(0)

    def reset(
        self, configs: Sequence[ReplicaConfig], step_s: float, seed: np.random.SeedSequence
    ) -> None:
        """Raises ConfigurationError for a configuration whose mean was not measured."""
        for config in configs:
            if config.key not in self._table:
                raise ConfigurationError(no_mean(config.key, self._table))
        self._watts = np.array([self._table[config.key].watts for config in configs])

    def step(self, ledger: WorkLedger) -> FloatArray:
        return np.where(ledger.state == GpuState.OFF, 0.0, self._watts)

    def provenance(self, config: ReplicaConfig) -> Provenance:
        """KeyError for a configuration that `reset` refuses."""
        row = self._table[config.key]
        return Provenance("fitted", f"mean of measured power: {row.source}", UNSEEN_ERROR)
