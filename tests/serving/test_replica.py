"""The replica against a plain engine that plays every iteration.

Invariants 1 to 4 and 6 of docs/invariants.md.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcsim.hardware.models import ServedModel
from dcsim.ledger import GpuState
from dcsim.scenario.models import Engine
from dcsim.workload.stream import Prefix
from tests.serving.reference import play
from tests.serving.rig import CONFIG, EXPERTS, MODEL, Bench


def seconds(high: int) -> st.SearchStrategy[float]:
    """Multiples of 2^-20 s: shifted by one another they keep their order exactly."""
    return st.integers(0, high << 20).map(lambda ticks: ticks / (1 << 20))


requests = st.lists(
    st.tuples(seconds(3), st.integers(1, 900), st.integers(1, 120)),
    min_size=1,
    max_size=25,
).map(sorted)
engines = st.builds(
    Engine,
    max_num_seqs=st.integers(1, 8),
    max_num_batched_tokens=st.sampled_from([16, 128, 512, 2048]),
    block_tokens=st.sampled_from([1, 8, 16]),
)


@settings(max_examples=150, deadline=None)
@given(requests, engines, st.integers(150, 3000))
def test_matches_the_plain_engine(
    arrivals: list[tuple[float, int, int]], engine: Engine, kv_tokens: int
) -> None:
    """Invariants 1, 2, 3, 4: every request ends when the plain engine says, none twice, tokens
    and KV blocks conserved, preemptions included."""
    capacity = kv_tokens // engine.block_tokens
    bench = Bench(engine, capacity)
    expected = play(arrivals, bench.timing, engine, capacity)
    bench.feed(arrivals)
    bench.clock.play(1e6)
    for id_, job in enumerate(expected.jobs):
        if job.rejected:
            assert id_ in bench.rejected
            continue
        request, end_s, generated = bench.ended[id_]
        assert end_s == pytest.approx(job.end_s, rel=1e-9)
        assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
        assert generated == job.output
    assert len(bench.ended) + len(bench.rejected) == len(arrivals)
    replica = bench.replica
    assert replica.preemptions == expected.preemptions
    assert replica.held_tokens == replica.context_tokens == replica.running == 0
    assert replica.blocks_in_use() == replica.outstanding == 0
    totals = bench.totals(1e6)
    assert totals[0] == pytest.approx(sum(i[3] for i in expected.iterations))
    assert totals[1] == pytest.approx(sum(i[2] for i in expected.iterations))
    assert totals[2] == pytest.approx(len(expected.iterations))
    assert totals[3] == pytest.approx(sum(i[1] for i in expected.iterations))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[tuple[float, int, int]], list[Prefix | None]]:
    """Requests that begin alike: whole texts again, and turns that follow one another."""
    arrivals: list[tuple[float, int, int]] = []
    prefixes: list[Prefix | None] = []
    told: list[tuple[tuple[tuple[int, int], ...], int, int]] = [((), 0, 0)]
    # At one instant the plain engine chooses among all, the real one in order of arrival.
    apart = {at_s: (new, output) for at_s, new, output in draw(requests)}
    for at_s, (new, output) in apart.items():
        segments, becomes, tokens = draw(st.sampled_from(told))
        if becomes:
            before = sum(n for _, n in segments)
            segments = (*segments, (becomes, tokens - before))
        name = len(told) * 10
        own = ((name, max(1, new // 2)),) if draw(st.booleans()) else ()
        segments = (*segments, *own)
        prompt = sum(n for _, n in segments) + new - sum(n for _, n in own)
        told.append((segments, name + 1, prompt + output))
        arrivals.append((at_s, prompt, output))
        prefixes.append(Prefix(segments, name + 1) if draw(st.booleans()) else None)
    return arrivals, prefixes


wide_engines = st.builds(
    Engine,
    max_num_seqs=st.integers(1, 8),
    max_num_batched_tokens=st.sampled_from([16, 128, 512]),
    block_tokens=st.sampled_from([1, 8, 16]),
    long_prefill_token_threshold=st.sampled_from([0, 7, 64]),
    scheduling_policy=st.sampled_from(["fcfs", "priority"]),
    queue_timeout_s=st.sampled_from([None, 0.1234567, 0.654321]).map(
        lambda seconds: seconds and f"{seconds} s"
    ),
    enable_prefix_caching=st.booleans(),
) | st.builds(
    Engine,
    max_num_seqs=st.integers(1, 8),
    max_num_batched_tokens=st.just(4000),
    max_model_len=st.just(4000),
    enable_chunked_prefill=st.just(False),
    scheduling_policy=st.sampled_from(["fcfs", "priority"]),
)


TICK_S = 1 / (1 << 20)
HEAD = ((10, 106),)
BACK_WITH_LESS = (
    [(0.0, 212, 75), (TICK_S, 288, 3), (2 * TICK_S, 288, 1), (3 * TICK_S, 1, 1)],
    [Prefix(HEAD, 11), None, Prefix((*HEAD, (11, 181)), 31), None],
)
"""The third is preempted, and fits again at once: the first has left their prefix in the cache."""


@settings(max_examples=400, deadline=None)
@example(
    BACK_WITH_LESS,
    Engine(
        max_num_seqs=3,
        max_num_batched_tokens=16,
        block_tokens=1,
        long_prefill_token_threshold=7,
        enable_prefix_caching=True,
    ),
    802,
    random.Random(0),
)
@given(conversations(), wide_engines, st.integers(300, 4000), st.randoms(use_true_random=False))
def test_matches_the_plain_engine_with_everything_on(
    talk: tuple[list[tuple[float, int, int]], list[Prefix | None]],
    engine: Engine,
    kv_tokens: int,
    luck: random.Random,
) -> None:
    """Invariants 1 to 4 with priorities, timeouts, several prompts under way and a prefix cache
    whose memory runs short."""
    arrivals, prefixes = talk
    priorities = [luck.choice([-1, 0, 0, 5]) for _ in arrivals]
    capacity = kv_tokens // engine.block_tokens
    bench = Bench(engine, capacity)
    expected = play(arrivals, bench.timing, engine, capacity, priorities, prefixes)
    bench.feed(arrivals, priorities, prefixes)
    bench.clock.play(1e6)
    for id_, job in enumerate(expected.jobs):
        assert (id_ in bench.rejected, id_ in bench.timed_out) == (job.rejected, job.timed_out)
        if job.rejected or job.timed_out:
            continue
        request, end_s, _ = bench.ended[id_]
        assert request.cached == job.hits
        assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
        assert end_s == pytest.approx(job.end_s, rel=1e-9)
    replica = bench.replica
    assert replica.preemptions == expected.preemptions
    assert replica.held_tokens == replica.context_tokens == replica.running == 0
    assert replica.blocks_in_use() == replica.outstanding == 0
    totals = bench.totals(1e6)
    assert totals[0] == pytest.approx(sum(i[3] for i in expected.iterations))
    assert totals[1] == pytest.approx(sum(i[2] for i in expected.iterations))
    assert totals[2] == pytest.approx(len(expected.iterations))


@settings(max_examples=40, deadline=None)
@given(requests, engines, st.floats(0.01, 0.7), st.sampled_from([MODEL, EXPERTS]), st.booleans())
@example(
    [(0.0, 1, 2), (0.0, 1, 2), (2.0**-20, 1, 1)],
    Engine(max_num_seqs=3, max_num_batched_tokens=16, block_tokens=1),
    0.01,
    MODEL,
    False,
)
def test_ledger_is_the_exact_integral(
    arrivals: list[tuple[float, int, int]],
    engine: Engine,
    step_s: float,
    model: ServedModel,
    staged: bool,
) -> None:
    """Invariant 6: what the power steps see is the plain engine's work, spread evenly over each
    iteration, whatever the step."""
    capacity = 3000 // engine.block_tokens
    bench = Bench(engine, capacity, model, 2 if staged else 1)
    expected = play(arrivals, bench.timing, engine, capacity)
    bench.feed(arrivals)
    iterations = np.array(expected.iterations).reshape(-1, 4)
    for k in range(1, 40):
        bench.clock.play(k * step_s)
        ledger = bench.work.step(k * step_s)
        low, high = (k - 1) * step_s, k * step_s
        overlap = np.clip(
            np.minimum(high, iterations[:, 0] + iterations[:, 1])
            - np.maximum(low, iterations[:, 0]),
            0,
            None,
        )
        share = overlap / iterations[:, 1]
        assert ledger.busy_fraction[0] == pytest.approx(overlap.sum() / step_s, abs=1e-6)
        assert ledger.prefill_tokens[0] == pytest.approx((share * iterations[:, 3]).sum(), abs=1e-3)
        assert ledger.decode_tokens[0] == pytest.approx((share * iterations[:, 2]).sum(), abs=1e-2)
        peak = CONFIG.hbm_bandwidth_per_gpu * step_s
        expected_util = float((share * np.array(expected.moved)).sum()) / peak
        # The closed form is a parabola through the ends of iterations: within one it may be off by
        # an eighth of a token of context a sequence, in what is read and in the time it takes.
        eighths = 2 * 2 * engine.max_num_seqs / 8 * bench.timing.costs.kv_bytes
        assert ledger.memory_util[0] == pytest.approx(expected_util, rel=1e-6, abs=eighths / peak)
        assert 0.0 <= ledger.kv_fraction[0] <= 1.0 + engine.max_num_seqs / 3000


@settings(max_examples=60, deadline=None)
@given(requests, engines, seconds(4), seconds(1))
def test_losing_power_loses_no_request_and_no_work(
    arrivals: list[tuple[float, int, int]], engine: Engine, at_s: float, back_s: float
) -> None:
    """Invariants 1 and 7: a dark replica gives back exactly the requests it had, does no more
    work, and afterwards serves as a new one would."""
    bench = Bench(engine, 3000 // engine.block_tokens)
    bench.feed(arrivals)
    bench.clock.play(at_s)
    before = bench.totals(at_s)
    here = {request.id for part in bench.replica.present() for request in part}
    arrived = sum(a[0] <= at_s for a in arrivals)
    assert len(here) + len(bench.ended) + len(bench.rejected) == arrived
    lost = bench.replica.fail_all(at_s)
    assert {request.id for request in lost} == here
    assert len(lost) == len(here)
    assert bench.totals(at_s) == pytest.approx(before, rel=1e-9)
    assert bench.totals(at_s + 5.0) == pytest.approx(before, rel=1e-9)
    assert bench.work.step(at_s + 0.1).state[0] == GpuState.OFF
    restart = Bench(engine, 3000 // engine.block_tokens)
    start_s = at_s + back_s
    bench.clock._queue.clear()
    bench.replica.restore(start_s)
    bench.ended.clear()
    again = [(start_s + a, p, o) for a, p, o in arrivals]
    bench.rejected.clear()
    bench.feed(again)
    bench.clock.play(1e6)
    restart.feed(arrivals)
    restart.clock.play(1e6)
    assert bench.rejected == restart.rejected
    for id_, (_, end_s, _) in restart.ended.items():
        assert bench.ended[id_][1] == pytest.approx(start_s + end_s, rel=1e-9)


def test_queue_limit_rejects_what_does_not_fit_behind_the_batch() -> None:
    bench = Bench(Engine(max_num_seqs=1, queue_limit=2), 10_000)
    bench.feed([(0.0, 100, 50), (0.1, 10, 10), (0.2, 10, 10), (0.3, 10, 10), (9.0, 10, 10)])
    bench.clock.play(100.0)
    assert bench.rejected == [3]
    assert len(bench.ended) == 4


def test_what_can_never_fit_is_rejected() -> None:
    bench = Bench(Engine(max_model_len=1000), 40)
    bench.feed([(0.0, 900, 101), (0.0, 600, 41), (0.0, 600, 40)])
    bench.clock.play(100.0)
    assert bench.rejected == [0, 1]
    assert list(bench.ended) == [2]


def test_a_run_of_decodes_is_one_event() -> None:
    """The merge is what makes a day playable: two alarms for 500 iterations."""
    bench = Bench(Engine(), 10_000)
    bench.feed([(0.0, 100, 500)])
    fired = 0
    while bench.clock._queue:
        bench.clock.play(bench.clock.peek())
        fired += 1
    assert fired == 3  # arrival, end of prefill, end of decode
    assert bench.totals(1e3)[2] == pytest.approx(500)


def test_states_are_seen_at_the_step() -> None:
    bench = Bench(Engine(max_num_seqs=2), 10_000)
    bench.feed([(0.1, 2000, 50), (0.6, 2000, 400), (0.7, 100, 400), (0.72, 100, 5)])
    seen = {}
    for at_s in (0.05, 0.15, 0.55, 0.65, 1.5):
        bench.clock.play(at_s)
        ledger = bench.work.step(at_s)
        seen[at_s] = (GpuState(int(ledger.state[0])), ledger.running[0], ledger.waiting[0])
    assert seen[0.05] == (GpuState.IDLE, 0, 0)
    assert seen[0.15] == (GpuState.PREFILL, 1, 0)
    assert seen[0.55] == (GpuState.DECODE, 1, 0)
    assert seen[0.65] == (GpuState.MIXED, 2, 0)
    assert seen[1.5][0] in (GpuState.QUEUED, GpuState.DECODE)


def test_a_lower_clock_slows_prompts_and_hardly_answers() -> None:
    """Prefill is bound by computing, decode of a small batch by reading the weights."""
    full = Bench(Engine(), 5000).timing
    half = full.at_clock(0.6)
    assert half is full.at_clock(0.6)
    assert half.at_clock(1.0) is full
    prompt = [t.mixed_s(0, 0, 2048, 2048 * 1024.0, 3072.0, 1) for t in (full, half)]
    answer = [t.decode_s[8] for t in (full, half)]
    assert 1.5 < prompt[1] / prompt[0] <= 1.0 / 0.6
    assert 1.0 <= answer[1] / answer[0] < 1.05


@settings(max_examples=60, deadline=None)
@given(requests, engines, seconds(3), st.sampled_from([0.25, 0.6]))
def test_a_new_clock_loses_no_tokens(
    arrivals: list[tuple[float, int, int]], engine: Engine, at_s: float, clock: float
) -> None:
    """Tokens are conserved whatever the clock does, and set before the first arrival it gives
    the plain engine's instants at that clock."""
    capacity = 3000 // engine.block_tokens
    bench = Bench(engine, capacity)
    bench.set_clock(clock, 0.0)
    expected = play(arrivals, bench.timing.at_clock(clock), engine, capacity)
    bench.feed(arrivals)
    bench.clock.play(1e6)
    for id_, job in enumerate(expected.jobs):
        if not job.rejected:
            assert bench.ended[id_][1] == pytest.approx(job.end_s, rel=1e-9)
    changed = Bench(engine, capacity)
    changed.feed(arrivals)
    changed.clock.play(at_s)
    changed.set_clock(clock, at_s)
    changed.clock.play(1e6)
    full = play(arrivals, bench.timing, engine, capacity)
    for id_, job in enumerate(full.jobs):
        if not job.rejected:
            _, end_s, generated = changed.ended[id_]
            assert generated == job.output
            if job.end_s is not None and job.end_s <= at_s:
                assert end_s == pytest.approx(job.end_s, rel=1e-9)
    assert changed.replica.held_tokens == changed.replica.outstanding == 0


@settings(max_examples=150, deadline=None)
@given(
    requests,
    engines,
    st.lists(st.tuples(seconds(4), st.sampled_from([0.25, 0.6, 0.8, 1.0])), max_size=6).map(sorted),
)
def test_matches_the_plain_engine_while_clocks_change(
    arrivals: list[tuple[float, int, int]], engine: Engine, clocks: list[tuple[float, float]]
) -> None:
    """Invariant 27: merged iterations and those planned ahead take a new clock as the plain engine
    does, what is left of the iteration under way included."""
    capacity = 3000 // engine.block_tokens
    bench = Bench(engine, capacity)
    expected = play(arrivals, bench.timing, engine, capacity, clocks=clocks)
    bench.feed(arrivals)
    for at_s, clock in clocks:
        bench.clock.play(at_s)
        bench.set_clock(clock, at_s)
    bench.clock.play(1e6)
    for id_, job in enumerate(expected.jobs):
        if not job.rejected:
            assert bench.ended[id_][1] == pytest.approx(job.end_s, rel=1e-9)
            assert bench.ended[id_][2] == job.output
    busy_s = sum(seconds for _, seconds, _, _ in expected.iterations)
    assert bench.totals(1e6)[3] == pytest.approx(busy_s)


def test_a_smaller_batch_admits_fewer_and_a_larger_one_more_at_once() -> None:
    bench = Bench(Engine(max_num_seqs=8), 5000)
    bench.feed([(0.0, 10, 400)] * 8)
    bench.replica.limit_batch(2, 0.0)
    bench.clock.play(1.0)
    assert (bench.replica.running, len(bench.replica.waiting)) == (2, 6)
    bench.replica.limit_batch(100, 1.0)
    bench.clock.play(1.1)
    assert (bench.replica.running, len(bench.replica.waiting)) == (8, 0)
    bench.clock.play(1e6)
    assert len(bench.ended) == 8
