"""The tree: names, sums and views, on random trees and by hand."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.plant.topology import KINDS, Topology
from dcsim.scenario.models import FacilityNode


def node(name: str, kind: str, parent: str | None = None, **keys: object) -> FacilityNode:
    return FacilityNode.model_validate({"name": name, "kind": kind, "parent": parent, **keys})


def site(*rows: FacilityNode) -> Topology:
    return Topology.build([node("site", "site", rating="1 MW"), *rows])


@st.composite
def tables(draw: st.DrawFn) -> list[FacilityNode]:
    """Facility tables in any order: levels may be left out, nodes may be without servers."""
    rows = [node("site", "site")]
    for number in range(draw(st.integers(0, 7))):
        parents = [row for row in rows if row.kind != "server"]
        parent = draw(st.sampled_from(parents))
        kind = draw(st.sampled_from(KINDS[KINDS.index(parent.kind) + 1 :]))
        rows.append(node(f"n{number}", kind, parent.name, count=draw(st.integers(1, 3))))
    return draw(st.permutations(rows))


@settings(deadline=None)
@given(tables(), st.integers(0, 2**32 - 1))
def test_every_parent_is_the_sum_of_its_children(rows: list[FacilityNode], seed: int) -> None:
    topology = Topology.build(rows)
    server_w = np.random.default_rng(seed).uniform(0, 1e4, topology.server_count)
    node_w = topology.sum_loads(server_w)
    assert np.array_equal(node_w[topology.server_nodes], server_w)
    below_w = np.zeros(len(node_w))
    inner = topology.parent_index >= 0
    np.add.at(below_w, topology.parent_index[inner], node_w[inner])
    upper = np.array(topology.kinds) != "server"
    assert node_w[upper] == pytest.approx(below_w[upper], rel=1e-12, abs=0)


@settings(deadline=None)
@given(tables())
def test_the_arrays_say_what_the_graph_says(rows: list[FacilityNode]) -> None:
    topology = Topology.build(rows)
    graph = topology.graph
    assert nx.is_arborescence(graph)
    assert set(topology.names) == set(graph)
    assert len(topology.names) == len(graph)
    order = [KINDS.index(kind) for kind in topology.kinds]
    assert order == sorted(order)
    assert topology.parent_index[0] == -1
    for index, name in enumerate(topology.names):
        if index:
            parent = topology.names[topology.parent_index[index]]
            assert graph.has_edge(parent, name)
        servers = {topology.names[topology.server_nodes[i]] for i in topology.servers_under(name)}
        below = nx.descendants(graph, name) | {name}
        assert servers == {n for n in below if graph.nodes[n]["kind"] == "server"}
    assert sum(len(topology.level(kind)) for kind in KINDS) == len(topology.names)


@settings(deadline=None)
@given(tables())
def test_copies_multiply_down_the_tree(rows: list[FacilityNode]) -> None:
    topology = Topology.build(rows)
    by_name = {row.name: row for row in rows}

    def copies(row: FacilityNode) -> int:
        return row.count * (copies(by_name[row.parent]) if row.parent else 1)

    for row in rows:
        made = [spec for spec in topology.specs if spec.name == row.name]
        assert len(made) == copies(row)


def test_names_are_paths_below_the_site_numbered_where_there_are_several() -> None:
    topology = site(
        node("row", "row", "site", count=2),
        node("rack", "rack", "row", count=2),
        node("server", "server", "rack", count=2, group="a"),
        node("spare", "rack", "site"),
        node("box", "server", "spare", group="b"),
    )
    assert topology.names == [
        "site",
        "row-1",
        "row-2",
        "row-1/rack-1",
        "row-1/rack-2",
        "row-2/rack-1",
        "row-2/rack-2",
        "spare",
        "row-1/rack-1/server-1",
        "row-1/rack-1/server-2",
        "row-1/rack-2/server-1",
        "row-1/rack-2/server-2",
        "row-2/rack-1/server-1",
        "row-2/rack-1/server-2",
        "row-2/rack-2/server-1",
        "row-2/rack-2/server-2",
        "spare/box",
    ]
    assert topology.server_groups == ["a"] * 8 + ["b"]
    assert topology.servers_under("row-2").tolist() == [4, 5, 6, 7]
    assert topology.servers_under("row-2/rack-1/server-2").tolist() == [5]
    assert topology.level("rack").tolist() == [3, 4, 5, 6, 7]
    with pytest.raises(KeyError):
        topology.servers_under("row-3")


def test_a_single_row_keeps_its_bare_name() -> None:
    topology = site(node("row", "row", "site"), node("rack", "rack", "row", count=3))
    assert topology.names == ["site", "row", "row/rack-1", "row/rack-2", "row/rack-3"]


def test_sums_by_hand_with_an_empty_rack_between() -> None:
    topology = site(
        node("a", "rack", "site"),
        node("s", "server", "a", count=2, group="g"),
        node("empty", "rack", "site"),
        node("b", "rack", "site"),
        node("t", "server", "b", group="g"),
        node("last", "rack", "site"),
    )
    node_w = topology.sum_loads(np.array([1.0, 20.0, 300.0]))
    loads = dict(zip(topology.names, node_w.tolist(), strict=True))
    assert loads == {
        "site": 321.0, "a": 21.0, "empty": 0.0, "b": 300.0, "last": 0.0,
        "a/s-1": 1.0, "a/s-2": 20.0, "b/t": 300.0,
    }  # fmt: skip


def test_ratings_unknown_are_nan_never_zero() -> None:
    topology = site(node("rack", "rack", "site"), node("row", "row", "site", rating="90 kW"))
    assert topology.names == ["site", "row", "rack"]
    assert topology.rating_w[:2].tolist() == [1e6, 9e4]
    assert np.isnan(topology.rating_w[2])


def test_a_lone_server_is_a_site() -> None:
    topology = Topology.build([node("box", "server", group="g")])
    assert topology.sum_loads(np.array([5.0])).tolist() == [5.0]
    assert topology.servers_under("box").tolist() == [0]
