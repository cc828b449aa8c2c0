"""What energy and peaks cost: a tariff from a small YAML file, and its bill for a load."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, field_validator

from dcsim.arrays import AnyFloatArray, FloatArray
from dcsim.errors import StudyError
from dcsim.spec.base import Spec
from dcsim.spec.document import read
from dcsim.spec.units import Seconds, TimeOfDay
from dcsim.spec.validation import validate_as

DAY_S = 86_400.0


class PriceFrom(Spec):
    """The price of energy from a time of the day on."""

    from_s: TimeOfDay = Field(alias="from")
    """The time of the day."""
    price: float
    """Per kWh."""


def _prices(value: Any) -> Any:
    """One price, or rows; in Python also pairs of seconds and price."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [{"from": "0 h", "price": value}]
    if not isinstance(value, list | tuple):
        raise ValueError("expected a price such as 0.12, or a list of {from: 8 h, price: 0.13}")
    return [_row(row) for row in value]


def _row(row: Any) -> Any:
    if isinstance(row, tuple) and len(row) == 2:
        return {"from": row[0], "price": row[1]}
    return row | {"from": "0 h"} if isinstance(row, dict) and row.get("from") == 0 else row


class Tariff(Spec):
    """Prices in one currency; None where the file says nothing: unknown, not free."""

    currency: str = "USD"
    """A label."""
    energy: Annotated[tuple[PriceFrom, ...], BeforeValidator(_prices)] = ()
    """Price per kWh: a number, or a list of `{from: 8 h, price: 0.13}` by the time of the day;
    before the first, the last holds. None: unknown."""
    demand: float | None = None
    """Per kW of the month's highest meter reading."""
    contracted: float | None = None
    """Per kW of contracted capacity, a month."""
    fixed: float | None = None
    """A month."""
    meter_s: Seconds = Field(default=900.0, alias="meter")
    """Averaging time of a reading; quarter hours are what European and most American utilities
    bill by."""

    @field_validator("energy", mode="after")
    @classmethod
    def _times_rise(cls, energy: tuple[PriceFrom, ...]) -> tuple[PriceFrom, ...]:
        starts = [row.from_s for row in energy]
        if energy and (starts != sorted(set(starts)) or starts[-1] >= DAY_S):
            raise ValueError("times of the day must rise, from 0 h to below 24 h")
        return energy

    def price_at(self, time_s: FloatArray) -> FloatArray:
        """Return the price per kWh at seconds since midnight of the first day; NaN where
        unknown."""
        if not self.energy:
            return np.full(len(time_s), math.nan)
        starts = np.array([row.from_s for row in self.energy])
        prices = np.array([row.price for row in self.energy])
        # Before the first of the day, the last of the day before still holds.
        places = np.searchsorted(starts, np.mod(time_s, DAY_S), side="right") - 1
        at: FloatArray = prices[places]
        return at


def read_tariff(path: Path) -> Tariff:
    """Read a tariff file.

    Parameters
    ----------
    path
        YAML with the keys of `Tariff`.

    Returns
    -------
    Tariff
        Checked.

    Raises
    ------
    StudyError
        With every problem of the file.
    """
    if not path.is_file():
        raise StudyError(f"--tariff: there is no file '{path}' that can be read")
    document = read(path, str(path))
    tariff = None if document.problems else validate_as(document, Tariff)
    if tariff is None:
        raise StudyError(*map(str, document.problems))
    return tariff


def as_tariff(value: Any) -> Any:
    """Read a tariff where a file is named; return all else as it is. Raises StudyError."""
    return read_tariff(Path(value)) if isinstance(value, str | Path) else value


@dataclass(frozen=True)
class Bill:
    """What one recorded load costs."""

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
