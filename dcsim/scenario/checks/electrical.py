"""What must fit together in the electrical site: curves, ratings, phases, feeds, faults, files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

from dcsim.errors import SeriesError
from dcsim.hardware.catalogue import Catalogue
from dcsim.scenario.checks.facility import Rows, cycles, rows_by_name
from dcsim.scenario.checks.parts import missing_file, numbered, unknown
from dcsim.scenario.expand import Copy, FeedMismatchError, Row, expand, named
from dcsim.scenario.models import FacilityNode, Scenario
from dcsim.scenario.series import read_series
from dcsim.spec.document import Finding, Steps
from dcsim.spec.nearest import suggestion
from dcsim.spec.unread import readable

MOST_NODES = 200_000
"""A diagram of more is not expanded to check names."""
MOST_PLAYED = 2_000_000
"""A diagram of more is refused: one process has no room for its loads."""


def nodes(scenario: Scenario, catalogue: Catalogue) -> Iterator[Finding]:
    for path, node in numbered("facility", scenario.facility):
        yield from readable(_breaker(path, node, catalogue))
        yield from readable(_losses(path, node, catalogue))
        for index, demand in enumerate(node.demand):
            at = (*path, "demand", index, "contract")
            yield from readable(_series(at, demand.contract, "limit_w"))


def _breaker(path: Steps, node: FacilityNode, catalogue: Catalogue) -> Iterator[Finding]:
    breaker, curves = node.breaker, catalogue.curves
    if breaker is None:
        return
    if breaker.curve not in curves:
        yield unknown((*path, "breaker", "curve"), "time-current curve", breaker.curve, curves)
    elif breaker.points is None and breaker.electronic is None:
        needs_band = breaker.band in ("typical", "drawn")
        if needs_band and curves[breaker.curve].earliest is None:
            known = ", ".join(name for name, curve in curves.items() if curve.earliest is not None)
            message = f"the curve '{breaker.curve}' has no earliest trips, so no band"
            yield Finding((*path, "breaker", "band"), message, f"those with a band are {known}")
    if not _is_rated(node) and breaker.rating_w is None:
        message = "has no rating, and neither has its node"
        yield Finding((*path, "breaker"), message, "give `rating` to one of them")


def _is_rated(node: FacilityNode) -> bool:
    return node.rating_w is not None or node.apparent_rating_va is not None


def _losses(path: Steps, node: FacilityNode, catalogue: Catalogue) -> Iterator[Finding]:
    if node.losses is None:
        return
    if node.losses not in catalogue.losses:
        yield unknown((*path, "losses"), "loss curve", node.losses, catalogue.losses)
    if not _is_rated(node):
        message = "losses go by share of the rating, and there is no rating"
        yield Finding((*path, "losses"), message, "give `rating`")


def _series(path: Steps, file: str | None, column: str) -> Iterator[Finding]:
    if file is None:
        return
    missing = list(missing_file(path, file))
    yield from missing
    if not missing:
        try:
            read_series(file, column)
        except SeriesError as error:
            yield Finding(path, str(error), f"columns time_s and {column}, times rising")


def weather(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    yield from _series(("cooling", "weather"), scenario.cooling.weather, "temperature_c")


def power_factors(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    """Apparent power needs the power factor of the servers to be held against watts."""
    if any(node.power_factor is not None for node in scenario.facility):
        return  # only servers have one
    for path, node in numbered("facility", scenario.facility):
        if node.apparent_rating_va is not None:
            message = "no server has a `power_factor`, so watts of apparent power are unknown"
            hint = "give one, such as 0.98: to the servers, or beside a `rating` in A or VA"
            yield Finding((*path, "apparent_rating"), message, hint)


# --- the diagram as a whole ------------------------------------------------------------------


def _is_whole(scenario: Scenario, rows: Rows) -> bool:
    """Whether the table is one diagram: names once, parents known, one top, no cycles."""
    known = all(up in rows for node in scenario.facility for up in node.above)
    tops = sum(not node.above for node in scenario.facility)
    return known and tops == 1 and len(rows) == len(scenario.facility) and not any(cycles(rows))


def phases(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    """What hangs from one line cannot have three, or another."""
    rows = rows_by_name(scenario)
    if not _is_whole(scenario, rows):
        return

    @cache
    def line_of(name: str) -> tuple[str, FacilityNode] | None:
        """The line or pair that a row is on and the row that says so; None where it has three
        phases."""
        node = rows[name][1]
        for up in node.above:
            line = line_of(up)
            if line is not None:
                return line
        return (node.phase or "auto", node) if node.phases in (1, 2) else None

    for path, node in rows.values():
        for up in node.above:
            line = line_of(up)
            if line is not None:
                yield from readable(_line(path, node, *line))


def _line(path: Steps, node: FacilityNode, line: str, owner: FacilityNode) -> Iterator[Finding]:
    words = {1: "one phase", 2: "two phases", 3: "three phases"}
    if node.phases is not None and node.phases != owner.phases:
        message = f"{words[node.phases]} under '{owner.name}', which has "
        yield Finding((*path, "phases"), message + words[owner.phases or 3].split()[0])
    if node.phase not in (None, "auto", line):
        shown = "one that is dealt out" if line == "auto" else line
        message = f"on {node.phase}, but it hangs from '{owner.name}', which is on {shown}"
        yield Finding((*path, "phase"), message)


def node_names(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    """Names of nodes: no two alike, and those that faults and cooling speak of."""
    if not _is_whole(scenario, rows_by_name(scenario)):
        return
    rows = [Row(node.name, node.count, node.above) for node in scenario.facility]
    count = _count(rows)
    if count > MOST_PLAYED:
        message = f"makes more than {MOST_PLAYED:,} nodes: too many to play"
        yield Finding(("facility",), message, "look at the `count` of its rows")
        return
    mentions = list(_mentions(scenario))
    if not mentions and all(len(row.above) < 2 for row in rows):
        return  # a tree's own names are checked row by row
    if count > MOST_NODES:
        yield Finding(("facility",), f"makes more than {MOST_NODES:,} nodes: too many to check")
        return
    try:
        copies = list(expand(rows))
    except FeedMismatchError as mismatch:
        hint = "the number of copies of one must divide that of the other"
        yield Finding(("facility", mismatch.row, "feeds"), str(mismatch), hint)
        return
    counted = Counter(copy.name for copy in copies)
    for row, name in _doubled(copies, counted).items():
        message = f"makes a node '{name}', and so does another row"
        yield Finding(("facility", row, "name"), message, "choose another name")
    for path, name in mentions:
        yield from _one_node(path, name, counted)


def _mentions(scenario: Scenario) -> Iterator[tuple[Steps, str]]:
    """Names of nodes that faults and cooling speak of, and where."""
    for path, fault in numbered("faults", scenario.faults):
        for key, name in (("fail", fault.fail), ("restore", fault.restore)):
            if name is not None:
                yield (*path, key), name
    at, here = scenario.cooling.at, ("cooling", "at")
    if isinstance(at, str):
        yield here, at
    elif isinstance(at, dict):
        yield from (((*here, name), name) for name in at)
    elif at is not None:
        yield from (((*here, place), name) for place, name in enumerate(at))


def _one_node(path: Steps, name: str, known: Iterable[str]) -> Iterator[Finding]:
    """A name must mean one node."""
    meant = named(known, name)
    if not meant:
        yield Finding(path, f"there is no node '{name}'", suggestion(name, known))
    elif len(meant) > 1:
        shown = ", ".join(meant[:3]) + (", ..." if len(meant) > 3 else "")
        message = f"'{name}' may be any of {len(meant)} nodes"
        yield Finding(path, message, f"write one of {shown}")


def _count(rows: list[Row]) -> int:
    """About how many nodes a table makes."""
    by_name = {row.name: row for row in rows}

    @cache
    def made(name: str) -> int:
        row = by_name[name]
        return row.copies * max(map(made, row.above), default=1)

    return sum(map(made, by_name))


def _doubled(copies: list[Copy], counted: Counter[str]) -> dict[int, str]:
    """Rows that make a node of another row's name, where feeds are at fault: trees are checked row
    by row."""
    fed_twice = {copy.name for copy in copies if len(copy.above) > 1}
    doubled: dict[int, str] = {}
    for copy in copies:
        if counted[copy.name] > 1 and copy.name in fed_twice:
            doubled.setdefault(copy.row, copy.name)
    return doubled


RULES = (nodes, weather, power_factors, phases, node_names)
