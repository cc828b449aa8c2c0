"""Spans: what a replica is doing now, in the closed form that the work table reads.

While nothing changes, decode iterations differ only by their context, which grows by the batch
each time. So a run of them is one span with one event at its end; an iteration that also computes
prompts is a span of its own, and so is the time in which nothing runs (`a` infinite).

::

      lead (booked already)              the span, count = 3
    |<------- lead_s ------->|<-- a -->|<-- a + b -->|<-- a + 2 b -->|
    +------------------------+---------+-------------+---------------+----> time
                          start_s                                  end_s
    x: -1                    0         1             2               3

The replica's row of the table holds the totals as they stand at `start_s`, and the shape of the
span: a, b, batch, context. With x iterations of it done (`_progress`), any total at any instant is
the total at `start_s` and what x iterations do; that is why no event is needed at a power step.

A span begins at the end of another (`Replica._on_wake`), or is planned while an iteration is
under way, when a request comes that joins at its end (`Replica._cut_span`). That iteration, the
lead, is then booked as if it had ended, and x is negative until it has: the table takes its
unfinished part off the totals. A span can be cut short (`Replica._shorten_span`), by a loss of
power too (`_account_partial_span`), and can change speed (`dcsim.serving.governed`). Alarms that
were set for an end that no longer holds fire all the same, and are known by their time.

One replica is one object in four layers, each a file: `Batch` (which requests, which memory),
`Spans` (when), `Governed` (at which clock), `Replica` (requests in and out). They share their
attributes, because a call across objects would cost as much as the work done in it.
"""

# compiled by mypyc
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from dcsim.hardware.roofline import IterationModel
from dcsim.ledger import GpuState
from dcsim.scenario.models import Engine
from dcsim.serving.batch import Batch
from dcsim.serving.slowed import REST, GovernedIterations, Holding, Rates, room
from dcsim.serving.work import (
    EXPERTS,
    EXPERTS_OFFSET,
    PHASE,
    PHASE_OFFSET,
    PREFILL,
    PREFILL_OFFSET,
    ROW_BYTES,
    SPAN,
    WorkTable,
)

IDLE = float(GpuState.IDLE)
OFF = float(GpuState.OFF)
_QUEUED = float(GpuState.QUEUED)
_PREFILL = float(GpuState.PREFILL)
_DECODE = float(GpuState.DECODE)
_MIXED = float(GpuState.MIXED)
_INF = math.inf
_pack_span = SPAN.pack_into
_pack_prefill = PREFILL.pack_into
_pack_experts = EXPERTS.pack_into
_pack_phase = PHASE.pack_into


class AlarmClock(Protocol):
    """What a replica needs of the engine's clock."""

    def alarm(self, action: Callable[[float], None]) -> Any:
        """An event that calls `action(now_s)` whenever it fires."""

    def set_alarm(self, alarm: Any, time_s: float) -> None:
        """Fire the alarm at `time_s` too; what was set before still fires."""


class Spans(Batch):
    """A batch in time: the present span, the totals before it, and its row of the work table."""

    __slots__ = (
        "_buffer",
        "_costs",
        "_experts_before",
        "_experts_each",
        "_full",
        "_has_experts",
        "_holding",
        "_lead_batch",
        "_lead_context",
        "_lead_s",
        "_lost_iterations",
        "_phase_bytes",
        "_phase_flops",
        "_phase_root",
        "_phase_s",
        "_rate_bytes",
        "_rate_flops",
        "_rate_root",
        "_row",
        "_rules",
        "_set_alarm",
        "_span_a",
        "_span_b",
        "_span_bytes",
        "_span_end_s",
        "_span_flops",
        "_span_iterations",
        "_span_prefill",
        "_span_start_s",
        "_total_busy_s",
        "_total_bytes",
        "_total_context",
        "_total_experts",
        "_total_flops",
        "_total_prefill",
        "_wake",
        "_work",
        "index",
        "total_decode",
    )

    def __init__(
        self,
        index: int,
        clock: AlarmClock,
        timing: IterationModel,
        engine: Engine,
        capacity_blocks: int,
        work: WorkTable,
    ) -> None:
        super().__init__(engine, capacity_blocks)
        self.index = index
        self.total_decode = 0.0
        self._lost_iterations = 0.0
        """Iterations cut off by a loss of power, in parts."""
        self._full = timing
        """Times at full clock."""
        self._rules: GovernedIterations | None = None
        """By which iterations are slowed; None at full clock."""
        self._holding: Holding | None = None
        """Made when the replica is governed for the first time."""
        self._lead_batch = 0
        self._lead_context = 0
        """Of the iteration that runs before the span begins."""
        self._costs = timing.costs
        self._work = work
        self._buffer: bytearray = work.buffer
        self._row = index * ROW_BYTES
        self._has_experts = self._costs.expert_bytes > 0.0
        self._total_experts = 0.0
        """Shares of the expert weights read by all iterations before the span."""
        self._experts_each = 0.0
        self._experts_before = 0.0
        """The same of one iteration of the span, and of the one under way before it begins."""
        self._total_context = 0.0
        self._total_busy_s = 0.0
        self._total_prefill = 0.0
        self._total_flops = 0.0
        self._total_bytes = 0.0
        self._phase_s = self._phase_flops = self._phase_bytes = self._phase_root = 0.0
        """Totals of iterations with prompts, as `PHASE` has them, and below of the present one."""
        self._rate_flops = self._rate_bytes = self._rate_root = 0.0
        self._span_start_s = 0.0
        self._span_end_s = _INF
        self._span_a = _INF
        self._span_b = 0.0
        self._span_iterations = 0
        self._span_prefill = 0
        self._span_flops = 0.0
        self._span_bytes = 0.0
        self._lead_s = _INF
        self._set_alarm = clock.set_alarm
        self._wake = clock.alarm(self._on_wake)

    def _on_wake(self, now: float) -> None:
        """The span may have ended; `Replica` says what then."""

    def _progress(self, now: float) -> float:
        """Iterations of the current span done by now; negative while the one before goes on."""
        a = self._span_a
        tau = now - self._span_start_s
        if tau < 0.0:
            return tau / self._lead_s
        if a == _INF:
            return 0.0
        b = self._span_b
        half = a - 0.5 * b
        return 2.0 * tau / (half + math.sqrt(half * half + 2.0 * b * tau))

    def _edge_s(self, count: int) -> float:
        """When the span's first `count` iterations will have been done."""
        a = self._span_a
        b = self._span_b
        return self._span_start_s + count * a + 0.5 * b * count * (count - 1)

    def _begin_decode(self, start_s: float, lead_s: float, once: bool = False) -> None:
        """Decode until the first of the batch is done, or as far as there are KV blocks; or a
        single iteration."""
        batch = len(self.decoding)
        count = 1 if once else self.decoding[0][0] - self.iteration
        if self.held_tokens + batch * (count - 1 + self._slack) > self._kv_cells:
            count = self._run_that_fits(count)
        context = self.context_tokens
        timing = self._full
        rules = self._rules
        if rules is None:
            slope = timing.context_s
            a = timing.decode_s[batch] + slope * (context + batch)
        else:
            rule = rules.decode(batch, context)
            count = min(count, room(batch, context))
            slope = rule.timing.context_s / rule.duty
            a = rule.timing.decode_s[batch] / rule.duty + slope * (context + batch)
            rules.governor.changes(start_s)
        if self._holding is not None:
            self._change_rates(start_s, REST if rules is None else rule)
        state = _QUEUED if self.waiting else _DECODE
        self._start_span(start_s, a, slope * batch, count, lead_s, state)
        if self._has_experts:
            self._write_experts(self._full.experts_read(batch, 0, 0))

    def _chunk_sums(self) -> tuple[int, float, float, int]:
        """Of the prompt chunks of the iteration: tokens, pairs, reads, and how many end their
        prompt (see `IterationModel.mixed_s`)."""
        tokens = finishing = 0
        pairs = reads = 0.0
        for request, chunk in self._chunks:
            seen = request.computed + 0.5 * chunk
            tokens += chunk
            pairs += chunk * seen
            reads += seen + chunk
            if request.computed + chunk == request.to_compute:
                finishing += 1
        return tokens, pairs, reads, finishing

    def _begin_mixed(self, start_s: float, lead_s: float) -> None:
        """One iteration that computes prompt chunks, and decodes too where anything does."""
        batch = len(self.decoding)
        tokens, pairs, reads, finishing = self._chunk_sums()
        context = self.context_tokens
        costs = self._costs
        flops = costs.prompt_flops(tokens, pairs, finishing)
        moved = costs.prompt_bytes(tokens, reads)
        if batch + finishing == 0:
            moved -= costs.head_bytes  # counted per iteration, but no logits are asked for
        experts = self._full.experts_read(batch, tokens, finishing) if self._has_experts else 0.0
        all_flops, all_bytes = costs.whole_work(batch, context, flops, moved, experts)
        rules = self._rules
        if rules is None:
            full_s = seconds = self._full.mixed_s(batch, context, tokens, pairs, reads, finishing)
        else:
            rule = rules.mixed(
                batch, context, tokens, pairs, reads, finishing, all_flops, all_bytes
            )
            seconds = rule.taken_s
            full_s = seconds / (1.0 + rule.extra)
            rules.governor.changes(start_s)
        if self._holding is not None:
            self._change_rates(start_s, REST if rules is None else rule)
        self._span_prefill = tokens
        self._span_flops = flops
        self._span_bytes = moved
        self._rate_flops = all_flops / full_s
        self._rate_bytes = all_bytes / full_s
        self._rate_root = math.sqrt(self._rate_bytes)
        self._start_span(start_s, seconds, 0.0, 1, lead_s, _MIXED if batch else _PREFILL)
        _pack_prefill(
            self._buffer,
            self._row + PREFILL_OFFSET,
            self._total_prefill,
            self._total_flops,
            self._total_bytes,
            tokens,
            flops,
            moved,
        )
        self._write_phase(1.0)
        if self._has_experts:
            self._write_experts(experts)

    def _idle(self, now: float, state: float) -> None:
        """Nothing runs from now on."""
        if self._holding is not None:
            self._change_rates(now, REST)
            if self._rules is not None:
                self._rules.governor.changes(now)
        self._start_span(now, _INF, 0.0, 0, _INF, state)
        if self._has_experts:
            self._write_experts(0.0)

    def _start_span(
        self, start_s: float, a: float, b: float, count: int, lead_s: float, state: float
    ) -> None:
        """Begin a span of `count` iterations, none where the replica rests: write its row and set
        the alarm at its end."""
        self._span_start_s = start_s
        self._span_a = a
        self._span_b = b
        self._span_iterations = count
        self._span_end_s = self._edge_s(count) if count else _INF
        self._lead_s = lead_s
        _pack_span(
            self._buffer,
            self._row,
            start_s,
            a,
            b,
            1.0 if count else 0.0,
            self.iteration + self._lost_iterations,
            self.total_decode,
            self._total_context,
            self._total_busy_s,
            len(self.decoding),
            self.context_tokens,
            self.running,
            self.held_tokens,
            state,
            len(self.waiting),
            lead_s,
        )
        if count:
            self._set_alarm(self._wake, self._span_end_s)

    def _change_rates(self, end_s: float, rates: Rates) -> None:
        """The present span has ended: book what was held down in it; the next goes by `rates`."""
        assert self._holding is not None
        self._holding.close(end_s - self._span_start_s, self._work_done())
        self._holding.open(rates)

    def _work_done(self) -> list[float]:
        """Totals of work: iterations, decode tokens, context, prefill tokens, FLOPs, bytes, expert
        shares."""
        return [
            self.iteration + self._lost_iterations,
            self.total_decode,
            self._total_context,
            self._total_prefill,
            self._total_flops,
            self._total_bytes,
            self._total_experts,
        ]

    def _account_iterations(self, count: float, end_s: float) -> None:
        """Add the span's first `count` iterations, done at `end_s`, to the totals."""
        batch = len(self.decoding)
        self._total_busy_s += end_s - self._span_start_s
        self.total_decode += batch * count
        self._total_context += count * (self.context_tokens + 0.5 * batch * (count - 1.0))

    def _account_whole_iterations(self, count: int, end_s: float) -> None:
        """The same for iterations that have ended, with what they wrote to the KV cache."""
        if self.cache is not None:
            self._trim(count - 1)
        self._account_iterations(count, end_s)
        self.iteration += count
        tokens = len(self.decoding) * count
        self.context_tokens += tokens
        self.held_tokens += tokens
        if self._has_experts:
            self._total_experts += count * self._experts_each

    def _account_partial_span(self, now: float) -> None:
        """Add what the interrupted span has done so far, fractions of an iteration included."""
        if self._span_a == _INF:
            return
        x = self._progress(now)
        self._account_iterations(x, now)
        self._lost_iterations += x
        self._total_experts += x * (self._experts_each if x > 0.0 else self._experts_before)
        if self._chunks and x > 0.0:
            self._add_phase(now - self._span_start_s)
            self._total_prefill += self._span_prefill * x
            self._total_flops += self._span_flops * x
            self._total_bytes += self._span_bytes * x
        self._write_prefill()

    def _write_experts(self, share: float) -> None:
        """The span that begins reads this share of the expert weights in each iteration."""
        self._experts_each = share
        _pack_experts(
            self._buffer,
            self._row + EXPERTS_OFFSET,
            self._total_experts,
            share,
            self._experts_before,
        )

    def _add_phase(self, seconds: float) -> None:
        """The present iteration with prompts has run so long."""
        self._phase_s += seconds
        self._phase_flops += seconds * self._rate_flops
        self._phase_bytes += seconds * self._rate_bytes
        self._phase_root += seconds * self._rate_root

    def _write_phase(self, rate: float) -> None:
        """Totals of iterations with prompts, and the present one: 1 while it runs, 0 for none."""
        _pack_phase(
            self._buffer,
            self._row + PHASE_OFFSET,
            self._phase_s,
            self._phase_flops,
            self._phase_bytes,
            self._phase_root,
            rate,
            rate * self._rate_flops,
            rate * self._rate_bytes,
            rate * self._rate_root,
        )

    def _write_prefill(self) -> None:
        """Totals of prefill work, with none under way."""
        _pack_prefill(
            self._buffer,
            self._row + PREFILL_OFFSET,
            self._total_prefill,
            self._total_flops,
            self._total_bytes,
            0.0,
            0.0,
            0.0,
        )
        self._write_phase(0.0)
