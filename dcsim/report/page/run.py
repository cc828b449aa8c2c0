"""The page of one run: everything that its results file can show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from dcsim.errors import ResultsError
from dcsim.facility.limit_words import label
from dcsim.report.charts.page import to_json
from dcsim.report.charts.run import level_durations, level_smoothing, service
from dcsim.report.flags import flag_classes
from dcsim.report.oneline import draw, of_results
from dcsim.report.oneline.drawing import Paint, paints_of
from dcsim.report.page import figures
from dcsim.report.page.busy import busy, watts_by_part
from dcsim.report.page.html import Section, page
from dcsim.report.page.pack import Packer
from dcsim.report.page.series import BUDGET, PackedLoads, gather
from dcsim.report.page.trust import Trust
from dcsim.report.text import clock
from dcsim.report.traffic import traffic
from dcsim.results import Results

MOST_EVENTS = 20_000
"""Flags in the page's log; further ones are only counted."""
NEEDED = {
    "requests": ("arrived", "completed", "rejected", "failed"),
    "tokens": ("prompt", "generated"),
    "latency": ("ttft_s", "tpot_s"),
    "events": (),
}
"""Of the summary; what else it may hold is shown where it is there."""
NEEDED_OF_NODES = ("name", "limit_w", "peak_w", "mean_w", "energy_wh", "load_factor")


def run_page(results: Results, budget: int = BUDGET) -> str:
    """The whole page as HTML. Raises ResultsError where the file is damaged."""
    summary = results.summary
    _check(results)
    trust = Trust.from_results(results)
    nodes = results.nodes()
    packer = Packer()
    loads = gather(results, packer, budget)
    diagram = of_results(nodes, trust.facility)
    figure = {row["name"]: row for row in summary["nodes"]}
    paints = paints_of(summary["nodes"])
    paints |= {name: Paint(None) for name in map(str, nodes.index) if name not in paints}
    place = {str(name): i for i, name in enumerate(nodes.index)}
    events = results.events()
    model: dict[str, Any] = {
        "page": "run",
        "step_s": results.step_s,
        "duration_s": results.duration_s,
        "warm_up_s": results.warm_up_s,
        "start_of_day_s": None if results.start is None else results.start.time_of_day_s,
        "nodes": [
            {
                **figure.get(str(name), {"limit_w": None, "peak_w": None}),
                "name": name,
                "kind": row["kind"],
                "parent": place[row["parent"]] if isinstance(row["parent"], str) else -1,
                "limits": [
                    {"limit_w": row["limit_w"], "highest_w": row["highest_w"], "text": label(row)}
                    for row in summary.get("limits") or []
                    if row["node"] == name and row["kind"] == "demand"
                ],
            }
            for name, row in nodes.iterrows()
        ],
        "levels": [
            {
                "kind": level.kind,
                "nodes": [place[name] for name in level.names],
                "recorded_s": level.recorded_s,
                "step_s": level.recorded_s * level.factor,
                "points": level.points,
                "stats": level.stats,
                "at": level.at,
                "low": level.low,
                "scale": level.scale,
            }
            for level in loads.levels
        ],
        "details": [{**detail, "node": place[detail["node"]]} for detail in loads.details],
        "values": packer.count,
        "events": {
            "total": len(events),
            "time_s": events["time_s"][:MOST_EVENTS].tolist(),
            "kind": events["kind"][:MOST_EVENTS].tolist(),
            "node": [place[str(name)] for name in events["node"][:MOST_EVENTS]],
            "load_w": _known(events["load_w"][:MOST_EVENTS]),
            "limit_w": _known(events["limit_w"][:MOST_EVENTS]),
            "message": events["message"][:MOST_EVENTS].tolist(),
        },
        "flags": flag_classes(),
        "charts": _charts(results, nodes, loads, trust),
    }
    title = trust.name
    sections = [
        Section("summary", "Summary", "Summary", figures.tiles(summary, trust)),
        Section("load", "Load over time", "Load", figures.TIMELINE),
        Section(
            "oneline", "One-line diagram", "Diagram", figures.oneline(draw(diagram, paints, False))
        ),
        Section("where", "Where and when", "Heat map", figures.HEAT),
        Section("shape", "Shape of the load", "Shape", figures.shape(nodes, loads.variation)),
        Section("service", "Latency and goodput next to power", "Service", figures.TRAFFIC),
        Section("busy", "How busy it is", "Busy", busy(summary)),
        Section("states", "Where time and energy went", "Time and energy", figures.shares(summary)),
        Section("nodes", "Every node", "Nodes", figures.NODES),
        Section("events", "Event log", "Events", figures.EVENTS),
        Section(
            "trust",
            "How far to trust this",
            "Trust",
            watts_by_part(summary.get("evidence") or {}) + trust.html(),
        ),
    ]
    begun = "" if results.start is None else f"from {results.start} · "
    facts = (
        f"{begun}"
        f"{clock(results.duration_s)} played in steps of {results.step_s:g} s"
        f"{_warm_up(summary)} · "
        f"seed {results.seed} · dcsim {results.versions.get('dcsim', '')}"
    )
    return page(title, trust.description, escape(facts), sections, model, packer.text())


def _warm_up(summary: Mapping[str, Any]) -> str:
    """What figures leave out, and whether that was enough."""
    warm_up = summary.get("warm_up") or {}
    if not warm_up.get("cut_s"):
        return ""
    short = ", which is too short" if warm_up.get("enough") is False else ""
    return f", figures without the first {warm_up['cut_s']:g} s (warm-up){short}"


def _check(results: Results) -> None:
    """Raise ResultsError for a summary without what the page stands on, as another version's."""
    summary: Mapping[str, Any] = results.summary
    lacking = []
    for name, parts in NEEDED.items():
        if not isinstance(summary.get(name), dict):
            lacking.append(name)
        else:
            lacking += [f"{name}.{part}" for part in parts if part not in summary[name]]
    nodes = summary.get("nodes")
    if not nodes or not isinstance(nodes, list):
        lacking.append("nodes")
    else:
        lacking += [
            f"nodes.{part}" for part in NEEDED_OF_NODES if any(part not in row for row in nodes)
        ]
    if lacking:
        by = results.versions.get("dcsim", "an unknown version")
        raise ResultsError(
            f"{results.path}: its summary lacks {', '.join(lacking)}; written by dcsim {by}: "
            "run the scenario again with this version"
        )


def _charts(
    results: Results, nodes: pd.DataFrame, loads: PackedLoads, trust: Trust
) -> dict[str, dict[str, Any]]:
    """Charts that need no zoom, by the id of their place; load-duration curves one a level."""
    # Of each node by its recorded step.
    variation = {n: next(iter(values.values())) for n, values in loads.variation.items() if values}
    charts = {"smoothing": to_json(level_smoothing(nodes, variation))}
    for kind in dict.fromkeys(map(str, nodes["kind"])):
        curves = {n: w for n, w in loads.duration_w.items() if nodes.at[n, "kind"] == kind}
        chart = level_durations(kind, curves, results.summary["nodes"])
        charts[f"duration-{kind}"] = to_json(chart)
    requests = traffic(results, trust.slos)
    if requests is not None:
        site_w = results.load_w(str(nodes["kind"].iloc[0])).to_numpy()[:, 0]
        chart = service(requests, site_w, results.step_s, results.duration_s)
        charts["traffic"] = to_json(chart)
    return charts


def _known(values: Any) -> list[float | None]:
    """For JSON: what is no number is None."""
    return [round(float(v), 1) if math.isfinite(v) else None for v in values]
