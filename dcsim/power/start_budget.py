"""The power budget that an autoscaler keeps: whether one more replica may start under a node."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import BoolArray
from dcsim.plant import Plant, ResolvedGroup
from dcsim.power.resting import RestingWatts
from dcsim.scenario.models import PowerBudget


class StartBudget:
    """What a node is expected to draw: every replica below that is on (draining ones included)
    at its GPUs' board limits or what the budget states, servers at their constant watts."""

    def __init__(
        self, plant: Plant, group: ResolvedGroup, spec: PowerBudget, watts: RestingWatts
    ) -> None:
        """`group` is who asks; other groups' replicas count at board limits. Raises ValueError for
        a node that is not there."""
        if spec.node not in plant.topology.index:
            raise ValueError(f"no node is called '{spec.node}'")
        self.limit_w = spec.watts
        self._watts = watts
        self._base_w = plant.servers.base_w
        self._servers = plant.servers_under(spec.node)
        self._is_below = np.isin(plant.replicas.server, self._servers)
        self._on_w = plant.replicas.board_w.copy()
        if spec.per_gpu_w is not None:
            members = plant.replicas_of(group.name)
            self._on_w[members] = spec.per_gpu_w * plant.replicas.gpus[members]

    def expected_w(self, off: BoolArray) -> float:
        """The node's watts with the replicas `off`, shape (replicas,), and all others on."""
        server_w = self._watts.expected_w(off, self._on_w, self._base_w)
        return float(server_w[self._servers].sum())

    def allows(self, replica: int, off: BoolArray) -> bool:
        """Whether one of the replicas that are off may start. One that hangs elsewhere always
        may."""
        if not self._is_below[replica]:
            return True
        then = off.copy()
        then[replica] = False
        return self.expected_w(then) <= self.limit_w


def start_budgets(plant: Plant, watts: RestingWatts) -> dict[str, StartBudget]:
    """By name, of the server groups whose autoscaler has a budget. Raises as `StartBudget`."""
    return {
        group.name: StartBudget(plant, group, group.spec.autoscale.budget, watts)
        for group in plant.groups
        if group.spec.autoscale is not None and group.spec.autoscale.budget is not None
    }
