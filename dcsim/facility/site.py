"""The electrical site as one object: a step in, loads and flags out, and who has power."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

from dcsim import seeds
from dcsim.arrays import BoolArray, FloatArray
from dcsim.facility.bypass import Bypass
from dcsim.facility.continuous import ContinuousMonitor
from dcsim.facility.cooling_load import CoolingLoad, Pue
from dcsim.facility.demand import Crossing, build_ramps, build_windows
from dcsim.facility.events import FacilityEvent, duration, percent
from dcsim.facility.faults import Due, Faults
from dcsim.facility.flow import Flow
from dcsim.facility.hold_up import HoldUp
from dcsim.facility.limit_monitor import LimitMonitor
from dcsim.facility.redundancy import Redundancy
from dcsim.facility.restart import RestartSequence
from dcsim.facility.supply import Supply
from dcsim.facility.tally import LIMIT_KINDS, LimitSpec
from dcsim.facility.tolerance import ROUNDING_S
from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.plant import Plant, Topology
from dcsim.records import EventKind
from dcsim.scenario.models import Cooling, Fault, Limits, Restart, Scenario


class ElectricalSite:
    """Sums loads, ages breakers, plays faults and repairs, and tells which servers have power.

    What happens at the end of a step is felt from the next step on: `powered` and `ready` (both
    (servers,)) then say who draws and who may serve; `changed` whether they differ from before.
    """

    def __init__(
        self,
        topology: Topology,
        catalogue: Catalogue,
        step_s: float,
        limits: Limits | None = None,
        *,
        faults: Sequence[Fault] = (),
        restart: Restart | None = None,
        cooling: Cooling | None = None,
        seed: np.random.SeedSequence | None = None,
        count_from_s: float = 0.0,
        clock_s: float | None = None,
        load_s: FloatArray | None = None,
        hold_up: HoldUp | None = None,
    ) -> None:
        """`seed` is for random failures and breakers drawn from their band. What limits have seen
        is counted from `count_from_s` on; `clock_s` is the time of day at which the run starts,
        for windows by the clock. `load_s`: from the boot of each server to its serving, (servers,).
        Raises KeyError for a fault of an unknown node, SeriesError for a weather or contract
        file."""
        self.topology = topology
        self._seed = np.random.SeedSequence(0) if seed is None else seed
        self._step_s = step_s
        self._count_from_s = count_from_s
        self.supply = Supply(topology, step_s)
        self.cooling_load = CoolingLoad(topology, cooling or Cooling(), self.supply, clock_s)
        self._pue = Pue()
        self.flow = Flow(topology, self.supply, catalogue.losses, own_loads=self.cooling_load.runs)
        self._stand_by()
        limits = limits or Limits()
        self.watch = LimitMonitor(topology, limits, catalogue.curves, self._draw, count_from_s)
        self._bypass = Bypass(topology, catalogue.curves)
        self._demand = build_windows(topology, step_s, count_from_s, clock_s)
        self._ramps = build_ramps(topology, step_s, count_from_s)
        self._continuous = ContinuousMonitor(topology, limits, step_s, count_from_s)
        allowed_w = np.full(len(topology.names), np.nan)
        allowed_w[self._continuous.nodes] = self._continuous.limit_w
        self.redundancy = Redundancy(
            topology, catalogue.losses, self.cooling_load, allowed_w, count_from_s
        )
        self._faults = Faults(topology, faults, self._seed)
        self._failed = np.zeros(len(topology.names), dtype=np.int64)
        """Faults that hold each node."""
        self._restart = RestartSequence(restart or Restart(), topology.server_count, load_s)
        self._hold_up = hold_up or HoldUp.usual(topology.server_count)
        self._drawn_w: FloatArray = np.zeros(topology.server_count)
        self._uncooled = False
        self._around: BoolArray = np.zeros(len(topology.names), dtype=bool)
        """UPS whose bypass feeds their load."""
        self.changed = False
        self._transfer_s = np.inf
        self._opens = {
            name: spec.breaker
            for name, spec in zip(topology.names, topology.specs, strict=True)
            if spec.breaker is not None
        }
        self.peak_w: FloatArray = np.full(len(topology.names), -np.inf)
        """Highest of `felt_w` so far, after the warm-up."""
        self.felt_w: FloatArray = np.zeros(len(topology.names))
        """Loads as ratings feel them: the worst of three poles, apparent power where rated so."""

    @classmethod
    def of_plant(
        cls, plant: Plant, seed: np.random.SeedSequence, count_from_s: float = 0.0
    ) -> ElectricalSite:
        """The site of a scenario, with its faults, restart and cooling. Raises as the constructor
        does."""
        scenario, servers = plant.scenario, plant.servers
        return cls(
            plant.topology,
            plant.catalogue,
            scenario.power_step_s,
            scenario.limits,
            faults=scenario.faults,
            restart=scenario.restart,
            cooling=scenario.cooling,
            seed=seed,
            count_from_s=count_from_s,
            clock_s=_clock_s(scenario),
            load_s=servers.load_s,
            hold_up=HoldUp(servers.hold_up_s, servers.hold_up_full_s, servers.nameplate_w),
        )

    @property
    def powered(self) -> BoolArray:
        """Servers that draw power."""
        return self._restart.powered

    @property
    def booted(self) -> BoolArray:
        """Servers that have power and run, but may have to load their weights."""
        return self._restart.booted

    @property
    def ready(self) -> BoolArray:
        """Servers that have power, have booted and loaded their weights."""
        return self._restart.ready

    def step(
        self, now_s: float, step_s: float, server_w: FloatArray
    ) -> tuple[FloatArray, list[FacilityEvent]]:
        """Play the step that ends at `now_s`, in which servers drew `server_w`, shape (servers,).

        Returns the loads of all nodes, shape (nodes,), reused by the next call, and the flags.
        """
        node_w = self._loads(now_s, step_s, server_w)
        felt_w = self.felt_w = self.flow.felt_w(node_w)
        if now_s - step_s >= self._count_from_s - 1e-6:
            np.maximum(self.peak_w, felt_w, out=self.peak_w)
        events = self.watch.step(now_s, step_s, felt_w)
        for window in self._demand:
            for crossing in window.step(now_s, node_w):
                events.append(self._crossed(now_s, "demand", "mean", crossing))
        for ramp in self._ramps:
            for crossing in ramp.step(now_s, node_w):
                events.append(self._crossed(now_s, "ramp", "move", crossing))
        for crossing in self._continuous.step(now_s, felt_w):
            events.append(self._crossed(now_s, "continuous", "mean", crossing))
        rewired = self._trips(now_s, events)
        for due in self._faults.due(now_s):
            rewired |= self._do(now_s, due, events)
        if self._bypass.exists:
            rewired |= self._bypasses(step_s)
        if len(self.flow.batteries):
            rewired |= self._storage(now_s, events)
        if self.redundancy.exists:
            self._survivors(now_s, step_s, events)
        if self.cooling_load.runs and self.cooling_load.lost != self._uncooled:
            self._cooling(now_s, events)
        self.changed = False
        if rewired or self._transfer_s <= now_s + ROUNDING_S:
            self._rewire(now_s, events)
        if self._restart.step(now_s):
            self.changed = True
        return node_w, events

    def finish(self, now_s: float) -> list[FacilityEvent]:
        """Flags that the end of the run brings: continuous loads of runs under three hours."""
        return [
            self._crossed(now_s, "continuous", "mean", crossing)
            for crossing in self._continuous.finish(now_s)
        ]

    def restore(self, node: str, now_s: float) -> None:
        """End all faults of a node and close its breaker, as from the next step's end. Raises
        KeyError."""
        self._faults.plan(now_s, "restore", self.topology.find(node))

    def trip_in_s(self) -> dict[str, float]:
        """Seconds until each breaker would trip at the loads of the last step, by node."""
        return self.watch.trip_in_s(self.felt_w)

    def binding(self, server: int) -> tuple[str, float]:
        """The node that leaves a server (by number) the fewest watts, itself and all above it by
        any feed, and how many; an empty name and infinity where nothing has a rating."""
        topology = self.topology
        seen = {int(topology.server_nodes[server])}
        todo = list(seen)
        while todo:
            ups = topology.feeds[todo.pop()]
            new = {int(up) for up in ups if up >= 0} - seen
            seen |= new
            todo += new
        left = {node: topology.rating_w[node] - self.felt_w[node] for node in sorted(seen)}
        rated = {node: float(w) for node, w in left.items() if np.isfinite(w)}
        if not rated:
            return "", np.inf
        node = min(rated, key=rated.__getitem__)
        return topology.names[node], rated[node]

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

    def limit_rows(self) -> list[dict[str, Any]]:
        """All limits of the site and what they have seen, for a summary: ratings, continuous
        allowances, demand windows and ramps, each in node order. Call after `finish`.

        `measured_s` is what the highest figure is a mean over: of a demand window that never
        filled the span measured, whose mean is `partial_w`.
        """
        topology = self.topology
        measured: list[tuple[LimitSpec, dict[str, Any], float | None, float]] = [
            (spec, self.watch.tally.row(i, float(topology.rating_w[spec.node])), None, self._step_s)
            for i, spec in enumerate(self.watch.specs())
        ]
        steady = self._continuous
        measured += [
            (spec, steady.tally.row(i, float(steady.limit_w[i])), None, steady.measured_s)
            for i, spec in enumerate(steady.specs())
        ]
        for watch in (*self._demand, *self._ramps):
            limit_w = watch.limits_at(0.0)
            measured += [
                (spec, watch.tally.row(i, float(limit_w[i])), watch.partial_w(i), watch.measured_s)
                for i, spec in enumerate(watch.specs())
            ]
        rows = [
            {
                "node": topology.names[spec.node],
                "node_kind": topology.kinds[spec.node],
                "kind": spec.kind,
                "window_s": spec.window_s,
                "windows": spec.windows,
                "rule": spec.rule,
                **row,
                "measured_s": measured_s,
                "partial_w": partial_w,
                "_place": (LIMIT_KINDS.index(spec.kind), spec.node, spec.window_s or 0.0),
            }
            for spec, row, partial_w, measured_s in measured
        ]
        rows.sort(key=lambda row: row["_place"])
        return [{key: row[key] for key in row if key != "_place"} for row in rows]

    def annotate(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add to each node's row of a summary, in node order, what its limits have seen: `trips`,
        `time_over_limit_s`, `min_margin_w` (None where there is no rating) and `binding`, the
        node with the smallest margin among it and those above it."""
        topology = self.topology
        margin_w = topology.rating_w - self.peak_w
        tightest: list[int | None] = [None] * len(rows)
        for name in nx.topological_sort(topology.graph):
            node = topology.index[name]
            nodes_up = [tightest[up] for up in topology.feeds[node].tolist() if up >= 0]
            if np.isfinite(margin_w[node]):
                nodes_up.append(node)
            known = [at for at in nodes_up if at is not None]
            tightest[node] = min(known, key=lambda at: float(margin_w[at])) if known else None
        for node, row in enumerate(rows):
            rated = bool(np.isfinite(topology.rating_w[node]))
            at = tightest[node]
            row["trips"] = self.watch.trips[topology.names[node]]
            row["time_over_limit_s"] = float(self.watch.over_s[node]) if rated else None
            row["min_margin_w"] = float(margin_w[node]) if np.isfinite(margin_w[node]) else None
            row["binding"] = None if at is None else topology.names[at]

    # --- loads -----------------------------------------------------------------------------

    def _loads(self, now_s: float, step_s: float, server_w: FloatArray) -> FloatArray:
        drawn_w = self._drawn_w = self._restart.drawn_w(now_s, step_s, server_w)
        if self.cooling_load.runs:
            self.cooling_load.load(now_s, drawn_w, self.flow.own_w)
        node_w = self.flow.step(drawn_w, step_s)
        self._pue.step(self.flow.used_j, self.flow.energy_j["it"], step_s, self.cooling_load.lost)
        return node_w

    def _survivors(self, now_s: float, step_s: float, events: list[FacilityEvent]) -> None:
        """Nodes that could not carry what the loss of another would leave them."""
        flow, names = self.flow, self.topology.names
        for change in self.redundancy.step(
            now_s,
            step_s,
            flow.node_w,
            self.felt_w,
            flow.own_w,
            self._drawn_w,
            self.supply.energised,
        ):
            kind: EventKind = "redundancy-lost" if change.raised else "cleared"
            share = change.would_w / change.limit_w
            message = f"without {names[change.lost]} it would carry {percent(share)} of what it may"
            if not change.raised:
                message = f"could carry its share without {names[change.lost]} again"
            self.watch.counts[kind] += 1
            events.append(
                FacilityEvent(
                    time_s=now_s,
                    kind=kind,
                    node=names[change.survivor],
                    node_kind=self.topology.kinds[change.survivor],
                    load_w=change.would_w,
                    limit_w=change.limit_w,
                    margin_w=change.limit_w - change.would_w,
                    message=message,
                )
            )

    def _cooling(self, now_s: float, events: list[FacilityEvent]) -> None:
        """The plant has lost its power, or has it again."""
        self._uncooled = self.cooling_load.lost
        node = int(self.cooling_load.nodes[0])
        if self._uncooled:
            it_w = float(self._drawn_w.sum())
            message = f"no power for the cooling plant, while servers draw {it_w / 1e3:,.1f} kW"
            events.append(self._event(now_s, "cooling-lost", node, message))
        else:
            events.append(self._event(now_s, "cleared", node, "the cooling plant runs again"))

    # --- what happens ----------------------------------------------------------------------

    def _trips(self, now_s: float, events: list[FacilityEvent]) -> bool:
        """Open what has tripped, and plan its reclosing."""
        opened = False
        for event in events:
            if event.kind != "trip":
                continue
            node, breaker = self.topology.index[event.node], self._opens[event.node]
            if breaker.on_trip == "open" and self._bypass.takes(node):
                continue
            if breaker.on_trip == "open":
                self.supply.open[node] = opened = True
            if breaker.repair_after_s is not None:
                self._faults.plan(now_s + breaker.repair_after_s, "reclose", node)
        return opened

    def _do(self, now_s: float, due: Due, events: list[FacilityEvent]) -> bool:
        """Carry out one entry of the calendar; whether the supply changes by it."""
        node, name = due.node, self.topology.names[due.node]
        supply = self.supply
        before = bool(supply.healthy[node] and not supply.open[node])
        if due.action == "fail":
            self._failed[node] += 1
            self._bypass.broken[node] += due.with_bypass
            cause = "failed by chance" if due.by_chance else "failed"
            events.append(self._event(now_s, "fault", node, cause))
        elif due.action == "repair" and self._failed[node]:
            self._failed[node] -= 1
            self._bypass.broken[node] -= due.with_bypass
        elif due.action == "restore":
            self._failed[node] = self._bypass.broken[node] = 0
            self._bypass.release(node)
        mended = not supply.healthy[node] and self._failed[node] == 0
        supply.healthy[node] = self._failed[node] == 0
        if mended:
            events.append(self._event(now_s, "repaired", node, "repair complete"))
        if due.action in ("reclose", "restore") and self.watch.is_open(name):
            self.watch.reset(name, cold=False)
            supply.open[node] = False
            events.append(self._event(now_s, "reclosed", node, "breaker closed again"))
        return bool(supply.healthy[node] and not supply.open[node]) != before

    def _bypasses(self, step_s: float) -> bool:
        """UPS that go over to their bypass, or back; whether any does."""
        for node in self._bypass.calm(step_s, self.felt_w, self.supply.fed):
            self.watch.reset(self.topology.names[node], cold=False)
        state = self._bypass.state(self.supply.healthy)
        if np.array_equal(state, self.supply.bypass):
            return False
        self.supply.bypass[:] = state
        return True

    def _storage(self, now_s: float, events: list[FacilityEvent]) -> bool:
        """Batteries that can carry, or no longer; whether the supply changes by it."""
        nodes = self.flow.battery_nodes
        carries = self.flow.batteries.rides_through
        changed = carries != self.supply.rides_through[nodes]
        self.supply.rides_through[nodes] = carries
        for i in np.flatnonzero(changed & ~carries & ~self.supply.fed[nodes]).tolist():
            events.append(
                self._event(now_s, "depleted", int(nodes[i]), "battery can carry no more")
            )
        return bool(changed.any())

    def _stand_by(self) -> None:
        """Batteries are ready from the start."""
        self.supply.rides_through[self.flow.battery_nodes] = self.flow.batteries.rides_through

    def _rewire(self, now_s: float, events: list[FacilityEvent]) -> None:
        """Recompute which nodes are energised and emit the resulting events."""
        supply, topology = self.supply, self.topology
        was, was_fed = supply.energised.copy(), supply.fed.copy()
        around = self._around
        supply.update(now_s)
        self._transfer_s = supply.next_s(now_s)
        self.flow.rewire()
        self.cooling_load.rewire()
        for node in supply.transferred:
            feed = topology.names[topology.feeds[node, supply.slot[node]]]
            events.append(self._event(now_s, "transfer", node, f"now fed from {feed}"))
        now = supply.energised
        self._around = supply.bypass & now
        for node in np.flatnonzero(self._around & ~around).tolist():
            why = "overloaded" if supply.healthy[node] else "failed"
            message = f"{why}: its static bypass feeds the load, unprotected"
            events.append(self._event(now_s, "bypass", node, message))
        for node in np.flatnonzero(around & ~supply.bypass & now).tolist():
            events.append(self._event(now_s, "cleared", node, "off its bypass, in order again"))
        alone = was_fed & ~supply.fed & now
        for node in self.flow.battery_nodes[alone[self.flow.battery_nodes]].tolist():
            events.append(self._event(now_s, "on-battery", node, "supply lost, battery carries"))
        live = now[topology.server_nodes]
        lost, back = was & ~now, now & ~was
        for kind, changed in (("dark", lost), ("restored", back)):
            events += self._tops(now_s, kind, changed)  # type: ignore[arg-type]
        if not np.array_equal(live, was[topology.server_nodes]):
            self._restart.supply(now_s, live)
            self.changed = True
        if supply.gap_s.any():
            self._bridge(now_s, events)

    def _bridge(self, now_s: float, events: list[FacilityEvent]) -> None:
        """Drop the servers whose power supplies have not held while a switch went over."""
        topology = self.topology
        gap_s = self.supply.gap_s[topology.server_nodes]
        hold_s = self._hold_up.at(self._drawn_w)
        dropped = (gap_s > hold_s + 1e-9) & self._restart.powered
        if not dropped.any():
            return
        self._restart.drop(now_s, dropped)
        self.changed = True
        for node in self.supply.cut_nodes():
            below = topology.servers_under(topology.names[node])
            lost = below[dropped[below]]
            if len(lost):
                count = f"{len(lost):,} server{'s' * (len(lost) > 1)} lost power"
                own_ms, held_ms = 1e3 * gap_s[lost].max(), 1e3 * hold_s[lost].min()
                message = f"{count}: {own_ms:.3g} ms without voltage, supplies hold {held_ms:.3g}"
                events.append(self._event(now_s, "dark", node, message))

    def _tops(self, now_s: float, kind: EventKind, changed: BoolArray) -> list[FacilityEvent]:
        """One event for each node that changed while nothing above it did."""
        topology = self.topology
        events = []
        nodes = np.flatnonzero(changed)
        ups = topology.feeds[nodes]
        tops = nodes[~((ups >= 0) & changed[ups]).any(axis=1)]
        servers = changed[topology.server_nodes]
        for node in tops.tolist():
            count = int(servers[topology.servers_under(topology.names[node])].sum())
            affected = "1 server" if count == 1 else f"{count:,} servers"
            if not count:
                message = "lost power; no server below did" if kind == "dark" else "power is back"
            else:
                message = (
                    f"{affected} lost power" if kind == "dark" else f"power is back for {affected}"
                )
            events.append(self._event(now_s, kind, node, message))
        return events

    # --- words -----------------------------------------------------------------------------

    def _event(self, now_s: float, kind: EventKind, node: int, message: str) -> FacilityEvent:
        load_w, limit_w = float(self.felt_w[node]), float(self.topology.rating_w[node])
        self.watch.counts[kind] += 1
        return FacilityEvent(
            time_s=now_s,
            kind=kind,
            node=self.topology.names[node],
            node_kind=self.topology.kinds[node],
            load_w=load_w,
            limit_w=limit_w,
            margin_w=limit_w - load_w,
            message=message,
        )

    def _crossed(
        self, now_s: float, kind: EventKind, what: str, crossing: Crossing
    ) -> FacilityEvent:
        over = f"{what} over {duration(crossing.window_s)}"
        self.watch.counts[kind if crossing.raised else "cleared"] += 1
        return FacilityEvent(
            time_s=now_s,
            kind=kind if crossing.raised else "cleared",
            node=self.topology.names[crossing.node],
            node_kind=self.topology.kinds[crossing.node],
            load_w=crossing.value_w,
            limit_w=crossing.limit_w,
            margin_w=crossing.limit_w - crossing.value_w,
            message=f"{over} at {percent(crossing.value_w / crossing.limit_w)} of its limit"
            if crossing.raised
            else f"{kind} limit kept again: above it for {duration(crossing.over_s)} so far",
        )

    def _draw(self, name: str) -> float:
        """A breaker's place in its band, by its node's name."""
        return float(seeds.generator(self._seed, seeds.TRIP_BAND, name).random())


def stated_limits(scenario: Scenario) -> list[dict[str, Any]]:
    """The limits of a scenario's site before anything is played: rows as those of a summary, with
    nothing seen. A contract's limit is the one at the start. Raises SeriesError."""
    topology = Topology.build(scenario.facility)
    site = ElectricalSite(
        topology,
        load_catalogue(),
        scenario.power_step_s,
        scenario.limits,
        clock_s=_clock_s(scenario),
    )
    return site.limit_rows()


def _clock_s(scenario: Scenario) -> float | None:
    """Time of day at which a run starts; None where the scenario does not say."""
    return None if scenario.start is None else float(scenario.start.time_of_day_s)
