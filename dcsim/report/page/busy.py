"""The page's section about the load: how busy each server group was, and what watts stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcsim.report.page.parts import badge, card, html_table
from dcsim.report.text import UNKNOWN, number, percent, watts
from dcsim.results.shares import BINDS, slo_text

HEADS = (
    "server group",
    "replicas",
    "requests running a replica",
    "p95",
    "of max_num_seqs",
    "KV cache",
    "highest",
    "tokens/s a server",
    "idle",
    "requests/s",
    "of its capacity",
    "capacity, requests/s",
    "what binds",
    "within",
)
ABOUT = (
    '<p class="small">Means over replicas that are on, and over time. Capacity: the highest '
    "rate of such requests that keeps the SLO, estimated from the time of an iteration. "
    "Watts at another load are other watts.</p>"
)


def busy(summary: Mapping[str, Any]) -> str:
    """HTML: a table of the server groups, the whole site last."""
    rows: Sequence[Mapping[str, Any]] = summary.get("serving") or ()
    if not rows:
        return card('<p class="small">The file does not say.</p>')
    shown = rows if len(rows) > 2 else rows[:1]
    return card(html_table(HEADS, map(_row, shown), range(1, 12)) + ABOUT)


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(row["group"] or "whole site"),
        f"{row['replicas']:,}",
        number(row["running_mean"]),
        number(row["running_p95"]),
        percent(row["batch_share"]),
        percent(row["kv_mean"]),
        percent(row["kv_max"]),
        number(row["decode_tokens_per_s_server"]),
        percent(row["idle_share"]),
        number(row["requests_per_s"]),
        percent(row["share_of_capacity"]),
        number(row["capacity_per_s"]),
        BINDS.get(row["capacity_binds"], UNKNOWN),
        UNKNOWN if row["slo"] is None else slo_text(row["slo"]),
    )


def watts_by_part(evidence: Mapping[str, Any]) -> str:
    """HTML: the parts of the site's mean watts with their evidence; nothing where unknown."""
    if not evidence or evidence["mean_w"] is None:
        return ""
    rows = [
        (
            part["what"] + ("" if part["group"] is None else f" of {part['group']}"),
            watts(part["mean_w"]),
            percent(part["mean_w"] / evidence["mean_w"]),
            badge(part["evidence"]),
            part["source"],
        )
        for part in evidence["parts"]
    ]
    heads = ("part", "mean", "share", "evidence", "source")
    return card(html_table(heads, rows, (1, 2)), f"What the watts stand on: {evidence['text']}")
