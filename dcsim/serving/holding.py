"""Requests for a group that is scaled to nothing: held until a replica is up, as the activators of
serverless platforms hold them."""

# not compiled: it holds few requests
from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from dcsim.records import Status
from dcsim.serving.log import RequestLog
from dcsim.serving.request import Request
from dcsim.serving.routers.base import Router
from dcsim.serving.span import AlarmClock

NO_REPLICA = -1


class HoldingQueue:
    """Those of one router's replicas, in order of arrival."""

    def __init__(self, clock: AlarmClock, router: Router, log: RequestLog) -> None:
        self.wakers: list[Callable[[float], bool]] = []
        """Each starts a replica where none is on, and says whether one is on its way."""
        self.timeout_s = math.inf
        """How long a request waits here at most."""
        self._clock = clock
        self._router = router
        self._log = log
        self._waiting: deque[tuple[float, Request]] = deque()
        self._release: Any = clock.alarm(self._go)
        self._expiry: Any = clock.alarm(self._expire)

    def __len__(self) -> int:
        return len(self._waiting)

    def pending(self) -> list[Request]:
        """What is held now."""
        return [request for _, request in self._waiting]

    def takes(self, now: float) -> bool:
        """Whether a request that no replica takes may wait here: somebody is on the way."""
        coming = False
        for wake in self.wakers:
            coming = wake(now) or coming
        return coming or bool(self._waiting)

    def hold(self, request: Request, now: float) -> None:
        """Keep one until a replica opens."""
        self._waiting.append((now, request))
        if len(self._waiting) == 1 and self.timeout_s < math.inf:
            self._clock.set_alarm(self._expiry, now + self.timeout_s)

    def opened(self, now: float) -> None:
        """A replica is up and admits: what is held goes there once its router knows."""
        if not self._waiting:
            return
        if self._router.delay_s > 0.0:
            self._clock.set_alarm(self._release, now + self._router.delay_s)
        else:
            self._go(now)

    def _go(self, now: float) -> None:
        while self._waiting:
            request = self._waiting[0][1]
            replica = self._router.pick(request, now)
            if replica is None:
                return
            self._waiting.popleft()
            if replica.submit(request, now):
                self._router.changed(replica, now)
            else:
                self._book(request, replica.index, now, Status.REJECTED)

    def _expire(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] + self.timeout_s <= now:
            self._book(self._waiting.popleft()[1], NO_REPLICA, now, Status.TIMED_OUT)
        if self._waiting:
            self._clock.set_alarm(self._expiry, self._waiting[0][0] + self.timeout_s)

    def _book(self, request: Request, index: int, now: float, status: Status) -> None:
        self._log.add(request, index, now, status, request.generated, 0.0)
