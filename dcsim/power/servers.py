"""From the work ledger to server watts: the power models of a site and the chassis around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.clock import Clock
from dcsim.ledger import ReplicaConfig, WorkLedger
from dcsim.plant import Plant
from dcsim.power import build as build_power
from dcsim.power.chassis import ChassisModel, chassis_table
from dcsim.power.gpu_limits import GovernedFleet, GpuLimits
from dcsim.power.model import PowerModel, Provenance
from dcsim.power.resting import RestingWatts
from dcsim.scenario.models import Power, PowerSpec
from dcsim.seeds import branch


class ServerPower:
    """Watts of every server, one call a power step.

    Replicas that name the same power model and pack are stepped together. A server draws its
    replicas' GPUs, its GPUs that hold no replica (idle), and its non-GPU power: a constant, or
    where the catalogue says so a chassis that follows its GPUs (`dcsim.power.chassis`). A server
    without supply draws nothing. What replicas draw that an autoscaler has off, booting or
    loading is stated by the scenario. Frequency limits and power caps are in `limits`.
    """

    def __init__(self, plant: Plant) -> None:
        scenario, replicas, servers = plant.scenario, plant.replicas, plant.servers
        # By GPU too: unless a pack is named, each GPU has its own.
        by_power: dict[tuple[PowerSpec, str], list[int]] = {}
        for index, group in enumerate(replicas.group.tolist()):
            key = (plant.groups[group].spec.power, replicas.config[index].gpu)
            by_power.setdefault(key, []).append(index)
        self.models: list[PowerModel] = []
        self._members: list[IntArray] = []
        self.configs: list[list[ReplicaConfig]] = []
        for (power, gpu), members in by_power.items():
            configs = [replicas.config[i] for i in members]
            model = build_power(power, configs, plant.catalogue)
            pack = power.pack if isinstance(power, Power) else None
            name = f"{power.model}:{pack or gpu}"
            model.reset(configs, scenario.power_step_s, branch(scenario.seed, "power", name))
            self.models.append(model)
            self.configs.append(configs)
            self._members.append(np.array(members, dtype=np.int64))
        fitted = np.flatnonzero(servers.fitted_chassis)
        self.base_w = servers.base_w.copy()
        self.base_w[fitted] = (servers.spare_gpus * servers.gpu_idle_w)[fitted]
        """Constant watts of each server: all but the GPUs of its replicas, and but what a fitted
        chassis adds."""
        self.limits = GpuLimits(plant)
        self._with_chassis = fitted
        table = chassis_table()
        kinds = [table[plant.groups[g].server.name] for g in servers.group[fitted].tolist()]
        self._chassis = ChassisModel(kinds, scenario.power_step_s)
        self.resting = RestingWatts(plant)
        self._starting = False
        """Whether servers boot or load that had lost their power."""
        self.supplied = np.ones(len(servers))
        """1.0 for servers with power, 0.0 for the others."""
        self._server_index = replicas.server
        self._one_each = np.array_equal(self._server_index, np.arange(len(servers)))
        self._replica_w = np.zeros(len(replicas))
        self.gpu_w: FloatArray = self._replica_w
        """Watts of each replica's GPUs over the last step, were its server supplied."""
        self._server_w = np.zeros(len(servers))

    @property
    def stating(self) -> RestingWatts | None:
        """Who states the watts of replicas off, booting or loading; None while there are none."""
        return self.resting if self._starting or self.resting.any else None

    def govern(self, fleet: GovernedFleet, clock: Clock) -> None:
        """Frequency limits and power caps slow these replicas."""
        moving = np.zeros(len(self.base_w), dtype=bool)
        moving[self._with_chassis] = True
        self.limits.attach(fleet, clock, self._gpu_limit_w, moving)

    def supply(self, powered: BoolArray, ready: BoolArray) -> None:
        """From now on those servers draw that are `powered`; those not `ready` boot or load.
        Both shape (servers,)."""
        self.supplied[:] = powered
        self._starting = bool((powered & ~ready).any())

    def step(self, ledger: WorkLedger) -> FloatArray:
        """Server watts over the step, shape (servers,); reused by the next call."""
        limits = self.limits
        shown = limits.restate(ledger)
        if len(self.models) == 1:
            replica_w = self.models[0].step(shown)
        else:
            replica_w = self._replica_w
            for model, members in zip(self.models, self._members, strict=True):
                replica_w[members] = model.step(subset(shown, members))
        server_w = self._server_w
        stating = self.stating
        if stating is not None:
            replica_w = stating.apply(ledger.state, replica_w)
        if not limits.idle:
            replica_w = limits.limit(replica_w, self.supplied)
        self.gpu_w = replica_w
        if self._one_each:
            np.add(replica_w, self.base_w, out=server_w)
        else:
            gpu_w = np.bincount(self._server_index, weights=replica_w, minlength=len(server_w))
            np.add(gpu_w, self.base_w, out=server_w)
        if len(self._with_chassis):
            fitted = self._with_chassis
            server_w[fitted] = self._chassis.step(server_w[fitted])
        if stating is not None:
            stating.servers(ledger.state, server_w)
        np.multiply(server_w, self.supplied, out=server_w)
        return server_w

    def _gpu_limit_w(self, cap_w: FloatArray) -> FloatArray:
        """What the replicas of each server may draw under caps on the servers, both shape
        (servers,)."""
        limit_w = cap_w - self.base_w
        if len(self._with_chassis):
            fitted = self._with_chassis
            limit_w[fitted] = self._chassis.gpu_limit_w(cap_w[fitted]) - self.base_w[fitted]
        return limit_w

    def provenance(self) -> list[Provenance]:
        """What stands behind each replica's GPU watts, in replica order."""
        by_replica: dict[int, Provenance] = {}
        for model, configs, members in zip(self.models, self.configs, self._members, strict=True):
            known: dict[str, Provenance] = {}
            for index, config in zip(members.tolist(), configs, strict=True):
                if config.key not in known:
                    known[config.key] = model.provenance(config)
                by_replica[index] = known[config.key]
        return [by_replica[index] for index in range(len(by_replica))]

    def describe(self) -> list[dict[str, Any]]:
        """Each model's name, pack and evidence by configuration, for the summary."""
        rows = []
        for model, configs in zip(self.models, self.configs, strict=True):
            kinds = {config.key: config for config in configs}
            known = {key: model.provenance(kinds[key]) for key in sorted(kinds)}
            provenance = [
                {"configuration": key, "evidence": row.evidence, "source": row.source}
                for key, row in known.items()
            ]
            rows.append({"name": model.name, "pack": model.pack, "provenance": provenance})
        return rows

    def extrapolated(self) -> Iterator[str]:
        """What each configuration's watts rest on that its pack was not fitted to."""
        for row in self.describe():
            for provenance in row["provenance"]:
                if row["pack"] is not None and provenance["evidence"] == "extrapolated":
                    yield (
                        f"watts of {provenance['configuration']} are extrapolated: "
                        f"{provenance['source']}"
                    )


def subset(ledger: WorkLedger, members: IntArray) -> WorkLedger:
    """The ledger rows of some replicas."""
    columns = {name: values[members] for name, values in ledger.columns().items()}
    return WorkLedger(step_s=ledger.step_s, **columns)
