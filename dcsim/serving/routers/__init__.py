"""Routers: which of the replicas that serve a model takes a request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.scenario.models import Routing
from dcsim.seeds import scalar_generator
from dcsim.serving.replica import Replica
from dcsim.serving.routers.base import Router
from dcsim.serving.routers.blind import ByChance, RoundRobin
from dcsim.serving.routers.load import Balance, LeastOutstanding, PowerOfTwo
from dcsim.serving.routers.power import PowerAware
from dcsim.serving.routers.prefix import PrefixAware

__all__ = ["PowerAware", "Router", "build_router"]


def build_router(
    routing: Routing,
    replicas: Sequence[Replica],
    seed: np.random.SeedSequence,
    feeds: Sequence[int] | None = None,
) -> Router:
    """The router that a scenario asks for.

    `feeds` numbers the feed of each replica, for `power-aware` (None: all hang from one). Raises
    ValueError for an unknown policy.
    """
    delay_s = routing.signal_delay_s
    balance = Balance(routing.balance_requests, routing.balance_factor)
    if routing.policy == "random":
        return ByChance(replicas, delay_s, scalar_generator(seed))
    if routing.policy == "round-robin":
        return RoundRobin(replicas, delay_s)
    if routing.policy == "least-outstanding":
        return LeastOutstanding(replicas, delay_s)
    if routing.policy == "power-of-two":
        return PowerOfTwo(replicas, delay_s, scalar_generator(seed))
    if routing.policy == "prefix-aware":
        return PrefixAware(replicas, delay_s, balance, routing.prefix_entries)
    if routing.policy == "power-aware":
        return PowerAware(replicas, delay_s, balance, feeds or [0] * len(replicas))
    raise ValueError(f"no router is called {routing.policy!r}")
