"""Quantities with units: what the user writes as `600 kW` arrives as a float in SI units, and is
written back with a unit.

In Python a number is taken as it stands, in the SI unit of the field's name: `rate_per_s=3.0`. In
files it is refused, as a planner's 600 may be W or kW: whoever reads one validates with the
context `FROM_FILE`.
"""

from __future__ import annotations

import math
import numbers
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from dcsim.spec.time_of_day import time_of_day_s

_QUANTITY = re.compile(
    r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-zµ/][A-Za-zµ_/ ]*)"
)
"""A number and a unit, nothing else: pint alone would work out any expression."""

FROM_FILE = {"unit_texts_only": True}
"""Context of a validation in which plain numbers are no quantities."""

LARGEST = 1e15
"""In SI units: thirty million years, a petawatt, a petabyte. Beyond lie slips of the keyboard, and
numbers that files and clocks cannot hold."""

_APPARENT_POWER = re.compile(r"(?<![A-Za-z])[kMG]?VA\b")


_USUAL: dict[str, dict[str, float]] = {
    "watt": {"W": 1.0, "kW": 1e3, "MW": 1e6},
    "second": {"s": 1.0, "us": 1e-6, "ms": 1e-3, "min": 60.0, "h": 3600.0},
    "req/s": {"req/s": 1.0, "/s": 1.0},
    "watt_hour": {"Wh": 1.0, "kWh": 1e3, "MWh": 1e6},
    "volt_ampere": {"VA": 1.0, "kVA": 1e3, "MVA": 1e6},
    "volt": {"V": 1.0, "kV": 1e3},
    "ampere": {"A": 1.0, "kA": 1e3},
    "byte": {"B": 1.0, "GB": 1e9, "TB": 1e12},
    "byte/s": {"B/s": 1.0, "GB/s": 1e9, "TB/s": 1e12},
}
"""Units that most files have, and how many SI units each is: exactly what pint makes of them, which
takes longer to import and build than all the rest of a scenario. All other units are pint's."""


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint

    registry: Any = pint.UnitRegistry(cache_folder=None)
    for definition in ("req = count = request = requests", "token = count = tok = tokens"):
        registry.define(definition)
    return registry


def parse_quantity(value: Any, unit: str, example: str) -> float:
    """`value` (text such as "600 kW") in `unit`.

    Raises PydanticCustomError when it is not text, not a quantity, of another dimension, or
    not finite.
    """
    if isinstance(value, bool) or not isinstance(value, str):
        raise PydanticCustomError(
            "quantity",
            "expected a quantity with its unit, such as '{example}'",
            {"example": example},
        )
    if unit == "watt" and _APPARENT_POWER.search(value):
        # pint takes a volt-ampere for a watt; a planner's transformer rating would turn to watts.
        raise PydanticCustomError(
            "quantity",
            "'{value}' is apparent power: give watts (VA x power factor), such as '{example}'",
            {"value": value, "example": example},
        )
    if unit == "volt_ampere" and not _APPARENT_POWER.search(value):
        raise PydanticCustomError(
            "quantity",
            "'{value}' is not apparent power such as '{example}'",
            {"value": value, "example": example},
        )
    try:
        number, symbol = _QUANTITY.fullmatch(value).groups()  # type: ignore[union-attr]
        magnitude = _magnitude(float(number), symbol.strip(), unit)
    except Exception as error:  # no match, or one of pint's many kinds
        raise PydanticCustomError(
            "quantity",
            "'{value}' is not a quantity such as '{example}'",
            {"value": value, "example": example},
        ) from error
    if not math.isfinite(magnitude):
        raise PydanticCustomError("quantity", "'{value}' is not finite", {"value": value})
    return magnitude


def _magnitude(number: float, symbol: str, unit: str) -> float:
    """A number of one unit in another. Raises what pint raises for what is none."""
    size = _USUAL.get(unit, {}).get(symbol)
    if size is not None:
        return number * size
    text = "1" + symbol if symbol.startswith("/") else symbol
    return float(_registry().Quantity(number, text).to(unit).magnitude)


@dataclass(frozen=True, slots=True)
class Unit:
    """How a field's quantity is read and written. Stands among the field's metadata."""

    name: str
    """pint's name of the SI unit that the field holds."""
    example: str
    written: tuple[tuple[str, float], ...]
    """Symbols to write with, and how many SI units each is, largest first; the last is SI."""

    def format(self, value: float) -> str:
        """Text that reads back as exactly `value`, in the largest unit that gives a short one."""
        value = float(value)  # numpy's numbers write themselves otherwise
        for symbol, size in self.written[:-1]:
            if value < size:
                continue
            scaled = round(value / size, 3)
            text = f"{_plain(scaled)} {symbol}"
            if parse_quantity(text, self.name, self.example) == value:
                return text
        return f"{_plain(value)} {self.written[-1][0]}"


def _plain(value: float) -> str:
    """The shortest text of a number, without `.0`."""
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def _in_si(value: Any, unit: str, example: str, info: ValidationInfo) -> float:
    """A quantity from text or, in Python, from a number in SI units."""
    from_file = bool(info.context and info.context.get("unit_texts_only"))
    if from_file or isinstance(value, bool) or not isinstance(value, numbers.Real):
        return parse_quantity(value, unit, example)
    if not math.isfinite(value):
        raise PydanticCustomError("quantity", "'{value}' is not finite", {"value": value})
    return float(value)


def _quantity(unit: Unit, *, positive: bool = True) -> Any:
    def check(value: Any, info: ValidationInfo) -> float:
        magnitude = _in_si(value, unit.name, unit.example, info)
        if magnitude > LARGEST:
            raise PydanticCustomError(
                "quantity", "'{value}' exceeds the maximum of 1e15 in SI units", {"value": value}
            )
        if magnitude < 0 or (positive and magnitude == 0):
            bound = "above 0" if positive else "0 or more"
            raise PydanticCustomError(
                "quantity", "'{value}' must be {bound}", {"value": value, "bound": bound}
            )
        return magnitude

    return BeforeValidator(check)


def _or_auto(value: Any, info: ValidationInfo) -> float | None:
    """None stands for `auto`."""
    if value is None or value == "auto":
        return None
    time_s = _in_si(value, SECOND.name, "60 s' or 'auto", info)
    if not 0.0 <= time_s <= LARGEST:
        raise PydanticCustomError(
            "quantity",
            "'{value}' must be 0 or more, and no more than a run lasts",
            {"value": value},
        )
    return time_s


def _written(unit: Unit) -> Any:
    return PlainSerializer(unit.format, return_type=str, when_used="json")


def _in_schema(unit: Unit) -> Any:
    """What editors are told of it: the JSON Schema of the text, not of the float."""
    return WithJsonSchema(
        {"type": "string", "pattern": SCHEMA_PATTERN, "examples": [unit.example]},
        mode="validation",
    )


def unit_of(field: FieldInfo) -> Unit | None:
    """The unit of a quantity; None for a field that is none."""
    units: list[Unit] = [extra for extra in field.metadata if isinstance(extra, Unit)]
    annotation = field.annotation
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) is Annotated:
            units += [extra for extra in get_args(part)[1:] if isinstance(extra, Unit)]
    return units[0] if units else None


SCHEMA_PATTERN = r"^\s*\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*[A-Za-zµ/][A-Za-zµ_/ ]*$"
"""A quantity as `parse_quantity` takes it, less the sign that no key allows."""

WATT = Unit("watt", "600 kW", (("MW", 1e6), ("kW", 1e3), ("W", 1.0)))
SECOND = Unit("second", "250 ms", (("h", 3600.0), ("min", 60.0), ("s", 1.0)))
RATE = Unit("req/s", "2 req/s", (("req/s", 1.0),))
WATT_HOUR = Unit("watt_hour", "50 kWh", (("MWh", 1e6), ("kWh", 1e3), ("Wh", 1.0)))
VOLT_AMPERE = Unit("volt_ampere", "750 kVA", (("MVA", 1e6), ("kVA", 1e3), ("VA", 1.0)))
VOLT = Unit("volt", "415 V", (("V", 1.0),))
BYTE = Unit("byte", "80 GB", (("GB", 1e9), ("B", 1.0)))
BYTE_RATE = Unit("byte/s", "2 TB/s", (("TB/s", 1e12), ("B/s", 1.0)))

Watts = Annotated[float, WATT, _quantity(WATT), _written(WATT), _in_schema(WATT)]
RatedWatts = Annotated[
    float,
    WATT,
    _quantity(WATT),
    _written(WATT),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": SCHEMA_PATTERN[:-1] + r"(at\s+[\d.]+\s*k?V\s*)?$",
            "examples": [WATT.example, "800 A at 415 V"],
        },
        mode="validation",
    ),
]
"""A rating; what is written in A or VA is restated before it comes here."""
WattsOrZero = Annotated[
    float, WATT, _quantity(WATT, positive=False), _written(WATT), _in_schema(WATT)
]
Seconds = Annotated[float, SECOND, _quantity(SECOND), _written(SECOND), _in_schema(SECOND)]
SecondsOrZero = Annotated[
    float, SECOND, _quantity(SECOND, positive=False), _written(SECOND), _in_schema(SECOND)
]
SecondsOrAuto = Annotated[
    float | None,
    SECOND,
    BeforeValidator(_or_auto),
    PlainSerializer(
        lambda value: "auto" if value is None else SECOND.format(value),
        return_type=str,
        when_used="json",
    ),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^\s*auto\s*$|{SCHEMA_PATTERN}",
            "examples": ["auto", "60 s"],
        },
        mode="validation",
    ),
]
"""A time of 0 or more, or None for `auto`."""


def _time_of_day(value: Any) -> Any:
    """`19:00` as its seconds, written with a unit; all else is a quantity."""
    seconds = time_of_day_s(value) if isinstance(value, str) else None
    return value if seconds is None else f"{seconds} s"


TimeOfDay = Annotated[
    float,
    SECOND,
    _quantity(SECOND, positive=False),
    BeforeValidator(_time_of_day),
    _written(SECOND),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": SCHEMA_PATTERN + r"|^\s*\d{1,2}:\d{2}(:\d{2})?\s*$",
            "examples": ["19:00"],
        },
        mode="validation",
    ),
]
"""A time of day, in seconds from midnight: `19:00`, or `19 h`."""
RequestsPerSecond = Annotated[float, RATE, _quantity(RATE), _written(RATE), _in_schema(RATE)]
RequestsPerSecondOrZero = Annotated[
    float, RATE, _quantity(RATE, positive=False), _written(RATE), _in_schema(RATE)
]
WattHours = Annotated[
    float, WATT_HOUR, _quantity(WATT_HOUR), _written(WATT_HOUR), _in_schema(WATT_HOUR)
]
Volts = Annotated[float, VOLT, _quantity(VOLT), _written(VOLT), _in_schema(VOLT)]
VoltAmperes = Annotated[
    float, VOLT_AMPERE, _quantity(VOLT_AMPERE), _written(VOLT_AMPERE), _in_schema(VOLT_AMPERE)
]
Bytes = Annotated[float, BYTE, _quantity(BYTE), _written(BYTE), _in_schema(BYTE)]
BytesPerSecond = Annotated[
    float, BYTE_RATE, _quantity(BYTE_RATE), _written(BYTE_RATE), _in_schema(BYTE_RATE)
]
