"""The facility in outline: each row of its table once, with sums over what hangs below."""

from __future__ import annotations

from dataclasses import dataclass

from dcsim.scenario.catalogue import load_catalogue
from dcsim.scenario.models import FacilityNode, Scenario


@dataclass(frozen=True, slots=True)
class Outline:
    """One row of the facility table. Sums are those of ONE copy."""

    node: FacilityNode
    copies: int
    """In the whole site: `count` times the copies of all parents."""
    servers: int
    nameplate_w: float
    children: tuple[Outline, ...]


def outline(scenario: Scenario) -> Outline:
    """The site with all below it. The scenario's facility is a tree, as `load` checks."""
    catalogue = load_catalogue()
    nameplate_w = {
        group.name: catalogue.server(group.server).nameplate_w for group in scenario.servers
    }

    def describe(node: FacilityNode, parents: int) -> Outline:
        copies = parents * node.count
        below = tuple(
            describe(child, copies)
            for child in scenario.facility
            if child.above and child.above[0] == node.name
        )
        if node.group is not None:
            return Outline(node, copies, 1, nameplate_w[node.group], below)
        return Outline(
            node,
            copies,
            sum(child.node.count * child.servers for child in below),
            sum(child.node.count * child.nameplate_w for child in below),
            below,
        )

    (root,) = (node for node in scenario.facility if not node.above)
    return describe(root, 1)
