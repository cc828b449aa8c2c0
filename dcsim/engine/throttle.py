"""What policies have set on the GPUs, clocks and caps, and what that makes of their watts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.ledger import FloatArray, WorkLedger
from dcsim.power.limits import LOWEST_CLOCK, clock_under, clocked, pace, restated
from dcsim.scenario.catalogue import Catalogue, timing_of
from dcsim.serving.fleet import Placement

NOTCH = 0.01
"""Clocks under a cap are whole multiples of this share; boards have steps of 15 MHz, or 1 %."""
RAISE_FROM = 0.03
"""A cap leaves the clock as it is where less than this could be gained. Assumed: boards dither,
which would cut a run of iterations at every power step and change nothing that is measured."""
RAISE_PER_S = 0.2
"""How fast a clock rises again under a cap, a share of the full clock a second; it falls at once.
Assumed. Boards settle within a fraction of a second; a slow rise keeps a trembling load from
moving the clock at every step."""


class Throttle:
    """Clocks and caps of all replicas. Arrays are (replicas,), or (servers,) where said.

    `asked_clock`, `gpu_cap_w` and `server_cap_w` (servers) are set from outside; `refresh` then.
    `clock` is in force; who steps the meter tells the replicas when it has changed.
    """

    def __init__(self, catalogue: Catalogue, placement: Placement, servers: int) -> None:
        configs = placement.configs
        gpus = np.array([config.gpus for config in configs], dtype=np.float64)
        idle_w = [catalogue.gpus[config.gpu].ledger_power.idle_w for config in configs]
        self.idle_w: FloatArray = gpus * np.array(idle_w)
        self.gpus = gpus
        self._eff = np.array(
            [timing_of(catalogue.models[c.model], catalogue.gpus[c.gpu]).eff_flops for c in configs]
        )
        self._server = placement.server_index
        self._servers = servers
        self.asked_clock: FloatArray = np.ones(len(configs))
        self.gpu_cap_w: FloatArray = np.full(len(configs), np.inf)
        """Of all GPUs of a replica together."""
        self.server_cap_w: FloatArray = np.full(servers, np.inf)
        self.clock: FloatArray = np.ones(len(configs))
        self._caps = self._slow = False
        self.capped_s = np.zeros(servers)
        """Time that each server had power and a GPU whose clock was held down."""

    def refresh(self) -> None:
        """The settings have changed. Clocks fall at once; without a cap they rise at once."""
        self._caps = bool(np.isfinite(self.gpu_cap_w).any() or np.isfinite(self.server_cap_w).any())
        free = np.isinf(self.gpu_cap_w) & np.isinf(self.server_cap_w)[self._server]
        self.clock = np.where(free, self.asked_clock, np.minimum(self.clock, self.asked_clock))
        self._slow = bool((self.clock < 1.0).any())

    @property
    def idle(self) -> bool:
        """Nothing is limited."""
        return not (self._caps or self._slow)

    def restate(self, ledger: WorkLedger) -> WorkLedger:
        """What a power model is shown: the GPUs as they would be at full clock, equally busy."""
        if not self._slow:
            return ledger
        speed = pace(ledger.compute_util, ledger.busy_fraction, self.clock, self._eff)
        return restated(ledger, speed)

    def limit(self, full_w: FloatArray, server_gpu_w: FloatArray, step_s: float) -> FloatArray:
        """GPU watts of each replica over the step, given what it would have drawn at full clock.

        `server_gpu_w`, shape (servers,), is what the replicas of each server may draw together;
        infinite without a cap. Sets `clock` to what the next step needs under the caps.
        """
        drawn_w = clocked(full_w, self.idle_w, self.clock) if self._slow else full_w
        if not self._caps:
            return drawn_w
        wanted_w = clocked(full_w, self.idle_w, self.asked_clock)
        allowed_w = np.minimum(self.gpu_cap_w, self._shares(wanted_w, server_gpu_w))
        needed = np.minimum(clock_under(full_w, self.idle_w, allowed_w), self.asked_clock)
        rise = max(NOTCH, RAISE_PER_S * step_s)
        clock = np.minimum(needed, self.clock + rise)
        held = clock < self.asked_clock
        stays = held & (needed >= self.clock) & (needed < self.clock + RAISE_FROM)
        clock[stays] = self.clock[stays]
        clock[held] = np.maximum(np.floor(clock[held] / NOTCH + 1e-9) * NOTCH, LOWEST_CLOCK)
        self.clock = np.minimum(clock, self.asked_clock)
        self._slow = bool((self.clock < 1.0).any())
        return np.minimum(drawn_w, allowed_w)

    def _shares(self, wanted_w: FloatArray, server_gpu_w: FloatArray) -> FloatArray:
        """Each replica's part of what its server's GPUs may draw: rest first, what is left in
        proportion to what is wanted above it."""
        server, count = self._server, self._servers
        rest_w = np.minimum(wanted_w, self.idle_w)
        wanted = np.bincount(server, wanted_w, count)
        rest = np.bincount(server, rest_w, count)
        over = wanted > server_gpu_w
        if not over.any():
            return np.full(len(wanted_w), np.inf)
        room = np.maximum(server_gpu_w - rest, 0.0) / np.maximum(wanted - rest, 1e-9)
        # Where not even rest fits, the cap still holds: boards have other means than the clock.
        squeeze = np.minimum(np.maximum(server_gpu_w, 0.0) / np.maximum(rest, 1e-9), 1.0)
        with np.errstate(invalid="ignore"):
            part_w = rest_w * squeeze[server] + room[server] * (wanted_w - rest_w)
        return np.where(over[server], part_w, np.inf)

    def book(self, supplied: npt.NDArray[np.float64], step_s: float) -> None:
        """Count the step towards `capped_s`."""
        if self._slow:
            held = np.bincount(self._server, self.clock < 1.0, self._servers) > 0
            self.capped_s += step_s * (held & (supplied > 0.0))
