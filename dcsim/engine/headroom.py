"""How many watts are left above each replica: the signal of power-aware routing."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.plant.topology import Topology


class Headroom:
    """Rating less load of the node that counts for each replica: its row, or where the row has
    no rating the nearest node above it that has, or else the nearest above its server.
    """

    def __init__(self, topology: Topology, server_index: IntArray) -> None:
        """`server_index`: the server of each replica, shape (replicas,)."""
        nodes = [_feed(topology, int(topology.server_nodes[server])) for server in server_index]
        self._nodes, numbers = np.unique(nodes, return_inverse=True)
        self.feeds: list[int] = numbers.tolist()
        """Number of each replica's feed."""
        rated = self._rated = self._nodes >= 0
        self._rating_w = np.where(rated, topology.rating_w[self._nodes], np.inf)
        self._node_w_at = np.where(rated, self._nodes, 0)

    def names(self, topology: Topology) -> list[str | None]:
        """Each feed's node; None for replicas under no rated node."""
        return [topology.names[node] if node >= 0 else None for node in self._nodes]

    def step(self, node_w: FloatArray) -> list[float]:
        """Watts left at each feed; infinite without a rating, minus infinity where the load is
        no number: what is not known to have room gets no preference."""
        left_w = self._rating_w - np.where(self._rated, node_w[self._node_w_at], 0.0)
        left_w[np.isnan(left_w)] = -np.inf
        watts: list[float] = left_w.tolist()
        return watts


def _feed(topology: Topology, server: int) -> int:
    """The node of a server's feed, or -1."""
    above = []
    node = int(topology.parent_index[server])
    while node >= 0:
        above.append(node)
        node = int(topology.parent_index[node])
    row = next((at for at, node in enumerate(above) if topology.kinds[node] == "row"), 0)
    rated = [node for node in above[row:] + above if np.isfinite(topology.rating_w[node])]
    return rated[0] if rated else -1
