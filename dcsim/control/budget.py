"""A node's budget shared among its servers by power caps, after Facebook's Dynamo (Wu et al.,
ISCA 2016): three bands, and those that draw most give way first."""

from __future__ import annotations

import math

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.control.policy import CapServers, Command, Site, Telemetry
from dcsim.control.watched import Watched
from dcsim.errors import PolicyError
from dcsim.scenario import models


class RowBudget:
    """Above `above` of the budget, caps that bring the load to `target`; below `below`, none."""

    def __init__(self, spec: models.RowBudgetSpec) -> None:
        self.period_s = spec.period_s
        self.delay_s = spec.delay_s
        self._spec = spec

    def start(self, site: Site) -> None:
        """Raises PolicyError where nothing is to be watched, or a budget is below rest."""
        spec = self._spec
        self._watched = watched = Watched(site, spec.nodes, spec.budget_w)
        self._server_nodes = site.server_nodes
        self._group = np.unique(np.array(site.server_groups), return_inverse=True)[1]
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
                continue  # the last command's effect is not seen yet
            cap_w = self._cap_w[i]
            if of_budget > spec.above:
                excess_w = (of_budget - spec.target) * float(self._watched.limit_w[i])
                servers, rest_w = self._watched.servers[i], self._rest_w[i]
                drawn_w = telemetry.node_w[self._server_nodes[servers]]
                span_w = self._spans(servers, drawn_w, rest_w)
                base_w = rest_w if self._spec.sharing == "proportional" else np.zeros(len(rest_w))
                cap_w = np.minimum(cap_w, share_out(drawn_w, rest_w, base_w, span_w, excess_w))
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
                    reason=f"load at {100 * of_budget:.1f} % of budget",
                    after_s=spec.actuation_delay_s,
                    slot=self._watched.names[i],
                )
            )
        return commands

    def _spans(self, servers: IntArray, drawn_w: FloatArray, rest_w: FloatArray) -> FloatArray:
        """What a level of 1 stands for, above rest: where all give the same share, the most that
        any server of the same group draws; else one number of watts for all."""
        above_w = np.maximum(drawn_w - rest_w, 0.0)
        if self._spec.sharing == "highest-first":
            return np.full(len(servers), max(float(np.max(drawn_w)), 1e-9))
        group = self._group[servers]
        most_w = np.zeros(int(group.max()) + 1)
        np.maximum.at(most_w, group, above_w)
        return np.maximum(most_w[group], 1e-9)


def share_out(
    drawn_w: FloatArray, rest_w: FloatArray, base_w: FloatArray, span_w: FloatArray, less_w: float
) -> FloatArray:
    """Caps, `base_w + level x span_w` and none below rest, at the level at which cutting off what
    is drawn takes `less_w` from the servers together. All arrays (servers,).

    Who draws less than its cap may rise up to it: a cap at what it draws by chance now would hold
    it there. Where even rest is too much, all are capped at rest.
    """
    # A server gives between two levels: from where its cap meets what it draws, down to rest.
    top = (np.maximum(drawn_w, rest_w) - base_w) / span_w
    bottom = (rest_w - base_w) / span_w
    at = np.concatenate((top, bottom))
    slope_w = np.concatenate((span_w, -span_w))
    order = np.argsort(-at, kind="stable")
    at, slope_w = at[order], np.cumsum(slope_w[order])
    cut_w = np.zeros(len(at))
    np.cumsum(slope_w[:-1] * (at[:-1] - at[1:]), out=cut_w[1:])
    if less_w >= cut_w[-1]:
        return rest_w.copy()
    piece = int(np.searchsorted(cut_w, less_w, side="right")) - 1
    level = at[piece] - (less_w - cut_w[piece]) / max(float(slope_w[piece]), 1e-12)
    caps_w: FloatArray = np.maximum(base_w + level * span_w, rest_w)
    return caps_w
