"""A work ledger over time of one replica: what a bench plays, a log tells and a model learns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.ledger import ReplicaConfig, WorkLedger
from dcsim.power.linear_ledger import LinearLedger

POWER_STEP_S = 0.25
"""What packs are trained on, and bench and logs are read at."""


class TimedRequest(NamedTuple):
    """A request as a client sent it."""

    at_s: float
    """On the clock of its log, or from a run's start."""
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class LedgerSeries:
    """A ledger over time of one replica: every column of `WorkLedger`, shape (steps,)."""

    config: ReplicaConfig
    step_s: float
    columns: dict[str, FloatArray]

    def __len__(self) -> int:
        return len(self.columns["running"])

    def ledger(self) -> WorkLedger:
        """All steps at once, as if they were replicas: for models without memory."""
        columns: dict[str, Any] = dict(self.columns)
        columns["state"] = columns["state"].astype(np.int64)
        return WorkLedger(step_s=self.step_s, **columns)

    def part(self, start: int, stop: int) -> LedgerSeries:
        """Consecutive steps."""
        columns = {name: values[start:stop] for name, values in self.columns.items()}
        return replace(self, columns=columns)

    def at(self, step: int, copies: int) -> WorkLedger:
        """One step, for so many replicas that do the same work."""
        columns = {
            name: np.repeat(values[step : step + 1], copies)
            for name, values in self.columns.items()
        }
        return replace(self, columns=columns).ledger()

    def linear_watts(self, catalogue: Catalogue) -> FloatArray:
        """The linear ledger model's watts, shape (steps,)."""
        model = LinearLedger(catalogue, phases=False)  # packs were trained on the law of means
        model.reset([self.config] * len(self), self.step_s, np.random.SeedSequence(0))
        return model.step(self.ledger())
