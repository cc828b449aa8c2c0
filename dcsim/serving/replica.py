"""One replica: a continuous-batching engine as vLLM V1 schedules it.

Every iteration first decodes one token for each running sequence, then spends what is left of
the token budget on prompts in order of arrival, in chunks if they are long. While nothing
changes, iterations differ only by their growing context, so a run of them is one event, cut
short when a request arrives. One pending SimPy event per replica is enough: a span can only be
shortened, and an event that fires at another time than the span's end is stale.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Protocol

from dcsim.ledger import GpuState
from dcsim.scenario.models import Engine
from dcsim.serving.request import Request, Status
from dcsim.serving.timing import IterationModel
from dcsim.serving.work import PREFILL, PREFILL_OFFSET, ROW_BYTES, SPAN, WorkTable

_IDLE = float(GpuState.IDLE)
_OFF = float(GpuState.OFF)
_QUEUED = float(GpuState.QUEUED)
_PREFILL = float(GpuState.PREFILL)
_DECODE = float(GpuState.DECODE)
_MIXED = float(GpuState.MIXED)
_INF = math.inf
_pack_span = SPAN.pack_into
_pack_prefill = PREFILL.pack_into


class Clock(Protocol):
    """What a replica needs of the engine's clock."""

    def alarm(self, action: Callable[[float], None]) -> Any:
        """An event that calls `action(now_s)` whenever it fires."""

    def set_alarm(self, alarm: Any, time_s: float) -> None:
        """Fire the alarm at `time_s` too; what was set before still fires."""


OnEnd = Callable[[Request, "Replica", float, Status, int], None]
"""Called when a request leaves: request, replica, end_s, status, tokens generated."""


class Replica:
    """The engine of one model instance on `tensor_parallel` GPUs.

    KV memory is held in blocks of `block_tokens`. A running sequence holds the blocks of its
    context and of the token about to be written; `held_tokens` is the sum of those token
    counts, and bounds the blocks in use so tightly that they are counted one by one only when
    memory is nearly full.
    """

    __slots__ = (
        "_block",
        "_budget",
        "_buffer",
        "_chunks",
        "_costs",
        "_kv_cells",
        "_lead_s",
        "_longest",
        "_lost_iterations",
        "_max_seqs",
        "_max_tokens",
        "_on_end",
        "_queue_limit",
        "_row",
        "_set_alarm",
        "_slack",
        "_span_a",
        "_span_b",
        "_span_bytes",
        "_span_end_s",
        "_span_flops",
        "_span_iterations",
        "_span_prefill",
        "_span_start_s",
        "_timing",
        "_total_busy_s",
        "_total_bytes",
        "_total_context",
        "_total_flops",
        "_total_prefill",
        "_wake",
        "_work",
        "admitted",
        "admitting",
        "capacity_blocks",
        "context_tokens",
        "decoding",
        "engine",
        "held_tokens",
        "index",
        "iteration",
        "outstanding",
        "partial",
        "preemptions",
        "running",
        "total_decode",
        "up",
        "waiting",
    )

    def __init__(
        self,
        index: int,
        clock: Clock,
        timing: IterationModel,
        engine: Engine,
        capacity_blocks: int,
        work: WorkTable,
        on_end: OnEnd,
    ) -> None:
        self.index = index
        self.engine = engine
        self.capacity_blocks = capacity_blocks
        self.up = True
        """Has power."""
        self.admitting = True
        """Takes new requests when up; a policy may say no."""
        self.waiting: deque[Request] = deque()
        self.decoding: list[tuple[int, int, Request]] = []
        """Heap of (iteration at which it ends, order of admission, request)."""
        self.partial: Request | None = None
        """The one prompt whose prefill is under way across iterations."""
        self.running = 0
        self.outstanding = 0
        """Running and waiting; kept for the router."""
        self.context_tokens = 0
        """KV tokens of the decoding sequences."""
        self.held_tokens = 0
        self.iteration = 0
        self.admitted = 0
        self.preemptions = 0
        self.total_decode = 0.0
        self._lost_iterations = 0.0
        """Iterations cut off by a loss of power, in parts."""
        self._block: int = engine.block_tokens
        self._kv_cells: int = capacity_blocks * engine.block_tokens
        self._slack: int = engine.block_tokens - 1
        """Cells of a sequence's last block that may stay empty."""
        self._longest: int = min(engine.max_model_len, self._kv_cells)
        self._max_seqs: int = engine.max_num_seqs
        self._max_tokens: int = engine.max_num_batched_tokens
        self._queue_limit: float = _INF if engine.queue_limit is None else engine.queue_limit
        self._timing = timing
        self._costs = timing.costs
        self._work = work
        self._buffer: bytearray = work.buffer
        self._row = index * ROW_BYTES
        self._on_end = on_end
        self._chunks: list[tuple[Request, int]] = []
        self._total_context = 0.0
        self._total_busy_s = 0.0
        self._total_prefill = 0.0
        self._total_flops = 0.0
        self._total_bytes = 0.0
        self._span_start_s = 0.0
        self._span_end_s = _INF
        self._span_a = _INF
        self._span_b = 0.0
        self._span_iterations = 0
        self._span_prefill = 0
        self._span_flops = 0.0
        self._span_bytes = 0.0
        self._lead_s = _INF
        self._budget = 0
        self._set_alarm = clock.set_alarm
        self._wake = clock.alarm(self._on_wake)

    # --- arrivals and departures -----------------------------------------------------------

    def submit(self, request: Request, now: float) -> bool:
        """Take a request at the present instant; False when it is rejected."""
        waiting = self.waiting
        total = request.prompt_tokens + request.output_tokens
        if total > self._longest or len(waiting) >= self._queue_limit:
            return False
        waiting.append(request)
        self.outstanding += 1
        if self._span_end_s == _INF:
            self._begin_span(now, _INF)
        elif len(waiting) > 1 or self.running >= self._max_seqs:
            # Those ahead could not be admitted, and only the end of a span can change that.
            self._work.set_waiting(self.index, len(waiting))
        elif not self._chunks:
            self._cut_span(now)
        elif now <= self._span_start_s and self._budget > 0:
            self._compose(self._budget)
            self._begin_mixed(self._span_start_s, len(self.decoding), self._lead_s)
        else:
            self._work.set_waiting(self.index, 1)
        return True

    def fail_all(self, now: float) -> list[Request]:
        """Power is lost: forget everything and return the requests that were here.

        Work done until now stays in the totals, the interrupted iteration in proportion.
        """
        self._settle(now)
        lost = [entry[2] for entry in sorted(self.decoding, key=lambda e: e[1])]
        lost += [request for request, _ in self._chunks]
        if self.partial is not None and self.partial not in lost:
            lost.append(self.partial)
        lost += self.waiting
        self.decoding.clear()
        self.waiting.clear()
        self._chunks.clear()
        self.partial = None
        self.running = self.outstanding = self.context_tokens = self.held_tokens = 0
        self.up = False
        self._idle(now, _OFF)
        return lost

    def restore(self, now: float) -> None:
        """Power is back: an empty engine, ready at once."""
        self.up = True
        self._idle(now, _IDLE)

    def generated_tokens(self, request: Request, now: float) -> int:
        """Output tokens that a request present here has received, whole iterations only."""
        if request.computed < request.to_compute:
            return request.generated
        done = self.iteration + math.floor(self._progress(now)) - request.decode_from
        return request.generated + done

    def present(self) -> tuple[list[Request], list[Request]]:
        """(running, waiting) requests, in order of admission and of arrival."""
        running = [entry[2] for entry in sorted(self.decoding, key=lambda e: e[1])]
        running += [request for request, _ in self._chunks]
        if self.partial is not None and not self._chunks:
            running.append(self.partial)
        return running, list(self.waiting)

    # --- spans -----------------------------------------------------------------------------

    def _on_wake(self, now: float) -> None:
        """The span has ended: book it, let the finished go, plan the next."""
        if now != self._span_end_s:
            return  # the span was cut short after this alarm was set
        decoding = self.decoding
        count = self._span_iterations
        iteration = self.iteration = self.iteration + count
        self._total_busy_s += now - self._span_start_s
        batch = len(decoding)
        if batch:
            tokens = batch * count
            self.total_decode += tokens
            self._total_context += count * (self.context_tokens + 0.5 * batch * (count - 1))
            self.context_tokens += tokens
            self.held_tokens += tokens
            while decoding and decoding[0][0] <= iteration:
                request = heappop(decoding)[2]
                self.context_tokens -= request.prompt_tokens + request.output_tokens - 1
                self._complete(request, now)
        if self._chunks:
            self._end_prefill(now)
        self._begin_span(now, _INF)

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

    def _cut_span(self, now: float) -> None:
        """End a decode run with the iteration under way and plan the next one, with a newcomer.

        The plan is made now though it begins when that iteration ends: until then nothing but
        another newcomer (who joins the plan) or a loss of power can happen here, so the
        iteration is booked as done and the edge needs no event of its own.
        """
        a = self._span_a
        b = self._span_b
        half = a - 0.5 * b
        tau = now - self._span_start_s
        if tau < 0.0:
            count = 0
        else:
            count = int(2.0 * tau / (half + math.sqrt(half * half + 2.0 * b * tau))) + 1
        if count >= self._span_iterations:
            self._work.set_waiting(self.index, 1)
            return  # the last iteration of the run: its end is an event anyway
        if count == 0:
            self._begin_span(self._span_start_s, self._lead_s)
            return
        edge_s = self._span_start_s + count * a + 0.5 * b * count * (count - 1)
        self.iteration += count
        batch = len(self.decoding)
        tokens = batch * count
        self._total_busy_s += edge_s - self._span_start_s
        self.total_decode += tokens
        self._total_context += count * (self.context_tokens + 0.5 * batch * (count - 1))
        self.context_tokens += tokens
        self.held_tokens += tokens
        self._begin_span(edge_s, a + b * (count - 1))

    def _complete(self, request: Request, now: float) -> None:
        self.held_tokens -= request.prompt_tokens + request.output_tokens
        self.running -= 1
        self.outstanding -= 1
        self._on_end(request, self, now, Status.COMPLETED, request.output_tokens)

    def _end_prefill(self, now: float) -> None:
        self._total_prefill += self._span_prefill
        self._total_flops += self._span_flops
        self._total_bytes += self._span_bytes
        self.partial = None
        for request, tokens in self._chunks:
            request.computed += tokens
            if request.computed < request.to_compute:
                self.partial = request
                continue
            if request.first_token_s < 0.0:
                request.first_token_s = now
            remaining = request.output_tokens - request.generated - 1
            if remaining:
                request.generated += 1
                request.decode_from = self.iteration
                self.context_tokens += request.to_compute
                heappush(self.decoding, (self.iteration + remaining, request.sequence, request))
            else:
                self._complete(request, now)
        self._chunks.clear()
        self._write_prefill()

    def _begin_span(self, start_s: float, lead_s: float) -> None:
        """Plan what runs from `start_s` on. `lead_s` is the length of the iteration that ends
        there when the plan is made ahead, else infinite."""
        decoding = self.decoding
        waiting = self.waiting
        running = self.running
        preempted = False
        if self.held_tokens + running * self._slack > self._kv_cells:
            preempted = self._make_room()
            running = self.running
        if self.partial is not None or (waiting and running < self._max_seqs and not preempted):
            self._compose(self._max_tokens - len(decoding), admit=not preempted)
            if self._chunks:
                self._begin_mixed(start_s, len(decoding), lead_s)
                return
        if not decoding:
            self._idle(start_s, _IDLE)
            return
        batch = len(decoding)
        count = decoding[0][0] - self.iteration
        held = self.held_tokens
        if held + batch * (count - 1 + self._slack) > self._kv_cells:
            count = self._run_that_fits(count)
        context = self.context_tokens
        timing = self._timing
        slope = timing.context_s
        a = timing.decode_s[batch] + slope * (context + batch)
        b = slope * batch
        end_s = start_s + count * a + 0.5 * b * count * (count - 1)
        self._span_start_s = start_s
        self._span_end_s = end_s
        self._span_iterations = count
        self._span_a = a
        self._span_b = b
        self._lead_s = lead_s
        _pack_span(
            self._buffer,
            self._row,
            start_s,
            a,
            b,
            1.0,
            self.iteration + self._lost_iterations,
            self.total_decode,
            self._total_context,
            self._total_busy_s,
            batch,
            context,
            running,
            held,
            _QUEUED if waiting else _DECODE,
            len(waiting),
            lead_s,
        )
        self._set_alarm(self._wake, end_s)

    def _begin_mixed(self, start_s: float, batch: int, lead_s: float) -> None:
        tokens = finishing = 0
        pairs = reads = 0.0
        for request, chunk in self._chunks:
            seen = request.computed + 0.5 * chunk
            tokens += chunk
            pairs += chunk * seen
            reads += seen + chunk
            if request.computed + chunk == request.to_compute:
                finishing += 1
        context = self.context_tokens
        seconds = self._timing.mixed_s(batch, context, tokens, pairs, reads, finishing)
        end_s = start_s + seconds
        costs = self._costs
        flops = (
            tokens * costs.flops_per_token
            + finishing * costs.flops_per_logit
            + pairs * costs.flops_per_context
        )
        moved = reads * costs.kv_bytes + tokens * costs.bytes_per_token
        if batch + finishing == 0:
            moved -= costs.head_bytes  # counted per iteration, but no logits are asked for
        self._span_start_s = start_s
        self._span_end_s = end_s
        self._span_iterations = 1
        self._span_a = seconds
        self._span_b = 0.0
        self._lead_s = lead_s
        self._span_prefill = tokens
        self._span_flops = flops
        self._span_bytes = moved
        row = self._row
        _pack_span(
            self._buffer,
            row,
            start_s,
            seconds,
            0.0,
            1.0,
            self.iteration + self._lost_iterations,
            self.total_decode,
            self._total_context,
            self._total_busy_s,
            batch,
            context,
            self.running,
            self.held_tokens,
            _MIXED if batch else _PREFILL,
            len(self.waiting),
            lead_s,
        )
        _pack_prefill(
            self._buffer,
            row + PREFILL_OFFSET,
            self._total_prefill,
            self._total_flops,
            self._total_bytes,
            tokens,
            flops,
            moved,
        )
        self._set_alarm(self._wake, end_s)

    def _idle(self, now: float, state: float) -> None:
        self._span_start_s = now
        self._span_end_s = _INF
        self._span_iterations = 0
        self._span_a = _INF
        self._span_b = 0.0
        self._lead_s = _INF
        _pack_span(
            self._buffer,
            self._row,
            now,
            _INF,
            0.0,
            0.0,
            self.iteration + self._lost_iterations,
            self.total_decode,
            self._total_context,
            self._total_busy_s,
            0.0,
            0.0,
            0.0,
            0.0,
            state,
            0.0,
            _INF,
        )

    def _settle(self, now: float) -> None:
        """Book what the interrupted span has done so far, fractions of an iteration included."""
        if self._span_a == _INF:
            return
        x = self._progress(now)
        batch = len(self.decoding)
        self._total_busy_s += now - self._span_start_s
        self.total_decode += batch * x
        self._total_context += x * (self.context_tokens + 0.5 * batch * (x - 1.0))
        self._lost_iterations += x
        if self._chunks and x > 0.0:
            self._total_prefill += self._span_prefill * x
            self._total_flops += self._span_flops * x
            self._total_bytes += self._span_bytes * x
        self._write_prefill()

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

    # --- scheduling and KV memory ----------------------------------------------------------

    def _compose(self, budget: int, admit: bool = True) -> None:
        """Choose the prompt chunks of the next iteration: the one under way, then the queue."""
        chunks = self._chunks
        partial = self.partial
        if partial is not None and not chunks and budget > 0:
            take = min(partial.to_compute - partial.computed, budget)
            chunks.append((partial, take))
            budget -= take
        waiting = self.waiting
        while admit and waiting and budget > 0 and self.running < self._max_seqs:
            request = waiting[0]
            need = request.to_compute + 1
            reach = self.held_tokens + need + (self.running + 1) * self._slack
            if reach > self._kv_cells and not self._has_blocks(need):
                break
            waiting.popleft()
            self.running += 1
            self.held_tokens += need
            self.admitted += 1
            request.sequence = self.admitted
            take = request.to_compute if request.to_compute < budget else budget
            chunks.append((request, take))
            budget -= take
        self._budget = budget

    def blocks_in_use(self, ahead: int = 0) -> int:
        """KV blocks held at the span's start, or after `ahead` decode iterations of it."""
        block = self._block
        reach = self.iteration + 1 + ahead
        used = 0
        for _, _, request in self.decoding:
            used -= -(request.to_compute + reach - request.decode_from) // block
        for request in self._prefilling():
            used -= -(request.to_compute + 1) // block
        return used

    def _prefilling(self) -> list[Request]:
        requests = [request for request, _ in self._chunks]
        if self.partial is not None and self.partial not in requests:
            requests.append(self.partial)
        return requests

    def _has_blocks(self, tokens: int) -> bool:
        return self.blocks_in_use() - (-tokens // self._block) <= self.capacity_blocks

    def _make_room(self) -> bool:
        """Preempt the youngest until the next iteration's tokens fit; True if any had to go.

        A preempted sequence gives all its blocks back and starts over at the head of the queue,
        prefilling what it had generated too (vLLM's recompute).
        """
        preempted = False
        while self.running > 1 and self.blocks_in_use() > self.capacity_blocks:
            preempted = True
            request = self.partial
            if request is not None:
                self.partial = None
                self.held_tokens -= request.to_compute + 1
            else:
                at = max(range(len(self.decoding)), key=lambda i: self.decoding[i][1])
                request = self.decoding.pop(at)[2]
                heapify(self.decoding)
                done = self.iteration - request.decode_from
                context = request.to_compute + done
                self.context_tokens -= context
                self.held_tokens -= context + 1
                request.generated += done
                request.to_compute = request.prompt_tokens + request.generated
            request.computed = 0
            request.preemptions += 1
            self.preemptions += 1
            self.running -= 1
            self.waiting.appendleft(request)
        return preempted

    def _run_that_fits(self, count: int) -> int:
        """The longest run of up to `count` decode iterations for which there are blocks."""
        low, high = 1, count
        while low < high:
            middle = (low + high + 1) // 2
            if self.blocks_in_use(middle - 1) <= self.capacity_blocks:
                low = middle
            else:
                high = middle - 1
        return low
