"""A slow, plain engine to check the fast one against: it plays every iteration by itself.

It shares only the cost tables (`IterationModel`) with the product, none of its bookkeeping:
KV blocks are counted one by one, nothing is merged, planned ahead or kept in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dcsim.scenario.models import Engine
from dcsim.serving.timing import IterationModel


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


@dataclass
class Outcome:
    jobs: list[Job]
    iterations: list[tuple[float, float, int, int]] = field(default_factory=list)
    """(start_s, seconds, decode tokens, prefill tokens) of each iteration."""
    preemptions: int = 0
    peak_blocks: int = 0


def blocks(tokens: int, size: int) -> int:
    return (tokens + size - 1) // size


def play(
    arrivals: list[tuple[float, int, int]], timing: IterationModel, engine: Engine, capacity: int
) -> Outcome:
    """All requests to the end, on one replica."""
    size = engine.block_tokens
    jobs = [Job(*a, goal=a[1]) for a in arrivals]
    outcome = Outcome(jobs)
    pending = list(jobs)
    waiting: list[Job] = []
    running: list[Job] = []
    now = 0.0

    def take_arrivals(until: float) -> None:
        while pending and pending[0].arrival_s <= until:
            job = pending.pop(0)
            total = job.prompt + job.output
            if total > engine.max_model_len or blocks(total, size) > capacity:
                job.rejected = True
            else:
                waiting.append(job)

    def held(job: Job) -> int:
        decoding = job.computed == job.goal
        return blocks((job.context if decoding else job.goal) + 1, size)

    while pending or waiting or running:
        if not waiting and not running:
            now = max(now, pending[0].arrival_s)
        take_arrivals(now)
        if not waiting and not running:
            continue
        preempted = False
        while len(running) > 1 and sum(map(held, running)) > capacity:
            victim = running.pop()
            victim.computed = victim.context = 0
            victim.goal = victim.prompt + victim.emitted
            waiting.insert(0, victim)
            outcome.preemptions += 1
            preempted = True
        decoding = [job for job in running if job.computed == job.goal]
        budget = engine.max_num_batched_tokens - len(decoding)
        chunks: list[tuple[Job, int]] = []
        for job in running:
            if job.computed < job.goal and budget > 0:
                chunks.append((job, min(job.goal - job.computed, budget)))
                budget -= chunks[-1][1]
        while waiting and not preempted and budget > 0 and len(running) < engine.max_num_seqs:
            job = waiting[0]
            if sum(map(held, running)) + blocks(job.goal + 1, size) > capacity:
                break
            running.append(waiting.pop(0))
            chunks.append((job, min(job.goal, budget)))
            budget -= chunks[-1][1]
        outcome.peak_blocks = max(outcome.peak_blocks, sum(map(held, running)))
        seconds = timing.mixed_s(
            len(decoding),
            sum(job.context for job in decoding),
            sum(c for _, c in chunks),
            sum(c * (job.computed + c / 2) for job, c in chunks),
            sum(job.computed + c / 2 + c for job, c in chunks),
            sum(job.computed + c == job.goal for job, c in chunks),
        )
        outcome.iterations.append((now, seconds, len(decoding), sum(c for _, c in chunks)))
        now += seconds
        for job in decoding:
            job.context += 1
            job.emitted += 1
        for job, chunk in chunks:
            job.computed += chunk
            if job.computed == job.goal:
                job.context = job.goal
                job.emitted += 1
                job.first_s = now if job.first_s is None else job.first_s
        for job in [job for job in running if job.emitted == job.output]:
            job.end_s = now
            running.remove(job)
    return outcome
