"""Static bypasses of UPS: when a UPS has failed or is overloaded, its load is fed around it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dcsim.arrays import BoolArray, FloatArray
from dcsim.facility.curves import is_table
from dcsim.facility.tolerance import ROUNDING_S
from dcsim.hardware.curves import Curve
from dcsim.plant.topology import Topology

RETURN_AFTER_S = 60.0
"""An overloaded UPS takes its load back when this has been below its rating for so long.
Assumed: makers let the time be set, from some seconds to minutes."""


class Bypass:
    """Which UPS stand on their bypass, and why. Arrays are in node order.

    A UPS with a bypass goes over to it, without a gap, when it fails or when its overload table has
    run out; in battery mode there is nothing to go over to, and its load is dropped until the
    supply is back. It takes its load back when it is repaired, or RETURN_AFTER_S after the end of
    the overload.
    """

    def __init__(self, topology: Topology, curves: Mapping[str, Curve]) -> None:
        specs = topology.specs
        count = len(specs)
        self.exists = any(spec.has_bypass for spec in specs)
        self._has = np.array([spec.has_bypass for spec in specs])
        self._by_table = np.array(
            [
                spec.has_bypass
                and spec.breaker is not None
                and is_table(spec.breaker, curves, ups=True)
                for spec in specs
            ]
        )
        self._rating_w = topology.rating_w
        self.overloaded = np.zeros(count, dtype=bool)
        """Its table has run out, and its load has not yet been below its rating for long enough."""
        self.broken = np.zeros(count, dtype=np.int64)
        """Faults that hold the bypass itself."""
        self._calm_s = np.zeros(count)

    def takes(self, node: int) -> bool:
        """Whether the end of a node's overload table is met by its bypass, not by a breaker."""
        if not self._by_table[node] or self.broken[node]:
            return False
        self.overloaded[node] = True
        self._calm_s[node] = 0.0
        return True

    def release(self, node: int) -> None:
        """End the overload of a node by hand."""
        self.overloaded[node] = False

    def calm(self, step_s: float, felt_w: FloatArray, fed: BoolArray) -> list[int]:
        """Nodes whose overload has ended by the end of a step at these loads."""
        if not self.overloaded.any():
            return []
        low = self.overloaded & fed & (felt_w < self._rating_w)
        self._calm_s = np.where(low, self._calm_s + step_s, 0.0)
        ended = np.flatnonzero(low & (self._calm_s >= RETURN_AFTER_S - ROUNDING_S)).tolist()
        self.overloaded[ended] = False
        return ended

    def state(self, healthy: BoolArray) -> BoolArray:
        """Which stand on their bypass, where `healthy` are in order."""
        on: BoolArray = self._has & (self.overloaded | ~healthy) & (self.broken == 0)
        return on
