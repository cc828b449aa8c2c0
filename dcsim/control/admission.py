"""Admission throttling: an overloaded part of the site takes no new requests."""

from __future__ import annotations

import numpy as np

from dcsim.control.policy import Admit, Command, Site, Telemetry
from dcsim.scenario.models import AdmissionThrottle as Spec


class AdmissionThrottle:
    """Above `above` x rating a node of the watched kind stops taking requests; below `below`
    it takes them again. The router sends them elsewhere; where nobody admits, they are rejected.

    Two thresholds, because one would flicker: the load falls as soon as admission stops.
    """

    def __init__(self, spec: Spec) -> None:
        self.period_s = spec.period_s
        self.delay_s = spec.delay_s
        self._spec = spec
        self._nodes = np.zeros(0, dtype=np.int64)

    def start(self, site: Site) -> None:
        """Raises ValueError when no node of the watched kind has a rating."""
        kind = self._spec.nodes
        watched = [
            index
            for index, node_kind in enumerate(site.kinds)
            if node_kind == kind and np.isfinite(site.rating_w[index])
        ]
        if not watched:
            raise ValueError(f"admission-throttle watches {kind}s, but no {kind} has a rating")
        self._nodes = np.array(watched, dtype=np.int64)
        self._rating_w = site.rating_w[self._nodes]
        self._closed = np.zeros(len(watched), dtype=bool)
        self._names = [site.names[index] for index in watched]
        self._servers = [site.servers_under[name] for name in self._names]

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        share = telemetry.node_w[self._nodes] / self._rating_w
        close = ~self._closed & (share > self._spec.above)
        reopen = self._closed & (share < self._spec.below)
        self._closed ^= close | reopen
        return [
            Admit(
                self._servers[i],
                allowed=bool(reopen[i]),
                node=self._names[i],
                reason=f"load at {share[i]:.1%} of rating",
            )
            for i in np.flatnonzero(close | reopen)
        ]
