"""Routers that look at how many requests each replica has."""

# compiled by mypyc
from __future__ import annotations

from dcsim.serving.request import Request
from dcsim.serving.routers.base import NOBODY, Buckets, OpenSlots, Pool, Router


class LeastOutstanding(Router):
    """The replica with the fewest requests running and waiting; among equals the one that has
    been at that number longest."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._loads = Buckets(len(pool.replicas))
        self.start()

    def update(self, slot: int, state: int) -> None:
        self._loads.put(slot, state)

    def choose(self, request: Request) -> int:
        return self._loads.least()


class PowerOfTwo(Router):
    """Two open replicas by chance, and of these the one with fewer requests; the first of
    equals. Needs to ask only two, and does not herd as much on old news as the very least does
    (Mitzenmacher, The power of two choices in randomized load balancing, 2001)."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._random = pool.random()
        self._open = OpenSlots(len(pool.replicas))
        self._loads: list[int] = [0] * len(pool.replicas)
        self.start()

    def update(self, slot: int, state: int) -> None:
        self._loads[slot] = state
        if state >= 0:
            self._open.add(slot)
        else:
            self._open.discard(slot)

    def choose(self, request: Request) -> int:
        members = self._open.members
        count = len(members)
        if count < 2:
            return members[0] if count else NOBODY
        at = int(self._random.random() * count)
        other = int(self._random.random() * (count - 1))
        if other >= at:  # any but the first drawn, each as likely
            other += 1
        first, second = members[at], members[other]
        return second if self._loads[second] < self._loads[first] else first


class Balance:
    """How far a replica that is preferred for another reason may be ahead of the least loaded.

    It is overloaded when it has more than `requests` more *and* more than `factor` times as many:
    the first bound keeps small numbers from mattering, the second large ones (SGLang's
    cache-aware router has the same pair, `balance_abs_threshold` and `balance_rel_threshold`).
    """

    def __init__(self, requests: int, factor: float) -> None:
        self.requests = requests
        self.factor = factor

    def allows(self, load: int, least: int) -> bool:
        """Whether a replica with `load` requests may be preferred to one with `least`."""
        return load - least <= self.requests or load <= self.factor * least
