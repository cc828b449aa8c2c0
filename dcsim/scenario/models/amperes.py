"""Ratings as nameplates state them: amperes at a voltage, or volt-amperes, turned to VA or W."""

from __future__ import annotations

import math
import re
from typing import Any

from dcsim.spec.base import refused
from dcsim.spec.units import parse_quantity

AMPERES = re.compile(r"\s*(?P<amperes>[\d.]+\s*k?A)(?:\s+at\s+(?P<volts>[\d.]+\s*k?V))?\s*")
APPARENT = re.compile(r"\s*[\d.]+\s*[kM]?VA\s*")


def in_amperes(text: Any) -> bool:
    """Whether a rating is written in A or VA."""
    return isinstance(text, str) and bool(AMPERES.fullmatch(text) or APPARENT.fullmatch(text))


def volt_amperes(amperes: float, volts: float, phases: int) -> float:
    """What a circuit carries: √3 x V x A with three phases (V from line to line), V x A between
    two conductors (one phase or two poles)."""
    return (math.sqrt(3.0) if phases == 3 else 1.0) * volts * amperes


def rating_w(text: str, phases: int = 3) -> float:
    """Watts of a rating in W, VA or A at V, at a power factor of one: what a breaker may carry is a
    current. Raises PydanticCustomError."""
    if in_amperes(text):
        return _apparent(text, {"phases": phases})
    return parse_quantity(text, "watt", "100 kW")


def restate(data: Any) -> Any:
    """A row of the facility table with its ratings in W or VA. With a `power_factor` of its own
    (servers aside), a node's rating becomes watts; without, the servers' counts. Raises
    PydanticCustomError."""
    if not isinstance(data, dict):
        return data
    breaker = data.get("breaker")
    breaker_rating = breaker.get("rating") if isinstance(breaker, dict) else None
    if not in_amperes(data.get("rating")) and not in_amperes(breaker_rating):
        return data
    data = dict(data)
    factor = None
    if data.get("kind") != "server" and data.get("power_factor") is not None:
        factor = _factor(data.pop("power_factor"))
    if in_amperes(data.get("rating")):
        if data.get("apparent_rating") is not None:
            raise refused("has two ratings in VA or A: `rating` and `apparent_rating`")
        va = _apparent(str(data.pop("rating")), data)
        if factor is None:
            data["apparent_rating"] = f"{va!r} VA"
        else:
            data["rating"] = f"{va * factor!r} W"
    if in_amperes(breaker_rating) and isinstance(breaker, dict):
        if factor is None:
            raise refused(
                "a breaker's rating in A or VA needs the node's `power_factor`, such as 0.98"
            )
        va = _apparent(str(breaker_rating), data)
        data["breaker"] = {**breaker, "rating": f"{va * factor!r} W"}
    return data


def _apparent(text: str, data: dict[str, Any]) -> float:
    match = AMPERES.fullmatch(text)
    if not match:
        return parse_quantity(text, "volt_ampere", "750 kVA")
    given, stated = match["volts"], data.get("voltage")
    if given is None and stated is None:
        raise refused(
            f"'{text}' is amperes: give the `voltage` too, such as `voltage: 415 V`, or write "
            f"'{text} at 415 V'"
        )
    volts = _volts(given or stated)
    if given is not None and stated is not None and volts != _volts(stated):
        raise refused(f"'{text}', but `voltage` is {stated}")
    data.setdefault("voltage", given)
    phases = str(data.get("phases", ""))
    if phases not in ("1", "2", "3"):
        raise refused(f"'{text}' is amperes: give `phases` too, 1, 2 (two poles) or 3")
    return volt_amperes(parse_quantity(match["amperes"], "ampere", "800 A"), volts, int(phases))


def _volts(value: Any) -> float:
    """Whether a number may be volts is for the field `voltage`, which is read after this."""
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(value)
    return parse_quantity(value, "volt", "415 V")


def _factor(value: Any) -> float:
    text = value.rstrip() if isinstance(value, str) else value
    try:
        is_percent = isinstance(text, str) and text[-1:] == "%"
        factor = float(text[:-1]) / 100.0 if is_percent else float(text)
    except (TypeError, ValueError):
        raise refused(f"`power_factor` is {value}: expected a number, such as 0.98") from None
    if not 0.0 < factor <= 1.0:
        raise refused(f"`power_factor` is {value}: must be above 0, up to 1")
    return factor
