"""Failover: at which instants of a run would the site have survived the loss of each node?

One run is played with all in order. Then, for every interval of it and every node that may be
lost, the loads are laid over what remains: is any node above its rating, and which breaker would
open, when? At last each loss is played in full at its worst instant, breakers, cascade, requests
and all, because what moves to the survivors is not in the redistributed loads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.errors import StudyError
from dcsim.facility.contingency import ContingencyFlow
from dcsim.facility.inputs import SiteInputs
from dcsim.plant import Plant
from dcsim.plant.topology import Topology
from dcsim.scenario.models import Scenario
from dcsim.spec.nearest import suggestion
from dcsim.spec.units import SECOND, Seconds
from dcsim.studies.answer import Answer, Card, Plot, Table
from dcsim.studies.ask import (
    averaging_times_s,
    slo_loss,
    variant,
)
from dcsim.studies.failover.limits import (
    LIMIT_COLUMNS,
    LIMIT_SHOWN,
    LossLimits,
    left_out_sentences,
    limit_frame,
    loss_sentences,
    usual_sentences,
)
from dcsim.studies.failover.words import headline, reasons
from dcsim.studies.figures import NAN
from dcsim.studies.jobs import Keep, job
from dcsim.studies.options import Typed
from dcsim.studies.outcome import LoadSeries, RunOutcome
from dcsim.studies.runner import Runner
from dcsim.studies.study import Study

LOSABLE = ("utility", "feeder", "transformer", "switchgear", "ups", "pdu")
"""Kinds of nodes that may be lost where nothing is asked."""
AFTER_S = 900.0
"""Loss played in full: so long after it, or to the end of the run."""
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
class _Remainder:
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
        return (self.of_limit <= 1.0) & (self.dark == 0)


class FailoverStudy(Study):
    """At which instants would the site survive the loss of each feed, UPS and PDU?"""

    nodes: Annotated[tuple[str, ...] | None, Typed(flag="node", metavar="NODE")] = None
    """Node or kind of node that may be lost. None: every utility, feeder, transformer, switchgear,
    UPS and PDU."""
    redistribute_only: bool = False
    """Only redistribute loads; do not simulate each loss at its worst instant."""
    window_s: Seconds = 60.0
    """The instants: means over this long, a multiple of `record.server_step`."""
    seed: int | None = None
    """Use this seed instead of the file's."""

    def play(self, scenario: Scenario, runner: Runner) -> Answer:
        """One run with all in order, each loss laid over it, and played in full at its worst
        instant."""
        window_s = self.window_s
        if scenario.faults:
            raise StudyError(
                "the scenario has faults of its own: failover asks for a run in which all is in "
                "order (leave them out with --set faults=[])"
            )
        step_s = scenario.record.server_step_s
        if window_s < step_s or abs(window_s / step_s - round(window_s / step_s)) > 1e-9:
            raise StudyError(
                f"--window: must be a whole multiple of record.server_step, {SECOND.format(step_s)}"
            )
        plant = Plant.build(scenario)
        topology = plant.topology
        lost = _losable(topology, self.nodes or ())
        if not np.isfinite(topology.rating_w).any():
            raise StudyError("no node of the facility has a rating: give one the key `rating`")
        if scenario.duration_s < window_s:
            raise StudyError(
                f"the run lasts {SECOND.format(scenario.duration_s)}, a window "
                f"{SECOND.format(window_s)}: play a longer run, or give a shorter --window"
            )
        seed = scenario.seed if self.seed is None else self.seed
        windows_s = averaging_times_s(window_s)
        (whole,) = runner.play(
            [job(scenario, seed, keep=(Keep("server", window_s),), windows_s=windows_s)],
            "all in order",
        )
        series = runner.series(whole).series["server"]
        worst: dict[int | None, _Remainder] = {}
        inputs = SiteInputs.of_plant(plant)
        losses = {node: ContingencyFlow(inputs, node) for node in (None, *lost)}
        for node, loss in losses.items():
            limits = LossLimits(inputs, series.step_s, series.start_s)
            worst[node] = _hold(topology, loss, series, limits)
        usual_w = _usual_w(losses[None], series)
        outcomes: dict[int | None, RunOutcome] = {}
        if not self.redistribute_only:
            outcomes = _play(scenario, seed, topology, worst, lost, window_s, runner)
        rows = [
            _row(
                topology,
                losses[node],
                worst[node],
                node,
                window_s,
                usual_w,
                whole,
                outcomes.get(node),
            )
            for node in lost
        ]
        frame = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(
            ["survived", "dark_servers", "worst_of_limit"],
            ascending=[True, False, False],
            kind="stable",
            ignore_index=True,
        )
        times = _times(topology, {node: worst[node] for node in lost}, series.step_s)
        others = limit_frame(
            {
                None if at is None else topology.names[at]: remainder.limits
                for at, remainder in worst.items()
            }
        )
        return Answer(
            headline=(*headline(frame, _over(worst[None], topology)), *loss_sentences(others)[:1]),
            reasons=(
                *reasons(frame),
                *usual_sentences(others),
                *loss_sentences(others)[1:],
            ),
            uncertainty=(
                f"One run of {SECOND.format(scenario.duration_s)}, seed {seed}; loads are means "
                f"over {SECOND.format(series.step_s)}: shorter peaks are not seen.",
                "Loads redistributed: servers that keep power draw what they did. Batteries give "
                "nothing: they bridge, they do not carry on.",
                "No loss was played in full: what moves to the survivors is not in these figures."
                if self.redistribute_only
                else "Losses played in full hold what moves to the survivors, breakers and their "
                "memory.",
                *left_out_sentences(scenario, whole, others, series.step_s),
            ),
            inputs={"nodes": [topology.names[node] for node in lost], "seed": seed},
            figures={
                "losses": len(frame),
                "survived_always": int((frame["survived"] == 1.0).sum()),
                "worst_lost": frame.loc[0, "lost"],
                "worst_survived": float(frame["survived"].to_numpy()[0]),
                "worst_of_limit": float(frame["worst_of_limit"].max()),
            },
            cards=(
                Card("losses", "losses played"),
                Card("survived_always", "of these survived for as long as was played"),
                Card("worst_lost", "the worst loss"),
                Card("worst_survived", "of the time survived then"),
                Card("worst_of_limit", "highest load by its limit, of what is left"),
            ),
            tables={
                "losses": Table(frame, "what the rest of the site would carry", COLUMNS, SHOWN),
                "limits": Table(
                    others[list(LIMIT_COLUMNS)],
                    "continuous allowances and demand limits",
                    LIMIT_COLUMNS,
                    LIMIT_SHOWN,
                    brief=max(5, int((others["of_limit"] > 1.0).sum())),
                ),
                "times": Table(times, "every interval", TIME_COLUMNS),
            },
            plots=(
                Plot(
                    "times",
                    "load of the tightest node that is left",
                    "time_s",
                    ["of_limit"],
                    "lost",
                ),
                Plot("losses", "share of the time survived", "lost", ["survived"], kind="bar"),
            ),
            runs=[whole, *outcomes.values()],
        )


def _losable(topology: Topology, names: Sequence[str]) -> list[int]:
    losable = names or LOSABLE
    nodes: list[int] = []
    problems = []
    for name in losable:
        same = [
            node
            for node, (node_name, kind) in enumerate(
                zip(topology.names, topology.kinds, strict=True)
            )
            if name in (node_name, kind)
        ]
        if names and not same:
            known = {*topology.names, *topology.kinds}
            problems.append(
                f"--node: the site has no '{name}', nor a kind of node ({suggestion(name, known)})"
            )
        nodes += [node for node in same if node not in nodes]
    if problems:
        raise StudyError(*problems)
    if not nodes:
        raise StudyError(
            f"the facility has none of {', '.join(LOSABLE)}: name what may be lost, such as "
            "--node row"
        )
    if any(topology.kinds[node] in ("site", "server") for node in nodes):
        raise StudyError("--node: without its site nothing is left, and a single server is no feed")
    return nodes


def _hold(
    topology: Topology, loss: ContingencyFlow, series: LoadSeries, limits: LossLimits
) -> _Remainder:
    """Column order of the series is server order."""
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
    return _Remainder(node, load_w, of_limit, int(loss.de_energised.sum()), rows, series.start_s)


def _play(
    base: Scenario,
    seed: int,
    topology: Topology,
    worst: dict[int | None, _Remainder],
    lost: Sequence[int],
    window_s: float,
    runner: Runner,
) -> dict[int | None, RunOutcome]:
    """Each loss in full, from the start of its worst interval on."""
    variants = {}
    # So early that there is time to see what becomes of it.
    for node in lost:
        held = worst[node]
        early = max(1, int((base.duration_s - AFTER_S - held.start_s) / window_s + 1e-9))
        at_s = held.start_s + int(np.argmax(held.of_limit[:early])) * window_s
        fault: dict[str, Any] = {"at": f"{at_s:.6f} s", "fail": topology.names[node]}
        if topology.specs[node].has_bypass:
            fault["with_bypass"] = True  # what is asked is what the rest can carry
        end_s = min(base.duration_s, at_s + AFTER_S)
        variants[node] = variant(
            base,
            {"faults": [fault], "duration": f"{end_s:.6f} s"},
            f"loss of {topology.names[node]}",
        )
    outcomes = runner.play([job(changed, seed) for changed in variants.values()], "losses")
    return dict(zip(variants, outcomes, strict=True))


def _row(
    topology: Topology,
    loss: ContingencyFlow,
    held: _Remainder,
    node: int,
    window_s: float,
    usual_w: FloatArray,
    whole: RunOutcome,
    outcome: RunOutcome | None,
) -> dict[str, Any]:
    at = int(np.argmax(held.of_limit))
    survived = held.survived
    first, after_s = _first_trip(topology, loss, held, at, usual_w)
    row: dict[str, Any] = {
        "lost": topology.names[node],
        "kind": topology.kinds[node],
        "survived": float(survived.mean()),
        "not_survived_s": float((~survived).sum() * window_s),
        "dark_servers": held.dark,
        "worst_time_s": held.start_s + (at + 1) * window_s,
        "worst_node": topology.names[held.node[at]],
        "worst_load_w": float(held.load_w[at]),
        "worst_limit_w": float(topology.rating_w[held.node[at]]),
        "worst_of_limit": float(held.of_limit[at]),
        "over_w": max(0.0, float(held.load_w[at] - topology.rating_w[held.node[at]])),
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
        "played_lost_requests": _gone(outcome)
        - _gone(whole) * outcome.summary["simulated_s"] / whole.summary["simulated_s"],
        "played_slo_loss": slo_loss(outcome.summary),
    }


def _usual_w(loss: ContingencyFlow, series: LoadSeries) -> FloatArray:
    """The RMS of each node's load with all in order, (nodes,)."""
    square = np.zeros(0)
    for i, server_w in enumerate(series.load_w.astype(np.float64)):
        load_w = loss.loads_w(series.start_s + (i + 1) * series.step_s, server_w)
        square = load_w**2 + (square if i else 0.0)
    return np.asarray(np.sqrt(square / len(series.load_w)))


def _first_trip(
    topology: Topology, loss: ContingencyFlow, held: _Remainder, at: int, usual_w: FloatArray
) -> tuple[str | None, float]:
    node = int(held.node[at])
    after_s = loss.trip_after_s(node, float(held.load_w[at]), float(usual_w[node]))
    return (topology.names[node], after_s) if math.isfinite(after_s) else (None, NAN)


def _gone(outcome: RunOutcome) -> float:
    counts = outcome.summary["requests"]
    return float(counts["rejected"] + counts["failed"] + counts["timed_out"])


def _times(topology: Topology, remainders: dict[int, _Remainder], step_s: float) -> pd.DataFrame:
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


def _over(whole: _Remainder, topology: Topology) -> tuple[str, float] | None:
    """The node furthest above its rating with all in order, and its load by it; None: none is."""
    if not (whole.of_limit > 1.0).any():
        return None
    at = int(np.argmax(whole.of_limit))
    return topology.names[whole.node[at]], float(whole.of_limit[at])
