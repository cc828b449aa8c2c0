"""Loads from the servers up to the site: shares of feeds, losses, own loads, storage, phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.facility.battery import Batteries
from dcsim.facility.losses import LossLine
from dcsim.facility.phases import Phases
from dcsim.facility.supply import Supply
from dcsim.hardware.curves import LossCurve
from dcsim.plant.topology import Topology

BYPASS_LOSSES = "ups-eco"
"""Loss curve of a UPS on its static bypass, which is the path of the economy mode."""


@dataclass(slots=True)
class FlowLevel:
    """Nodes whose children are all on lower levels, and the edges to these, by parent."""

    nodes: IntArray
    child: IntArray
    slot: IntArray
    starts: IntArray
    weight: FloatArray
    lossy: list[tuple[IntArray, FloatArray, LossLine]]
    """For each loss curve: nodes, ratings, and the line."""
    batteries: slice
    battery_at: IntArray
    """Places in `nodes` of the level's batteries."""


class Flow:
    """What every node draws from above, step by step.

    A node's draw is the sum of its children's draws (their shares through it), its own load, its
    loss, and what its battery takes less what it gives; a node without supply draws nothing. Watts
    in node order: `node_w` (draws), `loss_w`, `own_w`, `battery_w` (taken less given).

    Plain trees are one segmented sum, diagrams of several feeds without losses and storage one
    sparse product, compiled again when feeds change; all others go level by level.
    """

    def __init__(
        self,
        topology: Topology,
        supply: Supply,
        losses: Mapping[str, LossCurve],
        *,
        own_loads: bool = False,
    ) -> None:
        """`own_loads`: whether `own_w` will be used."""
        self._topology = topology
        self._supply = supply
        count = len(topology.names)
        self.node_w = np.zeros(count)
        self.output_w = np.zeros(count)
        """What each node puts out: its draw without its loss and its battery."""
        self._rated_out = np.flatnonzero([spec.rated_at_output for spec in topology.specs])
        self.loss_w = np.zeros(count)
        self.own_w = np.zeros(count)
        """Loads of nodes themselves, such as cooling; set before each step."""
        self.battery_w = np.zeros(count)
        heights = topology.by_height()
        with_battery = [
            node
            for nodes in heights
            for node in nodes.tolist()
            if topology.specs[node].battery is not None
        ]
        self.battery_nodes = np.array(with_battery, dtype=np.int64)
        specs = [topology.specs[node].battery for node in with_battery]
        self.batteries = Batteries([spec for spec in specs if spec is not None])
        lines = {name: LossLine(curve) for name, curve in losses.items()}
        self._bypass_line = lines.get(BYPASS_LOSSES)
        lossy = any(spec.losses is not None for spec in topology.specs)
        self.by_level = lossy or own_loads or bool(with_battery)
        """Whether more is to be done than to add."""
        self._levels: list[FlowLevel] = []
        begun = 0
        for nodes in heights:
            level = _level(topology, nodes, lines, begun)
            begun = level.batteries.stop
            self._levels.append(level)
        self.phases = Phases.build(topology)
        self.energy_j = {"it": 0.0, "losses": 0.0, "own": 0.0, "charged": 0.0, "discharged": 0.0}
        """Since the start, over all nodes; what came in from the grid is their sum, discharged
        counted negative."""
        self.used_j = 0.0
        """Since the start, from the grid or from batteries: servers, losses, own loads, and what
        charging loses."""
        self._shares: Any = None
        self.rewire()

    def rewire(self) -> None:
        """Feeds have changed."""
        weight = self._supply.weight
        for level in self._levels:
            level.weight = weight[level.child, level.slot]
        if not self._topology.is_tree and not self.by_level:
            self._shares = self._topology.carried(weight)

    def step(self, server_w: FloatArray, step_s: float) -> FloatArray:
        """Draws of all nodes, shape (nodes,), from those of the servers; reused by the next call.

        `server_w` are the servers' own draws: 0 for those without power.
        """
        if self.by_level:
            node_w = self._step_by_level(server_w, step_s)
        elif self._topology.is_tree:
            node_w = self._topology.sum_loads(server_w)
        else:
            node_w = self._shares @ server_w
        self.node_w = node_w
        self._book(server_w, step_s)
        if self.phases is not None:
            self._split(self.phases, node_w)
        return node_w

    def felt_w(self, node_w: FloatArray) -> FloatArray:
        """The draws of the last step as ratings feel them: what a UPS or a transformer puts out,
        the worst of three poles, apparent power where rated so."""
        phases = self.phases
        if self.by_level:
            node_w = node_w.copy()
            node_w[self._rated_out] = self.output_w[self._rated_out]
        if phases is None:
            return node_w
        topology = self._topology
        felt_w = phases.worst_pole_w(node_w)
        rated = np.flatnonzero(np.isfinite(topology.apparent_va))
        share = phases.apparent_va(node_w)[rated] / topology.apparent_va[rated]
        felt_w[rated] = np.maximum(felt_w[rated], share * topology.rating_w[rated])
        return felt_w

    def _step_by_level(self, server_w: FloatArray, step_s: float) -> FloatArray:
        node_w = self.node_w
        fed, on, bypass = self._supply.fed, self._supply.energised, self._supply.bypass
        some_bypass = bool(bypass.any())
        node_w[:] = self.own_w
        node_w[self._topology.server_nodes] += server_w
        for level in self._levels:
            nodes = level.nodes
            if len(level.child):
                node_w[nodes] += np.add.reduceat(node_w[level.child] * level.weight, level.starts)
            self.output_w[nodes] = node_w[nodes]
            for places, rating_w, line in level.lossy:
                loss_w = line.loss_w(node_w[places], rating_w)
                if some_bypass and self._bypass_line is not None:
                    around_w = self._bypass_line.loss_w(node_w[places], rating_w)
                    loss_w = np.where(bypass[places], around_w, loss_w)
                loss_w *= on[places]
                self.loss_w[places] = loss_w
                node_w[places] += loss_w
            if len(level.battery_at):
                places = nodes[level.battery_at]
                # On its bypass a UPS does nothing: neither shaves nor charges.
                works = on[places] & ~bypass[places]
                net_w = self.batteries.step(
                    level.batteries, node_w[places], fed[places], works, step_s
                )
                self.battery_w[places] = net_w
                node_w[places] += net_w
        return node_w

    def _book(self, server_w: FloatArray, step_s: float) -> None:
        energy_j = self.energy_j
        it_w = float(np.add.reduce(server_w))
        energy_j["it"] += it_w * step_s
        self.used_j += it_w * step_s
        if not self.by_level:
            return
        losses_w, own_w = float(self.loss_w.sum()), float(self.own_w.sum())
        energy_j["losses"] += losses_w * step_s
        energy_j["own"] += own_w * step_s
        self.used_j += (losses_w + own_w) * step_s
        if len(self.batteries):
            taken_w = self.batteries.taken_w
            energy_j["charged"] += float(taken_w.sum()) * step_s
            self.used_j += float(((1.0 - self.batteries.efficiency) * taken_w).sum()) * step_s
            energy_j["discharged"] += float(self.batteries.given_w.sum()) * step_s

    def _split(self, phases: Phases, node_w: FloatArray) -> None:
        phases.begin(self._topology.server_nodes, node_w)
        for level in self._levels:
            if len(level.child):
                phases.lift(
                    level.nodes,
                    level.child,
                    level.starts,
                    level.weight,
                    node_w,
                    self.own_w,
                    self._supply.bypass,
                )


def _level(
    topology: Topology, nodes: IntArray, lines: Mapping[str, LossLine], batteries: int
) -> FlowLevel:
    place = {node: i for i, node in enumerate(nodes.tolist())}
    child, slot = np.nonzero(np.isin(topology.feeds, nodes) & (topology.feeds >= 0))
    parent = topology.feeds[child, slot]
    order = np.lexsort((slot, child, parent))
    starts = np.searchsorted(parent[order], nodes) if len(order) else np.zeros(0, dtype=np.int64)
    by_curve: dict[str, list[int]] = {}
    with_battery = []
    for node in nodes.tolist():
        spec = topology.specs[node]
        if spec.losses is not None:
            by_curve.setdefault(spec.losses, []).append(node)
        if spec.battery is not None:
            with_battery.append(node)
    return FlowLevel(
        nodes,
        child[order],
        slot[order],
        starts.astype(np.int64),
        np.zeros(len(order)),
        [
            (
                np.array(members),
                topology.rating_w[members],
                lines[name],
            )
            for name, members in by_curve.items()
        ],
        slice(batteries, batteries + len(with_battery)),
        np.array([place[node] for node in with_battery], dtype=np.int64),
    )
