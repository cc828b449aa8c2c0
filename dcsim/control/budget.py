"""Row budget: a node's watts shared among its servers by power caps."""

from __future__ import annotations

import numpy as np

from dcsim.control.policy import CapServers, Command, FloatArray, IntArray, Site, Telemetry
from dcsim.control.watched import Watched
from dcsim.scenario import models


class RowBudget:
    """Above `above` x budget a node's servers are capped so that their present draws would bring
    it to `target` x budget; below `below` they are free again.

    Three bands, because caps are found from what was drawn when they were: Facebook's Dynamo has
    the same (Wu et al., ISCA 2016, section III-C). In between they stay as they are. A node that
    is still above once its caps are known to hold is shared anew.

    Where a node carries only a part of what its servers draw (two cords), or loses or cools on
    top, the servers give in proportion.
    """

    def __init__(self, spec: models.RowBudget) -> None:
        self.period_s = spec.period_s
        self.delay_s = spec.delay_s
        self._spec = spec

    def start(self, site: Site) -> None:
        """Raises PolicyError where there is nothing to watch."""
        watched = self._watched = Watched(site, self._spec.nodes, self._spec.budget_w)
        count = len(watched.names)
        self._nodes: list[IntArray] = [site.server_nodes[servers] for servers in watched.servers]
        self._rest_w = [site.server_rest_w[servers] for servers in watched.servers]
        self._full_w = [site.server_full_w[servers] for servers in watched.servers]
        self._capped = np.zeros(count, dtype=bool)
        self._seen_from_s = np.full(count, -np.inf)
        """Telemetry measured before knows nothing of the last caps."""

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        share = self._watched.share(telemetry.node_w)
        over = (share > self._spec.above) & (telemetry.measured_s >= self._seen_from_s)
        free = self._capped & (share < self._spec.below)
        commands: list[Command] = []
        for i in np.flatnonzero(over | free).tolist():
            drawn_w = telemetry.node_w[self._nodes[i]]
            if over[i]:
                allowed_w = float(drawn_w.sum()) * self._spec.target / float(share[i])
                cap_w = share_out(
                    self._spec.sharing, allowed_w, drawn_w, self._rest_w[i], self._full_w[i]
                )
            else:
                cap_w = np.full(len(drawn_w), np.inf)
            self._capped[i] = over[i]
            self._seen_from_s[i] = now_s + self._spec.actuation_delay_s
            commands.append(
                CapServers(
                    servers=self._watched.servers[i],
                    cap_w=cap_w,
                    node=self._watched.names[i],
                    reason=f"load at {share[i]:.1%} of its budget",
                    after_s=self._spec.actuation_delay_s,
                    slot=self._watched.names[i],
                )
            )
        return commands


def share_out(
    sharing: str, allowed_w: float, drawn_w: FloatArray, rest_w: FloatArray, full_w: FloatArray
) -> FloatArray:
    """Caps of servers, shape (servers,), none below what a server draws at rest.

    `highest-first` finds one level in watts, `proportional` one share of each server's way from
    rest to full, such that what is `drawn_w` now, cut off there, comes to `allowed_w`; servers
    below it may rise up to it. `even` is the share at which the caps themselves come to
    `allowed_w`, whatever is drawn.
    """
    if sharing == "even":
        share = (allowed_w - rest_w.sum()) / np.maximum((full_w - rest_w).sum(), 1e-9)
        return rest_w + max(float(share), 0.0) * (full_w - rest_w)
    if sharing == "proportional":
        base_w, span_w = rest_w, np.maximum(full_w - rest_w, 1e-9)
    else:
        base_w, span_w = np.zeros(len(rest_w)), np.ones(len(rest_w))
    return np.maximum(base_w + _level(allowed_w, drawn_w, base_w, span_w) * span_w, rest_w)


def _level(
    allowed_w: float, drawn_w: FloatArray, base_w: FloatArray, span_w: FloatArray
) -> float:
    """The level l, 0 or more, at which the sum of min(drawn, base + l x span) is `allowed_w`."""
    height = (drawn_w - base_w) / span_w
    order = np.argsort(height, kind="stable")
    below_w = np.cumsum(drawn_w[order])
    base_above_w = base_w.sum() - np.cumsum(base_w[order])
    span_above_w = span_w.sum() - np.cumsum(span_w[order])
    # The sum rises with the level along straight pieces, which end where a server is free.
    at_w = below_w + base_above_w + height[order] * span_above_w
    free = int(np.searchsorted(at_w, allowed_w))
    if free == len(order):
        return float(height.max())
    spent_w = below_w[free] - drawn_w[order[free]]
    base_left_w = base_above_w[free] + base_w[order[free]]
    span_left_w = span_above_w[free] + span_w[order[free]]
    return max(float((allowed_w - spent_w - base_left_w) / span_left_w), 0.0)
