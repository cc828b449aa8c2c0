"""The protocol of all policies: telemetry in, commands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Site:
    """What a policy may know of the site before it starts. Arrays are in node order."""

    names: list[str]
    kinds: list[str]
    rating_w: npt.NDArray[np.float64]
    """NaN where unknown."""
    servers_under: dict[str, npt.NDArray[np.int64]]
    """Server indices under each node."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Loads as a policy sees them: measured at `measured_s`, shown `delay` later."""

    measured_s: float
    node_w: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Admit:
    """Let servers take new requests, or not. What they already have goes on."""

    servers: npt.NDArray[np.int64]
    allowed: bool
    node: str
    reason: str


Command = Admit


class Policy(Protocol):
    """Asked every `period_s`, shown telemetry `delay_s` old."""

    period_s: float
    delay_s: float

    def start(self, site: Site) -> None:
        """Called once before the run. Raises ValueError for a site it cannot work with."""

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        """Commands for the next power step."""
