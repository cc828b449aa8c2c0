"""Live flags: loads against ratings at every node and every step, and breakers that trip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.breakers import Breakers
from dcsim.facility.curves import curve_of, is_table
from dcsim.facility.events import FacilityEvent, duration, event_at, percent
from dcsim.facility.tally import LimitSpec, LimitTally
from dcsim.facility.thresholds import CLEAR_AFTER_S, ThresholdChange, ThresholdDetector
from dcsim.facility.tolerance import ROUNDING_S
from dcsim.hardware.curves import Curve
from dcsim.plant.topology import Topology
from dcsim.records import EventKind
from dcsim.scenario.models import Breaker, Limits

LOOK_AGAIN_S = 1.0
"""Trips that are near are looked for at once when an overload begins, and then so often."""


class LimitMonitor:
    """Watches every node that has a rating.

    - `warning`: above `warning_fraction` x rating for `warning_after_s` without a break.
    - `overload`: above the rating for `overload_after_s` without a break.
    - `trip`: the node's breaker has opened (its limit is the breaker's rating).
    - `predicted`: the breaker would trip within `predict_within_s` at the present load, at the
      earliest edge of its band.
    - `cleared`: a warning, an overload or a prediction has ended.

    Each is raised once, until it is cleared; a tripped breaker stays open until `reset`.
    """

    def __init__(
        self,
        topology: Topology,
        limits: Limits,
        curves: Mapping[str, Curve],
        draw: Callable[[str], float] | None = None,
        count_from_s: float = 0.0,
    ) -> None:
        """`draw` gives the place in its tolerance band of the breaker of a named node, for those
        with `band: drawn`. Highest loads and times above a rating are counted from `count_from_s`
        on; flags and trips always."""
        self._topology = topology
        self._names = topology.names
        self._kinds = topology.kinds
        self._rated = np.flatnonzero(np.isfinite(topology.rating_w))
        self._rating_w = topology.rating_w[self._rated]
        rows = len(self._rated)
        self._thresholds = ThresholdDetector(limits, rows)
        self._share = np.zeros(rows)
        self.tally = LimitTally(rows, count_from_s)
        """What the rated nodes have seen, in node order."""
        self.trips: Counter[str] = Counter()
        """Trips by node."""
        guards: list[tuple[int, Breaker, float]] = []
        chosen: list[Curve] = []
        for index, spec in enumerate(topology.specs):
            if spec.breaker is not None:
                rating_w = spec.breaker.rating_w or spec.rating_w
                if rating_w is None and np.isfinite(topology.rating_w[index]):
                    rating_w = float(topology.rating_w[index])
                if rating_w is not None:
                    name = self._names[index]
                    chance = None if draw is None else partial(draw, name)
                    guards.append((index, spec.breaker, rating_w))
                    ups = spec.kind == "ups"
                    chosen.append(curve_of(spec.breaker, curves, chance, ups=ups))
        self._tables = {
            row
            for row, (index, _, _) in enumerate(guards)
            if is_table(guards[row][1], curves, ups=self._kinds[index] == "ups")
        }
        """Which are overload tables."""
        self._guarded = np.array([index for index, _, _ in guards], dtype=np.int64)
        specs = [spec for _, spec, _ in guards]
        self._guards = guards
        self._early = self._edges(guards, curves, "earliest")
        self.breakers = Breakers(
            chosen,
            [w for _, _, w in guards],
            earliest=self._early,
            latest=self._edges(guards, curves, "latest"),
            ambient_c=[spec.ambient_c for spec in specs],
            preload=[spec.preload for spec in specs],
        )
        self._predict_s = limits.predict_within_s
        self._predicted = np.zeros(len(guards), dtype=bool)
        self._calm_s = np.zeros(len(guards))
        self._calm = np.zeros(len(guards), dtype=bool)
        self._foretold = False
        self._since_s = LOOK_AGAIN_S
        self._breaker_of = {self._names[index]: row for row, (index, _, _) in enumerate(guards)}

    def step(self, time_s: float, step_s: float, node_w: FloatArray) -> list[FacilityEvent]:
        """Flags raised at the end of a step during which nodes drew `node_w`, shape (nodes,)."""
        events: list[FacilityEvent] = []
        if len(self._rated):
            rated_w = node_w[self._rated]
            share = np.divide(rated_w, self._rating_w, out=self._share)
            for change in self._thresholds.step(share, step_s):
                events.append(self._flag(time_s, change, node_w))
            self.tally.note(time_s, step_s, rated_w, self._rating_w, share)
        if len(self._guarded):
            load_w = node_w[self._guarded]
            for row in self.breakers.step(load_w, step_s).tolist():
                events.append(self._trip(time_s, row, float(load_w[row])))
            if self._predict_s and (self.breakers.warm or self._foretold):
                self._since_s += step_s
                if self._since_s >= LOOK_AGAIN_S - ROUNDING_S:
                    events += self._predict(time_s, self._since_s, load_w)
                    self._since_s = 0.0
            else:
                self._since_s = LOOK_AGAIN_S  # at once when it begins
        return events

    def _edges(
        self, guards: list[tuple[int, Breaker, float]], curves: Mapping[str, Curve], band: str
    ) -> list[Curve]:
        """The curves of all breakers at an edge of their bands."""
        return [
            curve_of(spec, curves, ups=self._kinds[index] == "ups", band=band)
            for index, spec, _ in guards
        ]

    def specs(self) -> list[LimitSpec]:
        """The ratings as limits, in the order of `tally`."""
        rule = "rating, at every power step"
        return [LimitSpec(node, "rating", rule) for node in self._rated.tolist()]

    @property
    def over_s(self) -> FloatArray:
        """Time above the rating by node, shape (nodes,)."""
        over_s = np.zeros(len(self._names))
        over_s[self._rated] = self.tally.over_s
        return over_s

    def earliest(self, node: str) -> tuple[Curve, Breaker, float] | None:
        """Of a node's breaker the curve at the earliest edge of its band, its spec, and its rating
        in W; None where the node has none."""
        row = self._breaker_of.get(node)
        return None if row is None else (self._early[row], *self._guards[row][1:])

    def is_open(self, node: str) -> bool:
        """Whether a node has a breaker, and it is open."""
        return node in self._breaker_of and bool(self.breakers.open[self._breaker_of[node]])

    def reset(self, node: str, *, cold: bool = True) -> None:
        """Close a node's breaker again (see Breakers.reset). Raises KeyError where it has none."""
        self.breakers.reset(self._breaker_of[node], cold=cold)

    def _predict(self, time_s: float, span_s: float, load_w: FloatArray) -> list[FacilityEvent]:
        near = self.breakers.due_within(self._predict_s)
        if self._foretold:
            calm = self._predicted & ~self.breakers.due_within(2.0 * self._predict_s)
            self._calm_s[self._calm] += span_s  # those that were calm at the last look
            self._calm_s[~calm] = 0.0
            self._calm = calm
        ended = self._predicted & (self._calm_s >= CLEAR_AFTER_S - ROUNDING_S)
        raised = near & ~self._predicted
        if raised.any():
            self._calm[raised] = False
            self._calm_s[raised] = 0.0
        tripped = self._predicted & self.breakers.open
        self._predicted &= ~(ended | tripped)
        self._predicted |= raised
        self._foretold = bool(self._predicted.any())
        events = []
        changed = np.flatnonzero(raised | ended).tolist()
        in_s = self.breakers.trip_in_s(load_w) if changed else near
        for row in changed:
            kind: EventKind = "predicted" if raised[row] else "cleared"
            message = f"trip in {in_s[row]:.0f} s at this load" if raised[row] else "no trip near"
            events.append(self._at_breaker(time_s, kind, row, float(load_w[row]), message))
        return events

    def _flag(self, time_s: float, change: ThresholdChange, node_w: FloatArray) -> FacilityEvent:
        index = int(self._rated[change.row])
        load_w, limit_w = float(node_w[index]), float(self._rating_w[change.row])
        if change.raised:
            message = f"load at {percent(load_w / limit_w)} of its rating"
        else:
            what = "rating" if change.level == "overload" else "threshold"
            message = (
                f"{change.level} ended: above the {what} for {duration(change.above_s)} of "
                f"{duration(change.since_s)}"
            )
        kind: EventKind = change.level if change.raised else "cleared"
        return event_at(self._topology, time_s, kind, index, load_w, limit_w, message)

    def _trip(self, time_s: float, row: int, load_w: float) -> FacilityEvent:
        limit_w = float(self.breakers.rating_w[row])
        self.trips[self._names[int(self._guarded[row])]] += 1
        what = "overload time is up" if row in self._tables else "breaker opened"
        message = f"{what} at {percent(load_w / limit_w)} of its rating"
        later_s = float(self.breakers.latest_in_s[row])
        if np.isinf(later_s):
            message += "; one at the latest edge of its band would hold this load"
        elif later_s >= 1.0:
            message += f"; at the latest {later_s:.0f} s from now at this load"
        return self._at_breaker(time_s, "trip", row, load_w, message)

    def _at_breaker(
        self, time_s: float, kind: EventKind, row: int, load_w: float, message: str
    ) -> FacilityEvent:
        index, limit_w = int(self._guarded[row]), float(self.breakers.rating_w[row])
        return event_at(self._topology, time_s, kind, index, load_w, limit_w, message)
