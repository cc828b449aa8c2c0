"""The autoscalers of a site, one for each server group that has one."""

# not compiled: it acts once an interval
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from dcsim.arrays import BoolArray
from dcsim.plant import Plant
from dcsim.serving.autoscale import Autoscaler
from dcsim.serving.fleet import Fleet
from dcsim.serving.span import AlarmClock


class Budget(Protocol):
    """What may hold an autoscaler back."""

    def allows(self, replica: int, off: BoolArray) -> bool:
        """Whether a replica may start while those `off`, shape (replicas,), are off."""


class Autoscalers:
    """Builds them, and puts the replicas off that the run begins without."""

    def __init__(
        self, plant: Plant, fleet: Fleet, clock: AlarmClock, budgets: Mapping[str, Budget]
    ) -> None:
        """`budgets` by server group, where there is one. Raises ValueError for a group with too
        few replicas."""
        self.by_group: dict[str, Autoscaler] = {}
        self._replicas = len(plant.replicas)
        self._group_names = [plant.groups[g].name for g in plant.replicas.group.tolist()]
        for group in plant.groups:
            if group.spec.autoscale is not None:
                self.by_group[group.name] = Autoscaler(
                    group.spec.autoscale,
                    plant,
                    group,
                    fleet,
                    clock,
                    self._may_start(budgets.get(group.name)),
                )
        if self.by_group:
            fleet.on_empty = self._emptied
            for scaler in self.by_group.values():
                scaler.start()
            fleet.begin()

    def _may_start(self, budget: Budget | None) -> Callable[[int], bool] | None:
        if budget is None:
            return None
        return lambda replica: budget.allows(replica, self._off())

    def _off(self) -> BoolArray:
        """Replicas without power for their GPUs, shape (replicas,)."""
        off = np.zeros(self._replicas, dtype=bool)
        for scaler in self.by_group.values():
            off[scaler.off()] = True
        return off

    def _emptied(self, replica: int, now: float) -> None:
        for scaler in self.by_group.values():
            scaler.emptied(replica, now)

    def has(self, replica: int) -> bool:
        """Whether a replica is under an autoscaler."""
        return self._group_names[replica] in self.by_group

    def lost(self, replica: int, now: float) -> None:
        """A replica's power was cut."""
        for scaler in self.by_group.values():
            scaler.lost(replica, now)

    def describe(self, end_s: float) -> list[dict[str, Any]]:
        """`summary["autoscale"]`: a row a group."""
        return [{"group": name, **s.describe(end_s)} for name, s in self.by_group.items()]
