"""The facility's form: one diagram from a site down to servers, in order, every group placed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dcsim.hardware.catalogue import Catalogue
from dcsim.scenario.checks.parts import numbered, unique, unknown
from dcsim.scenario.models import FacilityNode, Scenario
from dcsim.scenario.models.site import LEVELS
from dcsim.spec.document import Finding, Steps
from dcsim.spec.unread import readable

UNDER_THEIR_OWN = ("switchgear",)
"""Kinds that may stand under their own: boards feed boards."""

Rows = dict[str, tuple[Steps, FacilityNode]]
"""Rows of the table by name; of rows that share one, the first."""


def rows_by_name(scenario: Scenario) -> Rows:
    rows: Rows = {}
    for path, node in numbered("facility", scenario.facility):
        rows.setdefault(node.name, (path, node))
    return rows


def parents(node: FacilityNode) -> list[tuple[Steps, str]]:
    """Names of the rows that feed one, and where they stand in it; the preferred first."""
    if node.feeds is not None:
        return [(("feeds", slot), feed) for slot, feed in enumerate(node.feeds)]
    return [] if node.parent is None else [(("parent",), node.parent)]


def names(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    yield from unique("facility", scenario.facility)


def top(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    """One site, and all else below it."""
    tops = [(path, row) for path, row in numbered("facility", scenario.facility) if not row.above]
    if not tops:
        # Where every row has a parent there is a cycle or a parent that is missing.
        yield Finding(("facility",), "no row without `parent`: one site must be the top")
        return
    path, node = tops[0]
    for other, _row in tops[1:]:
        message = f"has no `parent`, but '{node.name}' is the top already"
        yield Finding(other, message, "name its parent")
    if node.kind != "site":
        yield Finding((*path, "kind"), f"the top must be a site, not a {node.kind}")
    if node.count > 1:
        message = "there is one site; rows, racks and servers may be many"
        yield Finding((*path, "count"), message)


def order(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    """Parents exist, stand above what they feed, and form no cycle."""
    rows = rows_by_name(scenario)
    cyclic: set[str] = set()
    for cycle in cycles(rows):
        path, node = rows[cycle[0]]
        at = next(at for at, up in parents(node) if up == cycle[1])
        yield Finding((*path, *at), "the parents form a cycle: " + " -> ".join(cycle))
        cyclic.update(cycle)
    for path, node in numbered("facility", scenario.facility):
        for at, parent in parents(node):
            if parent not in rows:
                others = [other for other in rows if other != node.name]
                yield unknown((*path, *at), "facility row", parent, others)
            elif node.name not in cyclic and parent not in cyclic:
                for name in _above(parent, rows, cyclic):
                    above = rows[name][1].kind
                    if not _ordered(above, node.kind):
                        message = f"a {node.kind} cannot stand under a {above} ('{name}')"
                        yield Finding((*path, *at), message, "the order is " + ", ".join(LEVELS))
                        break


def _above(parent: str, rows: Rows, cyclic: set[str]) -> Iterator[str]:
    """A parent, and as a branch has room for much, what stands above it while it is one."""
    yield parent
    while rows[parent][1].kind == "branch":
        ups = rows[parent][1].above
        if not ups or ups[0] not in rows or ups[0] in cyclic:
            return
        parent = ups[0]
        yield parent


def _ordered(above: str, below: str) -> bool:
    """Whether one kind may stand somewhere under another."""
    if above == below:
        return above in UNDER_THEIR_OWN
    return LEVELS[above][0] <= LEVELS[below][1]


def cycles(rows: Rows) -> Iterator[list[str]]:
    """Each cycle of parents once, its first name repeated at the end."""
    done: set[str] = set()
    for start in rows:
        trail: list[str] = []
        ways = [iter([start])]
        while ways:  # depth first, by hand: tables may be long
            name = next((up for up in ways[-1] if up in rows and up not in done), None)
            if name is None:
                ways.pop()
                if trail:
                    done.add(trail.pop())
            elif name in trail:
                yield [*trail[trail.index(name) :], name]
            else:
                trail.append(name)
                ways.append(iter(rows[name][1].above))


def groups(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    """Every server is of a group, and every group is placed."""
    known = {group.name: path for path, group in numbered("servers", scenario.servers)}
    placed: set[str] = set()
    unsure = False
    for path, node in numbered("facility", scenario.facility):
        if node.group is None:
            if node.kind == "server":
                unsure = True
                yield Finding(path, "a server needs a `group`", "one of " + ", ".join(known))
            continue
        if node.kind != "server":
            message = f"only servers have a group, and this is a {node.kind}"
            yield Finding((*path, "group"), message)
        placed.add(node.group)
        if node.group not in known:
            unsure = True
            yield unknown((*path, "group"), "server group", node.group, known)
    for name, path in known.items():
        if name not in placed and not unsure:  # a misspelt group is one problem, not two
            hint = "add a row of kind server with this group"
            yield Finding(path, f"the group '{name}' is nowhere in the facility", hint)


def copies(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    """Copies are called `name-1`, `name-2`, ...: no sibling may have such a name."""
    for _path, node in numbered("facility", scenario.facility):
        if node.count > 1:
            yield from readable(_namesakes(node, scenario))


def _namesakes(node: FacilityNode, scenario: Scenario) -> Iterator[Finding]:
    copy = re.compile(re.escape(node.name) + r"-([1-9]\d*)")
    for path, other in numbered("facility", scenario.facility):
        match = copy.fullmatch(other.name)
        if match and int(match[1]) <= node.count and other.above[:1] in ((), node.above[:1]):
            yield Finding(
                (*path, "name"),
                f"'{match[0]}' is also the name of copy {match[1]} of '{node.name}'",
                "choose another name",
            )


RULES = (names, top, order, groups, copies)
