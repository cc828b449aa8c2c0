"""The main picture of a study's folder, with matplotlib, for papers and slides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dcsim.report.page.figure_names import format_figure, title_of, unit_of
from dcsim.report.page.pictures import column, pictures
from dcsim.report.page.study_file import read_study, read_table
from dcsim.report.plots import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    PlotError,
    drawn,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCALES = {"w": ("kW", 1e-3), "kw": ("kW", 1.0), "wh": ("kWh", 1e-3), "va": ("kVA", 1e-3),
          "share": ("%", 100.0), "s": ("s", 1.0)}  # fmt: skip
COLOURS = (BLUE, GREEN, PURPLE, SKY, "#4d5660", "#b8a400", GREY)
"""Of lines and bars; limits have the reds."""
MOST_LINES = len(COLOURS)
LONG = 40
WIDE = (6.8, 3.8)


def plot_study(folder: Path, path: Path) -> None:
    """Draw the picture that the study puts first to `path`; its suffix is the format.

    Raises StudyPageError for a folder that is no study, PlotError where it has no picture or the
    format is unknown, OSError where the file cannot be written, ImportError without matplotlib.
    """
    study = read_study(folder)
    tables = [read_table(folder, table) for table in study.tables]
    plots = pictures(study.plots, tables, study.inputs)
    if not plots:
        raise PlotError(f"{folder}: the study has no picture; `dcsim report {folder}` shows it all")
    plot = plots[0]
    table = tables[plot["table"]]
    draw = _heat if plot["kind"] == "heat" else _lines

    def figure() -> Figure:
        from matplotlib.figure import Figure

        made = Figure(figsize=WIDE)
        axis = made.subplots()
        draw(axis, plot, table)
        axis.set_title(_plain(plot["title"]))
        return made

    drawn(figure, path)


def _lines(axis: Axes, plot: dict[str, Any], table: dict[str, Any]) -> None:
    x = column(table, plot["x"]) or []
    groups = _groups(plot, table)
    y = plot["y"][0]
    unit, scale = SCALES.get(_unit(table, y), ("", 1.0))
    names = list(dict.fromkeys(map(str, x)))
    numbers = all(isinstance(value, int | float) for value in x)
    values = column(table, y) or []
    for at, (name, rows) in enumerate(groups[:MOST_LINES]):
        known = [i for i in rows if isinstance(values[i], int | float)]
        heights = [scale * values[i] for i in known]
        colour = COLOURS[at]
        if plot["kind"] == "bar":
            width = 0.8 / max(1, min(len(groups), MOST_LINES))
            places = [names.index(str(x[i])) + (at + 0.5) * width - 0.4 for i in known]
            bars = axis.bar(places, heights, width=0.92 * width, color=colour, label=_plain(name))
            axis.bar_label(bars, fmt=_short, fontsize=7, padding=2)
            continue
        places = [x[i] if numbers else names.index(str(x[i])) for i in known]
        if numbers:
            order = np.argsort(places, kind="stable")
            places, heights = [places[k] for k in order], [heights[k] for k in order]
        axis.plot(places, heights, marker="o", markersize=3.5, color=colour, label=_plain(name),
                  drawstyle="steps-post" if plot["kind"] == "step" else "default")  # fmt: skip
    lines = [(plot["limit"], VERMILION), *((name, ORANGE) for name in plot["levels"])]
    for name, colour in lines:
        limits = dict.fromkeys(v for v in column(table, name) or [] if v is not None)
        for number, value in enumerate(limits):
            text = _plain(f"{title_of(name).lower()} {format_figure(name, value)}")
            axis.axhline(scale * value, color=colour, linestyle="--", linewidth=1,
                         label="_" if number else text)  # fmt: skip
    if plot["level"] is not None:
        axis.axhline(scale * plot["level"], color=VERMILION, linestyle="--", linewidth=1,
                     label="limit")  # fmt: skip
    for mark in plot["marks"]:
        if numbers:
            axis.axvline(mark["x"], color=GREY, linestyle=":", linewidth=1)
            text = _plain(f" {mark['node']} {mark['date'] or ''}".rstrip())
            place = ("data", "axes fraction")
            axis.annotate(text, (mark["x"], 0.02), xycoords=place, fontsize=7)
    if not numbers:
        axis.set_xticks(range(len(names)), [_plain(name) for name in names])
        axis.grid(axis="x", visible=False)
    axis.set_xlabel(_words(table, plot["x"]))
    axis.set_ylabel(_plain(f"{title_of(y).lower()}{f', {unit}' if unit else ''}"))
    low, high = axis.get_ylim()
    axis.set_ylim(min(0.0, low), high * 1.05)
    handles, labels = axis.get_legend_handles_labels()
    if len(labels) > 1:
        axis.legend(handles, labels, fontsize=7.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _heat(axis: Axes, plot: dict[str, Any], table: dict[str, Any]) -> None:
    across = list(map(str, column(table, plot["x"]) or []))
    by = column(table, plot["by"][0]) if plot["by"] else None
    down = list(map(str, by or [""] * len(across)))
    xs, ys = list(dict.fromkeys(across)), list(dict.fromkeys(down))
    unit, scale = SCALES.get(_unit(table, plot["y"][0]), ("", 1.0))
    grid = np.full((len(ys), len(xs)), np.nan)
    for column_name, row_name, value in zip(
        across, down, column(table, plot["y"][0]) or [], strict=True
    ):
        if isinstance(value, int | float):
            grid[ys.index(row_name), xs.index(column_name)] = scale * value
    image = axis.imshow(grid, aspect="auto", cmap="cividis")
    axis.set_xticks(range(len(xs)), [_plain(name) for name in xs])
    axis.set_yticks(range(len(ys)), [_plain(name) for name in ys])
    axis.grid(visible=False)
    axis.set_xlabel(_words(table, plot["x"]))
    text = f"{title_of(plot['y'][0]).lower()}{f', {unit}' if unit else ''}"
    axis.figure.colorbar(image, ax=axis, label=_plain(text), pad=0.01)


def _groups(plot: dict[str, Any], table: dict[str, Any]) -> list[tuple[str, list[int]]]:
    """Rows by the line that they belong to."""
    keys = [column(table, name) or [] for name in [*plot["by"], *plot["apart"]]]
    keys = [values for values in keys if len(set(values)) > 1]
    groups: dict[str, list[int]] = {}
    for i in range(len(column(table, plot["x"]) or [])):
        name = ", ".join(str(values[i]) for values in keys) or title_of(plot["y"][0]).lower()
        groups.setdefault(name, []).append(i)
    return list(groups.items())


def _words(table: dict[str, Any], name: str) -> str:
    """What a column is: its description where that is short, else its name."""
    about = next((c["about"] for c in table["columns"] if c["name"] == name), "")
    return _plain(about if 0 < len(about) <= LONG else title_of(name).lower())


def _unit(table: dict[str, Any], name: str) -> str:
    about = next((c["about"] for c in table["columns"] if c["name"] == name), "")
    return unit_of(name, about)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _plain(name: Sequence[Any] | str) -> str:
    """A name is no formula: matplotlib sets what stands between dollars."""
    return str(name).replace("$", r"\$")
