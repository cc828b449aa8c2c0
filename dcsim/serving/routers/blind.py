"""Routers that look at no load: by chance, or each in turn."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from dcsim.serving.replica import Replica
from dcsim.serving.request import Request
from dcsim.serving.routers.base import NOBODY, OpenSlots, Router


class ByChance(Router):
    """Any open replica, each as likely."""

    def __init__(self, replicas: Sequence[Replica], delay_s: float, luck: Random) -> None:
        super().__init__(replicas, delay_s)
        self._luck = luck
        self._open = OpenSlots(len(replicas))
        self.start()

    def told(self, slot: int, state: int) -> None:
        if state >= 0:
            self._open.add(slot)
        else:
            self._open.discard(slot)

    def choose(self, request: Request) -> int:
        members = self._open.members
        return members[int(self._luck.random() * len(members))] if members else NOBODY


class RoundRobin(Router):
    """Each replica in turn; those believed down or closed are skipped."""

    def __init__(self, replicas: Sequence[Replica], delay_s: float) -> None:
        super().__init__(replicas, delay_s)
        self._open: list[bool] = [False] * len(replicas)
        self._next = 0
        self.start()

    def told(self, slot: int, state: int) -> None:
        self._open[slot] = state >= 0

    def choose(self, request: Request) -> int:
        count = len(self._open)
        for _ in range(count):
            slot = self._next
            self._next = slot + 1 if slot + 1 < count else 0
            if self._open[slot]:
                return slot
        return NOBODY
