"""One run of a scenario: the rooms wired together on one clock, and played.

`Simulation.__init__` builds the rooms, in the order in which a watt walks through them;
`Simulation._power_step` is the body of the loop, phase by phase; what stands between lets a caller
play, command and end the run. What breakers and policies decide is carried out at the end of a
step, so the next step is the first to feel it; a command that is due inside a later step is
carried out at its own time.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dcsim.clock import AFTER, Clock
from dcsim.control.policy import Command, Policy
from dcsim.engine.control import Control
from dcsim.engine.frame import Frame, read_only_frame
from dcsim.engine.recording import Recording
from dcsim.engine.watcher import Watcher
from dcsim.errors import ConfigurationError, SimulationError
from dcsim.facility.events import FacilityEvent
from dcsim.facility.headroom import Headroom
from dcsim.facility.inputs import SiteInputs
from dcsim.facility.site import ElectricalSite
from dcsim.interrupts import raise_if_interrupted
from dcsim.loading.rooms import raising_problems
from dcsim.plant import Plant
from dcsim.power.model import PowerModel
from dcsim.power.passed import with_power_models
from dcsim.power.servers import ServerPower
from dcsim.power.start_budget import start_budgets
from dcsim.results import Results
from dcsim.results.fill_time import warm_up_of
from dcsim.seeds import branch
from dcsim.serving.autoscalers import Autoscalers
from dcsim.serving.fleet import Fleet
from dcsim.serving.log import RequestLog
from dcsim.serving.power_loss import ServerSupply
from dcsim.serving.routers import Pool, Router
from dcsim.spec.nearest import suggestion


class Simulation:
    """A site ready to be played, once.

    `run` plays all of it. Iterating plays one power step at a time:

        simulation = Simulation(Plant.build(scenario))
        for frame in simulation:
            if frame.node_w[0] > limit_w:
                simulation.command(...)
        results = simulation.results
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
        scenario, seed = plant.scenario, plant.scenario.seed
        served = {group.model for group in scenario.servers}
        for model in set(routers or ()) - served:
            message = f"routers: no server group serves '{model}'"
            raise ConfigurationError(f"{message} ({suggestion(model, served)})")
        self.plant = plant
        self.scenario = scenario
        self.warm_up = warm_up_of(plant)
        self.clock = Clock()
        # Serving: requests become work.
        self.log = RequestLog()
        self.fleet = Fleet(plant, self.clock, self.log, branch(seed, "routing"), routers)
        # Power: work becomes the watts of servers; caps slow the fleet.
        with raising_problems(plant):
            self.server_power = ServerPower(plant)
        self.server_power.govern(self.fleet, self.clock)
        budgets = start_budgets(plant, self.server_power.resting)
        self.autoscalers = Autoscalers(plant, self.fleet, self.clock, budgets)
        # Facility: the watts of servers become loads of nodes, and trips.
        self.site = ElectricalSite(
            SiteInputs.of_plant(plant, branch(seed, "facility"), self.warm_up.cut_s)
        )
        self.supply = ServerSupply(plant, self.fleet, self.autoscalers)
        self._headroom = Headroom(plant)
        self._shows_headroom = self.fleet.needs_headroom()
        # Control: loads become commands.
        with raising_problems(plant):
            self.control = Control(
                plant,
                self.fleet,
                self.server_power,
                self.site.flow,
                self.clock,
                self._flag,
                policies,
            )
        self.steps = 0
        """Power steps that have ended."""
        self._last_step = whole_steps(scenario.duration_s, scenario.power_step_s)
        self._tick: Any = self.clock.alarm(self._power_step)
        self._frame: Frame  # of the first power step on
        self._events: list[FacilityEvent] = []
        """Flags since the last frame."""
        self._watcher = Watcher()
        self._out = None if out is None else Path(out)
        self._removal: weakref.finalize[..., Simulation] | None = None
        self._has_begun = False
        self._recording: Recording  # from `_begin` on
        self._summary: dict[str, Any] | None = None
        self._results: Results | None = None
        self._aborted_by: BaseException | None = None

    # --- played from outside -----------------------------------------------------------------

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
        SimulationError
            If there is nothing to play: `until_s` is no later than `now_s`, or the run has ended
            or was aborted.
        OSError
            If the results cannot be written.
        """
        step_s = self.scenario.power_step_s
        goal = self.steps + 1 if until_s is None else math.ceil(until_s / step_s - 1e-9)
        goal = min(goal, self._last_step)
        self._refuse_if_aborted()
        if self._summary is not None or goal <= self.steps:
            raise SimulationError(f"nothing to play: the run stands at {self.now_s:g} s")
        self._begin()
        with self._whole_or_absent():
            self.clock.play(goal * step_s)
        self._events = []
        return self._frame

    def command(self, *commands: Command) -> None:
        """Give commands from outside.

        They count as those of a policy that decided at `now_s`: they are in force from the next
        power step on, or after their own delay, and the tightest of all commands holds. Events
        and the summary name their source `user`.

        Parameters
        ----------
        *commands
            Such as `dcsim.control.policy.LimitFrequency`, for servers by their indices.

        Raises
        ------
        SimulationError
            If the run has ended or was aborted.
        """
        self._refuse_if_aborted()
        if self._summary is not None:
            raise SimulationError("the run has ended: no command can take effect")
        self._begin()
        self.control.command(self.now_s, self.steps, commands)

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
        SimulationError
            If the run was aborted before.
        """
        self._refuse_if_aborted()
        if path is not None:
            self._out = path
        self._watcher = watcher or self._watcher
        self._begin()
        with self._whole_or_absent():
            for frame in self:
                raise_if_interrupted()
                if self._watcher.update(frame):
                    break
        return self.finish()

    def finish(self) -> dict[str, Any]:
        """End the run and complete its file.

        A run that has not come to its end is as one that was to be no longer.

        Returns
        -------
        dict
            The summary.

        Raises
        ------
        SimulationError
            If no power step was played, or the run was aborted.
        OSError
            If the file cannot be written.
        """
        if self._summary is not None:
            return self._summary
        self._refuse_if_aborted()
        if self.steps == 0 < self._last_step:
            raise SimulationError("nothing has been played: iterate over the simulation, or run it")
        self._begin()
        end_s = self.now_s
        with self._whole_or_absent():
            if self.steps == self._last_step:
                end_s = self.scenario.duration_s
                self.clock.play(end_s)
            self.fleet.close(end_s)
            for event in self.site.finish(self.now_s):
                self._flag(event)
            self._summary = self._recording.complete(self, end_s)
        return self._summary

    @property
    def results(self) -> Results:
        """What has been played, opened; ends the run. Raises as `finish` does."""
        if self._results is None:
            summary = self.finish()
            self._results = Results.open(self._recording.path, summary=summary)
            if self._removal is not None and (pending := self._removal.detach()):
                _, remove, args, options = pending  # the file lives as long as the results
                weakref.finalize(self._results, remove, *args, **(options or {}))
        return self._results

    # --- the power step ----------------------------------------------------------------------

    def _power_step(self, now_s: float) -> None:
        """Play the power step that ends now; all else of this instant is over."""
        self.steps += 1
        # Serving: the work of each replica in the step.
        ledger = self.fleet.work.step(now_s)
        # Power: the watts of each server.
        server_w = self.server_power.step(ledger)
        # Facility: the load of each node; limits, breakers, faults, and who has power.
        node_w, events = self.site.step(now_s, self.scenario.power_step_s, server_w)
        # Results: a row of the file, and sums for the summary.
        self._recording.step(now_s, ledger, server_w, node_w)
        for event in events:
            self._flag(event)
        # Control: what the next step will feel.
        site = self.site
        if site.changed:
            self.server_power.supply(site.powered, site.ready)
            self.supply.step(now_s, site.powered, site.booted, site.ready)
        if self.control.acts:
            self.control.step(now_s, self.steps, node_w)
        if self._shows_headroom:
            self.fleet.observe(now_s, self._headroom.step(node_w))
        # What leaves the loop.
        self._frame = read_only_frame(
            now_s, ledger, server_w, node_w, site.felt_w, self.fleet.arrived, self._events
        )
        # Whole multiples of the step: adding steps up would drift.
        next_s = (self.steps + 1) * self.scenario.power_step_s
        self.clock.set_alarm(self._tick, next_s, AFTER)

    # --- begin, events, abort ----------------------------------------------------------------

    def _begin(self) -> None:
        """Once, before the first power step: open the file, and let requests arrive."""
        if self._has_begun:
            return
        if self._out is None:
            folder = tempfile.mkdtemp(prefix="dcsim-")
            self._removal = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._out = Path(folder) / f"{self.scenario.name}.h5"
        recording = self._recording = Recording(self, self._out)
        self._has_begun = True
        with self._whole_or_absent():
            self._watcher.begin(self.plant, self.warm_up.cut_s, recording.capacity_per_s)
            self.log.sink = recording.requests
            self.fleet.feed(recording.traffic)
            self.clock.set_alarm(self._tick, self.scenario.power_step_s, AFTER)

    def _flag(self, event: FacilityEvent) -> None:
        self._recording.event(event)
        self._events.append(event)
        self._watcher.flag(event)

    @contextmanager
    def _whole_or_absent(self) -> Iterator[None]:
        """Whatever stops the run inside, no incomplete file is left, and the run does not go on."""
        try:
            yield
        except BaseException as error:
            self._aborted_by = error
            self._recording.abort()
            raise

    def _refuse_if_aborted(self) -> None:
        if (error := self._aborted_by) is not None:
            raise SimulationError(
                f"the run was aborted at {self.clock.now:g} s by {type(error).__name__}"
                f"{f': {error}' if str(error) else ''}; it cannot go on: build a new Simulation"
            ) from error


def whole_steps(duration_s: float, step_s: float) -> int:
    """Power steps that end within the duration."""
    count = round(duration_s / step_s)
    while count * step_s > duration_s:
        count -= 1
    return count
