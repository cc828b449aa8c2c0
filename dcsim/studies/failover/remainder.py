"""The rest of a site without a node, over time: what it carries, and what of that it can."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.facility.contingency import ContingencyFlow
from dcsim.plant.topology import Topology
from dcsim.studies.ask import slo_loss
from dcsim.studies.failover.limits import LossLimits
from dcsim.studies.figures import NAN
from dcsim.studies.outcome import LoadSeries, RunOutcome

COLUMNS = {
    "lost": "the node that is lost",
    "kind": "its kind",
    "survived": "share of the time at which the rest carries all: no server dark, no rating passed",
    "not_survived_s": "time at which it does not, s",
    "dark_servers": "servers without power then, whatever the load",
    "worst_time_s": "instant at which the rest comes nearest to its limit, or is furthest above",
    "worst_node": "the node that is",
    "worst_load_w": "its load then, W",
    "worst_limit_w": "its rating, W",
    "worst_of_limit": "load over rating",
    "over_w": "load above the rating, W; 0 where it holds",
    "trips_node": "the breaker that would open first at that load, constant from the loss on, at "
    "the earliest edge of its band and as warm as the whole site's loads keep it",
    "trips_after_s": "when, s after the loss",
    "played_trips": "breakers that opened when the loss was played, at its worst instant but the "
    "last 15 minutes of the run, or at the start of a shorter one",
    "played_dark_servers": "servers without power at some time of it",
    "played_lost_requests": "requests that failed, were rejected or timed out, more than without",
    "played_slo_loss": "share of requests not served as promised, from start to end",
}
SHOWN = (
    "lost",
    "survived",
    "not_survived_s",
    "dark_servers",
    "worst_node",
    "worst_of_limit",
    "trips_node",
    "trips_after_s",
    "played_trips",
    "played_lost_requests",
)
TIME_COLUMNS = {
    "time_s": "end of the interval, s",
    "lost": "the node that is lost",
    "survived": "whether the rest carries all",
    "worst_node": "the node nearest to its limit, or furthest above",
    "of_limit": "its load over its rating",
    "over_w": "load above the rating, W",
}


@dataclass(frozen=True)
class Remainder:
    """The rest of the site without one node, over time. Arrays are (intervals,)."""

    node: IntArray
    load_w: FloatArray
    of_limit: FloatArray
    dark: int
    limits: list[dict[str, Any]]
    """Continuous allowances and demand limits: rows of `LossLimits`."""
    start_s: float
    """When the first interval begins, s from the run's start."""

    @property
    def survived(self) -> BoolArray:
        """Whether the rest carries all, (intervals,)."""
        return (self.of_limit <= 1.0) & (self.dark == 0)


def remainder_of(
    topology: Topology, loss: ContingencyFlow, series: LoadSeries, limits: LossLimits
) -> Remainder:
    """Lay the loads over what remains. Columns of the series are in server order."""
    rated = np.flatnonzero(np.isfinite(topology.rating_w))
    limit_w = topology.rating_w[rated]
    count = len(series.load_w)
    node = np.zeros(count, dtype=np.int64)
    load_w, of_limit = np.zeros(count), np.zeros(count)
    for i, server_w in enumerate(series.load_w.astype(np.float64)):
        end_s = series.start_s + (i + 1) * series.step_s
        every_w = loss.loads_w(end_s, server_w)
        limits.step(end_s, loss.node_w, every_w)
        felt_w = every_w[rated]
        share = felt_w / limit_w
        at = int(np.argmax(share))
        node[i], load_w[i], of_limit[i] = rated[at], felt_w[at], share[at]
    rows = limits.rows(series.start_s + count * series.step_s)
    return Remainder(node, load_w, of_limit, int(loss.de_energised.sum()), rows, series.start_s)


def loss_row(
    topology: Topology,
    loss: ContingencyFlow,
    remainder: Remainder,
    node: int,
    window_s: float,
    in_order_w: FloatArray,
    whole: RunOutcome,
    outcome: RunOutcome | None,
) -> dict[str, Any]:
    """Return the row of one lost node: what the rest would carry at worst, and what came of it when
    the loss was played in full. `in_order_w`: RMS loads with all in order, W, by which breakers
    are warm."""
    at = int(np.argmax(remainder.of_limit))
    survived = remainder.survived
    first, after_s = _first_trip(topology, loss, remainder, at, in_order_w)
    row: dict[str, Any] = {
        "lost": topology.names[node],
        "kind": topology.kinds[node],
        "survived": float(survived.mean()),
        "not_survived_s": float((~survived).sum() * window_s),
        "dark_servers": remainder.dark,
        "worst_time_s": remainder.start_s + (at + 1) * window_s,
        "worst_node": topology.names[remainder.node[at]],
        "worst_load_w": float(remainder.load_w[at]),
        "worst_limit_w": float(topology.rating_w[remainder.node[at]]),
        "worst_of_limit": float(remainder.of_limit[at]),
        "over_w": max(0.0, float(remainder.load_w[at] - topology.rating_w[remainder.node[at]])),
        "trips_node": first,
        "trips_after_s": after_s,
    }
    if outcome is None:
        return row | dict.fromkeys(
            ("played_trips", "played_dark_servers", "played_lost_requests", "played_slo_loss"), NAN
        )
    dark = [flag for flag in outcome.flags if flag["kind"] == "dark"]
    servers = set()
    for flag in dark:
        servers |= set(topology.servers_under(flag["node"]).tolist())
    return row | {
        "played_trips": outcome.summary["events"]["trip"],
        "played_dark_servers": len(servers),
        "played_lost_requests": _unserved(outcome)
        - _unserved(whole) * outcome.summary["simulated_s"] / whole.summary["simulated_s"],
        "played_slo_loss": slo_loss(outcome.summary),
    }


def rms_load_w(loss: ContingencyFlow, series: LoadSeries) -> FloatArray:
    """Return the RMS of each node's load with all in order, W, shape (nodes,)."""
    square = np.zeros(0)
    for i, server_w in enumerate(series.load_w.astype(np.float64)):
        load_w = loss.loads_w(series.start_s + (i + 1) * series.step_s, server_w)
        square = load_w**2 + (square if i else 0.0)
    return np.asarray(np.sqrt(square / len(series.load_w)))


def _first_trip(
    topology: Topology, loss: ContingencyFlow, remainder: Remainder, at: int, in_order_w: FloatArray
) -> tuple[str | None, float]:
    node = int(remainder.node[at])
    after_s = loss.trip_after_s(node, float(remainder.load_w[at]), float(in_order_w[node]))
    return (topology.names[node], after_s) if math.isfinite(after_s) else (None, NAN)


def _unserved(outcome: RunOutcome) -> float:
    counts = outcome.summary["requests"]
    return float(counts["rejected"] + counts["failed"] + counts["timed_out"])


def interval_rows(
    topology: Topology, remainders: dict[int, Remainder], step_s: float
) -> pd.DataFrame:
    """Return a row for each lost node and interval: whether the rest carries all, and how near."""
    parts = []
    for node, remainder in remainders.items():
        count = len(remainder.of_limit)
        limit_w = topology.rating_w[remainder.node]
        parts.append(
            pd.DataFrame(
                {
                    "time_s": remainder.start_s + step_s * np.arange(1, count + 1),
                    "lost": topology.names[node],
                    "survived": remainder.survived,
                    "worst_node": [topology.names[i] for i in remainder.node],
                    "of_limit": remainder.of_limit,
                    "over_w": np.maximum(remainder.load_w - limit_w, 0.0),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def over_when_whole(whole: Remainder, topology: Topology) -> tuple[str, float] | None:
    """The node furthest above its rating with all in order, and its load by it; None: none is."""
    if not (whole.of_limit > 1.0).any():
        return None
    at = int(np.argmax(whole.of_limit))
    return topology.names[whole.node[at]], float(whole.of_limit[at])
