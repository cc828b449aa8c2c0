"""How requests find their replica."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dcsim.spec.base import Spec, refused
from dcsim.spec.units import SecondsOrZero

BALANCED = ("prefix-aware", "power-aware")
"""Policies that prefer a replica for another reason than its load."""


class RouterSpec(Spec):
    """Base of all routers' blocks, those of other packages too."""

    policy: str
    """Who gets a request."""
    signal_delay_s: SecondsOrZero = Field(default=0.0, alias="signal_delay")
    """Age of all that the router sees of the replicas and of the power."""


class Routing(RouterSpec):
    """How a request finds its replica among those that serve its model."""

    policy: Literal[
        "random",
        "round-robin",
        "least-outstanding",
        "power-of-two",
        "prefix-aware",
        "power-aware",
    ] = "least-outstanding"
    """Who gets a request: docs/serving.md tells what each does; `power-aware` needs a rating on a
    site, row or rack."""
    balance_requests: int = Field(default=32, ge=0)
    """`prefix-aware` and `power-aware`: a preferred replica may have so many requests more than
    the least loaded one."""
    balance_factor: float = Field(default=1.5, ge=1)
    """Or so many times as many."""
    prefix_entries: int = Field(default=2048, ge=1)
    """`prefix-aware`: segments of prompts remembered of each replica."""

    @model_validator(mode="after")
    def _keys_belong_to_policies(self) -> Routing:
        fields = type(self).model_fields
        for name, policies in (
            ("balance_requests", BALANCED),
            ("balance_factor", BALANCED),
            ("prefix_entries", BALANCED[:1]),
        ):
            if self.policy not in policies and getattr(self, name) != fields[name].default:
                users = " and ".join(policies)
                raise refused(f"`{name}` is for {users} only, not {self.policy}")
        return self
