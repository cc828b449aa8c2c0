"""Which limit is asked about, and what is counted below it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from dcsim.errors import StudyError
from dcsim.facility.labels import label_loads_w
from dcsim.plant import Plant, Topology
from dcsim.scenario.models import Scenario
from dcsim.studies.ask import node_row, nodes_of, variant, with_traffic
from dcsim.studies.options import Typed

Under = Annotated[str | None, Typed(metavar="NODE")]
"""Field of a study: the node whose limit applies."""
Counted = Annotated[str | None, Typed(flag="count", metavar="NODE")]
"""Field of a study: what is counted below it."""


@dataclass(frozen=True)
class CountTarget:
    """A limit and what is counted under it: rows of the facility table.

    `under` is the row whose copies have the limit, `counted` the row whose number is asked for.
    """

    scenario: Scenario
    under: int
    counted: int
    limit_w: float
    """Of one copy of `under`."""

    @property
    def under_name(self) -> str:
        """Name of the row with the limit."""
        return self.scenario.facility[self.under].name

    @property
    def counted_name(self) -> str:
        """Name of the row that is counted."""
        return self.scenario.facility[self.counted].name

    @property
    def kind(self) -> str:
        """Kind of what is counted."""
        return self.scenario.facility[self.counted].kind

    @property
    def step(self) -> int:
        """How many one step of the count adds under each limit: more than one where rows stand
        between the limit and what is counted."""
        return self.now // self.scenario.facility[self.counted].count

    @property
    def now(self) -> int:
        """How many stand under each limit in the scenario."""
        topology = Topology.build(self.scenario.facility)
        specs = [spec.name for spec in topology.specs]
        return specs.count(self.counted_name) // specs.count(self.under_name)

    @property
    def watched(self) -> list[str]:
        """Names of the nodes with the limit."""
        return nodes_of(self.scenario, self.under)

    @property
    def watched_and_above(self) -> list[str]:
        """Names of the nodes with the limit, and of all that feeds them."""
        return nodes_of(self.scenario, self.under, and_above=True)

    @property
    def rating_w(self) -> float | None:
        """Of one copy of `under`, W, also where it is stated in VA or A."""
        return _rating_w(self.scenario, self.under)

    def unit_nameplate_w(self) -> float:
        """What the makers' labels say of the servers of one unit, W."""
        plant = Plant.build(self.scenario)
        unit = plant.nodes.name[plant.nodes.row.index(self.counted_name)]
        return float(plant.servers.nameplate_w[plant.servers_under(unit)].sum())

    def nameplate_load_w(self, count: int) -> float:
        """Highest load of the nodes with the limit, W, with so many units and every server at its
        label: all else that hangs there too, with its cooling and losses."""
        rows = list(self.scenario.facility)
        rows[self.counted] = rows[self.counted].model_copy(update={"count": count // self.step})
        plant = Plant.build(self.scenario.model_copy(update={"facility": tuple(rows)}))
        watched = set(self.watched)
        loads_w = zip(plant.nodes.name, label_loads_w(plant), strict=True)
        return float(max(load_w for name, load_w in loads_w if name in watched))

    def nameplate_count(self) -> int:
        """Most units whose nameplate load the limit holds; 0 where all else that hangs there takes
        it already."""
        low, high = 0, self.step
        while self.nameplate_load_w(high) <= self.limit_w:
            low, high = high, 2 * high
        while high - low > self.step:
            middle = (low + high) // 2 // self.step * self.step
            if self.nameplate_load_w(middle) <= self.limit_w:
                low = middle
            else:
                high = middle
        return low

    def limited(self) -> Scenario:
        """The scenario with the limit asked about as its rating. Raises StudyError."""
        if self.rating_w == self.limit_w:
            return self.scenario
        changes = {f"facility.{self.under}.rating": f"{self.limit_w:.6f} W"}
        return variant(self.scenario, changes, "--limit")

    def resized(self, base: Scenario, count: int, traffic: str) -> Scenario:
        """`base` with so many units under each limit; `count` is a multiple of `each`.

        `traffic`: `scaled` (each server keeps its share: the site's traffic grows with its
        servers) or `fixed` (the scenario's traffic is spread over more). Raises StudyError.
        """
        if count == self.now:
            return base
        changes = {f"facility.{self.counted}.count": count // self.step}
        resized = variant(base, changes, f"{count} {self.counted_name}")
        if traffic == "fixed":
            return resized
        servers = [Topology.build(site.facility).server_count for site in (base, resized)]
        return with_traffic(resized, servers[1] / servers[0])


def find_target(
    scenario: Scenario, under: str | None, counted: str | None, limit_w: float | None
) -> CountTarget:
    """The rows that names stand for, or those that go without saying: racks, and the row that
    feeds them. Raises StudyError with what to name instead."""
    nodes = scenario.facility
    if counted is not None:
        child = node_row(scenario, counted, "--count")
    else:
        below = (
            None if under is None else _all_below(scenario, node_row(scenario, under, "--under"))
        )
        choice = [i for i, node in enumerate(nodes) if node.above and (below is None or i in below)]
        racks = [i for i in choice if nodes[i].kind == "rack"]
        if not choice:
            raise StudyError(f"--under: nothing hangs from '{under}': name a node with racks below")
        if len(racks) > 1:
            names = ", ".join(nodes[i].name for i in racks)
            raise StudyError(f"--count: which of the racks? One of {names}")
        child = racks[0] if racks else choice[0]
    if under is not None:
        row = node_row(scenario, under, "--under")
        if child not in _all_below(scenario, row):
            raise StudyError(
                f"--count: '{nodes[child].name}' does not hang from '{under}' "
                f"(below it are {', '.join(nodes[i].name for i in _all_below(scenario, row))})"
            )
    else:
        if not nodes[child].above:
            raise StudyError("--count: the site itself cannot be counted; name racks or servers")
        row = node_row(scenario, nodes[child].above[0])
    stated_w = _rating_w(scenario, row) if limit_w is None else limit_w
    if stated_w is None:
        raise StudyError(
            f"--under: '{nodes[row].name}' has no rating: give --limit '600 kW', or name a node "
            "that has one"
        )
    if not stated_w > 0:
        raise StudyError("--limit: more than 0 W, such as '600 kW'")
    return CountTarget(scenario, row, child, float(stated_w))


def _rating_w(scenario: Scenario, row: int) -> float | None:
    """Rating of a row's copies, W; None where none is stated."""
    topology = Topology.build(scenario.facility)
    rating_w = float(topology.rating_w[topology.names.index(nodes_of(scenario, row)[0])])
    return None if math.isnan(rating_w) else rating_w


def _all_below(scenario: Scenario, row: int) -> list[int]:
    """Rows of the table under one, in the table's order."""
    names = {scenario.facility[row].name}
    below: set[int] = set()
    while True:
        more = {i for i, node in enumerate(scenario.facility) if names & set(node.above)} - below
        if not more:
            return sorted(below)
        below |= more
        names = {scenario.facility[i].name for i in more}
