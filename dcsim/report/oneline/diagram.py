"""Which boxes a one-line diagram has, and what joins them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dcsim.plant.topology import Topology
from dcsim.report.text import plural_kind, watts
from dcsim.scenario.models import FacilityNode, Scenario
from dcsim.scenario.models.site import KINDS

SMALL = ("rack", "rack-pdu", "branch", "server")
"""Kinds whose copies are always bundled."""
MANY = 12
"""More alike neighbours than this are bundled whatever they are."""
CELLS = 480
"""A bundle of more is one box without a cell for each."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box: a node, a row of the facility table, or a bundle of nodes that are alike."""

    key: str
    kind: str
    title: str
    lines: tuple[str, ...]
    """What is written under the title: ratings first."""
    members: tuple[str, ...] = ()
    """Names of the nodes that it stands for; none where it stands for a table row."""
    breaker: str | None = None
    """Its time-current curve."""
    battery: bool = False

    @property
    def cells(self) -> int:
        """Cells to draw: one a member of a bundle, 0 for a box of its own."""
        return len(self.members) if 1 < len(self.members) <= CELLS else 0


@dataclass(frozen=True, slots=True)
class Link:
    """A feed: `above` feeds `below`; `slot` 0 is the preferred one."""

    above: str
    below: str
    slot: int


@dataclass(frozen=True, slots=True)
class Diagram:
    """Boxes, the site first and feeders before what they feed, and the links between them."""

    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    title: str = ""


def of_table(scenario: Scenario, nameplate_w: Mapping[str, float] | None = None) -> Diagram:
    """One box a row of the facility table, copies told by a count. `nameplate_w`, by row: what
    hangs below one copy is rated for by its makers."""
    copies: dict[str, int] = {}
    boxes, links = [], []
    for node in _feeders_first(scenario.facility):
        inherited = copies[node.above[0]] if node.above else 1
        copies[node.name] = inherited * node.count
        times = f" × {node.count}" if node.count > 1 else ""
        lines = list(_ratings(node))
        below_w = (nameplate_w or {}).get(node.name)
        if below_w:
            lines.append(f"nameplate {watts(below_w)}")
        if inherited > 1:
            lines.append(f"{copies[node.name]:,} in all")
        boxes.append(
            Box(node.name, node.kind, node.name + times, tuple(lines), (), _curve(node),
                node.battery is not None)
        )  # fmt: skip
        links += [Link(up, node.name, slot) for slot, up in enumerate(node.above)]
    return Diagram(tuple(boxes), tuple(links), scenario.name)


def of_results(nodes: pd.DataFrame, facility: Sequence[FacilityNode] | None = None) -> Diagram:
    """One box a node, alike small ones bundled. `nodes` is `Results.nodes()`; with the facility
    table of the scenario all feeds are known, without it only the preferred ones."""
    names = [str(name) for name in nodes.index]
    feeds, specs = _feeds(nodes, facility)
    kinds = {name: str(kind) for name, kind in nodes["kind"].items()}
    rating_w = {str(name): float(w) for name, w in nodes["rating_w"].items()}
    order = sorted(names, key=lambda name: KINDS.index(kinds[name]))
    place = {name: i for i, name in enumerate(order)}
    box_of: dict[str, str] = {}
    groups: dict[tuple[object, ...], list[str]] = {}
    for name in order:
        # Alike: of one kind and rating, hanging from the same boxes.
        above = tuple(dict.fromkeys(box_of[up] for up in feeds[name]))
        alike = (kinds[name], above, round(rating_w[name], 3) if rating_w[name] > 0 else None)
        alike_neighbours = [
            other for other in order
            if kinds[other] == kinds[name] and feeds[other] == feeds[name]
        ] if kinds[name] not in SMALL and alike not in groups else []  # fmt: skip
        if kinds[name] in SMALL or len(alike_neighbours) > MANY or alike in groups:
            groups.setdefault(alike, []).append(name)
            box_of[name] = groups[alike][0]
        else:
            box_of[name] = name
    members: dict[str, list[str]] = {}
    for name in order:
        members.setdefault(box_of[name], []).append(name)
    boxes, links = [], []
    for key, inside in sorted(members.items(), key=lambda pair: place[pair[0]]):
        spec = specs.get(key)
        rated = () if math.isnan(rating_w[key]) else (watts(rating_w[key]),)
        lines = tuple(_ratings(spec)) if spec is not None else rated
        kind = kinds[key]
        title = f"{len(inside)} {plural_kind(kind)}" if len(inside) > 1 else key.rpartition("/")[2]
        boxes.append(
            Box(key, kind, title, lines, tuple(inside), _curve(spec),
                spec is not None and spec.battery is not None)
        )  # fmt: skip
        seen = dict.fromkeys(box_of[up] for up in feeds[key])
        links += [Link(up, key, slot) for slot, up in enumerate(seen)]
    return Diagram(tuple(boxes), tuple(links))


def _feeds(
    nodes: pd.DataFrame, facility: Sequence[FacilityNode] | None
) -> tuple[dict[str, list[str]], dict[str, FacilityNode]]:
    """What each node hangs from, and the table row that it comes from, where that is known."""
    if facility is not None:
        topology = Topology.build(facility)
        if set(topology.names) == set(nodes.index):
            feeds = {
                name: [topology.names[up] for up in ups if up >= 0]
                for name, ups in zip(topology.names, topology.feeds.tolist(), strict=True)
            }
            return feeds, dict(zip(topology.names, topology.specs, strict=True))
    above = {
        str(name): [parent] if isinstance(parent, str) else []
        for name, parent in nodes["parent"].items()
    }
    return above, {}


def _ratings(node: FacilityNode) -> list[str]:
    lines = []
    if node.rating_w is not None:
        lines.append(watts(node.rating_w))
    if node.apparent_rating_va is not None:
        lines.append(watts(node.apparent_rating_va).replace("W", "VA"))
    if node.battery is not None:
        lines.append(f"battery {watts(node.battery.power_w)}, {watts(node.battery.energy_wh)}h")
    return lines


def _curve(node: FacilityNode | None) -> str | None:
    if node is None or node.breaker is None:
        return None
    if node.breaker.points is not None:
        return "own points"
    return "electronic" if node.breaker.electronic is not None else node.breaker.curve


def _feeders_first(facility: Sequence[FacilityNode]) -> list[FacilityNode]:
    """Table rows after all that feed them."""
    left = list(facility)
    done: dict[str, FacilityNode] = {}
    while left:
        ready = [node for node in left if all(up in done for up in node.above)]
        done.update((node.name, node) for node in ready)
        left = [node for node in left if node.name not in done]
    return list(done.values())
