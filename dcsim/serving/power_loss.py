"""What the loss of power and its return do to replicas."""

# not compiled: it acts when servers lose power, or have it again
from __future__ import annotations

import numpy as np

from dcsim.arrays import BoolArray
from dcsim.ledger import GpuState
from dcsim.plant import Plant
from dcsim.serving.autoscalers import Autoscalers
from dcsim.serving.fleet import Fleet


class ServerSupply:
    """Follows which servers have power, which have booted and which may serve."""

    def __init__(self, plant: Plant, fleet: Fleet, autoscalers: Autoscalers) -> None:
        self._plant, self._fleet, self._autoscalers = plant, fleet, autoscalers
        every: BoolArray = np.ones(len(plant.servers), dtype=bool)
        self._powered, self._booted, self._ready = every, every, every

    def step(self, now_s: float, powered: BoolArray, booted: BoolArray, ready: BoolArray) -> None:
        """Servers, (servers,), have lost power: their requests fail. Or they have it again: they
        serve when they have booted and loaded their weights. What an autoscaler has lost stays
        lost: it starts others."""
        fleet, autoscalers = self._fleet, self._autoscalers
        for server in np.flatnonzero(ready != self._ready).tolist():
            for index in self._plant.replicas_on(server):
                replica = fleet.replicas[index]
                if not ready[server]:
                    fleet.lose_power(replica, now_s)
                    autoscalers.lost(index, now_s)
                elif not autoscalers.has(index):
                    fleet.restore_power(replica, now_s)
        for state, entered in (
            (GpuState.OFF, ~powered & self._powered),
            (GpuState.BOOTING, powered & ~booted & ~(self._powered & ~self._booted)),
            (GpuState.LOADING, booted & ~ready & ~(self._booted & ~self._ready)),
        ):
            for server in np.flatnonzero(entered).tolist():
                for index in self._plant.replicas_on(server):
                    if not autoscalers.has(index):
                        fleet.prepare(index, state, now_s)
        self._powered, self._booted, self._ready = powered.copy(), booted.copy(), ready.copy()
