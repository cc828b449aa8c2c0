"""Redundancy of paired feeds: what the others would carry if one were lost, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from scipy import sparse

from dcsim.arrays import BoolArray, FloatArray
from dcsim.facility.cooling_load import CoolingLoad
from dcsim.facility.losses import LossLine
from dcsim.facility.supply import Supply
from dcsim.facility.tolerance import ROUNDING_S
from dcsim.hardware.curves import LossCurve
from dcsim.plant.topology import Topology

LOSABLE = ("utility", "transformer", "switchgear", "ups", "pdu")
"""Kinds above the feeds of a shared load whose loss is asked about, beside those feeds."""
MOST = 400
"""So many losses are asked about, at most; the feeds nearest to the top come first."""
CLEARED_BELOW = 0.98
CLEARED_AFTER_S = 60.0
"""A flag is taken back when the load has been this share of the limit or less for so long."""


class RedundancyChange(NamedTuple):
    """A survivor that could no longer carry what one loss would leave it, or can again."""

    survivor: int
    lost: int
    would_w: float
    limit_w: float
    raised: bool


class Redundancy:
    """For every node that shares a load with others by `feeds`: its load, were one of these lost.

    Loads move along the feeds that are left, linearly, with the marginal loss of what lies between,
    and the plant's share with them; nothing is played. Where a loss has happened its survivor's
    load is what it carries.
    """

    def __init__(
        self,
        topology: Topology,
        losses: Mapping[str, LossCurve],
        cooling_load: CoolingLoad,
        limit_w: FloatArray,
        count_from_s: float = 0.0,
    ) -> None:
        """`limit_w`: what each node may carry for good, NaN where unknown, in node order."""
        self._topology = topology
        self._cooling_load = cooling_load
        self._from_s = count_from_s
        lost: list[int] = []
        survivors: list[int] = []
        rows: list[sparse.csr_matrix] = []
        self._moves: list[tuple[slice, FloatArray, Any]] = []
        known = np.isfinite(limit_w)
        candidates = _losable(topology) if known.any() else []
        if candidates:
            gain = _gain(topology, losses)
            supply = Supply(topology)
            now = _matrix(topology, supply.weight, gain)
            scale = np.where([s.rated_at_output for s in topology.specs], 1.0 / gain, 1.0)
            rated = sparse.diags(scale).tocsr()
            drawn = np.zeros((len(gain), len(cooling_load.nodes)))
            drawn[cooling_load.nodes, np.arange(len(cooling_load.nodes))] = 1.0
        for node in candidates:
            weight, on = supply.without(node)
            then = _matrix(topology, weight, gain)
            moved = (rated @ _lifted(then, (then - now).tocsr())).tocsr()
            grows = np.asarray(moved.max(axis=1).todense()).ravel() > 1e-9
            grown = np.flatnonzero(grows & known & on)
            if not len(grown):
                continue
            begun = len(lost)
            lost += [node] * len(grown)
            survivors += grown.tolist()
            rows.append(moved[grown])
            stays = on[cooling_load.nodes]
            if cooling_load.runs and not stays.all() and stays.any():
                lift = (rated @ _lifted(then, sparse.csr_matrix(drawn))).tocsr()[grown]
                carried = topology.carried(weight)[cooling_load.nodes]
                self._moves.append((slice(begun, len(lost)), lift.toarray(), (carried, stays)))
        self.exists = bool(lost)
        self._lost = np.array(lost, dtype=np.int64)
        self._survivor = np.array(survivors, dtype=np.int64)
        self._moved = sparse.vstack(rows).tocsr() if rows else None
        self._limit_w = limit_w[self._survivor] if self.exists else np.zeros(0)
        count = len(lost)
        self._nodes, self._number = np.unique(self._survivor, return_inverse=True)
        self._most_w = limit_w[self._nodes] if self.exists else np.zeros(0)
        """What each survivor may carry, (survivors,)."""
        self._on = np.zeros(len(self._nodes), dtype=bool)
        self._calm_s = np.zeros(len(self._nodes))
        self.over_s = np.zeros(count)
        self.highest_w = np.full(count, np.nan)
        self.highest_at_s = np.full(count, np.nan)
        self.would_w = np.zeros(count)

    def step(
        self,
        now_s: float,
        step_s: float,
        node_w: FloatArray,
        felt_w: FloatArray,
        own_w: FloatArray,
        server_w: FloatArray,
        energised: BoolArray,
    ) -> list[RedundancyChange]:
        """What changes at the end of a step with these loads, (nodes,) and (servers,)."""
        assert self._moved is not None, "asked where nothing is shared"
        extra_w = self._moved @ node_w
        for rows, lift, (carried, stays) in self._moves:
            extra_w[rows] += lift @ self._cooling_moved(own_w, server_w, carried, stays)
        stands = energised[self._lost]
        would_w = self.would_w = felt_w[self._survivor] + np.where(stands, extra_w, 0.0)
        over = would_w > self._limit_w
        if now_s - step_s >= self._from_s - 1e-6:
            self.over_s[over] += step_s
            higher = ~(would_w <= self.highest_w)
            self.highest_w[higher] = would_w[higher]
            self.highest_at_s[higher] = now_s
        if not (over.any() or self._on.any()):
            return []
        worst_w = np.full(len(self._nodes), -np.inf)
        np.maximum.at(worst_w, self._number, would_w)
        low = worst_w < CLEARED_BELOW * self._most_w
        self._calm_s = np.where(self._on & low, self._calm_s + step_s, 0.0)
        changed = (worst_w > self._most_w) & ~self._on
        changed |= self._calm_s >= CLEARED_AFTER_S - ROUNDING_S
        if not changed.any():
            return []
        self._on ^= changed
        return [self._change(number) for number in np.flatnonzero(changed).tolist()]

    def rows(self) -> list[dict[str, Any]]:
        """For a summary: each survivor with the loss that it could bear the least, fullest
        first."""
        names, rating_w = self._topology.names, self._topology.rating_w
        worst: dict[int, int] = {}
        for row, survivor in enumerate(self._survivor.tolist()):
            held = worst.get(survivor)
            if held is None or self.highest_w[row] > self.highest_w[held]:
                worst[survivor] = row
        rows = [
            {
                "node": names[self._lost[row]],
                "survivor": names[survivor],
                "would_carry_w": _known(self.highest_w[row]),
                "at_s": _known(self.highest_at_s[row]),
                "rating_w": _known(rating_w[survivor]),
                "limit_w": float(self._limit_w[row]),
                "share": _known(self.highest_w[row] / rating_w[survivor]),
                "over_s": float(self.over_s[row]),
            }
            for survivor, row in worst.items()
        ]
        return sorted(rows, key=lambda row: -(row["share"] or 0.0))

    def _cooling_moved(
        self, own_w: FloatArray, server_w: FloatArray, carried: Any, stays: BoolArray
    ) -> FloatArray:
        """What each of the plant's nodes would draw more, if those that do not stay were lost."""
        own_draw_w = own_w[self._cooling_load.nodes]
        weight = (carried @ server_w) * stays
        total = weight.sum()
        share = weight / total if total > 0.0 else stays / stays.sum()
        moved: FloatArray = own_draw_w.sum() * share - own_draw_w
        return moved * stays

    def _change(self, number: int) -> RedundancyChange:
        rows = np.flatnonzero(self._number == number)
        row = rows[np.argmax(self.would_w[rows])]
        return RedundancyChange(
            int(self._survivor[row]),
            int(self._lost[row]),
            float(self.would_w[row]),
            float(self._limit_w[row]),
            bool(self._on[number]),
        )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _losable(topology: Topology) -> list[int]:
    """Feeds of shared loads, and what they hang from, in node order."""
    several = np.flatnonzero((topology.feeds >= 0).sum(axis=1) > 1)
    feeds = {int(up) for up in np.unique(topology.feeds[several]) if up >= 0}
    losable = set(feeds)
    for node in feeds:
        for name in nx.ancestors(topology.graph, topology.names[node]):
            if topology.graph.nodes[name]["kind"] in LOSABLE:
                losable.add(topology.index[name])
    return sorted(losable)[:MOST]


def _gain(topology: Topology, losses: Mapping[str, LossCurve]) -> FloatArray:
    """Watts that each node draws more for one that it puts out more: one and its marginal loss
    between half and full load."""
    gain = np.ones(len(topology.specs))
    for node, spec in enumerate(topology.specs):
        if spec.losses is not None:
            line = LossLine(losses[spec.losses])
            half, full = np.interp([0.5, 1.0], line.share, line.lost)
            gain[node] += (full - half) / 0.5
    return gain


def _matrix(topology: Topology, weight: FloatArray, gain: FloatArray) -> sparse.csr_matrix:
    """What a watt of each child adds to its feeders, (nodes, nodes)."""
    nodes = len(topology.names)
    child, slot = np.nonzero((topology.feeds >= 0) & (weight > 0.0))
    up = topology.feeds[child, slot]
    return sparse.csr_matrix((weight[child, slot] * gain[up], (up, child)), shape=(nodes, nodes))


def _lifted(up: sparse.csr_matrix, first: sparse.csr_matrix) -> sparse.csr_matrix:
    """`first`, and what comes of it further up."""
    level = total = first
    while level.nnz:
        level = up @ level
        level.eliminate_zeros()
        total = total + level
    return total.tocsr()
