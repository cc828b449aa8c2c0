"""The parts of a run's page that stand in its HTML: figures as tiles, and the frames of charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from statistics import median
from typing import Any

import pandas as pd

from dcsim.report.figure_names import format_figure
from dcsim.report.page import limits
from dcsim.report.page.parts import Html, badge, card, html_table
from dcsim.report.page.trust import Trust
from dcsim.report.text import UNKNOWN, percent, rate, seconds, watt_hours, watts
from dcsim.scenario.start import parse_start

STATES = {
    "off": "off",
    "idle": "idle",
    "queued": "decoding, others cannot be admitted",
    "prefill": "prefill",
    "decode": "decode",
    "mixed": "prefill and decode",
    "booting": "booting",
    "loading": "loading the model",
}

TIMELINE = """
<div class="card">
<div class="bar" id="timeline-nodes"></div>
<div class="bar" role="group" aria-label="Span shown">
<button type="button" data-zoom="all">Whole run</button>
<button type="button" data-zoom="3600">1 h</button>
<button type="button" data-zoom="600">10 min</button>
<button type="button" data-zoom="60">1 min</button>
<button type="button" data-zoom="10">10 s</button>
<button type="button" data-zoom="1">1 s</button>
<span class="gap"></span>
<button type="button" data-pan="-1" aria-label="Earlier">←</button>
<button type="button" data-pan="1" aria-label="Later">→</button>
<button type="button" data-go="peak">Site peak</button>
<button type="button" data-go="flag">Next flag</button>
<label class="check"><input type="checkbox" id="timeline-fit"> fit to the data, not
to the limit</label>
</div>
<p class="small" id="timeline-span" role="status" aria-live="polite"></p>
<div class="chart" id="timeline" tabindex="0" role="img" aria-label="Load over time"></div>
<p class="small">Line: mean. Shade: lowest to highest power step. Dashes: the rating; dots: a
demand limit. Grey from
the left edge: the warm-up, which no figure sees. Drag to zoom,
double-click for the whole run; arrow keys and + and − work too. Flags:
<span class="m3">✖</span> trip, dark or fault, <span class="m2">▲</span> over a limit,
<span class="m1">△</span> warning, <span class="m4">○</span> back in order,
<span class="m7">◆</span> a policy limits, <span class="m7">◈</span> brakes,
<span class="m7">◇</span> releases.</p>
</div>"""

HEAT = """
<div class="card"><div class="bar"><label>Level <select id="heat-kind"></select></label>
<label class="check"><input type="checkbox" id="heat-stretch"> spread the colours over the
data</label></div>
<div class="chart" id="heat" role="img" aria-label="Load by node and time"></div>
<p class="small" id="heat-note"></p></div>"""

SHAPE = """
<div class="pair"><div class="card"><h3>Load-duration curves</h3>
<div class="bar"><label>Level <select id="duration-kind"></select></label></div>
<div class="chart" id="duration" role="img" aria-label="Load-duration curves"></div>
<p class="small">For what share of the time each load was exceeded.</p></div>
<div class="card"><h3>Hierarchy smoothing</h3>
<div class="chart" id="smoothing" role="img" aria-label="Coefficient of variation by level"></div>
%s
<p class="small">Coefficient of variation (standard deviation over mean): median of the nodes of a
level. Dots: recorded steps; dashes: what servers that vary on their own would give,
1/√servers. The gap between the two is what they have in common, such as the time of day.</p>
</div></div>"""

TRAFFIC = """
<div class="card"><div class="chart" id="traffic" role="img"
aria-label="Latency and goodput next to power"></div>
<p class="small" id="traffic-note"></p></div>"""

NODES = """
<div class="card"><div class="bar"><label>Find <input type="search" id="nodes-find"
placeholder="name or kind"></label><span class="small" id="nodes-count" role="status"></span></div>
<div class="scroll tall" tabindex="0" role="region" aria-label="Every node, scrollable">
<table id="nodes-table" class="plain sortable"></table></div></div>"""

EVENTS = """
<div class="card"><div class="bar"><label>Find <input type="search" id="events-find"
placeholder="node or words"></label><span id="events-kinds" role="group"
aria-label="Kinds shown"></span></div>
<p class="small" id="events-count" role="status"></p>
<div class="scroll tall" tabindex="0" role="region" aria-label="Event log, scrollable">
<table id="events-table" class="plain"></table></div></div>"""


def oneline(svg: str) -> str:
    """The diagram with its legend and the panel of the node that was clicked."""
    steps = (("h0", "below 50 %"), ("h1", "50 to 80 %"), ("h2", "80 to 100 %"),
             ("h3", "above its rating"), ("none", "no rating"))  # fmt: skip
    legend = "".join(
        f'<li><svg class="oneline key" width="14" height="14" aria-hidden="true">'
        f'<rect class="{shade}" width="14" height="14" rx="3"/></svg>{text}</li>'
        for shade, text in steps
    )
    return f"""<div class="card">
<div class="bar"><label class="wide">Coloured by <output
id="oneline-when">highest load of the run</output>
<input type="range" id="oneline-time" min="0" max="400" value="0"
aria-label="Moment of the run; far left: highest load"></label>
<button type="button" id="oneline-play" aria-pressed="false">Play</button></div>
<div class="scroll diagram" id="diagram">{svg}</div>
<ul class="legend">{legend}<li><span class="dash"></span> second feed</li>
<li><span class="out"></span> without power</li><li>⊠ breaker</li></ul>
<div id="picked" class="picked" aria-live="polite"><p class="small">Click a node, or tab to the
diagram and move with the arrow keys, to see its figures here and its load above.</p></div></div>"""


def tiles(summary: Mapping[str, Any], trust: Trust) -> str:
    """The figures that people ask for first, each with its evidence."""
    site: Mapping[str, Any] = summary["nodes"][0]
    requests, tokens = summary["requests"], summary["tokens"]
    lost = requests["rejected"] + requests["failed"] + requests.get("timed_out", 0)
    energy = summary.get("site") or {}
    grid_wh = energy.get("grid_wh", site["energy_wh"])
    rows = summary.get("limits") or []
    text = summary.get("start")
    start = None if text is None else parse_start(text)
    events = summary["events"]
    watt, late = trust.watts, trust.latency
    cards: list[tuple[str, str, str, str]] = [
        (
            "Site peak",
            watts(site["peak_w"]),
            _of_limit(site["peak_w"], site["limit_w"], limits.stated(rows, site["name"])),
            watt,
        ),
        ("Site mean", watts(site["mean_w"]), _factor(site["load_factor"]), watt),
        ("Energy", watt_hours(grid_wh), _pue(energy.get("pue")), watt),
    ]
    cards += [(name, value, note, watt) for name, value, note in limits.cards(rows, start)]
    paired = summary.get("redundancy") or []
    cards += [(name, value, note, watt) for name, value, note in limits.paired(paired, start)]
    cards += _load(summary)
    flagged = ", ".join(
        f"{events.get(kind, 0):,} {kind}{'s' * (events.get(kind, 0) != 1)}"
        for kind in ("overload", "warning")
    )
    cards.append(("Trips", f"{events.get('trip', 0):,}", flagged, watt))
    cards.append(
        ("Requests", f"{requests['completed']:,}", f"completed of {requests['arrived']:,}; "
         f"{lost:,} rejected, failed or timed out", "")
    )  # fmt: skip
    cards.append(
        ("Tokens generated", _count(tokens["generated"]), f"{_count(tokens['prompt'])} in prompts",
         "")
    )  # fmt: skip
    for key, title in (("ttft_s", "Time to first token"), ("tpot_s", "Per output token")):
        row = summary["latency"][key]
        cards.append(
            (title, seconds(row["p50"]), f"median; p95 {seconds(row['p95'])}, p99 "
             f"{seconds(row['p99'])}", late)
        )  # fmt: skip
    if tokens["generated"] and grid_wh is not None:
        wh_per_1000 = 1000.0 * grid_wh / tokens["generated"]
        cards.append(
            ("Energy per 1,000 tokens", f"{wh_per_1000:.3g} Wh", "generated, whole site", watt)
        )
    tile = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd><span class="value">{escape(value)}</span>'
        f'<span class="note">{escape(note)}</span>{badge(evidence) if evidence else ""}</dd></div>'
        for name, value, note, evidence in cards
    )
    tenants = _tenants(summary.get("tenants", []))
    return f'<dl class="tiles">{tile}</dl>{limits.table(rows, start)}{tenants}'


def _load(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The load behind the watts."""
    rows = summary.get("serving") or ()
    if not rows or rows[-1]["running_mean"] is None:
        return []
    row = rows[-1]
    note = (
        f"{row['running_mean']:.3g} requests running a replica; KV cache {percent(row['kv_max'])}"
    )
    return [("Of what it can serve", percent(row["share_of_capacity"]), f"{note} at most", "")]


def _tenants(tenants: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            str(tenant["name"]),
            _slo(tenant["slo"]),
            f"{tenant['arrived']:,}",
            f"{tenant['within_slo']:,}",
            percent(tenant["slo_attainment"]),
            f"{rate(tenant['goodput_per_s'])} /s",
        )
        for tenant in tenants
    ]
    heads = ("tenant", "SLO", "arrived", "within it", "attainment", "goodput")
    return card(html_table(heads, rows, range(2, 6)), "Tenants") if rows else ""


def _slo(slo: Mapping[str, Any]) -> str:
    parts = [
        f"{title} {seconds(slo[key])}"
        for key, title in (("ttft_s", "first token"), ("tpot_s", "per token"))
        if slo.get(key) is not None
    ]
    return ", ".join(parts) or "none"


def shape(nodes: pd.DataFrame, variation: Mapping[str, Mapping[float, float]]) -> str:
    """Load-duration curves and smoothing, with the median variation of each level as a table:
    `variation` by node and averaging time in s."""
    widths_s = sorted({width_s for values in variation.values() for width_s in values})
    rows = []
    for kind, level in nodes.groupby("kind", sort=False):
        known = [variation.get(str(name), {}) for name in level.index]
        columns = [[by_width[w] for by_width in known if w in by_width] for w in widths_s]
        rows.append((str(kind), *(percent(median(c)) if c else UNKNOWN for c in columns)))
    heads = ("level", *(format_figure("_s", width_s) for width_s in widths_s))
    return SHAPE % html_table(heads, rows, range(1, len(heads)))


def shares(summary: Mapping[str, Any]) -> str:
    """Replica time by GPU state, and energy by where it went, as bars with a table each."""
    states = summary.get("gpu_state_s") or {}
    times = [(STATES.get(name, name), float(s)) for name, s in states.items() if s]
    body = _stack("Replica time by GPU state", times, lambda s: f"{s / 3600:,.1f} replica-hours")
    energy = summary.get("site") or {}
    parts = [
        (title, float(energy[key]))
        for key, title in (("it_wh", "IT"), ("losses_wh", "conversion losses"),
                           ("cooling_wh", "cooling"))
        if energy.get(key)
    ]  # fmt: skip
    body += _stack("Energy by where it went", parts, watt_hours)
    return f'<div class="pair">{body}</div>'


def _stack(
    title: str, parts: Sequence[tuple[str, float]], format_value: Callable[[float], str]
) -> str:
    total = sum(value for _, value in parts)
    if not total:
        return card('<p class="small">The file has none.</p>', title)
    bar = "".join(
        f'<span class="s{i % 8}" style="flex:{value / total:.5f}"></span>'
        for i, (_, value) in enumerate(parts)
    )
    rows = [
        (Html(f'<span class="dot s{i % 8}"></span>{escape(name)}'), percent(value / total),
         format_value(value))
        for i, (name, value) in enumerate(parts)
    ]  # fmt: skip
    return card(
        f'<div class="stack" aria-hidden="true">{bar}</div>{html_table((), rows, (1, 2))}', title
    )


def _count(value: int) -> str:
    return f"{value / 1e6:,.0f} M" if value >= 10_000_000 else f"{value:,}"


def _of_limit(peak_w: float | None, limit_w: float | None, stated: str) -> str:
    if peak_w is None or not limit_w:
        return f"no rating; {stated}" if stated else "no rating given"
    return f"{percent(peak_w / limit_w)} of {watts(limit_w)}"


def _factor(load_factor: float | None) -> str:
    return f"load factor {UNKNOWN if load_factor is None else f'{load_factor:.2f}'}"


def _pue(pue: float | None) -> str:
    return "at the site" if pue is None else f"from the grid; PUE {pue:.3f}"
