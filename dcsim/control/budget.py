"""A node's budget shared among its servers by power caps, after Facebook's Dynamo (Wu et al.,
ISCA 2016): three bands, and those that draw most give way first."""

from __future__ import annotations

import math

import numpy as np

from dcsim.control.policy import CapServers, Command, FloatArray, Site, Telemetry
from dcsim.control.watched import PolicyError, Watched
from dcsim.scenario import models


class RowBudget:
    """Above `above` of the budget, caps that bring the load to `target`; below `below`, none."""

    def __init__(self, spec: models.RowBudget) -> None:
        self.period_s = spec.period_s
        self.delay_s = spec.delay_s
        self._spec = spec

    def start(self, site: Site) -> None:
        """Raises PolicyError where nothing is to be watched, or a budget is below rest."""
        spec = self._spec
        self._watched = watched = Watched(site, spec.nodes, spec.budget_w)
        self._server_nodes = site.server_nodes
        self._rest_w = [site.server_rest_w[servers] for servers in watched.servers]
        for name, limit_w, rest_w in zip(watched.names, watched.limit_w, self._rest_w, strict=True):
            if limit_w <= rest_w.sum():
                raise PolicyError(
                    "nodes" if spec.budget_w is None else "budget",
                    f"{limit_w:,.0f} W is no more than the servers under {name} draw at rest "
                    f"({rest_w.sum():,.0f} W)",
                )
        self._cap_w = [np.full(len(servers), math.inf) for servers in watched.servers]
        self._not_before_s = [0.0] * len(watched.names)

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        spec = self._spec
        share = self._watched.share(telemetry.node_w)
        commands: list[Command] = []
        for i, of_budget in enumerate(share.tolist()):
            if now_s < self._not_before_s[i]:
                continue  # what was told last is not seen yet
            cap_w = self._cap_w[i]
            if of_budget > spec.above:
                excess_w = (of_budget - spec.target) * float(self._watched.limit_w[i])
                drawn_w = telemetry.node_w[self._server_nodes[self._watched.servers[i]]]
                cap_w = np.minimum(cap_w, self._shared(drawn_w, self._rest_w[i], excess_w))
            elif of_budget < spec.below and np.isfinite(cap_w).any():
                cap_w = np.full(len(cap_w), math.inf)
            else:
                continue
            self._cap_w[i] = cap_w
            self._not_before_s[i] = now_s + spec.actuation_delay_s + spec.delay_s
            commands.append(
                CapServers(
                    self._watched.servers[i],
                    cap_w,
                    node=self._watched.names[i],
                    reason=f"load at {of_budget:.1%} of budget",
                    after_s=spec.actuation_delay_s,
                    slot=self._watched.names[i],
                )
            )
        return commands

    def _shared(self, drawn_w: FloatArray, rest_w: FloatArray, excess_w: float) -> FloatArray:
        share = highest_first if self._spec.sharing == "highest-first" else proportional
        return share(drawn_w, rest_w, excess_w)


def highest_first(drawn_w: FloatArray, rest_w: FloatArray, excess_w: float) -> FloatArray:
    """Caps, infinite for none, that take `excess_w` from servers that draw so much, by bringing
    the highest down to one level; none below rest. All arrays (servers,)."""
    top = np.maximum(drawn_w, rest_w)
    if excess_w >= (top - rest_w).sum():
        return np.where(top > rest_w, rest_w, math.inf)
    low, high = 0.0, float(top.max())
    for _ in range(60):
        level = 0.5 * (low + high)
        if np.maximum(top - np.maximum(level, rest_w), 0.0).sum() > excess_w:
            low = level
        else:
            high = level
    held = np.maximum(low, rest_w)
    return np.where(top > held, held, math.inf)


def proportional(drawn_w: FloatArray, rest_w: FloatArray, excess_w: float) -> FloatArray:
    """The same, each giving one share of what it draws above rest."""
    above_w = np.maximum(drawn_w - rest_w, 0.0)
    total_w = above_w.sum()
    kept = max(1.0 - excess_w / total_w, 0.0) if total_w > 0 else 0.0
    return np.where(above_w > 0.0, rest_w + kept * above_w, math.inf)
