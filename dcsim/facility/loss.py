"""What the rest of a site would carry if a node were lost: loads redistributed, nothing played."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.facility.curves import curve_of, trip_time_s
from dcsim.facility.flow import Flow
from dcsim.facility.plant import Plant
from dcsim.facility.supply import Supply
from dcsim.facility.topology import Topology
from dcsim.scenario.catalogue import Catalogue
from dcsim.scenario.models import Cooling as CoolingSpec

FloatArray = npt.NDArray[np.float64]


class Loss:
    """The site without one node, transfers done. Batteries give nothing: they bridge the loss of a
    feed for minutes, and what is asked here is whether the site can go on without it."""

    def __init__(
        self, topology: Topology, catalogue: Catalogue, cooling: CoolingSpec, lost: int | None
    ) -> None:
        """`lost`: index of the node; None: the site as it is."""
        self._topology = topology
        self._catalogue = catalogue
        supply = Supply(topology)
        if lost is not None:
            supply.ok[lost] = False
        supply.update(0.0)
        if np.isfinite(after_s := supply.next_s(0.0)):
            supply.update(after_s + 1.0)
        self._supply = supply
        self._plant = Plant(topology, cooling, supply)
        self._flow = Flow(topology, supply, catalogue.losses, own_loads=self._plant.runs)
        self._flow.batteries.shave_above_w[:] = np.inf
        self.dark = ~supply.energised[topology.server_nodes]
        """Servers that have no power then, (servers,)."""

    def loads_w(self, now_s: float, server_w: FloatArray) -> FloatArray:
        """Loads of all nodes as their ratings feel them, (nodes,), if the servers that still have
        power draw what they do; reused by the next call."""
        drawn_w = np.where(self.dark, 0.0, server_w)
        if self._plant.runs:
            self._plant.load(now_s, drawn_w, self._flow.own_w)
        return self._flow.felt_w(self._flow.step(drawn_w, 1.0))

    def trip_after_s(self, node: int, load_w: float) -> float:
        """How long a node's breaker, cold, holds a constant load; infinite without a breaker, and
        below its pick-up. The place in a band that is drawn by chance is taken to be its middle."""
        spec = self._topology.specs[node]
        breaker = spec.breaker
        if breaker is None:
            return np.inf
        rating_w = breaker.rating_w or float(self._topology.rating_w[node])
        curve = curve_of(breaker, self._catalogue.curves, ups=spec.kind == "ups")
        return float(trip_time_s(curve, load_w / rating_w))
