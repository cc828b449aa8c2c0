"""Autoscaling and watts: what replicas draw that do not serve, and budgets that hold them back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.engine.clock import Clock
from dcsim.ledger import GpuState
from dcsim.plant import Plant
from dcsim.scenario.models import Autoscale
from dcsim.serving.autoscale import Autoscaler
from dcsim.serving.fleet import Fleet


class RestingWatts:
    """Replaces the power models' watts of replicas that are off, booting or loading.

    States are those at the end of a power step, so a change takes effect with the step in which
    it happens.
    """

    def __init__(self, plant: Plant) -> None:
        replicas, count = plant.replicas, len(plant.replicas)
        self._stated_w = np.full((len(GpuState), count), np.nan)
        """By state and replica; NaN: the power model's business."""
        self._standby_w = np.full(len(plant.servers), np.nan)
        """By server; NaN: not scaled."""
        self._all = np.arange(count)
        self._server_index = replicas.server
        self._replicas = plant.servers.replicas
        for group in plant.groups:
            members, spec = plant.replicas_of(group.name), group.spec
            if spec.autoscale is None:
                # Coming back after a loss of power: as an autoscaled one where nothing is said.
                for state in (GpuState.BOOTING, GpuState.LOADING):
                    self._stated_w[state, members] = replicas.idle_w[members]
                continue
            stated = spec.autoscale.power
            for state, watts in (
                (GpuState.OFF, stated.stopped_w),
                (GpuState.BOOTING, stated.booting_w),
                (GpuState.LOADING, stated.loading_w),
            ):
                per_gpu_w = group.gpu_idle_w if watts is None else watts
                self._stated_w[state, members] = per_gpu_w * spec.replica_gpus
            self._standby_w[replicas.server[members]] = stated.standby_w
        self.any = bool(np.isfinite(self._standby_w).any())

    def resting(self, off: BoolArray) -> BoolArray:
        """Scaled servers all of whose replicas are off, shape (servers,)."""
        count = np.bincount(self._server_index, weights=off, minlength=len(self._replicas))
        all_off: BoolArray = (count == self._replicas) & np.isfinite(self._standby_w)
        return all_off

    def stated(self, state: IntArray) -> BoolArray:
        """Replicas whose watts are the stated ones, shape (replicas,)."""
        return ~np.isnan(self._stated_w[state, self._all])

    def apply(self, state: IntArray, replica_w: FloatArray) -> FloatArray:
        """GPU watts of each replica, shape (replicas,), the power models' or the stated ones."""
        stated_w = self._stated_w[state, self._all]
        return np.where(np.isnan(stated_w), replica_w, stated_w)

    def servers(self, state: IntArray, server_w: FloatArray) -> None:
        """Put servers at rest at their standby watts, in place, shape (servers,)."""
        resting = self.resting(state == GpuState.OFF)
        server_w[resting] = self._standby_w[resting]

    def expected_w(self, off: BoolArray, on_w: FloatArray, base_w: FloatArray) -> FloatArray:
        """Server watts, shape (servers,), where the replicas that are not `off` draw `on_w`."""
        off_w = self._stated_w[GpuState.OFF]
        replica_w = np.where(off & np.isfinite(off_w), off_w, on_w)
        server_w = np.bincount(self._server_index, replica_w, len(base_w)) + base_w
        resting = self.resting(off)
        server_w[resting] = self._standby_w[resting]
        return server_w


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
