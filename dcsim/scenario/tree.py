"""The facility's form: one diagram from a site down to servers, in order, every group placed."""

from __future__ import annotations

import re
from typing import Any

from dcsim.hardware.catalogue import Catalogue
from dcsim.scenario import electrical, raw
from dcsim.scenario.checks import unique, unknown
from dcsim.scenario.models.site import LEVELS
from dcsim.spec.document import Document, Steps

MANY = ("switchgear",)
"""Kinds that may stand under their own: boards feed boards."""


def check(document: Document, catalogue: Catalogue) -> None:
    """Add every problem with the facility."""
    rows = list(raw.items(document, "facility"))
    unique(document, "facility")
    if not rows:
        return
    by_name: dict[str, tuple[Steps, dict[str, Any]]] = {}
    for path, node in rows:
        name = raw.text(node, "name")
        if name is not None:
            by_name.setdefault(name, (path, node))
    _roots(document, rows)
    cyclic = _cycles(document, by_name)
    for path, node in rows:
        for at, parent in parents(node):
            _parent(document, (*path, *at), node, parent, by_name, cyclic)
    _groups(document, rows)
    _copies(document, rows)
    above = {
        name: [up for _, up in parents(node) if up in by_name]
        for name, (_, node) in by_name.items()
    }
    tops = sum(not ups for ups in above.values())
    known = all(len(above[name]) == len(parents(node)) for name, (_, node) in by_name.items())
    whole = known and not cyclic and tops == 1 and len(by_name) == len(rows)
    electrical.check(document, by_name, above, catalogue, whole=whole)


def parents(node: dict[str, Any]) -> list[tuple[Steps, str]]:
    """Names of the rows that feed one, and where they stand in it; the preferred first."""
    parent, feeds = raw.text(node, "parent"), node.get("feeds")
    found: list[tuple[Steps, str]] = [] if parent is None else [(("parent",), parent)]
    for slot, feed in enumerate(feeds if isinstance(feeds, list) else []):
        if isinstance(feed, str):
            found.append((("feeds", slot), feed))
    return found


def _roots(document: Document, rows: list[tuple[Steps, dict[str, Any]]]) -> None:
    roots = [
        (path, node)
        for path, node in rows
        if node.get("parent") is None and node.get("feeds") is None
    ]
    if not roots:
        # Where every row has a parent there is a cycle or a parent that is missing.
        document.add(("facility",), "no row without `parent`: one site must be the top")
        return
    top = raw.text(roots[0][1], "name")
    for path, _ in roots[1:]:
        document.add(path, f"has no `parent`, but '{top}' is the top already", "name its parent")
    path, node = roots[0]
    kind = raw.text(node, "kind")
    if kind in LEVELS and kind != "site":
        document.add((*path, "kind"), f"the top must be a site, not a {kind}")
    count = raw.number(node, "count", 1)
    if count is not None and count > 1:
        document.add((*path, "count"), "there is one site; rows, racks and servers may be many")


def _parent(
    document: Document,
    path: Steps,
    node: dict[str, Any],
    parent: str,
    by_name: dict[str, tuple[Steps, dict[str, Any]]],
    cyclic: set[str],
) -> None:
    name = raw.text(node, "name")
    if parent not in by_name:
        others = [other for other in by_name if other != name]
        unknown(document, path, "facility row", parent, others)
        return
    above, below = raw.text(by_name[parent][1], "kind"), raw.text(node, "kind")
    if name in cyclic or parent in cyclic or above not in LEVELS or below not in LEVELS:
        return
    if above == below == "branch" or not _ordered(above, below):
        hint = "the order is " + ", ".join(LEVELS)
        document.add(path, f"a {below} cannot stand under a {above} ('{parent}')", hint)
        return
    # A branch has room for much: what stands above it counts too.
    while above == "branch":
        ups = parents(by_name[parent][1])
        if not ups or ups[0][1] not in by_name:
            return
        parent = ups[0][1]
        above = raw.text(by_name[parent][1], "kind")
        if above in LEVELS and not _ordered(above, below):
            hint = "the order is " + ", ".join(LEVELS)
            document.add(path, f"a {below} cannot stand under a {above} ('{parent}')", hint)


def _ordered(above: str, below: str) -> bool:
    """Whether one kind may stand somewhere under another."""
    if above == below:
        return above in MANY
    return LEVELS[above][0] <= LEVELS[below][1]


def _cycles(document: Document, by_name: dict[str, tuple[Steps, dict[str, Any]]]) -> set[str]:
    """Add each cycle once; returns the names that stand in one."""
    done: set[str] = set()
    cyclic: set[str] = set()
    for start in by_name:
        trail: list[str] = []
        ways = [iter([start])]
        while ways:  # depth first, by hand: tables may be long
            name = next((up for up in ways[-1] if up in by_name and up not in done), None)
            if name is None:
                ways.pop()
                if trail:
                    done.add(trail.pop())
            elif name in trail:
                cycle = [*trail[trail.index(name) :], name]
                path, node = by_name[name]
                at = next(at for at, up in parents(node) if up == cycle[1])
                message = "the parents form a cycle: " + " -> ".join(cycle)
                document.add((*path, *at), message)
                cyclic.update(cycle)
            else:
                trail.append(name)
                ways.append(iter([up for _, up in parents(by_name[name][1])]))
    return cyclic


def _groups(document: Document, rows: list[tuple[Steps, dict[str, Any]]]) -> None:
    groups = {
        name: path
        for path, group in raw.items(document, "servers")
        if (name := raw.text(group, "name")) is not None
    }
    placed: set[str] = set()
    unsure = False
    for path, node in rows:
        kind, group = raw.text(node, "kind"), raw.text(node, "group")
        if kind == "server" and node.get("group") is None:
            unsure = True
            message = "a server needs a `group`"
            document.add(path, message, "one of " + ", ".join(groups) if groups else "")
        if kind in LEVELS and kind != "server" and node.get("group") is not None:
            document.add((*path, "group"), f"only servers have a group, and this is a {kind}")
        if group is not None:
            placed.add(group)
            if group not in groups:
                unsure = True
                unknown(document, (*path, "group"), "server group", group, groups)
    for name, path in groups.items():
        if name not in placed and not unsure:  # a misspelt group is one problem, not two
            hint = "add a row of kind server with this group"
            document.add(path, f"the group '{name}' is nowhere in the facility", hint)


def _copies(document: Document, rows: list[tuple[Steps, dict[str, Any]]]) -> None:
    """Copies are called `name-1`, `name-2`, ...: no sibling may have such a name."""
    for _, node in rows:
        count, name = raw.number(node, "count", 1), raw.text(node, "name")
        if count is None or count < 2 or name is None:
            continue
        for path, other in rows:
            match = re.fullmatch(re.escape(name) + r"-([1-9]\d*)", raw.text(other, "name") or "")
            same_parent = parents(other)[:1] == parents(node)[:1]
            if match and int(match[1]) <= count and (same_parent or not parents(other)):
                document.add(
                    (*path, "name"),
                    f"'{match[0]}' is also the name of copy {match[1]} of '{name}'",
                    "choose another name",
                )
