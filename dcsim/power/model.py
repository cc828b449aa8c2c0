"""The power-model contract: work in, watts out, one batched call a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.ledger import ReplicaConfig, WorkLedger

Evidence = Literal["measured", "fitted", "extrapolated"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model's watts come from. `evidence` is the weakest kind that entered them."""

    evidence: Evidence
    source: str
    """One line: data sets, fits and assumptions, fit to print beside a figure."""
    error: float | None = None
    """Median absolute error of mean watts on what the model has not seen, as a share; None where
    nobody has looked."""


@runtime_checkable
class PowerModel(Protocol):
    """Causal and batched: one call a step serves every replica that shares the model.

    `watts` are those of a replica's own GPUs (tensor parallel of them); the rest of the server
    is the chassis model's business.
    """

    name: str
    pack: str | None

    def reset(
        self, configs: Sequence[ReplicaConfig], step_s: float, seed: np.random.SeedSequence
    ) -> None:
        """Forget the past and prepare for `len(configs)` replicas stepping every `step_s`."""

    def step(self, ledger: WorkLedger) -> FloatArray:
        """GPU watts of each replica over the step just ended, shape (n,). The array may be
        reused by the next call."""

    def provenance(self, config: ReplicaConfig) -> Provenance:
        """Evidence behind the watts of one configuration."""
