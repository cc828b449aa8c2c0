"""The form of the facility: one tree, in order, with every group placed."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.scenario.models.site import KINDS, LEVELS, Kind
from tests.scenario.sample import edited, line_of, only, problems


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ([("parent: site", "parent: rack")], "facility.1.parent", "row -> rack -> row"),
        ([("parent: row", "parent: rack")], "facility.2.parent", "rack -> rack"),
        ([("parent: rack", "parent: site2")], "facility.3.parent", "no facility row 'site2'"),
        ([("kind: rack", "kind: row")], "facility.2.parent", "a row cannot stand under a row"),
        ([("    parent: site\n", "")], "facility.1", "'site' is the top already"),
        ([("kind: site", "kind: row"), ("kind: row", "kind: rack")], "facility.0.kind", "not a r"),
        ([("kind: site", "kind: site\n    count: 2")], "facility.0.count", "there is one site"),
        ([("    group: a100\n", "")], "facility.3", "a server needs a `group`"),
        (
            [("    count: 2\n", "    group: a100\n")],
            "facility.2.group",
            "only servers have a group",
        ),
        ([("name: row", "name: rack-2"), ("parent: row", "parent: rack-2")], None, ""),
        (
            [("kind: site\n", "kind: site\n    parent: row\n")],
            "facility",
            "no row without `parent`",
        ),
    ],
)
def test_broken_trees(changes: list[tuple[str, str]], path: str | None, message: str) -> None:
    found = problems(edited(*changes))
    if path is None:  # `rack-2` beside the racks is another level's name: allowed
        assert found == []
        return
    assert [message in p.message for p in found if p.path == path] == [True], found


def test_a_group_that_is_nowhere() -> None:
    group = "  - name: spare\n    server: dgx-h100\n    model: llama-3-8b\n    tensor_parallel: 1\n"
    text = edited(("facility:\n", group + "facility:\n"))
    problem = only(text)
    assert (problem.path, problem.line) == ("servers.1", line_of(text, "name: spare"))


def test_copies_must_not_share_a_name() -> None:
    twin = "  - name: rack-2\n    kind: rack\n    parent: row\n"
    text = edited(("  - name: server", twin + "  - name: server"))
    problem = only(text)
    assert problem.path == "facility.3.name"
    assert "copy 2 of 'rack'" in problem.message
    assert problems(text.replace("rack-2", "rack-3")) == []


def test_levels_may_be_skipped() -> None:
    assert problems(edited(("parent: rack", "parent: row"))) == []
    assert problems(edited(("parent: rack", "parent: site"))) == []


@settings(max_examples=60, deadline=None)
@given(length=st.integers(2, 6), entry=st.integers(0, 5), tail=st.integers(0, 3))
def test_every_cycle_is_named_once_as_a_closed_path(length: int, entry: int, tail: int) -> None:
    """A ring of racks with a tail that leads into it."""
    ring = [f"r{i}" for i in range(length)]
    rows = [(name, ring[(i + 1) % length]) for i, name in enumerate(ring)]
    above = ring[entry % length]
    for i in range(tail):
        rows.insert(0, (f"t{i}", above))
        above = f"t{i}"
    text = edited(
        (
            "  - name: server",
            "".join(f"  - name: {n}\n    kind: rack\n    parent: {p}\n" for n, p in rows)
            + "  - name: server",
        )
    )
    cycles = [p for p in problems(text) if "cycle" in p.message]
    assert len(cycles) == 1
    path = cycles[0].message.split(": ")[1].split(" -> ")
    assert path[0] == path[-1]
    assert sorted(path[:-1]) == sorted(ring)
    parents = dict(rows)
    assert all(parents[a] == b for a, b in pairwise(path))


def test_each_kind_of_node_has_a_place_in_the_order() -> None:
    """Feeders come before what they may feed: whoever walks `KINDS` meets a parent first."""
    assert list(KINDS) == list(get_args(Kind))
    for earlier, later in pairwise(KINDS):
        assert LEVELS[earlier][0] <= LEVELS[later][1]
    assert all(first <= last for first, last in LEVELS.values())
