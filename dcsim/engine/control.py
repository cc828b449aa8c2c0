"""Policies in the loop: shown loads at their times, and obeyed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.clock import AFTER, Clock
from dcsim.control.policy import Command, Policy, Site, Telemetry
from dcsim.control.registry import build, labels
from dcsim.engine.actuators import Actuators
from dcsim.facility.events import FacilityEvent, event_at
from dcsim.facility.site import ElectricalSite
from dcsim.plant import Plant
from dcsim.power.servers import ServerPower
from dcsim.records import EventKind
from dcsim.serving.fleet import Fleet


class Control:
    """All policies of a scenario, with the telemetry on its way to each."""

    def __init__(
        self,
        plant: Plant,
        fleet: Fleet,
        server_power: ServerPower,
        site: ElectricalSite,
        clock: Clock,
        flag: Callable[[FacilityEvent], None],
        passed: Sequence[Policy] = (),
    ) -> None:
        """`flag` hears of limits that begin or end inside a power step; `passed` are policies
        beside those of the scenario.

        Raises PolicyError for a policy that cannot work on this site.
        """
        self._clock = clock
        self._alarm = clock.alarm(self._inside)
        self._flag = flag
        scenario = plant.scenario
        topology = self._topology = plant.topology
        self._step_s = scenario.power_step_s
        self._server_power = server_power
        self._events: list[FacilityEvent] = []
        self._node_w: FloatArray = np.full(len(topology.names), np.nan)
        self._now_s = 0.0
        self._policies = [*map(build, scenario.control), *passed]
        self.acts = bool(self._policies)
        kinds: list[str] = [spec.policy for spec in scenario.control]
        kinds += [getattr(policy, "name", type(policy).__name__) for policy in passed]
        storage = site.flow.batteries
        self.actuators = Actuators(
            labels(kinds),
            len(plant.servers),
            plant.replicas.server,
            fleet,
            server_power.limits,
            {topology.names[n]: place for place, n in enumerate(site.flow.battery_nodes.tolist())},
            storage,
            self._tell,
        )
        self._on_its_way: list[deque[tuple[float, FloatArray]]] = [deque() for _ in self._policies]
        self._periods = [
            0 if math.isinf(p.period_s) else max(1, round(p.period_s / self._step_s))
            for p in self._policies
        ]
        if not self.acts:
            return
        known = Site.from_plant(plant)
        for number, policy in enumerate(self._policies):
            self.actuators.order(number, policy.start(known) or (), 0.0)
        self.actuators.obey(0.0)
        self._expect(0.0, self._step_s)

    def step(self, now_s: float, steps: int, node_w: FloatArray) -> Sequence[FacilityEvent]:
        """A power step, the `steps`th, has ended with these loads, (nodes,). Returns the events of
        limits that begin or end now."""
        self._now_s, self._node_w = now_s, node_w
        actuators = self.actuators
        shown: FloatArray | None = None
        for number, policy in enumerate(self._policies):
            period = self._periods[number]
            if period == 0 or steps % period:
                continue
            if shown is None:
                shown = node_w.copy()
            on_its_way = self._on_its_way[number]
            on_its_way.append((now_s, shown))
            seen = None
            while on_its_way and on_its_way[0][0] <= now_s - policy.delay_s + 1e-9:
                seen = on_its_way.popleft()
            if seen is not None:
                actuators.order(number, policy.decide(now_s, Telemetry(*seen)), now_s)
        actuators.obey(now_s)
        self._server_power.limits.follow(now_s)
        self._expect(now_s, (steps + 1) * self._step_s)
        events, self._events = self._events, []
        return events

    def command(
        self, now_s: float, steps: int, commands: Sequence[Command]
    ) -> Sequence[FacilityEvent]:
        """Commands from outside, after `steps` power steps. Returns events as `step` does."""
        self.acts, self._now_s = True, now_s
        self.actuators.order(self.actuators.user, commands, now_s)
        self.actuators.obey(now_s)
        self._expect(now_s, (steps + 1) * self._step_s)
        events, self._events = self._events, []
        return events

    def _expect(self, now_s: float, until_s: float) -> None:
        """Commands that are due inside the power step that begins are obeyed at their own time."""
        for due_s in self.actuators.expect(now_s, until_s):
            self._clock.set_alarm(self._alarm, due_s, AFTER)

    def _inside(self, now_s: float) -> None:
        """Commands are due inside a power step."""
        self._now_s = now_s
        self.actuators.obey(now_s, inside=True)
        events, self._events = self._events, []
        for event in events:
            self._flag(event)

    def describe(self, now_s: float) -> dict[str, Any]:
        """For the summary: each policy's doings, and the time that servers were slowed."""
        return {
            "policies": self.actuators.describe(now_s),
            "capped_server_h": float(self._server_power.limits.capped_s.sum()) / 3600.0,
        }

    def _tell(self, kind: EventKind, node: str, message: str) -> None:
        index = self._topology.index[node]
        load_w, limit_w = float(self._node_w[index]), float(self._topology.rating_w[index])
        self._events.append(
            event_at(self._topology, self._now_s, kind, index, load_w, limit_w, message)
        )
