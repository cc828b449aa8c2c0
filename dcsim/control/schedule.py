"""When each policy decides, and which loads it is shown then."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence

from dcsim.arrays import FloatArray
from dcsim.control.policy import Command, Policy, Site, Telemetry


class PolicySchedule:
    """Policies by number, with the telemetry on its way to each."""

    def __init__(self, policies: Sequence[Policy], step_s: float) -> None:
        self._policies = policies
        self._on_its_way: list[deque[Telemetry]] = [deque() for _ in policies]
        self._periods = [
            0 if math.isinf(policy.period_s) else max(1, round(policy.period_s / step_s))
            for policy in policies
        ]
        """In power steps; 0: never."""

    def start(self, site: Site) -> Iterator[tuple[int, Sequence[Command]]]:
        """What each policy commands before the run. Raises PolicyError for one that cannot work
        on this site."""
        for number, policy in enumerate(self._policies):
            yield number, policy.start(site) or ()

    def decide(
        self, now_s: float, steps: int, node_w: FloatArray
    ) -> Iterator[tuple[int, Sequence[Command]]]:
        """What those policies command that are due after `steps` power steps, the last of which
        had these loads, shape (nodes,)."""
        measured: Telemetry | None = None
        for number, policy in enumerate(self._policies):
            period = self._periods[number]
            if period == 0 or steps % period:
                continue
            if measured is None:
                measured = Telemetry(now_s, node_w.copy())
            on_its_way = self._on_its_way[number]
            on_its_way.append(measured)
            seen = None
            while on_its_way and on_its_way[0].measured_s <= now_s - policy.delay_s + 1e-9:
                seen = on_its_way.popleft()
            if seen is not None:
                yield number, policy.decide(now_s, seen)
