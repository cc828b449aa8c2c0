"""How many watts are left above each replica: the signal of power-aware routing."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.plant import Plant


class Headroom:
    """Rating less load of each node whose headroom counts for some replica."""

    def __init__(self, plant: Plant) -> None:
        nodes = self.nodes = plant.headroom_feeds()[0]
        """Indices of those nodes; -1 where replicas hang from no rated node."""
        self._rated = nodes >= 0
        self._rating_w = np.where(self._rated, plant.nodes.rating_w[nodes], np.inf)
        self._node_w_at = np.where(self._rated, nodes, 0)

    def step(self, node_w: FloatArray) -> list[float]:
        """Watts left at each of the nodes.

        Infinite without a rating, minus infinity where the load is unknown (NaN): what is not
        known to have room gets no preference.
        """
        left_w = self._rating_w - np.where(self._rated, node_w[self._node_w_at], 0.0)
        left_w[np.isnan(left_w)] = -np.inf
        watts: list[float] = left_w.tolist()
        return watts
