"""A replica under a clock limit or a power cap: what becomes of the iteration under way.

Iterations are planned by the law of the moment (`dcsim.serving.slowed`). When the law changes, what
is left of the iteration under way goes on by the new one at once, as a board's clock does.
"""

# compiled by mypyc
from __future__ import annotations

import math
import struct

from dcsim.hardware.roofline import IterationModel
from dcsim.serving.slowed import (
    REST,
    GovernedIterations,
    Governor,
    Holding,
    Rates,
    room,
)
from dcsim.serving.span import Spans
from dcsim.serving.work import BUSY_OFFSET, LEAD_OFFSET

_INF = math.inf
_pack_shape = struct.Struct("3d").pack_into
_pack_one = struct.Struct("d").pack_into


class Governed(Spans):
    """Spans whose speed may change while they run."""

    __slots__ = ()

    def govern(self, governor: Governor | None, now: float) -> None:
        """From now on iterations obey this law; None: they go at full clock."""
        if governor is None:
            if self._rules is None:
                return
            self._rules = None
        else:
            self._rules = GovernedIterations(self._full, governor)
            if self._holding is None:
                self._holding = Holding(self._work.held_rows(), self.index)
                self._holding.begin(self._work_done())
        self.regovern(now)

    def regovern(self, now: float) -> None:
        """The law has changed: the iteration under way, and all after it, go on by it."""
        rules = self._rules
        if rules is not None:
            rules.forget()
        if self._span_end_s == _INF:
            return
        if now < self._span_start_s:
            self._retime_lead(now)
        elif self._chunks:
            self._retime_mixed(now)
        else:
            self._retime_decode(now)

    @property
    def timing(self) -> IterationModel:
        """Times of iterations at full clock."""
        return self._full

    def shift(self, delay_s: float, now: float) -> float:
        """Put the present span off by so much, or forward where it is negative: less was done of
        it by now than its row tells, or more. Returns by how much it was possible: 0 where nothing
        runs, and what is left goes no faster than at full clock. Who reads the work table must
        begin anew."""
        if self._span_end_s == _INF:
            return 0.0
        if delay_s < 0.0:
            if self._holding is None or now < self._span_start_s:
                return 0.0
            extra = self._holding.extra()
            delay_s = max(delay_s, (now - self._span_end_s) * extra / (1.0 + extra))
        if self._chunks and now > self._span_start_s:
            self._add_phase(delay_s)
            self._write_phase(1.0)
        self._span_start_s += delay_s
        self._span_end_s += delay_s
        self._total_busy_s += delay_s
        if self._span_start_s > now and self._lead_s == _INF:
            # As if its first iteration were done a second time.
            self._lead_s = self._span_a
            self._lead_batch = 0
            if self._holding is not None:
                self._holding.lead()
            _pack_one(self._buffer, self._row + LEAD_OFFSET, self._lead_s)
            if self._holding is not None:
                self._holding.write()
        self._rewrite()
        return delay_s

    def full_above_w(self, now: float) -> float:
        """Watts above rest that the iteration under way would draw at full clock."""
        if self._holding is None or self._span_end_s == _INF:
            return 0.0
        return self._holding.full_w(now < self._span_start_s)

    def _retime_mixed(self, now: float) -> None:
        batch = len(self.decoding)
        context = self.context_tokens
        tokens, pairs, reads, finishing = self._chunk_sums()
        rates: Rates = REST
        if self._rules is None:
            seconds = self._full.mixed_s(batch, context, tokens, pairs, reads, finishing)
        else:
            flops, moved = self._costs.whole_work(
                batch, context, self._span_flops, self._span_bytes, self._experts_each
            )
            rule = self._rules.mixed(batch, context, tokens, pairs, reads, finishing, flops, moved)
            seconds = rule.taken_s
            rates = rule
        done = min(1.0, (now - self._span_start_s) / self._span_a)
        self._move(now, now - done * seconds, seconds, 0.0, rates)

    def _retime_decode(self, now: float) -> None:
        batch = len(self.decoding)
        a = self._span_a
        b = self._span_b
        # Iterations done, and the part of the one under way.
        whole = min(int(self._progress(now)), self._span_iterations - 1)
        part = (now - self._edge_s(whole)) / (a + b * whole)
        part = min(1.0, max(0.0, part))
        context = self.context_tokens
        timing, duty, rates = self._decode_pace(batch, context + batch * whole)
        if self._rules is not None:
            most = whole + room(batch, context + batch * whole)
            self._span_iterations = min(self._span_iterations, most)
        slope = timing.context_s / duty
        a = timing.decode_s[batch] / duty + slope * (context + batch)
        b = slope * batch
        next_s = now + (1.0 - part) * (a + b * whole)
        start_s = next_s - (whole + 1) * a - 0.5 * b * (whole + 1) * whole
        self._move(now, start_s, a, b, rates)

    def _decode_pace(self, batch: int, context: int) -> tuple[IterationModel, float, Rates]:
        """Of iterations that only decode: their times, the share of the time in which they go on,
        and what the power step must know of them."""
        if self._rules is None:
            return self._full, 1.0, REST
        rule = self._rules.decode(batch, context)
        return rule.timing, rule.duty, rule

    def _move(self, now: float, start_s: float, a: float, b: float, rates: Rates) -> None:
        """The span goes on with what is done of it, told as if it had begun at `start_s`."""
        if self._holding is not None:
            done = self._part(self._progress(now))
            self._holding.move(rates, done, now - self._span_start_s, now - start_s)
        self._total_busy_s += start_s - self._span_start_s
        if self._chunks:
            self._add_phase(start_s - self._span_start_s)
            self._write_phase(1.0)
        self._span_start_s = start_s
        self._span_a = a
        self._span_b = b
        self._span_end_s = self._edge_s(self._span_iterations)
        self._rewrite()

    def _part(self, x: float) -> list[float]:
        """Work in the span's first `x` iterations, as `_work_done` lists it."""
        batch = len(self.decoding)
        prefill = flops = moved = 0.0
        if self._chunks:
            prefill = x * self._span_prefill
            flops = x * self._span_flops
            moved = x * self._span_bytes
        context = x * (self.context_tokens + 0.5 * batch * (x - 1.0))
        return [x, batch * x, context, prefill, flops, moved, x * self._experts_each]

    def _retime_lead(self, now: float) -> None:
        """What runs before the span begins is a decode iteration that is booked already."""
        batch = self._lead_batch
        start_s = self._span_start_s
        lead_s = self._lead_s
        if batch:
            context = self._lead_context
            timing, duty, rates = self._decode_pace(batch, context)
            left = min(1.0, (start_s - now) / lead_s)
            lead_s = (timing.decode_s[batch] + timing.context_s * (context + batch)) / duty
            start_s = now + left * lead_s
            if self._holding is not None:
                context_left = left * context
                experts = left * self._experts_before
                parts = [left, left * batch, context_left, 0.0, 0.0, 0.0, experts]
                self._holding.move_lead(rates, parts, self._span_start_s - now, start_s - now)
            self._total_busy_s += start_s - self._span_start_s
            self._span_start_s = start_s
        if self._chunks:
            self._begin_mixed(start_s, lead_s)
        else:
            self._begin_decode(start_s, lead_s, once=self._span_iterations == 1)

    def _rewrite(self) -> None:
        """The span's times, in the work table and for the clock."""
        row = self._row
        _pack_shape(self._buffer, row, self._span_start_s, self._span_a, self._span_b)
        _pack_one(self._buffer, row + BUSY_OFFSET, self._total_busy_s)
        self._set_alarm(self._wake, self._span_end_s)
