"""What opens, fails, is repaired and goes over, and which servers have power for it."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import BoolArray, FloatArray
from dcsim.facility.bypass import Bypass
from dcsim.facility.cooling_load import CoolingLoad
from dcsim.facility.events import StepFlags
from dcsim.facility.faults import Due, Faults
from dcsim.facility.flow import Flow
from dcsim.facility.hold_up import HoldUp
from dcsim.facility.inputs import SiteInputs
from dcsim.facility.limit_monitor import LimitMonitor
from dcsim.facility.restart import RestartSequence
from dcsim.facility.supply import Supply
from dcsim.facility.tolerance import ROUNDING_S
from dcsim.records import EventKind


class Switching:
    """Trips, faults, bypasses, batteries and transfers at the end of each power step.

    `operate` changes the state of nodes, `apply` works out what is energised by it: felt from the
    next step on. `restart` then says which servers have power, and `changed` whether they are
    others than before.
    """

    def __init__(
        self,
        inputs: SiteInputs,
        supply: Supply,
        flow: Flow,
        cooling_load: CoolingLoad,
        monitor: LimitMonitor,
    ) -> None:
        """Raises KeyError for a fault of an unknown node."""
        topology = self._topology = inputs.topology
        self._supply, self._flow, self._monitor = supply, flow, monitor
        self._cooling_load = cooling_load
        self._bypass = Bypass(topology, inputs.catalogue.curves)
        self.faults = Faults(topology, inputs.faults, inputs.seed)
        self._failed = np.zeros(len(topology.names), dtype=np.int64)
        """Faults that hold each node."""
        self.restart = RestartSequence(inputs.restart, topology.server_count, inputs.load_s)
        self._hold_up = inputs.hold_up or HoldUp.usual(topology.server_count)
        self._around: BoolArray = np.zeros(len(topology.names), dtype=bool)
        """UPS whose bypass feeds their load."""
        self._transfer_s = np.inf
        """When the next transfer under way is done."""
        self.changed = False
        # Batteries are ready from the start.
        supply.rides_through[flow.battery_nodes] = flow.batteries.rides_through

    def operate(self, flags: StepFlags, step_s: float) -> bool:
        """Carry out what a power step brings; whether the supply changes by it."""
        rewired = self._trips(flags)
        for due in self.faults.due(flags.now_s):
            rewired |= self._carry_out(due, flags)
        if self._bypass.exists:
            rewired |= self._bypasses(flags, step_s)
        if len(self._flow.batteries):
            rewired |= self._batteries(flags)
        return rewired

    def apply(self, flags: StepFlags, rewired: bool, drawn_w: FloatArray) -> None:
        """Work out what is energised, where the supply changes or a transfer is done, and switch
        on the servers that are due. `drawn_w`: what the servers drew in the step, (servers,)."""
        self.changed = False
        if rewired or self._transfer_s <= flags.now_s + ROUNDING_S:
            self._rewire(flags, drawn_w)
        if self.restart.step(flags.now_s):
            self.changed = True

    # --- what changes the state of nodes -----------------------------------------------------

    def _trips(self, flags: StepFlags) -> bool:
        """Open what has tripped, and plan its reclosing."""
        opened = False
        for event in flags.events:
            if event.kind != "trip":
                continue
            node = self._topology.index[event.node]
            breaker = self._topology.specs[node].breaker
            assert breaker is not None, "only a breaker trips"
            if breaker.on_trip == "open":
                if self._bypass.takes(node):
                    continue
                self._supply.open[node] = opened = True
            if breaker.repair_after_s is not None:
                self.faults.plan(flags.now_s + breaker.repair_after_s, "reclose", node)
        return opened

    def _carry_out(self, due: Due, flags: StepFlags) -> bool:
        """One entry of the calendar; whether the supply changes by it."""
        node, name = due.node, self._topology.names[due.node]
        supply = self._supply
        before = bool(supply.healthy[node] and not supply.open[node])
        if due.action == "fail":
            self._failed[node] += 1
            self._bypass.broken[node] += due.with_bypass
            flags.at_node("fault", node, "failed by chance" if due.by_chance else "failed")
        elif due.action == "repair" and self._failed[node]:
            self._failed[node] -= 1
            self._bypass.broken[node] -= due.with_bypass
        elif due.action == "restore":
            self._failed[node] = self._bypass.broken[node] = 0
            self._bypass.release(node)
        mended = not supply.healthy[node] and self._failed[node] == 0
        supply.healthy[node] = self._failed[node] == 0
        if mended:
            flags.at_node("repaired", node, "repair complete")
        if due.action in ("reclose", "restore") and self._monitor.is_open(name):
            self._monitor.reset(name, cold=False)
            supply.open[node] = False
            flags.at_node("reclosed", node, "breaker closed again")
        return bool(supply.healthy[node] and not supply.open[node]) != before

    def _bypasses(self, flags: StepFlags, step_s: float) -> bool:
        """UPS that go over to their bypass, or back; whether any does."""
        supply = self._supply
        for node in self._bypass.calm(step_s, flags.felt_w, supply.fed):
            self._monitor.reset(self._topology.names[node], cold=False)
        state = self._bypass.state(supply.healthy)
        if np.array_equal(state, supply.bypass):
            return False
        supply.bypass[:] = state
        return True

    def _batteries(self, flags: StepFlags) -> bool:
        """Batteries that can carry, or no longer; whether the supply changes by it."""
        supply, nodes = self._supply, self._flow.battery_nodes
        rides_through = self._flow.batteries.rides_through
        changed = rides_through != supply.rides_through[nodes]
        supply.rides_through[nodes] = rides_through
        for i in np.flatnonzero(changed & ~rides_through & ~supply.fed[nodes]).tolist():
            flags.at_node("depleted", int(nodes[i]), "battery can carry no more")
        return bool(changed.any())

    # --- what is energised by it -------------------------------------------------------------

    def _rewire(self, flags: StepFlags, drawn_w: FloatArray) -> None:
        """Recompute which nodes are energised and emit the resulting events."""
        supply, topology, now_s = self._supply, self._topology, flags.now_s
        was, was_fed = supply.energised.copy(), supply.fed.copy()
        supply.update(now_s)
        self._transfer_s = supply.next_s(now_s)
        self._flow.rewire()
        self._cooling_load.rewire()
        now = supply.energised
        for node in supply.transferred:
            feed = topology.names[topology.feeds[node, supply.slot[node]]]
            flags.at_node("transfer", node, f"now fed from {feed}")
        around, self._around = self._around, supply.bypass & now
        for node in np.flatnonzero(self._around & ~around).tolist():
            why = "overloaded" if supply.healthy[node] else "failed"
            message = f"{why}: its static bypass feeds the load, unprotected"
            flags.at_node("bypass", node, message)
        for node in np.flatnonzero(around & ~supply.bypass & now).tolist():
            flags.at_node("cleared", node, "off its bypass, in order again")
        alone = was_fed & ~supply.fed & now
        batteries = self._flow.battery_nodes
        for node in batteries[alone[batteries]].tolist():
            flags.at_node("on-battery", node, "supply lost, battery carries")
        self._tops(flags, "dark", was & ~now)
        self._tops(flags, "restored", now & ~was)
        live = now[topology.server_nodes]
        if not np.array_equal(live, was[topology.server_nodes]):
            self.restart.supply(now_s, live)
            self.changed = True
        if supply.gap_s.any():
            self._bridge(flags, drawn_w)

    def _tops(self, flags: StepFlags, kind: EventKind, changed: BoolArray) -> None:
        """One event for each node that changed while nothing above it did."""
        topology = self._topology
        nodes = np.flatnonzero(changed)
        ups = topology.feeds[nodes]
        tops = nodes[~((ups >= 0) & changed[ups]).any(axis=1)]
        servers = changed[topology.server_nodes]
        for node in tops.tolist():
            count = int(servers[topology.servers_under(topology.names[node])].sum())
            if kind == "dark":
                lost = f"{_servers(count)} lost power"
                message = lost if count else "lost power; no server below did"
            else:
                message = f"power is back for {_servers(count)}" if count else "power is back"
            flags.at_node(kind, node, message)

    def _bridge(self, flags: StepFlags, drawn_w: FloatArray) -> None:
        """Drop the servers whose power supplies have not held while a switch went over."""
        topology = self._topology
        gap_s = self._supply.gap_s[topology.server_nodes]
        hold_s = self._hold_up.at(drawn_w)
        dropped = (gap_s > hold_s + 1e-9) & self.restart.powered
        if not dropped.any():
            return
        self.restart.drop(flags.now_s, dropped)
        self.changed = True
        for node in self._supply.cut_nodes():
            below = topology.servers_under(topology.names[node])
            lost = below[dropped[below]]
            if len(lost):
                gap_ms, held_ms = 1e3 * gap_s[lost].max(), 1e3 * hold_s[lost].min()
                flags.at_node(
                    "dark",
                    node,
                    f"{_servers(len(lost))} lost power: {gap_ms:.3g} ms without voltage, "
                    f"supplies hold {held_ms:.3g}",
                )


def _servers(count: int) -> str:
    return f"{count:,} server{'s' * (count != 1)}"
