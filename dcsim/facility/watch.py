"""Live flags: loads against ratings at every node and every step, and breakers that trip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from dcsim.facility.breakers import Breakers
from dcsim.facility.events import EventKind, FacilityEvent
from dcsim.facility.levels import Change, Levels
from dcsim.facility.topology import Topology
from dcsim.scenario.catalogue import Curve
from dcsim.scenario.models import Limits


class LimitWatch:
    """Watches every node that has a rating.

    - `warning`: above `warning_fraction` x rating for `warning_after_s` without a break.
    - `overload`: above the rating for `overload_after_s` without a break.
    - `trip`: the node's breaker has opened (its limit is the breaker's rating).
    - `cleared`: a warning or an overload has ended.

    Each is raised once, until it is cleared; a tripped breaker stays open until `reset`.
    `counts` tells how many of each have been raised.
    """

    def __init__(self, topology: Topology, limits: Limits, curves: Mapping[str, Curve]) -> None:
        self.counts: Counter[EventKind] = Counter()
        self._names = topology.names
        self._kinds = topology.kinds
        self._rated = np.flatnonzero(np.isfinite(topology.rating_w))
        self._rating_w = topology.rating_w[self._rated]
        rows = len(self._rated)
        self._levels = Levels(limits, rows)
        self._share = np.zeros(rows)
        guards: list[tuple[int, Curve, float]] = []
        for index, spec in enumerate(topology.specs):
            if spec.breaker is not None:
                rating_w = spec.breaker.rating_w or spec.rating_w
                if rating_w is not None:
                    guards.append((index, curves[spec.breaker.curve], rating_w))
        self._guarded = np.array([index for index, _, _ in guards], dtype=np.int64)
        self.breakers = Breakers([curve for _, curve, _ in guards], [w for _, _, w in guards])
        self._breaker_of = {self._names[index]: row for row, (index, _, _) in enumerate(guards)}

    def step(
        self, time_s: float, step_s: float, node_w: npt.NDArray[np.float64]
    ) -> list[FacilityEvent]:
        """Flags raised at the end of a step during which nodes drew `node_w`, shape (nodes,)."""
        events: list[FacilityEvent] = []
        if len(self._rated):
            share = np.divide(node_w[self._rated], self._rating_w, out=self._share)
            for change in self._levels.step(share, step_s):
                events.append(self._flag(time_s, change, node_w))
        if len(self._guarded):
            load_w = node_w[self._guarded]
            for row in self.breakers.step(load_w, step_s).tolist():
                events.append(self._trip(time_s, row, float(load_w[row])))
        for event in events:
            self.counts[event.kind] += 1
        return events

    def worst_headroom(self) -> tuple[str, float]:
        """The node nearest to its rating at the last step, and its load as a share of it. The
        name is empty and the share NaN where nothing has a rating."""
        if not len(self._rated):
            return "", float("nan")
        row = int(self._share.argmax())
        return self._names[self._rated[row]], float(self._share[row])

    def reset(self, node: str, *, cold: bool = True) -> None:
        """Close a node's breaker again (see Breakers.reset). Raises KeyError where it has none."""
        self.breakers.reset(self._breaker_of[node], cold=cold)

    def _flag(
        self, time_s: float, change: Change, node_w: npt.NDArray[np.float64]
    ) -> FacilityEvent:
        index = int(self._rated[change.row])
        load_w, limit_w = float(node_w[index]), float(self._rating_w[change.row])
        if change.raised:
            message = f"load at {load_w / limit_w:.1%} of rating"
        else:
            message = f"{change.level} ended"
        return FacilityEvent(
            time_s=time_s,
            kind=change.level if change.raised else "cleared",
            node=self._names[index],
            node_kind=self._kinds[index],
            load_w=load_w,
            limit_w=limit_w,
            margin_w=limit_w - load_w,
            message=message,
        )

    def _trip(self, time_s: float, row: int, load_w: float) -> FacilityEvent:
        index = int(self._guarded[row])
        limit_w = float(self.breakers.rating_w[row])
        return FacilityEvent(
            time_s=time_s,
            kind="trip",
            node=self._names[index],
            node_kind=self._kinds[index],
            load_w=load_w,
            limit_w=limit_w,
            margin_w=limit_w - load_w,
            message=f"breaker opened at {load_w / limit_w:.1%} of its rating",
        )
