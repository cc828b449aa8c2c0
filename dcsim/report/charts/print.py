"""A chart as a matplotlib figure, for papers and slides. Needs the extra `plots`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.errors import PlotError
from dcsim.extras import optional
from dcsim.report.charts.model import Bars, Chart, Heat, Line, Panel, Ranges, Rule, Values
from dcsim.report.palette import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: Any = {
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LIGHT["s6"],
    "axes.grid": True,
    "grid.color": LIGHT["grid"],
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "figure.autolayout": True,
    "svg.hashsalt": "dcsim",
    "pdf.fonttype": 42,
}
SCALES = {"w": ("kW", 1e-3), "kw": ("kW", 1.0), "wh": ("kWh", 1e-3), "va": ("kVA", 1e-3),
          "share": ("%", 100.0), "s": ("s", 1.0)}  # fmt: skip
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
DRAWSTYLES: dict[str, Any] = {"linear": "default", "hv": "steps-post", "vh": "steps-pre"}
FILL_STEPS: dict[str, Any] = {"linear": None, "hv": "post", "vh": "pre"}
MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "x": "x", "cross": "P"}
MOST_NAMES = 20
"""Rows of a heat map with a name beside them; of more, some are named."""


def save(make: Callable[[], Figure], path: Path) -> None:
    """Write a figure to `path`; its suffix is the format. Raises PlotError for an unknown one,
    OSError where the file cannot be written, MissingExtraError without matplotlib."""
    mpl = optional("matplotlib", "a picture")
    from matplotlib.figure import Figure

    suffix = path.suffix.lstrip(".").lower()
    known = Figure().canvas.get_supported_filetypes()
    if suffix not in known:
        raise PlotError(f"no format {path.suffix or '(none)'!r}; there is {', '.join(known)}")
    with mpl.rc_context(STYLE):
        figure = make()
        # Without a date, the same results give the same file.
        dated = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(suffix)
        figure.savefig(path, dpi=200, metadata=dated)


def to_figure(*charts: Chart) -> Figure:
    """Charts above each other as one matplotlib figure, in the style of `STYLE`."""
    mpl = optional("matplotlib", "a picture")
    from matplotlib.figure import Figure

    heights = [chart.size[1] / len(chart.panels) for chart in charts for _ in chart.panels]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(charts[0].size[0], sum(heights)))
        ratios = {"height_ratios": heights}
        axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw=ratios)[:, 0]
        first = 0
        for chart in charts:
            _chart(chart, list(axes[first : first + len(chart.panels)]))
            first += len(chart.panels)
        return figure


def _chart(chart: Chart, axes: Sequence[Axes]) -> None:
    across = _Across(chart)
    for axis, panel in zip(axes, chart.panels, strict=True):
        if axis is not axes[-1]:
            axis.sharex(axes[-1])
            axis.tick_params(labelbottom=False)
        _draw(axis, panel, across)
        for rule in (*chart.rules, *panel.marks):
            _down(axis, rule, across)
        if chart.shaded is not None:
            low, high = (across.scale * end for end in chart.shaded)
            axis.axvspan(low, high, color=LIGHT["s6"], alpha=0.15, linewidth=0)
        if panel.title:
            axis.set_title(_plain(panel.title))
        names = axis.get_legend_handles_labels()[1]
        if chart.legend == "panel" and names:
            axis.legend()
        elif chart.legend == "shared" and axis is axes[0] and len(names) > 1:
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if chart.title:
        axes[0].set_title(_plain(chart.title))
    across.finish(axes[-1])


class _Across:
    """The x axis of all panels: what a value's place is, and its words."""

    def __init__(self, chart: Chart) -> None:
        self.axis = chart.x
        self.names: list[str] | None = None
        self.scale, self.unit = 1.0, ""
        if chart.x.kind in ("category", "date"):
            values = (
                value for panel in chart.panels for trace in panel.traces for value in trace.x
            )
            self.names = list(dict.fromkeys(map(str, values)))
        elif chart.x.kind == "time":
            end_s = chart.x.limits[1] or 0.0
            size_s, self.unit = (
                (1.0, "seconds") if end_s <= 180.0
                else (60.0, "minutes") if end_s <= 3 * 3600.0 else (3600.0, "hours")
            )  # fmt: skip
            self.scale = 1.0 / size_s
        elif chart.x.unit:
            self.unit, self.scale = SCALES[chart.x.unit]

    def at(self, values: Values) -> FloatArray:
        """Places of values."""
        if self.names is not None:
            return np.array([self.names.index(str(value)) for value in values], dtype=float)
        return self.scale * _floats(values)

    def finish(self, axis: Axes) -> None:
        """Scale, ends, names and title."""
        if self.axis.kind == "log":
            axis.set_xscale("log")
        low, high = (None if end is None else self.scale * end for end in self.axis.limits)
        if self.names is None:
            axis.set_xlim(low, high)
        else:
            every = -(-len(self.names) // 12) if self.axis.kind == "date" else 1
            places = range(0, len(self.names), every)
            axis.set_xticks(places, [_plain(self.names[i]) for i in places])
            axis.grid(axis="x", visible=False)
        axis.set_xlabel(_titled(self.axis.title, self.unit))


def _draw(axis: Axes, panel: Panel, across: _Across) -> None:
    unit, scale = SCALES.get(panel.y.unit, ("", 1.0))
    if panel.y.kind == "log":
        axis.set_yscale("log")
    groups = [trace for trace in panel.traces if isinstance(trace, Bars | Ranges)]
    for trace in panel.traces:
        if isinstance(trace, Line):
            _line(axis, trace, across, scale)
        elif isinstance(trace, Heat):
            _heat(axis, trace, across)
        else:
            _upright(axis, trace, across, scale, groups.index(trace), len(groups))
    for rule in panel.rules:
        _across_rule(axis, rule, scale)
    if not any(isinstance(trace, Heat) for trace in panel.traces):
        axis.set_ylabel(_titled(panel.y.title, unit))
        low, high = (None if end is None else scale * end for end in panel.y.limits)
        if low == 0 and high is None:
            bottom, top = axis.get_ylim()
            low, high = min(0.0, bottom), top * 1.05
        axis.set_ylim(low, high)


def _line(axis: Axes, line: Line, across: _Across, scale: float) -> None:
    x, y, colour = across.at(line.x), scale * _floats(line.y), LIGHT[line.colour]
    if line.low is not None and line.high is not None:
        axis.fill_between(
            x, scale * _floats(line.low), scale * _floats(line.high), alpha=0.3, linewidth=0,
            step=FILL_STEPS[line.shape], color=colour,
            label=_plain(line.name) if not line.width and not line.symbol else None,
        )  # fmt: skip
    if not line.width and not line.symbol and line.labels is None:
        return
    axis.plot(
        x, y, color=colour, alpha=line.opacity, linewidth=0.75 * line.width,
        linestyle=DASHES[line.dash] if line.width else "none", drawstyle=DRAWSTYLES[line.shape],
        marker=MARKERS.get(line.symbol, "o") if line.symbol else None,
        markersize=0.6 * line.size, label=_plain(line.name) or "_",
    )  # fmt: skip
    _texts(axis, x, y, line.labels)


def _upright(
    axis: Axes, trace: Bars | Ranges, across: _Across, scale: float, number: int, count: int
) -> None:
    """Bars or ranges, those of several lines side by side."""
    x, colour, name = across.at(trace.x), LIGHT[trace.colour], _plain(trace.name) or "_"
    steps = np.diff(np.unique(x))
    room = 0.8 * (float(steps.min()) if len(steps) else 1.0)
    x = x + room * ((number + 0.5) / count - 0.5)
    if isinstance(trace, Ranges):
        low, high = scale * _floats(trace.low), scale * _floats(trace.high)
        axis.vlines(x, low, high, color=colour, linewidth=3, label=name)
        return
    y = scale * _floats(trace.y)
    top, whiskers = y, None
    if trace.low is not None and trace.high is not None:
        low, high = scale * _floats(trace.low), scale * _floats(trace.high)
        top, whiskers = np.fmax(y, high), np.abs([y - low, high - y])
    axis.bar(x, y, width=0.92 * room / count, color=colour, label=name, yerr=whiskers,
             error_kw={"ecolor": LIGHT["soft"], "elinewidth": 1})  # fmt: skip
    _texts(axis, x, top, trace.labels)


def _texts(axis: Axes, x: FloatArray, y: FloatArray, labels: Values | None) -> None:
    for at, height, text in zip(x, y, () if labels is None else labels, strict=False):
        axis.annotate(_plain(str(text)), (at, height), xytext=(0, 3), textcoords="offset points",
                      ha="center", fontsize=7)  # fmt: skip


def _heat(axis: Axes, heat: Heat, across: _Across) -> None:
    unit, scale = SCALES.get(heat.unit, ("", 1.0))
    grid = scale * np.array([_floats(row) for row in heat.z])
    extent = None
    if across.names is None:  # of times: from the start of the first interval to the last's end
        extent = (0.0, across.scale * float(heat.x[-1]), len(heat.rows) - 0.5, -0.5)
    image = axis.imshow(grid, aspect="auto", cmap="cividis", interpolation="nearest", extent=extent)
    every = -(-len(heat.rows) // MOST_NAMES)
    axis.set_yticks(range(0, len(heat.rows), every), [_plain(n) for n in heat.rows[::every]])
    axis.grid(visible=False)
    axis.figure.colorbar(image, ax=axis, label=_titled(heat.title, unit), pad=0.01)


def _across_rule(axis: Axes, rule: Rule, scale: float) -> None:
    colour = LIGHT[rule.colour]
    axis.axhline(scale * rule.at, color=colour, linestyle=DASHES[rule.dash], linewidth=1,
                 label=_plain(rule.name) or "_")  # fmt: skip
    if rule.text:
        axis.annotate(
            _plain(rule.text), (1.0 if rule.right else 0.0, scale * rule.at),
            ha="right" if rule.right else "left", xycoords=("axes fraction", "data"),
            va="bottom", fontsize=7, color=colour,
        )  # fmt: skip


def _down(axis: Axes, rule: Rule, across: _Across) -> None:
    if rule.low is not None and rule.high is not None:
        low, high = across.at([rule.low, rule.high])
        axis.axvspan(low, high, color=LIGHT["h2"], alpha=0.14, linewidth=0)
    (at,) = across.at([rule.at])
    axis.axvline(at, color=LIGHT[rule.colour], linestyle=DASHES[rule.dash], linewidth=1,
                 label=_plain(rule.name) or "_")  # fmt: skip
    if rule.text:
        axis.annotate(_plain(f" {rule.text}"), (at, 0.02), xycoords=("data", "axes fraction"),
                      fontsize=7)  # fmt: skip


def _floats(values: Values) -> FloatArray:
    """Numbers; what is unknown is NaN."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _titled(title: str, unit: str) -> str:
    return _plain(f"{title}, {unit}" if title and unit else title or unit)


def _plain(name: str) -> str:
    """A name is no formula: matplotlib sets what stands between dollars."""
    return name.replace("$", r"\$")
