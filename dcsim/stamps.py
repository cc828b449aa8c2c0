"""Times as logs write them: with a zone, in local wall time, as a number, or of a day only.

The one reader of times for traces that are replayed and for logs that are imported.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any, Literal

Clock = Literal["unix", "local", "relative", "day"]
"""Seconds since 1970 UTC; the same of wall time, its zone unknown; since an unknown start; since
midnight of an unknown day."""
TimeUnit = Literal["s", "ms", "us", "ns"]
PER_SECOND: dict[str, float] = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""By unit. Times are divided by it: 700 ms are 0.7 s, and 700 times 0.001 is not."""
DAY_S = 86400.0
_NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?")
_DAY = re.compile(r"(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})\b")
_UTC = re.compile(r"(?<=\d)\s+(?:UTC|GMT)$")
_UNITS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (1e8, 1.0))
"""A number above the first is unix time in that unit: nothing else is of its size."""
_FAR_S = 1e11
"""No clock counts so many seconds: the number has a smaller unit."""
_UNIX_S = (1.4e9, 2.5e9)
"""Seconds since 1970 from 2014 to 2049. Milliseconds of a trace that begins after more than two
weeks are nobody's."""
_FRACTION = re.compile(r"(.*\d:\d\d)(\.\d+)(.*)", re.ASCII)
EXAMPLE = "2026-11-27T18:00:16.504+01:00"


def stamp(text: str) -> tuple[float, Clock] | None:
    """Seconds and what they count from, or None for what is no time."""
    text = _UTC.sub("+00:00", text.strip().strip('"'))
    if _NUMBER.fullmatch(text):
        value = float(text)
        if not math.isfinite(value):
            return None
        for least, unit in _UNITS:
            if value > least:
                return value * unit, "unix"
        return value, "relative"
    day = _DAY.fullmatch(text)
    if day is not None:
        return 3600.0 * int(day[1]) + 60.0 * int(day[2]) + float(day[3]), "day"
    try:
        moment = datetime.fromisoformat(_COMPACT.sub(r"\1-\2-\3", text.replace("/", "-"), count=1))
    except ValueError:
        return None
    if len(text) < len("2026-01-01 00:00"):
        return None  # a date without a time
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC).timestamp(), "local"
    return moment.timestamp(), "unix"


class Moments:
    """Times of one file in seconds since its first row, as exact as they are written.

    Numbers count in `unit`, unless that is None: then in `default`, or, where that would be
    thousands of years, as unix time in the unit of their size; seconds of unix time are known as
    such where the default is milliseconds. Text is a date and time, with a
    zone or without (then `assume_utc` lets both kinds stand in one file), or a time of day.
    """

    def __init__(
        self, unit: TimeUnit | None = None, default: TimeUnit = "s", assume_utc: bool = False
    ) -> None:
        self._unit, self._default = unit, default
        self._assume_utc = assume_utc
        self._kind: str | None = None
        self._origin: int | float = 0
        self._per_s = 1.0
        self._second: tuple[str | None, float] = (None, 0.0)
        self._latest_s = 0.0

    @property
    def expected(self) -> str:
        """What a time may look like."""
        names = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
        return f"a number of {names[self._unit or self._default]}, or a time such as {EXAMPLE}"

    def seconds(self, value: Any) -> float:
        """Raises ValueError, with what was expected, for what is no time or of another kind than
        those before it."""
        number = _as_number(value)
        if number is not None:
            return self._numeric(number)
        if not isinstance(value, str):
            raise ValueError(self.expected)
        text = value.strip()
        split = _FRACTION.fullmatch(text)
        whole, fraction = (split[1] + split[3], split[2]) if split else (text, "")
        after_s = float(f"0{fraction}") if fraction else 0.0
        if whole != self._second[0]:  # busy traces have many rows a second
            stamped = stamp(whole)
            if stamped is None or stamped[1] == "relative":
                raise ValueError(self.expected)
            at_s, clock = stamped
            kind = "unix" if self._assume_utc and clock == "local" else clock
            self._same(kind, at_s)
            self._second = (whole, at_s - self._origin)
        found_s = self._second[1] + after_s
        if self._kind == "day":  # past midnight
            found_s += DAY_S * round((self._latest_s - found_s) / DAY_S)
            self._latest_s = found_s
        return found_s

    def _numeric(self, number: int | float) -> float:
        if self._kind is None:
            unit = self._unit or self._default
            self._per_s = PER_SECOND[unit]
            if self._unit is None and unit == "ms" and _UNIX_S[0] < number < _UNIX_S[1]:
                self._per_s = 1.0
            elif self._unit is None and abs(number) / self._per_s > _FAR_S:
                by_s = next((by for least, by in _UNITS if abs(number) > least), 1.0)
                self._per_s = round(1.0 / by_s)
        if not abs(number) / self._per_s < 1e4 * _FAR_S:
            raise ValueError(self.expected)
        self._same("number", number)
        return (number - self._origin) / self._per_s

    def _same(self, kind: str, value: int | float) -> None:
        if self._kind is None:
            self._kind, self._origin = kind, value
        elif kind != self._kind:
            words = {
                "number": "a number",
                "unix": "a time with a zone",
                "local": "a time without a zone",
                "day": "a time of day",
            }
            raise ValueError(f"{words[self._kind]}, as in the rows above")


def _as_number(value: Any) -> int | float | None:
    """A finite number from JSON or text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        try:
            return int(text) if text.lstrip("+-").isdecimal() and len(text) < 25 else float(text)
        except ValueError:
            return None
    return value if isinstance(value, (int, float)) else None
