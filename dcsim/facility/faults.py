"""What fails and is put right, and when: by the scenario's list, and by chance."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Literal, NamedTuple

import numpy as np

from dcsim import seeds
from dcsim.facility.tolerance import ROUNDING_S
from dcsim.plant.topology import Topology
from dcsim.scenario.models import Fault

Action = Literal["fail", "repair", "restore", "reclose"]


class Due(NamedTuple):
    """Something that happens to a node."""

    time_s: float
    number: int
    """Of those at one instant, first planned first done."""
    action: Action
    node: int
    by_chance: bool = False
    with_bypass: bool = False
    """Of a UPS: its static bypass, too."""


class Faults:
    """A calendar of faults and repairs.

    Random failures are exponential: up for `mtbf` on the average, then down for `mttr`. Each node
    has a random stream of its own, by name.
    """

    def __init__(
        self, topology: Topology, faults: Sequence[Fault], seed: np.random.SeedSequence
    ) -> None:
        """Raises KeyError for an unknown node."""
        self._due: list[Due] = []
        self._planned = 0
        for fault in faults:
            if fault.fail is not None:
                node = topology.find(fault.fail)
                whole = fault.with_bypass
                self.plan(fault.at_s, "fail", node, with_bypass=whole)
                if fault.repair_after_s is not None:
                    end_s = fault.at_s + fault.repair_after_s
                    self.plan(end_s, "repair", node, with_bypass=whole)
            elif fault.restore is not None:
                self.plan(fault.at_s, "restore", topology.find(fault.restore))
        self._chance: dict[int, tuple[np.random.Generator, float, float]] = {}
        for node, spec in enumerate(topology.specs):
            if spec.mtbf_s is not None and spec.mttr_s is not None:
                rng = seeds.generator(seed, topology.names[node])
                self._chance[node] = (rng, spec.mtbf_s, spec.mttr_s)
                self._draw(0.0, "fail", node)

    def plan(
        self,
        time_s: float,
        action: Action,
        node: int,
        *,
        by_chance: bool = False,
        with_bypass: bool = False,
    ) -> None:
        """Put something into the calendar."""
        heappush(self._due, Due(time_s, self._planned, action, node, by_chance, with_bypass))
        self._planned += 1

    def due(self, now_s: float) -> list[Due]:
        """What is due by now, in order; it is taken out."""
        if not self._due or self._due[0].time_s > now_s + ROUNDING_S:
            return []
        taken = []
        while self._due and self._due[0].time_s <= now_s + ROUNDING_S:
            due = heappop(self._due)
            taken.append(due)
            if due.by_chance:
                self._draw(due.time_s, "repair" if due.action == "fail" else "fail", due.node)
        return taken

    def _draw(self, since_s: float, action: Action, node: int) -> None:
        generator, mtbf_s, mttr_s = self._chance[node]
        after_s = generator.exponential(mtbf_s if action == "fail" else mttr_s)
        self.plan(since_s + after_s, action, node, by_chance=True)
