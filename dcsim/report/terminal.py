"""The table printed after a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcsim.records import EventKind
from dcsim.report.flags import counted
from dcsim.report.limit_table import limit_table, notes, sentence
from dcsim.report.load_lines import autoscale_lines, breakdown_lines, busy_lines, evidence_lines
from dcsim.report.redundancy_words import redundancy_line
from dcsim.report.text import UNKNOWN, clock, percent, seconds, watt_hours, watts, when
from dcsim.results.warm_up import FILLED, MATERIAL
from dcsim.scenario.start import Start, parse_start

WIDE = 110
"""Narrower terminals get fewer columns."""
ROWS_SHOWN = 12
"""More nodes of one kind than this are summed up in one line."""

Node = Mapping[str, Any]


def render(summary: Mapping[str, Any], console: Console, first_flags: Sequence[Any] = ()) -> None:
    """Print a run's summary. `first_flags` are the events worth a line of their own."""
    text = summary.get("start")
    start = None if text is None else parse_start(text)
    console.print(_loads(summary["nodes"], wide=console.width >= WIDE))
    _limits(summary.get("limits") or [], start, console)
    paired = redundancy_line(summary.get("redundancy") or [], start)
    if paired:
        console.print(paired, highlight=False, markup=False)
    _requests(summary, console)
    for line in (
        *breakdown_lines(summary.get("breakdown") or {}),
        *busy_lines(summary.get("serving") or ()),
        *autoscale_lines(summary),
    ):
        console.print(line, highlight=False, markup=False)
    _events(summary["events"], first_flags, start, console)
    _policies(summary.get("control") or {}, summary["simulated_s"], console)
    _power(summary["power_model"], console)
    for line in evidence_lines(summary.get("evidence") or {}):
        console.print(line, highlight=False, markup=False)
    _expected(summary["nodes"], console)
    _warm_up(summary, console)
    wall_s = summary.get("wall_s")
    speed = f", {summary['simulated_s'] / wall_s:,.0f} x real time" if wall_s else ""
    console.print(
        f"Simulated {clock(summary['simulated_s'])} in {seconds(wall_s)}{speed}, "
        f"seed {summary['seed']}.",
        highlight=False,
    )


def _expected(nodes: Sequence[Node], console: Console) -> None:
    """How sure the site's peak and p99 are, where the run can tell."""
    expected = []
    for figure, key in (("its peak is expected at", "peak"), ("its p99 at", "p99")):
        low_w, high_w = (nodes[0].get(f"{key}_{end}_w") for end in ("low", "high"))
        if low_w is not None and high_w is not None:
            expected.append(f"{figure} {watts(low_w)} to {watts(high_w)}")
    if expected:
        console.print(
            f"Another run like this one, at {nodes[0]['name']}: {', '.join(expected)} (95 %, from "
            "this run alone).",
            highlight=False,
        )


def _warm_up(summary: Mapping[str, Any], console: Console) -> None:
    """What the figures leave out, and a warning where that was too little."""
    warm_up = summary.get("warm_up")
    if not warm_up:
        return
    trips = warm_up["trips"]
    if warm_up["cut_s"]:
        console.print(
            f"The first {warm_up['cut_s']:g} s, while servers fill, are left out of all figures "
            f"but energies, counts and trips ({warm_up['rule']})"
            + (f"; {trips:,} trips fell into them." if trips else "."),
            highlight=False,
        )
    if warm_up["enough"] is False:
        console.print(
            f"WARNING: the warm-up is too short ({short_because(warm_up)}): play a longer run, or "
            "set a longer `warm_up`.",
            style="yellow",
            highlight=False,
        )


def short_because(warm_up: Mapping[str, Any]) -> str:
    """Why a warm-up was not enough."""
    reasons = []
    filled, moves = warm_up["filled"], warm_up.get("mean_moves")
    if filled is not None and filled < FILLED:
        reasons.append(
            f"{100 * filled:.0f} % of the requests that are in service in steady state are there "
            "by its end"
        )
    if moves is not None and (not reasons or abs(moves) > MATERIAL):
        reasons.append(
            f"the load settles after {warm_up['mser5_s']:g} s by MSER-5: from there on the mean is "
            f"{100 * moves:+.1f} %, the peak {100 * warm_up['peak_moves']:+.1f} % of the mean off"
        )
    return "; ".join(reasons)


def _loads(nodes: Sequence[Node], wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("node")
    columns = ("rating", "peak", "of rating", "p99", "mean", "load factor", "energy")
    for name in columns if wide else columns[:5]:
        table.add_column(name, justify="right", no_wrap=True)
    for kind in dict.fromkeys(node["kind"] for node in nodes):
        same = [node for node in nodes if node["kind"] == kind]
        if len(same) <= ROWS_SHOWN and kind != "server":
            for node in same:
                _add(table, node["name"], node)
            continue
        highest = max(same, key=lambda node: (_share(node) or 0.0, node["peak_w"] or 0.0))
        label = f"highest peak, {kind}: {highest['name']}" if len(same) > 1 else highest["name"]
        _add(table, label, highest)
        if len(same) > 1:
            _add(table, f"median of {len(same)} {kind}s", _medians(same))
    return table


def _medians(nodes: Sequence[Node]) -> Node:
    """The median of each figure by itself, and of the shares of limits: no one node's line."""
    medians: dict[str, Any] = {}
    for key in ("limit_w", "peak_w", "p99_w", "mean_w", "load_factor", "energy_wh"):
        known = [node[key] for node in nodes if node[key] is not None]
        medians[key] = median(known) if len(known) == len(nodes) else None
    shares = [share for node in nodes if (share := _share(node)) is not None]
    medians["share"] = median(shares) if len(shares) == len(nodes) else None
    return medians


def _add(table: Table, label: str, node: Node) -> None:
    share = _share(node)
    style = ""
    if share is not None:
        style = "red" if share > 1.0 else "yellow" if share > 0.8 else "green"
    shown = percent(share)
    cells = (
        watts(node["limit_w"]),
        watts(node["peak_w"]),
        Text(shown, style),
        watts(node["p99_w"]),
        watts(node["mean_w"]),
        UNKNOWN if node["load_factor"] is None else f"{node['load_factor']:.2f}",
        watt_hours(node["energy_wh"]),
    )
    table.add_row(Text(label), *cells[: len(table.columns) - 1])


def _share(node: Node) -> float | None:
    if "share" in node:
        return None if node["share"] is None else float(node["share"])
    if node["limit_w"] is None or node["peak_w"] is None:
        return None
    return float(node["peak_w"]) / float(node["limit_w"])


def _requests(summary: Mapping[str, Any], console: Console) -> None:
    requests = summary["requests"]
    parts = ", ".join(
        f"{requests[name]:,} {name}"
        for name in ("completed", "running", "waiting", "rejected", "timed_out", "failed")
    ).replace("_", " ")
    console.print(f"Requests: {requests['arrived']:,} arrived = {parts}.", highlight=False)
    for what, rows in summary["traffic"].items():
        for stream, count in rows.items():
            console.print(
                f"Trace of {stream}: {count:,} rows {what}.", highlight=False, markup=False
            )
    if summary["routing"].get("retries"):
        lost = summary["tokens"]["lost"]
        console.print(
            f"Sent again after a failure: {summary['routing']['retries']:,} times, {lost:,} tokens "
            "lost.",
            highlight=False,
        )
    tokens = summary["tokens"]
    cached = f" ({tokens['cached']:,} from prefix caches)" if tokens["cached"] else ""
    console.print(
        f"Tokens: {tokens['prompt']:,} in prompts{cached}, {tokens['generated']:,} generated.",
        highlight=False,
    )
    names = {"ttft_s": "time to first token", "tpot_s": "per output token", "e2e_s": "end to end"}
    latency = "; ".join(
        f"{title} {seconds(row['p50'])} / {seconds(row['p95'])} / {seconds(row['p99'])}"
        for name, title in names.items()
        for row in [summary["latency"][name]]
    )
    console.print(f"Latency (p50 / p95 / p99): {latency}.", highlight=False)
    for tenant in summary["tenants"]:
        console.print(
            f"Tenant {tenant['name']}: {tenant['within_slo']:,} of {tenant['arrived']:,} within "
            f"its SLO ({percent(tenant['slo_attainment'])} of those that have ended), goodput "
            f"{_rate(tenant['goodput_per_s'])} requests/s.",
            highlight=False,
            markup=False,
        )


def _rate(per_s: float | None) -> str:
    return UNKNOWN if per_s is None else f"{per_s:.2f}"


def _limits(rows: Sequence[Mapping[str, Any]], start: Start | None, console: Console) -> None:
    table = limit_table(rows, start, wide=console.width >= WIDE)
    if table is not None:
        console.print(table)
    for line in (sentence(rows), *notes(rows)):
        console.print(line, highlight=False, markup=False)


def _events(
    counts: Mapping[EventKind, int],
    first_flags: Sequence[Any],
    start: Start | None,
    console: Console,
) -> None:
    counts_text = ", ".join(counted(kind, count) for kind, count in counts.items())
    console.print(f"Flags: {counts_text}.", highlight=False)
    for event in first_flags:
        console.print(
            f"  first {event.kind}: {event.node} at {when(event.time_s, start)}, "
            f"{watts(event.load_w)} of {watts(event.limit_w)}",
            highlight=False,
            markup=False,
        )


def _policies(control: Mapping[str, Any], simulated_s: float, console: Console) -> None:
    """What policies did; nothing where there is none."""
    for row in control.get("policies", ()):
        share = row["limited_s"] / simulated_s if simulated_s > 0.0 else None
        console.print(
            f"Policy {row['policy']}: {row['commands']:,} commands, limits in force for "
            f"{clock(row['limited_s'])} ({percent(share)} of the time).",
            highlight=False,
        )
    if control.get("policies"):
        console.print(
            f"Server-hours with clocks held down: {control['capped_server_h']:.2f}.",
            highlight=False,
        )


def _power(models: Any, console: Console) -> None:
    for model in models if isinstance(models, list) else [models]:
        pack = f" (pack {model['pack']})" if model["pack"] else ""
        for row in model["provenance"]:
            console.print(
                f"GPU power: {model['name']}{pack}, {row['configuration']}: "
                f"{row['evidence']}; {row['source']}.",
                highlight=False,
                markup=False,
            )
