"""Which node's watts a power-aware router sees."""

from __future__ import annotations

import numpy as np

from dcsim.engine.headroom import Headroom
from dcsim.plant.topology import Topology
from dcsim.scenario.models import FacilityNode


def node(name: str, kind: str, parent: str | None, rating_w: float | None = None) -> FacilityNode:
    rating = None if rating_w is None else f"{rating_w} W"
    group = "g" if kind == "server" else None
    spec = {"name": name, "kind": kind, "parent": parent, "rating": rating, "group": group}
    return FacilityNode.model_validate(spec)


def tree(site_w: float | None = 1000.0) -> Topology:
    return Topology.build(
        [
            node("site", "site", None, site_w),
            node("rated", "row", "site", 300.0),
            node("bare", "row", "site"),
            node("rack-a", "rack", "rated", 90.0),
            node("rack-b", "rack", "bare", 80.0),
            node("rack-c", "rack", "site", 70.0),
            node("rack-d", "rack", "site"),
            *(node(f"server-{x}", "server", f"rack-{x}", 9.0) for x in "abcd"),
        ]
    )


def feeds(topology: Topology) -> dict[str, str | None]:
    """Each server's feed, by way of two replicas a server."""
    servers = np.arange(topology.server_count).repeat(2)
    headroom = Headroom(topology, servers)
    names = headroom.names(topology)
    return {
        topology.names[topology.server_nodes[server]].split("/")[-1]: names[feed]
        for server, feed in zip(servers, headroom.feeds, strict=True)
    }


def test_the_row_or_the_nearest_rated_node() -> None:
    assert feeds(tree()) == {
        "server-a": "rated",
        "server-b": "site",  # its row has no rating, so the next above
        "server-c": "rack-c",  # no row at all: the nearest above the server
        "server-d": "site",
    }
    assert feeds(tree(None)) == {
        "server-a": "rated",
        "server-b": "bare/rack-b",
        "server-c": "rack-c",
        "server-d": None,
    }


def test_unknown_ratings_and_loads_are_not_zero() -> None:
    topology = tree(None)
    headroom = Headroom(topology, np.arange(4))
    server_w = np.array([10.0, 20.0, np.nan, 40.0])
    left = headroom.step(topology.sum_loads(server_w))
    by_name = dict(zip(headroom.names(topology), left, strict=True))
    assert by_name == {
        "rated": 290.0,
        "bare/rack-b": 60.0,
        "rack-c": -np.inf,
        None: np.inf,
    }
