"""docs/facility.md: its trip times are the curves'."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dcsim.facility.curves import electronic_curve, in_band, trip_time_s
from dcsim.hardware.catalogue import load_catalogue
from dcsim.hardware.curves import Curve
from dcsim.scenario.models import Electronic

PAGE = Path(__file__).parents[2] / "docs" / "facility.md"
UNIT_S = {"s": 1.0, "min": 60.0, "h": 3600.0}


def edges(name: str) -> tuple[Curve, Curve]:
    """The earliest and the latest curve of a name."""
    if name == "electronic":
        return electronic_curve(Electronic(), 0.0), electronic_curve(Electronic(), 1.0)
    curve = load_catalogue().curve(name)
    return in_band(curve, 0.0), in_band(curve, 1.0)


def test_trip_times() -> None:
    """Every shipped curve, from the earliest to the latest trip at each load."""
    text = PAGE.read_text(encoding="utf-8")
    header = next(line for line in text.splitlines() if line.startswith("| curve | 105 %"))
    loads = [int(percent) / 100 for percent in re.findall(r"(\d+) %", header)]
    rows = re.findall(r"^\| `([\w-]+)` \| (.*(?:never|\d (?:s|min|h)).*) \|$", text, re.MULTILINE)
    rows = [
        (name, cells.split(" | ")) for name, cells in rows if cells.count("|") == len(loads) - 1
    ]
    assert {name for name, _ in rows} == {*load_catalogue().curves, "electronic"}
    for name, cells in rows:
        for load, cell in zip(loads, cells, strict=True):
            told = cell.split(" to ")
            for curve, part in zip(edges(name), (told[0], told[-1]), strict=True):
                held_s = float(trip_time_s(curve, load))
                if part == "never":
                    assert held_s == float("inf"), (name, load)
                else:
                    number, unit = part.split()
                    want_s = float(number) * UNIT_S[unit]
                    assert held_s == pytest.approx(want_s, rel=0.006), (name, load)
