"""Caps that hold whatever the load."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce

import numpy as np

from dcsim.arrays import IntArray
from dcsim.control.policy import CapGpus, CapServers, Command, LimitFrequency, Site, Telemetry
from dcsim.control.watched import groups, named
from dcsim.errors import PolicyError
from dcsim.scenario import models


class StaticCap:
    """A power cap or clock limit, always or between two times. It watches nothing."""

    period_s = math.inf
    delay_s = 0.0

    def __init__(self, spec: models.StaticCapSpec) -> None:
        self._spec = spec

    def start(self, site: Site) -> list[Command]:
        """Raises PolicyError for nodes or groups that do not exist, and for caps below rest."""
        spec = self._spec
        servers = self._servers(site)
        self._check(site, servers)
        where = spec.nodes or site.names[0]
        commands: list[Command] = []
        if spec.gpu_power_w is not None:
            commands.append(CapGpus(servers, spec.gpu_power_w, node=where, reason="always"))
        if spec.server_power_w is not None:
            caps_w = np.full(len(servers), spec.server_power_w)
            commands.append(CapServers(servers, caps_w, node=where, reason="always"))
        if spec.clock is not None:
            commands.append(LimitFrequency(servers, spec.clock, node=where, reason="always"))
        if spec.end_s is None and spec.start_s == 0.0:
            return commands
        begun = [replace(c, after_s=spec.start_s, reason="its time has come") for c in commands]
        if spec.end_s is None:
            return begun
        return begun + [command.lifted(spec.end_s, "its time is over") for command in commands]

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        """Nothing further."""
        return []

    def _servers(self, site: Site) -> IntArray:
        spec = self._spec
        chosen = np.arange(len(site.server_groups))
        if spec.nodes is not None:
            under = [site.servers_under[site.names[node]] for node in named(site, spec.nodes)]
            chosen = reduce(np.union1d, under)
        if spec.groups:
            names = groups(site, "groups", spec.groups)
            chosen = chosen[[site.server_groups[server] in names for server in chosen]]
        if not len(chosen):
            raise PolicyError("nodes", "no server of these groups is below these nodes")
        return chosen

    def _check(self, site: Site, servers: IntArray) -> None:
        spec = self._spec
        for key, cap_w, rest_w, what in (
            ("gpu_power", spec.gpu_power_w, site.gpu_rest_w, "GPU"),
            ("server_power", spec.server_power_w, site.server_rest_w, "server"),
        ):
            most_w = float(rest_w[servers].max())
            if cap_w is not None and cap_w <= most_w:
                message = f"{cap_w:,.0f} W is no more than a {what} draws at rest ({most_w:,.0f} W)"
                raise PolicyError(key, message)
