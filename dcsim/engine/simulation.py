"""One run of a scenario: the rooms wired together on one clock.

Within a power step data flows one way: the fleet's work becomes a ledger, power makes watts
of it, the topology sums them, limits and breakers are checked, the recorder writes, policies
look. What breakers and policies decide is carried out at the end of the step, so the next step
is the first to feel it; a command that is due inside a later step is carried out at its own time.
"""

from __future__ import annotations

import logging
import math
import tempfile
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from simpy.core import StopSimulation

from dcsim.arrays import FloatArray, IntArray, RecordArray
from dcsim.clock import AFTER, Clock
from dcsim.control.policy import Policy
from dcsim.engine.busy import Busy
from dcsim.engine.check import telling_problems
from dcsim.engine.control import Control
from dcsim.engine.evidence import EvidenceSums
from dcsim.engine.headroom import Headroom
from dcsim.engine.scaling import build_scalers
from dcsim.engine.warm_up import warm_up_of
from dcsim.errors import ConfigurationError, ExtrapolationWarning
from dcsim.facility.events import FacilityEvent
from dcsim.facility.labels import label_loads_w
from dcsim.facility.site import ElectricalSite
from dcsim.ledger import GpuState
from dcsim.plant import Plant
from dcsim.power.model import PowerModel
from dcsim.power.passed import with_power_models
from dcsim.power.servers import ServerPower
from dcsim.results import Results
from dcsim.results.goodput import Promise
from dcsim.results.limit_rows import complete
from dcsim.results.recorder import NodeTable, Recorder
from dcsim.results.summary import build_summary
from dcsim.results.versions import versions
from dcsim.scenario.dump import dump
from dcsim.scenario.load import as_document, check_document
from dcsim.scenario.models import Scenario, Slo, Tenant
from dcsim.seeds import branch
from dcsim.serving.autoscale import Autoscaler
from dcsim.serving.fleet import Fleet
from dcsim.serving.log import RequestLog
from dcsim.serving.routers import Pool, Router
from dcsim.spec.nearest import suggestion
from dcsim.workload import requests

logger = logging.getLogger(__name__)


class Watcher(Protocol):
    """Somebody who looks on while a run goes, such as the terminal's live view."""

    def begin(
        self,
        names: Sequence[str],
        kinds: Sequence[str],
        parent_index: IntArray,
        rating_w: FloatArray,
        measured_from_s: float,
    ) -> None:
        """Called before the first step, with the site's nodes in node order and the end of the
        warm-up, which figures leave out."""

    def serving(self, replicas: int, capacity_per_s: float | None) -> None:
        """Called after `begin`: how many replicas there are, and what they can serve within the
        SLO, requests/s; None where that is unknown."""

    def loads(self, node_w: FloatArray) -> None:
        """Called after every power step, before `update`; shape (nodes,), not to be kept."""

    def update(
        self,
        now_s: float,
        site_w: float,
        site_limit_w: float,
        worst: tuple[str, float],
        running: int,
        waiting: int,
        arrived: int,
    ) -> bool:
        """Called after every power step, with the requests that have arrived so far; True ends the
        run here, as if it were no longer."""

    def flag(self, event: FacilityEvent) -> None:
        """Called for every flag."""


class Simulation:
    """A scenario ready to run. `run` plays it once, into `path`."""

    def __init__(
        self,
        plant: Plant,
        *,
        policies: Sequence[Policy] = (),
        power_models: Mapping[str, PowerModel] | None = None,
        routers: Mapping[str, Callable[[Pool], Router]] | None = None,
    ) -> None:
        """Prepare a run.

        Parameters
        ----------
        plant
            The resolved site.
        policies
            Policies that act beside those of the scenario.
        power_models
            Power models in place of the scenario's, by server group.
        routers
            What makes the router of a pool, in place of the scenario's, by served model.

        Raises
        ------
        ConfigurationError
            A power model or router for a server group or served model that is not there, or a
            power model that does not know its replicas.
        PolicyError
            A policy passed as an object that cannot work on this site.
        ScenarioError
            A policy or power pack of the scenario that cannot work on this site; its problems have
            no file (`dcsim.load` checks the same with file and line).
        """
        if power_models:
            plant = Plant.build(with_power_models(plant.scenario, power_models), plant.catalogue)
        scenario = plant.scenario
        served = {group.model for group in scenario.servers}
        for model in set(routers or ()) - served:
            message = f"routers: no server group serves '{model}'"
            raise ConfigurationError(f"{message} ({suggestion(model, served)})")
        self.plant = plant
        self.scenario = scenario
        self.warm_up = warm_up_of(plant)
        self.clock = Clock()
        self.log = RequestLog()
        self._headroom = Headroom(plant)
        self.fleet = Fleet(plant, self.clock, self.log, branch(scenario.seed, "routing"), routers)
        self._shows_headroom = self.fleet.needs_headroom()
        with telling_problems(scenario):
            self.server_power = ServerPower(plant)
        self.busy = Busy(plant, self.warm_up.cut_s)
        self.evidence = EvidenceSums(plant, self.server_power, self.warm_up.cut_s)
        self.server_power.govern(self.fleet, self.clock)
        self.scalers = self._start_scalers()
        self.site = ElectricalSite.of_plant(
            plant, branch(scenario.seed, "facility"), self.warm_up.cut_s
        )
        self.watch = self.site.watch
        self._powered, self._ready = self.site.powered.copy(), self.site.ready.copy()
        """Servers with power, and those that may serve, as power and fleet know it."""
        self._booted = self.site.booted.copy()
        with telling_problems(scenario):
            self.control = Control(
                plant, self.fleet, self.server_power, self.site, self.clock, self._flag, policies
            )
        self.state_steps = np.zeros(len(GpuState), dtype=np.int64)
        """Replica-steps ended in each GPU state."""
        self._steps = 0
        self._end_s = scenario.duration_s
        self._recorder: Recorder | None = None
        self._watcher: Watcher | None = None
        self._tick: Any = self.clock.alarm(self._power_step)

    def run(self, path: Path, watcher: Watcher | None = None) -> dict[str, Any]:
        """Play the whole duration and write `path`; returns the summary.

        Raises OSError when the file cannot be written, TraceError for a bad replay row. Whatever
        stops it, no incomplete file is left.
        """
        scenario = self.scenario
        topology = self.plant.topology
        started = time.perf_counter()
        nodes = NodeTable(
            names=topology.names,
            kinds=topology.kinds,
            rating_w=topology.rating_w,
            parent_index=topology.parent_index,
            feeds=topology.feeds,
            nameplate_w=topology.sum_loads(self.plant.servers.nameplate_w).copy(),
            nameplate_load_w=label_loads_w(self.plant),
        )
        recorder = self._recorder = Recorder(
            path,
            scenario_yaml=dump(scenario),
            seed=scenario.seed,
            step_s=scenario.power_step_s,
            server_step_s=scenario.record.server_step_s,
            nodes=nodes,
            versions=versions(),
            keep_requests=scenario.record.requests,
            promises=[_promise(tenant) for tenant in scenario.tenants],
            warm_up=self.warm_up,
        )
        self._watcher = watcher
        if watcher is not None:
            watcher.begin(
                topology.names,
                topology.kinds,
                topology.parent_index,
                topology.rating_w,
                self.warm_up.cut_s,
            )
            watcher.serving(len(self.plant.replicas), self.busy.capacity_per_s())
        try:
            self.log.sink = self._requests
            traffic = requests(scenario, branch(scenario.seed, "workload"))
            self.fleet.feed(traffic)
            self.clock.set_alarm(self._tick, scenario.power_step_s, AFTER)
            try:
                self.clock.play(scenario.duration_s)
            except StopSimulation:  # by the watcher
                self._end_s = self.clock.now
            self.fleet.close(self._end_s)
            for event in self.site.finish(self._steps * scenario.power_step_s):
                self._flag(event)
            step_s = scenario.power_step_s
            evidence = self.evidence.describe(step_s, self.site.flow.energy_j)
            summary = build_summary(
                recorder,
                counts=self.fleet.counts(),
                tokens={
                    "prompt": self.fleet.prompt_tokens,
                    "cached": self.log.cached_tokens,
                    "generated": self.log.generated_tokens,
                    "lost": self.fleet.retries.lost_tokens,
                },
                traffic={"skipped": traffic.skipped, "dropped": traffic.dropped},
                preemptions=self.log.preemptions,
                power_model=self.server_power.describe(),
                gpu_state_s=self._state_seconds(),
                routing={
                    "failovers": self.fleet.failovers,
                    "retries": self.fleet.retries.count,
                },
                autoscale=self._scaling(),
                control=self.control.describe(self._end_s),
                serving=self.busy.rows(self._end_s),
                evidence=evidence,
                breakdown=self.busy.breakdown(self.evidence.energy_wh(evidence, step_s)),
            )
            self.site.annotate(summary["nodes"])
            summary["limits"] = self.site.limit_rows()
            summary["start"] = None if scenario.start is None else str(scenario.start)
            complete(summary["limits"], scenario.start, self.warm_up)
            summary["site"] = self.site.figures()
            summary["redundancy"] = self.site.redundancy.rows()
            recorder.finish(summary)
        except BaseException:
            recorder.abort()
            raise
        summary["wall_s"] = time.perf_counter() - started
        return summary

    # --- the power step --------------------------------------------------------------------

    def _power_step(self, now: float) -> None:
        step_s = self.scenario.power_step_s
        self._steps += 1
        ledger = self.fleet.work.step(now)
        server_w = self.server_power.step(ledger)
        node_w, events = self.site.step(now, step_s, server_w)
        self.busy.step(now, ledger)
        self.evidence.step(now, ledger.state, server_w, self.site.flow.energy_j)
        self.state_steps += np.bincount(ledger.state, minlength=len(GpuState))
        recorder = self._recorder
        assert recorder is not None
        recorder.step(node_w)
        for event in events:
            self._flag(event)
        if self.site.changed:
            self._supply(now)
        if self.control.acts:
            for event in self.control.step(now, self._steps, node_w):
                self._flag(event)
        if self._shows_headroom:
            self.fleet.observe(now, self._headroom.step(node_w))
        if self._watcher is not None:
            self._watcher.loads(node_w)
            enough = self._watcher.update(
                now,
                node_w[0],
                self.plant.nodes.rating_w[0],
                self.watch.worst_headroom(),
                ledger.running.sum(),
                ledger.waiting.sum(),
                self.fleet.arrived,
            )
            if enough:
                raise StopSimulation
        # Whole multiples of the step: adding steps up would drift.
        self.clock.set_alarm(self._tick, (self._steps + 1) * step_s, AFTER)

    def _requests(self, records: RecordArray) -> None:
        assert self._recorder is not None
        self._recorder.requests(records)
        self.busy.requests(records)

    def _flag(self, event: FacilityEvent) -> None:
        assert self._recorder is not None
        self._recorder.event(event)
        if self._watcher is not None:
            self._watcher.flag(event)

    def _supply(self, now: float) -> None:
        """Servers that have lost power go dark, and their requests fail; those that have it again
        draw at once, and serve when they have booted and loaded their weights. What an autoscaler
        has lost stays lost: it starts others."""
        powered, booted, ready = self.site.powered, self.site.booted, self.site.ready
        changed = powered != self._powered  # others may have switched servers off for their reasons
        self.server_power.supplied[changed] = powered[changed]
        for server in np.flatnonzero(ready != self._ready).tolist():
            for index in self.plant.replicas_on(server):
                replica = self.fleet.replicas[index]
                if not ready[server]:
                    self.fleet.darken(replica, now)
                    for scaler in self.scalers.values():
                        scaler.lost(index, now)
                elif self._group_name(index) not in self.scalers:
                    self.fleet.restore(replica, now)
        for state, entered in (
            (GpuState.OFF, ~powered & self._powered),
            (GpuState.BOOTING, powered & ~booted & ~(self._powered & ~self._booted)),
            (GpuState.LOADING, booted & ~ready & ~(self._booted & ~self._ready)),
        ):
            for server in np.flatnonzero(entered).tolist():
                for index in self.plant.replicas_on(server):
                    if self._group_name(index) not in self.scalers:
                        self.fleet.prepare(index, state, now)
        self.server_power.starting = bool((powered & ~ready).any())
        self._powered, self._booted, self._ready = powered.copy(), booted.copy(), ready.copy()

    def _group_name(self, replica: int) -> str:
        return self.plant.groups[self.plant.replicas.group[replica]].name

    # --- autoscaling -----------------------------------------------------------------------

    def _start_scalers(self) -> dict[str, Autoscaler]:
        """The autoscalers by server group, with the replicas off that the run begins without."""
        if self.server_power.resting is None:
            return {}
        scalers = build_scalers(self.plant, self.fleet, self.clock, self.server_power.resting)

        def emptied(replica: int, now: float) -> None:
            for scaler in scalers.values():
                scaler.emptied(replica, now)

        self.fleet.on_empty = emptied
        for scaler in scalers.values():
            scaler.start()
        self.fleet.begin()
        return scalers

    def _scaling(self) -> list[dict[str, Any]]:
        """What the autoscalers did, for the summary."""
        return [
            {"group": name, **scaler.describe(self._end_s)} for name, scaler in self.scalers.items()
        ]

    def _state_seconds(self) -> dict[str, float]:
        step_s = self.scenario.power_step_s
        return {state.name.lower(): float(self.state_steps[state]) * step_s for state in GpuState}


def _promise(tenant: Tenant) -> Promise:
    slo = tenant.slo or Slo()
    return Promise(tenant.name, slo.ttft_s or math.inf, slo.tpot_s or math.inf, slo.attainment)


def simulate(
    scenario: Scenario,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    *,
    policies: Sequence[Policy] = (),
    power_models: Mapping[str, PowerModel] | None = None,
    routers: Mapping[str, Callable[[Pool], Router]] | None = None,
) -> Results:
    """Play a scenario and open its results.

    Parameters
    ----------
    scenario
        From `dcsim.load`, or made in Python; it is checked as a file is, but for its traces.
    out
        HDF5 file to keep; without it the file lives as long as the returned Results.
    watcher
        Follows the run, and may end it.
    policies, power_models, routers
        Components as objects, as `Simulation` takes them.

    Returns
    -------
    Results
        Open; its `summary` holds what `dcsim run --json` prints.

    Raises
    ------
    ScenarioError
        For a scenario made or changed in Python that breaks a rule of the scenario file, or whose
        policies or power packs cannot work on this site.
    ConfigurationError, PolicyError
        As for `Simulation`, for components passed as objects.

    Warns
    -----
    ExtrapolationWarning
        For each configuration that a power pack was not fitted to.
    """
    check_document(as_document(scenario, f"<{scenario.name}>"))  # 2 ms
    simulation = Simulation(
        Plant.build(scenario), policies=policies, power_models=power_models, routers=routers
    )
    for message in simulation.server_power.extrapolated():
        warnings.warn(message, ExtrapolationWarning, stacklevel=2)
    if out is not None:
        summary = simulation.run(Path(out), watcher)
        _log_traffic(summary["traffic"])
        return Results.open(out, summary=summary)
    folder = tempfile.TemporaryDirectory(prefix="dcsim-")
    path = Path(folder.name) / f"{scenario.name}.h5"
    summary = simulation.run(path, watcher)
    _log_traffic(summary["traffic"])
    results = Results.open(path, summary=summary)
    weakref.finalize(results, _forget, folder.cleanup)
    return results


def _log_traffic(traffic: Mapping[str, Mapping[str, int]]) -> None:
    """Say which rows of traces were left out, as their streams ask."""
    for what, by_stream in traffic.items():
        for stream, rows in by_stream.items():
            logger.info("workload stream %s: %d rows of its trace %s", stream, rows, what)


def _forget(cleanup: Callable[[], None]) -> None:
    cleanup()
