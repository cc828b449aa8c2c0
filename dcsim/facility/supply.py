"""Which nodes have power, and by which of their feeds."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.facility.tolerance import ROUNDING_S
from dcsim.plant.topology import Topology

TRANSFER_S = {"share": 0.0, "primary": 0.010, "static": 0.004}
"""Where a scenario says nothing: about a quarter cycle for a static switch, and half a cycle for a
relay's; both within what servers' power supplies hold."""
TO_BATTERY_S = {"double-conversion": 0.0, "eco": 0.004, "line-interactive": 0.006}
"""A UPS's gap when its battery takes over, where a scenario says nothing. Assumed, as makers state
for present units."""


class Supply:
    """Which nodes are energised: worked out again whenever something fails or is restored.

    A node has power while it is in order itself, and one of its feeds has power or its battery
    carries it. A UPS on its static bypass has power while one of its feeds has. Arrays are in node
    order; `healthy`, `open`, `bypass` and `rides_through` are set from outside.
    """

    def __init__(self, topology: Topology, step_s: float = 0.25) -> None:
        """`step_s`: a switch that takes less is done within the step; what hangs below is then
        without voltage for its `gap_s`, not for the step."""
        count = len(topology.names)
        self.healthy = np.ones(count, dtype=bool)
        """In order: not failed."""
        self.open = np.zeros(count, dtype=bool)
        """Its breaker is open."""
        self.bypass = np.zeros(count, dtype=bool)
        """Its load is fed around it, in order or not; its battery does not carry it."""
        self.rides_through = np.zeros(count, dtype=bool)
        """Its battery would carry it."""
        self.energised = np.ones(count, dtype=bool)
        self.fed = np.ones(count, dtype=bool)
        """Gets power from above, through a feed or, for the site, from the grid."""
        self.weight = np.zeros(topology.feeds.shape)
        """Share of its load that each feed of a node carries."""
        self.transferred: list[int] = []
        """Nodes that went over to another feed at the last update."""
        self._feeds = topology.feeds
        kinds = [spec.transfer for spec in topology.specs]
        self._shares = np.array([kind == "share" for kind in kinds])
        self._returns = np.array([kind == "primary" for kind in kinds])
        transfer_s = [
            TRANSFER_S[spec.transfer] if spec.transfer_time_s is None else spec.transfer_time_s
            for spec in topology.specs
        ]
        self._transfer_s = np.array(transfer_s)
        self._to_battery_s = np.array(
            [
                0.0
                if spec.ups_mode is None
                else TO_BATTERY_S[spec.ups_mode]
                if spec.transfer_time_s is None or spec.feeds is not None
                else spec.transfer_time_s
                for spec in topology.specs
            ]
        )
        self._step_s = step_s
        self._cut_s = np.zeros(count)
        """Of each node, its own switch's gap at the last update."""
        self._bridges: BoolArray = np.zeros(count, dtype=bool)
        """Its battery carries it, or would."""
        self.gap_s = np.zeros(count)
        """How long each node that has power now was without voltage at the last update."""
        self._dead_until_s = np.full(count, -np.inf)
        """A switch under way has no output until then."""
        self.slot = np.zeros(count, dtype=np.int64)
        """The feed that each node's switch stands on."""
        self._levels = topology.by_depth()
        self.update(0.0)

    def next_s(self, now_s: float) -> float:
        """When the next transfer under way is done; infinite where there is none."""
        due = self._dead_until_s[self._dead_until_s > now_s + ROUNDING_S]
        return float(due.min()) if len(due) else np.inf

    def update(self, now_s: float) -> None:
        """Work the state out, from the top down."""
        alive, fed, weight = self.energised, self.fed, self.weight
        was_fed = fed.copy()
        self.transferred = []
        self._cut_s[:] = 0.0
        passes = (self.healthy & ~self.open) | self.bypass
        carries = self._bridges = self.rides_through & passes & ~self.bypass
        root = self._levels[0]
        fed[root] = True
        alive[root] = passes[root]
        for nodes in self._levels[1:]:
            feeds = self._feeds[nodes]
            live: BoolArray = (feeds >= 0) & alive[feeds]
            any_live = np.logical_or.reduce(live, axis=1)
            slot = self._choose(nodes, live, any_live, now_s)
            through = any_live & (self._dead_until_s[nodes] <= now_s + ROUNDING_S)
            chosen = np.zeros(live.shape)
            chosen[np.arange(len(nodes)), slot] = 1.0
            shared = live / np.maximum(live.sum(axis=1), 1)[:, None]
            share = np.where(self._shares[nodes, None], shared, chosen)
            # A failed node takes nothing from above, nor does one whose breaker is open.
            through &= passes[nodes]
            weight[nodes] = share * through[:, None]
            fed[nodes] = through
            alive[nodes] = through | carries[nodes]
        left = was_fed & ~fed & carries
        self._cut_s[left] = self._to_battery_s[left]
        self._gaps()

    def without(self, node: int) -> tuple[FloatArray, BoolArray]:
        """Weights and energised nodes if `node` were lost with all else in order, transfers done.
        For a supply that is asked nothing else."""
        self.healthy[:] = True
        self.slot[:] = 0
        self._dead_until_s[:] = -np.inf
        self.update(0.0)
        self.healthy[node] = False
        self.update(0.0)
        if np.isfinite(after_s := self.next_s(0.0)):
            self.update(after_s + 1.0)
        return self.weight.copy(), self.energised.copy()

    def cut_nodes(self) -> list[int]:
        """Nodes whose own switch left a gap at the last update."""
        return np.flatnonzero(self._cut_s).tolist()

    def _gaps(self) -> None:
        """How long each node was without voltage while switches went over, those that take longer
        than a step apart."""
        self.gap_s[:] = 0.0
        live = np.zeros(len(self.gap_s), dtype=bool)
        for cut_s in np.unique(self._cut_s[self._cut_s > 0.0]).tolist():
            live[:] = self._cut_s < cut_s
            live &= self.energised
            for nodes in self._levels[1:]:
                through = ((self.weight[nodes] > 0.0) & live[self._feeds[nodes]]).any(axis=1)
                live[nodes] &= through | self._bridges[nodes]
            self.gap_s[self.energised & ~live] = cut_s

    def _choose(
        self, nodes: IntArray, live: BoolArray, any_live: BoolArray, now_s: float
    ) -> IntArray:
        """The feed that each node's switch stands on. Leaving a dead feed takes the switch its
        time; going back to a better one does not, because both live."""
        old = self.slot[nodes]
        first = live.argmax(axis=1)
        stays = live[np.arange(len(nodes)), old]
        new = np.where(stays & ~self._returns[nodes], old, first)
        new = np.where(any_live, new, old)
        moved = (new != old) & ~self._shares[nodes]
        if moved.any():
            late = nodes[moved & ~stays]
            gap_s = self._transfer_s[late]
            slow = gap_s > self._step_s - ROUNDING_S
            self._dead_until_s[late[slow]] = now_s + gap_s[slow]
            self._cut_s[late[~slow]] = gap_s[~slow]
            self.transferred += nodes[moved].tolist()
            self.slot[nodes] = new
        return np.where(self._shares[nodes], first, new)
