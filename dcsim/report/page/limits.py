"""The limits of a run on its page: cards for contracts and ramps, and a table of them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from dcsim.facility.events import duration
from dcsim.facility.limit_words import kind_label, label, unjudged
from dcsim.report.limit_table import broken, limit_cells, sentence, shown
from dcsim.report.page.parts import card, html_table
from dcsim.report.redundancy_words import lost, redundancy_line
from dcsim.report.text import UNKNOWN, percent, watts, when
from dcsim.scenario.start import Start

MOST_CARDS = 4
MOST_ROWS = 40
LimitRow = Mapping[str, Any]
Tile = tuple[str, str, str]
"""Name, value, note."""


def stated(rows: Sequence[LimitRow], node: str) -> str:
    """What is limited at a node without a rating, in words; empty where nothing is."""
    return ", ".join(label(row) for row in rows if row["node"] == node and row["kind"] == "demand")


def cards(rows: Sequence[LimitRow], start: Start | None) -> list[Tile]:
    """The nearest limit of all, how many were not kept, and each contract and ramp."""
    judged = [row for row in rows if row["share"] is not None]
    tiles: list[Tile] = []
    if judged:
        worst = max(judged, key=lambda row: row["share"])
        what = "Farthest over its limit" if worst["share"] > 1.0 else "Nearest to its limit"
        tiles.append((what, percent(worst["share"]), f"{worst['node']}: {_of_limit(worst)}"))
    if rows:
        over = broken(rows)
        text = sentence(rows).partition(": ")[2]
        tiles.append(("Limits not kept", f"{len(over):,} of {len(judged):,}", text))
    written = [row for row in rows if row["kind"] in ("demand", "ramp")]
    written.sort(key=lambda row: -(row["share"] or 0.0))
    for row in written[:MOST_CARDS]:
        name = f"Highest {kind_label(row)}, {row['node']}"
        if row["share"] is None:
            tiles.append((name, UNKNOWN, unjudged(row)))
            continue
        kept = "kept" if row["share"] <= 1.0 else f"NOT kept, above for {duration(row['over_s'])}"
        note = f"{percent(row['share'])} of {watts(row['limit_w'])}, at "
        tiles.append(
            (name, watts(row["highest_w"]), f"{note}{when(row['highest_at_s'], start)}: {kept}")
        )
    return tiles


def paired(rows: Sequence[Mapping[str, Any]], start: Start | None) -> list[Tile]:
    """N-1 of paired feeds; nothing where there are none."""
    text = redundancy_line(rows, start)
    if not text:
        return []
    worst = (lost(rows) or [row for row in rows if row["would_carry_w"] is not None])[0]
    value = percent(worst["would_carry_w"] / worst["limit_w"])
    return [("Survivor, one feed lost", value, text)]


def table(rows: Sequence[LimitRow], start: Start | None) -> str:
    """The limits worth a line, as HTML; nothing where there are none."""
    lines = shown(rows)
    if not lines:
        return ""
    heads = ("limit of", "kind", "limit", "highest", "of limit", "at", "time above", "times", "by")
    cells = [
        (row["node"], kind_label(row), *limit_cells(row, start), row["rule"])
        for row in lines[:MOST_ROWS]
    ]
    hot = {i for i, row in enumerate(lines) if row["share"] is not None and row["share"] > 1.0}
    more = len(lines) - MOST_ROWS
    rest = f'<p class="small">and {more:,} more.</p>' if more > 0 else ""
    note = f'<p class="small">{escape(sentence(rows))}</p>'
    return card(f"{note}{html_table(heads, cells, range(2, 8), hot)}{rest}", "Limits")


def _of_limit(row: LimitRow) -> str:
    return f"{kind_label(row)} {watts(row['highest_w'])} of {watts(row['limit_w'])}"
