"""Policies with two thresholds: one above which they act, one below which they leave off."""

from __future__ import annotations

from abc import abstractmethod

from dcsim.control.policy import Admit, Command, LimitBatch, Shed, Site, Telemetry
from dcsim.control.watched import Hysteresis, Watched
from dcsim.scenario import models


class TwoThresholds:
    """Watches nodes; each is acted for by itself."""

    def __init__(self, spec: models.TwoThresholdsSpec) -> None:
        self.period_s = spec.period_s
        self.delay_s = spec.delay_s
        self._after_s = spec.actuation_delay_s
        self._spec = spec

    def start(self, site: Site) -> None:
        """Raises PolicyError where there is nothing to watch."""
        self._watched = Watched(site, self._spec.nodes)
        self._over = Hysteresis(len(self._watched.names), self._spec.above, self._spec.below)

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        share = self._watched.share(telemetry.node_w)
        moved = self._over.moved(share)
        return [self._act(i, f"load at {100 * share[i]:.1f} % of rating") for i in moved.tolist()]

    @abstractmethod
    def _act(self, node: int, reason: str) -> Command:
        """What is done now that `self._over.on[node]` has changed."""


class AdmissionThrottle(TwoThresholds):
    """An overloaded node takes no new requests. The router sends them elsewhere; where nobody
    admits, they are rejected."""

    def _act(self, node: int, reason: str) -> Command:
        watched = self._watched
        return Admit(
            watched.servers[node],
            allowed=not self._over.on[node],
            node=watched.names[node],
            reason=reason,
            after_s=self._after_s,
            slot=watched.names[node],
        )


class BatchLimit(TwoThresholds):
    """Servers under an overloaded node run smaller batches."""

    def __init__(self, spec: models.BatchLimitSpec) -> None:
        super().__init__(spec)
        self._max_batch = spec.max_batch

    def _act(self, node: int, reason: str) -> Command:
        watched = self._watched
        return LimitBatch(
            watched.servers[node],
            max_batch=self._max_batch if self._over.on[node] else None,
            node=watched.names[node],
            reason=reason,
            after_s=self._after_s,
            slot=watched.names[node],
        )


class PriorityShed(TwoThresholds):
    """The whole site refuses requests of low priority while any watched node is overloaded: a
    request refused by one row would only be served, and cost its watts, in another."""

    def __init__(self, spec: models.PriorityShedSpec) -> None:
        super().__init__(spec)
        self._keep = spec.keep

    def _act(self, node: int, reason: str) -> Command:
        return Shed(
            self._keep if self._over.on[node] else None,
            node=self._watched.names[node],
            reason=reason,
            after_s=self._after_s,
            slot=self._watched.names[node],
        )
