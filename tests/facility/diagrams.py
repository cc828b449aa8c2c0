"""Small one-line diagrams to play with."""

from __future__ import annotations

from typing import Any

import networkx as nx
from hypothesis import strategies as st

from dcsim.arrays import FloatArray
from dcsim.facility.events import FacilityEvent
from dcsim.facility.inputs import SiteInputs
from dcsim.facility.phases import Phases
from dcsim.facility.site import ElectricalSite
from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.hardware.curves import Curve
from dcsim.plant.topology import Topology
from dcsim.scenario.models import Cooling, FacilityNode, Fault, Limits, Restart

STEP_S = 0.25
AT_ONCE = {"boot": "0 s", "inrush": 1.0}
"""Servers that are back as soon as they have power."""
QUICK = Curve(name="quick", title="", points=((1.5, 20.0), (2.0, 10.0)), source="this test")
"""10 s at twice the rating."""


def catalogue() -> Catalogue:
    """The shipped one, and a curve with round numbers."""
    shipped = load_catalogue()
    return shipped.model_copy(update={"curves": {**shipped.curves, "quick": QUICK}})


def node(name: str, kind: str, above: str | list[str] | None = None, **keys: Any) -> FacilityNode:
    """A row of the table; a list of names above it are feeds."""
    key = "feeds" if isinstance(above, list) else "parent"
    return FacilityNode.model_validate({"name": name, "kind": kind, key: above, **keys})


def site_of(
    rows: list[FacilityNode],
    *,
    faults: list[dict[str, Any]] | None = None,
    restart: dict[str, Any] | None = None,
    cooling: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    step_s: float = STEP_S,
) -> ElectricalSite:
    return ElectricalSite(
        SiteInputs(
            Topology.build(rows),
            catalogue(),
            step_s,
            Limits.model_validate(limits or {}),
            faults=[Fault.model_validate(fault) for fault in faults or []],
            restart=Restart.model_validate({**AT_ONCE, **(restart or {})}),
            cooling=Cooling.model_validate(cooling or {}),
        )
    )


def two_lines(server: dict[str, Any] | None = None, **ups: Any) -> list[FacilityNode]:
    """A row of four servers on two UPS (2N), and one server on UPS A alone. The UPS have no static
    bypass unless `ups` says so: what fails is lost."""
    ups = {"bypass": False, **ups}
    return [
        node("site", "site"),
        node("ups-a", "ups", "site", **ups),
        node("ups-b", "ups", "site", **ups),
        node("row", "row", ["ups-a", "ups-b"]),
        node("server", "server", "row", count=4, group="g", **(server or {})),
        node("single", "server", "ups-a", group="g"),
    ]


class Play:
    """A site stepped with constant loads; keeps the events."""

    def __init__(self, site: ElectricalSite, step_s: float = STEP_S) -> None:
        self.site = site
        self.step_s = step_s
        self.steps = 0
        self.events: list[FacilityEvent] = []

    @property
    def now_s(self) -> float:
        return self.steps * self.step_s

    def step(self, server_w: Any) -> dict[str, float]:
        """One step; loads by name."""
        self.steps += 1
        node_w, events = self.site.step(self.now_s, self.step_s, server_w)
        self.events += events
        return dict(zip(self.site.topology.names, node_w.tolist(), strict=True))

    def until(self, time_s: float, server_w: Any) -> dict[str, float]:
        """Steps up to a time; the last loads."""
        found: dict[str, float] = {}
        while self.now_s < time_s - 1e-9:
            found = self.step(server_w)
        return found

    def brief(self, *kinds: str) -> list[tuple[float, str, str]]:
        return [(e.time_s, e.kind, e.node) for e in self.events if e.kind in kinds]


UPPER = ("utility", "transformer", "ups", "pdu", "row", "rack")
LOSSES = {
    "transformer": "transformer-dry",
    "ups": "ups-double-conversion",
    "pdu": "pdu-transformer",
    "server": "psu-titanium",
}


@st.composite
def diagrams(draw: st.DrawFn, *, lossy: bool = False) -> list[FacilityNode]:
    """Random diagrams: several feeds, levels left out, copies; at least one server."""
    rows = [node("site", "site")]
    for kind in UPPER:
        for number in range(draw(st.integers(0, 2))):
            rows.append(_row(draw, f"{kind}{number}", kind, rows, lossy))
    for number in range(draw(st.integers(1, 3))):
        rows.append(_row(draw, f"server{number}", "server", rows, lossy, group="g"))
    return rows


def _row(
    draw: st.DrawFn,
    name: str,
    kind: str,
    rows: list[FacilityNode],
    lossy: bool,
    **keys: Any,
) -> FacilityNode:
    able = [row for row in rows if row.kind not in ("server", kind)]
    ups = draw(st.lists(st.sampled_from(able), min_size=1, max_size=3, unique_by=lambda r: r.name))
    above: str | list[str] = [up.name for up in ups] if len(ups) > 1 else ups[0].name
    if len(ups) > 1:
        keys["transfer"] = draw(st.sampled_from(["share", "primary", "static"]))
    if len(rows) > 1 and len(ups) == 1:
        keys["count"] = draw(st.sampled_from([1, 1, 2]))
    if kind == "ups":
        keys["bypass"] = lossy and draw(st.booleans())
    if lossy:
        keys["rating"] = "30 kW"
        if kind in LOSSES and draw(st.booleans()):
            keys["losses"] = LOSSES[kind]
        if draw(st.booleans()) and kind in ("ups", "rack"):
            keys["battery"] = {
                "energy": f"{draw(st.integers(1, 40))} Wh",
                "power": "30 kW",
                "charge": "200 W",
                "initial": draw(st.floats(0.1, 1.0)),
                "shave_above": f"{draw(st.integers(1, 9))} kW",
            }
    return node(name, kind, above, **keys)


def alive(site: ElectricalSite, down: set[str]) -> set[str]:
    """By networkx alone: what is reachable from the top when some nodes are gone."""
    graph = site.topology.graph.copy()
    top = site.topology.names[0]
    graph.remove_nodes_from(down)
    return set() if top in down else {top} | nx.descendants(graph, top)


def line_w(phases: Phases, node_w: FloatArray) -> FloatArray:
    """Watts drawn on each line, shape (nodes, 3); rows sum to the nodes' loads."""
    drawn: FloatArray = (phases.spread.real * node_w).T
    return drawn
