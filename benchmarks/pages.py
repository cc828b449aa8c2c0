"""The figures of the question pages and of the README, played anew: `python -m benchmarks.pages`.

A table stands in a page after `<!-- figures: NAME -->`; it ends at the first blank line. Tables
are made here, so that a page never tells of another version's watts. Some three minutes on two
cores; names on the command line make only those tables.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dcsim

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
MARK = re.compile(r"^<!-- figures: ([\w-]+) -->\n(?:\|.*\n)*", re.MULTILINE)

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


def racks(count: int) -> list[str]:
    """So many racks, each with its share of the quickstart's traffic."""
    return [f"facility.rack.count={count}", f"{RATE}={23 * count / 57:.6g} req/s"]


THROTTLE = "control=[{policy: admission-throttle, nodes: row, above: 0.98, below: 0.92}]"

TABLES: dict[str, tuple[str, list[Run], list[tuple[str, Cell]]]] = {
    "racks": (
        "racks",
        [(str(n), QUICK, racks(n), "20 min") for n in (23, 45, 50, 54, 57, 60)],
        [PEAK, P99, MEAN, OVER],
    ),
    "growth": (
        "traffic",
        [
            (f"{f:.0%}", QUICK, [f"{RATE}={23 * f:.6g} req/s"], "20 min")
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
        "traffic, policy",
        [
            ("130 %, none", QUICK, [f"{RATE}=29.9 req/s"], "20 min"),
            ("130 %, `admission-throttle`", QUICK, [f"{RATE}=29.9 req/s", THROTTLE], "20 min"),
        ],
        [PEAK, OVER, REJECTED, COMPLETED, TTFT],
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
            ("`nameplate`", QUICK, ["servers.a100.power.model=nameplate"], "10 min"),
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
        loaded = dcsim.load(PROJECT / f"scenarios/{scenario}.yaml", overrides, duration=duration)
        with dcsim.simulate(loaded) as results:
            lines.append([label, *(cell(results.summary) for _, cell in columns)])
        print(name, label, flush=True)
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


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
    wanted = sys.argv[1:] or list(TABLES)
    tables = {name: table(name) for name in wanted}
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = filled(before, tables)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"wrote {page.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
