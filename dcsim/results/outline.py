"""Results at a glance: one line for a prompt, a small table for a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcsim.results.results import Results

MOST_ROWS = 12
"""Rows of the table: the fullest nodes; `Results.summary` has all."""


def text(results: Results) -> str:
    """One line: file, time, requests, and the highest load of the top node."""
    summary: Any = results.summary
    parts = [_time(summary), _requests(summary)]
    if summary.get("nodes"):
        top = summary["nodes"][0]
        parts.append(f"{top['name']} peak {_kilowatts(top['peak_w'])}")
    trips = (summary.get("events") or {}).get("trip", 0)
    parts.append(f"{trips} trip{'s' if trips != 1 else ''}")
    if not results.is_open:
        parts.append("closed")
    return f"<Results {results.path.name}: {', '.join(parts)}>"


def html(results: Results) -> str:
    """The line, and a table of the nodes above the servers, fullest first, with their loads."""
    nodes = [node for node in results.summary["nodes"] if node["kind"] != "server"]
    nodes.sort(key=lambda node: -(_share(node) or 0.0))  # stable: the site first among equals
    head = ("node", "kind", "rating", "peak", "p99", "mean", "peak of rating")
    rows = [
        "".join(f"<td>{escape(cell)}</td>" for cell in _cells(node)) for node in nodes[:MOST_ROWS]
    ]
    more = len(nodes) - len(rows)
    below = f"<p>and {more} nodes more, in <code>summary['nodes']</code></p>" if more > 0 else ""
    return (
        f"<p><b>{escape(results.path.name)}</b>: {escape(_time(results.summary))}, "
        f"{escape(_requests(results.summary))}</p><table><thead><tr>"
        + "".join(f"<th>{name}</th>" for name in head)
        + "</tr></thead><tbody>"
        + "".join(f"<tr>{row}</tr>" for row in rows)
        + f"</tbody></table>{below}"
    )


def _cells(node: Any) -> list[str]:
    share = _share(node)
    loads = [_kilowatts(node.get(key)) for key in ("limit_w", "peak_w", "p99_w", "mean_w")]
    return [node["name"], node["kind"], *loads, "–" if share is None else f"{share:.0%}"]


def _share(node: Any) -> float | None:
    limit_w, peak_w = node.get("limit_w"), node.get("peak_w")
    return peak_w / limit_w if limit_w and peak_w is not None else None


def _time(summary: Any) -> str:
    return f"{summary.get('simulated_s', 0.0):,g} s, seed {summary.get('seed')}"


def _requests(summary: Any) -> str:
    counts = summary.get("requests") or {}
    return f"{counts.get('completed', 0):,} of {counts.get('arrived', 0):,} requests completed"


def _kilowatts(watts: float | None) -> str:
    return "–" if watts is None else f"{watts / 1e3:,.1f} kW"
