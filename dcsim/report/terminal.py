"""The table printed after a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from dcsim.report.text import UNKNOWN, clock, percent, rate, seconds, watt_hours, watts, when
from dcsim.results.warm_up import FILLED, MATERIAL
from dcsim.scenario.start import Start, parse_start

WIDE = 110
"""Narrower terminals get fewer columns."""
ROWS_SHOWN = 12
"""More nodes of one kind than this are summed up in one line."""

Node = Mapping[str, Any]


def render(summary: Mapping[str, Any], console: Console, first_flags: Sequence[Any] = ()) -> None:
    """Print a run's summary. `first_flags` are the events worth a line of their own."""
    for part in _parts(summary, first_flags, wide=console.width >= WIDE):
        console.print(part, highlight=False, markup=False)


def _parts(
    summary: Mapping[str, Any], first_flags: Sequence[Any], wide: bool
) -> Iterator[str | Text | Table]:
    """What is printed, from top to bottom."""
    text = summary.get("start")
    start = None if text is None else parse_start(text)
    limits = summary.get("limits") or []
    yield _loads(summary["nodes"], wide)
    table = limit_table(limits, start, wide)
    if table is not None:
        yield table
    yield sentence(limits)
    yield from notes(limits)
    paired = redundancy_line(summary.get("redundancy") or [], start)
    if paired:
        yield paired
    yield from _requests(summary)
    yield from breakdown_lines(summary.get("breakdown") or {})
    yield from busy_lines(summary.get("serving") or ())
    yield from autoscale_lines(summary)
    yield from _events(summary["events"], first_flags, start)
    yield from _policies(summary.get("control") or {}, summary["simulated_s"])
    yield from _power(summary["power_model"])
    yield from evidence_lines(summary.get("evidence") or {})
    yield from _expected(summary["nodes"])
    yield from _warm_up(summary)
    wall_s = summary.get("wall_s")
    speed = f", {summary['simulated_s'] / wall_s:,.0f} x real time" if wall_s else ""
    yield (
        f"Simulated {clock(summary['simulated_s'])} in {seconds(wall_s)}{speed}, "
        f"seed {summary['seed']}."
    )


def _expected(nodes: Sequence[Node]) -> Iterator[str]:
    """How sure the site's peak and p99 are, where the run can tell."""
    expected = []
    for figure, key in (("its peak is expected at", "peak"), ("its p99 at", "p99")):
        low_w, high_w = (nodes[0].get(f"{key}_{end}_w") for end in ("low", "high"))
        if low_w is not None and high_w is not None:
            expected.append(f"{figure} {watts(low_w)} to {watts(high_w)}")
    if expected:
        yield (
            f"Another run like this one, at {nodes[0]['name']}: {', '.join(expected)} (95 %, from "
            "this run alone)."
        )


def _warm_up(summary: Mapping[str, Any]) -> Iterator[str | Text]:
    """What the figures leave out, and a warning where that was too little."""
    warm_up = summary.get("warm_up")
    if not warm_up:
        return
    trips = warm_up["trips"]
    if warm_up["cut_s"]:
        yield (
            f"The first {warm_up['cut_s']:g} s, while servers fill, are left out of all figures "
            f"but energies, counts and trips ({warm_up['rule']})"
            + (f"; {trips:,} trips fell into them." if trips else ".")
        )
    if warm_up["enough"] is False:
        yield Text(
            f"WARNING: the warm-up is too short ({short_because(warm_up)}): play a longer run, or "
            "set a longer `warm_up`.",
            "yellow",
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


def _requests(summary: Mapping[str, Any]) -> Iterator[str]:
    requests, tokens, retries = (
        summary["requests"], summary["tokens"], summary["routing"].get("retries")
    )  # fmt: skip
    parts = ", ".join(
        f"{requests[name]:,} {name}"
        for name in ("completed", "running", "waiting", "rejected", "timed_out", "failed")
    ).replace("_", " ")
    yield f"Requests: {requests['arrived']:,} arrived = {parts}."
    for what, rows in summary["traffic"].items():
        for stream, count in rows.items():
            yield f"Trace of {stream}: {count:,} rows {what}."
    if retries:
        yield f"Sent again after a failure: {retries:,} times, {tokens['lost']:,} tokens lost."
    cached = f" ({tokens['cached']:,} from prefix caches)" if tokens["cached"] else ""
    yield f"Tokens: {tokens['prompt']:,} in prompts{cached}, {tokens['generated']:,} generated."
    names = {"ttft_s": "time to first token", "tpot_s": "per output token", "e2e_s": "end to end"}
    latency = "; ".join(
        f"{title} "
        + " / ".join(seconds(summary["latency"][name][p]) for p in ("p50", "p95", "p99"))
        for name, title in names.items()
    )
    yield f"Latency (p50 / p95 / p99): {latency}."
    for tenant in summary["tenants"]:
        yield (
            f"Tenant {tenant['name']}: {tenant['within_slo']:,} of {tenant['arrived']:,} within "
            f"its SLO ({percent(tenant['slo_attainment'])} of those that have ended), goodput "
            f"{rate(tenant['goodput_per_s'])} requests/s."
        )


def _events(
    counts: Mapping[EventKind, int], first_flags: Sequence[Any], start: Start | None
) -> Iterator[str]:
    yield f"Flags: {', '.join(counted(kind, count) for kind, count in counts.items())}."
    for event in first_flags:
        yield (
            f"  first {event.kind}: {event.node} at {when(event.time_s, start)}, "
            f"{watts(event.load_w)} of {watts(event.limit_w)}"
        )


def _policies(control: Mapping[str, Any], simulated_s: float) -> Iterator[str]:
    """What policies did; nothing where there is none."""
    for row in control.get("policies", ()):
        share = row["limited_s"] / simulated_s if simulated_s > 0.0 else None
        yield (
            f"Policy {row['policy']}: {row['commands']:,} commands, limits in force for "
            f"{clock(row['limited_s'])} ({percent(share)} of the time)."
        )
    if control.get("policies"):
        yield f"Server-hours with clocks held down: {control['capped_server_h']:.2f}."


def _power(models: Any) -> Iterator[str]:
    for model in models if isinstance(models, list) else [models]:
        pack = f" (pack {model['pack']})" if model["pack"] else ""
        for row in model["provenance"]:
            yield (
                f"GPU power: {model['name']}{pack}, {row['configuration']}: "
                f"{row['evidence']}; {row['source']}."
            )
