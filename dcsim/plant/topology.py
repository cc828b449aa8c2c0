"""The site's one-line diagram: a networkx graph to look at, arrays to step with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import networkx as nx
import numpy as np
from scipy import sparse

from dcsim.arrays import FloatArray, IntArray
from dcsim.scenario.expand import Row, expand, named
from dcsim.scenario.models import FacilityNode
from dcsim.scenario.models.site import KINDS

__all__ = ["KINDS", "LINES", "PAIRS", "Topology", "line_name"]

LINES = ("L1", "L2", "L3")
PAIRS = ("L1-L2", "L2-L3", "L3-L1")


class Topology:
    """The expanded diagram. Nodes are ordered kind by kind, the site first, servers last.

    A node hangs from one parent or, with `feeds`, from several. By preferred feeds alone it is a
    tree, in which the servers under any node are neighbours: while nothing else is there, a
    level's loads are one segmented sum.

    Attributes: `graph` (DiGraph, edges from feeder to fed, with `slot`: 0 for the preferred), and
    in node order `names`, `kinds`, `specs` (the table rows they come from), `rating_w` (NaN where
    unknown), `feeds` (shape (nodes, most feeds), -1 where there is none) and `parent_index`, its
    first column. `server_groups` is in server order.
    """

    def __init__(self, graph: nx.DiGraph[str], root: str) -> None:
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
            preferred = [c for c, edge in graph.adj[name].items() if edge["slot"] == 0]
            stack.extend((child, False) for child in reversed(preferred))
        self.names: list[str] = [name for kind in KINDS for name in by_kind[kind]]
        self.index = {name: i for i, name in enumerate(self.names)}
        self.kinds: list[str] = [graph.nodes[name]["kind"] for name in self.names]
        self.specs: list[FacilityNode] = [graph.nodes[name]["spec"] for name in self.names]
        self.rating_w = np.array([graph.nodes[name]["rating_w"] for name in self.names])
        feeds = [
            sorted(
                (edge["slot"], self.index[up]) for up, _, edge in graph.in_edges(name, data=True)
            )
            for name in self.names
        ]
        self.feeds = np.full((len(feeds), max(1, *map(len, feeds))), -1, dtype=np.int64)
        for node, ups in enumerate(feeds):
            self.feeds[node, : len(ups)] = [up for _, up in ups]
        self.parent_index = self.feeds[:, 0].copy()
        self.is_tree = self.feeds.shape[1] == 1
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
        self.apparent_va = np.array([spec.apparent_rating_va or np.nan for spec in self.specs])
        """Ratings in VA, NaN where there is none."""
        # Rated in VA only, a node may carry that many watts at the poorest power factor below it.
        for node in np.flatnonzero(np.isnan(self.rating_w) & ~np.isnan(self.apparent_va)).tolist():
            below = [self.specs[self.server_nodes[s]] for s in self.servers_under(self.names[node])]
            poorest = min((spec.power_factor or 1.0 for spec in below), default=1.0)
            self.rating_w[node] = self.apparent_va[node] * poorest

    @classmethod
    def build(cls, nodes: Sequence[FacilityNode]) -> Topology:
        """Expand a scenario's facility table, already validated (one site, no cycles)."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        root = ""
        for copy in expand([Row(node.name, node.count, node.above) for node in nodes]):
            spec = nodes[copy.row]
            rating_w = float("nan") if spec.rating_w is None else spec.rating_w
            graph.add_node(
                copy.name, kind=spec.kind, rating_w=rating_w, group=spec.group, spec=spec
            )
            graph.add_edges_from(
                (up, copy.name, {"slot": slot}) for slot, up in enumerate(copy.above)
            )
            root = root or copy.name
        return cls(graph, root)

    def sum_loads(self, server_w: FloatArray) -> FloatArray:
        """Watts of every node from those of the servers: shape (servers,) in, (nodes,) out,
        while all feeds live and without losses. The result is reused by the next call."""
        if not self.is_tree:
            by_node_w: FloatArray = self._shares @ server_w
            return by_node_w
        node_w = self._node_w
        inner = self._inner
        self._padded_w[:-1] = server_w
        node_w[:inner] = np.add.reduceat(self._padded_w, self._bounds)[::2]
        if len(self._empty):
            node_w[self._empty] = 0.0
        node_w[inner:] = server_w
        return node_w

    def find(self, name: str) -> int:
        """Index of the node of this name, or of the only one whose last steps it is, as `ups-b` is
        of `utility-b/ups-b`. Raises KeyError."""
        matches = named(self.names, name)
        if len(matches) != 1:
            raise KeyError(name)
        return self.index[matches[0]]

    def servers_under(self, name: str) -> IntArray:
        """Indices, in server order, of the servers that hang from a node by any of their feeds.
        Raises KeyError."""
        node = self.index[name]
        if not self.is_tree:
            first, last = self._reach.indptr[node : node + 2]
            servers: IntArray = self._reach.indices[first:last]
            return servers
        first, last = self._ranges[node]
        return np.arange(first, last)

    def above(self, node: int) -> list[int]:
        """Nodes from a node's preferred feed up to the site, by preferred feeds."""
        path = []
        up = int(self.parent_index[node])
        while up >= 0:
            path.append(up)
            up = int(self.parent_index[up])
        return path

    @cached_property
    def line(self) -> IntArray:
        """The line of each node: -1 where three-phase, 0 to 2 on one line, 3 to 5 on a pair.

        What hangs from such a node is on its line or pair. `auto` deals the nodes of one parent
        out in turn.
        """
        line = np.full(len(self.names), -1, dtype=np.int64)
        if not any(spec.phases in (1, 2) for spec in self.specs):
            return line
        dealt: dict[tuple[int, int], int] = {}
        for name in nx.lexicographical_topological_sort(self.graph, key=self.index.__getitem__):
            node = self.index[name]
            spec = self.specs[node]
            up = int(self.parent_index[node])
            if up >= 0 and line[up] >= 0:
                line[node] = line[up]
            elif spec.phases in (1, 2):
                names, first = (LINES, 0) if spec.phases == 1 else (PAIRS, 3)
                if spec.phase in names:
                    line[node] = first + names.index(spec.phase)
                else:
                    line[node] = first + dealt.get((up, first), 0) % 3
                    dealt[up, first] = dealt.get((up, first), 0) + 1
        return line

    @cached_property
    def _shares(self) -> sparse.csr_matrix:
        """What each node carries of each server, (nodes, servers), while all feeds live."""
        weight = np.zeros(self.feeds.shape)
        for node, spec in enumerate(self.specs):
            count = int((self.feeds[node] >= 0).sum())
            if count:
                shared = spec.transfer == "share"
                weight[node, : count if shared else 1] = 1.0 / count if shared else 1.0
        return self.carried(weight)

    @cached_property
    def _reach(self) -> sparse.csr_matrix:
        """Which servers hang from each node, by any feed."""
        reach = self.carried((self.feeds >= 0).astype(float))
        reach.sort_indices()
        return reach

    def carried(self, weight: FloatArray) -> sparse.csr_matrix:
        """Watts of each node for a watt of each server, shape (nodes, servers), where each feed
        carries the `weight`, shaped as `feeds`, of its node's load. Lossless."""
        nodes = len(self.names)
        child, slot = np.nonzero((self.feeds >= 0) & (weight > 0))
        edges = (self.feeds[child, slot], child)
        up = sparse.csr_matrix((weight[child, slot], edges), shape=(nodes, nodes))
        ones = (np.ones(self.server_count), (self.server_nodes, np.arange(self.server_count)))
        level = total = sparse.csr_matrix(ones, shape=(nodes, self.server_count))
        while level.nnz:
            level = up @ level
            total = total + level
        return total.tocsr()

    def by_depth(self) -> list[IntArray]:
        """Node indices by their longest way from the site: what feeds a node comes before it."""
        return self._generations(self.graph)

    def by_height(self) -> list[IntArray]:
        """Node indices by their longest way down: what a node feeds comes before it."""
        return self._generations(self.graph.reverse(copy=False))

    def _generations(self, graph: nx.DiGraph[str]) -> list[IntArray]:
        return [
            np.array(sorted(self.index[name] for name in names), dtype=np.int64)
            for names in nx.topological_generations(graph)
        ]

    def level(self, kind: str) -> IntArray:
        """Node indices of one kind."""
        return np.array([i for i, k in enumerate(self.kinds) if k == kind], dtype=np.int64)


def line_name(line: int) -> str | None:
    """`L1` to `L3`, `L1-L2` to `L3-L1`, or None for three-phase nodes (see `Topology.line`)."""
    return None if line < 0 else (*LINES, *PAIRS)[line]
