"""Demand windows and ramps: means over a window against limits, and how far a load may move."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.tally import LimitSpec, LimitTally
from dcsim.plant.topology import Topology
from dcsim.scenario.models import Demand
from dcsim.scenario.series import read_series

CLEARED_BELOW = 0.98
"""A flag is taken back when a sliding figure is below this share of its limit."""
ROUNDING = 1e-9

Limit = float | Callable[[float], float]
"""In W: constant, or by the time in the run."""


class Crossing(NamedTuple):
    """A limit crossed, or kept again."""

    node: int
    value_w: float
    limit_w: float
    raised: bool
    window_s: float
    over_s: float
    """How long the figure has been above this limit in all."""


class NodeLimits:
    """Base of figures of some nodes that are held to limits, and flagged when they cross them."""

    def __init__(self, nodes: Sequence[int], window_s: float) -> None:
        """`window_s`: what the figures are over."""
        self.nodes = np.array(nodes, dtype=np.int64)
        self.window_s = window_s
        self._on = np.zeros(len(nodes), dtype=bool)
        self.tally = LimitTally(len(nodes))

    @property
    def measured_s(self) -> float:
        """What the figures are over: the window, or what there is where none has been whole."""
        return self.window_s

    def _judge(
        self,
        now_s: float,
        held_s: float,
        value_w: FloatArray,
        limit_w: FloatArray,
        *,
        apart: bool = False,
    ) -> list[Crossing]:
        """What figures that held for the `held_s` up to now cross, or keep again. `apart`: each is
        judged by itself, as blocks are, without a gap below the limit."""
        share = value_w / np.maximum(limit_w, 1e-6)  # a contract may be for nothing at all
        self.tally.note(now_s, held_s, value_w, limit_w, share, apart=apart)
        over = value_w > limit_w
        kept = ~over if apart else value_w < CLEARED_BELOW * limit_w
        changed = np.where(self._on, kept, over)
        self._on ^= changed
        return [
            Crossing(
                int(self.nodes[i]),
                float(value_w[i]),
                float(limit_w[i]),
                bool(self._on[i]),
                self.measured_s,
                float(self.tally.over_s[i]),
            )
            for i in np.flatnonzero(changed).tolist()
        ]


class WindowMeans(NodeLimits):
    """Base of the means of some nodes' loads over one window, held to their limits."""

    def __init__(
        self,
        window_s: float,
        step_s: float,
        nodes: Sequence[int],
        limits: Sequence[Limit],
        rules: Sequence[str],
        count_from_s: float = 0.0,
    ) -> None:
        super().__init__(nodes, window_s)
        self._step_s = step_s
        self._limits = list(limits)
        self._rules = list(rules)
        self._fixed = all(isinstance(limit, float) for limit in limits)
        self._limit_w = np.array([_at(limit, 0.0) for limit in limits])
        self._count_from_s = count_from_s
        self._all = np.zeros(len(nodes))
        self._all_steps = 0
        self.mean_w = np.full(len(nodes), np.nan)
        """Over the last whole window; NaN until there is one."""

    def partial_w(self, at: int) -> float | None:
        """The mean of what has been measured, where no window has been whole yet."""
        if np.isfinite(self.mean_w[at]) or not self._all_steps:
            return None
        return float(self._all[at]) / self._all_steps

    @property
    def measured_s(self) -> float:
        """What the means are over: the window, or what there is where none has been whole."""
        none = bool(len(self.nodes)) and np.isnan(self.mean_w).all()
        return self._all_steps * self._step_s if none else self.window_s

    def limits_at(self, time_s: float) -> FloatArray:
        """The limits in force at a time of the run."""
        if not self._fixed:
            self._limit_w[:] = [_at(limit, time_s) for limit in self._limits]
        return self._limit_w

    def _gather(self, load_w: FloatArray) -> None:
        """For `partial_w`."""
        self._all += load_w
        self._all_steps += 1


class SlidingMeans(WindowMeans):
    """Sliding means, judged at every step once the window has filled."""

    def __init__(
        self,
        window_s: float,
        step_s: float,
        nodes: Sequence[int],
        limits: Sequence[Limit],
        rules: Sequence[str],
        count_from_s: float = 0.0,
    ) -> None:
        super().__init__(window_s, step_s, nodes, limits, rules, count_from_s)
        self._ring = np.zeros((max(1, round(window_s / step_s)), len(nodes)))
        self._steps = 0
        self._sum = np.zeros(len(nodes))

    def step(self, now_s: float, node_w: FloatArray) -> list[Crossing]:
        """Take one step's loads; what changed."""
        if now_s - self._step_s < self._count_from_s - 1e-6:
            return []
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
            self._gather(load_w)
            return []
        self.mean_w = self._sum / len(self._ring)
        return self._judge(now_s, self._step_s, self.mean_w, self.limits_at(now_s))

    def specs(self) -> list[LimitSpec]:
        """The limits in words."""
        return [
            LimitSpec(node, "demand", rule, self.window_s, "sliding")
            for node, rule in zip(self.nodes.tolist(), self._rules, strict=True)
        ]


class ClockMeans(WindowMeans):
    """Means over blocks that begin by the clock, each judged at its end.

    Blocks begin at whole multiples of the window from midnight; `clock_s` is the time of day at
    which the run starts, None: unknown, and blocks are counted from the run's start. A block that
    began before the run, or before `count_from_s`, is not judged, nor is one that the run's end
    cuts short. A contract's limit is that of the block's beginning.
    """

    def __init__(
        self,
        window_s: float,
        step_s: float,
        nodes: Sequence[int],
        limits: Sequence[Limit],
        rules: Sequence[str],
        count_from_s: float = 0.0,
        clock_s: float | None = None,
    ) -> None:
        super().__init__(window_s, step_s, nodes, limits, rules, count_from_s)
        self._offset_s = 0.0 if clock_s is None else clock_s
        self._known = clock_s is not None
        self._block = self._number(0.0)
        self._begun_s = self._block * window_s - self._offset_s
        self._sum = np.zeros(len(nodes))
        self._steps = 0

    def _number(self, time_s: float) -> int:
        """Of the block that a time falls into; its end belongs to the next."""
        return math.floor((self._offset_s + time_s) / self.window_s + ROUNDING)

    def step(self, now_s: float, node_w: FloatArray) -> list[Crossing]:
        """Take one step's loads; what changed. A step counts in the block in which it begins."""
        load_w = node_w[self.nodes]
        self._sum += load_w
        self._steps += 1
        if now_s - self._step_s >= self._count_from_s - 1e-6 and np.isnan(self.mean_w).all():
            self._gather(load_w)
        block = self._number(now_s)
        if block == self._block:
            return []
        mean_w, begun_s = self._sum / self._steps, self._begun_s
        self._block, self._begun_s = block, block * self.window_s - self._offset_s
        self._sum = np.zeros(len(self.nodes))
        self._steps = 0
        if begun_s < self._count_from_s - 1e-6:
            return []
        self.mean_w = mean_w
        limit_w = self.limits_at(max(0.0, begun_s))
        return self._judge(now_s, self.window_s, mean_w, limit_w, apart=True)

    def specs(self) -> list[LimitSpec]:
        """The limits in words."""
        aligned = "" if self._known else ", counted from the run's start: no `start` is given"
        return [
            LimitSpec(node, "demand", rule + aligned, self.window_s, "clock")
            for node, rule in zip(self.nodes.tolist(), self._rules, strict=True)
        ]


class Ramps(NodeLimits):
    """The largest move of some nodes' loads within one window, up or down, to its last step."""

    def __init__(
        self,
        window_s: float,
        step_s: float,
        nodes: Sequence[int],
        change_w: Sequence[float],
        count_from_s: float = 0.0,
    ) -> None:
        super().__init__(nodes, window_s)
        self._step_s = step_s
        self._count_from_s = count_from_s
        self._change_w = np.array(change_w)
        self._ring = np.zeros((max(1, round(window_s / step_s)) + 1, len(nodes)))
        self._steps = 0

    def step(self, now_s: float, node_w: FloatArray) -> list[Crossing]:
        """Take one step's loads; what changed."""
        if now_s - self._step_s < self._count_from_s - 1e-6:
            return []
        load_w = node_w[self.nodes]
        self._ring[self._steps % len(self._ring)] = load_w
        self._steps += 1
        seen = self._ring[: self._steps]
        move_w = np.maximum(load_w - seen.min(axis=0), seen.max(axis=0) - load_w)
        return self._judge(now_s, self._step_s, move_w, self._change_w)

    def limits_at(self, time_s: float) -> FloatArray:
        """The limits in force at a time of the run: always the same."""
        return self._change_w

    def partial_w(self, at: int) -> float | None:
        """A move is judged from the first step on."""
        return None

    def specs(self) -> list[LimitSpec]:
        """The limits in words."""
        rule = "largest move, up or down"
        return [LimitSpec(node, "ramp", rule, self.window_s) for node in self.nodes.tolist()]


def _at(limit: Limit, now_s: float) -> float:
    return limit if isinstance(limit, float) else limit(now_s)


def build_windows(
    topology: Topology,
    step_s: float,
    count_from_s: float = 0.0,
    clock_s: float | None = None,
) -> list[SlidingMeans | ClockMeans]:
    """All demand limits of a site, those of one window together. Raises SeriesError.

    Figures before `count_from_s` are left out; `clock_s` is the time of day at which the run
    starts, None where it is unknown.
    """
    grouped: dict[tuple[float, str], list[tuple[int, Limit, str]]] = {}
    for node, spec in enumerate(topology.specs):
        for demand in spec.demand:
            limit, rule = _limit_of(demand, clock_s)
            same = grouped.setdefault((demand.window_s, demand.windows), [])
            same.append((node, limit, rule))
    demand_windows: list[SlidingMeans | ClockMeans] = []
    for (window_s, windows), members in grouped.items():
        nodes, limits, rules = zip(*members, strict=True)
        if windows == "clock":
            demand_windows.append(
                ClockMeans(window_s, step_s, nodes, limits, rules, count_from_s, clock_s)
            )
        else:
            demand_windows.append(
                SlidingMeans(window_s, step_s, nodes, limits, rules, count_from_s)
            )
    return demand_windows


def _limit_of(demand: Demand, clock_s: float | None) -> tuple[Limit, str]:
    rule = "blocks by the clock" if demand.windows == "clock" else "sliding means"
    if demand.contract is not None:
        name = demand.contract.replace("\\", "/").rpartition("/")[2]
        series = read_series(demand.contract, "limit_w")
        by = "from the run's start" if clock_s is None else "by the clock"
        return (
            lambda now_s: series.held(series.at_s(now_s, clock_s)),
            f"{rule}, contract {name}, {by}",
        )
    assert demand.limit_w is not None, "the models ask for one"
    return demand.limit_w, rule


def build_ramps(topology: Topology, step_s: float, count_from_s: float = 0.0) -> list[Ramps]:
    """All ramp limits of a site, those of one window together."""
    by_window: dict[float, tuple[list[int], list[float]]] = {}
    for node, spec in enumerate(topology.specs):
        if spec.ramp is not None:
            nodes, changes = by_window.setdefault(spec.ramp.window_s, ([], []))
            nodes.append(node)
            changes.append(spec.ramp.change_w)
    return [
        Ramps(window_s, step_s, *members, count_from_s) for window_s, members in by_window.items()
    ]
