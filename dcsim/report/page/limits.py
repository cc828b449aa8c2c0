"""The limits of a run on its page: cards for contracts and ramps, and a table of them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from dcsim.facility.events import duration
from dcsim.facility.limit_words import kind_label, label, unjudged
from dcsim.report.limit_table import broken, sentence, shown
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
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(_line(row, start) for row in lines[:MOST_ROWS])
    more = len(lines) - MOST_ROWS
    rest = f'<p class="small">and {more:,} more.</p>' if more > 0 else ""
    return (
        f'<div class="card"><h3>Limits</h3><p class="small">{escape(sentence(rows))}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Limits, scrollable">'
        f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f"{rest}</div>"
    )


def _line(row: LimitRow, start: Start | None) -> str:
    over_s, at_s = row["over_s"], row["highest_at_s"]
    cells = (
        watts(row["limit_w"]),
        watts(row["highest_w"]),
        percent(row["share"]),
        UNKNOWN if at_s is None else when(at_s, start),
        UNKNOWN if over_s is None else "0 s" if over_s == 0.0 else duration(over_s),
        UNKNOWN if row["crossings"] is None else f"{row['crossings']:,}",
    )
    over = row["share"] is not None and row["share"] > 1.0
    shown_cells = "".join(f'<td class="n">{escape(cell)}</td>' for cell in cells)
    hot = ' class="hot"' if over else ""
    return (
        f"<tr{hot}><td>{escape(row['node'])}</td><td>{escape(kind_label(row))}</td>"
        f"{shown_cells}<td>{escape(row['rule'])}</td></tr>"
    )


def _of_limit(row: LimitRow) -> str:
    return f"{kind_label(row)} {watts(row['highest_w'])} of {watts(row['limit_w'])}"
