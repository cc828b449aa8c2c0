"""The facility in outline: each row of its table once, with sums over what hangs below."""

from __future__ import annotations

from dataclasses import dataclass

from dcsim.hardware.catalogue import load_catalogue
from dcsim.scenario.models import FacilityNode, Scenario


@dataclass(frozen=True, slots=True)
class Outline:
    """One row of the facility table. Sums are those of ONE copy."""

    node: FacilityNode
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
    catalogue = load_catalogue()
    nameplate_w = {
        group.name: catalogue.server(group.server).nameplate_w for group in scenario.servers
    }

    several = any(len(node.above) > 1 for node in scenario.facility)
    sums = _sums(scenario, nameplate_w) if several else {}

    def describe(node: FacilityNode, parents: int) -> Outline:
        copies = parents * node.count
        below = tuple(
            describe(child, copies)
            for child in scenario.facility
            if child.above and child.above[0] == node.name
        )
        if sums:
            return Outline(node, *sums[node.name], below)
        if node.group is not None:
            servers, label_w = 1, nameplate_w[node.group]
        else:
            servers = sum(child.node.count * child.servers for child in below)
            label_w = sum(child.node.count * child.nameplate_w for child in below)
        return Outline(node, copies, servers, label_w, label_w, False, below)

    (root,) = (node for node in scenario.facility if not node.above)
    return describe(root, 1)


def _sums(
    scenario: Scenario, nameplate_w: dict[str, float]
) -> dict[str, tuple[int, int, float, float, bool]]:
    """Of each row: its copies, and of the first one the servers by any feed, their labels in the
    shares carried, all of them, and whether others carry some of it."""
    import numpy as np

    from dcsim.plant.topology import Topology

    topology = Topology.build(scenario.facility)
    label_w = np.array([nameplate_w[group] for group in topology.server_groups])
    carried_w = topology.sum_loads(label_w).copy()
    carried = topology.sum_loads(np.ones(len(label_w))).copy()
    copies: dict[str, int] = {}
    first: dict[str, int] = {}
    for node, spec in enumerate(topology.specs):
        copies[spec.name] = copies.get(spec.name, 0) + 1
        first.setdefault(spec.name, node)
    found = {}
    for name, node in first.items():
        below = topology.servers_under(topology.names[node])
        alone_w = float(label_w[below].sum())
        shared = bool(carried[node] < len(below) - 1e-6)
        found[name] = (copies[name], len(below), float(carried_w[node]), alone_w, shared)
    return found
