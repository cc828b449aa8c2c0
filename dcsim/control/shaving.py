"""Batteries that shave the peaks of a node above them."""

from __future__ import annotations

import numpy as np

from dcsim.control.policy import Command, Shave, Site, Telemetry
from dcsim.control.watched import Hysteresis, Watched
from dcsim.errors import PolicyError
from dcsim.scenario import models


class BatteryShave:
    """While a node is over `above` x rating, or has not fallen below `below`, the batteries at and
    below it keep it at `above`: each node with a battery may draw what it draws now, less its
    part of the excess (or more by its part of what is free). Parts go by the batteries' power."""

    def __init__(self, spec: models.BatteryShaveSpec) -> None:
        self.period_s = spec.period_s
        self.delay_s = spec.delay_s
        self._after_s = spec.actuation_delay_s
        self._spec = spec

    def start(self, site: Site) -> None:
        """Raises PolicyError where nothing is to be watched, or a watched node has no battery at
        it or below."""
        self._watched = watched = Watched(site, self._spec.nodes)
        self._over = Hysteresis(len(watched.names), self._spec.above, self._spec.below)
        index = {name: i for i, name in enumerate(site.names)}
        self._batteries: list[list[tuple[str, int, float]]] = []
        for name, servers in zip(watched.names, watched.servers, strict=True):
            below = [
                battery
                for battery in site.battery_w
                if np.isin(site.servers_under[battery], servers).all()
            ]
            if not below:
                raise PolicyError("nodes", f"there is no battery at or below {name}")
            whole_w = sum(site.battery_w[battery] for battery in below)
            parts = [(b, index[b], site.battery_w[b] / whole_w) for b in below]
            self._batteries.append(parts)
        self._not_before_s = 0.0

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        if now_s < self._not_before_s:
            return []  # the last command's effect is not seen yet
        share = self._watched.share(telemetry.node_w)
        moved = set(self._over.moved(share).tolist())
        commands: list[Command] = []
        for i, of_rating in enumerate(share.tolist()):
            if not self._over.on[i] and i not in moved:
                continue
            excess_w = (of_rating - self._spec.above) * float(self._watched.limit_w[i])
            for battery, node, part in self._batteries[i]:
                above_w = float(max(telemetry.node_w[node] - part * excess_w, 0.0))
                commands.append(
                    Shave(
                        battery,
                        above_w if self._over.on[i] else None,
                        node=self._watched.names[i],
                        reason=f"load at {100 * of_rating:.1f} % of rating",
                        after_s=self._after_s,
                        slot=self._watched.names[i],
                    )
                )
        if commands:
            self._not_before_s = now_s + self._after_s + self.delay_s
        return commands
