"""The facility's form: one tree from a site down to servers, every group placed."""

from __future__ import annotations

import re
from typing import Any

from dcsim.scenario import raw
from dcsim.scenario.catalogue import load_catalogue
from dcsim.scenario.checks import unique, unknown
from dcsim.scenario.document import Document, Steps

DEPTH = {"site": 0, "row": 1, "rack": 2, "server": 3}
"""Kinds from the top down; levels may be left out, not swapped."""


def check(document: Document) -> None:
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
        _parent(document, path, node, by_name, cyclic)
        _breaker(document, path, node)
    _groups(document, rows)
    _copies(document, rows)


def _roots(document: Document, rows: list[tuple[Steps, dict[str, Any]]]) -> None:
    roots = [(path, node) for path, node in rows if node.get("parent") is None]
    if not roots:
        # Where every row has a parent there is a cycle or a parent that is missing.
        document.add(("facility",), "no row without `parent`: one site must be the top")
        return
    top = raw.text(roots[0][1], "name")
    for path, _ in roots[1:]:
        document.add(path, f"has no `parent`, but '{top}' is the top already", "name its parent")
    path, node = roots[0]
    kind = raw.text(node, "kind")
    if kind in DEPTH and kind != "site":
        document.add((*path, "kind"), f"the top must be a site, not a {kind}")
    count = raw.number(node, "count", 1)
    if count is not None and count > 1:
        document.add((*path, "count"), "there is one site; rows, racks and servers may be many")


def _parent(
    document: Document,
    path: Steps,
    node: dict[str, Any],
    by_name: dict[str, tuple[Steps, dict[str, Any]]],
    cyclic: set[str],
) -> None:
    name, parent = raw.text(node, "name"), raw.text(node, "parent")
    if parent is None:
        return
    if parent not in by_name:
        others = [other for other in by_name if other != name]
        unknown(document, (*path, "parent"), "facility row", parent, others)
        return
    above, below = raw.text(by_name[parent][1], "kind"), raw.text(node, "kind")
    if name in cyclic or above not in DEPTH or below not in DEPTH:
        return
    if DEPTH[above] >= DEPTH[below]:
        document.add(
            (*path, "parent"),
            f"a {below} cannot stand under a {above} ('{parent}')",
            "the order is site, row, rack, server",
        )


def _breaker(document: Document, path: Steps, node: dict[str, Any]) -> None:
    breaker = raw.block(node, "breaker")
    curves = load_catalogue().curves
    curve = raw.text(breaker, "curve")
    if curve is not None and curve not in curves:
        unknown(document, (*path, "breaker", "curve"), "time-current curve", curve, curves)
    protected = isinstance(node.get("breaker"), dict)
    if protected and node.get("rating") is None and breaker.get("rating") is None:
        message = "has no rating, and neither has its node"
        document.add((*path, "breaker"), message, "give `rating` to one of them")


def _cycles(document: Document, by_name: dict[str, tuple[Steps, dict[str, Any]]]) -> set[str]:
    """Add each cycle once; returns the names that stand in one."""
    done: set[str] = set()
    cyclic: set[str] = set()
    for start in by_name:
        trail: list[str] = []
        name: str | None = start
        while name is not None and name in by_name and name not in done and name not in trail:
            trail.append(name)
            name = raw.text(by_name[name][1], "parent")
        if name in trail:
            cycle = [*trail[trail.index(name) :], name]
            path = by_name[name][0]
            document.add((*path, "parent"), "the parents form a cycle: " + " -> ".join(cycle))
            cyclic.update(cycle)
        done.update(trail)
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
        if kind in DEPTH and kind != "server" and node.get("group") is not None:
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
            same_parent = raw.text(other, "parent") == raw.text(node, "parent")
            if match and int(match[1]) <= count and (same_parent or other.get("parent") is None):
                document.add(
                    (*path, "name"),
                    f"'{match[0]}' is also the name of copy {match[1]} of '{name}'",
                    "choose another name",
                )
