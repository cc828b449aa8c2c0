"""A chart as the page's script draws it: traces and layout of plotly.js, as plain JSON.

Colours stand as `@name`, or `@name/88` with an opacity in hexadecimal: the script puts in those
of the theme (`assets/plots.js`). Nothing of plotly is imported.
"""

from __future__ import annotations

import math
from html import escape
from typing import Any, TypedDict

from dcsim.report.charts.model import (
    Axis,
    Bars,
    Chart,
    Heat,
    Line,
    Panel,
    Ranges,
    Rule,
    Unit,
    Values,
)

EPOCH_MS = 978_307_200_000
"""2001-01-01: plotly's time axes want dates, and take small numbers for years."""
AXES: dict[str, dict[str, Any]] = {
    "w": {"ticksuffix": "W", "tickformat": ".3~s"},
    "kw": {"ticksuffix": " kW"},
    "wh": {"ticksuffix": "Wh", "tickformat": ".3~s"},
    "va": {"ticksuffix": "VA", "tickformat": ".3~s"},
    "s": {"ticksuffix": " s"},
    "share": {"tickformat": ".1~%"},
}
HOVER = {"w": ":.4~s}W", "kw": ":.4~g} kW", "wh": ":.4~s}Wh", "va": ":.4~s}VA", "s": ":.3~s}s",
         "share": ":.1%}"}  # fmt: skip
GAP_PX = 20
"""Above and below each of several panels, for its title and the next one's."""


class PlotlyFigure(TypedDict):
    """What `D.plots.show` takes."""

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    note: str
    label: str


def to_plotly(chart: Chart, start_of_day_s: float = 0.0) -> PlotlyFigure:
    """The chart for the page.

    Parameters
    ----------
    chart
        What is drawn.
    start_of_day_s
        The time of day at which the run began, of charts with a `time` axis: ticks show the clock.
    """
    count = len(chart.panels)
    times = chart.x.kind == "time"

    def at(value: Any) -> Any:
        if times and value is not None:
            return EPOCH_MS + round(1000 * (start_of_day_s + value))
        return escape(value, quote=False) if isinstance(value, str) else _number(value)

    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "height": chart.height,
        "margin": {"l": 70, "r": 16, "t": 34 if chart.legend == "shared" else 12, "b": 52},
        "hovermode": "x" if times else "closest",
        "barmode": "group",
        "bargap": 0.45,
        "showlegend": chart.legend == "shared",
        "legend": {
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "font": {"size": 12},
        },
        "xaxis": _axis(chart.x) | {"anchor": _y(count - 1)},
        "shapes": shapes,
        "annotations": notes,
    }
    if times:
        layout["xaxis"]["range"] = [at(end) for end in chart.x.limits]
    if chart.shaded is not None:
        low, high = map(at, chart.shaded)
        shapes.append(_shape("rect", x=(low, high), fillcolor="@soft/22", line={"width": 0}))
    for number, panel in enumerate(chart.panels):
        gap = GAP_PX / chart.height
        top = 1 - number / count - (1.6 * gap if panel.title else 0)
        bottom = 1 - (number + 1) / count + (gap if number + 1 < count else 0)
        yaxis = layout["yaxis" + _y(number)[1:]] = _axis(panel.y, few=count > 2)
        yaxis["domain"] = [bottom, top]
        if any(isinstance(trace, Heat) for trace in panel.traces):
            yaxis |= {"type": "category", "autorange": "reversed", "showgrid": False}
            layout["xaxis"]["showgrid"] = False
            layout["margin"]["l"] = 120
        for trace in panel.traces:
            first = number == 0 or chart.legend != "shared"
            drawn = {
                Line: _line, Bars: _bars, Ranges: _ranges, Heat: _heat
            }[type(trace)](trace, panel, chart)  # type: ignore[operator]  # fmt: skip
            for part in drawn:
                if "x" in part:
                    part["x"] = [at(value) for value in part["x"]]
                if not first:
                    part["showlegend"] = False
                data.append(part | {"yaxis": _y(number)})
        for rule in panel.rules:
            shapes.append(_shape("line", y=(rule.at, rule.at), yref=_y(number), line=_stroke(rule)))
            if rule.text:
                notes.append(_note(
                    rule.text, x=0.996 if rule.right else 0.004, y=_number(rule.at), xref="paper",
                    yref=_y(number), xanchor="right" if rule.right else "left", bgcolor="@card",
                    font={"size": 11, "color": f"@{rule.colour}"},
                ))  # fmt: skip
        for mark in panel.marks:
            ends = (at(mark.at), at(mark.at))
            shapes.append(
                _shape("line", x=ends, line=_stroke(mark)) | {"yref": f"{_y(number)} domain"}
            )
        if panel.title:
            keys = "".join(
                f'  <span style="color:@{trace.colour}">━ {escape(trace.name, quote=False)}</span>'
                for trace in panel.traces
                if chart.legend == "panel" and not isinstance(trace, Heat) and trace.name
            )
            notes.append(_note(
                f"<b>{escape(panel.title, quote=False)}</b>{keys}", x=0, y=1 - number / count,
                xref="paper", yref="paper", yanchor="top", font={"size": 12}, ready=True,
            ))  # fmt: skip
    for number, rule in enumerate(chart.rules):
        if rule.low is not None and rule.high is not None:
            ends = (at(rule.low), at(rule.high))
            shapes.append(_shape("rect", x=ends, fillcolor="@h2", opacity=0.14, line={"width": 0}))
        shapes.append(_shape("line", x=(at(rule.at), at(rule.at)), line=_stroke(rule)))
        if rule.text:
            notes.append(_note(rule.text, x=at(rule.at), y=0.02 + 0.075 * number, yref="paper",
                               font={"size": 11.5}))  # fmt: skip
    return {"data": data, "layout": layout, "note": chart.note, "label": chart.label}


def _y(number: int) -> str:
    return f"y{number + 1}" if number else "y"


def _number(value: Any) -> Any:
    """For JSON: six digits, and null for what is unknown."""
    if value is None or isinstance(value, bool | int):
        return value
    value = float(value)
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _numbers(values: Values | None) -> list[Any]:
    return [] if values is None else [_number(value) for value in values]


def _axis(axis: Axis, few: bool = False) -> dict[str, Any]:
    """The axis of plotly's; with `few` fewer ticks."""
    title = {"text": escape(axis.title, quote=False), "font": {"size": 12, "color": "@soft"}}
    drawn: dict[str, Any] = {"title": title, **AXES.get(axis.unit, {})}
    match axis.kind:
        case "time":
            drawn = {"time": True}
        case "category":
            drawn |= {"type": "category"}
        case "date":
            drawn |= {"type": "date"}
        case "log":
            digits = (1, 3) if few else (1, 2, 5)
            ticks = [float(f"{digit}e{power}") for power in range(-4, 6) for digit in digits]
            texts = [_tick(value, axis.unit) for value in ticks]
            return drawn | {"type": "log", "tickvals": ticks, "ticktext": texts}
        case _ if few:
            drawn["nticks"] = 4
    low, high = axis.limits
    if low is not None and high is not None:
        pad = 0.01 * (high - low)
        drawn["range"] = [low - pad, high + pad]
    elif low == 0:
        drawn["rangemode"] = "tozero"
    return drawn


def _tick(value: float, unit: Unit) -> str:
    match unit:
        case "s":
            return f"{value:g} s" if value >= 1 else f"{1e3 * value:g} ms"
        case "share":
            return f"{100 * value:g} %"
    return f"{value:,g}"


def _shape(
    kind: str,
    *,
    x: Values = (0, 1),
    y: Values = (0, 1),
    yref: str = "paper",
    **more: Any,
) -> dict[str, Any]:
    """A shape from one end of the axis that is not given to its other end."""
    return {
        "type": kind, "xref": "paper" if yref != "paper" else "x", "yref": yref, "x0": x[0],
        "x1": x[1], "y0": _number(y[0]), "y1": _number(y[1]), "layer": "below", **more,
    }  # fmt: skip


def _stroke(rule: Rule) -> dict[str, Any]:
    return {"color": f"@{rule.colour}", "width": 1.3, "dash": rule.dash}


def _note(text: str, *, ready: bool = False, **more: Any) -> dict[str, Any]:
    text = text if ready else escape(text, quote=False)
    return {"text": text, "showarrow": False, "xanchor": "left", "yanchor": "bottom", **more}


def _hover(x: Axis, unit: Unit, name: str, low_high: bool) -> str:
    head = f"{escape(name, quote=False)}<br>" if name else ""
    across = "" if x.kind == "time" else f"{escape(x.title, quote=False)} %{{x}}<br>"
    form = HOVER.get(unit, ":.5~g}")
    ends = f" (%{{customdata[0]{form} to %{{customdata[1]{form})" if low_high else ""
    return f"{head}{across}<b>%{{y{form}</b>{ends}<extra></extra>"


def _ends(low: Values | None, high: Values | None) -> dict[str, Any]:
    if low is None or high is None:
        return {}
    return {"customdata": [list(pair) for pair in zip(_numbers(low), _numbers(high), strict=True)]}


def _line(line: Line, panel: Panel, chart: Chart) -> list[dict[str, Any]]:
    base: dict[str, Any] = {"type": "scatter", "mode": "lines"}
    drawn = []
    if line.low is not None and line.high is not None:
        known = [
            i for i, ends in enumerate(zip(line.low, line.high, strict=True)) if None not in ends
        ]
        edge = base | {"x": [line.x[i] for i in known], "hoverinfo": "skip", "showlegend": False,
                       "line": {"width": 0, "shape": line.shape}}  # fmt: skip
        if known:
            drawn += [
                edge | {"y": [_number(line.low[i]) for i in known]},
                edge | {"y": [_number(line.high[i]) for i in known], "fill": "tonexty",
                        "fillcolor": f"@{line.colour}/2e"},
            ]  # fmt: skip
    parts = [part for part, there in (("lines", line.width), ("markers", line.symbol),
                                      ("text", line.labels)) if there]  # fmt: skip
    if not parts:
        return drawn
    colour = f"@{line.colour}" + (f"/{round(255 * line.opacity):02x}" if line.opacity < 1 else "")
    drawn.append(base | {
        "x": list(line.x), "y": _numbers(line.y), "mode": "+".join(parts), "connectgaps": False,
        "name": escape(line.name, quote=False), "showlegend": bool(line.name),
        "legendgroup": line.name,
        "line": {"color": colour, "width": line.width, "dash": line.dash, "shape": line.shape},
        "hovertemplate": _hover(chart.x, panel.y.unit, line.name, line.low is not None),
        **_ends(line.low, line.high),
    })  # fmt: skip
    if line.symbol:
        drawn[-1]["marker"] = {"size": line.size, "symbol": line.symbol, "color": colour}
    if line.labels is not None:
        drawn[-1] |= {"text": [escape(str(text), quote=False) for text in line.labels],
                      "textposition": _positions(line.x), "cliponaxis": False,
                      "textfont": {"color": "@soft"}}  # fmt: skip
    if not line.name and line.width and line.dash != "solid":
        drawn[-1]["hoverinfo"] = "skip"
    return drawn


def _positions(x: Values) -> list[str]:
    """Of texts above points: those at the ends stay within the chart."""
    sides = {min(x): "top right", max(x): "top left"} if len(x) > 1 else {}
    return [sides.get(value, "top center") for value in x]


def _bars(bars: Bars, panel: Panel, chart: Chart) -> list[dict[str, Any]]:
    values = _numbers(bars.y)
    drawn: dict[str, Any] = {
        "type": "bar", "x": list(bars.x), "y": values, "marker": {"color": f"@{bars.colour}"},
        "name": escape(bars.name, quote=False), "showlegend": bool(bars.name),
        "hovertemplate": _hover(chart.x, panel.y.unit, bars.name, bars.low is not None),
        **_ends(bars.low, bars.high),
    }  # fmt: skip
    if bars.low is not None and bars.high is not None:
        drawn["error_y"] = {
            "type": "data", "symmetric": False, "thickness": 1.2, "color": "@soft",
            "array": [_gap(high, value) for high, value in zip(bars.high, values, strict=True)],
            "arrayminus": [_gap(value, low) for low, value in zip(bars.low, values, strict=True)],
        }  # fmt: skip
    if bars.labels is None:
        return [drawn]
    tops = [
        max((end for end in ends if end is not None), default=None)
        for ends in zip(values, _numbers(bars.high) or values, strict=True)
    ]
    texts = [escape(str(text), quote=False) for text in bars.labels]
    return [drawn, {
        "type": "scatter", "mode": "text", "x": list(bars.x), "y": tops, "text": texts,
        "textposition": "top center", "hoverinfo": "skip", "showlegend": False,
        "cliponaxis": False,
    }]  # fmt: skip


def _gap(high: float | None, low: float | None) -> float | None:
    return None if high is None or low is None else _number(high - low)


def _ranges(ranges: Ranges, panel: Panel, chart: Chart) -> list[dict[str, Any]]:
    low, high = _numbers(ranges.low), _numbers(ranges.high)
    side = [trace for trace in panel.traces if isinstance(trace, Ranges)]
    # Those of several lines stand side by side.
    width = min(0.5, 0.12 * len(side))
    aside = width * (side.index(ranges) / (len(side) - 1) - 0.5) if len(side) > 1 else 0.0
    x = [value if isinstance(value, str) else value + aside for value in ranges.x]
    form = HOVER.get(panel.y.unit, ":.5~g}")
    return [{
        "type": "scatter", "mode": "lines", "connectgaps": False, "showlegend": bool(ranges.name),
        "line": {"color": f"@{ranges.colour}", "width": 4},
        "x": [value for value in x for _ in range(3)],
        "y": [end for ends in zip(low, high, strict=True) for end in (*ends, None)],
        "customdata": [[str(value), a, b] for value, a, b in zip(ranges.x, low, high, strict=True)
                       for _ in range(3)],
        "name": escape(ranges.name, quote=False),
        "hovertemplate": f"{escape(ranges.name, quote=False)}<br>"
        f"{escape(chart.x.title, quote=False)} %{{customdata[0]}}<br><b>%{{customdata[1]{form} to "
        f"%{{customdata[2]{form}</b><extra></extra>",
    }]  # fmt: skip


def _heat(heat: Heat, panel: Panel, chart: Chart) -> list[dict[str, Any]]:
    drawn: dict[str, Any] = {
        "type": "heatmap", "x": list(heat.x), "z": [_numbers(row) for row in heat.z],
        "y": [escape(name, quote=False) for name in heat.rows],
        "colorscale": [[0, "@c0"], [0.5, "@c1"], [1, "@c2"]],
        "hovertemplate": f"%{{x}}, %{{y}}: %{{z{HOVER.get(heat.unit, ':.5~g}')}<extra></extra>",
        "colorbar": {"thickness": 10, "outlinewidth": 0, **AXES.get(heat.unit, {})},
    }  # fmt: skip
    if heat.labels is not None:
        drawn |= {"text": [list(map(str, row)) for row in heat.labels], "texttemplate": "%{text}"}
    return [drawn]
