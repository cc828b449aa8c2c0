"""What replicas draw that do not serve: off, booting or loading, as the scenario states it."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.ledger import GpuState
from dcsim.plant import Plant


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
        stated: BoolArray = ~np.isnan(self._stated_w[state, self._all])
        return stated

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
