"""One run of a scenario: the rooms wired together on one clock.

Within a power step data flows one way: the fleet's work becomes a ledger, power makes watts
of it, the topology sums them, limits and breakers are checked, the recorder writes, policies
look. What breakers and policies decide is carried out at the end of the step, so the next step
is the first to feel it; a command that is due inside a later step is carried out at its own time.
"""

from __future__ import annotations

import math
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.arrays import RecordArray
from dcsim.clock import AFTER, Clock
from dcsim.control.policy import Command, Policy
from dcsim.engine.check import telling_problems
from dcsim.engine.control import Control
from dcsim.engine.frame import Frame
from dcsim.engine.recording import open_recorder, summarize
from dcsim.engine.supply import Supply
from dcsim.engine.watcher import Watcher
from dcsim.errors import ConfigurationError
from dcsim.facility.events import FacilityEvent
from dcsim.facility.headroom import Headroom
from dcsim.facility.site import ElectricalSite
from dcsim.ledger import GpuState
from dcsim.plant import Plant
from dcsim.power.evidence import EvidenceSums
from dcsim.power.model import PowerModel
from dcsim.power.passed import with_power_models
from dcsim.power.servers import ServerPower
from dcsim.power.start_budget import start_budgets
from dcsim.results import Results
from dcsim.results.breakdown import Breakdowns
from dcsim.results.fill_time import warm_up_of
from dcsim.results.recorder import Recorder
from dcsim.seeds import branch
from dcsim.serving.autoscalers import Autoscalers
from dcsim.serving.fleet import Fleet
from dcsim.serving.log import RequestLog
from dcsim.serving.replica_sums import ReplicaSums
from dcsim.serving.routers import Pool, Router
from dcsim.spec.nearest import suggestion
from dcsim.workload import requests
from dcsim.workload.open import Requests


class Simulation:
    """A site ready to be played, once.

    `run` plays all of it. Iterating plays one power step at a time:

        simulation = Simulation(Plant.build(scenario))
        for frame in simulation:
            if frame.node_w[0] > limit_w:
                simulation.command(...)
        results = simulation.results

    Attributes
    ----------
    plant, scenario
        What is played.
    steps
        Power steps that have ended.
    """

    def __init__(
        self,
        plant: Plant,
        *,
        out: str | Path | None = None,
        policies: Sequence[Policy] = (),
        power_models: Mapping[str, PowerModel] | None = None,
        routers: Mapping[str, Callable[[Pool], Router]] | None = None,
    ) -> None:
        """Prepare a run.

        Parameters
        ----------
        plant
            The resolved site.
        out
            HDF5 file to keep; without it the file lives as long as `results`.
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
        self.replica_sums = ReplicaSums(plant, self.warm_up.cut_s)
        self.breakdowns = Breakdowns(plant, self.warm_up.cut_s)
        self.evidence = EvidenceSums(plant, self.server_power, self.warm_up.cut_s)
        self.server_power.govern(self.fleet, self.clock)
        budgets = start_budgets(plant, self.server_power.resting)
        self.autoscalers = Autoscalers(plant, self.fleet, self.clock, budgets)
        self.site = ElectricalSite.of_plant(
            plant, branch(scenario.seed, "facility"), self.warm_up.cut_s
        )
        self.watch = self.site.watch
        self.supply = Supply(plant, self.site, self.fleet, self.server_power, self.autoscalers)
        with telling_problems(scenario):
            self.control = Control(
                plant, self.fleet, self.server_power, self.site, self.clock, self._flag, policies
            )
        self.state_steps = np.zeros(len(GpuState), dtype=np.int64)
        """Replica-steps ended in each GPU state."""
        self.steps = 0
        self._end_s = scenario.duration_s
        self._last_step = whole_steps(scenario.duration_s, scenario.power_step_s)
        self._out = None if out is None else Path(out)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._recorder: Recorder | None = None
        self._traffic: Requests | None = None
        self._began_s = 0.0
        self._summary: dict[str, Any] | None = None
        self._results: Results | None = None
        self._events: list[FacilityEvent] = []
        """Flags since the last frame."""
        self._frame: Frame | None = None
        self._watcher: Watcher | None = None
        self._tick: Any = self.clock.alarm(self._power_step)

    @property
    def now_s(self) -> float:
        """End of the last power step, in simulated seconds."""
        return self.steps * self.scenario.power_step_s

    def __iter__(self) -> Iterator[Frame]:
        """Play one power step after the other, to the end of the scenario's duration."""
        while self._summary is None and self.steps < self._last_step:
            yield self.step()

    def step(self, until_s: float | None = None) -> Frame:
        """Play on.

        Parameters
        ----------
        until_s
            Simulated time up to which to play: to the end of the power step in which it lies, or
            of the last whole one of the run. None: one power step.

        Returns
        -------
        Frame
            The last of the power steps played.

        Raises
        ------
        ValueError
            If there is nothing to play: `until_s` is no later than `now_s`, or the run has ended.
        OSError
            If the results cannot be written.
        """
        step_s = self.scenario.power_step_s
        goal = self.steps + 1 if until_s is None else math.ceil(until_s / step_s - 1e-9)
        goal = min(goal, self._last_step)
        if self._summary is not None or goal <= self.steps:
            raise ValueError(f"nothing to play: the run stands at {self.now_s:g} s")
        self._begin()
        try:
            self.clock.play(goal * step_s)
        except BaseException:
            self._abort()
            raise
        self._events = []
        assert self._frame is not None
        return self._frame

    def command(self, *commands: Command) -> None:
        """Give commands from outside.

        They count as those of a policy that decided at `now_s`: they are in force from the next
        power step on, or after their own delay, and the tightest of all commands holds. Events
        and the summary name their source `user`.

        Raises
        ------
        ValueError
            If the run has ended.
        """
        if self._summary is not None:
            raise ValueError("the run has ended: no command can take effect")
        self._begin()
        for event in self.control.command(self.now_s, self.steps, commands):
            self._flag(event)

    def run(self, path: Path | None = None, watcher: Watcher | None = None) -> dict[str, Any]:
        """Play the whole duration and write the results.

        Parameters
        ----------
        path
            HDF5 file to write, in place of `out`.
        watcher
            Follows the run, and may end it.

        Returns
        -------
        dict
            The summary.

        Raises
        ------
        OSError
            If the file cannot be written.
        TraceError
            For a bad row of a replayed log. Whatever stops a run, no incomplete file is left.
        """
        if path is not None:
            self._out = path
        self._watcher = watcher
        self._begin()
        try:
            for frame in self:
                if watcher is not None and self._ended_by(watcher, frame):
                    break
        except BaseException:
            self._abort()
            raise
        return self.finish()

    def finish(self) -> dict[str, Any]:
        """End the run and complete its file; a run that has not come to its end is as one that was
        to be no longer. Returns the summary. Raises ValueError where no power step was played."""
        if self._summary is not None:
            return self._summary
        if self.steps == 0 < self._last_step:
            raise ValueError("nothing has been played: iterate over the simulation, or run it")
        self._begin()
        try:
            if self.steps < self._last_step:
                self._end_s = self.now_s
            else:
                self.clock.play(self._end_s)
            self.fleet.close(self._end_s)
            for event in self.site.finish(self.now_s):
                self._flag(event)
            self._summary = self._complete()
        except BaseException:
            self._abort()
            raise
        return self._summary

    @property
    def results(self) -> Results:
        """What has been played, opened; ends the run."""
        if self._results is None:
            summary = self.finish()
            assert self._out is not None
            self._results = Results.open(self._out, summary=summary)
            if self._folder is not None:
                weakref.finalize(self._results, _forget, self._folder.cleanup)
        return self._results

    def _begin(self) -> None:
        """Open the file and let requests arrive, before the first power step."""
        if self._recorder is not None:
            return
        self._began_s = time.perf_counter()
        scenario, topology = self.scenario, self.plant.topology
        if self._out is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dcsim-")
            self._out = Path(self._folder.name) / f"{scenario.name}.h5"
        self._recorder = open_recorder(self.plant, self.warm_up, self._out)
        if self._watcher is not None:
            self._watcher.begin(
                topology.names,
                topology.kinds,
                topology.parent_index,
                topology.rating_w,
                self.warm_up.cut_s,
            )
            self._watcher.serving(len(self.plant.replicas), self.replica_sums.capacity_per_s())
        try:
            self.log.sink = self._requests
            self._traffic = requests(scenario, branch(scenario.seed, "workload"))
            self.fleet.feed(self._traffic)
            self.clock.set_alarm(self._tick, scenario.power_step_s, AFTER)
        except BaseException:
            self._abort()
            raise

    def _abort(self) -> None:
        """Leave no incomplete file."""
        if self._recorder is not None:
            self._recorder.abort()

    def _complete(self) -> dict[str, Any]:
        """Write the summary, and give the file its name."""
        assert self._recorder is not None
        assert self._traffic is not None
        summary = summarize(self, self._recorder, self._traffic, self._end_s)
        self._recorder.finish(summary)
        summary["wall_s"] = time.perf_counter() - self._began_s
        return summary

    def _ended_by(self, watcher: Watcher, frame: Frame) -> bool:
        """Show a watcher the power step that has ended; whether it has seen enough."""
        watcher.loads(frame.node_w)
        ledger = frame.ledger
        return watcher.update(
            frame.now_s,
            frame.node_w[0],
            self.plant.nodes.rating_w[0],
            self.watch.worst_headroom(),
            ledger.running.sum(),
            ledger.waiting.sum(),
            self.fleet.arrived,
        )

    # --- the power step --------------------------------------------------------------------

    def _power_step(self, now: float) -> None:
        step_s = self.scenario.power_step_s
        self.steps += 1
        ledger = self.fleet.work.step(now)
        server_w = self.server_power.step(ledger)
        node_w, events = self.site.step(now, step_s, server_w)
        self.replica_sums.step(now, ledger)
        self.evidence.step(now, ledger.state, server_w, self.site.flow.energy_j)
        self.state_steps += np.bincount(ledger.state, minlength=len(GpuState))
        recorder = self._recorder
        assert recorder is not None
        recorder.step(node_w)
        for event in events:
            self._flag(event)
        if self.site.changed:
            self.supply.step(now)
        if self.control.acts:
            for event in self.control.step(now, self.steps, node_w):
                self._flag(event)
        if self._shows_headroom:
            self.fleet.observe(now, self._headroom.step(node_w))
        self._frame = Frame.of(now, ledger, server_w, node_w, self._events)
        # Whole multiples of the step: adding steps up would drift.
        self.clock.set_alarm(self._tick, (self.steps + 1) * step_s, AFTER)

    def _requests(self, records: RecordArray) -> None:
        assert self._recorder is not None
        self._recorder.requests(records)
        self.replica_sums.requests(records)
        self.breakdowns.requests(records)

    def _flag(self, event: FacilityEvent) -> None:
        assert self._recorder is not None
        self._recorder.event(event)
        self._events.append(event)
        if self._watcher is not None:
            self._watcher.flag(event)


def whole_steps(duration_s: float, step_s: float) -> int:
    """Power steps that end within the duration."""
    count = round(duration_s / step_s)
    while count * step_s > duration_s:
        count -= 1
    return count


def _forget(cleanup: Callable[[], None]) -> None:
    cleanup()
