"""Work held down by clocks and caps: by hand, and against the plain engine.

Invariants 4, 6 and 27 of docs/invariants.md.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.hardware.roofline import BANDWIDTH_KNEE, IterationModel, bandwidth_share
from dcsim.ledger import HeldWork
from dcsim.scenario.models import Engine
from dcsim.workload.stream import Prefix
from tests.serving.reference import Outcome, play
from tests.serving.rig import CONFIG, GPU, MODEL, Bench
from tests.serving.test_replica import conversations, engines, requests, seconds, wide_engines

PROMPT_W, ANSWER_W = 300.0, 200.0


class Stated:
    """A law by what an iteration holds; watts above rest at full clock are those above."""

    def __init__(self, strict: float) -> None:
        self.strict = strict

    def law(self, prefill: float, decode: float) -> tuple[float, float]:
        """Clock, and the share of the time that an iteration goes."""
        if prefill:
            return 0.8 * self.strict, 0.5 if decode > 2 else 1.0
        return (1.0, 1.0) if decode < 3 else (self.strict, 1.0)

    def hold(
        self, seconds: float, flops: float, moved: float, prefill: int, decode: int
    ) -> tuple[float, float, float, float, bool]:
        clock, duty = self.law(prefill, decode)
        full_w = PROMPT_W if prefill else ANSWER_W
        return clock, duty, full_w, full_w * clock * duty, bool(prefill)

    def changes(self, at_s: float) -> None:
        pass


def check(bench: Bench, expected: Outcome) -> None:
    for id_, job in enumerate(expected.jobs):
        if not job.rejected:
            request, end_s, generated = bench.ended[id_]
            assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
            assert end_s == pytest.approx(job.end_s, rel=1e-9)
            assert generated == job.output


# --- instants ------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(
    requests,
    engines,
    st.lists(st.tuples(seconds(4), st.sampled_from([0.3, 0.6, 0.9])), max_size=5).map(sorted),
)
def test_matches_the_plain_engine_while_laws_change(
    arrivals: list[tuple[float, int, int]], engine: Engine, changes: list[tuple[float, float]]
) -> None:
    """Invariants 4 and 27: each iteration at a clock of its own, by a law that may change while it
    runs."""
    capacity = 3000 // engine.block_tokens
    bench = Bench(engine, capacity)
    laws = [(at_s, Stated(strict)) for at_s, strict in changes]
    clocks = [(at_s, governor.law) for at_s, governor in laws]
    expected = play(arrivals, bench.timing, engine, capacity, clocks=clocks)
    bench.feed(arrivals)
    for at_s, governor in laws:
        bench.clock.play(at_s)
        bench.replica.govern(governor, at_s)
    bench.clock.play(1e6)
    check(bench, expected)
    assert bench.replica.held_tokens == bench.replica.outstanding == 0
    totals = bench.totals(1e6)
    assert totals[0] == pytest.approx(sum(i[3] for i in expected.iterations))
    assert totals[1] == pytest.approx(sum(i[2] for i in expected.iterations))
    assert totals[3] == pytest.approx(sum(i[1] for i in expected.iterations))


@settings(max_examples=120, deadline=None)
@given(
    conversations(),
    wide_engines,
    st.integers(300, 4000),
    st.randoms(use_true_random=False),
    st.lists(st.tuples(seconds(4), st.sampled_from([0.3, 0.6, 0.9])), max_size=4).map(sorted),
)
def test_matches_the_plain_engine_with_everything_on_while_laws_change(
    talk: tuple[list[tuple[float, int, int]], list[Prefix | None]],
    engine: Engine,
    kv_tokens: int,
    luck: random.Random,
    changes: list[tuple[float, float]],
) -> None:
    """The same with priorities, timeouts, several prompts under way and a prefix cache."""
    arrivals, prefixes = talk
    priorities = [luck.choice([-1, 0, 0, 5]) for _ in arrivals]
    capacity = kv_tokens // engine.block_tokens
    bench = Bench(engine, capacity)
    laws = [(at_s, Stated(strict)) for at_s, strict in changes]
    clocks = [(at_s, governor.law) for at_s, governor in laws]
    expected = play(arrivals, bench.timing, engine, capacity, priorities, prefixes, clocks)
    bench.feed(arrivals, priorities, prefixes)
    for at_s, governor in laws:
        bench.clock.play(at_s)
        bench.replica.govern(governor, at_s)
    bench.clock.play(1e6)
    for id_, job in enumerate(expected.jobs):
        assert (id_ in bench.rejected, id_ in bench.timed_out) == (job.rejected, job.timed_out)
        if not job.rejected and not job.timed_out:
            request, end_s, _ = bench.ended[id_]
            assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
            assert end_s == pytest.approx(job.end_s, rel=1e-9)


def test_a_prompt_under_way_is_stretched_at_once() -> None:
    """By hand: two fifths at full clock, then the rest at half of it."""
    bench = Bench(Engine(), 5000)
    prompt = (0.0, 0.0, 2000.0, 2000.0 * 1000.0, 3000.0, 1.0)
    full_s, half_s = (bench.timing.at_clock(c).mixed_s(*prompt) for c in (1.0, 0.5))
    bench.feed([(0.0, 2000, 1)])
    bench.clock.play(0.4 * full_s)
    bench.set_clock(0.5, 0.4 * full_s)
    done = bench.totals(0.4 * full_s)
    assert done[0] == pytest.approx(800.0)
    assert bench.totals(0.4 * full_s + 0.3 * half_s)[0] == pytest.approx(1400.0)
    bench.clock.play(10.0)
    assert bench.ended[0][1] == pytest.approx(0.4 * full_s + 0.6 * half_s, rel=1e-12)


def test_an_answer_under_way_is_stretched_at_once_and_so_is_what_is_planned_behind_it() -> None:
    """By hand: a decode iteration is half done when another prompt joins behind it, and the clock
    falls when it is three quarters done. The prompt begins as much later."""
    bench = Bench(Engine(), 5000)
    low = bench.timing.at_clock(0.3)
    first_s = bench.timing.mixed_s(0, 0, 100, 5000.0, 150.0, 1)
    fifth_s = sum(bench.timing.decode_s[1] + bench.timing.context_s * (101 + i) for i in range(4))
    start_s = first_s + fifth_s
    fast_s = bench.timing.decode_s[1] + bench.timing.context_s * 105
    slow_s = low.decode_s[1] + low.context_s * 105
    assert slow_s > 1.5 * fast_s  # memory cannot be read at full speed at 0.3 of the clock
    joins_s, falls_s = start_s + 0.5 * fast_s, start_s + 0.75 * fast_s
    bench.feed([(0.0, 100, 30), (joins_s, 1000, 1)])
    bench.clock.play(falls_s)
    bench.set_clock(0.3, falls_s)
    bench.clock.play(10.0)
    second = low.mixed_s(1, 105, 1000, 1000 * 500.0, 1500.0, 1)
    end_s = falls_s + 0.25 * slow_s + second
    assert bench.ended[1][1] == pytest.approx(end_s, rel=1e-9)


def test_lifting_a_limit_under_way_speeds_up_what_is_left() -> None:
    bench = Bench(Engine(), 5000)
    prompt = (0.0, 0.0, 2000.0, 2000.0 * 1000.0, 3000.0, 1.0)
    full_s, half_s = (bench.timing.at_clock(c).mixed_s(*prompt) for c in (1.0, 0.5))
    bench.set_clock(0.5, 0.0)
    bench.feed([(0.0, 2000, 1)])
    bench.clock.play(0.25 * half_s)
    bench.set_clock(1.0, 0.25 * half_s)
    bench.clock.play(10.0)
    assert bench.ended[0][1] == pytest.approx(0.25 * half_s + 0.75 * full_s, rel=1e-12)


# --- what the power step is told -----------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(requests, engines, st.floats(0.01, 0.7), st.sampled_from([0.3, 0.6, 0.9]))
def test_held_work_is_the_exact_integral(
    arrivals: list[tuple[float, int, int]], engine: Engine, step_s: float, strict: float
) -> None:
    """Invariant 6 for what clocks hold down: each iteration adds, for the time that a step has of
    it, its watts, and the work that it would have done besides at full clock."""
    capacity = 3000 // engine.block_tokens
    bench, governor = Bench(engine, capacity), Stated(strict)
    bench.replica.govern(governor, 0.0)
    expected = play(arrivals, bench.timing, engine, capacity, clocks=[(0.0, governor.law)])
    bench.feed(arrivals)
    rows = []
    for start_s, long_s, decode, prefill in expected.iterations:
        clock, duty = governor.law(prefill, decode)
        full_w = PROMPT_W if prefill else ANSWER_W
        bound_w = full_w * clock * duty if prefill else 0.0
        free_w = 0.0 if prefill else full_w * clock
        rows.append((start_s, long_s, decode, prefill, full_w, free_w, bound_w))
    table = np.array(rows)
    extra_prefill = extra_iterations = busy_s = 0.0
    for k in range(1, 40):
        bench.clock.play(k * step_s)
        ledger = bench.work.step(k * step_s)
        held = bench.work.held_step()
        assert isinstance(held, HeldWork)
        low, high = (k - 1) * step_s, k * step_s
        overlap_s = np.minimum(high, table[:, 0] + table[:, 1]) - np.maximum(low, table[:, 0])
        share = np.clip(overlap_s, 0.0, None) / step_s
        # Where an iteration ends within a run of decodes is known to a part in 10,000 of it.
        assert held.full_w[0] == pytest.approx((share * table[:, 4]).sum(), abs=0.5)
        assert held.free_w[0] == pytest.approx((share * table[:, 5]).sum(), abs=0.5)
        assert held.bound_w[0] == pytest.approx((share * table[:, 6]).sum(), abs=0.5)
        assert ledger.prompt_share is not None
        prompts = (share * (table[:, 3] > 0)).sum()
        assert ledger.prompt_share[0] == pytest.approx(prompts, abs=1e-3)
        assert 0.0 <= held.soft_bound[0] <= held.soft[0] + 1e-9 <= 1.0 + 1e-6
        assert held.bound_w[0] > 1e-9 or held.soft_bound[0] < 1e-9
        extra_prefill += held.prefill_tokens[0]
        extra_iterations += held.iterations[0]
        busy_s += ledger.busy_fraction[0] * step_s
    if table[-1, 0] + table[-1, 1] < 39 * step_s:
        assert busy_s == pytest.approx(table[:, 1].sum(), rel=1e-6)
        assert extra_prefill >= -1e-6
        assert extra_iterations >= -1e-6


def test_a_prompt_at_half_speed_is_shown_as_two_at_full_speed() -> None:
    """By hand: an engine that is busy all the time with prompts at half of the clock."""
    bench = Bench(Engine(), 20_000)
    bench.set_clock(0.5, 0.0)
    bench.feed([(0.0, 2048, 1)] * 12)
    prompt = (0.0, 0.0, 2048.0, 2048.0 * 1024.0, 3072.0, 1.0)
    full_s, half_s = (bench.timing.at_clock(c).mixed_s(*prompt) for c in (1.0, 0.5))
    bench.clock.play(0.5)
    ledger, held = bench.work.step(0.5), bench.work.held_step()
    assert held is not None
    assert ledger.prefill_tokens[0] == pytest.approx(0.5 / half_s * 2048)
    shown = ledger.prefill_tokens[0] + held.prefill_tokens[0]
    assert shown == pytest.approx(0.5 / full_s * 2048)
    flops = ledger.compute_util[0] + held.compute_util[0]
    costs = bench.timing.costs
    each = 2048 * costs.flops_per_token + 2048 * 1024 * costs.flops_per_context
    each += costs.flops_per_logit
    assert flops == pytest.approx(each / full_s / CONFIG.peak_flops_per_gpu)
    # All of it is prompts', of which the ledger tells what they would do at full clock.
    moved = ledger.memory_util[0] + held.memory_util[0]
    assert ledger.prompt_share is not None
    assert ledger.prompt_share[0] == pytest.approx(1.0)
    assert ledger.prompt_compute_util[0] == pytest.approx(flops)
    assert ledger.prompt_memory_util[0] == pytest.approx(moved)
    assert ledger.prompt_memory_root[0] == pytest.approx(moved**0.5)


def test_work_put_off_is_done_later_and_none_is_lost() -> None:
    """By hand: a prompt of which a step undid 30 ms ends 30 ms later, and what the next step
    counts is what was left."""
    bench = Bench(Engine(), 5000)
    bench.replica.govern(Stated(1.0), 0.0)
    bench.feed([(0.0, 2048, 1)])
    prompt = (0.0, 0.0, 2048.0, 2048.0 * 1024.0, 3072.0, 1.0)
    long_s = bench.timing.at_clock(0.8).mixed_s(*prompt)
    bench.clock.play(0.1)
    first = float(bench.work.step(0.1).prefill_tokens[0])
    assert first == pytest.approx(2048 * 0.1 / long_s)
    assert bench.replica.shift(0.03, 0.1) == 0.03
    bench.work.begin_anew()
    bench.clock.play(2.0)
    assert bench.ended[0][1] == pytest.approx(long_s + 0.03)
    undone = 2048 * 0.03 / long_s
    assert bench.work.step(2.0).prefill_tokens[0] == pytest.approx(2048 - first + undone)


def test_nothing_goes_faster_than_at_full_clock() -> None:
    """A step that would let work gain time gives back no more than the clock had cost."""
    bench = Bench(Engine(), 5000)
    bench.replica.govern(Stated(0.5), 0.0)
    bench.feed([(0.0, 2048, 1)])
    prompt = (0.0, 0.0, 2048.0, 2048.0 * 1024.0, 3072.0, 1.0)
    full_s, held_s = (bench.timing.at_clock(c).mixed_s(*prompt) for c in (1.0, 0.4))
    bench.clock.play(0.1)
    gained_s = bench.replica.shift(-10.0, 0.1)
    assert gained_s == pytest.approx(-(held_s - 0.1) * (1.0 - full_s / held_s))
    bench.replica.govern(None, 0.1)
    assert bench.replica.shift(-10.0, 0.1) == 0.0


# --- decoding at low clocks ----------------------------------------------------------------


def test_memory_is_read_at_full_speed_down_to_a_clock_and_with_the_clock_below_it() -> None:
    assert bandwidth_share(1.0) == bandwidth_share(BANDWIDTH_KNEE) == 1.0
    assert bandwidth_share(0.5 * BANDWIDTH_KNEE) == pytest.approx(0.5)


@pytest.mark.parametrize(("clock", "least", "most"), [(0.78, 1.0, 1.05), (0.3, 1.5, 2.2)])
def test_answers_slow_down_below_some_clock(clock: float, least: float, most: float) -> None:
    """POLCA: hardly at 0.78 of an A100's clock. At 423 of 1410 MHz its L2 cache, 5,120 bytes a
    clock, passes at most 2.17 TB/s, if every slot were used: all but what HBM gives."""
    full = IterationModel(MODEL, GPU, 1, 16)
    for batch in (1, 8, 16):
        ratio = full.at_clock(clock).decode_s[batch] / full.decode_s[batch]
        assert least <= ratio <= most


@settings(max_examples=120, deadline=None)
@given(
    requests,
    engines,
    st.lists(
        st.tuples(
            seconds(4),
            st.sampled_from(["law", "free", "shift", "loss"]),
            st.floats(-0.2, 0.2),
        ),
        max_size=12,
    ).map(sorted),
    st.floats(0.05, 0.5),
)
def test_nothing_is_lost_whatever_comes_together(
    arrivals: list[tuple[float, int, int]],
    engine: Engine,
    deeds: list[tuple[float, str, float]],
    step_s: float,
) -> None:
    """Invariants 1, 2, 3: laws, work put off and losses of power at any time, while power steps
    look on: every request ends once with all its tokens, or was lost with the power, no sum is
    other than finite, and the work shown is never below 0."""
    bench = Bench(engine, 3000 // engine.block_tokens)
    replica = bench.replica
    bench.feed(arrivals)
    lost = 0
    times = sorted([(at_s, what, by) for at_s, what, by in deeds] + [(9.0, "", 0.0)])
    step = 1
    for at_s, what, by in times:
        while step * step_s <= at_s:
            bench.clock.play(step * step_s)
            ledger, held = bench.work.step(step * step_s), bench.work.held_step()
            assert 0.0 <= ledger.busy_fraction[0] <= 1.0
            assert ledger.prompt_share is not None
            assert 0.0 <= ledger.prompt_share[0] <= ledger.busy_fraction[0] + 1e-9
            if held is not None:
                assert np.isfinite([held.full_w[0], held.free_w[0], held.memory_util[0]]).all()
                assert -1e-6 <= held.full_w[0] <= 2.0 * PROMPT_W
            if what == "shift" and bench.work.time_s == step * step_s:
                replica.shift(by, step * step_s)
                bench.work.begin_anew()
            step += 1
        bench.clock.play(at_s)
        if what == "law":
            replica.govern(Stated(0.5 + by), at_s)
        elif what == "free":
            replica.govern(None, at_s)
        elif what == "loss":
            lost += len(replica.fail_all(at_s))
            replica.restore(at_s)
    bench.clock.play(1e6)
    assert len(bench.ended) + len(bench.rejected) + lost == len(arrivals)
    assert all(generated == request.output_tokens for request, _, generated in bench.ended.values())
    assert replica.held_tokens == replica.context_tokens == replica.running == 0
    assert replica.blocks_in_use() == replica.outstanding == 0
