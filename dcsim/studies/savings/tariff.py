"""What energy and peaks cost: a tariff from a small YAML file, and its bill for a load."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dcsim.arrays import AnyFloatArray, FloatArray
from dcsim.errors import StudyError
from dcsim.spec.nearest import suggestion
from dcsim.spec.units import SECOND, parse_quantity

DAY_S = 86_400.0
KEYS = ("currency", "energy", "demand", "contracted", "fixed", "meter")
EXAMPLE = """currency: USD
energy:                 # per kWh; one number, or by the time of day
  - {from: 0 h, price: 0.07}
  - {from: 8 h, price: 0.13}
  - {from: 20 h, price: 0.07}
demand: 15              # per kW of the month's highest meter reading
contracted: 4           # per kW of contracted capacity, a month
fixed: 500              # a month
meter: 15 min           # averaging time of the reading"""


@dataclass(frozen=True)
class Tariff:
    """Prices in one currency; None where the file says nothing: unknown, not free."""

    currency: str = "USD"
    energy: tuple[tuple[float, float], ...] = ()
    """(from, price per kWh): from that second of the day on; empty: unknown."""
    demand: float | None = None
    """Per kW of a month's highest meter reading."""
    contracted: float | None = None
    """Per kW of contracted capacity, a month."""
    fixed: float | None = None
    """A month."""
    meter_s: float = 900.0
    """Averaging time of a reading; quarter hours are what European and most American utilities
    bill by."""

    def price_at(self, time_s: FloatArray) -> FloatArray:
        """Per kWh at seconds since midnight of the first day; NaN where unknown."""
        if not self.energy:
            return np.full(len(time_s), math.nan)
        starts = np.array([start for start, _ in self.energy])
        prices = np.array([price for _, price in self.energy])
        # Before the first of the day, the last of the day before still holds.
        places = np.searchsorted(starts, np.mod(time_s, DAY_S), side="right") - 1
        at: FloatArray = prices[places]
        return at


def read_tariff(path: Path) -> Tariff:
    """Raises StudyError with every problem of the file."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise StudyError(f"--tariff: there is no file '{path}' that can be read") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f":{mark.line + 1}"
        raise StudyError(f"{path}{line}: is not YAML") from None
    return parse_tariff(data, str(path))


def as_tariff(value: Any) -> Any:
    """A tariff of its file; all else as it is. Raises StudyError."""
    return read_tariff(Path(value)) if isinstance(value, str | Path) else value


def parse_tariff(data: Any, where: str = "tariff") -> Tariff:
    """From a mapping as in EXAMPLE. Raises StudyError with every problem."""
    if not isinstance(data, Mapping):
        raise StudyError(f"{where}: a tariff is a block of keys, such as\n{EXAMPLE}")
    problems: list[str] = []
    for key in data:
        if key not in KEYS:
            hint = suggestion(str(key), KEYS) or "known are " + ", ".join(KEYS)
            problems.append(f"{where}: {key}: unknown key ({hint})")
    numbers = {
        key: _number(data[key], f"{where}: {key}", problems)
        for key in ("demand", "contracted", "fixed")
        if data.get(key) is not None
    }
    meter_s = 900.0
    if "meter" in data:
        meter_s = _seconds(data["meter"], f"{where}: meter", problems)
        if meter_s <= 0:
            problems.append(f"{where}: meter: more than 0, such as 15 min")
    energy = _energy(data.get("energy"), f"{where}: energy", problems)
    if problems:
        raise StudyError(*problems)
    return Tariff(str(data.get("currency", "USD")), energy, **numbers, meter_s=meter_s)


def _energy(value: Any, where: str, problems: list[str]) -> tuple[tuple[float, float], ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        return ((0.0, _number(value, where, problems)),)
    rows = []
    for place, row in enumerate(value):
        at = f"{where}.{place}"
        if not isinstance(row, Mapping) or set(row) != {"from", "price"}:
            problems.append(f"{at}: write {{from: 8 h, price: 0.13}}")
            continue
        rows.append(
            (_seconds(row["from"], at + ".from", problems), _number(row["price"], at, problems))
        )
    starts = [start for start, _ in rows]
    if rows and (starts != sorted(set(starts)) or starts[0] < 0 or starts[-1] >= DAY_S):
        problems.append(f"{where}: times of the day must rise, from 0 h to below 24 h")
    return tuple(rows)


def _number(value: Any, where: str, problems: list[str]) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        problems.append(f"{where}: expected a price, a number such as 0.12")
        return 0.0
    return float(value)


def _seconds(value: Any, where: str, problems: list[str]) -> float:
    if value == 0:
        return 0.0
    try:
        text = str(value).strip()
        return 0.0 if text in ("0 h", "0 s", "0 min") else parse_quantity(text, SECOND.name, "8 h")
    except ValueError as error:
        problems.append(f"{where}: {error}")
        return 0.0


@dataclass(frozen=True)
class Bill:
    """Of one recorded load."""

    energy_kwh: float
    mean_kw: float
    peak_kw: float
    """Highest meter reading."""
    price_per_kwh: float
    """Mean price, weighted by energy; NaN without one."""
    g_per_kwh: float
    """Mean grid intensity, weighted by energy; NaN without one."""


def bill(
    load_w: AnyFloatArray,
    step_s: float,
    tariff: Tariff,
    start_s: float = 0.0,
    grid: FloatArray | None = None,
) -> Bill:
    """Energy and peak of meter readings, shape (readings,), each over `step_s` from `start_s`
    (time of the day) on. `grid`: g CO2e/kWh at each reading."""
    kw = np.asarray(load_w, dtype=np.float64) / 1000.0
    kwh = kw * step_s / 3600.0
    middle_s = start_s + (np.arange(len(kw), dtype=np.float64) + 0.5) * step_s
    total = float(kwh.sum())

    def weighted(values: FloatArray) -> float:
        return float((values * kwh).sum() / total) if total else math.nan

    return Bill(
        energy_kwh=total,
        mean_kw=float(kw.mean()),
        peak_kw=float(kw.max()),
        price_per_kwh=weighted(tariff.price_at(middle_s)),
        g_per_kwh=math.nan if grid is None else weighted(grid),
    )
