"""The facility in outline: each row of its table once, with sums over what hangs below."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dcsim.scenario.models import FacilityNode, Scenario


@dataclass(frozen=True, slots=True)
class Outline:
    """One row of the facility table. Sums are those of ONE copy."""

    node: FacilityNode
    rating_w: float | None
    """W, also where it is stated in VA or A: then at the poorest power factor below."""
    copies: int
    """In the whole site: `count` times the copies of all parents."""
    servers: int
    """That hang from it by any feed."""
    nameplate_w: float
    """Labels below, in the shares in which they are carried while all feeds live."""
    alone_w: float
    """All labels below: what it would carry with its partners lost."""
    shared: bool
    """Whether others carry some of what hangs below, too."""
    children: tuple[Outline, ...]


def outline(scenario: Scenario) -> Outline:
    """The site with all below it. The scenario's facility is a tree, as `load` checks."""
    from dcsim.plant import Plant

    plant = Plant.build(scenario)
    nodes, topology, label_w = plant.nodes, plant.topology, plant.servers.nameplate_w
    carried_w = topology.sum_loads(label_w).copy()
    carried = topology.sum_loads(label_w * 0.0 + 1.0).copy()

    def describe(row: FacilityNode) -> Outline:
        first = nodes.row.index(row.name)
        below = plant.servers_under(nodes.name[first])
        return Outline(
            row,
            None if math.isnan(topology.rating_w[first]) else float(topology.rating_w[first]),
            nodes.row.count(row.name),
            len(below),
            float(carried_w[first]),
            float(label_w[below].sum()),
            bool(carried[first] < len(below) - 1e-6),
            tuple(
                describe(child)
                for child in scenario.facility
                if child.above and child.above[0] == row.name
            ),
        )

    (root,) = (row for row in scenario.facility if not row.above)
    return describe(root)
