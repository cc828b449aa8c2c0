"""The electrical site as one object: a step in, loads and flags out, and who has power."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import BoolArray, FloatArray
from dcsim.facility.cooling_load import CoolingLoad, Pue
from dcsim.facility.events import FacilityEvent, StepFlags, percent
from dcsim.facility.flow import Flow
from dcsim.facility.inputs import SiteInputs
from dcsim.facility.limits import SiteLimits
from dcsim.facility.redundancy import Redundancy
from dcsim.facility.supply import Supply
from dcsim.facility.switching import Switching


class ElectricalSite:
    """Sums loads, ages breakers, plays faults and repairs, and tells which servers have power.

    What happens at the end of a step is felt from the next step on: `powered` and `ready` (both
    (servers,)) then say who draws and who may serve; `changed` whether they differ from before.

    `flow` has the loads, `supply` what is energised, `limits` what must not be crossed, `switching`
    what opens, fails and goes over, `redundancy` what each loss would leave the others.
    """

    def __init__(self, inputs: SiteInputs) -> None:
        """Raises KeyError for an unknown node of a fault or of the cooling, SeriesError for a
        weather or contract file."""
        topology, catalogue = inputs.topology, inputs.catalogue
        self.topology = topology
        self.supply = Supply(topology, inputs.step_s)
        self.cooling_load = CoolingLoad(topology, inputs.cooling, self.supply, inputs.clock_s)
        self.flow = Flow(topology, self.supply, catalogue.losses, own_loads=self.cooling_load.runs)
        self.limits = SiteLimits(inputs)
        self.redundancy = Redundancy(
            topology,
            catalogue.losses,
            self.cooling_load,
            self.limits.allowed_w,
            inputs.count_from_s,
        )
        self.switching = Switching(
            inputs, self.supply, self.flow, self.cooling_load, self.limits.monitor
        )
        self._pue = Pue()
        self._is_uncooled = False
        self.felt_w: FloatArray = np.zeros(len(topology.names))
        """Loads as ratings feel them: the worst of three poles, apparent power where rated so."""

    @property
    def powered(self) -> BoolArray:
        """Servers that draw power."""
        return self.switching.restart.powered

    @property
    def booted(self) -> BoolArray:
        """Servers that have power and run, but may have to load their weights."""
        return self.switching.restart.booted

    @property
    def ready(self) -> BoolArray:
        """Servers that have power, have booted and loaded their weights."""
        return self.switching.restart.ready

    @property
    def changed(self) -> bool:
        """Whether the last step has changed which servers have power, have booted or are ready."""
        return self.switching.changed

    def step(
        self, now_s: float, step_s: float, server_w: FloatArray
    ) -> tuple[FloatArray, list[FacilityEvent]]:
        """Play the step that ends at `now_s`, in which servers drew `server_w`, shape (servers,).

        Returns the loads of all nodes, shape (nodes,), reused by the next call, and the flags.
        """
        # Loads: inrush, cooling, losses and batteries, summed up the tree.
        drawn_w = self.switching.restart.drawn_w(now_s, step_s, server_w)
        cooling = self.cooling_load
        if cooling.runs:
            cooling.load(now_s, drawn_w, self.flow.own_w)
        node_w = self.flow.step(drawn_w, step_s)
        self._pue.step(self.flow.used_j, self.flow.energy_j["it"], step_s, cooling.lost)
        felt_w = self.felt_w = self.flow.felt_w(node_w)
        # Limits: what the loads cross, and the breakers that trip.
        flags = StepFlags(self.topology, now_s, felt_w)
        self.limits.step(flags, step_s, node_w)
        # Switching: what opens, fails, is repaired or goes over.
        rewired = self.switching.operate(flags, step_s)
        if self.redundancy.exists:
            self._flag_survivors(flags, step_s, drawn_w)
        if cooling.runs and cooling.lost != self._is_uncooled:
            self._flag_cooling(flags, drawn_w)
        self.switching.apply(flags, rewired, drawn_w)
        return node_w, flags.events

    def finish(self, now_s: float) -> list[FacilityEvent]:
        """Flags that the end of the run brings."""
        flags = StepFlags(self.topology, now_s, self.felt_w)
        self.limits.finish(flags)
        return flags.events

    def restore(self, node: str, now_s: float) -> None:
        """End all faults of a node and close its breaker, as from the next step's end. Raises
        KeyError."""
        self.switching.faults.plan(now_s, "restore", self.topology.find(node))

    def figures(self) -> dict[str, float | None]:
        """Energies of the run so far, Wh; `grid_wh` is the sum of all others, `discharged_wh`
        counted negative. `pue` is what the site used up, from the grid or from batteries, over what
        IT did, while the cooling plant had power; `cooling_lost_s` how long it had none."""
        totals: dict[str, float | None] = {
            f"{'cooling' if name == 'own' else name}_wh": joules / 3600.0
            for name, joules in self.flow.energy_j.items()
        }
        energy_j = self.flow.energy_j
        grid_j = sum(energy_j.values()) - 2.0 * energy_j["discharged"]
        totals["grid_wh"] = grid_j / 3600.0
        totals["pue"] = self._pue.value
        totals["cooling_lost_s"] = self._pue.uncooled_s if self.cooling_load.runs else None
        return totals

    def _flag_survivors(self, flags: StepFlags, step_s: float, drawn_w: FloatArray) -> None:
        """Nodes that could not carry what the loss of another would leave them."""
        flow, names = self.flow, self.topology.names
        for change in self.redundancy.step(
            flags.now_s,
            step_s,
            flow.node_w,
            flags.felt_w,
            flow.own_w,
            drawn_w,
            self.supply.energised,
        ):
            share = percent(change.would_w / change.limit_w)
            message = f"could carry its share without {names[change.lost]} again"
            if change.raised:
                message = f"without {names[change.lost]} it would carry {share} of what it may"
            flags.at_limit(
                "redundancy-lost" if change.raised else "cleared",
                change.survivor,
                change.would_w,
                change.limit_w,
                message,
            )

    def _flag_cooling(self, flags: StepFlags, drawn_w: FloatArray) -> None:
        """The cooling plant has lost its power, or has it again."""
        self._is_uncooled = self.cooling_load.lost
        node = int(self.cooling_load.nodes[0])
        if self._is_uncooled:
            it_kw = float(drawn_w.sum()) / 1e3
            message = f"no power for the cooling plant, while servers draw {it_kw:,.1f} kW"
            flags.at_node("cooling-lost", node, message)
        else:
            flags.at_node("cleared", node, "the cooling plant runs again")
