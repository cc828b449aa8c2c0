"""Caps and clock limits: bounds, the published points, and that nothing is counted twice."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.power.limits import (
    CLOCK_EXPONENT,
    LOWEST_CLOCK,
    capped,
    clock_under,
    clocked,
    pace,
    restated,
)
from dcsim.scenario.catalogue import load_catalogue, timing_of
from dcsim.serving.timing import IterationModel
from tests.power.bench import ledger

watts = st.floats(121.0, 900.0)
clocks = st.floats(LOWEST_CLOCK, 1.0)
IDLE_W = np.array([120.0])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 2000.0), min_size=1), st.floats(1.0, 1500.0))
def test_never_above_the_cap_and_untouched_below(drawn: list[float], cap_w: float) -> None:
    """Invariant 22."""
    gpu_w = np.array(drawn)
    found = capped(gpu_w, cap_w)
    assert (found <= cap_w).all()
    assert np.array_equal(found[gpu_w <= cap_w], gpu_w[gpu_w <= cap_w])


@settings(max_examples=100, deadline=None)
@given(watts, clocks, clocks)
def test_watts_fall_with_the_clock_and_never_below_rest(
    full_w: float, one: float, two: float
) -> None:
    low, high = sorted((one, two))
    full = np.array([full_w])
    slow_w, quick_w = clocked(full, IDLE_W, low), clocked(full, IDLE_W, high)
    assert 120.0 <= slow_w[0] <= quick_w[0] + 1e-9 <= full_w + 2e-9
    assert clocked(full, IDLE_W, 1.0)[0] == full_w
    assert clocked(np.array([100.0]), IDLE_W, low)[0] == 100.0  # at rest there is nothing to save


@settings(max_examples=100, deadline=None)
@given(watts, st.floats(130.0, 900.0))
def test_the_clock_under_a_cap_is_the_law_read_the_other_way(full_w: float, cap_w: float) -> None:
    full = np.array([full_w])
    clock = clock_under(full, IDLE_W, cap_w)
    drawn_w = clocked(full, IDLE_W, clock)[0]
    if clock[0] == 1.0:
        assert full_w <= cap_w
    elif clock[0] > LOWEST_CLOCK:
        assert drawn_w == pytest.approx(cap_w, rel=1e-9)
    else:
        assert drawn_w >= cap_w - 1e-9


def test_the_measured_point() -> None:
    """POLCA: an A100 at its 400 W draws a fifth less at 1.1 of 1.41 GHz."""
    found = clocked(np.array([400.0]), np.array([70.12]), 1.10 / 1.41)
    assert found[0] == pytest.approx(320.0)
    assert pytest.approx(1.118, abs=0.001) == CLOCK_EXPONENT


def test_splitwise_would_have_a_cap_cost_less_time() -> None:
    """The evidence that was not followed: at half of 700 W our H100 is slower than theirs, so a
    plan that keeps its promises here keeps them there."""
    clock = clock_under(np.array([700.0]), IDLE_W, 350.0)[0]
    assert 1.0 / clock > 1.3
    assert math.log(230 / 580) / math.log(1 / 1.3) > 3.0 * CLOCK_EXPONENT


@pytest.mark.parametrize("clock", [0.5, 0.79, 0.93])
@pytest.mark.parametrize(
    ("chunk", "batch", "context"), [(2048, 0, 0), (1024, 16, 16000), (0, 64, 64000), (0, 8, 4000)]
)
def test_pace_is_that_of_the_timing_model(
    clock: float, chunk: int, batch: int, context: int
) -> None:
    """Worked out from the ledger's columns alone, against the serving room's own times: it errs to
    the slow side, where computing hides behind reading, and watts then to the high one."""
    catalogue = load_catalogue()
    gpu, model = catalogue.gpus["a100-sxm-80gb"], catalogue.models["llama-3-70b"]
    timing = IterationModel(model, gpu, 8, 256)
    pairs = chunk * chunk / 2

    def seconds(at: IterationModel) -> float:
        return at.mixed_s(batch, context, chunk, pairs, 1.5 * chunk, 1 if chunk else 0)

    slow_s, full_s = seconds(timing.at_clock(clock)), seconds(timing)
    costs = timing.costs
    flops = (chunk + batch) * costs.flops_per_token + (pairs + context) * costs.flops_per_context
    util = flops / (slow_s * 8 * gpu.peak_flops)
    one = np.ones(1)
    found = pace(util * one, one, clock * one, timing_of(model, gpu).eff_flops * one)
    assert -0.12 < found[0] - full_s / slow_s < 0.02


def test_decoding_hardly_feels_a_clock_and_prompts_do() -> None:
    """POLCA, Splitwise: a few per cent for tokens, all of it for prompts."""
    catalogue = load_catalogue()
    timing = IterationModel(
        catalogue.models["llama-3-70b"], catalogue.gpus["a100-sxm-80gb"], 8, 256
    )
    slow = timing.at_clock(1.10 / 1.41)
    assert slow.decode_s[16] / timing.decode_s[16] < 1.05
    prompt = (0, 0, 2048, 2048 * 1024, 3072, 1)
    assert slow.mixed_s(*prompt) / timing.mixed_s(*prompt) > 1.15


def test_restated_at_full_speed_is_the_same_ledger() -> None:
    work = ledger(3)
    same = restated(work, np.ones(3))
    for field in fields(work):
        assert np.array_equal(getattr(same, field.name), getattr(work, field.name)), field.name
    twice = restated(work, np.full(3, 0.5))
    assert np.array_equal(twice.decode_tokens, 2 * work.decode_tokens)
    assert np.array_equal(twice.busy_fraction, work.busy_fraction)


def test_nonsense_is_refused() -> None:
    for bad in (0.0, -5.0, float("nan")):
        with pytest.raises(ValueError, match="above 0 W"):
            capped(np.array([100.0]), bad)
