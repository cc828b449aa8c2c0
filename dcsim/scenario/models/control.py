"""Policies that act on the site while it runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dcsim.scenario.models.base import Spec
from dcsim.scenario.units import Seconds, SecondsOrZero


class AdmissionThrottle(Spec):
    """Overloaded nodes take no new requests until their load has fallen."""

    policy: Literal["admission-throttle"]
    """The policy."""
    nodes: Literal["site", "row", "rack"] = "row"
    """The kind of node watched; each acts for itself."""
    above: float = Field(default=0.98, gt=0)
    """Share of the rating above which a node stops admitting."""
    below: float = Field(default=0.92, gt=0)
    """Share below which it admits again; less than `above`."""
    period_s: Seconds = Field(default=1.0, alias="period")
    """How often it looks."""
    delay_s: SecondsOrZero = Field(default=0.0, alias="delay")
    """Age of the telemetry that the policy sees."""

    @model_validator(mode="after")
    def _ordered(self) -> AdmissionThrottle:
        if self.below >= self.above:
            raise PydanticCustomError("order", "`below` must be less than `above`")
        return self
