"""All limits of a site: what crosses them is flagged, and what they have seen is summed up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.continuous import ContinuousMonitor
from dcsim.facility.demand import Crossing, build_ramps, build_windows
from dcsim.facility.events import StepFlags, duration, percent
from dcsim.facility.inputs import SiteInputs
from dcsim.facility.limit_monitor import LimitMonitor
from dcsim.facility.tally import LIMIT_KINDS, LimitSpec
from dcsim.plant import Plant
from dcsim.records import EventKind


class SiteLimits:
    """Ratings with their breakers, continuous allowances, demand windows and ramps.

    `monitor` has the ratings and breakers, `continuous` the allowances for loads of three hours or
    more.
    """

    def __init__(self, inputs: SiteInputs) -> None:
        """Raises SeriesError for a contract file that cannot be read."""
        topology, from_s = inputs.topology, inputs.count_from_s
        self.topology = topology
        self._step_s = inputs.step_s
        self._count_from_s = from_s
        curves = inputs.catalogue.curves
        self.monitor = LimitMonitor(topology, inputs.limits, curves, inputs.band_place, from_s)
        self.demand = build_windows(topology, inputs.step_s, from_s, inputs.clock_s)
        self._ramps = build_ramps(topology, inputs.step_s, from_s)
        self.continuous = ContinuousMonitor(topology, inputs.limits, inputs.step_s, from_s)
        self.peak_w: FloatArray = np.full(len(topology.names), -np.inf)
        """Highest load of each node so far as its rating feels it, after the warm-up."""

    @property
    def allowed_w(self) -> FloatArray:
        """What each node may carry for good, shape (nodes,); NaN where unknown."""
        allowed_w = np.full(len(self.topology.names), np.nan)
        allowed_w[self.continuous.nodes] = self.continuous.limit_w
        return allowed_w

    def step(self, flags: StepFlags, step_s: float, node_w: FloatArray) -> None:
        """Flag what a power step's loads, shape (nodes,), cross or keep again."""
        now_s, felt_w = flags.now_s, flags.felt_w
        if now_s - step_s >= self._count_from_s - 1e-6:
            np.maximum(self.peak_w, felt_w, out=self.peak_w)
        flags.events.extend(self.monitor.step(now_s, step_s, felt_w))
        for window in self.demand:
            for crossing in window.step(now_s, node_w):
                _crossed(flags, "demand", "mean", crossing)
        for ramp in self._ramps:
            for crossing in ramp.step(now_s, node_w):
                _crossed(flags, "ramp", "move", crossing)
        for crossing in self.continuous.step(now_s, felt_w):
            _crossed(flags, "continuous", "mean", crossing)

    def finish(self, flags: StepFlags) -> None:
        """Flag what the end of the run brings: continuous loads of runs under three hours."""
        for crossing in self.continuous.finish(flags.now_s):
            _crossed(flags, "continuous", "mean", crossing)

    def rows(self) -> list[dict[str, Any]]:
        """All limits and what they have seen, for a summary: ratings, continuous allowances, demand
        windows and ramps, each in node order. Call after `finish`.

        `measured_s` is what the highest figure is a mean over: of a demand window that never
        filled the span measured, whose mean is `partial_w`.
        """
        topology, monitor, steady = self.topology, self.monitor, self.continuous
        seen: list[tuple[LimitSpec, dict[str, Any], float | None, float]] = [
            (spec, monitor.tally.row(i, float(topology.rating_w[spec.node])), None, self._step_s)
            for i, spec in enumerate(monitor.specs())
        ]
        seen += [
            (spec, steady.tally.row(i, float(steady.limit_w[i])), None, steady.measured_s)
            for i, spec in enumerate(steady.specs())
        ]
        for means in (*self.demand, *self._ramps):
            limit_w = means.limits_at(0.0)
            seen += [
                (spec, means.tally.row(i, float(limit_w[i])), means.partial_w(i), means.measured_s)
                for i, spec in enumerate(means.specs())
            ]
        seen.sort(key=lambda row: _place(row[0]))
        return [
            {
                "node": topology.names[spec.node],
                "node_kind": topology.kinds[spec.node],
                "kind": spec.kind,
                "window_s": spec.window_s,
                "windows": spec.windows,
                "rule": spec.rule,
                **row,
                "measured_s": measured_s,
                "partial_w": partial_w,
            }
            for spec, row, partial_w, measured_s in seen
        ]

    def annotate(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add to each node's row of a summary, in node order, what its limits have seen: `trips`,
        `time_over_limit_s`, `min_margin_w` (None where there is no rating) and `binding`, the
        node with the smallest margin among it and those above it."""
        topology, monitor = self.topology, self.monitor
        margin_w = topology.rating_w - self.peak_w
        tightest: list[int | None] = [None] * len(rows)
        for name in nx.topological_sort(topology.graph):
            node = topology.index[name]
            nodes_up = [tightest[up] for up in topology.feeds[node].tolist() if up >= 0]
            if np.isfinite(margin_w[node]):
                nodes_up.append(node)
            known = [at for at in nodes_up if at is not None]
            tightest[node] = min(known, key=lambda at: float(margin_w[at])) if known else None
        over_s = monitor.over_s
        for node, row in enumerate(rows):
            rated = bool(np.isfinite(topology.rating_w[node]))
            at = tightest[node]
            row["trips"] = monitor.trips[topology.names[node]]
            row["time_over_limit_s"] = float(over_s[node]) if rated else None
            row["min_margin_w"] = float(margin_w[node]) if np.isfinite(margin_w[node]) else None
            row["binding"] = None if at is None else topology.names[at]


def stated_limits(plant: Plant) -> list[dict[str, Any]]:
    """The limits of a site before anything is played: rows as those of a summary, with nothing
    seen. A contract's limit is the one at the start. Raises SeriesError."""
    return SiteLimits(SiteInputs.of_plant(plant)).rows()


def _crossed(flags: StepFlags, kind: EventKind, what: str, crossing: Crossing) -> None:
    if crossing.raised:
        share = percent(crossing.value_w / crossing.limit_w)
        message = f"{what} over {duration(crossing.window_s)} at {share} of its limit"
    else:
        over = duration(crossing.over_s)
        message = f"{kind} limit kept again: above it for {over} so far"
        kind = "cleared"
    flags.at_limit(kind, crossing.node, crossing.value_w, crossing.limit_w, message)


def _place(spec: LimitSpec) -> tuple[int, int, float]:
    return LIMIT_KINDS.index(spec.kind), spec.node, spec.window_s or 0.0
