"""The batch of a replica: who is in it, who comes next, and the KV memory that decides both.

Each iteration decodes one token for every running sequence and spends what is left of the token
budget on prompts in order of arrival, in chunks if they are long (vLLM V1).
"""

from __future__ import annotations

from collections import deque
from heapq import heapify

from dcsim.scenario.models import Engine
from dcsim.serving.request import Request


class Batch:
    """Running and waiting requests of one engine.

    KV memory is held in blocks of `block_tokens`. A running sequence holds the blocks of its
    context and of the token about to be written; `held_tokens` is the sum of those token
    counts, and bounds the blocks in use so tightly that they are counted one by one only when
    memory is nearly full.
    """

    __slots__ = (
        "_block",
        "_budget",
        "_chunks",
        "_kv_cells",
        "_max_seqs",
        "_slack",
        "admitted",
        "capacity_blocks",
        "context_tokens",
        "decoding",
        "engine",
        "held_tokens",
        "iteration",
        "partial",
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
        self.partial: Request | None = None
        """The one prompt whose prefill is under way across iterations."""
        self.running = 0
        self.context_tokens = 0
        """KV tokens of the decoding sequences."""
        self.held_tokens = 0
        self.iteration = 0
        self.admitted = 0
        self.preemptions = 0
        self._block: int = engine.block_tokens
        self._kv_cells: int = capacity_blocks * engine.block_tokens
        self._slack: int = engine.block_tokens - 1
        """Cells of a sequence's last block that may stay empty."""
        self._max_seqs: int = engine.max_num_seqs
        self._chunks: list[tuple[Request, int]] = []
        self._budget = 0

    def present(self) -> tuple[list[Request], list[Request]]:
        """(running, waiting) requests, in order of admission and of arrival."""
        running = [entry[2] for entry in sorted(self.decoding, key=lambda e: e[1])]
        running += [request for request, _ in self._chunks]
        if self.partial is not None and not self._chunks:
            running.append(self.partial)
        return running, list(self.waiting)

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
