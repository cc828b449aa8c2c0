"""What must fit together in the electrical site: curves, ratings, phases, feeds, faults, files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dcsim.errors import SeriesError
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.curves import Curve, LossCurve
from dcsim.scenario import raw
from dcsim.scenario.expand import Copy, FeedMismatchError, Row, expand, named
from dcsim.scenario.models.amperes import in_amperes
from dcsim.scenario.models.site import Breaker
from dcsim.scenario.series import read_series
from dcsim.spec.document import Document, Steps
from dcsim.spec.nearest import suggestion

MOST_NODES = 200_000
"""A diagram of more is not expanded to check names."""
MOST_PLAYED = 2_000_000
"""A diagram of more is refused: one process has no room for its loads."""

Rows = dict[str, tuple[Steps, dict[str, Any]]]
"""Rows of the table by name."""


def check(
    document: Document,
    by_name: Rows,
    above: dict[str, list[str]],
    catalogue: Catalogue,
    *,
    whole: bool,
) -> None:
    """Add every problem. `above` names each row's feeders, all known; `whole`: the table is one
    diagram without cycles."""
    for path, node in by_name.values():
        _breaker(document, path, node, catalogue.curves)
        _losses(document, path, node, catalogue.losses)
        _files(document, path, node)
    _power_factors(document, by_name)
    cooling = raw.block(document.data, "cooling")
    _series(document, ("cooling", "weather"), raw.text(cooling, "weather"), "temperature_c")
    if whole:
        _phases(document, by_name, above)
        _names(document, by_name, above)


def _breaker(
    document: Document, path: Steps, node: dict[str, Any], curves: Mapping[str, Curve]
) -> None:
    breaker = raw.block(node, "breaker")
    own = breaker.get("points") is not None or breaker.get("electronic") is not None
    curve = breaker.get("curve", Breaker.model_fields["curve"].default)
    if isinstance(curve, str) and curve not in curves:
        document.add(
            (*path, "breaker", "curve"),
            f"there is no time-current curve '{curve}'",
            suggestion(curve, curves),
        )
    elif isinstance(curve, str) and not own:
        band = breaker.get("band")
        if band in ("typical", "drawn") and curves[curve].earliest is None:
            known = ", ".join(name for name, c in curves.items() if c.earliest is not None)
            message = f"the curve '{curve}' has no earliest trips, so no band"
            document.add((*path, "breaker", "band"), message, f"those with a band are {known}")
    protected = isinstance(node.get("breaker"), dict)
    if protected and not _rated(node) and breaker.get("rating") is None:
        message = "has no rating, and neither has its node"
        document.add((*path, "breaker"), message, "give `rating` to one of them")


def _rated(node: dict[str, Any]) -> bool:
    return node.get("rating") is not None or node.get("apparent_rating") is not None


def _losses(
    document: Document, path: Steps, node: dict[str, Any], curves: Mapping[str, LossCurve]
) -> None:
    name = raw.text(node, "losses")
    if name is None:
        return
    if name not in curves:
        message = f"there is no loss curve '{name}'"
        document.add((*path, "losses"), message, suggestion(name, curves))
    if not _rated(node):
        message = "losses go by share of the rating, and there is no rating"
        document.add((*path, "losses"), message, "give `rating`")


def _files(document: Document, path: Steps, node: dict[str, Any]) -> None:
    found = node.get("demand")
    for index, demand in enumerate(found if isinstance(found, list) else []):
        if isinstance(demand, dict):
            at = (*path, "demand", index, "contract")
            _series(document, at, raw.text(demand, "contract"), "limit_w")


def _series(document: Document, path: Steps, file: str | None, column: str) -> None:
    if file is None or "${" in file:  # a variable that is not set is a problem already
        return
    if not Path(file).is_file():
        document.add(path, f"file {file} does not exist")
        return
    try:
        read_series(file, column)
    except SeriesError as error:
        document.add(path, str(error), f"columns time_s and {column}, times rising")


def _power_factors(document: Document, by_name: Rows) -> None:
    nodes = [node for _, node in by_name.values()]
    servers = [node for node in nodes if node.get("kind") == "server"]
    if any(node.get("power_factor") is not None for node in servers):
        return
    for path, node in by_name.values():
        if node.get("apparent_rating") is not None:
            message = "no server has a `power_factor`, so apparent power is unknown"
            document.add((*path, "apparent_rating"), message, "give one, such as 0.98")
        elif in_amperes(node.get("rating")) and node.get("power_factor") is None:
            message = (
                "amperes and volt-amperes are apparent power, and no server has a `power_factor`: "
                "what this is in watts is unknown"
            )
            document.add((*path, "rating"), message, "give one, such as 0.98, here or there")


# --- the diagram as a whole ------------------------------------------------------------------


def _phases(document: Document, by_name: Rows, above: dict[str, list[str]]) -> None:
    """What hangs from one line cannot have three, or another."""

    @cache
    def line_of(name: str) -> tuple[str, str] | None:
        """The line or pair that a row is on and the row that says so; None where it has three
        phases."""
        node = by_name[name][1]
        for up in above[name]:
            found = line_of(up)
            if found is not None:
                return found
        if raw.number(node, "phases", 3) in (1, 2):
            return raw.text(node, "phase") or "auto", name
        return None

    for name, (path, node) in by_name.items():
        for up in above[name]:
            found = line_of(up)
            if found is None:
                continue
            line, owner = found
            here = int(raw.number(node, "phases", 3) or 3)
            there = int(raw.number(by_name[owner][1], "phases", 3) or 3)
            if node.get("phases") is not None and here != there:
                words = {1: "one", 2: "two", 3: "three"}
                phases = "phase" if here == 1 else "phases"
                message = f"{words.get(here, here)} {phases} under '{owner}', which has "
                document.add((*path, "phases"), message + f"{words.get(there, there)}")
            own = raw.text(node, "phase")
            if own is not None and own not in ("auto", line):
                shown = "one that is dealt out" if line == "auto" else line
                message = f"on {own}, but it hangs from '{owner}', which is on {shown}"
                document.add((*path, "phase"), message)


def _names(document: Document, by_name: Rows, above: dict[str, list[str]]) -> None:
    """Names of nodes: no two alike, and those that faults and cooling speak of."""
    rows = []
    for name, (_, node) in by_name.items():
        count = raw.number(node, "count", 1)
        if count is None or count < 1 or count % 1:
            return
        rows.append(Row(name, int(count), tuple(above[name])))
    if _count(rows) > MOST_PLAYED:
        message = f"makes more than {MOST_PLAYED:,} nodes: too many to play"
        document.add(("facility",), message, "look at the `count` of its rows")
        return
    plant = _plant(document)
    faults = list(raw.items(document, "faults"))
    if not plant and not faults and all(len(row.above) < 2 for row in rows):
        return  # nobody speaks of names
    if _count(rows) > MOST_NODES:
        message = f"makes more than {MOST_NODES:,} nodes: too many to check"
        document.add(("facility",), message)
        return
    paths = [path for path, _ in by_name.values()]
    try:
        copies = list(expand(rows))
    except FeedMismatchError as mismatch:
        hint = "the number of copies of one must divide that of the other"
        document.add((*paths[mismatch.row], "feeds"), str(mismatch), hint)
        return
    counted = Counter(copy.name for copy in copies)
    told = set()
    for copy in copies:
        # Copies of one row against each other are told where the table is checked.
        if counted[copy.name] > 1 and copy.row not in told and _several(copies, copy.name):
            told.add(copy.row)
            message = f"makes a node '{copy.name}', and so does another row"
            document.add((*paths[copy.row], "name"), message, "choose another name")
    for path, fault in faults:
        for key in ("fail", "restore"):
            _node(document, (*path, key), raw.text(fault, key), counted)
    for at, wanted in plant:
        _node(document, at, wanted, counted)


def _plant(document: Document) -> list[tuple[Steps, str]]:
    """Names of the nodes that feed the cooling plant, and where they stand."""
    at = raw.block(document.data, "cooling").get("at")
    here: Steps = ("cooling", "at")
    if isinstance(at, str):
        return [(here, at)]
    if isinstance(at, dict):
        return [((*here, name), name) for name in at if isinstance(name, str)]
    places = enumerate(at) if isinstance(at, list) else ()
    return [((*here, place), name) for place, name in places if isinstance(name, str)]


def _node(document: Document, path: Steps, wanted: str | None, known: Iterable[str]) -> None:
    """A name that must mean one node."""
    if wanted is None:
        return
    found = named(known, wanted)
    if not found:
        message = f"there is no node '{wanted}'"
        document.add(path, message, suggestion(wanted, known))
    elif len(found) > 1:
        shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        message = f"'{wanted}' may be any of {len(found)} nodes"
        document.add(path, message, f"write one of {shown}")


def _count(rows: list[Row]) -> int:
    """About how many nodes a table makes."""
    by_name = {row.name: row for row in rows}
    made: dict[str, int] = {}

    def copies(row: Row) -> int:
        if row.name not in made:
            ups = max((copies(by_name[up]) for up in row.above), default=1)
            made[row.name] = ups * row.copies
        return made[row.name]

    return sum(map(copies, rows))


def _several(copies: list[Copy], name: str) -> bool:
    """Whether a doubled name comes of feeds; trees are checked row by row already."""
    return any(len(copy.above) > 1 for copy in copies if copy.name == name)
