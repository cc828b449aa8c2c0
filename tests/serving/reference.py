"""A slow, plain engine to check the fast one against: it plays every iteration by itself.

It shares only the cost tables (`IterationModel`) with the product, none of its bookkeeping:
KV blocks are counted one by one, nothing is merged, planned ahead or kept in closed form, and
cached blocks stand in one queue, block by block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dcsim.hardware.roofline import IterationModel
from dcsim.scenario.models import Engine
from dcsim.workload.stream import Prefix

Law = Callable[[float, float], tuple[float, float]]
"""From the prompt and answer tokens of an iteration to its clock, and the share of the time that it
goes."""


@dataclass
class Job:
    arrival_s: float
    prompt: int
    output: int
    emitted: int = 0
    goal: int = 0
    computed: int = 0
    context: int = 0
    first_s: float | None = None
    end_s: float | None = None
    rejected: bool = False
    timed_out: bool = False
    scheduled: bool = False
    number: int = 0
    priority: int = 0
    prefix: Prefix | None = None
    shared: int = 0
    """Blocks that it has from the cache."""
    refers: list[int] = field(default_factory=list)
    """Segments whose cached blocks it keeps alive."""
    hits: int = 0


@dataclass
class Outcome:
    jobs: list[Job]
    iterations: list[tuple[float, float, int, int]] = field(default_factory=list)
    """(start_s, seconds, decode tokens, prefill tokens) of each iteration."""
    moved: list[float] = field(default_factory=list)
    """Bytes of weights, embeddings, keys and values that each iteration moves."""
    preemptions: int = 0
    peak_blocks: int = 0


def blocks(tokens: int, size: int) -> int:
    return (tokens + size - 1) // size


class Cache:
    """Blocks (segment, number) that are in memory: referred to, or free in the order of use."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.present: dict[int, int] = {}
        """Blocks of each segment; the first so many are there."""
        self.users: dict[int, int] = {}
        self.free: list[tuple[int, int]] = []

    def chain(self, prefix: Prefix) -> list[tuple[int, int]]:
        """(segment, blocks that end in it)."""
        parts, start = [], 0
        for id_, tokens in prefix.segments:
            parts.append((id_, (start + tokens) // self.size - start // self.size))
            start += tokens
        return parts

    def used(self) -> int:
        return sum(self.present.values()) - len(self.free)

    def find(self, job: Job) -> tuple[int, list[int]]:
        assert job.prefix is not None
        most = (job.goal - 1) // self.size
        found, count = [], 0
        for id_, whole in self.chain(job.prefix):
            if id_ not in self.present or count >= most:
                break
            found.append(id_)
            count += self.present[id_]
            if self.present[id_] < whole:
                break
        return min(count, most), found

    def refer(self, id_: int) -> None:
        self.free = [entry for entry in self.free if entry[0] != id_]
        self.users[id_] = self.users.get(id_, 0) + 1

    def forget(self, ids: list[int]) -> None:
        for id_ in reversed(ids):
            self.users[id_] -= 1
            if not self.users[id_]:
                self.free += [(id_, k) for k in reversed(range(self.present[id_]))]

    def evict(self, count: int) -> None:
        for _ in range(min(count, len(self.free))):
            id_, number = self.free.pop(0)
            assert number == self.present[id_] - 1
            self.present[id_] = number
            if not number:
                del self.present[id_]


def play(  # noqa: PLR0912, PLR0915 - the law in one piece, to be read beside the paper
    arrivals: list[tuple[float, int, int]],
    timing: IterationModel,
    engine: Engine,
    capacity: int,
    priorities: list[int] | None = None,
    prefixes: list[Prefix | None] | None = None,
    clocks: list[tuple[float, float | Law]] | None = None,
) -> Outcome:
    """All requests to the end, on one replica.

    `clocks` are (from, share of the full clock, or a law): from then on all goes by it, what is
    left of the iteration under way too.
    """
    changes = list(clocks or [])
    law: float | Law = timing.clock

    def taking(shape: tuple[float, ...]) -> float:
        clock, duty = (law, 1.0) if isinstance(law, float) else law(shape[2], shape[0])
        return timing.at_clock(clock).mixed_s(*shape) / duty

    size = engine.block_tokens
    jobs = [Job(*a, goal=a[1], number=i) for i, a in enumerate(arrivals)]
    for job in jobs:
        job.priority = priorities[job.number] if priorities else 0
        job.prefix = prefixes[job.number] if prefixes else None
    outcome = Outcome(jobs)
    pending = list(jobs)
    waiting: list[Job] = []
    running: list[Job] = []
    cache = Cache(size)
    by_priority = engine.scheduling_policy == "priority"
    most = engine.long_prefill_token_threshold or engine.max_num_batched_tokens
    now = 0.0

    def key(job: Job) -> tuple[int, float, int]:
        return job.priority, job.arrival_s, job.number

    def take_arrivals(until: float) -> None:
        while pending and pending[0].arrival_s <= until:
            job = pending.pop(0)
            total = job.prompt + job.output
            if total > engine.max_model_len or blocks(total, size) > capacity:
                job.rejected = True
            else:
                waiting.append(job)
        if by_priority:
            waiting.sort(key=key)
        for job in list(waiting):
            limit = engine.queue_timeout_s
            if limit is not None and not job.scheduled and job.arrival_s + limit <= until:
                job.timed_out = True
                waiting.remove(job)

    def held(job: Job) -> int:
        decoding = job.computed == job.goal
        return blocks((job.context if decoding else job.goal) + 1, size) - job.shared

    def in_use() -> int:
        return sum(map(held, running)) + cache.used()

    def drop(job: Job) -> None:
        cache.forget(job.refers)
        job.refers, job.shared = [], 0

    while pending or waiting or running:
        if not waiting and not running:
            now = max(now, pending[0].arrival_s)
        take_arrivals(now)
        if not waiting and not running:
            continue
        preempted = False
        while len(running) > 1 and in_use() > capacity:
            victim = max(running, key=key) if by_priority else running[-1]
            running.remove(victim)
            drop(victim)
            victim.computed = victim.context = 0
            victim.goal = victim.prompt + victim.emitted
            waiting.insert(0, victim)
            if by_priority:
                waiting.sort(key=key)
            outcome.preemptions += 1
            preempted = True
        decoding = [job for job in running if job.computed == job.goal]
        budget = engine.max_num_batched_tokens - len(decoding)
        chunks: list[tuple[Job, int]] = []
        for job in running:
            if job.computed < job.goal and budget > 0:
                chunks.append((job, min(job.goal - job.computed, budget, most)))
                budget -= chunks[-1][1]
        while waiting and not preempted and budget > 0 and len(running) < engine.max_num_seqs:
            job = waiting[0]
            shared, refers = 0, []
            if engine.enable_prefix_caching and job.prefix is not None:
                cache.evict(in_use() + len(cache.free) - capacity)
                shared, refers = cache.find(job)
            fresh = sum(1 for id_, _ in cache.free if id_ in refers)
            if in_use() + fresh + blocks(job.goal + 1, size) - shared > capacity:
                break
            left = job.goal - shared * size
            if left > min(budget, most) and not engine.enable_chunked_prefill:
                break
            running.append(waiting.pop(0))
            for id_ in refers:
                cache.refer(id_)
            job.shared, job.refers, job.computed = shared, refers, shared * size
            job.hits = job.hits if job.scheduled else shared * size
            job.scheduled = True
            chunks.append((job, min(left, budget, most)))
            budget -= chunks[-1][1]
        outcome.peak_blocks = max(outcome.peak_blocks, in_use())
        cache.evict(in_use() + len(cache.free) - capacity)
        shape = (
            len(decoding),
            sum(job.context for job in decoding),
            sum(c for _, c in chunks),
            sum(c * (job.computed + c / 2) for job, c in chunks),
            sum(job.computed + c / 2 + c for job, c in chunks),
            sum(job.computed + c == job.goal for job, c in chunks),
        )
        seen, left = now, 1.0
        whole = taking(shape)
        while changes and changes[0][0] < seen + left * whole:
            at_s, law = changes.pop(0)
            if at_s > seen:
                left -= (at_s - seen) / whole
                seen = at_s
            whole = taking(shape)
        seconds = seen + left * whole - now
        outcome.iterations.append((now, seconds, len(decoding), sum(c for _, c in chunks)))
        outcome.moved.append(moved(timing, decoding, chunks))
        now += seconds
        for job in decoding:
            job.context += 1
            job.emitted += 1
        # Those who end leave in the order of admission, decodes before prompts.
        for job in [job for job in decoding if job.emitted == job.output]:
            leave(job, cache, running, now)
        for job, chunk in chunks:
            job.computed += chunk
            if job.computed == job.goal:
                job.context = job.goal
                job.emitted += 1
                job.first_s = now if job.first_s is None else job.first_s
                if engine.enable_prefix_caching and job.prefix is not None:
                    for place, (id_, whole) in enumerate(cache.chain(job.prefix)):
                        if place >= len(job.refers):
                            cache.present.setdefault(id_, 0)
                            cache.refer(id_)
                            job.refers.append(id_)
                        cache.present[id_] = max(cache.present[id_], whole)
                    job.shared = sum(whole for _, whole in cache.chain(job.prefix))
                if job.emitted == job.output:
                    leave(job, cache, running, now)
    return outcome


def moved(timing: IterationModel, decoding: list[Job], chunks: list[tuple[Job, int]]) -> float:
    costs = timing.costs
    tokens = len(decoding) + sum(c for _, c in chunks)
    ending = sum(job.computed + c == job.goal for job, c in chunks)
    read = sum(job.context + 1 for job in decoding)
    read += sum(job.computed + c / 2 + c for job, c in chunks)
    total = costs.bytes_per_iteration + tokens * costs.bytes_per_token + read * costs.kv_bytes
    if not decoding and not ending:
        total -= costs.head_bytes
    share = timing.experts_read(len(decoding), tokens - len(decoding), ending)
    return total + costs.expert_bytes * share


def leave(job: Job, cache: Cache, running: list[Job], now: float) -> None:
    job.end_s = now
    running.remove(job)
    id_ = job.prefix.becomes if job.prefix is not None and job.refers is not None else 0
    whole = (job.prompt + job.output - 1) // cache.size - job.shared
    if id_ and id_ not in cache.present and whole > 0:
        cache.present[id_] = whole
        cache.users[id_] = 0
        cache.free += [(id_, k) for k in reversed(range(whole))]
    cache.forget(job.refers)
    job.refers, job.shared = [], 0
