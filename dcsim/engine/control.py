"""Policies in the loop: shown loads at their times, and obeyed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.control.policy import Site, Telemetry
from dcsim.control.registry import build, labels
from dcsim.engine.actuators import Actuators
from dcsim.engine.clock import AFTER, Clock
from dcsim.engine.meter import Meter
from dcsim.facility.events import FacilityEvent
from dcsim.facility.site import ElectricalSite
from dcsim.hardware.catalogue import Catalogue
from dcsim.plant.topology import Topology
from dcsim.records import EventKind
from dcsim.scenario.models import Scenario
from dcsim.serving.fleet import Fleet, Placement


def known_site(scenario: Scenario, catalogue: Catalogue, topology: Topology) -> Site:
    """What policies may know before they start."""
    types = {group.name: catalogue.servers[group.server] for group in scenario.servers}
    gpu_rest_w = {
        name: catalogue.gpus[kind.gpu].ledger_power.idle_w for name, kind in types.items()
    }
    rest_w = {
        name: kind.non_gpu_w + kind.gpu_count * gpu_rest_w[name] for name, kind in types.items()
    }
    of = topology.server_groups
    return Site(
        names=topology.names,
        kinds=topology.kinds,
        rating_w=topology.rating_w,
        servers_under={name: topology.servers_under(name) for name in topology.names},
        server_nodes=np.asarray(topology.server_nodes),
        server_groups=tuple(of),
        server_rest_w=np.array([rest_w[name] for name in of]),
        gpu_rest_w=np.array([gpu_rest_w[name] for name in of]),
        battery_w={
            name: spec.battery.power_w
            for name, spec in zip(topology.names, topology.specs, strict=True)
            if spec.battery is not None
        },
    )


class Control:
    """All policies of a scenario, with the telemetry on its way to each."""

    def __init__(
        self,
        scenario: Scenario,
        catalogue: Catalogue,
        topology: Topology,
        placement: Placement,
        fleet: Fleet,
        meter: Meter,
        site: ElectricalSite,
        clock: Clock,
        flag: Callable[[FacilityEvent], None],
    ) -> None:
        """`flag` hears of limits that begin or end inside a power step.

        Raises PolicyError for a policy that cannot work on this site.
        """
        self._clock = clock
        self._alarm = clock.alarm(self._inside)
        self._flag = flag
        self._step_s = scenario.power_step_s
        self._topology = topology
        self._meter = meter
        self._events: list[FacilityEvent] = []
        self._node_w: FloatArray = np.full(len(topology.names), np.nan)
        self._now_s = 0.0
        self.acts = bool(scenario.control)
        storage = site.flow.batteries
        self.actuators = Actuators(
            labels(scenario.control),
            topology.server_count,
            placement.server_index,
            fleet,
            meter.throttle,
            {topology.names[n]: place for place, n in enumerate(site.flow.battery_nodes.tolist())},
            storage,
            self._tell,
        )
        self._policies = [build(spec) for spec in scenario.control]
        self._on_its_way: list[deque[tuple[float, FloatArray]]] = [deque() for _ in self._policies]
        self._periods = [
            0 if math.isinf(p.period_s) else max(1, round(p.period_s / self._step_s))
            for p in self._policies
        ]
        if not self.acts:
            return
        known = known_site(scenario, catalogue, topology)
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
        self._meter.throttle.follow(now_s)
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
            "capped_server_h": float(self._meter.throttle.capped_s.sum()) / 3600.0,
        }

    def _tell(self, kind: EventKind, node: str, message: str) -> None:
        index = self._topology.index[node]
        load_w, limit_w = float(self._node_w[index]), float(self._topology.rating_w[index])
        self._events.append(
            FacilityEvent(
                time_s=self._now_s,
                kind=kind,
                node=node,
                node_kind=self._topology.kinds[index],
                load_w=load_w,
                limit_w=limit_w,
                margin_w=limit_w - load_w,
                message=message,
            )
        )
