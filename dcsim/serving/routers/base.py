"""What all routers have in common: news of the replicas, its delay, and failing over."""

# compiled by mypyc
from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Sequence
from random import Random

import numpy as np
from mypy_extensions import mypyc_attr

from dcsim.seeds import scalar_generator
from dcsim.serving.replica import Replica
from dcsim.serving.request import Request

CLOSED = -1
"""News of a replica that has power but takes no new requests."""
DOWN = -2
"""News of a replica without power; what it had in memory is gone."""
NOBODY = -1
"""A choice where no replica is believed open."""


class Pool:
    """The replicas of a model among which a router chooses, and what it may know of them."""

    def __init__(
        self,
        replicas: Sequence[Replica],
        delay_s: float,
        seed: np.random.SeedSequence,
        feeds: Sequence[int] | None = None,
    ) -> None:
        """Prepare a pool.

        Parameters
        ----------
        replicas
            In the order of their slots.
        delay_s
            Age of what the router sees.
        seed
            Where the router's random stream comes from.
        feeds
            Number of each replica's feed, from 0 without gaps; None: all hang from one.
        """
        self.replicas: list[Replica] = list(replicas)
        self.delay_s = delay_s
        """Age of what the router sees of the replicas and of the power."""
        self.feeds: list[int] = [0] * len(self.replicas) if feeds is None else list(feeds)
        self._seed = seed

    def random(self) -> Random:
        """Open the random stream of this pool's router.

        Returns
        -------
        random.Random
            Always the same for the same scenario and seed.
        """
        return scalar_generator(self._seed)


# So that the router of another package, which is not compiled, may inherit from it.
@mypyc_attr(allow_interpreted_subclasses=True)
class Router(ABC):
    """Picks a replica for each request by what it has been told of them.

    The fleet reports every change of a replica at once; the router acts on it `delay_s` later,
    so it sees each replica exactly as it was that long ago. News wait in a queue in order of
    time: O(1) a change, and never more of them than happened within one delay.

    A replica that the router takes for open may have closed meanwhile. The gateway then does as
    gateways do with a refused connection or a 503: it goes on to its next choice at once (one
    `failover`), and leaves the refusing replica alone until there is fresher news of it.

    Subclasses keep what they need of the news (`update`) and make the choice (`choose`), both by
    slot: the replica's place in the pool. They call `start` when they are ready.
    """

    def __init__(self, pool: Pool) -> None:
        """Prepare a router.

        Parameters
        ----------
        pool
            The replicas among which it chooses.
        """
        self.replicas: list[Replica] = pool.replicas
        self.failovers = 0
        """Refusals met so far."""
        self.delay_s = pool.delay_s
        self._slots: dict[int, int] = {r.index: slot for slot, r in enumerate(self.replicas)}
        self._news: deque[tuple[float, int, int]] = deque()

    def start(self) -> None:
        """The first news: all replicas as they are, known without delay."""
        for slot, replica in enumerate(self.replicas):
            self.update(slot, _state(replica))

    def pick(self, request: Request, now: float) -> Replica | None:
        """Pick a replica that is up and admitting; the caller submits at once.

        Parameters
        ----------
        request
            What is to be served.
        now
            Simulated time in seconds.

        Returns
        -------
        Replica or None
            None where the router believes that none is open.
        """
        if self.delay_s > 0.0:
            self._catch_up(now)
        while True:
            slot = self.choose(request)
            if slot < 0:
                return None
            replica = self.replicas[slot]
            if replica.up and replica.admitting:
                self.sent(slot, request)
                return replica
            self.failovers += 1
            self.update(slot, CLOSED)

    def changed(self, replica: Replica, now: float) -> None:
        """Hear that `outstanding`, `up` or `admitting` of a replica changed.

        Parameters
        ----------
        replica
            As it is now.
        now
            Simulated time in seconds; `update` hears of it `delay_s` later.
        """
        slot = self._slots[replica.index]
        state = _state(replica)
        if self.delay_s > 0.0:
            self._news.append((now + self.delay_s, slot, state))
            self._catch_up(now)
        else:
            self.update(slot, state)

    def _catch_up(self, now: float) -> None:
        """Hear the news that are due."""
        news = self._news
        while news and news[0][0] <= now:
            _, slot, state = news.popleft()
            self.update(slot, state)

    @abstractmethod
    def update(self, slot: int, state: int) -> None:
        """Take note of a replica's state.

        Parameters
        ----------
        slot
            Its place in the pool.
        state
            Number of its requests, running and waiting; or CLOSED or DOWN.
        """

    @abstractmethod
    def choose(self, request: Request) -> int:
        """Choose among the replicas that are believed open.

        Parameters
        ----------
        request
            What is to be served.

        Returns
        -------
        int
            Slot of the best, or NOBODY where none is believed open.
        """

    def sent(self, slot: int, request: Request) -> None:  # noqa: B027 - most need not know
        """Take note that a request goes where `choose` said.

        Parameters
        ----------
        slot
            Place of the replica in the pool.
        request
            What it serves.
        """

    def needs_headroom(self) -> bool:
        """Say whether `observe` is to be called.

        Returns
        -------
        bool
            True for a router that chooses by the headroom of feeds.
        """
        return False

    def observe(self, now: float, headroom_w: list[float]) -> None:  # noqa: B027
        """See the headroom of the feeds; called once a power step if `needs_headroom`.

        Parameters
        ----------
        now
            End of the power step, in simulated seconds.
        headroom_w
            Of each feed, by the numbers of `Pool.feeds`.
        """


def _state(replica: Replica) -> int:
    if not replica.up:
        return DOWN
    return replica.outstanding if replica.admitting else CLOSED


class OpenSlots:
    """A set of slots from which one can be drawn by number in O(1)."""

    def __init__(self, slots: int) -> None:
        self.members: list[int] = []
        self._place: list[int] = [-1] * slots

    def add(self, slot: int) -> None:
        """Does nothing where it is in already."""
        if self._place[slot] < 0:
            self._place[slot] = len(self.members)
            self.members.append(slot)

    def discard(self, slot: int) -> None:
        """The last member takes the place of the one that goes."""
        place = self._place[slot]
        if place < 0:
            return
        self._place[slot] = -1
        last = self.members.pop()
        if last != slot:
            self.members[place] = last
            self._place[last] = place


class Buckets:
    """Slots by count, with the fewest at hand.

    They stand in one ordered bucket per number, so that looking and moving cost the same for
    ten slots and ten thousand (a plain dict is slow to find its first key after many have gone).
    Among equals the one that has been at its number longest is first.
    """

    def __init__(self, slots: int) -> None:
        self._buckets: list[OrderedDict[int, None]] = [OrderedDict()]
        self._at: list[int] = [-1] * slots
        self._least = 0
        self.size = 0

    def put(self, slot: int, count: int) -> None:
        """Add a slot or move it; a negative count takes it out."""
        old = self._at[slot]
        if old == count or (old < 0 and count < 0):
            return
        buckets = self._buckets
        if old >= 0:
            del buckets[old][slot]
            self.size -= 1
        if count < 0:
            self._at[slot] = -1
            return
        while count >= len(buckets):
            buckets.append(OrderedDict())
        buckets[count][slot] = None
        self._at[slot] = count
        self.size += 1
        if count < self._least:
            self._least = count

    def least(self) -> int:
        """The first slot of the lowest number, or NOBODY."""
        if not self.size:
            return NOBODY
        buckets = self._buckets
        least = self._least
        while not buckets[least]:
            least += 1
        self._least = least
        return next(iter(buckets[least]))

    def count(self, slot: int) -> int:
        """Where a slot stands; -1 where it is out."""
        return self._at[slot]
