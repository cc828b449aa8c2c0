"""pandapower: the site as a net that a load flow runs on, with its loads and their time series.

Every node above the servers is a bus, every feed a cable, every transformer a transformer. What
scenarios do not say (voltages, cable lengths, impedances) is assumed, and each assumption stands
in the net's table `dcsim` beside the elements. Loads are what dcsim recorded: servers at the
nodes that feed them; losses, cooling and storage at the node where they arise. A transformer's
loss is left to pandapower, which reckons it from the same loss curve.

Where a load is shared by several feeds (dual cords), the feeds stay apart, as power supplies keep
them: what hangs below is there once for each feed, with its share of the load, and is named
`row-1@ups-a`. A transfer switch is a cable on the preferred feed, and open switches on the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.errors import ExportError
from dcsim.extras import optional
from dcsim.results.export.cables import IMPEDANCE, cable, line, transformer
from dcsim.results.export.needs import whole_file, whole_steps
from dcsim.results.export.tables import loads_w
from dcsim.results.export.wiring import Wire, wiring
from dcsim.results.results import Results

if TYPE_CHECKING:
    import pandas as pd

POINTS = 1440
"""At most about this many points a time series, where no interval is asked for."""
SPARE = 1.25
"""An unrated transformer is taken to be so many times its largest load."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What a scenario does not say of its wires."""

    high_v: float = 13_800.0
    """Line to line, above transformers."""
    low_v: float = 415.0
    """Line to line, below them, and everywhere where there is none."""
    feeder_m: float = 20.0
    """Length of every cable."""


@dataclass(frozen=True, slots=True)
class BusShare:
    """A node of the site as it stands in the net: once, or once for each of several feeds."""

    bus: int
    name: str
    weight: float
    """Part of the node's load that is carried here."""
    side: str = ""
    """The feed that this part hangs from, such as `@ups-a`; empty where there is one."""


def export_network(
    results: Results,
    out: Path,
    grid: Grid | None = None,
    at_s: float | None = None,
    every_s: float | None = None,
    force: bool = False,
) -> list[Path]:
    """Write the net as JSON; `pandapower.from_json` reads it. Arguments as of `network`.

    Raises what `network` raises, and ExportError where `out` is in the way.
    """
    pandapower = optional("pandapower", "--to pandapower")
    net = network(results, grid, at_s, every_s)
    with whole_file(out, force) as path:
        pandapower.to_json(net, str(path))
    return [out]


def network(
    results: Results,
    grid: Grid | None = None,
    at_s: float | None = None,
    every_s: float | None = None,
) -> Any:
    """The net, with the loads of the power step that holds `at_s` (None: the site's peak) and a
    controller that plays the loads' time series, means over `every_s`.

    Raises MissingExtraError without pandapower, ExportError for a time outside the run, a scenario
    that cannot be read, or an `every_s` below the recorded step.
    """
    whole_steps(every_s, results.step_s)
    pandapower = optional("pandapower", "--to pandapower")
    diagram = wiring(results)
    wires = [wire for wire in diagram if wire.kind != "server"]
    nodes = results.nodes()
    column = {name: i for i, name in enumerate(nodes.index[nodes["kind"] != "server"])}
    added = NodeShares.from_diagram(diagram, column)
    now_w, now_s = _instant(results, at_s)
    peak_w = {name: float(watts) for name, watts in _peaks(results).items()}
    net = pandapower.create_empty_network(name=results.path.stem)
    places = _build(pandapower, net, wires, grid or Grid(), peak_w)
    every_s = every_s or _interval(results)
    series = loads_w(results, every_s)
    own_w = added.added_w(series.to_numpy(dtype=np.float64))
    now_own_w = added.added_w(now_w[None, :])[0]
    # Loads are kept in single precision, so that a difference of two is never quite zero.
    drawing = np.abs(np.vstack([own_w, now_own_w])).max(axis=0) > 1.0 + 1e-4 * now_w
    known: list[tuple[int, int, float]] = []
    standing = [(column[wire.name], place) for wire in wires for place in places[wire.name]]
    for node, place in standing:
        if not added.serves[node] and not drawing[node]:
            continue
        mw = float(now_own_w[node]) * place.weight / 1e6
        most_w = float(nodes["nameplate_w"].iloc[node]) if added.serves[node] else math.nan
        index = pandapower.create_load(
            net,
            place.bus,
            p_mw=mw,
            q_mvar=mw * added.tan[node],
            name=f"{place.name}: {'servers' if added.serves[node] else 'own'}",
            max_p_mw=most_w * place.weight / 1e6,
        )
        known.append((int(index), node, place.weight))
    _play(net, own_w, added.tan, known)
    net["dcsim"] = {
        "result": results.path.name,
        "seed": results.seed,
        "loads_at_s": now_s,
        "series_every_s": every_s,
        "series_end_s": [float(time_s) for time_s in series.index],
        "assumed": IMPEDANCE,
    }
    return net


# --- loads -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeShares:
    """What each node adds to what flows through it: its servers, losses, cooling, storage. In the
    order of the result's nodes, servers left out."""

    children: tuple[tuple[tuple[int, float], ...], ...]
    """Of each node, the nodes below (not servers) and the part of their load that it carries."""
    tan: FloatArray
    """Reactive over active power of its servers; 0 elsewhere."""
    serves: tuple[bool, ...]
    """Whether it feeds servers."""
    curves: dict[int, tuple[FloatArray, FloatArray, float]]
    """Of transformers with a loss curve: shares of the rating, losses as such, and the rating."""

    @classmethod
    def from_diagram(cls, diagram: Sequence[Wire], column: dict[str, int]) -> NodeShares:
        """From all nodes of the site and the numbers of those above the servers."""
        children: list[list[tuple[int, float]]] = [[] for _ in column]
        factors: list[list[float]] = [[] for _ in column]
        curves = {}
        for wire in diagram:
            for feed, share in zip(wire.feeds, wire.shares, strict=True):
                if wire.kind == "server":
                    factors[column[feed]].append(wire.spec.power_factor or 1.0)
                elif share > 0:
                    children[column[feed]].append((column[wire.name], share))
            rating_w = wire.spec.rating_w or wire.spec.apparent_rating_va
            if wire.kind == "transformer" and wire.losses and rating_w:
                share_of, lost = line(wire.losses)
                curves[column[wire.name]] = (share_of, lost, rating_w)
        tan = [[math.tan(math.acos(factor)) for factor in served] or [0.0] for served in factors]
        return cls(
            tuple(tuple(below) for below in children),
            np.array([np.mean(served) for served in tan]),
            tuple(bool(served) for served in factors),
            curves,
        )

    def added_w(self, node_w: FloatArray) -> FloatArray:
        """Watts that each node adds, shape (times, nodes), from their loads, of that shape; less
        the loss of transformers, which a load flow finds by itself."""
        own_w = node_w.copy()
        for node, below in enumerate(self.children):
            for child, share in below:
                own_w[:, node] -= share * node_w[:, child]
        for node, (share_of, lost, rating_w) in self.curves.items():
            loss_w = np.zeros(len(node_w))
            for _ in range(8):  # output = draw - loss(output): each round is 100 times nearer
                output = (node_w[:, node] - loss_w) / rating_w
                loss_w = rating_w * np.interp(output, share_of, lost)
            own_w[:, node] -= np.where(node_w[:, node] > 0, loss_w, 0.0)
        return own_w


def _instant(results: Results, at_s: float | None) -> tuple[FloatArray, float]:
    """Loads of all nodes above the servers in one power step, and its end."""
    kinds = [kind for kind in dict.fromkeys(results.nodes()["kind"]) if kind != "server"]
    site_w = results.load_w(kinds[0]).iloc[:, 0]
    if not len(site_w):
        raise ExportError(f"{results.path}: the run has no power step")
    if at_s is None:
        # Of a run that ended in its warm-up there is nothing else.
        first = min(math.ceil(results.warm_up_s / results.step_s - 1e-9), len(site_w) - 1)
        step = first + int(np.argmax(site_w.to_numpy()[first:]))
    else:
        step = int(np.searchsorted(site_w.index.to_numpy(), at_s - 1e-9))
        if step >= len(site_w):
            raise ExportError(f"--at: the run ends at {site_w.index[-1]:g} s")
    rows = [results.load_w(kind).iloc[step].to_numpy(dtype=np.float64) for kind in kinds]
    return np.concatenate(rows), float(site_w.index[step])


def _peaks(results: Results) -> dict[str, float]:
    return {row["name"]: row["peak_w"] or 0.0 for row in results.summary["nodes"]}


def _interval(results: Results) -> float:
    """Whole steps, so that a run has at most about POINTS of them."""
    steps = max(1, math.ceil(results.duration_s / results.step_s / POINTS))
    return steps * results.step_s


def _play(
    net: Any,
    own_w: FloatArray,
    tan: FloatArray,
    known: Sequence[tuple[int, int, float]],
) -> None:
    """Put the loads' time series into the net: run them with pandapower.timeseries."""
    import pandas as pd

    control = optional("pandapower.control", "--to pandapower")
    data = optional("pandapower.timeseries", "--to pandapower").DFData
    loads = [load for load, _, _ in known]
    columns = [node for _, node, _ in known]
    weights = np.array([weight for _, _, weight in known])
    p_mw = own_w[:, columns] * weights / 1e6
    for variable, values in (("p_mw", p_mw), ("q_mvar", p_mw * tan[columns])):
        frame: pd.DataFrame = pd.DataFrame(values, columns=loads)
        control.ConstControl(
            net,
            element="load",
            variable=variable,
            element_index=loads,
            data_source=data(frame),
            profile_name=loads,
        )


# --- wires -----------------------------------------------------------------------------------


def _build(
    pandapower: Any, net: Any, wires: Sequence[Wire], grid: Grid, peak_w: dict[str, float]
) -> dict[str, list[BusShare]]:
    """Buses, cables, transformers and switches; the places of each node."""
    high = _above_transformers(wires)
    places: dict[str, list[BusShare]] = {}
    for wire in wires:
        kv = (grid.high_v if wire.name in high else grid.low_v) / 1e3
        if not wire.feeds:
            bus = int(pandapower.create_bus(net, vn_kv=kv, name=wire.name, zone=wire.kind))
            pandapower.create_ext_grid(net, bus, name="grid")
            places[wire.name] = [BusShare(bus, wire.name, 1.0)]
            continue
        made = places[wire.name] = []
        apart = sum(len(places[f]) for f, s in zip(wire.feeds, wire.shares, strict=True) if s) > 1
        for feed, share in zip(wire.feeds, wire.shares, strict=True):
            for up in places[feed] if share else ():
                side = f"@{feed}" if apart and not up.side else up.side
                name = wire.name + side
                if name in {place.name for place in made}:  # sides that meet again below
                    name = f"{name}@{feed}"
                bus = int(pandapower.create_bus(net, vn_kv=kv, name=name, zone=wire.kind))
                made.append(BusShare(bus, name, share * up.weight, side))
                _connect(pandapower, net, wire, up, made[-1], grid, peak_w, closed=True)
        for feed, share in zip(wire.feeds, wire.shares, strict=True):
            if not share:
                for place in made:
                    _connect(
                        pandapower, net, wire, places[feed][0], place, grid, peak_w, closed=False
                    )
    return places


def _above_transformers(wires: Sequence[Wire]) -> set[str]:
    """Nodes from which a transformer hangs, at any depth: those at the high voltage."""
    high: set[str] = set()
    for wire in reversed(wires):
        if wire.kind == "transformer" or wire.name in high:
            high.update(wire.feeds)
    return high


def _connect(
    pandapower: Any,
    net: Any,
    wire: Wire,
    up: BusShare,
    place: BusShare,
    grid: Grid,
    peak_w: dict[str, float],
    *,
    closed: bool,
) -> None:
    """A cable from `up` to `place`, or a transformer where the voltage changes."""
    up_kv, kv = net.bus.vn_kv[up.bus], net.bus.vn_kv[place.bus]
    rating_w = wire.spec.rating_w
    name = f"{up.name} > {place.name}"
    if wire.kind == "transformer" or up_kv != kv:
        rated_va = wire.spec.apparent_rating_va or rating_w or SPARE * peak_w.get(wire.name, 0.0)
        index = pandapower.create_transformer_from_parameters(
            net,
            up.bus,
            place.bus,
            **transformer(max(rated_va, 1e3), up_kv, kv, wire.losses),
            name=name,
            max_loading_percent=100.0,
        )
        kind = "t"
    else:
        watts = rating_w or wire.spec.apparent_rating_va
        index = pandapower.create_line_from_parameters(
            net,
            up.bus,
            place.bus,
            length_km=grid.feeder_m / 1e3,
            **cable(watts, peak_w.get(wire.name, 0.0), kv),
            name=name,
            max_loading_percent=100.0,
        )
        kind = "l"
    if not closed:
        pandapower.create_switch(
            net, place.bus, index, et=kind, closed=False, name=f"{name} (transfer)"
        )
