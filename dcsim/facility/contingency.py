"""What the rest of a site would carry if a node were lost: loads redistributed, nothing played."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.breakers import Breakers
from dcsim.facility.cooling_load import CoolingLoad
from dcsim.facility.curves import curve_of
from dcsim.facility.flow import Flow
from dcsim.facility.inputs import SiteInputs
from dcsim.facility.supply import Supply


class ContingencyFlow:
    """The site without one node, transfers done. Batteries give nothing: they bridge the loss of a
    feed for minutes, and what is asked here is whether the site can go on without it."""

    def __init__(
        self,
        inputs: SiteInputs,
        lost: int | None,
    ) -> None:
        """`lost`: index of the node; None: the site as it is."""
        topology = self._topology = inputs.topology
        self._catalogue = inputs.catalogue
        supply = Supply(topology)
        if lost is not None:
            supply.healthy[lost] = False
        supply.update(0.0)
        if np.isfinite(after_s := supply.next_s(0.0)):
            supply.update(after_s + 1.0)
        self._supply = supply
        self._cooling_load = CoolingLoad(topology, inputs.cooling, supply, inputs.clock_s)
        self._flow = Flow(
            topology, supply, inputs.catalogue.losses, own_loads=self._cooling_load.runs
        )
        self._flow.batteries.shave_above_w[:] = np.inf
        self.de_energised = ~supply.energised[topology.server_nodes]
        """Servers that have no power then, (servers,)."""

    def loads_w(self, now_s: float, server_w: FloatArray) -> FloatArray:
        """Loads of all nodes as their ratings feel them, (nodes,), if the servers that still have
        power draw what they do; reused by the next call."""
        drawn_w = np.where(self.de_energised, 0.0, server_w)
        if self._cooling_load.runs:
            self._cooling_load.load(now_s, drawn_w, self._flow.own_w)
        return self._flow.felt_w(self._flow.step(drawn_w, 1.0))

    @property
    def node_w(self) -> FloatArray:
        """Loads of all nodes at the last call of `loads_w`, W, (nodes,)."""
        return self._flow.node_w

    def trip_after_s(self, node: int, load_w: float, before_w: float) -> float:
        """How long a node's breaker holds a constant load at the earliest edge of its band, having
        carried `before_w` for good, at the most its rating; infinite without a breaker, and below
        its pick-up."""
        spec = self._topology.specs[node]
        breaker = spec.breaker
        if breaker is None:
            return np.inf
        rating_w = breaker.rating_w or float(self._topology.rating_w[node])
        preload = breaker.preload
        if preload is None:
            preload = min(before_w / rating_w, 1.0)
        ups = spec.kind == "ups"
        single = Breakers(
            [curve_of(breaker, self._catalogue.curves, ups=ups, band="earliest")],
            [rating_w],
            ambient_c=[breaker.ambient_c],
            preload=[preload],
        )
        return float(single.trip_in_s(np.array([load_w]))[0])
