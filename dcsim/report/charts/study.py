"""The charts of a study: those that it asks for, and what its tables add to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dcsim.errors import PlotError
from dcsim.report.charts.model import Axis, Bars, Chart, Heat, Line, Panel, Ranges, Rule
from dcsim.report.charts.print import save, to_figure
from dcsim.report.figure_names import format_figure, title_of
from dcsim.report.palette import LINES
from dcsim.report.study_file import (
    ColumnValues,
    PlotSpec,
    TableValues,
    read_study,
    read_tables,
)

MOST_BREACHES = 6
"""Breaches drawn into one chart: the first ones."""
MOST_LABELS = 16
MOST_LIMITS = 8
MOST_CELLS = 240
"""Cells of a heat map that have their figure written into them."""
MOST_SYMBOLS = 40
"""Points of a line that are marked."""
LONG = 40
"""A longer description is no title of an axis."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
BARE = re.compile(r"_(w|kw|wh|va|s|share|probability|fraction|attainment)$")


class Group(NamedTuple):
    """Rows that make one line."""

    name: str
    rows: list[int]


def plot_study(folder: Path, path: Path) -> None:
    """Draw the chart that the study puts first to `path`; its suffix is the format.

    Raises StudyPageError for a folder that is no study, PlotError where it has no chart or the
    format is unknown, OSError where the file cannot be written, MissingExtraError without
    matplotlib.
    """
    study = read_study(folder)
    charts = study_charts(study.plots, read_tables(folder, study), study.inputs)
    if not charts:
        raise PlotError(f"{folder}: the study has no picture; `dcsim report {folder}` shows it all")
    save(lambda: to_figure(charts[0]), path)


def study_charts(
    plots: Sequence[PlotSpec], tables: Sequence[TableValues], inputs: Mapping[str, Any]
) -> list[Chart]:
    """Those whose table, columns and rows are there, and racks against the chance of failing."""
    main, *others = [_chart(plot, tables) for plot in plots] or [None]
    return [chart for chart in (main, _failing(tables, inputs), *others) if chart is not None]


def table_named(tables: Sequence[TableValues], name: str) -> TableValues | None:
    """None where there is none."""
    return next((table for table in tables if table.name == name), None)


def _chart(plot: PlotSpec, tables: Sequence[TableValues]) -> Chart | None:
    table = table_named(tables, plot.table)
    if table is None:
        return None
    x = table.column(plot.x)
    ys = [column for name in plot.y if (column := table.column(name)) is not None]
    if x is None or not x.values or not ys:
        return None
    by = table.column(plot.by)
    if plot.kind == "heat":
        return _heat(plot.title, table, x, by, ys[0])
    joined = plot.kind in ("line", "step")
    if joined and len(set(x.values)) < 2:
        return None  # a single dot tells no more than its table
    groups, total = _groups(table, x, ys[0], ([by] if by else [])
                            + (_apart(table, x, by) if joined else []), joined)  # fmt: skip
    rules = _limits(table, plot)
    if plot.y == ["of_limit"]:
        rules.append(Rule(at=1.0, text="the limit", name="the limit"))
    # Columns of one unit share a panel, others stand below.
    units: dict[str, list[ColumnValues]] = {}
    for column in ys:
        units.setdefault(column.unit or column.name, []).append(column)
    panels = []
    for number, columns in enumerate(units.values()):
        traces = [
            _trace(plot.kind, table, x, column, group, place, len(groups), at, len(columns) > 1)
            for place, group in enumerate(groups)
            for at, column in enumerate(columns)
        ]
        if plot.kind == "bar" and len(traces) == 1 and len(x.values) <= MOST_LABELS:
            traces = [_labelled(traces[0], columns[0])]
        title = _words(columns[0]) if len(columns) == 1 else ""
        panels.append(Panel(
            traces=traces, rules=rules if number == 0 else (),
            y=Axis(title=title, unit=columns[0].unit, limits=_from_zero(columns)),
        ))  # fmt: skip
    marks = _breaches(tables, x.name) if joined else {}
    lows = [low for column in ys if (low := _bound(table, column, "low")) is not None]
    bounded = any(value is not None for low in lows for value in low.values)
    return Chart(
        title=plot.title, panels=panels, x=_across(x, ends=bool(marks)), rules=list(marks.values()),
        legend="shared" if len(groups) * max(map(len, units.values())) > 1 else "none",
        height=90 + len(panels) * (190 if len(panels) > 1 else 280),
        size=(6.8, 1.4 + 2.4 * len(panels)),
        note=_note(table, x, len(groups), total, (
            "Shades and whiskers: the interval given in the table." if bounded else "",
            "Dotted lines: where a limit is met, and when; shades: the interval of that."
            if marks else "",
        )),
        label=f"{plot.title}: {', '.join(map(_words, ys))} by {_words(x)}; "
        + "".join(f"{words}; " for words in marks)
        + f"the numbers are in the table {table.title}",
    )  # fmt: skip


def _trace(
    kind: str, table: TableValues, x: ColumnValues, column: ColumnValues, group: Group, place: int,
    groups: int, at: int, several: bool,
) -> Line | Bars:  # fmt: skip
    """One line or row of bars: a group's rows of one column."""
    number = place if groups > 1 else at
    words = _words(column) if several or not group.name else ""
    low, high = (
        None if bound is None else [bound.values[row] for row in group.rows]
        for bound in (_bound(table, column, "low"), _bound(table, column, "high"))
    )
    if low is None or high is None:
        low = high = None
    common: dict[str, Any] = {
        "x": [x.values[row] for row in group.rows],
        "y": [column.values[row] for row in group.rows],
        "name": ", ".join(filter(None, (group.name, words))),
        "colour": LINES[number % len(LINES)], "low": low, "high": high,
    }  # fmt: skip
    if kind == "bar":
        return Bars(**common)
    return Line(
        **common, width=1.8, dash="dash" if at and groups > 1 else "solid",
        shape="hv" if kind == "step" else "linear",
        symbol=SYMBOLS[number % len(SYMBOLS)] if len(group.rows) <= MOST_SYMBOLS else "",
    )  # fmt: skip


def _labelled(bars: Line | Bars, column: ColumnValues) -> Bars:
    labels = [format_figure(column.name, value, column.about) for value in bars.y]
    return Bars(x=bars.x, y=bars.y, colour=bars.colour, low=bars.low, high=bars.high, labels=labels)


def _from_zero(columns: Sequence[ColumnValues]) -> tuple[float, float | None]:
    """What is all nought would else be drawn on an axis to 100 %, or to -1."""
    if any(value for column in columns for value in column.values):
        return 0, None
    return 0, 0.01 if columns[0].unit == "share" else 1.0


def _across(x: ColumnValues, ends: bool = False) -> Axis:
    """The x axis of a column; with `ends` no longer than its values, whatever else is drawn."""
    known = [value for value in x.values if value is not None]
    if all(isinstance(value, int | float) for value in known):
        limits: tuple[float | None, float | None] = (None, None)
        if ends and known:
            pad = 0.04 * (max(known) - min(known)) or 1.0
            limits = (min(known) - pad, max(known) + pad)
        return Axis(title=_words(x), unit=x.unit, limits=limits)
    dates = all(DATE.match(str(value)) for value in known)
    return Axis(title=_words(x), kind="date" if dates else "category")


def _heat(
    title: str, table: TableValues, x: ColumnValues, by: ColumnValues | None, shade: ColumnValues
) -> Chart:
    down = by.values if by is not None else [""] * len(x.values)
    columns, rows = list(dict.fromkeys(x.values)), list(dict.fromkeys(down))
    z: list[list[Any]] = [[None] * len(columns) for _ in rows]
    for column, row, value in zip(x.values, down, shade.values, strict=True):
        z[rows.index(row)][columns.index(column)] = value
    labels = [[format_figure(shade.name, value, shade.about) for value in row] for row in z]
    heat = Heat(
        x=[format_figure(x.name, value, x.about) for value in columns], z=z, unit=shade.unit,
        rows=[format_figure(by.name, value, by.about) if by else "" for value in rows],
        labels=labels if len(rows) * len(columns) <= MOST_CELLS else None, title=_words(shade),
    )  # fmt: skip
    return Chart(
        title=title,
        panels=[Panel(traces=[heat])],
        x=Axis(title=_words(x), kind="category"),
        height=min(640, 110 + 30 * len(rows)),
        size=(6.8, min(8.0, 1.6 + 0.4 * len(rows))),
        label=f"{title}: the numbers are in the table {table.title}",
    )


def _groups(
    table: TableValues, x: ColumnValues, y: ColumnValues, keys: Sequence[ColumnValues], sort: bool
) -> tuple[list[Group], int]:
    """Rows by the line that they belong to, in order of x, the highest lines where there are many;
    and how many lines there are in all."""
    differ = [column for column in keys if len(set(column.values)) > 1]
    rows_of: dict[tuple[Any, ...], list[int]] = {}
    for row in range(len(x.values)):
        rows_of.setdefault(tuple(column.values[row] for column in differ), []).append(row)
    groups = [
        Group(", ".join(format_figure(column.name, value, column.about)
                        for column, value in zip(differ, key, strict=True)), rows)
        for key, rows in rows_of.items()
    ]  # fmt: skip
    if sort and all(isinstance(value, int | float) for value in x.values):
        for group in groups:
            group.rows.sort(key=lambda row: float(x.values[row]))
    if len(groups) <= len(LINES):
        return groups, len(groups)

    def top(group: Group) -> float:
        values = [y.values[row] for row in group.rows]
        return max((v for v in values if isinstance(v, int | float)), default=float("-inf"))

    highest = sorted(groups, key=top, reverse=True)[: len(LINES)]
    return [group for group in groups if group in highest], len(groups)


def _apart(table: TableValues, x: ColumnValues, by: ColumnValues | None) -> list[ColumnValues]:
    """Columns of text that tell rows of the same x apart: each combination is a line of its own.

    Without them several policies would be drawn as one line that jumps to and fro.
    """
    keys: list[tuple[Any, ...]] = list(zip(x.values, (by or x).values, strict=True))
    apart: list[ColumnValues] = []
    for column in table.columns:
        if len(set(keys)) == len(keys):
            break
        texts = all(isinstance(value, str) or value is None for value in column.values)
        if column in (x, by) or not texts:
            continue
        finer = [(*key, value) for key, value in zip(keys, column.values, strict=True)]
        if len(set(finer)) > len(set(keys)):
            keys, apart = finer, [*apart, column]
    return apart if len(set(keys)) == len(keys) else []


def _bound(table: TableValues, column: ColumnValues, end: str) -> ColumnValues | None:
    """The column of a figure's interval: `peak_w` has it in `peak_w_low`, `peak_low_w` or
    `peak_low`, `trip_probability` in `trip_low`."""
    names = (
        f"{column.name}_{end}",
        re.sub(r"_([a-z]+)$", rf"_{end}_\1", column.name),
        f"{BARE.sub('', column.name)}_{end}",
    )
    return next((bound for name in names if (bound := table.column(name)) is not None), None)


def _limits(table: TableValues, plot: PlotSpec) -> list[Rule]:
    rules = []
    limit = table.column(plot.limit)
    if limit is not None:
        values = dict.fromkeys(value for value in limit.values if value is not None)
        for number, value in enumerate(list(values)[:MOST_LIMITS]):
            text = "" if number else f"{_words(limit)} {format_figure(limit.name, value)}"
            rules.append(Rule(at=value, text=text))
    for name in plot.levels:
        level = table.column(name)
        value = next((value for value in table.values(name) if value is not None), None)
        if level is not None and value is not None:
            text = f"{_words(level)} {format_figure(name, value)}"
            rules.append(Rule(at=value, text=text, colour="s3", right=True))
    return rules


def _breaches(tables: Sequence[TableValues], x: str) -> dict[str, Rule]:
    """Where limits are met, by a sentence on each: of a table `breaches` with `node`, the x of the
    chart, `date`."""
    table = table_named(tables, "breaches")
    if table is None or not table.values("node"):
        return {}
    none: list[Any] = [None] * len(table.values(x))
    columns = (table.values(f"{x}_low") or none, table.values(f"{x}_high") or none,
               table.values("node"), table.values("date") or none)  # fmt: skip
    rows = [
        row
        for row in zip(table.values(x), *columns, strict=False)
        if isinstance(row[0], int | float)
    ]
    return {
        f"{node} meets its limit at {format_figure(x, at)}{f', {date}' if date else ''}": Rule(
            at=float(at), text=f"{node} {date or ''}".rstrip(), dash="dot", low=low, high=high
        )
        for at, low, high, node, date in sorted(rows, key=lambda row: float(row[0]))[:MOST_BREACHES]
    }


def _failing(tables: Sequence[TableValues], inputs: Mapping[str, Any]) -> Chart | None:
    """Of a table `candidates`: how likely a run fails, by count: the share that did, and its
    one-sided bound, which is what is held to the chance accepted."""
    table = table_named(tables, "candidates")
    accepted = inputs.get("max_trip")
    if table is None or not isinstance(accepted, int | float):  # not asked by counting
        return None
    x, low, high = (table.column(name) for name in ("count", "fail_low", "fail_high"))
    if x is None or low is None or high is None or not x.values:
        return None
    keys = [column for name in ("model", "policy") if (column := table.column(name)) is not None]
    groups, total = _groups(table, x, low, keys, sort=True)
    title = "Chance that a run fails, by how many there are"
    return Chart(
        title=title,
        panels=[Panel(
            traces=[
                Ranges(x=[x.values[row] for row in group.rows], name=group.name, colour=colour,
                       low=[low.values[row] for row in group.rows],
                       high=[high.values[row] for row in group.rows])
                for group, colour in zip(groups, LINES, strict=False)
            ],
            rules=[Rule(at=accepted, text=f"accepted {format_figure('fail_share', accepted)}")],
            y=Axis(title="chance", unit="share", limits=_from_zero([low, high])),
        )],
        x=_across(x, ends=True), legend="shared" if len(groups) > 1 else "none", height=370,
        note=_note(table, x, len(groups), total, (
            "Bars: the 95 % interval of the chance that a run fails, by a trip or by more than the "
            "continuous rating. Few runs leave it wide.",
        )),
        label=f"{title}; the numbers are in the table {table.title}",
    )  # fmt: skip


def _note(table: TableValues, x: ColumnValues, shown: int, total: int, more: Sequence[str]) -> str:
    cut = (
        f"The first {len(x.values):,} of {table.rows:,} rows." if table.rows > len(x.values) else ""
    )
    few = f"The {shown} highest of {total} lines." if total > shown else ""
    return " ".join(filter(None, (cut, few, *more)))


def _words(column: ColumnValues) -> str:
    """What a column is: its description where that is short, else its name."""
    short = 0 < len(column.about) <= LONG
    return column.about if short else title_of(column.name).lower()
