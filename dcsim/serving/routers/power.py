"""Requests go where watts are left."""

# compiled by mypyc
from __future__ import annotations

from collections import deque

from dcsim.serving.request import Request
from dcsim.serving.routers.base import NOBODY, Buckets, Pool, Router
from dcsim.serving.routers.load import Balance


class PowerAware(Router):
    """Prefers the replicas under the feed with the most headroom, its rating less its load of the
    last power step; among them, and under feeds with equal headroom, the one with the fewest
    requests. A feed without a known rating counts as having infinite headroom.

    A feed may be far larger than another and keep the most headroom however many wait there.
    So, as with a preferred prefix, a replica too far ahead of the least loaded is passed over
    (see `Balance`), and the least loaded of all takes the request.

    `delay_s` is the age of the headroom as well as of the counts.
    """

    def __init__(self, pool: Pool, balance: Balance) -> None:
        super().__init__(pool)
        self._balance = balance
        self._feed: list[int] = pool.feeds
        count = max(self._feed) + 1
        self._loads = Buckets(len(pool.replicas))
        self._loads_of: list[Buckets] = [Buckets(len(pool.replicas)) for _ in range(count)]
        self._headroom_w: list[float] = [0.0] * count
        self._order: list[int] = list(range(count))
        """Feeds by headroom, the most first."""
        self._reports: deque[tuple[float, list[float]]] = deque()
        self.start()

    def needs_headroom(self) -> bool:
        return True

    def observe(self, now: float, headroom_w: list[float]) -> None:
        """Headroom of each feed over the power step just ended; the list is kept."""
        self._reports.append((now + self.delay_s, headroom_w))
        self._read(now)

    def update(self, slot: int, state: int) -> None:
        self._loads.put(slot, state)
        self._loads_of[self._feed[slot]].put(slot, state)

    def choose(self, request: Request) -> int:
        loads = self._loads
        least = loads.least()
        if least < 0:
            return NOBODY
        best = fewest = -1
        headroom_w = 0.0
        for feed in self._order:
            if best >= 0 and self._headroom_w[feed] < headroom_w:
                break
            slot = self._loads_of[feed].least()
            if slot < 0:
                continue
            load = loads.count(slot)
            if best < 0 or load < fewest:
                best, fewest = slot, load
                headroom_w = self._headroom_w[feed]
        return best if self._balance.allows(fewest, loads.count(least)) else least

    def _catch_up(self, now: float) -> None:
        super()._catch_up(now)
        self._read(now)

    def _read(self, now: float) -> None:
        reports = self._reports
        newest: list[float] | None = None
        while reports and reports[0][0] <= now:
            newest = reports.popleft()[1]
        if newest is not None:
            self._headroom_w = newest
            self._order = sorted(range(len(newest)), key=lambda feed: -newest[feed])
