"""Autoscalers of a site, and the watts that hold them back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.clock import Clock
from dcsim.plant import Plant
from dcsim.power.resting import RestingWatts
from dcsim.scenario.models import Autoscale
from dcsim.serving.autoscale import Autoscaler
from dcsim.serving.fleet import Fleet


class Budget:
    """What a node is expected to draw: every replica below that is on (draining ones included)
    at its GPUs' board limits or what the budget states, servers at their constant watts."""

    def __init__(
        self,
        limit_w: float,
        servers: IntArray,
        on_w: FloatArray,
        base_w: FloatArray,
        watts: RestingWatts,
        server_index: IntArray,
        scalers: Sequence[Autoscaler],
    ) -> None:
        """`servers` are those under the node; `scalers` all of the site's, to be filled later."""
        self.limit_w = limit_w
        self._servers = servers
        self._on_w = on_w
        self._base_w = base_w
        self._watts = watts
        self._below = set(np.flatnonzero(np.isin(server_index, servers)).tolist())
        self._scalers = scalers

    def expected_w(self, starting: int | None = None) -> float:
        """The node's watts, with one more replica on or as it is."""
        off = np.zeros(len(self._on_w), dtype=bool)
        for scaler in self._scalers:
            off[scaler.off()] = True
        if starting is not None:
            off[starting] = False
        server_w = self._watts.expected_w(off, self._on_w, self._base_w)
        return float(server_w[self._servers].sum())

    def allows(self, replica: int) -> bool:
        """Whether a replica may be started. One that hangs elsewhere always may."""
        return replica not in self._below or self.expected_w(replica) <= self.limit_w


def build_scalers(
    plant: Plant, fleet: Fleet, clock: Clock, watts: RestingWatts
) -> dict[str, Autoscaler]:
    """The autoscaler of each server group that has one, by name.

    Raises ValueError for a group that has too few replicas, or a budget of a node that is not
    there.
    """
    scalers: list[Autoscaler] = []
    named: dict[str, Autoscaler] = {}
    for group in plant.groups:
        spec = group.spec.autoscale
        if spec is None:
            continue
        members = plant.replicas_of(group.name)
        budget = None
        if spec.budget is not None:
            if spec.budget.node not in plant.topology.index:
                raise ValueError(f"no node is called '{spec.budget.node}'")
            budget = Budget(
                spec.budget.watts,
                plant.servers_under(spec.budget.node),
                _expected_w(plant, members, spec.budget.per_gpu_w),
                plant.servers.base_w,
                watts,
                plant.replicas.server,
                scalers,
            )
        scaler = Autoscaler(
            spec,
            fleet,
            clock,
            members.tolist(),
            plant.replicas.server[members].tolist(),
            _load_s(spec, group.model.weight_bytes),
            None if budget is None else budget.allows,
            group.spec.engine.queue_timeout_s or math.inf,
        )
        scalers.append(scaler)
        named[group.name] = scaler
    return named


def _load_s(spec: Autoscale, weight_bytes: float) -> float:
    if spec.load_bandwidth_bytes_s is not None:
        return weight_bytes / spec.load_bandwidth_bytes_s
    assert spec.load_s is not None
    return spec.load_s


def _expected_w(plant: Plant, members: IntArray, per_gpu_w: float | None) -> FloatArray:
    """GPU watts of each replica when on: stated for these, board limits for all others."""
    on_w = plant.replicas.board_w.copy()
    if per_gpu_w is not None:
        on_w[members] = per_gpu_w * plant.replicas.gpus[members]
    return on_w
