"""Routers: which of the replicas that serve a model takes a request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from dcsim.serving.replica import Replica


class Router(Protocol):
    """Told of every change of a replica's `outstanding`, asked for one replica a request."""

    def pick(self) -> Replica | None:
        """The replica to try; None when none is up and admitting. The caller submits at once."""

    def changed(self, replica: Replica) -> None:
        """`outstanding`, `up` or `admitting` of the replica changed."""


class RoundRobin:
    """Each replica in turn; those that are down or closed are skipped."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = list(replicas)
        self._next = 0

    def pick(self) -> Replica | None:
        replicas = self._replicas
        count = len(replicas)
        for _ in range(count):
            replica = replicas[self._next]
            self._next = (self._next + 1) % count
            if replica.up and replica.admitting:
                return replica
        return None

    def changed(self, replica: Replica) -> None:
        pass


class LeastOutstanding:
    """The replica with the fewest requests running and waiting; among equals the one that has
    been at that number longest.

    Replicas stand in one ordered bucket per number, so that picking and moving cost the same
    for ten replicas and ten thousand.
    """

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._buckets: list[OrderedDict[int, Replica]] = [OrderedDict()]
        self._at: dict[int, int] = {}
        self._least = 0
        for replica in replicas:
            self.changed(replica)

    def pick(self) -> Replica | None:
        if not self._at:
            return None
        buckets = self._buckets
        least = self._least
        while not buckets[least]:
            least += 1
        self._least = least
        return next(iter(buckets[least].values()))

    def changed(self, replica: Replica) -> None:
        index = replica.index
        old = self._at.get(index)
        if not (replica.up and replica.admitting):
            if old is not None:
                del self._buckets[old][index]
                del self._at[index]
            return
        new = replica.outstanding
        if new == old:
            return
        buckets = self._buckets
        if old is not None:
            del buckets[old][index]
        while new >= len(buckets):
            buckets.append(OrderedDict())
        buckets[new][index] = replica
        self._at[index] = new
        if new < self._least:
            self._least = new


def build_router(policy: str, replicas: Sequence[Replica]) -> Router:
    """The router of a scenario's `routing.policy`. Raises ValueError for an unknown policy."""
    if policy == "round-robin":
        return RoundRobin(replicas)
    if policy == "least-outstanding":
        return LeastOutstanding(replicas)
    raise ValueError(f"no router is called {policy!r}")
