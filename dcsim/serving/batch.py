"""The batch of a replica: who is in it, who comes next, and the KV memory that decides both.

Each iteration decodes one token for every running sequence and spends what is left of the token
budget on prompts in order of arrival or priority, in chunks if they are long (vLLM V1).
"""

# compiled by mypyc
from __future__ import annotations

from bisect import insort
from collections import deque
from heapq import heapify, heappush

from dcsim.scenario.models import Engine
from dcsim.serving.prefix import PrefixCache
from dcsim.serving.request import Request


def rank(request: Request) -> tuple[int, float, int]:
    """Place in a queue by priority: the least first."""
    return request.priority, request.arrival_s, request.id


class Batch:
    """Running and waiting requests of one engine.

    KV memory is held in blocks of `block_tokens`. A running sequence holds the blocks of its
    context and of the token about to be written, less those that stand in the prefix cache;
    `held_tokens` is the sum of those token counts and of the cache's used blocks, and bounds the
    blocks in use so tightly that they are counted one by one only when memory is nearly full.
    Cached blocks that nobody uses are free memory with a past.
    """

    __slots__ = (
        "_block",
        "_budget",
        "_by_priority",
        "_chunk_limit",
        "_chunks",
        "_kv_cells",
        "_max_seqs",
        "_may_cache",
        "_slack",
        "_whole_prompts",
        "admitted",
        "cache",
        "capacity_blocks",
        "context_tokens",
        "decoding",
        "engine",
        "held_tokens",
        "iteration",
        "parked_blocks",
        "partials",
        "preemptions",
        "running",
        "waiting",
    )

    def __init__(self, engine: Engine, capacity_blocks: int) -> None:
        self.engine = engine
        self.capacity_blocks = capacity_blocks
        self.waiting: deque[Request] = deque()
        self.decoding: list[tuple[int, int, Request]] = []
        """Heap of (iteration at which it ends, order of admission, request)."""
        self.partials: list[Request] = []
        """Prompts whose prefill is under way across iterations, in order of admission."""
        self.running = 0
        self.context_tokens = 0
        """KV tokens of the decoding sequences."""
        self.held_tokens = 0
        self.parked_blocks = 0
        """Blocks of requests that have left but whose KV is still being sent to a decode pool."""
        self.iteration = 0
        self.admitted = 0
        self.preemptions = 0
        self.cache: PrefixCache | None = None
        """Made when the first prompt comes that others may share."""
        self._may_cache: bool = engine.enable_prefix_caching
        self._block: int = engine.block_tokens
        self._kv_cells: int = capacity_blocks * engine.block_tokens
        self._slack: int = engine.block_tokens - 1
        """Cells of a sequence's last block that may stay empty."""
        self._max_seqs: int = engine.max_num_seqs
        self._by_priority: bool = engine.scheduling_policy == "priority"
        self._whole_prompts: bool = not engine.enable_chunked_prefill
        self._chunk_limit: int = (
            engine.long_prefill_token_threshold or engine.max_num_batched_tokens
        )
        self._chunks: list[tuple[Request, int]] = []
        self._budget = 0

    def present(self) -> tuple[list[Request], list[Request]]:
        """(running, waiting) requests, in order of admission and of the queue."""
        running = [entry[2] for entry in sorted(self.decoding, key=lambda e: e[1])]
        running += self._prefilling()
        return running, list(self.waiting)

    def blocks_in_use(self, ahead: int = 0) -> int:
        """KV blocks held at the span's start, or after `ahead` decode iterations of it."""
        block = self._block
        reach = self.iteration + 1 + ahead
        used = self.parked_blocks
        if self.cache is not None:
            used += self.cache.used
        for _, _, request in self.decoding:
            start = request.to_compute - request.shared - request.decode_from
            used -= -(start + reach) // block
        for request in self._prefilling():
            used -= -(request.to_compute - request.shared + 1) // block
        return used

    def _enqueue(self, request: Request) -> None:
        if request.prefix is not None and self.cache is None and self._may_cache:
            self.cache = PrefixCache(self._block)
        if self._by_priority:
            insort(self.waiting, request, key=rank)
        else:
            self.waiting.append(request)

    def _compose(self, budget: int, admit: bool = True) -> None:
        """Choose the prompt chunks of the next iteration: those under way, then the queue."""
        chunks = self._chunks
        limit = self._chunk_limit
        if self.partials and not chunks:
            for request in self.partials:
                if budget <= 0:
                    break
                take = min(request.to_compute - request.computed, budget, limit)
                chunks.append((request, take))
                budget -= take
        waiting = self.waiting
        while admit and waiting and budget > 0 and self.running < self._max_seqs:
            request = waiting[0]
            cached = 0
            unused = 0
            taken: list[int] | None = None
            take = request.to_compute - request.computed
            if self.cache is not None and request.prefix is not None and take:
                self._trim(0)
                cached, taken, unused = self.cache.find(request.prefix.segments, request.to_compute)
                take -= cached
            need = request.to_compute + 1 - cached + unused * self._block
            reach = self.held_tokens + need + (self.running + 1) * self._slack
            if reach > self._kv_cells and not self._has_blocks(need):
                break
            if take > budget or take > limit:
                if self._whole_prompts:
                    break
                take = budget if budget < limit else limit
            waiting.popleft()
            self.running += 1
            self.held_tokens += need
            if taken is not None:
                self._reuse(request, cached, taken)
            self.admitted += 1
            request.sequence = self.admitted
            if take:
                chunks.append((request, take))
                budget -= take
            else:
                self._join(request)
                budget -= 1
        self._budget = budget

    def _join(self, request: Request) -> None:
        """Its prompt's KV is here: it decodes from the next iteration on."""
        request.decode_from = self.iteration
        self.context_tokens += request.to_compute
        left = request.output_tokens - request.generated
        heappush(self.decoding, (self.iteration + left, request.sequence, request))

    def _prefilling(self) -> list[Request]:
        requests = [request for request, _ in self._chunks]
        requests += [request for request in self.partials if request not in requests]
        return requests

    def _has_blocks(self, tokens: int) -> bool:
        return self.blocks_in_use() - (-tokens // self._block) <= self.capacity_blocks

    # --- prefix cache ----------------------------------------------------------------------

    def _reuse(self, request: Request, tokens: int, ids: list[int]) -> None:
        """An admitted request need not compute what was found of its prompt."""
        assert self.cache is not None
        self.cache.take(ids)
        request.taken = ids
        request.computed = request.shared = tokens
        if request.sequence == 0:
            request.cached = tokens

    def _remember(self, request: Request) -> None:
        """Its prompt is computed: from now on others may share it."""
        cache = self.cache
        prefix = request.prefix
        if cache is None or prefix is None or request.taken is None:
            return
        before = cache.used
        shared = cache.fill(prefix.segments, request.taken) * self._block
        self.held_tokens += (cache.used - before) * self._block - (shared - request.shared)
        request.shared = shared

    def _release(self, request: Request) -> None:
        """It refers to cached blocks no longer."""
        cache = self.cache
        if cache is None or request.taken is None:
            return
        before = cache.used
        cache.give_back(request.taken)
        self.held_tokens += (cache.used - before) * self._block
        request.taken = None
        request.shared = request.computed = 0

    def _retire(self, request: Request) -> None:
        """It leaves for good, its blocks to the cache if they can be met again."""
        cache = self.cache
        prefix = request.prefix
        if cache is None or prefix is None or request.taken is None:
            return
        if prefix.becomes:
            # The last token's KV was never computed.
            whole = (request.prompt_tokens + request.output_tokens - 1) // self._block
            cache.leave(prefix.becomes, whole - request.shared // self._block)
        self._release(request)

    def _trim(self, ahead: int) -> None:
        """Give up cached blocks whose memory has been taken since."""
        cache = self.cache
        if cache is None or not cache.free_blocks:
            return
        excess = self.blocks_in_use(ahead) + cache.free_blocks - self.capacity_blocks
        if excess > 0:
            cache.evict(excess)

    # --- preemption ------------------------------------------------------------------------

    def _make_room(self) -> bool:
        """Preempt until the next iteration's tokens fit; True if any had to go.

        The youngest goes first, or the last by priority. A preempted sequence gives all its
        blocks back and starts over from the queue, prefilling what it had generated too (vLLM's
        recompute).
        """
        preempted = False
        while self.running > 1 and self.blocks_in_use() > self.capacity_blocks:
            preempted = True
            request = self._victim()
            if request in self.partials:
                self.partials.remove(request)
                self.held_tokens -= request.to_compute + 1 - request.shared
            else:
                self.decoding[:] = [e for e in self.decoding if e[2] is not request]
                heapify(self.decoding)
                done = self.iteration - request.decode_from
                context = request.to_compute + done
                self.context_tokens -= context
                self.held_tokens -= context + 1 - request.shared
                request.generated += done
                request.to_compute = request.prompt_tokens + request.generated
            self._release(request)
            request.computed = 0
            request.preemptions += 1
            self.preemptions += 1
            self.running -= 1
            if self._by_priority:
                insort(self.waiting, request, key=rank)
            else:
                self.waiting.appendleft(request)
        return preempted

    def _victim(self) -> Request:
        running = [entry[2] for entry in self.decoding]
        running += self.partials
        if self._by_priority:
            return max(running, key=rank)
        return max(running, key=lambda request: request.sequence)

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
