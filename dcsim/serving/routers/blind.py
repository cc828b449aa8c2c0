"""Routers that look at no load: by chance, or each in turn."""

# compiled by mypyc
from __future__ import annotations

from dcsim.serving.request import Request
from dcsim.serving.routers.base import NOBODY, OpenSlots, Pool, Router


class ByChance(Router):
    """Any open replica, each as likely."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._random = pool.random()
        self._open = OpenSlots(len(pool.replicas))
        self.start()

    def update(self, slot: int, state: int) -> None:
        if state >= 0:
            self._open.add(slot)
        else:
            self._open.discard(slot)

    def choose(self, request: Request) -> int:
        members = self._open.members
        return members[int(self._random.random() * len(members))] if members else NOBODY


class RoundRobin(Router):
    """Each replica in turn; those believed down or closed are skipped."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._open: list[bool] = [False] * len(pool.replicas)
        self._next = 0
        self.start()

    def update(self, slot: int, state: int) -> None:
        self._open[slot] = state >= 0

    def choose(self, request: Request) -> int:
        count = len(self._open)
        for _ in range(count):
            slot = self._next
            self._next = slot + 1 if slot + 1 < count else 0
            if self._open[slot]:
                return slot
        return NOBODY
