"""The figures of the question pages and of the README, played anew: `python -m benchmarks.pages`.

A table, or a block of what is printed, stands in a page after `<!-- figures: NAME -->`. It is made
here, so that a page never tells of another version's watts. Some three minutes on two cores; names
on the command line make only those.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from typer.testing import CliRunner

import dcsim
from dcsim.cli import app
from dcsim.cli.run import PIPE_WIDTH
from dcsim.report.answer import table_cell, table_head
from dcsim.report.terminal import render
from dcsim.studies import sizing

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
MARK = re.compile(
    r"^<!-- figures: ([\w-]+) -->\n(?:```\n(?:(?!```).*\n)*```\n|(?:\|.*\n)*)", re.MULTILINE
)

Summary = dict[str, Any]
Cell = Callable[[Summary], str]
Run = tuple[str, str, Sequence[str], str | None]
"""Label, scenario, overrides and duration."""

QUICK = "quickstart"
RATE = "workload.chat.arrivals.mean_rate"


# --- cells -----------------------------------------------------------------------------------


def node(kind: str, figure: str, size: float, unit: str) -> Cell:
    """A figure of the first node of a kind."""

    def cell(found: Summary) -> str:
        value = next(row[figure] for row in found["nodes"] if row["kind"] == kind)
        return "unknown" if value is None else f"{value / size:,.0f} {unit}"

    return cell


def events(kind: str) -> Cell:
    return lambda found: str(found["events"].get(kind, 0))


def requests(kind: str) -> Cell:
    return lambda found: f"{found['requests'][kind]:,}"


def latency(name: str, percentile: str) -> Cell:
    def cell(found: Summary) -> str:
        value = found["latency"][name][percentile]
        if value is None:
            return "unknown"
        return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.0f} ms"

    return cell


PEAK = ("row's peak", node("row", "peak_w", 1e3, "kW"))
P99 = ("99th percentile", node("row", "p99_w", 1e3, "kW"))
MEAN = ("mean", node("row", "mean_w", 1e3, "kW"))
OVER = ("time above the rating", node("row", "time_over_limit_s", 1, "s"))
TTFT = ("first token, p95", latency("ttft_s", "p95"))
E2E = ("whole answer, p95", latency("e2e_s", "p95"))
TRIPS = ("trips", events("trip"))
REJECTED = ("rejected", requests("rejected"))
COMPLETED = ("completed", requests("completed"))
CAPPED = ("server-hours under a limit", lambda found: f"{found['control']['capped_server_h']:.1f}")


def racks(count: int) -> list[str]:
    """So many racks, each with its share of the quickstart's traffic."""
    return [f"facility.rack.count={count}", f"{RATE}={325 * count / 36:.6g} req/s"]


def policy(text: str) -> list[str]:
    """One policy on the row."""
    return [f"control=[{{policy: {text}}}]"]


MORE = ["facility.rack.count=47", f"{RATE}=552 req/s"]
"""Racks for the rating instead of the breaker's continuous allowance, and 30 % more traffic for
each of their servers."""

TABLES: dict[str, tuple[str, list[Run], list[tuple[str, Cell]]]] = {
    "racks": (
        "racks",
        [(str(n), QUICK, racks(n), "20 min") for n in (18, 23, 30, 36, 40, 47)],
        [PEAK, P99, MEAN, OVER],
    ),
    "racks-policy": (
        "racks, policy",
        [
            (
                f"{n}, {text.partition(',')[0] if text else 'none'}",
                QUICK,
                [*racks(n), *(policy(text) if text else [])],
                "20 min",
            )
            for n in (36, 40, 47)
            for text in ("", "row-budget", "static-cap, server_power: 3.1 kW")
        ],
        [PEAK, OVER, TRIPS, CAPPED, TTFT, E2E],
    ),
    "growth": (
        "traffic",
        [
            (f"{f:.0%}", QUICK, [f"{RATE}={325 * f:.6g} req/s"], "20 min")
            for f in (1.0, 1.1, 1.2, 1.3)
        ],
        [PEAK, P99, OVER, TRIPS, TTFT],
    ),
    "routing": (
        "policy",
        [
            (f"`{p}`", QUICK, [f"routing.policy={p}"], "15 min")
            for p in ("least-outstanding", "round-robin", "power-of-two", "random", "power-aware")
        ],
        [PEAK, MEAN, TTFT, E2E],
    ),
    "hold": (
        "policy",
        [
            ("none", QUICK, MORE, "20 min"),
            *(
                (f"`{text}`", QUICK, [*MORE, *policy(text)], "20 min")
                for text in (
                    "admission-throttle",
                    "row-budget",
                    "dual-threshold",
                    "static-cap, server_power: 3.1 kW",
                    "static-cap, clock: 0.85",
                )
            ),
        ],
        [PEAK, OVER, REJECTED, CAPPED, TTFT, E2E],
    ),
    "feed-loss": (
        "site",
        [
            ("as it stands", "feed-loss", [], None),
            (
                "UPS of 75 kW",
                "feed-loss",
                [f"facility.ups-{ups}.rating=75 kW" for ups in "abc"],
                None,
            ),
        ],
        [
            TRIPS,
            ("failed", requests("failed")),
            REJECTED,
            COMPLETED,
            TTFT,
        ],
    ),
    "launch": (
        "day",
        [
            ("with the launch", "launch-day", [], None),
            ("without", "launch-day", ["workload.chat.arrivals.spikes=[]"], None),
        ],
        [PEAK, P99, MEAN, TTFT],
    ),
    "autoscale": (
        "replicas",
        [
            ("as many as needed", "autoscale-day", [], None),
            ("all 16, always", "autoscale-day", ["servers.a100.autoscale.min=16"], None),
        ],
        [
            ("energy of the day", node("site", "energy_wh", 1e3, "kWh")),
            ("site's peak", node("site", "peak_w", 1e3, "kW")),
            TTFT,
            E2E,
        ],
    ),
    "nameplate": (
        "power model",
        [
            ("`gru`", QUICK, [], "10 min"),
            ("`ledger`", QUICK, ["servers.a100.power.model=ledger"], "10 min"),
            ("`mean`", QUICK, ["servers.a100.power.model=mean"], "10 min"),
            ("`board-limit`", QUICK, ["servers.a100.power.model=board-limit"], "10 min"),
        ],
        [PEAK, MEAN],
    ),
}


def table(name: str) -> str:
    """The table's lines, each ended; plays its runs."""
    first, runs, columns = TABLES[name]
    heads = [first, *(head for head, _ in columns)]
    lines = [heads, ["---"] * len(heads)]
    for label, scenario, overrides, duration in runs:
        with play(scenario, overrides, duration) as results:
            lines.append([label, *(cell(results.summary) for _, cell in columns)])
        print(name, label, flush=True)
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def play(
    scenario: str, overrides: Sequence[str] = (), duration: str | None = None
) -> dcsim.Results:
    """The results of a scenario that ships."""
    path = PROJECT / f"scenarios/{scenario}.yaml"
    return dcsim.simulate(dcsim.load(path, overrides, duration=duration))


def printed() -> str:
    """The table and the flags that `make run` ends with, as a block."""
    with play(QUICK) as results:
        out = io.StringIO()
        render(results.summary, Console(file=out, width=PIPE_WIDTH, force_terminal=False))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    start = next(i for i, line in enumerate(lines) if "limit" in line)
    table = lines[start : next(i for i in range(start, len(lines)) if not lines[i])]
    flags = next(line for line in lines if line.startswith("Flags"))
    return "\n".join(["```", *table, "...", flags, "```", ""])


def interconnection() -> str:
    """The quickstart's site at each averaging time."""
    with play(QUICK) as results:
        rows = sizing(results).loc["site"]
    lines = [
        "| averaging time | peak | load factor | largest ramp up | coincidence of servers "
        "| nameplate / peak |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for resolution_s, row in rows.iterrows():
        time = f"{resolution_s:g} s" if resolution_s < 60 else f"{resolution_s / 60:g} min"
        ramp_kw = row.ramp_up_w / 1e3
        together = row.server_coincidence
        lines.append(
            f"| {time} | {row.peak_w / 1e3:.0f} kW | {row.load_factor:.2f} "
            f"| {ramp_kw:.{0 if ramp_kw >= 2 else 1}f} kW "
            f"| {'unknown' if math.isnan(together) else format(together, '.2f')} "
            f"| {row.nameplate_to_peak:.1f} |"
        )
    return "\n".join([*lines, ""])


TOLD = ("fault", "dark", "overload", "predicted", "trip", "reclosed", "restored", "repaired")


def story() -> str:
    """The flags of the feed loss, as a table."""
    with play("feed-loss") as results:
        flags = results.events()
    lines = ["| time | flag | node | what |", "| --- | --- | --- | --- |"]
    for flag in flags[flags.kind.isin(TOLD)].itertuples():
        node_name = flag.node.rsplit("/", 1)[-1]
        lines.append(f"| {flag.time_s:g} s | `{flag.kind}` | `{node_name}` | {flag.message} |")
    return "\n".join([*lines, ""])


def story_service() -> str:
    """What the feed loss was for those who asked, in three parts."""
    with play("feed-loss") as results:
        asked = results.requests()
        row = results.load("row")["utility/transformer/row-4"]
    lines = [
        "| asked in minutes | requests | failed | rejected | first token, median "
        "| per token, median | row 4, mean |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for start, end in ((0, 10), (10, 13), (13, 28), (35, 45)):
        part = asked[asked.arrival_s.between(60 * start, 60 * end)]
        load_w = row[(row.index > 60 * start) & (row.index <= 60 * end)].mean()
        ended = part.status.value_counts()
        lines.append(
            f"| {start} to {end} | {len(part):,} | {ended['failed']:,} | {ended['rejected']:,} "
            f"| {part.ttft_s.median():.2f} s | {part.tpot_s.median() * 1e3:.0f} ms "
            f"| {load_w / 1e3:.0f} kW |"
        )
    return "\n".join([*lines, ""])


def answer(*words: str) -> str:
    """What a study says first, as a block. It is asked by the command line, as readers do."""
    done = CliRunner().invoke(app, ["study", *words, "--json", "--quiet"])
    if done.exit_code:
        raise SystemExit(done.output)
    lines = json.loads(done.stdout)["headline"]
    return "\n".join(["```", *lines, "```", ""])


def study_rows(name: str, columns: Sequence[str], *words: str) -> str:
    """Some columns of a study's table, asked by the command line. Watts bring their unit."""
    done = CliRunner().invoke(app, ["study", *words, "--json", "--quiet"])
    if done.exit_code:
        raise SystemExit(done.output)
    rows = json.loads(done.stdout)["tables"][name]
    lines = [[table_head(column) for column in columns], ["---"] * len(columns)]
    lines += [[table_cell(column, row[column]) for column in columns] for row in rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


ROW = str(PROJECT / "scenarios/quickstart.yaml")
RACKS = [
    "oversubscription", ROW, "--set", "duration=5 min", "--policy", "none",
    "--policy", "budget=[{policy: row-budget}]",
]  # fmt: skip
FAILOVER = [
    "failover", str(PROJECT / "scenarios/feed-loss.yaml"), "--set", "faults=[]",
    "--set", "duration=5 min",
]  # fmt: skip
SAVINGS = [
    "savings", ROW, "--set", "duration=30 min", "--starts", "13 h", "--racks", "36",
    "--capital-per-kw", "3000", "--interest", "0.08", "--years", "2", "--invest", "50000",
    "--grid", "350",
]  # fmt: skip
REFRESH = [
    "refresh", ROW, "--set", "duration=2 min", "--seeds", "2",
    "--change", "h100 | servers.a100.server=dgx-h100",
]  # fmt: skip
GROWTH = [
    "growth", ROW, "--set", "duration=10 min",
    "--factors", "1:1.4:0.1", "--seeds", "3", "--per-month", "1.05", "--start", "2027-01-01",
    "--fix", "longer row | 40000 | facility.row.rating=700 kW",
]  # fmt: skip

GROWTH_STUDY = [*GROWTH, "--fix", "cap | 2000 | control=[{policy: row-budget}]"]
SIZING = [
    "sizing", ROW, "--set", "duration=15 min", "--models", "scenario,mean,lut,nameplate",
    "--seeds", "3",
]  # fmt: skip
POLICIES = [
    "policies", ROW, "--set", "duration=10 min", "--set", "facility.rack.count=47",
    "--set", f"{RATE}=552 req/s", "--set", "tenants=[{name: web, slo: {ttft: 2 s, tpot: 50 ms}}]",
    "--policy", "none", "--policy", "throttle=[{policy: admission-throttle, nodes: row}]",
    "--policy", "budget=[{policy: row-budget}]",
]  # fmt: skip
WORTH = [
    "savings", ROW, "--racks", "36", "--under", "row", "--set", "duration=15 min",
    "--tariff", str(PROJECT / "scenarios/tariffs/day-night.yaml"), "--starts", "13.5 h",
    "--grid", "400", "--capital-per-kw", "3000", "--interest", "0.08", "--years", "5",
    "--invest", "100000",
]  # fmt: skip

MADE: dict[str, Callable[[], str]] = {
    **{name: partial(table, name) for name in TABLES},
    "quickstart": printed,
    "sizing": interconnection,
    "growth-answer": partial(answer, *GROWTH),
    "racks-answer": partial(answer, *RACKS),
    "failover-answer": partial(answer, *FAILOVER),
    "savings-answer": partial(answer, *SAVINGS),
    "refresh-answer": partial(answer, *REFRESH),
    "growth-study": partial(
        study_rows,
        "service",
        ["factor", "slo_loss", "ttft_p95_s", "tpot_p95_s", "trips"],
        *GROWTH_STUDY,
    ),
    "sizing-models": partial(
        study_rows, "node", ["model", "window_s", "peak_w", "mean_w", "nameplate_to_peak"], *SIZING
    ),
    "policies-study": partial(
        study_rows,
        "policies",
        [
            "policy",
            "site_peak_w",
            "over_limit_s",
            "trip_high",
            "capped_server_h",
            "slo_loss",
            "wh_per_1000_tokens",
        ],
        *POLICIES,
    ),
    "savings-lines": partial(study_rows, "lines", ["name", "value", "unit", "formula"], *WORTH),
    "story": story,
    "story-service": story_service,
}


def filled(page: str, tables: dict[str, str]) -> str:
    """The page with the given tables in place of those that it has."""
    return MARK.sub(
        lambda mark: (
            f"<!-- figures: {mark[1]} -->\n{tables[mark[1]]}" if mark[1] in tables else mark[0]
        ),
        page,
    )


def main() -> None:
    """Play, and write into every page that asks for a table."""
    unknown = [name for name in sys.argv[1:] if name not in MADE]
    if unknown:
        sys.exit(f"there is no {', '.join(unknown)}; there is {', '.join(MADE)}")
    for name in sys.argv[1:] or MADE:  # written one by one: a run that is cut off loses one
        table = MADE[name]()
        for page in PAGES:
            before = page.read_text(encoding="utf-8")
            after = filled(before, {name: table})
            if after != before:
                page.write_text(after, encoding="utf-8")
                print(f"wrote {name} in {page.relative_to(PROJECT)}", flush=True)


if __name__ == "__main__":
    main()
