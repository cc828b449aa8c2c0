"""Dual-threshold clock limits with a power brake, as POLCA describes (Patel et al., ASPLOS 2024).

A row is watched. Above the first threshold the servers of low priority are slowed a little, above
the second more, and then the others too. Telling clocks to change takes tens of seconds out of
band; so the thresholds leave room for what may come meanwhile, and above the rating a brake acts
that is quicker and blunter.
"""

from __future__ import annotations

import math

import numpy as np

from dcsim.arrays import IntArray
from dcsim.control.policy import Command, LimitFrequency, Site, Telemetry
from dcsim.control.watched import Watched, groups
from dcsim.scenario import models


class DualThreshold:
    """Each watched node by itself: step 0, 1 or 2, and the brake on or off."""

    def __init__(self, spec: models.DualThresholdSpec) -> None:
        self.period_s = spec.period_s
        self.delay_s = spec.delay_s
        self._spec = spec

    def start(self, site: Site) -> None:
        """Raises PolicyError where nothing is to be watched, or for groups that do not exist."""
        spec = self._spec
        self._watched = Watched(site, spec.nodes)
        low = groups(site, "low_priority", spec.low_priority) or set(site.server_groups)
        is_low = np.array([group in low for group in site.server_groups], dtype=bool)
        self._low = [servers[is_low[servers]] for servers in self._watched.servers]
        self._high = [servers[~is_low[servers]] for servers in self._watched.servers]
        count = len(self._watched.names)
        self._step = [0] * count
        self._braked_s = [math.inf] * count
        """When each brake was put on; infinite while it is off."""
        self._unseen_s = [-math.inf] * count
        """Until then loads are those of the brake, and say nothing of what clocks would do."""

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        share = self._watched.share(telemetry.node_w)
        commands: list[Command] = []
        for i, of_rating in enumerate(share.tolist()):
            reason = f"load at {100 * of_rating:.1f} % of rating"
            commands += self._brake(i, of_rating, reason, now_s)
            commands += self._clocks(i, of_rating, reason, now_s)
        return commands

    def _clocks(self, i: int, share: float, reason: str, now_s: float) -> list[Command]:
        """Steps rise at once; they do not fall by what the brake does to the load, or all would
        run free, with the work that has piled up, as soon as it is released."""
        spec = self._spec
        falls = now_s >= self._unseen_s[i]
        before = step = self._step[i]
        if share > spec.second:
            step = 2
        elif share > spec.first:
            step = max(step, 1)
        if falls and step == 2 and share < spec.second - spec.margin:
            step = 1
        if falls and step == 1 and share < spec.first - spec.margin:
            step = 0
        self._step[i] = step
        low = (1.0, spec.first_clock, spec.second_clock)
        high = (1.0, 1.0, spec.high_clock)
        commands: list[Command] = []
        for slot, servers, clocks in (("low", self._low[i], low), ("high", self._high[i], high)):
            if clocks[step] != clocks[before] and len(servers):
                commands.append(self._limit(i, servers, clocks[step], slot, reason))
        return commands

    def _brake(self, i: int, share: float, reason: str, now_s: float) -> list[Command]:
        """Released once the load is low, and no sooner than the second step's clocks, told at the
        same time, are in force: or the load would be back before them."""
        spec = self._spec
        if spec.brake is None:
            return []
        on = self._braked_s[i] < math.inf
        due_s = self._braked_s[i] + spec.actuation_delay_s
        if not on and share > spec.brake:
            self._braked_s[i], ratio = now_s, spec.brake_clock
            self._unseen_s[i] = math.inf
        elif on and share < spec.second - spec.margin and now_s >= due_s:
            self._braked_s[i], ratio = math.inf, 1.0
            self._unseen_s[i] = now_s + spec.brake_delay_s + spec.delay_s + spec.period_s
        else:
            return []
        return [self._limit(i, self._watched.servers[i], ratio, "brake", reason)]

    def _limit(self, i: int, servers: IntArray, ratio: float, slot: str, reason: str) -> Command:
        spec = self._spec
        brake = slot == "brake"
        return LimitFrequency(
            servers,
            ratio,
            brake=brake,
            node=self._watched.names[i],
            reason=reason,
            after_s=spec.brake_delay_s if brake else spec.actuation_delay_s,
            slot=f"{self._watched.names[i]} {slot}",
        )
