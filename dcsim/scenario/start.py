"""When a run starts by the clock: a time of day, or a date and time, with a zone if need be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from dcsim.spec.time_of_day import TIME, TIME_OF_DAY, hms, seconds_of

DAY_S = 86400
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONE = r"(?P<zone>Z|[+-]\d{2}:?\d{2}|[A-Za-z]+(?:/[A-Za-z0-9_+-]+)*)"
START = re.compile(rf"(?:(?P<date>\d{{4}}-\d{{2}}-\d{{2}})(?:[T ]\s*{TIME}\s*{ZONE}?)?)")
HOURS = re.compile(r"\d+(?:\.\d+)?\s*h")
EXAMPLES = "'19:00', '2026-12-01 19:00' or '2026-12-01 19:00 Europe/Berlin'"


@dataclass(frozen=True, slots=True)
class Start:
    """The moment at which a run starts."""

    time_of_day_s: int
    """Seconds since midnight, local time."""
    day: date | None = None
    zone: str = ""
    """An IANA name, an offset such as +01:00, or nothing: local time, wherever that is."""

    def __str__(self) -> str:
        parts = [] if self.day is None else [self.day.isoformat()]
        return " ".join([*parts, hms(self.time_of_day_s), *([self.zone] if self.zone else [])])

    @property
    def weekday(self) -> str | None:
        """`mon` to `sun`; None without a date."""
        return None if self.day is None else DAYS[self.day.weekday()]

    def at(self, time_s: float) -> str:
        """The clock at a time of the run, to the whole second: `19:45:00`; with a date
        `2026-12-01 19:45:00`, without one `00:15:00 +1d` on the next day."""
        moment = self._moment(time_s)
        if moment is not None:
            return moment.strftime("%Y-%m-%d %H:%M:%S")
        days, rest = divmod(self.time_of_day_s + int(time_s + 1e-6), DAY_S)
        return hms(rest) + (f" +{days}d" if days else "")

    def hms(self, time_s: float) -> str:
        """The time of day alone: `19:45:00`."""
        moment = self._moment(time_s)
        return self.at(time_s)[:8] if moment is None else moment.strftime("%H:%M:%S")

    def iso(self, time_s: float) -> str:
        """As `at`, for machines: with a date ISO 8601, its offset included where there is one."""
        moment = self._moment(time_s)
        return self.at(time_s) if moment is None else moment.isoformat(timespec="seconds")

    def _moment(self, time_s: float) -> datetime | None:
        if self.day is None:
            return None
        begun = datetime.combine(self.day, time()) + timedelta(seconds=self.time_of_day_s)
        passed = timedelta(seconds=int(time_s + 1e-6))
        if not self.zone:
            return begun + passed
        # Through UTC: a day on which clocks change has 23 or 25 hours.
        zone = zone_of(self.zone)
        return (begun.replace(tzinfo=zone).astimezone(UTC) + passed).astimezone(zone)


def parse_start(value: Any) -> Start:
    """From text (or a date of Python's). Raises PydanticCustomError."""
    if isinstance(value, Start):
        return value
    if isinstance(value, date):  # a datetime is one, too
        value = value.isoformat()
    text = value.strip() if isinstance(value, str) else ""
    of_day = TIME_OF_DAY.fullmatch(text)
    if of_day:
        return Start(seconds_of(of_day, text))
    if HOURS.fullmatch(text):
        hours = float(text[:-1])
        if not hours < 24.0:
            raise PydanticCustomError("quantity", "'{text}' is no time of a day", {"text": text})
        return Start(round(3600.0 * hours))
    match = START.fullmatch(text)
    if not match:
        raise _refused(value)
    try:
        day = date.fromisoformat(match["date"])
    except ValueError as error:
        raise _refused(value) from error
    seconds = seconds_of(match, text) if match["hour"] else 0
    zone = match["zone"] or ""
    if zone:
        try:
            zone_of(zone)
        except (KeyError, OSError, ValueError) as error:
            raise PydanticCustomError(
                "quantity",
                "'{zone}' is no time zone that this machine knows: give a name such as "
                "Europe/Berlin, or an offset such as +01:00",
                {"zone": zone},
            ) from error
        begun = datetime.combine(day, time(), zone_of(zone)) + timedelta(seconds=seconds)
        there = begun.astimezone(UTC).astimezone(begun.tzinfo)
        if there.replace(tzinfo=None) != begun.replace(tzinfo=None):
            raise PydanticCustomError(
                "quantity",
                "there is no {text}: clocks go forward then; {there} follows",
                {"text": text, "there": there.strftime("%H:%M:%S")},
            )
    return Start(seconds, day, zone)


def zone_of(name: str) -> tzinfo:
    """A zone by its IANA name or offset. Raises KeyError or ValueError."""
    if name == "Z":
        return UTC
    if name[0] in "+-":
        hours, minutes = int(name[1:3]), int(name[-2:])
        offset = timedelta(hours=hours, minutes=minutes)
        return timezone(-offset if name[0] == "-" else offset)
    return ZoneInfo(name)


def _refused(value: Any) -> PydanticCustomError:
    return PydanticCustomError(
        "quantity", "'{value}' is no time such as " + EXAMPLES, {"value": str(value)}
    )


StartTime = Annotated[
    Start,
    BeforeValidator(parse_start),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\s*(\d{1,2}:\d{2}(:\d{2})?"
            r"|\d{4}-\d{2}-\d{2}([T ]\s*\d{1,2}:\d{2}.*)?)\s*$",
            "examples": ["2026-12-01 19:00"],
        },
        mode="validation",
    ),
]
