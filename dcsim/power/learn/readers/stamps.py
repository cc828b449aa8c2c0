"""Times as logs write them: with a zone, in local wall time, as a number, or of a day only."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Literal

Clock = Literal["unix", "local", "relative", "day"]
"""Seconds since 1970 UTC; the same of wall time, its zone unknown; since an unknown start; since
midnight of an unknown day."""
_NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?")
_DAY = re.compile(r"(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})\b")
_UNITS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (1e8, 1.0))
"""A number above the first is unix time in that unit: nothing else is of its size."""


def stamp(text: str) -> tuple[float, Clock] | None:
    """Seconds and what they count from, or None for what is no time."""
    text = text.strip().strip('"')
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
