"""The limits of a run as a table: those not kept, and of each kind the one nearest to its limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from dcsim.facility.events import duration
from dcsim.facility.limit_words import kind_label, unjudged
from dcsim.facility.tally import LIMIT_KINDS
from dcsim.report.text import UNKNOWN, percent, watts, when
from dcsim.scenario.start import Start

BROKEN_SHOWN = 12
"""Further limits that were not kept are counted."""
LimitRow = Mapping[str, Any]
KIND_NAMES = {
    "rating": ("rating", "ratings"),
    "continuous": ("continuous allowance", "continuous allowances"),
    "demand": ("demand limit", "demand limits"),
    "ramp": ("ramp limit", "ramp limits"),
}
"""One limit of a kind, and several."""


def shown(rows: Sequence[LimitRow]) -> list[LimitRow]:
    """The rows worth a line: what somebody wrote down as a contract or a ramp, always; of ratings
    and continuous allowances those not kept, the worst first, or else the nearest of each kind."""
    lines: list[LimitRow] = [row for row in rows if row["kind"] in ("demand", "ramp")]
    for kind in ("continuous", "rating"):
        same = [row for row in rows if row["kind"] == kind and row["share"] is not None]
        same.sort(key=lambda row: -row["share"])
        broken = [row for row in same if row["share"] > 1.0]
        lines += broken or same[:1]
    return lines


def broken(rows: Sequence[LimitRow]) -> list[LimitRow]:
    """The limits that were not kept, contracts first, the worst first."""
    order = {kind: at for at, kind in enumerate(("demand", "ramp", "continuous", "rating"))}
    over = [row for row in rows if row["share"] is not None and row["share"] > 1.0]
    return sorted(over, key=lambda row: (order[row["kind"]], -row["share"]))


def sentence(rows: Sequence[LimitRow]) -> str:
    """How many limits were kept, and how many of each kind were not."""
    judged = [row for row in rows if row["share"] is not None]
    over = broken(rows)
    open_ = len(rows) - len(judged)
    windows = "its window" if open_ == 1 else "their windows"
    rest = f"; {open_:,} could not be judged: the run is too short for {windows}" if open_ else ""
    if not rows:
        return "Limits: the scenario gives none."
    if not over:
        if not judged:
            return f"Limits: {rest[2:]}."
        kept = "the one that was judged was" if len(judged) == 1 else f"all {len(judged):,} were"
        return f"Limits: {kept} kept{rest}."
    counts = ", ".join(
        f"{count:,} {KIND_NAMES[kind][count != 1]}"
        for kind in LIMIT_KINDS
        if (count := sum(row["kind"] == kind for row in over))
    )
    return f"Limits: {len(over):,} of {len(judged):,} were NOT kept ({counts}){rest}."


def limit_table(rows: Sequence[LimitRow], start: Start | None, wide: bool) -> Table | None:
    """The table, or None where there is nothing to tell."""
    lines = shown(rows)
    if not lines:
        return None
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("limit of")
    table.add_column("kind", no_wrap=not wide)
    columns = ("limit", "highest", "of limit", "at", "time above", "times")
    for name in columns if wide else columns[:5]:
        table.add_column(name, justify="right", no_wrap=True)
    over = sum(row["share"] is not None and row["share"] > 1.0 for row in lines)
    left = 0
    over_count = 0
    for row in lines:
        if row["share"] is not None and row["share"] > 1.0:
            over_count += 1
            if over_count > BROKEN_SHOWN:
                left = over - BROKEN_SHOWN
                continue
        limit, highest, of_limit, *rest = limit_cells(row, start)
        style = "" if row["share"] is None else "red" if row["share"] > 1.0 else "green"
        cells: list[str | Text] = [limit, highest, Text(of_limit, style), *rest]
        table.add_row(Text(row["node"]), kind_label(row), *cells[: len(table.columns) - 2])
    if left:
        table.caption = f"and {left:,} more that were not kept"
        table.caption_justify = "left"
    return table


def notes(rows: Sequence[LimitRow]) -> list[str]:
    """Sentences on limits that could not be judged."""
    return [
        f"Not judged: {unjudged(row)}."
        for row in rows
        if row["share"] is None and row["kind"] in ("demand", "ramp")
    ]


def limit_cells(row: LimitRow, start: Start | None) -> tuple[str, ...]:
    """A row's figures in words: limit, highest, of limit, at, time above, times."""
    at_s, over_s = row["highest_at_s"], row["over_s"]
    return (
        watts(row["limit_w"]),
        watts(row["highest_w"]),
        percent(row["share"]),
        UNKNOWN if at_s is None else when(at_s, start),
        UNKNOWN if over_s is None else "0 s" if over_s == 0.0 else duration(over_s),
        UNKNOWN if row["crossings"] is None else f"{row['crossings']:,}",
    )
