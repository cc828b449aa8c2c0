"""One replica: a continuous-batching engine as vLLM V1 schedules it.

Every iteration first decodes one token for each running sequence, then spends what is left of
the token budget on prompts in order of arrival, in chunks if they are long. While nothing
changes, iterations differ only by their growing context, so a run of them is one event, cut
short when a request arrives. One pending SimPy event per replica is enough: a span can only be
shortened, and an event that fires at another time than the span's end is stale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush

from dcsim.scenario.models import Engine
from dcsim.serving.request import Request, Status
from dcsim.serving.span import IDLE, OFF, Clock, Spans
from dcsim.serving.timing import IterationModel
from dcsim.serving.work import WorkTable

_INF = math.inf

OnEnd = Callable[[Request, "Replica", float, Status, int], None]
"""Called when a request leaves: request, replica, end_s, status, tokens generated."""


class Replica(Spans):
    """The engine of one model instance on `tensor_parallel` GPUs."""

    __slots__ = (
        "_longest",
        "_max_tokens",
        "_on_end",
        "_queue_limit",
        "admitting",
        "outstanding",
        "up",
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
        super().__init__(index, clock, timing, engine, capacity_blocks, work)
        self.up = True
        """Has power."""
        self.admitting = True
        """Takes new requests when up; a policy may say no."""
        self.outstanding = 0
        """Running and waiting; kept for the router."""
        self._longest: int = min(engine.max_model_len, self._kv_cells)
        self._max_tokens: int = engine.max_num_batched_tokens
        self._queue_limit: float = _INF if engine.queue_limit is None else engine.queue_limit
        self._on_end = on_end

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
        self._idle(now, OFF)
        return lost

    def restore(self, now: float) -> None:
        """Power is back: an empty engine, ready at once."""
        self.up = True
        self._idle(now, IDLE)

    def generated_tokens(self, request: Request, now: float) -> int:
        """Output tokens that a request present here has received, whole iterations only."""
        if request.computed < request.to_compute:
            return request.generated
        done = self.iteration + math.floor(self._progress(now)) - request.decode_from
        return request.generated + done

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
            self._idle(start_s, IDLE)
            return
        self._begin_decode(start_s, lead_s)
