"""The cooling plant as a load of the site: which nodes feed it, and whether it has power."""

from __future__ import annotations

import networkx as nx
import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.cooling import CoolingLaw
from dcsim.facility.supply import Supply
from dcsim.plant.topology import Topology
from dcsim.scenario.models import Cooling

SOURCES = ("utility", "transformer")
"""Kinds of nodes that the plant hangs from where nothing is said: the lowest of these."""


class CoolingLoad:
    """Splits the plant's draw over the nodes that feed it.

    Where the scenario gives shares they hold among those nodes that have power; else the draw is
    split as the IT load is among them, or evenly where there is none: so on a 2N site the survivor
    takes all of it. Without power at any of them the plant stands still.
    """

    def __init__(
        self, topology: Topology, spec: Cooling, supply: Supply, clock_s: float | None = None
    ) -> None:
        """`clock_s`: time of day at which the run starts, for the weather. Raises KeyError for
        an unknown node, SeriesError for a weather file."""
        self.cooling = CoolingLaw(spec, clock_s)
        self._topology = topology
        self._supply = supply
        named = spec.feeds
        nodes = [topology.find(name) for name in named] if named else cooling_nodes(topology)
        self.nodes = np.array(nodes, dtype=np.int64)
        stated = [share for share in (named or {}).values() if share is not None]
        self._stated = np.array(stated) if stated else None
        self.lost = False
        """Whether it had no power in the last step, with something to cool."""
        self.rewire()

    @property
    def runs(self) -> bool:
        """Whether there is any cooling to count."""
        return self.cooling.runs

    def rewire(self) -> None:
        """Feeds have changed."""
        self._live = self._supply.energised[self.nodes]
        if self.runs and len(self.nodes) > 1 and self._stated is None:
            self._carried = self._topology.carried(self._supply.weight)[self.nodes]

    def load(self, now_s: float, server_w: FloatArray, own_w: FloatArray) -> None:
        """Put what the plant draws while servers draw `server_w` into `own_w`, in node order."""
        it_w = float(server_w.sum())
        self.lost = not self._live.any() and it_w > 0.0
        own_w[self.nodes] = self.cooling.load_w(now_s, it_w) * self._shares(server_w)

    def _shares(self, server_w: FloatArray) -> FloatArray:
        live = self._live.astype(np.float64)
        if len(live) == 1 or not live.any():
            return live
        weight = self._stated if self._stated is not None else self._carried @ server_w
        weight = weight * live
        total = weight.sum()
        shares: FloatArray = weight / total if total > 0.0 else live / live.sum()
        return shares


def cooling_nodes(topology: Topology) -> list[int]:
    """The lowest utilities and transformers, in node order; the site where there are none."""
    sources = [node for node, kind in enumerate(topology.kinds) if kind in SOURCES]
    names = {topology.names[node] for node in sources}
    above: set[str] = set()
    for name in names:
        above |= nx.ancestors(topology.graph, name)
    return [node for node in sources if topology.names[node] not in above] or [0]


class Pue:
    """Energy of a site over that of its servers, while its plant had power.

    What the plant does not draw because it stands still is no saving: those times are left out.
    """

    def __init__(self) -> None:
        self._uncooled_j = self._uncooled_it_j = 0.0
        self._used_j = self._it_j = 0.0
        self.uncooled_s = 0.0

    def step(self, used_j: float, it_j: float, step_s: float, lost: bool) -> None:
        """Take a step in: energies since the start, and whether the plant stood still."""
        if lost:
            self.uncooled_s += step_s
            self._uncooled_j += used_j - self._used_j
            self._uncooled_it_j += it_j - self._it_j
        self._used_j, self._it_j = used_j, it_j

    @property
    def value(self) -> float | None:
        """None where nothing was cooled, or nothing drawn."""
        it_j = self._it_j - self._uncooled_it_j
        return (self._used_j - self._uncooled_j) / it_j if it_j > 0.0 else None
