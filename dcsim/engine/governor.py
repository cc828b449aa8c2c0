"""The clock of each iteration under a clock limit or a power cap, and caps that replicas share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dcsim.engine.clock import AFTER, Clock
from dcsim.engine.levels import Levels
from dcsim.hardware.gpus import Gpu
from dcsim.ledger import ReplicaConfig
from dcsim.power.limits import LOWEST_CLOCK, clock_under, power_share
from dcsim.power.linear_ledger import law_of
from dcsim.serving.replica import Replica

NOTCH = 1.0 / 400.0
"""Clocks under a cap are whole multiples of this share, the next lower one. Boards have steps of
15 MHz, or 1 %, but go to and fro between two of them."""
LEAST_DUTY = 0.02
"""Least share of the time in which a GPU works that not even the lowest clock brings under its
cap. Assumed: it must get on, or its requests would never end."""


class Governor:
    """The law for the iterations of one replica (`dcsim.serving.slowed.Governor`)."""

    def __init__(self, config: ReplicaConfig, gpu: Gpu, levels: Levels) -> None:
        gpus = float(config.gpus)
        self._levels = levels
        self.rest_w = levels.rest_w
        """Of all GPUs of the replica together."""
        law = law_of(config, gpu.ledger_power).times(gpus)
        self._law = law.above_idle(1.0)
        self._most_w = gpus * (config.gpu_nameplate_w - gpu.ledger_power.idle_w)
        self._flops_s = gpus * config.peak_flops_per_gpu
        self._bytes_s = gpus * config.hbm_bandwidth_per_gpu
        self.asked_clock = 1.0
        self.allowed_w = math.inf
        """What the replica's GPUs may draw together."""
        self.shared: Share | None = None

    def above_rest_w(
        self, seconds: float, flops: float, moved: float, prefill: int, decode: int
    ) -> float:
        """Watts above rest at full clock, as the power model tells of steady work of this kind."""
        traffic = moved / (seconds * self._bytes_s)
        linear_w = self._law(1.0, flops / (seconds * self._flops_s), math.sqrt(traffic))
        return self._levels.ratio(prefill, decode) * min(linear_w, self._most_w)

    def hold(
        self, seconds: float, flops: float, moved: float, prefill: int, decode: int
    ) -> tuple[float, float, float, float, bool]:
        """See `dcsim.serving.slowed.Governor`."""
        full_w = self.above_rest_w(seconds, flops, moved, prefill, decode)
        clock = self.asked_clock
        room_w = max(self.allowed_w - self.rest_w, 0.0)
        if full_w * power_share(clock) <= room_w:
            return clock, 1.0, full_w, full_w * power_share(clock), False
        clock = math.floor(clock_under(full_w, 0.0, room_w) / NOTCH + 1e-9) * NOTCH
        clock = min(max(clock, LOWEST_CLOCK), self.asked_clock)
        held_w = full_w * power_share(clock)
        duty = min(1.0, max(LEAST_DUTY, room_w / held_w))
        return clock, duty, full_w, held_w * duty, True

    def changes(self, at_s: float) -> None:
        """Another kind of iteration begins then, or none does."""
        if self.shared is not None:
            self.shared.changes(at_s)


class Share:
    """A power cap that several replicas of a server have in common.

    While all that they want fits, each has it. Where it does not, all rest, and what is left goes
    to each in proportion to what it wants above rest. It is divided anew at every instant at
    which what one of them wants changes.
    """

    def __init__(
        self, clock: Clock, replicas: Sequence[Replica], governors: Sequence[Governor]
    ) -> None:
        self._clock = clock
        self._replicas = replicas
        self.governors = governors
        self._alarm: Any = clock.alarm(self.divide)
        self._due_s = -1.0
        self.limit_w = math.inf
        """What the replicas' GPUs may draw together."""
        self.own_w = [math.inf] * len(replicas)
        """The cap that each has for itself."""

    def changes(self, at_s: float) -> None:
        """What one of them wants changes then."""
        if at_s != self._due_s:
            self._due_s = at_s
            self._clock.set_alarm(self._alarm, at_s, AFTER)

    def divide(self, now: float) -> None:
        """Give each its part of the present limit."""
        self._due_s = -1.0
        rest_w = [governor.rest_w for governor in self.governors]
        wanted_w = []
        for replica, governor, own_w in zip(
            self._replicas, self.governors, self.own_w, strict=True
        ):
            above_w = replica.full_above_w(now) * power_share(governor.asked_clock)
            wanted_w.append(min(above_w, max(own_w - governor.rest_w, 0.0)))
        room_w = max(self.limit_w - sum(rest_w), 0.0)
        total_w = sum(wanted_w)
        free = total_w <= room_w
        for place, governor in enumerate(self.governors):
            part_w = math.inf
            if not free:
                part_w = rest_w[place] + room_w * wanted_w[place] / total_w
            allowed_w = min(part_w, self.own_w[place])
            if allowed_w != governor.allowed_w:
                governor.allowed_w = allowed_w
                self._replicas[place].regovern(now)
