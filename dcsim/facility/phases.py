"""Three phases: what each line carries, imbalance, and apparent power."""

from __future__ import annotations

import networkx as nx
import numpy as np
import numpy.typing as npt

from dcsim.facility.topology import Topology

FloatArray = npt.NDArray[np.float64]
LINES = ("L1", "L2", "L3")


class Phases:
    """How each node's load is spread over L1, L2 and L3, and its reactive power.

    A single-phase node has all of its load on its line; a three-phase server has a third on each.
    Losses and battery power follow the load that passes, cooling is spread evenly. Reactive power
    adds up from the servers (their `power_factor`); losses and cooling have none.

    Arrays in node order: `spread` (3, nodes), columns sum to 1; `reactive_var`.
    """

    def __init__(self, topology: Topology, line: npt.NDArray[np.int64]) -> None:
        count = len(topology.names)
        self.line = line
        """0, 1 or 2 for single-phase nodes, -1 for three-phase ones."""
        self.spread = np.full((3, count), 1 / 3)
        single = line >= 0
        self.spread[:, single] = np.eye(3)[:, line[single]]
        self._single = single
        self.reactive_var = np.zeros(count)
        factor = np.array([spec.power_factor or 1.0 for spec in topology.specs])
        self._tan = np.sqrt(1.0 - factor**2) / factor

    @classmethod
    def build(cls, topology: Topology) -> Phases | None:
        """None where a site says nothing of phases and power factors."""
        specs = topology.specs
        if not any(s.phases == 1 or s.power_factor or s.apparent_rating_va for s in specs):
            return None
        return cls(topology, lines_of(topology))

    def begin(self, servers: npt.NDArray[np.int64], node_w: FloatArray) -> None:
        """Start a step at the servers."""
        self.reactive_var[:] = 0.0
        self.reactive_var[servers] = node_w[servers] * self._tan[servers]

    def lift(
        self,
        nodes: npt.NDArray[np.int64],
        child: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int64],
        weight: FloatArray,
        node_w: FloatArray,
        own_w: FloatArray,
    ) -> None:
        """Carry one level up: `weight` is the share of each `child` that flows to its parent."""
        lines_w = self.spread[:, child]
        lines_w *= node_w[child] * weight
        lines_w = np.add.reduceat(lines_w, starts, axis=1)
        lines_w += own_w[nodes] / 3.0
        total_w = lines_w[0] + lines_w[1] + lines_w[2]
        three = (total_w > 0.0) & ~self._single[nodes]
        np.divide(lines_w, total_w, out=lines_w, where=three)
        self.spread[:, nodes[three]] = lines_w[:, three]
        self.reactive_var[nodes] += np.add.reduceat(self.reactive_var[child] * weight, starts)

    def worst_pole_w(self, node_w: FloatArray) -> FloatArray:
        """Three times the fullest line of three-phase nodes: what their ratings must bear."""
        one, two, three = self.spread
        heavy = np.maximum(np.maximum(one, two), three)
        heavy *= 3.0
        heavy[self._single] = 1.0
        heavy *= node_w
        return heavy

    def line_w(self, node_w: FloatArray) -> FloatArray:
        """Watts on each line, shape (nodes, 3); rows sum to the nodes' loads."""
        return (self.spread * node_w).T

    def apparent_va(self, node_w: FloatArray) -> FloatArray:
        """Volt-amperes of each node."""
        return np.hypot(node_w, self.reactive_var)

    def imbalance(self) -> FloatArray:
        """Largest deviation of a line from the mean of the three, over the mean (as NEMA MG 1
        has it); 0 for single-phase nodes."""
        uneven = np.abs(self.spread - 1 / 3).max(axis=0) * 3.0
        return np.where(self._single, 0.0, uneven)


def lines_of(topology: Topology) -> npt.NDArray[np.int64]:
    """The line of each node: -1 where three-phase, else 0, 1 or 2.

    What hangs from a single-phase node is on its line. `auto` deals the nodes of one parent out
    in turn.
    """
    line = np.full(len(topology.names), -1, dtype=np.int64)
    dealt: dict[int, int] = {}
    for name in nx.lexicographical_topological_sort(topology.graph, key=topology.index.__getitem__):
        node = topology.index[name]
        spec = topology.specs[node]
        up = int(topology.parent_index[node])
        if up >= 0 and line[up] >= 0:
            line[node] = line[up]
        elif spec.phases == 1:
            if spec.phase in LINES:
                line[node] = LINES.index(spec.phase)
            else:
                line[node] = dealt.get(up, 0) % 3
                dealt[up] = dealt.get(up, 0) + 1
    return line
