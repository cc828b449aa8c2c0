"""Autoscaling: replicas of one server group are started and stopped with their traffic.

A replica's way: off, booting (while its server does), loading weights, warm, draining, off.

At every interval the autoscaler looks at the requests of the whole group and asks how many
replicas would have `target` each, as Kubernetes' horizontal pod autoscaler does with an average
value. More are started at once; fewer only when fewer have been enough for a while.
"""

# not compiled: it acts once an interval
from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from dcsim.ledger import GpuState
from dcsim.plant import Plant, ResolvedGroup
from dcsim.scenario.models import Autoscale
from dcsim.serving.fleet import Fleet
from dcsim.serving.replica import Replica
from dcsim.serving.span import AlarmClock


class Phase(IntEnum):
    """Where a replica is on its way."""

    OFF = 0
    BOOTING = 1
    LOADING = 2
    WARM = 3
    DRAINING = 4
    """Takes no new requests, and finishes those it has."""
    LOST = 5
    """Its power was cut; it is not counted on again."""


STARTED = (Phase.BOOTING, Phase.LOADING, Phase.WARM)
"""What counts as a replica, between the least and the most there may be."""


class ScaledReplica:
    """One replica under an autoscaler."""

    def __init__(self, replica: Replica, server: int, alarm: Any) -> None:
        self.replica = replica
        self.server = server
        self.phase = Phase.WARM
        self.due_s = math.inf
        """When booting or loading ends; alarms at other times are stale."""
        self.alarm = alarm


class Autoscaler:
    """One server group's. `start` once, before the first event."""

    def __init__(
        self,
        spec: Autoscale,
        plant: Plant,
        group: ResolvedGroup,
        fleet: Fleet,
        clock: AlarmClock,
        may_start: Callable[[int], bool] | None = None,
    ) -> None:
        """`may_start` is asked, by replica, before one is started. Raises ValueError where the
        group has fewer replicas than `min`, `start` or `max` say."""
        members: list[int] = plant.replicas_of(group.name).tolist()
        needed = max(spec.min_replicas, spec.start or 0, spec.max_replicas or 0)
        if needed > len(members):
            raise ValueError(f"there are {len(members)} replicas in this group, not {needed}")
        self.spec = spec
        self.most = spec.max_replicas or len(members)
        self.started = 0
        self.stopped = 0
        self.refused = 0
        """Decisions that the budget cut short."""
        self.history: list[tuple[float, int, Phase]] = []
        """(s, replica, phase) at the start, and then of each change."""
        self._fleet = fleet
        self._clock = clock
        self._load_s = _load_s(spec, group)
        self._may_start = may_start
        self._units: dict[int, ScaledReplica] = {}
        self._on_server: dict[int, list[ScaledReplica]] = {}
        for index in members:
            server = int(plant.replicas.server[index])
            unit = self._units[index] = ScaledReplica(
                fleet.replicas[index], server, clock.alarm(self._due(index))
            )
            self._on_server.setdefault(server, []).append(unit)
        self._booted_s: dict[int, float] = {}
        """When each server that is on had booted, or will have."""
        self._enough: deque[tuple[float, int]] = deque()
        """(s, replicas that were enough) of the last `scale_down_after`, falling numbers only."""
        self._held = None
        if spec.min_replicas == 0:
            timeout_s = group.spec.engine.queue_timeout_s or math.inf
            self._held = fleet.hold_for(members[0], self._woken, timeout_s)
        self._decisions = 0
        self._tick = clock.alarm(self._decide)

    # --- what others ask ---------------------------------------------------------------------

    def phase(self, index: int) -> Phase:
        """Where a member is. Raises KeyError for a replica of another group."""
        return self._units[index].phase

    def off(self) -> list[int]:
        """Members without power for their GPUs: off or lost."""
        return [i for i, u in self._units.items() if u.phase in (Phase.OFF, Phase.LOST)]

    def count(self, *phases: Phase) -> int:
        """Members in any of these phases."""
        return sum(unit.phase in phases for unit in self._units.values())

    def describe(self, end_s: float) -> dict[str, float]:
        """For the summary: replicas started and stopped, decisions that a budget cut short, and
        replicas on over the run."""
        on = most = 0
        on_s = since_s = 0.0
        before: dict[int, bool] = {}
        for time_s, replica, phase in self.history:
            on_s += on * (time_s - since_s)
            since_s = time_s
            on += (phase in STARTED) - before.get(replica, False)
            before[replica] = phase in STARTED
            most = max(most, on)
        on_s += on * (end_s - since_s)
        return {
            "started": self.started,
            "stopped": self.stopped,
            "refused": self.refused,
            "mean_on": on_s / end_s,
            "most_on": most,
        }

    # --- what happens to it ------------------------------------------------------------------

    def start(self) -> None:
        """As many replicas as the run begins with are warm, the others off."""
        first = self.spec.min_replicas if self.spec.start is None else self.spec.start
        for number, (index, unit) in enumerate(self._units.items()):
            if number < first:
                self._booted_s[unit.server] = 0.0
                self._enter(unit, Phase.WARM, 0.0)
            else:
                self._enter(unit, Phase.OFF, 0.0)
                self._fleet.switch_off(index, 0.0)
        self._enough.append((0.0, first))
        self._clock.set_alarm(self._tick, self.spec.interval_s)

    def emptied(self, index: int, now: float) -> None:
        """A replica that takes nothing new has let a request go. If it is draining and that was
        the last, it is switched off, by an event of its own: the replica is still busy booking."""
        unit = self._units.get(index)
        if unit is not None and unit.phase == Phase.DRAINING and unit.replica.is_empty():
            self._wait(unit, now)

    def lost(self, index: int, now: float) -> None:
        """A member's power was cut. Others are started in its place at the next decision."""
        unit = self._units.get(index)
        if unit is None or unit.phase == Phase.LOST:
            return
        self._enter(unit, Phase.LOST, now)
        self._fleet.switch_off(index, now)
        self._rest(unit.server)

    # --- decisions ---------------------------------------------------------------------------

    def _decide(self, now: float) -> None:
        self._decisions += 1
        target_count = self._target_count()
        enough = self._enough
        self._note(now, target_count)
        while enough[0][0] < now - self.spec.scale_down_after_s:
            enough.popleft()
        on = self.count(*STARTED)
        if target_count > on:
            self._start_more(target_count - on, now)
        else:
            # The most that was needed within the window; never a reason to start one.
            for _ in range(on - max(self.spec.min_replicas, enough[0][1])):
                self._stop_one(now)
        # Whole multiples of the interval: adding intervals up would drift.
        self._clock.set_alarm(self._tick, (self._decisions + 1) * self.spec.interval_s)

    def _note(self, now: float, target_count: int) -> None:
        """Remember how many were enough; smaller numbers before it no longer matter."""
        while self._enough and self._enough[-1][1] <= target_count:
            self._enough.pop()
        self._enough.append((now, target_count))

    def _woken(self, now: float) -> bool:
        """A request comes that no replica takes. Where the group is off, one is started at once;
        whether one is on its way."""
        if self.count(Phase.WARM):
            return False
        if not self.count(*STARTED):
            self._start_more(1, now)
            if self.count(*STARTED):
                self._note(now, 1)
        return self.count(*STARTED) > 0

    def _target_count(self) -> int:
        """Replicas for `target` each, between the least and the most."""
        if self.spec.metric == "queue":
            total = sum(len(unit.replica.waiting) for unit in self._units.values())
        else:
            total = sum(unit.replica.outstanding for unit in self._units.values())
        if self._held is not None:
            total += len(self._held)
        target_count = math.ceil(total / self.spec.target)
        return min(max(target_count, self.spec.min_replicas), self.most)

    def _start_more(self, number: int, now: float) -> None:
        """Draining replicas first, since they are warm; then those whose server is on."""
        for index, unit in self._units.items():
            if number and unit.phase == Phase.DRAINING:
                self._enter(unit, Phase.WARM, now)
                self._fleet.drain(index, False, now)
                number -= 1
        if not number:
            return
        off = [(i, unit) for i, unit in self._units.items() if unit.phase == Phase.OFF]
        off.sort(key=lambda entry: entry[1].server not in self._booted_s)
        held_back = False
        for index, unit in off:
            if not number:
                break
            if self._may_start is not None and not self._may_start(index):
                held_back = True
                continue
            number -= 1
            self.started += 1
            booted_s = self._booted_s.setdefault(unit.server, now + self.spec.boot_s)
            self._enter(unit, Phase.BOOTING, now)
            self._fleet.prepare(index, GpuState.BOOTING, now)
            self._advance(unit, booted_s, now)
        if number and held_back:
            self.refused += 1

    def _stop_one(self, now: float) -> None:
        """One that is not ready yet, the furthest from it first; else the warm one on the server
        with the fewest others, so that whole servers go to rest, with the fewest requests."""
        starting = [u for u in self._units.values() if u.phase in (Phase.BOOTING, Phase.LOADING)]
        self.stopped += 1
        if starting:
            unit = max(starting, key=lambda u: (u.phase == Phase.BOOTING, u.due_s, u.server))
            self._switch_off(unit, now)
            return
        unit = min(
            (unit for unit in self._units.values() if unit.phase == Phase.WARM),
            key=lambda u: (self._neighbours(u), u.replica.outstanding, -u.replica.index),
        )
        self._enter(unit, Phase.DRAINING, now)
        self._fleet.drain(unit.replica.index, True, now)
        self.emptied(unit.replica.index, now)

    def _neighbours(self, unit: ScaledReplica) -> int:
        return sum(other.phase in STARTED for other in self._on_server[unit.server])

    # --- the way of one replica --------------------------------------------------------------

    def _due(self, index: int) -> Callable[[float], None]:
        def due(now: float) -> None:
            unit = self._units[index]
            if unit.due_s != now:
                return  # reclaimed, stopped or lost since
            if unit.phase == Phase.DRAINING:
                if unit.replica.is_empty():
                    self._switch_off(unit, now)
            else:
                self._advance(unit, now, now)

        return due

    def _advance(self, unit: ScaledReplica, until_s: float, now: float) -> None:
        """Stay in this phase until `until_s`; phases that are over are left at once."""
        if until_s > now:
            self._wait(unit, until_s)
        elif unit.phase == Phase.BOOTING:
            self._enter(unit, Phase.LOADING, now)
            self._fleet.prepare(unit.replica.index, GpuState.LOADING, now)
            self._advance(unit, now + self._load_s, now)
        else:
            self._enter(unit, Phase.WARM, now)
            self._fleet.wake(unit.replica.index, now)

    def _wait(self, unit: ScaledReplica, until_s: float) -> None:
        unit.due_s = until_s
        self._clock.set_alarm(unit.alarm, until_s)

    def _switch_off(self, unit: ScaledReplica, now: float) -> None:
        self._enter(unit, Phase.OFF, now)
        self._fleet.switch_off(unit.replica.index, now)
        self._rest(unit.server)

    def _rest(self, server: int) -> None:
        """A server all of whose replicas are off must boot again."""
        if all(unit.phase in (Phase.OFF, Phase.LOST) for unit in self._on_server[server]):
            self._booted_s.pop(server, None)

    def _enter(self, unit: ScaledReplica, phase: Phase, now: float) -> None:
        unit.phase = phase
        unit.due_s = math.inf
        self.history.append((now, unit.replica.index, phase))


def _load_s(spec: Autoscale, group: ResolvedGroup) -> float:
    """How long a replica loads its weights."""
    if spec.load_bandwidth_bytes_s is not None:
        return group.model.weight_bytes / spec.load_bandwidth_bytes_s
    assert spec.load_s is not None, "a scenario states one of the two"
    return spec.load_s
