"""Quantities with units: what the user writes as `600 kW` arrives as a float in SI units."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


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
    not finite. A bare number is refused: a planner's 600 may be W or kW.
    """
    if isinstance(value, bool) or not isinstance(value, str):
        raise PydanticCustomError(
            "quantity",
            "expected a quantity with its unit, such as '{example}'",
            {"example": example},
        )
    try:
        magnitude = float(_registry().Quantity(value).to(unit).magnitude)
    except Exception as error:  # pint raises many kinds, tokenize errors among them
        raise PydanticCustomError(
            "quantity",
            "'{value}' is not a quantity such as '{example}'",
            {"value": value, "example": example},
        ) from error
    if not math.isfinite(magnitude):
        raise PydanticCustomError("quantity", "'{value}' is not finite", {"value": value})
    return magnitude


def _quantity(unit: str, example: str, *, positive: bool = True) -> BeforeValidator:
    def check(value: Any) -> float:
        magnitude = parse_quantity(value, unit, example)
        if magnitude < 0 or (positive and magnitude == 0):
            bound = "above 0" if positive else "0 or more"
            raise PydanticCustomError(
                "quantity", "'{value}' must be {bound}", {"value": value, "bound": bound}
            )
        return magnitude

    return BeforeValidator(check)


Watts = Annotated[float, _quantity("watt", "600 kW")]
WattsOrZero = Annotated[float, _quantity("watt", "1 kW", positive=False)]
Seconds = Annotated[float, _quantity("second", "250 ms")]
SecondsOrZero = Annotated[float, _quantity("second", "0 s", positive=False)]
RequestsPerSecond = Annotated[float, _quantity("req/s", "2 req/s")]
Bytes = Annotated[float, _quantity("byte", "80 GB")]
BytesPerSecond = Annotated[float, _quantity("byte/s", "2 TB/s")]
FlopsPerSecond = Annotated[float, _quantity("1/s", "312e12 /s")]
