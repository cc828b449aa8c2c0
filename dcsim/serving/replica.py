"""One replica: a continuous-batching engine as vLLM V1 schedules it.

Every iteration first decodes one token for each running sequence, then spends what is left of
the token budget on prompts in order of arrival, in chunks if they are long. While nothing
changes, iterations differ only by their growing context, so a run of them is one event, cut
short when a request arrives. One pending SimPy event per replica is enough: a span can only be
shortened, and an event that fires at another time than the span's end is stale.
"""

# compiled by mypyc
from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from heapq import heappop

from dcsim.hardware.roofline import IterationModel
from dcsim.records import Status
from dcsim.scenario.models import Engine
from dcsim.serving.governed import Governed
from dcsim.serving.request import Request
from dcsim.serving.span import IDLE, OFF, AlarmClock
from dcsim.serving.work import WorkTable

_INF = math.inf

OnEnd = Callable[[Request, "Replica", float, Status, int], None]
"""Called when a request leaves: request, replica, end_s, status, tokens generated."""

OnPrefilled = Callable[[Request, "Replica", float], None]
"""Called where prompts are only prefilled: the first token is out, the KV waits to be sent on."""


class Replica(Governed):
    """The engine of one model instance."""

    __slots__ = (
        "_deadlines",
        "_expiry",
        "_expiry_s",
        "_longest",
        "_max_tokens",
        "_on_end",
        "_on_prefilled",
        "_plans_ahead",
        "_queue_limit",
        "_queue_timeout_s",
        "admitting",
        "outstanding",
        "up",
    )

    def __init__(
        self,
        index: int,
        clock: AlarmClock,
        timing: IterationModel,
        engine: Engine,
        capacity_blocks: int,
        work: WorkTable,
        on_end: OnEnd,
        on_prefilled: OnPrefilled | None = None,
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
        self._on_prefilled = on_prefilled
        self._queue_timeout_s: float = engine.queue_timeout_s or _INF
        self._deadlines: deque[tuple[float, Request]] = deque()
        """When those who came may give up, soonest first; who has been scheduled since will not."""
        self._expiry = clock.alarm(self._on_expiry)
        self._expiry_s = _INF
        """When it is next due; alarms at other times are stale."""
        # A plan made ahead cannot be taken back when somebody more urgent comes, or gives up.
        self._plans_ahead = not self._by_priority and self._queue_timeout_s == _INF

    def submit(self, request: Request, now: float) -> bool:
        """Take a request at the present instant; False when it is rejected."""
        waiting = self.waiting
        total = request.prompt_tokens + request.output_tokens
        if total > self._longest or len(waiting) >= self._queue_limit:
            return False
        self._enqueue(request)
        self.outstanding += 1
        if self._queue_timeout_s != _INF:
            self._deadlines.append((now + self._queue_timeout_s, request))
            if self._expiry_s == _INF:
                self._expire_at(now + self._queue_timeout_s)
        if self._span_end_s == _INF:
            self._begin_span(now, _INF)
        elif waiting[0] is not request or self.running >= self._max_seqs:
            # Those ahead could not be admitted, and only the end of a span can change that.
            self._work.set_waiting(self.index, len(waiting))
        elif not self._plans_ahead or request.computed:
            self._shorten_span(now)
        elif not self._chunks:
            self._cut_span(now)
        elif now <= self._span_start_s and self._budget > 0:
            self._compose(self._budget)
            self._begin_mixed(self._span_start_s, self._lead_s)
        else:
            self._work.set_waiting(self.index, 1)
        return True

    def fail_all(self, now: float) -> list[Request]:
        """Power is lost: forget everything and return the requests that were here.

        Work done until now stays in the totals, the interrupted iteration in proportion.
        """
        self._account_partial_span(now)
        running, waiting = self.present()
        self.decoding.clear()
        self.waiting.clear()
        self._deadlines.clear()
        self._expiry_s = _INF
        self._chunks.clear()
        self.partials.clear()
        if self.cache is not None:
            self.cache.clear()
        self.running = self.outstanding = self.context_tokens = self.held_tokens = 0
        self.parked_blocks = 0
        self.up = False
        self._idle(now, OFF)
        return running + waiting

    def restore(self, now: float) -> None:
        """Power is back: an empty engine, ready at once."""
        self.up = True
        self._idle(now, IDLE)

    def limit_batch(self, max_num_seqs: int, now: float) -> None:
        """Admit no more than so many at once, within the engine's own limit. Who runs goes on."""
        most: int = self.engine.max_num_seqs
        more = min(max_num_seqs, most) > self._max_seqs
        self._max_seqs = max(1, min(max_num_seqs, most))
        if more and self.waiting:
            self._shorten_span(now)

    def prepare(self, now: float, state: float) -> None:
        """No engine yet: its GPUs boot or load weights (a GpuState). It takes no requests."""
        self.up = False
        self._idle(now, state)

    def is_empty(self) -> bool:
        """Nothing runs or waits here, and no keys and values wait to be sent elsewhere."""
        return self.outstanding == 0 and self.parked_blocks == 0

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
        self._account_whole_iterations(self._span_iterations, now)
        self._experts_before = 0.0
        decoding = self.decoding
        while decoding and decoding[0][0] <= self.iteration:
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
        done = self._progress(now)
        count = 0 if done < 0.0 else int(done) + 1
        if count >= self._span_iterations:
            self._work.set_waiting(self.index, 1)
            return  # the last iteration of the run: its end is an event anyway
        if count == 0:
            self._begin_span(self._span_start_s, self._lead_s)
            return
        edge_s = self._edge_s(count)
        self._lead_batch = len(self.decoding)
        self._lead_context = self.context_tokens + self._lead_batch * (count - 1)
        if self._holding is not None:
            self._holding.lead()
        self._account_whole_iterations(count, edge_s)
        self._experts_before = self._experts_each
        self._begin_span(edge_s, self._span_a + self._span_b * (count - 1))

    def _shorten_span(self, now: float) -> None:
        """End a decode run with the iteration under way, by an event at its end."""
        self._work.set_waiting(self.index, len(self.waiting))
        if self._chunks:
            return  # a single iteration anyway
        count = int(max(0.0, self._progress(now))) + 1
        if count < self._span_iterations:
            self._span_iterations = count
            self._span_end_s = self._edge_s(count)
            self._set_alarm(self._wake, self._span_end_s)

    def _on_expiry(self, now: float) -> None:
        """Those who came long ago and have never been scheduled give up."""
        if now != self._expiry_s:
            return
        self._expiry_s = _INF
        deadlines = self._deadlines
        gone = 0
        while deadlines and deadlines[0][0] <= now:
            request = deadlines.popleft()[1]
            if request.sequence == 0 and request in self.waiting:
                self.waiting.remove(request)
                self.outstanding -= 1
                gone += 1
                self._on_end(request, self, now, Status.TIMED_OUT, request.generated)
        while deadlines and deadlines[0][1].sequence:
            deadlines.popleft()
        if deadlines:
            self._expire_at(deadlines[0][0])
        if gone:
            self._work.set_waiting(self.index, len(self.waiting))
            if self._span_end_s == _INF and self.waiting:
                self._begin_span(now, _INF)
            elif self.waiting and self.running < self._max_seqs:
                self._shorten_span(now)  # who stood behind may fit in

    def _expire_at(self, time_s: float) -> None:
        self._expiry_s = time_s
        self._set_alarm(self._expiry, time_s)

    def send_done(self, blocks: int, now: float) -> None:
        """The KV of a prefilled request has reached its decode pool: its blocks are free."""
        self.parked_blocks -= blocks
        self.held_tokens -= blocks * self._block
        if self._span_end_s == _INF:
            self._begin_span(now, _INF)

    def _complete(self, request: Request, now: float) -> None:
        self.held_tokens -= request.prompt_tokens + request.output_tokens - request.shared
        if request.taken is not None:
            self._retire(request)
        self.running -= 1
        self.outstanding -= 1
        self._on_end(request, self, now, Status.COMPLETED, request.output_tokens)

    def _end_prefill(self, now: float) -> None:
        self._add_phase(now - self._span_start_s)
        self._total_prefill += self._span_prefill
        self._total_flops += self._span_flops
        self._total_bytes += self._span_bytes
        partials = self.partials
        place = 0
        for request, tokens in self._chunks:
            # Prompts under way come first among the chunks, in their order.
            going_on = place < len(partials) and partials[place] is request
            request.computed += tokens
            if request.computed < request.to_compute:
                if not going_on:
                    partials.append(request)
                place += 1
                continue
            if going_on:
                partials.pop(place)
            if request.taken is not None:
                self._remember(request)
            if request.first_token_s < 0.0:
                request.first_token_s = now
            request.generated += 1
            if request.generated == request.output_tokens:
                self._complete(request, now)
            elif self._on_prefilled is None:
                self._join(request)
            else:
                self._hand_over(request, now)
        self._chunks.clear()
        self._write_prefill()

    def _hand_over(self, request: Request, now: float) -> None:
        """Its KV stays until it has been sent to the pool that decodes."""
        blocks = -(-request.to_compute // self._block)
        self.held_tokens += blocks * self._block - (request.to_compute + 1 - request.shared)
        self.parked_blocks += blocks
        self._release(request)
        request.computed = request.to_compute
        self.running -= 1
        self.outstanding -= 1
        assert self._on_prefilled is not None
        self._on_prefilled(request, self, now)

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
        if self.partials or (waiting and running < self._max_seqs and not preempted):
            self._compose(self._max_tokens - len(decoding), admit=not preempted)
            if self._chunks:
                self._begin_mixed(start_s, lead_s)
                return
        if not decoding:
            self._idle(start_s, IDLE)
            return
        # Who was preempted for want of memory waits for the end of another. But he may not be the
        # most urgent, or need less now that others have left his prefix in the cache: then the
        # next iteration may have a place.
        may_fit = self._by_priority or self.cache is not None
        self._begin_decode(start_s, lead_s, once=preempted and may_fit)
