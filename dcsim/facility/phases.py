"""Three phases: what each line carries, and apparent power."""

from __future__ import annotations

import cmath
import math

import numpy as np

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.plant.topology import Topology

LAG = cmath.rect(1.0 / math.sqrt(3.0), -math.pi / 6.0)
LEAD = LAG.conjugate()
"""A watt between two lines is this, in volt-amperes, on the first of them and on the second: the
current is 1 / (√3 V) on both, and lies 30 degrees off either line's own voltage. The parts out of
phase cancel over the lines."""
SINGLE = np.eye(3, dtype=np.complex128)
BETWEEN = LAG * SINGLE + LEAD * np.roll(SINGLE, 1, axis=1)
"""Rows: the lines L1, L2, L3 of a load between two of them (`dcsim.plant.topology.PAIRS`)."""
DELTA = BETWEEN.T
"""What a delta winding's lines carry of the loads of its three wye windings, (lines, windings)."""


class Phases:
    """How each node's load is spread over L1, L2 and L3, and its reactive power.

    A single-phase node has all of its load on its line, a two-pole one between two lines; a
    three-phase server has a third on each. Losses and battery power follow the load that passes,
    cooling is spread evenly. Reactive power adds up from the servers (their `power_factor`); losses
    and cooling have none. A delta-wye transformer turns what is on one line below into a load
    between two above. A double-conversion UPS draws its load evenly and at unity power factor.

    Spreads are complex: line currents are, and those of loads between lines must be added as such.
    The real parts are shares of the watts. Arrays in node order: `spread` (3, nodes), what a node
    draws, columns sum to 1; `out_spread`, what it puts out; `reactive_var` and `out_var` alike.
    """

    def __init__(self, topology: Topology) -> None:
        count = len(topology.names)
        line = self.line = topology.line
        """-1 for three-phase nodes, 0 to 2 for those on one line, 3 to 5 for those on a pair."""
        self.spread = np.full((3, count), 1 / 3, dtype=np.complex128)
        ways = np.concatenate([SINGLE, BETWEEN])
        few = line >= 0
        self.spread[:, few] = ways[line[few]].T
        self.out_spread = self.spread.copy()
        self._few = few
        specs = topology.specs
        self._delta = ~few & np.array([spec.delta_wye for spec in specs])
        self._even = ~few & np.array([spec.ups_mode == "double-conversion" for spec in specs])
        self.reactive_var = np.zeros(count)
        self.out_var = np.zeros(count)
        factor = np.array([spec.power_factor or 1.0 for spec in specs])
        self._tan = np.sqrt(1.0 - factor**2) / factor

    @classmethod
    def build(cls, topology: Topology) -> Phases | None:
        """None where a site says nothing of phases and power factors."""
        specs = topology.specs
        if not any(s.phases in (1, 2) or s.power_factor or s.apparent_rating_va for s in specs):
            return None
        return cls(topology)

    def begin(self, servers: IntArray, node_w: FloatArray) -> None:
        """Start a step at the servers."""
        self.reactive_var[:] = 0.0
        self.reactive_var[servers] = node_w[servers] * self._tan[servers]
        self.out_var[:] = self.reactive_var

    def lift(
        self,
        nodes: IntArray,
        child: IntArray,
        starts: IntArray,
        weight: FloatArray,
        node_w: FloatArray,
        own_w: FloatArray,
        bypass: BoolArray,
    ) -> None:
        """Carry one level up: `weight` is the share of each `child` that flows to its parent,
        `bypass` (in node order) which UPS stand on theirs."""
        lines = self.spread[:, child]
        lines *= node_w[child] * weight
        lines = np.add.reduceat(lines, starts, axis=1)
        lines += own_w[nodes] / 3.0
        total_w = (lines[0] + lines[1] + lines[2]).real
        three = (total_w > 0.0) & ~self._few[nodes]
        np.divide(lines, total_w, out=lines, where=three)
        known = nodes[three]
        self.out_spread[:, known] = self.spread[:, known] = lines[:, three]
        turned = known[self._delta[known]]
        if len(turned):
            self.spread[:, turned] = DELTA @ self.out_spread[:, turned]
        var = self.out_var[nodes] + np.add.reduceat(self.reactive_var[child] * weight, starts)
        self.out_var[nodes] = self.reactive_var[nodes] = var
        even = nodes[self._even[nodes] & ~bypass[nodes]]
        if len(even):
            self.spread[:, even] = 1 / 3
            self.reactive_var[even] = 0.0

    def worst_pole_w(self, node_w: FloatArray) -> FloatArray:
        """Three times the current of the fullest line of three-phase nodes, in watts at the line's
        voltage: what their ratings must bear. `node_w`: what each puts out."""
        heavy: FloatArray = np.abs(self.out_spread).max(axis=0) * 3.0
        heavy[self._few] = 1.0
        heavy *= node_w
        return heavy

    def apparent_va(self, node_w: FloatArray) -> FloatArray:
        """Volt-amperes of each node. `node_w`: what each puts out."""
        return np.hypot(node_w, self.out_var)
