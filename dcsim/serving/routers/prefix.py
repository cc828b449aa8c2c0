"""Prompts that begin alike go to the same replica, whose KV cache may still hold their start."""

# compiled by mypyc
from __future__ import annotations

from collections import OrderedDict

from dcsim.serving.request import Request
from dcsim.serving.routers.base import DOWN, Buckets, Pool, Router
from dcsim.serving.routers.load import Balance


class PrefixAware(Router):
    """Sends a request to a replica that was sent the longest part of its prompt's start before;
    of several the one with the fewest requests.

    Where that one is too far ahead of the least loaded (see `Balance`), or nobody knows the
    prompt, the least loaded takes it, and so learns the start as well: what is asked for often
    spreads over as many replicas as its load needs.

    The router guesses what a replica holds from what it sent there itself: the last `entries`
    segments of each, the ones longest unused forgotten first. A replica that lost power has
    forgotten everything.
    """

    def __init__(self, pool: Pool, balance: Balance, entries: int) -> None:
        super().__init__(pool)
        self._balance = balance
        self._entries = entries
        self._loads = Buckets(len(pool.replicas))
        self._known: list[OrderedDict[int, None]] = [OrderedDict() for _ in pool.replicas]
        """Segment ids by slot, the one longest unused first."""
        self._holders: dict[int, OrderedDict[int, None]] = {}
        """Slots by segment id: the same, the other way round."""
        self.start()

    def update(self, slot: int, state: int) -> None:
        self._loads.put(slot, state)
        if state == DOWN:
            for segment in self._known[slot]:
                self._release(segment, slot)
            self._known[slot].clear()

    def choose(self, request: Request) -> int:
        loads = self._loads
        least = loads.least()
        prefix = request.prefix
        if least < 0 or prefix is None:
            return least
        segments = prefix.segments
        at = len(segments)
        while at:
            at -= 1
            # An id stands for all that comes before it too, so one look-up finds the whole start.
            holders = self._holders.get(segments[at][0])
            if holders is None:
                continue
            best = self._least_of(holders, least)
            if best >= 0:
                allowed = self._balance.allows(loads.count(best), loads.count(least))
                return best if allowed else least
        return least

    def sent(self, slot: int, request: Request) -> None:
        prefix = request.prefix
        if prefix is None:
            return
        for segment, _ in prefix.segments:
            self._remember(slot, segment)
        if prefix.becomes:
            self._remember(slot, prefix.becomes)

    def _least_of(self, holders: OrderedDict[int, None], least: int) -> int:
        """The least loaded open holder, or -1. The least of all is looked at first: a start that
        many hold is likely to be there, and then nobody else need be asked."""
        if least in holders:
            return least
        best = fewest = -1
        for slot in holders:
            load = self._loads.count(slot)
            if load >= 0 and (best < 0 or load < fewest):
                best, fewest = slot, load
        return best

    def _remember(self, slot: int, segment: int) -> None:
        known = self._known[slot]
        if segment in known:
            known.move_to_end(segment)
            return
        known[segment] = None
        holders = self._holders.get(segment)
        if holders is None:
            holders = self._holders[segment] = OrderedDict()
        holders[slot] = None
        if len(known) > self._entries:
            oldest = next(iter(known))
            del known[oldest]
            self._release(oldest, slot)

    def _release(self, segment: int, slot: int) -> None:
        holders = self._holders[segment]
        del holders[slot]
        if not holders:
            del self._holders[segment]
