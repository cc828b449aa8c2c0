"""The frequency of each iteration under a frequency limit or a power cap, and shared caps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from dcsim.clock import AFTER, Clock
from dcsim.hardware.gpus import Gpu
from dcsim.ledger import ReplicaConfig
from dcsim.power.frequency import LOWEST_FREQUENCY_RATIO, frequency_ratio_under, power_ratio
from dcsim.power.linear_ledger import law_of
from dcsim.power.steady import SteadyWatts

FREQUENCY_STEP = 1.0 / 400.0
"""Clocks under a cap are whole multiples of this share, the next lower one. Boards have steps of
15 MHz, or 1 %, but go to and fro between two of them."""
LEAST_DUTY = 0.02
"""Least share of the time in which a GPU works that not even the lowest clock brings under its
cap. Assumed: it must get on, or its requests would never end."""


class GovernedReplica(Protocol):
    """A replica whose iterations obey a governor, as power sees it."""

    def govern(self, governor: PowerGovernor | None, now: float) -> None:
        """Iterations obey this governor from now on, or none."""

    def regovern(self, now: float) -> None:
        """The governor's settings have changed."""

    def shift(self, delay_s: float, now: float) -> float:
        """Put the iteration under way off; returns by how much it was."""

    def full_above_w(self, now: float) -> float:
        """Watts above rest that what runs now would draw at full frequency."""


class PowerGovernor:
    """The law for the iterations of one replica, as `dcsim.serving.slowed.Governor` asks for it."""

    def __init__(self, config: ReplicaConfig, gpu: Gpu, steady: SteadyWatts) -> None:
        gpus = float(config.gpus)
        self._steady = steady
        self.rest_w = steady.rest_w
        """Of all GPUs of the replica together."""
        law = law_of(config, gpu.ledger_power).times(gpus)
        self._law = law.above_idle(1.0)
        self._most_w = gpus * (config.gpu_nameplate_w - gpu.ledger_power.idle_w)
        self._flops_s = gpus * config.peak_flops_per_gpu
        self._bytes_s = gpus * config.hbm_bandwidth_per_gpu
        self.frequency_ratio = 1.0
        self.allowed_w = math.inf
        """What the replica's GPUs may draw together."""
        self.shared: SharedCap | None = None

    def above_rest_w(
        self, seconds: float, flops: float, moved: float, prefill: int, decode: int
    ) -> float:
        """Watts above rest at full clock, as the power model tells of steady work of this kind."""
        traffic = moved / (seconds * self._bytes_s)
        linear_w = self._law(1.0, flops / (seconds * self._flops_s), math.sqrt(traffic))
        return self._steady.ratio(prefill, decode) * min(linear_w, self._most_w)

    def hold(
        self, seconds: float, flops: float, moved: float, prefill: int, decode: int
    ) -> tuple[float, float, float, float, bool]:
        """See `dcsim.serving.slowed.Governor`."""
        full_w = self.above_rest_w(seconds, flops, moved, prefill, decode)
        ratio = self.frequency_ratio
        room_w = max(self.allowed_w - self.rest_w, 0.0)
        if full_w * power_ratio(ratio) <= room_w:
            return ratio, 1.0, full_w, full_w * power_ratio(ratio), False
        ratio = (
            math.floor(frequency_ratio_under(full_w, 0.0, room_w) / FREQUENCY_STEP + 1e-9)
            * FREQUENCY_STEP
        )
        ratio = min(max(ratio, LOWEST_FREQUENCY_RATIO), self.frequency_ratio)
        held_w = full_w * power_ratio(ratio)
        duty = min(1.0, max(LEAST_DUTY, room_w / held_w))
        return ratio, duty, full_w, held_w * duty, True

    def changes(self, at_s: float) -> None:
        """Another kind of iteration begins then, or none does."""
        if self.shared is not None:
            self.shared.changes(at_s)


class SharedCap:
    """A power cap that several replicas of a server have in common.

    While all that they want fits, each has it. Where it does not, all rest, and what is left goes
    to each in proportion to what it wants above rest. It is divided anew at every instant at
    which what one of them wants changes.
    """

    def __init__(
        self, clock: Clock, replicas: Sequence[GovernedReplica], governors: Sequence[PowerGovernor]
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
            above_w = replica.full_above_w(now) * power_ratio(governor.frequency_ratio)
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
