"""Routers: which of the replicas that serve a model takes a request."""

from __future__ import annotations

from dcsim.registry import create, register
from dcsim.scenario.models import Routing
from dcsim.serving.routers.base import CLOSED, DOWN, NOBODY, Pool, Router
from dcsim.serving.routers.blind import ByChance, RoundRobin
from dcsim.serving.routers.load import Balance, LeastOutstanding, PowerOfTwo
from dcsim.serving.routers.power import PowerAware
from dcsim.serving.routers.prefix import PrefixAware

__all__ = ["CLOSED", "DOWN", "NOBODY", "Pool", "PowerAware", "Router", "build_router"]


def _balance(spec: Routing) -> Balance:
    return Balance(spec.balance_requests, spec.balance_factor)


def _prefix_aware(spec: Routing, pool: Pool) -> Router:
    return PrefixAware(pool, _balance(spec), spec.prefix_entries)


def _power_aware(spec: Routing, pool: Pool) -> Router:
    return PowerAware(pool, _balance(spec))


register("routers", "random", Routing, lambda _, pool: ByChance(pool))
register("routers", "round-robin", Routing, lambda _, pool: RoundRobin(pool))
register("routers", "least-outstanding", Routing, lambda _, pool: LeastOutstanding(pool))
register("routers", "power-of-two", Routing, lambda _, pool: PowerOfTwo(pool))
register("routers", "prefix-aware", Routing, _prefix_aware)
register("routers", "power-aware", Routing, _power_aware)


def build_router(routing: Routing, pool: Pool) -> Router:
    """The router that a scenario asks for. Raises PluginError."""
    router: Router = create("routers", routing.policy, routing, pool)
    return router
