"""From the pool that prefills to the pool that decodes: the KV cache on its way.

A prompt's keys and values stay in the prefill replica's memory until the last byte has arrived
(as in vLLM's and Mooncake's connectors); then the request joins a decode replica, chosen at that
moment, with its prompt computed.
"""

# compiled by mypyc
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dcsim.plant import ResolvedGroup
from dcsim.serving.replica import Replica
from dcsim.serving.request import Request
from dcsim.serving.span import AlarmClock

Deliver = Callable[[Request, Replica, float], None]
"""What to do with a request whose KV has arrived: request, where it came from, now."""


class Handover:
    """Transfers under way, by the replica that sends."""

    def __init__(
        self,
        clock: AlarmClock,
        groups: Sequence[ResolvedGroup],
        deliver: Deliver,
    ) -> None:
        """`groups`: that of each replica."""
        self._clock = clock
        self._deliver = deliver
        self._latency_s = [group.spec.kv_transfer.latency_s for group in groups]
        self._token_s = [
            group.timing.costs.kv_bytes / group.spec.kv_transfer.bandwidth_bytes_s
            for group in groups
        ]
        self._block = [group.spec.engine.block_tokens for group in groups]
        self._busy_until_s = [0.0] * len(groups)
        """A replica sends one prompt after the other."""
        self._sending: dict[int, dict[int, Request]] = {}

    def __len__(self) -> int:
        return sum(len(requests) for requests in self._sending.values())

    def under_way(self) -> Iterator[tuple[Request, int]]:
        """Requests and the indices of the replicas that they come from."""
        for index, requests in self._sending.items():
            for request in requests.values():
                yield request, index

    def send(self, request: Request, replica: Replica, now: float) -> None:
        """Start the transfer, as soon as those before it are through."""
        index = replica.index
        self._sending.setdefault(index, {})[request.id] = request
        start_s = max(now, self._busy_until_s[index])
        done_s = start_s + request.to_compute * self._token_s[index]
        self._busy_until_s[index] = done_s

        attempt = request.retries

        def arrived(now: float) -> None:
            # Cut off, and perhaps sent again since: then another transfer is the request's.
            sending = self._sending.get(index, {})
            if request.retries != attempt or sending.pop(request.id, None) is None:
                return
            replica.send_done(-(-request.to_compute // self._block[index]), now)
            self._deliver(request, replica, now)

        self._clock.set_alarm(self._clock.alarm(arrived), done_s + self._latency_s[index])

    def cut_off(self, index: int, now: float) -> list[Request]:
        """A sender has lost power, and with it the KV: the requests that are lost."""
        self._busy_until_s[index] = now
        return list(self._sending.pop(index, {}).values())
