"""Figures of studies in words: the unit is at the end of a name, or in what is said about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from dcsim.report.charts.model import Unit
from dcsim.report.text import UNKNOWN, percent, watt_hours, watts

SHARE = re.compile(
    r"(^|_)(share|probability|fraction|attainment|loss|survived|of_limit)(_(low|high|highest|at_most))?$"
    r"|(^|_)(trip|fail)_(low|high)$"
)
UNIT = re.compile(r"_(w|kw|wh|va|s)$")
ABOUT_UNIT = re.compile(r", (W|Wh|VA|s)$")
LARGEST = 1e300
"""JSON's whole numbers have no end, floats have."""
SMALL_SHARE = 5e-4
"""Smaller ones would be told as 0.0 %."""
INTERVAL = re.compile(r"_(low|high|highest)$")


def unit_of(name: str, about: str = "") -> Unit:
    """`w`, `kw`, `wh`, `va`, `s` or `share`; nothing for what has none that we know of.

    An interval's column may have the unit in its words only (`peak_low`: "..., W").
    """
    if SHARE.search(name) or about.startswith("share of"):
        return "share"
    if name.endswith("_per_s"):
        return ""
    unit = UNIT.search(name)
    if unit:
        return cast("Unit", unit[1])
    unit_in_words = ABOUT_UNIT.search(about) if INTERVAL.search(name) else None
    return cast("Unit", unit_in_words[1].lower()) if unit_in_words else ""


def format_figure(name: str, value: Any, about: str = "") -> str:
    """A figure as people read it."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(format_figure(name, part) for part in value) or "none"
    if isinstance(value, dict):
        return (
            "; ".join(f"{key}: {format_figure(str(key), part)}" for key, part in value.items())
            or "none"
        )
    if not isinstance(value, int | float) or abs(value) > LARGEST:
        return str(value)
    in_unit = IN_UNIT.get(unit_of(name, about))
    if in_unit is not None:
        return in_unit(value)
    if isinstance(value, int):
        return f"{value:,.0f}"
    return f"{float(f'{value:.4g}'):,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"


def title_of(name: str) -> str:
    """A name without its unit, in words."""
    if not name.endswith("_per_s"):
        name = re.sub(r"_(w|kw|wh|va|s|share|fraction)$", "", name)
    words = name.replace("_per_s", " per second").replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _span(seconds: float) -> str:
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if abs(seconds) >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.3g} s"


def _share(share: float) -> str:
    return f"{100 * share:.2g} %" if 0 < abs(share) < SMALL_SHARE else percent(share)


IN_UNIT: dict[Unit, Callable[[float], str]] = {
    "w": watts,
    "kw": lambda kilowatts: watts(1e3 * kilowatts),
    "wh": watt_hours,
    "share": _share,
    "s": _span,
}
