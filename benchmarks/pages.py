"""The figures of the README and the pages, played anew: `python -m benchmarks.pages [NAME ...]`.

A table, or a block of what is printed, stands in a page after `<!-- figures: NAME -->`. It comes
from the commands printed above it and from nothing else (`benchmarks.page_commands`): here stands
only how their JSON becomes a table. Names on the command line make only those; `--list` prints
each block's commands.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.page_commands import (
    MARK,
    PAGES,
    PROJECT,
    Command,
    Figures,
    Player,
    digest,
    figures_of,
    player,
)
from dcsim.report.answer import table_cell, table_head

Summary = dict[str, Any]
Cell = Callable[[Summary], str]
Maker = Callable[[Sequence[Command], Player], str]


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


def scaled(found: Summary) -> str:
    """What the first autoscaler did."""
    row = found["autoscale"][0]
    return f"{row['started']:,}, {row['stopped']:,}"


def hours_off(found: Summary) -> str:
    row = found["serving"][0]
    off = row["replicas"] - found["autoscale"][0]["mean_on"]
    return f"{off * found['simulated_s'] / 3600:,.0f}"


def limit(name: str, kind: str) -> Cell:
    """The highest figure of a node's limit as a share of it."""

    def cell(found: Summary) -> str:
        rows = [r for r in found["limits"] if r["node_kind"] == name and r["kind"] == kind]
        shares = [row["share"] for row in rows if row["share"] is not None]
        return f"{max(shares):.0%}".replace("%", " %") if shares else "unknown"

    return cell


PEAK = ("row's peak", node("row", "peak_w", 1e3, "kW"))
P99 = ("99th percentile", node("row", "p99_w", 1e3, "kW"))
MEAN = ("mean", node("row", "mean_w", 1e3, "kW"))
OVER = ("time above the rating", node("row", "time_over_limit_s", 1, "s"))
CONTINUOUS = ("highest mean over 3 h, of the allowance", limit("row", "continuous"))
TTFT = ("first token, p95", latency("ttft_s", "p95"))
E2E = ("whole answer, p95", latency("e2e_s", "p95"))
TRIPS = ("trips", events("trip"))
REJECTED = ("rejected", requests("rejected"))
COMPLETED = ("completed", requests("completed"))
CAPPED = ("server-hours under a limit", lambda found: f"{found['control']['capped_server_h']:.1f}")


TABLES: dict[str, tuple[str, list[tuple[str, Cell]]]] = {
    "racks": ("racks", [PEAK, P99, MEAN, OVER]),
    "racks-policy": ("racks, policy", [PEAK, OVER, TRIPS, CAPPED, TTFT, E2E]),
    "growth": ("traffic", [PEAK, P99, OVER, TRIPS, TTFT]),
    "routing": ("policy", [PEAK, MEAN, TTFT, E2E]),
    "hold": ("policy", [PEAK, OVER, REJECTED, CAPPED, TTFT, E2E]),
    "feed-loss": ("site", [TRIPS, ("failed", requests("failed")), REJECTED, COMPLETED, TTFT]),
    "launch": (
        "day",
        [PEAK, P99, MEAN, CONTINUOUS, TTFT, ("per token, p95", latency("tpot_s", "p95"))],
    ),
    "autoscale": (
        "replicas",
        [
            ("energy of the day", node("site", "energy_wh", 1e3, "kWh")),
            ("site's peak", node("site", "peak_w", 1e3, "kW")),
            ("replicas started, stopped", scaled),
            ("replica-hours off", hours_off),
            TTFT,
            E2E,
        ],
    ),
    "nameplate": ("power model", [PEAK, MEAN]),
}
"""Title of the first column, and the others: a row for each command, by its summary."""

STUDIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "growth-study": ("service", ("factor", "slo_loss", "ttft_p95_s", "tpot_p95_s", "trips")),
    "sizing-models": ("node", ("model", "window_s", "peak_w", "mean_w", "nameplate_to_peak")),
    "policies-study": (
        "policies",
        (
            *("policy", "site_peak_w", "over_limit_s", "trip_high", "capped_server_h"),
            *("slo_loss", "wh_per_1000_tokens"),
        ),
    ),
    "savings-lines": ("lines", ("name", "value", "unit", "formula")),
}
"""Table of a study's JSON, and the columns of it that are shown."""
ANSWERS = (
    *("growth-answer", "racks-answer", "failover-answer", "savings-answer", "refresh-answer"),
)
"""What a study says first."""


def table(name: str) -> Maker:
    """A row for each command: its label, and cells of the JSON that it prints."""
    first, columns = TABLES[name]

    def make(commands: Sequence[Command], player: Player) -> str:
        heads = [first, *(head for head, _ in columns)]
        lines = [heads, ["---"] * len(heads)]
        for command in commands:
            found = player.json(command)
            lines.append([command.label, *(cell(found) for _, cell in columns)])
            print(name, command.label, flush=True)
        return rows(lines)

    return make


def study_table(name: str) -> Maker:
    """Some columns of a study's table. Watts bring their unit."""
    key, columns = STUDIES[name]

    def make(commands: Sequence[Command], player: Player) -> str:
        (command,) = commands
        told = player.json(command)["tables"][key]
        lines = [[table_head(column) for column in columns], ["---"] * len(columns)]
        lines += [[table_cell(column, row[column]) for column in columns] for row in told]
        return rows(lines)

    return make


def answer(commands: Sequence[Command], player: Player) -> str:
    """What a study says first, as a block."""
    (command,) = commands
    return "\n".join(["```", *player.json(command)["headline"], "```", ""])


PARAGRAPHS = ("Load of", "Flags", "Watts:")
"""What of the text under the tables of a run is shown."""


def printed(commands: Sequence[Command], player: Player) -> str:
    """What a run ends with, as a block: loads, the limits nearest to being met, how busy the
    servers were, flags, and what the watts rest on."""
    (command,) = commands
    lines = [line.rstrip() for line in player.text(command).splitlines()]
    loads = _table(lines, "rating", "peak")
    limits = _table(lines, "limit of", "highest")
    told = [line for first in PARAGRAPHS for line in _paragraph(lines, first)]
    return "\n".join(["```", *loads, "", *limits, "", *told, "```", ""])


def _table(lines: Sequence[str], *heads: str) -> list[str]:
    """The lines of the printed table whose head has these words, up to an empty one."""
    start = next(i for i, line in enumerate(lines) if all(head in line for head in heads))
    return list(lines[start : next(i for i in range(start, len(lines)) if not lines[i])])


def _paragraph(lines: Sequence[str], first: str) -> list[str]:
    """A paragraph that begins so, with the lines that it goes on over: they end with a stop."""
    start = next(i for i, line in enumerate(lines) if line.startswith(first))
    end = next(i for i in range(start, len(lines)) if lines[i].endswith("."))
    return list(lines[start : end + 1])


def interconnection(commands: Sequence[Command], player: Player) -> str:
    """The site's figures at each averaging time."""
    (command,) = commands
    heads = ("averaging time", "peak", "load factor", "largest ramp up")
    lines = [[*heads, "coincidence of servers", "nameplate / peak"], ["---"] * 6]
    for row in player.json(command)["tables"]["node"]:
        window_s, ramp_kw = row["window_s"], _number(row["ramp_up_w"]) / 1e3
        together = _number(row["server_coincidence"])
        lines.append(
            [
                f"{window_s:g} s" if window_s < 60 else f"{window_s / 60:g} min",
                f"{row['peak_w'] / 1e3:.0f} kW",
                f"{row['load_factor']:.2f}",
                "unknown" if math.isnan(ramp_kw) else f"{ramp_kw:.{0 if ramp_kw >= 2 else 1}f} kW",
                "unknown" if math.isnan(together) else format(together, ".2f"),
                f"{row['nameplate_to_peak']:.1f}",
            ]
        )
    return rows(lines)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def rows(lines: Sequence[Sequence[str]]) -> str:
    """A table's lines, each ended."""
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


TOLD = (
    "fault",
    "dark",
    "overload",
    "predicted",
    "redundancy-lost",
    "trip",
    "reclosed",
    "restored",
    "repaired",
)


def story(commands: Sequence[Command], player: Player) -> str:
    """The flags of the feed loss, as a table."""
    with player.results(*commands) as results:
        flags = results.events()
    lines = ["| time | flag | node | what |", "| --- | --- | --- | --- |"]
    for flag in flags[flags.kind.isin(TOLD)].itertuples():
        node_name = flag.node.rsplit("/", 1)[-1]
        lines.append(f"| {flag.time_s:g} s | `{flag.kind}` | `{node_name}` | {flag.message} |")
    return "\n".join([*lines, ""])


def story_service(commands: Sequence[Command], player: Player) -> str:
    """What the feed loss was for those who asked, in three parts."""
    with player.results(*commands) as results:
        asked = results.requests()
        row = results.load_w("row")["utility/transformer/row-4"]
    lines = [
        "| asked in minutes | requests | failed | rejected | first token, median "
        "| per token, median | row 4, mean |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for start, end in ((0, 8), (8, 11), (11, 28), (35, 45)):
        part = asked[asked.arrival_s.between(60 * start, 60 * end)]
        load_w = row[(row.index > 60 * start) & (row.index <= 60 * end)].mean()
        ended = part.status.value_counts()
        lines.append(
            f"| {start} to {end} | {len(part):,} | {ended['failed']:,} | {ended['rejected']:,} "
            f"| {part.ttft_s.median():.2f} s | {part.tpot_s.median() * 1e3:.0f} ms "
            f"| {load_w / 1e3:.0f} kW |"
        )
    return "\n".join([*lines, ""])


MAKERS: dict[str, Maker] = {
    **{name: table(name) for name in TABLES},
    **{name: study_table(name) for name in STUDIES},
    **dict.fromkeys(ANSWERS, answer),
    "quickstart": printed,
    "sizing": interconnection,
    "story": story,
    "story-service": story_service,
}
"""How the figures of a name are made of what the commands above them say."""


def every() -> list[Figures]:
    """The blocks of all pages. Raises PageError."""
    return [found for page in PAGES for found in figures_of(page)]


def made(found: Figures) -> str:
    """The block that its commands give now."""
    with player() as own:
        return MAKERS[found.name](found.commands, own)


def filled(page: str, name: str, told: str, of: str) -> str:
    """The page with this block in place of the one of that name; `of` is the commands' digest."""
    return MARK.sub(
        lambda mark: f"<!-- figures: {name} {of} -->\n{told}" if mark[1] == name else mark[0], page
    )


def main() -> None:
    """Run the commands of each block, and write what they give below them."""
    blocks = every()
    known = {found.name for found in blocks}
    asked = [word for word in sys.argv[1:] if word != "--list"]
    unknown = [name for name in asked if name not in known]
    if unknown:
        sys.exit(f"there is no {', '.join(unknown)}; there is {', '.join(sorted(known))}")
    done: dict[str, tuple[str, str]] = {}
    for found in blocks:
        if asked and found.name not in asked:
            continue
        if "--list" in sys.argv:
            print(f"{found.page.relative_to(PROJECT)}: {found.name}")
            print("".join(f"  {command.text}\n" for command in found.commands), end="")
            continue
        of = digest(found.commands)
        if found.name not in done:
            done[found.name] = (of, made(found))
        elif done[found.name][0] != of:
            sys.exit(f"{found.name} stands below different commands in two pages")
        # Written one by one: a run that is cut off loses one.
        before = found.page.read_text(encoding="utf-8")
        after = filled(before, found.name, done[found.name][1], of)
        if after != before:
            found.page.write_text(after, encoding="utf-8")
            print(f"wrote {found.name} in {found.page.relative_to(PROJECT)}", flush=True)


if __name__ == "__main__":
    main()
