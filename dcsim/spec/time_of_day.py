"""Times of day as users write them: `19:00`, `19:00:30`."""

from __future__ import annotations

import re

from pydantic_core import PydanticCustomError

TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
TIME_OF_DAY = re.compile(TIME)


def time_of_day_s(text: str) -> int | None:
    """Seconds since midnight of `19:00` or `19:00:30`; None for other text. Raises
    PydanticCustomError for a time that no day has."""
    match = TIME_OF_DAY.fullmatch(text.strip())
    return seconds_of(match, text) if match else None


def hms(seconds: int) -> str:
    """A time of day as clocks show it: `19:00:30`."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def seconds_of(match: re.Match[str], text: str) -> int:
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise PydanticCustomError(
            "quantity", "'{text}' is no time of a day: 00:00 to 23:59:59", {"text": text}
        )
    return 3600 * hour + 60 * minute + second
