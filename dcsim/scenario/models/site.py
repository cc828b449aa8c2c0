"""What it all hangs from: the facility's tree, its breakers, and when a load is worth a flag."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dcsim.scenario.models.base import Fraction, Name, Spec
from dcsim.scenario.units import SecondsOrZero, Watts


class Breaker(Spec):
    """Protection of one node."""

    curve: Name = "thermal-magnetic"
    """Catalogue name of a time-current curve."""
    rating_w: Watts | None = Field(default=None, alias="rating")
    """None: the node's rating."""
    on_trip: Literal["open", "flag"] = "open"
    """`open`: what hangs below goes dark; `flag`: only reported."""


class FacilityNode(Spec):
    """A row of the facility table; `count` copies under each copy of `parent`.

    Copies are numbered within their parent and named by path: with `row` (count 2) and `rack`
    under it, the racks are `row-1/rack-1`, and so on. A count of 1 keeps the bare name.
    """

    name: Name
    kind: Literal["site", "row", "rack", "server"]
    parent: Name | None = None
    count: int = Field(default=1, ge=1)
    rating_w: Watts | None = Field(default=None, alias="rating")
    """Continuous limit; None: unknown, and never checked."""
    group: Name | None = None
    """Servers only: the server group."""
    breaker: Breaker | None = None


class Limits(Spec):
    """When a load is worth a flag."""

    warning_fraction: Fraction = 0.8
    """The 80 % rule for continuous loads (NEC 210.20(A), 215.3)."""
    warning_after_s: SecondsOrZero = Field(default=60.0, alias="warning_after")
    overload_after_s: SecondsOrZero = Field(default=0.0, alias="overload_after")
