"""The parts of a chart's description.

Values are in SI units, or shares of 1; what is unknown is None or NaN. Colours are names of
`dcsim.report.palette`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dcsim.arrays import AnyArray

Values = Sequence[Any] | AnyArray
Unit = Literal["", "w", "kw", "wh", "va", "s", "share"]
"""Of an axis; "" for counts and whatever else has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis with its words."""

    title: str = ""
    unit: Unit = ""
    kind: Literal["number", "log", "category", "date", "time"] = "number"
    """`date`: texts such as "2026-01-31"; `time`: seconds of the run."""
    limits: tuple[float | None, float | None] = (None, None)
    """Ends; None: as the data ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points joined by a line, with a band around it where `low` and `high` are given."""

    x: Values
    y: Values
    name: str = ""
    """For the legend; "" keeps the line out of it."""
    colour: str = "s0"
    width: float = 1.6
    """In points; 0: no line, only symbols or the band."""
    dash: Literal["solid", "dash", "dot", "dashdot"] = "solid"
    shape: Literal["linear", "hv", "vh"] = "linear"
    """`hv`: a value holds from its x on; `vh`: up to its x."""
    symbol: str = ""
    """A symbol of plotly's at each point; "": none."""
    size: float = 6.0
    opacity: float = 1.0
    low: Values | None = None
    high: Values | None = None
    labels: Values | None = None
    """A text at each point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars over categories or numbers, with whiskers where `low` and `high` are given."""

    x: Values
    y: Values
    name: str = ""
    colour: str = "s0"
    low: Values | None = None
    high: Values | None = None
    labels: Values | None = None
    """A text above each bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Intervals whose middle is not known, as upright bars from end to end."""

    x: Values
    low: Values
    high: Values
    name: str = ""
    colour: str = "s0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """A colour a cell, `z` by (row, column)."""

    x: Values
    rows: Sequence[str]
    z: Sequence[Values] | AnyArray
    unit: Unit = ""
    title: str = ""
    """Of the scale of colours."""
    labels: Sequence[Sequence[str]] | None = None
    """A text a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A straight line across a panel at a value, such as a limit; or down the chart, at an x."""

    at: float
    text: str = ""
    name: str = ""
    """For the legend."""
    colour: str = "h3"
    dash: Literal["solid", "dash", "dot"] = "dash"
    right: bool = False
    """The text stands at the right end."""
    low: float | None = None
    high: float | None = None
    """Ends of the interval of `at`, drawn as a shade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes; all panels of a chart share their x axis."""

    traces: Sequence[Line | Bars | Ranges | Heat]
    y: Axis = Axis()
    rules: Sequence[Rule] = ()
    marks: Sequence[Rule] = ()
    """Down this panel, at values of x."""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture: panels above each other."""

    panels: Sequence[Panel]
    x: Axis = Axis()
    title: str = ""
    rules: Sequence[Rule] = ()
    """Down all panels, at values of x."""
    shaded: tuple[float, float] | None = None
    """A stretch of x that no figure sees: the warm-up."""
    legend: Literal["none", "shared", "panel"] = "none"
    """`panel`: one a panel, of its own names."""
    height: int = 300
    """In the page, px."""
    size: tuple[float, float] = (6.8, 3.8)
    """On paper, in."""
    note: str = ""
    """A sentence under the chart."""
    label: str = ""
    """For those who do not see it."""
