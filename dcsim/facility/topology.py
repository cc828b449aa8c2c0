"""The site's power tree: a networkx graph to look at, arrays to step with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import numpy.typing as npt

from dcsim.scenario.models import FacilityNode

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("site", "row", "rack", "server")
"""From the top down; a level may be left out."""


class Topology:
    """The expanded tree. Nodes are ordered level by level, the site first, servers last; the
    servers under any node are neighbours, so that a level's loads are one segmented sum.

    Attributes: `graph` (DiGraph, edges from parent to child), and in node order `names`,
    `kinds`, `specs` (the table rows they come from), `rating_w` (NaN where unknown) and
    `parent_index` (-1 for the site). `server_groups` is in server order.
    """

    def __init__(self, graph: nx.DiGraph, root: str) -> None:
        self.graph = graph
        servers_of: dict[str, tuple[int, int]] = {}
        by_kind: dict[str, list[str]] = {kind: [] for kind in KINDS}
        server_count = 0
        # Depth first, so that every node's servers get consecutive numbers.
        stack: list[tuple[str, bool]] = [(root, False)]
        first_server: dict[str, int] = {}
        while stack:
            name, done = stack.pop()
            if done:
                servers_of[name] = (first_server[name], server_count)
                continue
            by_kind[graph.nodes[name]["kind"]].append(name)
            first_server[name] = server_count
            if graph.nodes[name]["kind"] == "server":
                server_count += 1
                servers_of[name] = (server_count - 1, server_count)
                continue
            stack.append((name, True))
            stack.extend((child, False) for child in reversed(list(graph.successors(name))))
        self.names: list[str] = [name for kind in KINDS for name in by_kind[kind]]
        self.index = {name: i for i, name in enumerate(self.names)}
        self.kinds: list[str] = [graph.nodes[name]["kind"] for name in self.names]
        self.specs: list[FacilityNode] = [graph.nodes[name]["spec"] for name in self.names]
        self.rating_w = np.array([graph.nodes[name]["rating_w"] for name in self.names])
        parents = [next(graph.predecessors(name), None) for name in self.names]
        self.parent_index = np.array(
            [-1 if parent is None else self.index[parent] for parent in parents], dtype=np.int64
        )
        self.server_count = server_count
        self.server_nodes = np.arange(len(self.names) - server_count, len(self.names))
        self.server_groups = [str(self.specs[i].group) for i in self.server_nodes]
        self._ranges = [servers_of[name] for name in self.names]
        inner = self._ranges[: len(self.names) - server_count]
        # Each pair of bounds yields the wanted sum and, at odd places, one to throw away. The
        # extra zero at the end keeps the last bound inside the array.
        self._bounds = np.array([bound for pair in inner for bound in pair], dtype=np.int64)
        self._inner = len(inner)
        self._empty = np.flatnonzero([first == last for first, last in inner])
        self._padded_w = np.zeros(server_count + 1)
        self._node_w = np.zeros(len(self.names))

    @classmethod
    def build(cls, nodes: Sequence[FacilityNode]) -> Topology:
        """Expand a scenario's facility table, already validated (one site, no cycles)."""
        children: dict[str | None, list[FacilityNode]] = {}
        for node in nodes:
            children.setdefault(node.parent, []).append(node)
        graph: nx.DiGraph = nx.DiGraph()
        (root,) = children[None]
        for name, spec, parent in _expand(root, None, "", children):
            rating_w = float("nan") if spec.rating_w is None else spec.rating_w
            graph.add_node(name, kind=spec.kind, rating_w=rating_w, group=spec.group, spec=spec)
            if parent is not None:
                graph.add_edge(parent, name)
        return cls(graph, root.name)

    def sum_loads(self, server_w: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Watts of every node from those of the servers: shape (servers,) in, (nodes,) out.
        The result is reused by the next call."""
        node_w = self._node_w
        inner = self._inner
        self._padded_w[:-1] = server_w
        node_w[:inner] = np.add.reduceat(self._padded_w, self._bounds)[::2]
        if len(self._empty):
            node_w[self._empty] = 0.0
        node_w[inner:] = server_w
        return node_w

    def servers_under(self, name: str) -> npt.NDArray[np.int64]:
        """Indices, in server order, of the servers fed through a node. Raises KeyError."""
        first, last = self._ranges[self.index[name]]
        return np.arange(first, last)

    def level(self, kind: str) -> npt.NDArray[np.int64]:
        """Node indices of one kind."""
        return np.array([i for i, k in enumerate(self.kinds) if k == kind], dtype=np.int64)

    def to_frame(self) -> pd.DataFrame:
        """The tree as a table: one row a node, parent by name, rating in W, servers below."""
        import pandas as pd

        return pd.DataFrame(
            {
                "kind": self.kinds,
                "parent": [self.names[i] if i >= 0 else None for i in self.parent_index],
                "rating_w": self.rating_w,
                "servers": [last - first for first, last in self._ranges],
            },
            index=pd.Index(self.names, name="node"),
        )


def _expand(
    spec: FacilityNode,
    parent: str | None,
    prefix: str,
    children: dict[str | None, list[FacilityNode]],
) -> Iterator[tuple[str, FacilityNode, str | None]]:
    for number in range(1, spec.count + 1):
        own = spec.name if spec.count == 1 else f"{spec.name}-{number}"
        name = prefix + own
        yield name, spec, parent
        below = "" if parent is None else f"{name}/"
        for child in children.get(spec.name, []):
            yield from _expand(child, name, below, children)
