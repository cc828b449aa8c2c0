"""Policies in the loop: shown loads at their times, and obeyed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.clock import AFTER, Clock
from dcsim.control.account import CommandAccount
from dcsim.control.policy import Command, Policy, Site
from dcsim.control.registry import build, labels
from dcsim.control.schedule import PolicySchedule
from dcsim.engine.actuators import Actuators
from dcsim.facility.events import FacilityEvent, event_at
from dcsim.facility.flow import Flow
from dcsim.plant import Plant
from dcsim.power.servers import ServerPower
from dcsim.records import EventKind
from dcsim.serving.fleet import Fleet


class Control:
    """All policies of a scenario, and the commands from outside."""

    def __init__(
        self,
        plant: Plant,
        fleet: Fleet,
        server_power: ServerPower,
        flow: Flow,
        clock: Clock,
        flag: Callable[[FacilityEvent], None],
        passed: Sequence[Policy] = (),
    ) -> None:
        """`flag` hears of limits that begin or end; `passed` are policies beside those of the
        scenario.

        Raises PolicyError for a policy that cannot work on this site.
        """
        scenario = plant.scenario
        self._clock = clock
        self._alarm = clock.alarm(self._inside)
        self._flag = flag
        self._topology = plant.topology
        self._step_s = scenario.power_step_s
        self._limits = server_power.limits
        self._events: list[FacilityEvent] = []
        self._node_w: FloatArray = np.full(len(plant.nodes), np.nan)
        self._now_s = 0.0
        policies = [*map(build, scenario.control), *passed]
        kinds: list[str] = [spec.policy for spec in scenario.control]
        kinds += [getattr(policy, "name", type(policy).__name__) for policy in passed]
        self.account = CommandAccount(labels(kinds), self._tell)
        self.actuators = Actuators(plant, fleet, self._limits, flow, self.account)
        self._schedule = PolicySchedule(policies, self._step_s)
        self.acts = bool(policies)
        """Whether there is any policy, or was any command."""
        if self.acts:
            for number, commands in self._schedule.start(Site.from_plant(plant)):
                self.actuators.order(number, commands, 0.0)
            self.actuators.obey(0.0)
            self._expect(0.0, self._step_s)

    def step(self, now_s: float, steps: int, node_w: FloatArray) -> None:
        """A power step, the `steps`th, has ended with these loads, shape (nodes,)."""
        self._now_s, self._node_w = now_s, node_w
        for number, commands in self._schedule.decide(now_s, steps, node_w):
            self.actuators.order(number, commands, now_s)
        self.actuators.obey(now_s)
        self._limits.follow(now_s)
        self._expect(now_s, (steps + 1) * self._step_s)
        self._flag_events()

    def command(self, now_s: float, steps: int, commands: Sequence[Command]) -> None:
        """Commands from outside, after `steps` power steps."""
        self.acts, self._now_s = True, now_s
        self.actuators.order(self.account.user, commands, now_s)
        self.actuators.obey(now_s)
        self._expect(now_s, (steps + 1) * self._step_s)
        self._flag_events()

    def describe(self, now_s: float) -> dict[str, Any]:
        """For the summary: each policy's commands, and the time that servers were slowed."""
        return {
            "policies": self.account.describe(now_s),
            "capped_server_h": float(self._limits.capped_s.sum()) / 3600.0,
        }

    def _expect(self, now_s: float, until_s: float) -> None:
        """Commands that are due inside the power step that begins are obeyed at their own time."""
        for due_s in self.actuators.expect(now_s, until_s):
            self._clock.set_alarm(self._alarm, due_s, AFTER)

    def _inside(self, now_s: float) -> None:
        """Commands are due inside a power step."""
        self._now_s = now_s
        self.actuators.obey(now_s, inside=True)
        self._flag_events()

    def _flag_events(self) -> None:
        events, self._events = self._events, []
        for event in events:
            self._flag(event)

    def _tell(self, kind: EventKind, node: str, message: str) -> None:
        topology, index = self._topology, self._topology.index[node]
        load_w, limit_w = float(self._node_w[index]), float(topology.rating_w[index])
        event = event_at(topology, self._now_s, kind, index, load_w, limit_w, message)
        self._events.append(event)
