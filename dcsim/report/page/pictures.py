"""What the pictures of a study show: those that it asks for, and what its tables add to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcsim.report.page.study_file import PlotSpec

MOST_BREACHES = 6
"""Breaches drawn into one picture: the first ones."""

Table = Mapping[str, Any]


def pictures(
    plots: Sequence[PlotSpec], tables: Sequence[Table], inputs: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Those whose table, columns and rows are there, and racks against the chance of failing."""
    main, *others = [_picture(plot, tables) for plot in plots] or [None]
    chosen = [main, _failing(tables, inputs), *others]
    return [plot for plot in chosen if plot is not None]


def column(table: Table, name: str | None) -> list[Any] | None:
    """The values of a column; None where there is none of that name."""
    return next((c["values"] for c in table["columns"] if c["name"] == name), None)


def table_named(tables: Sequence[Table], name: str) -> Table | None:
    """None where there is none."""
    return next((table for table in tables if table["name"] == name), None)


def _picture(plot: PlotSpec, tables: Sequence[Table]) -> dict[str, Any] | None:
    table = table_named(tables, plot.table)
    if table is None:
        return None
    x = column(table, plot.x)
    y = [name for name in plot.y if column(table, name) is not None]
    if not x or not y:
        return None
    if plot.kind in ("line", "step") and len(set(x)) < 2:
        return None  # a single dot tells no more than its table
    by = plot.by if column(table, plot.by) is not None else None
    return {
        "table": tables.index(table),
        "title": plot.title,
        "kind": plot.kind,
        "x": plot.x,
        "y": y,
        "by": [by] if by else [],
        "apart": _apart(table, plot.x, by) if plot.kind in ("line", "step") else [],
        "limit": plot.limit if column(table, plot.limit) is not None else None,
        "levels": [name for name in plot.levels if column(table, name) is not None],
        "level": 1.0 if y == ["of_limit"] else None,
        "marks": _breaches(tables, plot.x) if plot.kind in ("line", "step") else [],
    }


def _apart(table: Table, x: str, by: str | None) -> list[str]:
    """Columns of text that tell rows of the same x apart: each combination is a line of its own.

    Without them several policies would be drawn as one line that jumps to and fro.
    """
    keys: list[tuple[Any, ...]] = list(
        zip(column(table, x) or [], column(table, by) or column(table, x) or [], strict=True)
    )
    apart: list[str] = []
    for part in table["columns"]:
        if len(set(keys)) == len(keys):
            break
        texts = all(isinstance(value, str) or value is None for value in part["values"])
        if part["name"] in (x, by) or not texts:
            continue
        finer = [(*key, value) for key, value in zip(keys, part["values"], strict=True)]
        if len(set(finer)) > len(set(keys)):
            keys, apart = finer, [*apart, part["name"]]
    return apart if len(set(keys)) == len(keys) else []


def _breaches(tables: Sequence[Table], x: str) -> list[dict[str, Any]]:
    """Where limits are met: of a table `breaches` with `node`, the x of the picture, `date`."""
    table = table_named(tables, "breaches")
    if table is None:
        return []
    at, nodes = column(table, x), column(table, "node")
    if at is None or nodes is None:
        return []
    none: list[Any] = [None] * len(at)
    low, high = column(table, f"{x}_low") or none, column(table, f"{x}_high") or none
    dates = column(table, "date") or none
    marks = [
        {"x": value, "low": low[i], "high": high[i], "node": str(nodes[i]), "date": dates[i]}
        for i, value in enumerate(at)
        if isinstance(value, int | float)
    ]
    return sorted(marks, key=lambda row: float(row["x"]))[:MOST_BREACHES]


def _failing(tables: Sequence[Table], inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of a table `candidates`: how likely a run fails, by count: the share that did, and its
    one-sided bound, which is what is held to the chance accepted."""
    table = table_named(tables, "candidates")
    if table is None or not all(column(table, n) for n in ("count", "fail_low", "fail_high")):
        return None
    accepted = inputs.get("max_trip")
    if not isinstance(accepted, int | float):  # not asked by counting
        return None
    return {
        "table": tables.index(table),
        "title": "Chance that a run fails, by how many there are",
        "kind": "interval",
        "x": "count",
        "y": ["fail_low", "fail_high"],
        "by": [name for name in ("model", "policy") if column(table, name) is not None],
        "apart": [],
        "limit": None,
        "levels": [],
        "level": float(accepted),
        "marks": [],
    }
