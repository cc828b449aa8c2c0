"""What the loss of power and its return do to replicas and to the watts of servers."""

from __future__ import annotations

import numpy as np

from dcsim.facility.site import ElectricalSite
from dcsim.ledger import GpuState
from dcsim.plant import Plant
from dcsim.power.servers import ServerPower
from dcsim.serving.autoscalers import Autoscalers
from dcsim.serving.fleet import Fleet


class ServerSupply:
    """Passes on to fleet, power and autoscalers which servers the site supplies."""

    def __init__(
        self,
        plant: Plant,
        site: ElectricalSite,
        fleet: Fleet,
        server_power: ServerPower,
        autoscalers: Autoscalers,
    ) -> None:
        self._plant = plant
        self._site = site
        self._fleet = fleet
        self._server_power = server_power
        self._autoscalers = autoscalers
        self._powered, self._ready = site.powered.copy(), site.ready.copy()
        """Servers with power, and those that may serve, as power and fleet know it."""
        self._booted = site.booted.copy()

    def step(self, now: float) -> None:
        """Servers that have lost power go dark, and their requests fail; those that have it again
        draw at once, and serve when they have booted and loaded their weights. What an autoscaler
        has lost stays lost: it starts others."""
        site = self._site
        powered, booted, ready = site.powered, site.booted, site.ready
        changed = powered != self._powered  # others may have switched servers off for their reasons
        self._server_power.supplied[changed] = powered[changed]
        for server in np.flatnonzero(ready != self._ready).tolist():
            for index in self._plant.replicas_on(server):
                replica = self._fleet.replicas[index]
                if not ready[server]:
                    self._fleet.darken(replica, now)
                    self._autoscalers.lost(index, now)
                elif not self._autoscalers.has(index):
                    self._fleet.restore(replica, now)
        for state, entered in (
            (GpuState.OFF, ~powered & self._powered),
            (GpuState.BOOTING, powered & ~booted & ~(self._powered & ~self._booted)),
            (GpuState.LOADING, booted & ~ready & ~(self._booted & ~self._ready)),
        ):
            for server in np.flatnonzero(entered).tolist():
                for index in self._plant.replicas_on(server):
                    if not self._autoscalers.has(index):
                        self._fleet.prepare(index, state, now)
        self._server_power.starting = bool((powered & ~ready).any())
        self._powered, self._booted, self._ready = powered.copy(), booted.copy(), ready.copy()
