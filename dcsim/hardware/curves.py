"""Curves of the catalogue: seconds to trip by load, and efficiency by load."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from dcsim.spec.base import Name, Spec

Points = tuple[tuple[float, float], ...]


def falling(points: Points) -> bool:
    """Whether multiples rise and seconds never do, all above 0: a curve that can be read. Equal
    seconds in consecutive rows are a plateau."""
    return all(
        0 < low < high and slow >= fast > 0 for (low, slow), (high, fast) in pairwise(points)
    )


def rising(points: Points) -> bool:
    """Whether the first numbers of the points rise."""
    return all(low < high for (low, _), (high, _) in pairwise(points))


EDGE = 1.0 + 1e-9
"""A table's times step down; a curve in logarithms needs some room for it."""


def table_points(points: Points) -> Points:
    """The table as a time-current curve: between two rows the time of the higher load holds.

    `points` are (multiple of the rating, seconds): up to that multiple, for so long. Up to the
    rating a UPS carries its load for good, above the last multiple it has the last row's time. A
    table that begins with two equal times tells where it begins: up to its first multiple the load
    is carried for good.

    >>> table_points(((1.25, 600.0), (1.5, 60.0)))[0]
    (1.000000001, 600.0)
    """
    if points[0][0] <= EDGE and points[0][1] != points[1][1]:
        points = points[1:]  # the rating itself is carried for good
    begins = len(points) > 1 and points[0][1] == points[1][1]
    rows = [(points[0][0] * EDGE if begins else EDGE, points[0][1])]
    for (low, slow), (high, fast) in pairwise(points):
        if low > rows[-1][0]:
            rows.append((low, slow))
        if low * EDGE > rows[-1][0] and high > low * EDGE:
            rows.append((low * EDGE, fast))
    last_multiple, last_s = points[-1]
    if last_multiple > rows[-1][0]:
        rows.append((last_multiple, last_s))
    return tuple(rows)


class Curve(Spec):
    """A time-current curve: seconds to trip against multiples of the rating."""

    name: Name
    title: str
    kind: Literal["thermal-magnetic", "electronic", "transformer", "overload-table"] = (
        "thermal-magnetic"
    )
    """Only `thermal-magnetic` feels the ambient temperature. A UPS's `overload-table` holds from
    its full load: preload does not shorten it."""
    points: Points = Field(min_length=2)
    """(multiple of rating, seconds to trip from cold), multiples rising, seconds falling or equal;
    interpolated in logarithms. Below the first multiple the breaker never trips. The latest trip of
    its band."""
    reading: Literal["line", "table"] = "line"
    """`table`: `points` are a maker's overload table, "up to this multiple for so long", and are
    made a curve of steps here (`table_points`)."""
    earliest: Points | None = Field(default=None, min_length=2)
    """The earliest trip, where it is known."""
    source: str

    @model_validator(mode="after")
    def _falling(self) -> Curve:
        for points in (self.points, self.earliest or ()):
            if not falling(points):
                raise ValueError(
                    "points must have rising multiples and falling or equal seconds, > 0"
                )
        if self.reading == "table":
            object.__setattr__(self, "points", table_points(self.points))
        return self


class LossCurve(Spec):
    """What a transformer, UPS or power supply loses, by load."""

    name: Name
    title: str
    points: Points = Field(min_length=2)
    """(output as a share of the rating, efficiency), shares rising, efficiencies up to 1."""
    source: str

    @model_validator(mode="after")
    def _readable(self) -> LossCurve:
        if not rising(self.points) or not all(x > 0 and 0 < eta <= 1 for x, eta in self.points):
            raise ValueError("points must have rising loads above 0 and efficiencies in (0, 1]")
        return self
