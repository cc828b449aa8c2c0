"""Demand windows and ramps: means over a window against limits, and how far a load may move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.facility.topology import Topology
from dcsim.scenario.series import read_series

CLEARED_BELOW = 0.98
"""A flag is taken back when the figure is below this share of its limit."""


class Crossing(NamedTuple):
    """A limit crossed, or kept again."""

    node: int
    value_w: float
    limit_w: float
    raised: bool
    window_s: float


class Window:
    """Sliding means of some nodes' loads over one window, judged once it has filled."""

    def __init__(
        self, window_s: float, step_s: float, nodes: Sequence[int], limits: Sequence[Limit]
    ) -> None:
        self.window_s = window_s
        self.nodes = np.array(nodes, dtype=np.int64)
        self._limits = list(limits)
        self._fixed = all(isinstance(limit, float) for limit in limits)
        self._limit_w = np.array([_at(limit, 0.0) for limit in limits])
        self._ring = np.zeros((max(1, round(window_s / step_s)), len(nodes)))
        self._steps = 0
        self._sum = np.zeros(len(nodes))
        self._on = np.zeros(len(nodes), dtype=bool)
        self.mean_w = np.full(len(nodes), np.nan)
        """Over the last whole window; NaN until there is one."""
        self.peak_w = np.full(len(nodes), -np.inf)

    def step(self, now_s: float, node_w: npt.NDArray[np.float64]) -> list[Crossing]:
        """Take one step's loads; what changed."""
        load_w = node_w[self.nodes]
        place = self._steps % len(self._ring)
        self._steps += 1
        if place == 0:
            # Afresh once a window: differences of sums must not drift.
            self._ring[0] = load_w
            self._sum = self._ring.sum(axis=0)
        else:
            self._sum += load_w - self._ring[place]
            self._ring[place] = load_w
        if self._steps < len(self._ring):
            return []
        mean_w = self.mean_w = self._sum / len(self._ring)
        np.maximum(self.peak_w, mean_w, out=self.peak_w)
        if not self._fixed:
            self._limit_w[:] = [_at(limit, now_s) for limit in self._limits]
        limit_w = self._limit_w
        changed = (mean_w > limit_w) & ~self._on
        changed |= self._on & (mean_w < CLEARED_BELOW * limit_w)
        self._on ^= changed
        return _crossings(self, changed, mean_w, limit_w, self._on)


class Ramps:
    """The largest move of some nodes' loads within one window, up or down, to its last step."""

    def __init__(
        self, window_s: float, step_s: float, nodes: Sequence[int], change_w: Sequence[float]
    ) -> None:
        self.window_s = window_s
        self.nodes = np.array(nodes, dtype=np.int64)
        self._change_w = np.array(change_w)
        self._ring = np.zeros((max(1, round(window_s / step_s)) + 1, len(nodes)))
        self._steps = 0
        self._on = np.zeros(len(nodes), dtype=bool)

    def step(self, now_s: float, node_w: npt.NDArray[np.float64]) -> list[Crossing]:
        """Take one step's loads; what changed."""
        load_w = node_w[self.nodes]
        self._ring[self._steps % len(self._ring)] = load_w
        self._steps += 1
        seen = self._ring[: self._steps]
        move_w = np.maximum(load_w - seen.min(axis=0), seen.max(axis=0) - load_w)
        changed = (move_w > self._change_w) & ~self._on
        changed |= self._on & (move_w < CLEARED_BELOW * self._change_w)
        self._on ^= changed
        return _crossings(self, changed, move_w, self._change_w, self._on)


Limit = float | Callable[[float], float]


def _at(limit: Limit, now_s: float) -> float:
    return limit if isinstance(limit, float) else limit(now_s)


def _crossings(
    of: Window | Ramps,
    changed: npt.NDArray[np.bool_],
    value_w: npt.NDArray[np.float64],
    limit_w: npt.NDArray[np.float64],
    on: npt.NDArray[np.bool_],
) -> list[Crossing]:
    return [
        Crossing(int(of.nodes[i]), float(value_w[i]), float(limit_w[i]), bool(on[i]), of.window_s)
        for i in np.flatnonzero(changed).tolist()
    ]


def build_windows(topology: Topology, step_s: float) -> list[Window]:
    """All demand limits of a site, those of one window together. Raises SeriesError."""
    by_window: dict[float, tuple[list[int], list[Limit]]] = {}
    for node, spec in enumerate(topology.specs):
        for demand in spec.demand:
            nodes, limits = by_window.setdefault(demand.window_s, ([], []))
            nodes.append(node)
            if demand.contract is None:
                assert demand.limit_w is not None, "the models ask for one"
                limits.append(demand.limit_w)
            else:
                limits.append(read_series(demand.contract, "limit_w").held)
    return [Window(window_s, step_s, *found) for window_s, found in by_window.items()]


def build_ramps(topology: Topology, step_s: float) -> list[Ramps]:
    """All ramp limits of a site, those of one window together."""
    by_window: dict[float, tuple[list[int], list[float]]] = {}
    for node, spec in enumerate(topology.specs):
        if spec.ramp is not None:
            nodes, changes = by_window.setdefault(spec.ramp.window_s, ([], []))
            nodes.append(node)
            changes.append(spec.ramp.change_w)
    return [Ramps(window_s, step_s, *found) for window_s, found in by_window.items()]
