"""Work that is held down by a clock limit or a power cap: by which law, and what it adds up to.

A governor says at which clock an iteration goes, from the iteration's own work: a board that is
capped finds its clock within milliseconds, so each iteration runs at the speed that its own watts
leave it, whatever the power step. Beside the work itself (`dcsim.serving.work`) the power step
must then know what the GPUs would have done at full clock in the same time, and how the watts go
with the clocks. Both are kept here, in a second row a replica, written only while it is governed.
"""

# compiled by mypyc
from __future__ import annotations

import math
import struct
from bisect import bisect_right
from typing import Protocol

from dcsim.hardware.roofline import IterationModel

HELD = struct.Struct("24d")
"""See `dcsim.serving.work.HeldTable`: extra work and its lead's; seven sums of extra work; five
sums of the `Rule`'s rates, the rates, and the lead's rates."""
HELD_BYTES = HELD.size
_pack_held = HELD.pack_into
_SLOWER, _SLOW = 0.9, 0.95
"""A clock to see by how much of an iteration goes with the clock, where its own clock is not below
the second."""

EDGES: list[int] = [0, *(math.ceil(64 * 2.0 ** (k / 8)) for k in range(240))]
"""Context tokens of a batch at which a run of decodes asks its governor again: within 9 % of
context watts and speeds are taken to be the same, so that merging iterations changes nothing."""


class Governor(Protocol):
    """The law that a replica's iterations obey."""

    def hold(
        self, seconds: float, flops: float, moved: float, prefill: int, decode: int
    ) -> tuple[float, float, float, float, bool]:
        """Of an iteration that takes so long at full clock and does so much (FLOPs, bytes moved,
        prompt and answer tokens): its clock; the share of the time that it goes at that clock, 1
        unless the lowest clock is not low enough; watts above rest at full clock, and as held;
        whether a power cap holds it down."""

    def changes(self, at_s: float) -> None:
        """Another kind of iteration begins then, or none does."""


class Rates:
    """What the power step must know of an iteration while it runs."""

    __slots__ = ("bound_w", "extra", "free_w", "full_w", "soft", "soft_bound")

    def __init__(self) -> None:
        self.extra = 0.0
        """Work at full clock in the same time, over the work done, less 1."""
        self.full_w = 0.0
        """Watts above rest at full clock."""
        self.free_w = 0.0
        """Watts above rest where no power cap holds the iteration down, else 0."""
        self.bound_w = 0.0
        """Watts above rest where one does, else 0."""
        self.soft = 0.0
        """Share of the time that goes with the inverse of the clock."""
        self.soft_bound = 0.0
        """The same where a power cap holds the iteration down, else 0."""


REST = Rates()
"""Nothing runs, or it runs at full clock."""


class GovernedIteration(Rates):
    """What a governor makes of one kind of iteration."""

    __slots__ = ("duty", "taken_s", "timing")

    def __init__(self, timing: IterationModel, duty: float, taken_s: float) -> None:
        super().__init__()
        self.timing = timing
        self.taken_s = taken_s
        """How long the iteration takes that it was made for."""
        self.duty = duty
        """Of the time that the iteration takes, the share in which it goes on."""


class GovernedIterations:
    """A replica's governor, asked about iterations at full clock; answers for decodes are kept."""

    __slots__ = ("_decodes", "_full", "_slower", "governor")

    def __init__(self, full: IterationModel, governor: Governor) -> None:
        self._full = full
        self._slower = full.at_clock(_SLOWER)
        self.governor = governor
        self._decodes: dict[int, GovernedIteration] = {}

    def forget(self) -> None:
        """The governor has changed its mind."""
        self._decodes.clear()

    def decode(self, batch: int, context: int) -> GovernedIteration:
        """For an iteration that only decodes: the same for all contexts between two `EDGES`."""
        place = bisect_right(EDGES, context) - 1
        key = batch * len(EDGES) + place
        rule = self._decodes.get(key)
        if rule is None:
            low = EDGES[place]
            full = self._full
            flops, moved = full.work(batch, low, 0, 0.0, 0.0, 0)
            full_s = full.decode_s[batch] + full.context_s * (low + batch)
            answer = self.governor.hold(full_s, flops, moved, 0, batch)
            held = full.at_clock(answer[0])
            held_s = held.decode_s[batch] + held.context_s * (low + batch)
            slower = held if answer[0] < _SLOW else self._slower
            slower_s = slower.decode_s[batch] + slower.context_s * (low + batch)
            rule = _governed_iteration(held, answer, full_s, held_s, slower_s)
            self._decodes[key] = rule
        return rule

    def mixed(
        self,
        batch: int,
        context: int,
        tokens: int,
        pairs: float,
        reads: float,
        finishing: int,
        flops: float,
        moved: float,
    ) -> GovernedIteration:
        """For an iteration with prompt chunks (see `IterationModel.mixed_s`), whose FLOPs and
        bytes are given (`WorkCosts.whole_work`)."""
        full = self._full
        full_s = full.mixed_s(batch, context, tokens, pairs, reads, finishing)
        answer = self.governor.hold(full_s, flops, moved, tokens, batch)
        held = full.at_clock(answer[0])
        held_s = slower_s = full_s
        if held is not full:
            held_s = held.mixed_s(batch, context, tokens, pairs, reads, finishing)
        if answer[0] >= _SLOW:
            slower_s = self._slower.mixed_s(batch, context, tokens, pairs, reads, finishing)
        return _governed_iteration(held, answer, full_s, held_s, slower_s)


def room(batch: int, context: int) -> int:
    """Decode iterations from this context on that one rule holds for."""
    high = EDGES[bisect_right(EDGES, context)]
    return -((context - high) // batch)


def _governed_iteration(
    timing: IterationModel,
    answer: tuple[float, float, float, float, bool],
    full_s: float,
    held_s: float,
    slower_s: float,
) -> GovernedIteration:
    """The rule of an iteration that takes `full_s` at full clock, `held_s` at the clock told and
    `slower_s` at the clock `_SLOWER`, which counts from the clock `_SLOW` on only."""
    clock, duty, full_w, held_w, bound = answer
    rule = GovernedIteration(timing, duty, held_s / duty)
    rule.extra = held_s / duty / full_s - 1.0
    rule.full_w = full_w
    if clock < _SLOW:
        share = (held_s / full_s - 1.0) / (1.0 / clock - 1.0)
    else:
        share = (slower_s / full_s - 1.0) / (1.0 / _SLOWER - 1.0)
    rule.soft = min(1.0, max(0.0, share / clock * full_s / held_s))
    if bound:
        rule.bound_w = held_w
        rule.soft_bound = rule.soft
    else:
        rule.free_w = held_w
    return rule


class Holding:
    """One replica's row of the second table."""

    __slots__ = ("_base", "_buffer", "_excess", "_lead", "_offset", "_rule", "_seen")

    def __init__(self, buffer: bytearray, index: int) -> None:
        self._buffer = buffer
        self._offset = index * HELD_BYTES
        self._rule: Rates = REST
        self._lead: Rates = REST
        self._excess = [0.0] * 7
        self._seen = [0.0] * 7
        self._base = [0.0] * 5

    def begin(self, totals: list[float]) -> None:
        """From now on, in a span that began with these totals (see `close`)."""
        self._seen = totals

    def full_w(self, early: bool) -> float:
        """Watts above rest at full clock of the iteration under way; `early` where it is the one
        before the span."""
        return self._lead.full_w if early else self._rule.full_w

    def extra(self) -> float:
        """Of the span: work at full clock in the same time, over the work done, less 1."""
        return self._rule.extra

    def lead(self) -> None:
        """What is under way ends before the next span begins, and is booked already."""
        self._lead = self._rule

    def close(self, elapsed_s: float, totals: list[float]) -> None:
        """A span has ended `elapsed_s` after it began, with these totals of work: iterations,
        decode tokens, context, prefill tokens, FLOPs, bytes, expert shares."""
        rule = self._lead if elapsed_s < 0.0 else self._rule
        extra = rule.extra
        if extra != 0.0:
            for i in range(7):
                self._excess[i] += extra * (totals[i] - self._seen[i])
        self._seen = totals
        self._book(rule, elapsed_s)

    def open(self, rule: Rates) -> None:
        """A span begins."""
        self._rule = rule
        self.write()

    def move(self, rule: Rates, done: list[float], before_s: float, after_s: float) -> None:
        """The span goes on by another rule: so much work is `done` of it, in `before_s` seconds,
        which its row tells from now on as `after_s` at the new speed."""
        old = self._rule
        for i in range(7):
            self._excess[i] += (old.extra - rule.extra) * done[i]
        self._book(old, before_s)
        self._book(rule, -after_s)
        self._rule = rule
        self.write()

    def move_lead(self, rule: Rates, left: list[float], before_s: float, after_s: float) -> None:
        """The iteration before the span goes on by another rule: so much is `left` of it, which
        would have taken `before_s` and now takes `after_s`."""
        old = self._lead
        for i in range(7):
            self._excess[i] += (rule.extra - old.extra) * left[i]
        self._book(old, -before_s)
        self._book(rule, after_s)
        self._lead = rule

    def _book(self, rule: Rates, seconds: float) -> None:
        base = self._base
        base[0] += rule.full_w * seconds
        base[1] += rule.free_w * seconds
        base[2] += rule.bound_w * seconds
        base[3] += rule.soft * seconds
        base[4] += rule.soft_bound * seconds

    def write(self) -> None:
        """Write the row."""
        rule, lead, excess, base = self._rule, self._lead, self._excess, self._base
        _pack_held(
            self._buffer,
            self._offset,
            rule.extra,
            lead.extra,
            excess[0],
            excess[1],
            excess[2],
            excess[3],
            excess[4],
            excess[5],
            excess[6],
            base[0],
            base[1],
            base[2],
            base[3],
            base[4],
            rule.full_w,
            rule.free_w,
            rule.bound_w,
            rule.soft,
            rule.soft_bound,
            lead.full_w,
            lead.free_w,
            lead.bound_w,
            lead.soft,
            lead.soft_bound,
        )
