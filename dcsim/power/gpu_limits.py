"""Frequency limits and power caps of GPUs, and what they make of work and watts.

Each iteration goes at the frequency that its own watts leave it under the caps (`governor`): that
is exact for the work, whatever the power step. The watts of a step are the power model's, as they
would be at full clock, scaled as the iterations in it were held down; where limits change inside a
step, part by part, each under the limits of its time. What a model that draws watts at random
says beyond what was expected of the iterations is then set right in both at once: watts stay under
the cap, and the iteration under way ends as much later, or sooner, as the clock would have been
lower, or higher.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.clock import Clock
from dcsim.ledger import HeldWork, WorkLedger
from dcsim.plant import Plant
from dcsim.power import build as build_power
from dcsim.power.governor import GovernedReplica, PowerGovernor, SharedCap
from dcsim.power.held_watts import LimitsInForce, StepPart, divided, held_watts, lost_share
from dcsim.power.linear_ledger import LinearLedger
from dcsim.power.steady import SteadyWatts, steady_watts
from dcsim.scenario.models import PowerSpec

SLACK = 0.002
"""A limit that moves with a server's fans is followed in steps of this share, to the safe side:
each costs an event for every replica."""
LEAST_SHIFT = 0.04
"""Share of a power step from which on an iteration is put off, or forward; less is kept for the
next step."""
MOST_SHIFT = 0.5
"""Of a power step: work gets on whatever the caps do."""


class GovernedWork(Protocol):
    """The work of all replicas, as limits need it."""

    @property
    def time_s(self) -> float:
        """End of the last power step."""

    def held_step(self) -> HeldWork | None:
        """What was held down over the power step, or the rest of it; None where nothing was."""

    def held_part(self, time_s: float) -> HeldWork | None:
        """The same from the last step, or part of one, until now."""

    def begin_anew(self) -> None:
        """What is known of the step under way has changed: sums begin again at its start."""


class GovernedFleet(Protocol):
    """All replicas with their work."""

    @property
    def work(self) -> GovernedWork:
        """In replica order."""

    @property
    def replicas(self) -> Sequence[GovernedReplica]:
        """In replica order."""


class GpuLimits:
    """Frequency limits and power caps of all replicas.

    `frequency_ratio` and `gpu_cap_w`, shape (replicas,), and `server_cap_w`, shape (servers,), are
    set from outside; `refresh` then.
    """

    def __init__(self, plant: Plant) -> None:
        count, servers = len(plant.replicas), len(plant.servers)
        self.gpus = plant.replicas.gpus.astype(np.float64)
        self._plant = plant
        self._step_s = plant.scenario.power_step_s
        self._server = plant.replicas.server
        self._servers = servers
        self.frequency_ratio: FloatArray = np.ones(count)
        self.gpu_cap_w: FloatArray = np.full(count, np.inf)
        """Of all GPUs of a replica together."""
        self.server_cap_w: FloatArray = np.full(servers, np.inf)
        self.capped_s = np.zeros(servers)
        """Time that each server had power and a GPU whose clock was held down."""
        self._fleet: GovernedFleet | None = None
        self._clock: Clock | None = None
        self._limit_w: Callable[[FloatArray], FloatArray] = lambda cap_w: cap_w
        self._moving = np.zeros(servers, dtype=bool)
        self._governors: list[PowerGovernor | None] = [None] * count
        self._steady_of: dict[tuple[PowerSpec, str], SteadyWatts] = {}
        self._shares: dict[int, SharedCap] = {}
        self._rest_w: FloatArray = plant.replicas.idle_w.copy()
        self._random = np.zeros(count, dtype=bool)
        self._owed_s = np.zeros(count)
        self._governed = np.zeros(count, dtype=bool)
        self._changing = np.zeros(count, dtype=bool)
        """Limits of these replicas change inside the power step that has begun."""
        self._in_force = self._limits()
        self._parts: list[StepPart] = []
        """Of the power step, those that have ended."""

    def attach(
        self,
        fleet: GovernedFleet,
        clock: Clock,
        limit_w: Callable[[FloatArray], FloatArray],
        moving: BoolArray,
    ) -> None:
        """Whom to slow. `limit_w` tells what the replicas of each server may draw under caps on
        the servers, both shape (servers,); it changes by itself where `moving`."""
        self._fleet, self._clock, self._limit_w, self._moving = fleet, clock, limit_w, moving

    @property
    def idle(self) -> bool:
        """Nothing is limited."""
        return not self._governed.any()

    # --- limits ----------------------------------------------------------------------------

    def expect(self, servers: Sequence[IntArray], now: float) -> None:
        """Limits of these servers, and of no others, change inside the power step that begins now.

        Their replicas are governed from its beginning to its end, whatever their limits, so that
        it is known what they would have drawn in each part of the step.
        """
        concerned = np.zeros(self._servers, dtype=bool)
        for group in servers:
            concerned[group] = True
        changing = concerned[self._server]
        if (changing != self._changing).any():
            self._changing = changing
            self.refresh(now)

    def refresh(self, now: float) -> None:
        """The settings have changed: the iterations under way go by the new ones at once."""
        assert self._fleet is not None, "attach comes first"
        was_idle = self.idle
        if now > self._fleet.work.time_s and not was_idle:
            self._end_part(self._fleet.work.held_part(now))
        self._in_force = self._limits()
        capped = np.isfinite(self.gpu_cap_w) | np.isfinite(self.server_cap_w)[self._server]
        before = self._governed
        self._governed = capped | (self.frequency_ratio < 1.0) | self._changing
        limit_w = self._limit_w(self.server_cap_w)
        for index in np.flatnonzero(before & ~self._governed).tolist():
            self._governor(index).allowed_w = np.inf
            self._fleet.replicas[index].govern(None, now)
        dirty: list[SharedCap] = []
        for index in np.flatnonzero(self._governed).tolist():
            governor = self._governor(index)
            ratio = float(self.frequency_ratio[index])
            share = self._shares.get(int(self._server[index]))
            own_w = float(self.gpu_cap_w[index])
            allowed_w = governor.allowed_w
            if share is not None:
                share.own_w[share.governors.index(governor)] = own_w
                share.limit_w = self._followed(int(self._server[index]), limit_w, np.inf)
                dirty.append(share)
            else:
                server_w = self._followed(int(self._server[index]), limit_w, np.inf)
                allowed_w = min(own_w, server_w)
            changed = (ratio, allowed_w) != (governor.frequency_ratio, governor.allowed_w)
            governor.frequency_ratio, governor.allowed_w = ratio, allowed_w
            if not before[index]:
                self._fleet.replicas[index].govern(governor, now)
            elif changed:
                self._fleet.replicas[index].regovern(now)
        for share in dict.fromkeys(dirty):
            share.divide(now)
        if was_idle and not self.idle:
            self._fleet.work.begin_anew()

    def follow(self, now: float) -> None:
        """Caps of servers whose fans have followed their GPUs leave these more or less."""
        held = self._moving & np.isfinite(self.server_cap_w)
        if not held.any():
            return
        assert self._fleet is not None
        limit_w = self._limit_w(self.server_cap_w)
        for index in np.flatnonzero(self._governed & held[self._server]).tolist():
            server = int(self._server[index])
            share = self._shares.get(server)
            governor = self._governor(index)
            if share is not None:
                found_w = self._followed(server, limit_w, share.limit_w)
                if found_w != share.limit_w:
                    share.limit_w = found_w
                    share.divide(now)
                continue
            own_w = float(self.gpu_cap_w[index])
            found_w = min(own_w, self._followed(server, limit_w, governor.allowed_w))
            if found_w != governor.allowed_w:
                governor.allowed_w = found_w
                self._fleet.replicas[index].regovern(now)

    def _followed(self, server: int, limit_w: FloatArray, before_w: float) -> float:
        """The limit of a server that is in force from now on, given the one before."""
        present_w = float(limit_w[server])
        if not self._moving[server]:
            return present_w
        if before_w <= present_w <= before_w * (1.0 + 2.0 * SLACK):
            return before_w
        return present_w * (1.0 - SLACK)

    def _governor(self, index: int) -> PowerGovernor:
        """Of a replica, made when it is governed for the first time."""
        known = self._governors[index]
        if known is not None:
            return known
        assert self._fleet is not None
        assert self._clock is not None
        server = self._server[index]
        members = np.flatnonzero(self._server == server).tolist()
        for member in members:
            config = self._plant.replicas.config[member]
            steady = self._steady(member)
            gpu = self._plant.catalogue.gpus[config.gpu]
            self._governors[member] = PowerGovernor(config, gpu, steady)
            self._rest_w[member] = steady.rest_w
            self._random[member] = steady.random
        made = [self._governors[member] for member in members]
        governors = [governor for governor in made if governor is not None]
        if len(members) > 1:
            replicas = [self._fleet.replicas[member] for member in members]
            share = SharedCap(self._clock, replicas, governors)
            self._shares[int(server)] = share
            for governor in governors:
                governor.shared = share
        return self._governor(index)

    def _steady(self, index: int) -> SteadyWatts:
        """Steady watts of a replica's configuration, from its power model."""
        assert self._fleet is not None
        plant = self._plant
        group = plant.groups[plant.replicas.group[index]]
        power, config = group.spec.power, group.config
        steady = self._steady_of.get((power, config.key))
        if steady is None:
            steady = self._steady_of[power, config.key] = steady_watts(
                lambda configs: build_power(power, configs, plant.catalogue),
                config,
                LinearLedger(plant.catalogue),
                group.timing,
                float(plant.replicas.idle_w[index]),
                self._step_s,
            )
        return steady

    # --- the power step --------------------------------------------------------------------

    def restate(self, ledger: WorkLedger) -> WorkLedger:
        """What a power model is shown: the GPUs as they would be at full clock, equally busy."""
        if self.idle:
            return ledger
        assert self._fleet is not None
        self._end_part(self._fleet.work.held_step())
        prefill, decode, iterations, compute, memory = (
            ledger.prefill_tokens.copy(),
            ledger.decode_tokens.copy(),
            ledger.iterations.copy(),
            ledger.compute_util.copy(),
            ledger.memory_util.copy(),
        )
        for part in self._parts:
            held = part.held
            prefill += held.prefill_tokens
            decode += held.decode_tokens
            iterations += held.iterations
            compute += part.share * held.compute_util
            memory += part.share * held.memory_util
        return replace(
            ledger,
            prefill_tokens=prefill,
            decode_tokens=decode,
            iterations=iterations,
            compute_util=compute,
            memory_util=memory,
        )

    def limit(self, full_w: FloatArray, supplied: FloatArray) -> FloatArray:
        """GPU watts of each replica over the step, given what it would have drawn at full clock.

        Puts off the iterations under way where watts are cut that were not expected, and counts
        the step towards `capped_s` of the servers that are `supplied`.
        """
        parts, self._parts = self._parts, []
        expected_w = np.zeros(len(full_w))
        for part in parts:
            expected_w += part.share * part.held.full_w
        model_ratio = (full_w - self._rest_w) / np.maximum(expected_w, 1e-9)
        known = expected_w > 0.0
        watts, delay = np.zeros(len(full_w)), np.zeros(len(full_w))
        for part in parts:
            held = part.held
            slowed = (held.bound_w > 0.0) | (held.free_w < held.full_w)
            if len(parts) > 1:
                # The model's watts must be divided among the parts even where nothing was slowed.
                slowed = known
            part_w, part_delay = self._of_part(part, full_w, model_ratio, known, slowed)
            watts += part.share * part_w
            delay += part.share * part_delay
            self._book(part, supplied)
        self._put_off(delay)
        return watts

    def _limits(self) -> LimitsInForce:
        return LimitsInForce(self.frequency_ratio, self.gpu_cap_w, self.server_cap_w)

    def _end_part(self, held: HeldWork | None) -> None:
        """A part of the power step, or all of it, has ended, in which `held` was held down."""
        assert held is not None
        # A whole step is 1 to the bit, however its length was rounded.
        whole = not self._parts and abs(held.seconds - self._step_s) < 1e-9
        share = 1.0 if whole else held.seconds / self._step_s
        self._parts.append(StepPart(share, held, self._in_force))

    def _of_part(
        self,
        part: StepPart,
        full_w: FloatArray,
        model_ratio: FloatArray,
        known: BoolArray,
        slowed: BoolArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Watts of each replica over a part of the step, and by what share of the part what runs
        should be put off. `model_ratio` is the model's watts above rest over those expected, where
        that is `known`; only where `slowed` do watts differ from the model's."""
        limits = part.limits
        if slowed.any():
            drawn_w, delay = held_watts(
                part, full_w, model_ratio, known, self._rest_w, self._random
            )
            drawn_w = np.where(slowed, drawn_w, full_w)
        else:
            drawn_w, delay = full_w, np.zeros(len(full_w))
        server_gpu_w = self._limit_w(limits.server_cap_w)
        allowed_w = np.minimum(
            limits.gpu_cap_w, divided(drawn_w, self._rest_w, self._server, server_gpu_w)
        )
        over = drawn_w > allowed_w
        if over.any():
            rest_w = self._rest_w
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = (drawn_w - rest_w) / np.maximum(allowed_w - rest_w, 1e-9)
            ratio = np.where(over, np.clip(ratio, 1.0, 2.0), 1.0)
            delay = delay + part.held.soft * lost_share(ratio)
            drawn_w = np.minimum(drawn_w, allowed_w)
        return drawn_w, delay

    def _put_off(self, delay: FloatArray) -> None:
        """Iterations under way end later, or sooner, by shares of a step."""
        owed_s = self._owed_s
        most_s = MOST_SHIFT * self._step_s
        owed_s += np.clip(delay, -MOST_SHIFT, MOST_SHIFT) * self._step_s
        due = np.flatnonzero(np.abs(owed_s) > LEAST_SHIFT * self._step_s)
        if not len(due):
            return
        assert self._fleet is not None
        work, replicas = self._fleet.work, self._fleet.replicas
        now = work.time_s
        by_s = np.clip(owed_s[due], -most_s, most_s)
        owed_s[due] -= [
            replicas[index].shift(delay_s, now)
            for index, delay_s in zip(due.tolist(), by_s.tolist(), strict=True)
        ]
        np.clip(owed_s, -8.0 * most_s, 8.0 * most_s, out=owed_s)
        work.begin_anew()

    def _book(self, part: StepPart, supplied: FloatArray) -> None:
        """Count a part of the step towards `capped_s`."""
        slow = (part.limits.frequency_ratio < 1.0) | (part.held.bound_w > 0.0)
        held_down = np.bincount(self._server, slow, self._servers) > 0
        self.capped_s += part.share * self._step_s * (held_down & (supplied > 0.0))
