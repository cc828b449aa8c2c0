"""The page's section about the load: how busy each server group was, and what watts stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from dcsim.report.page.trust import badge
from dcsim.report.text import UNKNOWN, percent, watts
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


def busy(summary: Mapping[str, Any]) -> str:
    """HTML: a table of the server groups, the whole site last."""
    rows: Sequence[Mapping[str, Any]] = summary.get("serving") or ()
    if not rows:
        return '<div class="card"><p class="small">The file does not say.</p></div>'
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in HEADS)
    shown = rows if len(rows) > 2 else rows[:1]
    body = "".join(_row(row) for row in shown)
    return (
        f'<div class="card"><div class="scroll"><table class="plain"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
        '<p class="small">Means over replicas that are on, and over time. Capacity: the highest '
        "rate of such requests that keeps the SLO, estimated from the time of an iteration. "
        "Watts at another load are other watts.</p></div>"
    )


def _row(row: Mapping[str, Any]) -> str:
    binds = row["capacity_binds"]
    cells = (
        f"{row['replicas']:,}",
        _number(row["running_mean"]),
        _number(row["running_p95"]),
        percent(row["batch_share"]),
        percent(row["kv_mean"]),
        percent(row["kv_max"]),
        _number(row["decode_tokens_per_s_server"]),
        percent(row["idle_share"]),
        _number(row["requests_per_s"]),
        percent(row["share_of_capacity"]),
        _number(row["capacity_per_s"]),
    )
    numbers = "".join(f"<td class='n'>{cell}</td>" for cell in cells)
    slo = UNKNOWN if row["slo"] is None else slo_text(row["slo"])
    return (
        f"<tr><td>{escape(str(row['group'] or 'whole site'))}</td>{numbers}"
        f"<td>{escape(BINDS.get(binds, UNKNOWN))}</td><td>{escape(slo)}</td></tr>"
    )


def watts_by_part(evidence: Mapping[str, Any]) -> str:
    """HTML: the parts of the site's mean watts with their evidence; nothing where unknown."""
    if not evidence or evidence["mean_w"] is None:
        return ""
    body = "".join(
        f"<tr><td>{escape(part['what'])}{_of_group(part['group'])}</td>"
        f"<td class='n'>{watts(part['mean_w'])}</td>"
        f"<td class='n'>{percent(part['mean_w'] / evidence['mean_w'])}</td>"
        f"<td>{badge(part['evidence'])}</td><td>{escape(part['source'])}</td></tr>"
        for part in evidence["parts"]
    )
    heads = ("part", "mean", "share", "evidence", "source")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        f'<div class="card"><h3>What the watts stand on: {escape(evidence["text"])}</h3>'
        f'<div class="scroll"><table class="plain"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></div>"
    )


def _of_group(group: str | None) -> str:
    return "" if group is None else f" of {escape(group)}"


def _number(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"
