"""docs/facility.md: its trip times are the curves'."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dcsim.facility.breakers import trip_time_s
from dcsim.scenario.catalogue import load_catalogue

PAGE = Path(__file__).parents[2] / "docs" / "facility.md"
UNIT_S = {"s": 1.0, "min": 60.0, "h": 3600.0}


def test_trip_times() -> None:
    text = PAGE.read_text(encoding="utf-8")
    header = next(line for line in text.splitlines() if line.startswith("| load |"))
    curves = [load_catalogue().curve(name) for name in re.findall(r"`([\w-]+)`", header)]
    assert set(load_catalogue().curves) == {curve.name for curve in curves}
    rows = re.findall(r"^\| (\d+) % \| (.+) \|$", text, flags=re.MULTILINE)
    assert len(rows) == 8
    for percent, cells in rows:
        for curve, cell in zip(curves, cells.split(" | "), strict=True):
            held_s = float(trip_time_s(curve, int(percent) / 100))
            if cell == "never":
                assert held_s == float("inf")
            else:
                number, unit = cell.split()
                assert held_s == pytest.approx(float(number) * UNIT_S[unit], rel=0.006)
