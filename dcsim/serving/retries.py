"""Sent again: what clients do when a request is lost with its replica.

A request that fails, because its replica lost power or none was up, is sent again after a while,
from the start, as many times as its stream says. It stays one request: its latencies count from
its first arrival, and what it had been given before is lost work.
"""

# compiled by mypyc
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dcsim.scenario.models import Retry
from dcsim.serving.request import Request
from dcsim.serving.span import AlarmClock

Send = Callable[[Request, float], None]


class Retries:
    """Requests that wait to be sent again."""

    def __init__(self, clock: AlarmClock, rules: Sequence[Retry | None], send: Send) -> None:
        """`rules` by stream; None where nobody tries again."""
        self._clock = clock
        self._rules = rules
        self._send = send
        self._pending: dict[int, Request] = {}
        self.count = 0
        """Times that a request has been taken for another try."""
        self.lost_tokens = 0
        """Output tokens of tries that came to nothing."""

    def __len__(self) -> int:
        return len(self._pending)

    def pending(self) -> Iterable[Request]:
        """Who waits, in the order of failing."""
        return self._pending.values()

    def take(self, request: Request, generated: int, now: float) -> bool:
        """Take a failed request for another try; False when it has had all of its tries."""
        rule = self._rules[request.stream]
        if rule is None or request.retries >= rule.attempts:
            return False
        self.count += 1
        self.lost_tokens += generated
        request.start_over()
        self._pending[request.id] = request

        def again(now: float) -> None:
            del self._pending[request.id]
            self._send(request, now)

        wait_s = rule.delay_s * rule.backoff ** (request.retries - 1)
        self._clock.set_alarm(self._clock.alarm(again), now + wait_s)
        return True
