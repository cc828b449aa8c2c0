"""Continuous loads: what a node may carry for three hours or more, and by which rule."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.demand import Crossing, NodeLimits
from dcsim.facility.tally import LimitSpec
from dcsim.plant.topology import Topology
from dcsim.scenario.models import FacilityNode, Limits

CONTINUOUS_S = 3 * 3600.0
"""NEC Article 100: a load whose maximum current is expected to continue for three hours or more."""
BLOCK_S = 60.0
"""The mean over three hours moves on by this: a ring of power steps would be 43,200 long."""
STANDARD = 0.8
"""Share of a standard-rated breaker's rating that a continuous load may take."""
OUTPUT_RATED = {
    "ups": "rated for continuous output (IEC 62040-3)",
    "transformer": "rated for continuous load (IEEE C57.12.01, IEC 60076-11)",
}
SUPPLIED = ("site", "utility")
"""Their ratings are what a supplier grants, unless a breaker stands there."""


def allowance(spec: FacilityNode, limits: Limits) -> tuple[float, str]:
    """The share of its rating that a node may carry for good, and the rule that says so."""
    if spec.continuous is not None:
        if spec.continuous >= 1.0:
            return 1.0, "100 %-rated, as the scenario says"
        return spec.continuous, f"{spec.continuous:.4g} of the rating, as the scenario says"
    if spec.kind in OUTPUT_RATED:
        return 1.0, OUTPUT_RATED[spec.kind]
    if spec.kind in SUPPLIED and spec.breaker is None:
        return 1.0, "what the supply grants"
    if limits.continuous == "iec":
        return 1.0, "IEC 60364-4-43, 433.1: design current at most the rated current"
    return STANDARD, "NEC 210.20(A), 215.3: 80 % of a standard-rated breaker"


class ContinuousMonitor(NodeLimits):
    """Highest mean over three hours of every rated node, held to its continuous allowance.

    Means move on by the minute. Where less than three hours have been measured, `finish` judges
    the mean over what there is. Servers count only where the scenario states their share.
    """

    def __init__(
        self, topology: Topology, limits: Limits, step_s: float, count_from_s: float = 0.0
    ) -> None:
        specs = topology.specs
        nodes = [
            node
            for node in np.flatnonzero(np.isfinite(topology.rating_w)).tolist()
            if specs[node].kind != "server" or specs[node].continuous is not None
        ]
        super().__init__(nodes, CONTINUOUS_S)
        allowances = [allowance(specs[node], limits) for node in nodes]
        self.limit_w = topology.rating_w[self.nodes] * np.array([share for share, _ in allowances])
        self._rules = [rule for _, rule in allowances]
        self._step_s = step_s
        self._block_steps = max(1, round(BLOCK_S / step_s))
        blocks = max(1, round(CONTINUOUS_S / (self._block_steps * step_s)))
        self._ring = np.zeros((blocks, len(nodes)))
        self._blocks = 0
        self._sum = np.zeros(len(topology.names))
        self._steps = 0
        self._count_from_s = count_from_s

    def step(self, now_s: float, felt_w: FloatArray) -> list[Crossing]:
        """Take one step's loads as ratings feel them, shape (nodes,); what changed."""
        if not len(self.nodes) or now_s - self._step_s < self._count_from_s - 1e-6:
            return []
        self._sum += felt_w
        self._steps += 1
        if self._steps < self._block_steps:
            return []
        self._ring[self._blocks % len(self._ring)] = self._sum[self.nodes] / self._steps
        self._sum[:] = 0.0
        self._steps = 0
        self._blocks += 1
        if self._blocks < len(self._ring):
            return []
        held_s = self._block_steps * self._step_s
        return self._judge(now_s, held_s, self._ring.mean(axis=0), self.limit_w)

    def finish(self, now_s: float) -> list[Crossing]:
        """Judge a run that was shorter than three hours by the mean over all of it."""
        steps = self._blocks * self._block_steps + self._steps
        if not len(self.nodes) or self._blocks >= len(self._ring) or not steps:
            return []
        total_w = self._ring[: self._blocks].sum(axis=0) * self._block_steps
        mean_w = (total_w + self._sum[self.nodes]) / steps
        return self._judge(now_s, steps * self._step_s, mean_w, self.limit_w)

    @property
    def measured_s(self) -> float:
        """What the means are over: three hours, or what there is."""
        if self._blocks >= len(self._ring):
            return len(self._ring) * self._block_steps * self._step_s
        return (self._blocks * self._block_steps + self._steps) * self._step_s

    def specs(self) -> list[LimitSpec]:
        """The limits in words."""
        short = self.measured_s > 0.0 and self._blocks < len(self._ring)
        over = "; mean of all that was measured, less than 3 h" if short else ""
        return [
            LimitSpec(node, "continuous", rule + over, CONTINUOUS_S)
            for node, rule in zip(self.nodes.tolist(), self._rules, strict=True)
        ]
