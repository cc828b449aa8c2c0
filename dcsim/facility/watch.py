"""Live flags: loads against ratings at every node and every step, and breakers that trip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from dcsim.facility.breakers import Breakers
from dcsim.facility.events import EventKind, FacilityEvent
from dcsim.facility.topology import Topology
from dcsim.scenario.catalogue import Curve
from dcsim.scenario.models import Limits

HYSTERESIS = 0.02
"""A flag is taken back once the load has fallen this share of the rating below its threshold, so
that a load that trembles at a limit is flagged once."""


class LimitWatch:
    """Watches every node that has a rating.

    - `warning`: above `warning_fraction` x rating for `warning_after_s` without a break.
    - `overload`: above the rating for `overload_after_s` without a break.
    - `trip`: the node's breaker has opened (its limit is the breaker's rating).
    - `cleared`: a warning or an overload has ended.

    `counts` tells how many of each have been raised.
    """

    def __init__(self, topology: Topology, limits: Limits, curves: Mapping[str, Curve]) -> None:
        self.counts: Counter[EventKind] = Counter()
        self._names = topology.names
        self._kinds = topology.kinds
        self._rated = np.flatnonzero(np.isfinite(topology.rating_w))
        self._rating_w = topology.rating_w[self._rated]
        rows = len(self._rated)
        self._levels: list[_Level] = [
            _Level("warning", limits.warning_fraction, limits.warning_after_s, rows),
            _Level("overload", 1.0, limits.overload_after_s, rows),
        ]
        guarded = [
            i
            for i, spec in enumerate(topology.specs)
            if spec.breaker is not None
            and (spec.breaker.rating_w is not None or spec.rating_w is not None)
        ]
        self._guarded = np.array(guarded, dtype=np.int64)
        specs = [topology.specs[i] for i in guarded]
        self.breakers = Breakers(
            [curves[spec.breaker.curve] for spec in specs if spec.breaker is not None],
            [
                spec.breaker.rating_w or spec.rating_w or np.nan
                for spec in specs
                if spec.breaker is not None
            ],
        )
        self._share = np.zeros(rows)
        self._calm = limits.warning_fraction - HYSTERESIS
        self._quiet = True

    def step(
        self, time_s: float, step_s: float, node_w: npt.NDArray[np.float64]
    ) -> list[FacilityEvent]:
        """Flags raised at the end of a step during which nodes drew `node_w`, shape (nodes,)."""
        events: list[FacilityEvent] = []
        if len(self._rated):
            share = np.divide(node_w[self._rated], self._rating_w, out=self._share)
            highest = share.max()
            if highest > self._calm or not self._quiet:
                self._quiet = highest <= self._calm
                for level in self._levels:
                    raised, cleared = level.step(share, step_s)
                    for row in raised.tolist():
                        events.append(self._event(time_s, level.kind, row, node_w))
                    for row in cleared.tolist():
                        events.append(
                            self._event(time_s, "cleared", row, node_w, f"{level.kind} ended")
                        )
        if len(self._guarded):
            load_w = node_w[self._guarded]
            for row in self.breakers.step(load_w, step_s).tolist():
                events.append(self._trip(time_s, row, float(load_w[row])))
        for event in events:
            self.counts[event.kind] += 1
        return events

    def worst_headroom(self) -> tuple[str, float]:
        """The node nearest to its rating at the last step, and its load as a share of it. The
        name is empty where nothing has a rating."""
        if not len(self._rated):
            return "", float("nan")
        row = int(self._share.argmax())
        return self._names[self._rated[row]], float(self._share[row])

    def _event(
        self,
        time_s: float,
        kind: EventKind,
        row: int,
        node_w: npt.NDArray[np.float64],
        message: str = "",
    ) -> FacilityEvent:
        index = int(self._rated[row])
        load_w, limit_w = float(node_w[index]), float(self._rating_w[row])
        return FacilityEvent(
            time_s=time_s,
            kind=kind,
            node=self._names[index],
            node_kind=self._kinds[index],
            load_w=load_w,
            limit_w=limit_w,
            margin_w=limit_w - load_w,
            message=message or f"load at {load_w / limit_w:.1%} of rating",
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


class _Level:
    """One threshold over all rated nodes."""

    def __init__(self, kind: EventKind, fraction: float, after_s: float, rows: int) -> None:
        self.kind: EventKind = kind
        self._fraction = fraction
        # Half a microsecond: sums of steps must not fall short of `after_s` by rounding.
        self._after_s = after_s - 5e-7
        self._over_s = np.zeros(rows)
        self._raised = np.zeros(rows, dtype=bool)

    def step(
        self, share: npt.NDArray[np.float64], step_s: float
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        over = share > self._fraction
        self._over_s = np.where(over, self._over_s + step_s, 0.0)
        raised = over & ~self._raised & (self._over_s >= self._after_s)
        cleared = self._raised & (share < self._fraction - HYSTERESIS)
        self._raised ^= raised | cleared
        return np.flatnonzero(raised), np.flatnonzero(cleared)
