"""The charts of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dcsim.arrays import AnyFloatArray, FloatArray
from dcsim.errors import PlotError
from dcsim.facility.limit_words import label
from dcsim.report.charts.model import Axis, Bars, Chart, Heat, Line, Panel, Rule, Values
from dcsim.report.palette import LINES
from dcsim.report.text import percent, watts
from dcsim.report.traffic import Traffic
from dcsim.results import Results
from dcsim.results.schema import NodeFigures
from dcsim.scenario.expand import named
from dcsim.spec.nearest import suggestion

POINTS = 1500
"""Intervals across a chart of loads; more than it has pixels."""
SITE_POINTS = 800
"""The same of the site's load beside latencies."""
COLUMNS = 400
"""Intervals across a heat map."""
VARIATION = "coefficient of variation"
NO_SLO = " No tenant of this scenario has an SLO, so goodput is what completed."
MOST_PANELS = 5
MOST_CURVES = 80
SHARES = np.concatenate(
    [[0.0, 0.0001, 0.001, 0.005], np.linspace(0.01, 0.99, 99), [0.995, 0.999, 0.9999, 1.0]]
)
"""Shares of time at which a load-duration curve is given."""


def load(results: Results, node: str | None = None) -> Chart:
    """Load over time: the site, and the node nearest to its limit of each level, or one node."""
    nodes = results.nodes()
    names = [_known(nodes, node)] if node is not None else _hottest(results, nodes)
    events = results.events()
    events = events[events["kind"] == "trip"]
    return Chart(
        panels=[_load_panel(results, nodes, name, events) for name in names],
        x=Axis(kind="time", limits=(0.0, results.duration_s)),
        shaded=(0.0, results.warm_up_s) if results.warm_up_s > 0 else None,
        size=(6.8, 1.1 + 1.25 * len(names)),
    )


def _load_panel(results: Results, nodes: pd.DataFrame, name: str, trips: pd.DataFrame) -> Panel:
    kind = str(nodes.at[name, "kind"])
    load_w = results.load_w(kind, nodes=[name]).to_numpy()[:, 0]
    ends_s, mean_w, low_w, high_w = bands(load_w, _step_s(results, kind), POINTS)
    line = Line(x=np.minimum(ends_s, results.duration_s), y=mean_w, low=low_w, high=high_w,
                shape="vh")  # fmt: skip
    rating_w = float(nodes["rating_w"].to_dict()[name])
    rules = [Rule(at=rating_w)] if rating_w > 0 else []
    rules += [
        Rule(at=row["limit_w"], text=label(row), colour="s2", dash="dot", right=True)
        for row in results.summary.get("limits") or []
        if row["node"] == name and row["kind"] == "demand" and row["limit_w"] is not None
    ]
    marks = [
        Rule(at=time_s, colour="s3", dash="dot")
        for time_s in trips.loc[trips["node"] == name, "time_s"]
    ]
    return Panel(
        traces=[line], rules=rules, marks=marks, title=name, y=Axis(unit="w", limits=(0, None))
    )


def bands(load_w: AnyFloatArray, step_s: float, most: int) -> tuple[AnyFloatArray, ...]:
    """Ends of at most `most` intervals of a series, and its means, lowest and highest values in
    them; the last interval may be shorter."""
    width = max(1, -(-len(load_w) // most))
    starts = np.arange(0, len(load_w), width)
    counts = np.diff(starts, append=len(load_w))
    mean = np.add.reduceat(load_w.astype(float), starts) / counts
    low, high = np.minimum.reduceat(load_w, starts), np.maximum.reduceat(load_w, starts)
    return (starts + counts) * step_s, mean, low, high


def duration(results: Results, node: str | None = None) -> Chart:
    """Load-duration curves, as shares of the rating where there is one: of the node nearest to its
    limit of each level, or of one node."""
    nodes = results.nodes()
    names = [_known(nodes, node)] if node is not None else _hottest(results, nodes)
    rating_w = {str(name): float(w) for name, w in nodes["rating_w"].items()}
    with_rating = [name for name in names if rating_w[name] > 0]
    rated, names = bool(with_rating), with_rating or names
    lines = []
    for name, colour in zip(names, LINES, strict=False):
        frame = results.load_w(str(nodes.at[name, "kind"]), nodes=[name], measured=True)
        curve_w = duration_w(frame.to_numpy()[:, 0])
        if curve_w is not None:
            y = curve_w / (rating_w[name] if rated else 1.0)
            lines.append(Line(x=SHARES, y=y, name=name, colour=colour))
    return Chart(
        panels=[Panel(
            traces=lines, rules=[Rule(at=1.0)] if rated else [],
            y=Axis(title="of the rating" if rated else "", unit="share" if rated else "w",
                   limits=(0, None)),
        )],
        x=Axis(title="share of time", unit="share", limits=(0.0, 1.0)), legend="panel",
        size=(4.6, 3.2),
    )  # fmt: skip


def duration_w(load_w: AnyFloatArray) -> FloatArray | None:
    """The load exceeded for each of `SHARES` of the time; None where no load is known."""
    known = load_w[np.isfinite(load_w)]
    return np.quantile(known, 1.0 - SHARES) if len(known) else None


def level_durations(
    kind: str, curves: Mapping[str, FloatArray], nodes: Sequence[NodeFigures]
) -> Chart:
    """Load-duration curves of the nodes of one level, the one with the highest peak drawn out."""
    figures = {row["name"]: row for row in nodes if row["name"] in curves}
    names = list(figures)[:MOST_CURVES]
    top = max(names, key=lambda name: figures[name]["peak_w"] or 0.0, default=None)
    lines = [
        Line(x=SHARES, y=curves[name], colour="s6", width=1.0, opacity=0.53)
        for name in names if name != top
    ]  # fmt: skip
    rules, words = [], ""
    if top is not None:
        lines.append(Line(x=SHARES, y=curves[top], width=2.2, name=top))
        peak_w, limit_w = figures[top]["peak_w"], figures[top]["limit_w"]
        rules = [Rule(at=limit_w)] if limit_w else []
        middle_w = float(curves[top][len(SHARES) // 2])
        words = f"; highest: {top}, peak {watts(peak_w)}, median {watts(middle_w)}"
    return Chart(
        panels=[Panel(traces=lines, rules=rules, y=Axis(unit="w", limits=(0, None)))],
        x=Axis(title="share of time", unit="share", limits=(0.0, 1.0)),
        legend="shared",
        height=330,
        label=f"Load-duration curves of level {kind}{words}",
    )


def heatmap(results: Results, node: str | None = None) -> Chart:
    """Loads of all nodes of a level (racks, or the lowest level above servers) over time."""
    nodes = results.nodes()
    kinds = list(dict.fromkeys(map(str, nodes["kind"])))
    kind = node or ("rack" if "rack" in kinds else [k for k in kinds if k != "server"][-1])
    if kind not in kinds:
        raise PlotError(f"--node: no level {kind!r} in this site; there is {', '.join(kinds)}")
    step_s = _step_s(results, kind)
    width_s = max(1, round(results.duration_s / COLUMNS / step_s)) * step_s
    frame = results.load_w(kind, resample=width_s)
    rating_w = nodes.loc[frame.columns, "rating_w"].to_numpy(dtype=float)
    rated = bool((rating_w > 0).all())
    values = frame.to_numpy().T / (rating_w[:, None] if rated else 1.0)
    rows = [str(name) for name in frame.columns]
    heat = Heat(
        x=frame.index.to_numpy(), rows=rows, z=values, unit="share" if rated else "w",
        title="of the rating" if rated else "",
    )  # fmt: skip
    return Chart(
        panels=[Panel(traces=[heat])],
        x=Axis(kind="time", limits=(0.0, results.duration_s)),
        size=(6.8, min(8.0, 1.2 + 0.14 * len(rows))),
    )


def states(results: Results, node: str | None = None) -> Chart:
    """Replica time by GPU state."""
    state_s = {k: v for k, v in (results.summary.get("gpu_state_s") or {}).items() if v}
    if not state_s:
        raise PlotError("the file has no time in GPU states")
    total_s = sum(state_s.values())
    shares = [float(value) / total_s for value in state_s.values()]
    bars = Bars(x=list(state_s), y=shares, labels=[percent(share) for share in shares])
    return Chart(
        panels=[Panel(traces=[bars], y=Axis(title="share of replica time", unit="share",
                                            limits=(0, None)))],
        x=Axis(kind="category"), size=(6.0, 3.0),
    )  # fmt: skip


def smoothing(results: Results, node: str | None = None) -> Chart:
    """Coefficient of variation of every node by the servers below it, and 1/sqrt(servers)."""
    nodes = results.nodes()
    variation: dict[str, float] = {}
    for kind in dict.fromkeys(nodes["kind"]):
        frame = results.load_w(str(kind), measured=True)
        mean_w, deviation_w = frame.mean(), frame.std(ddof=0)
        variation |= {
            str(name): float(deviation_w[name]) / float(mean_w[name])
            for name in frame.columns
            if mean_w[name] > 0
        }
    return level_smoothing(nodes, variation)


def level_smoothing(nodes: pd.DataFrame, variation: Mapping[str, float]) -> Chart:
    """The same from the coefficients of variation of the nodes, where they are known."""
    below = servers_below(nodes)
    traces, medians = [], []
    for kind, rows in nodes.groupby("kind", sort=False):
        names = [str(name) for name in rows.index if str(name) in variation and below[str(name)]]
        if not names:
            continue
        counts, values = [below[name] for name in names], [variation[name] for name in names]
        traces.append(Line(x=counts, y=values, colour="s1", width=0, symbol="circle", opacity=0.6))
        medians.append((float(np.median(counts)), float(np.median(values)), str(kind)))
    servers = next((value for _, value, kind in medians if kind == "server"), 0.0)
    most = max((count for count, *_ in medians), default=1.0)
    if servers:
        traces.insert(0, Line(x=[1, most], y=[servers, servers / most**0.5], colour="s6",
                              dash="dash", width=1.3))  # fmt: skip
    # Levels of as many servers share a name.
    names_at: dict[float, list[str]] = {}
    for count, _, kind in medians:
        names_at.setdefault(count, []).append(kind)
    traces.append(Line(
        x=[count for count, *_ in medians], y=[value for _, value, _ in medians], width=0,
        symbol="circle", size=10,
        labels=[", ".join(names_at[count]) if names_at[count][0] == kind else ""
                for count, _, kind in medians],
    ))  # fmt: skip
    return Chart(
        panels=[Panel(traces=traces, y=Axis(title=VARIATION, unit="share", kind="log"))],
        x=Axis(title="servers below", kind="log"),
        height=260,
        size=(4.6, 3.2),
        label="Coefficient of variation by level: "
        + "; ".join(f"{kind} {percent(value)}" for _, value, kind in medians),
    )


def servers_below(nodes: pd.DataFrame) -> dict[str, int]:
    """Servers below each node, by its preferred feed; a server counts itself."""
    below = {str(name): int(kind == "server") for name, kind in nodes["kind"].items()}
    for name in reversed(list(nodes.index)):
        parent = nodes.loc[name, "parent"]
        if isinstance(parent, str):
            below[parent] += below[str(name)]
    return below


def service(traffic: Traffic, site_w: AnyFloatArray, step_s: float, end_s: float) -> Chart:
    """The site's load over requests per second, time to first token and time per output token.

    Parameters
    ----------
    traffic
        Requests by interval.
    site_w
        The site's load by recorded step of `step_s`.
    end_s
        Length of the run.
    """
    at_s = traffic.width_s * np.arange(len(traffic.arrived_per_s))
    ends_s, mean_w, *_ = bands(site_w, step_s, SITE_POINTS)

    def line(values: Values, name: str, colour: str, **more: Any) -> Line:
        return Line(x=at_s, y=values, name=name, colour=colour, shape="hv", **more)

    rate, log_s = Axis(limits=(0, None)), Axis(unit="s", kind="log")
    good = "within SLO" if traffic.has_slo else "completed"
    return Chart(
        panels=[
            Panel(title="site power", y=Axis(unit="w", limits=(0, None)),
                  traces=[Line(x=ends_s, y=mean_w, shape="vh")]),
            Panel(title="requests per second", y=rate, traces=[
                line(traffic.arrived_per_s, "arrived", "s6"), line(traffic.good_per_s, good, "s4"),
                line(traffic.lost_per_s, "came to nothing", "s3", dash="dot"),
            ]),
            Panel(title="time to first token", y=log_s, traces=[
                line(traffic.ttft_s[50], "median", "s0"),
                line(traffic.ttft_s[99], "p99", "s1"),
            ]),
            Panel(title="time per output token", y=log_s, traces=[
                line(traffic.tpot_s[50], "median", "s3"),
                line(traffic.tpot_s[99], "p99", "s2"),
            ]),
        ],
        x=Axis(kind="time", limits=(0.0, end_s)), legend="panel", height=620, size=(6.8, 6.4),
        note=f"By time of arrival, in intervals of {traffic.width_s:g} s; percentiles of "
        "completed requests, to 1 %. Requests still running at the end count neither way."
        + ("" if traffic.has_slo else NO_SLO),
        label="Latency and goodput next to power",
    )  # fmt: skip


KINDS: dict[str, Callable[[Results, str | None], Chart]] = {
    "load": load,
    "duration": duration,
    "heatmap": heatmap,
    "states": states,
    "smoothing": smoothing,
}


def _step_s(results: Results, kind: str) -> float:
    return results.server_step_s if kind == "server" else results.step_s


def _known(nodes: pd.DataFrame, name: str) -> str:
    """The node of this name, or the only one whose last steps it is."""
    matches = named(map(str, nodes.index), name)
    if len(matches) == 1:
        return matches[0]
    hint = suggestion(name, list(map(str, nodes.index)))
    if matches:
        hint = f"did you mean {' or '.join(matches[:3])}?"
    raise PlotError(f"--node: no node {name!r} in this site" + (f" ({hint})" if hint else ""))


def _hottest(results: Results, nodes: pd.DataFrame) -> list[str]:
    """Of each level the node nearest to its limit; of many levels the top and the lowest."""
    share: dict[str, float] = {}
    for row in results.summary["nodes"]:
        peak_w = row["peak_w"] or 0.0
        share[row["name"]] = peak_w / row["limit_w"] if row["limit_w"] else peak_w * 1e-12
    kinds = list(dict.fromkeys(nodes["kind"]))
    kept = kinds if len(kinds) <= MOST_PANELS else [kinds[0], *kinds[1 - MOST_PANELS :]]
    return [
        max(map(str, nodes.index[nodes["kind"] == kind]), key=lambda name: share.get(name, 0.0))
        for kind in kept
    ]
