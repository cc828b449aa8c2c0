"""Capacity within an SLO: closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.hardware.catalogue import load_catalogue
from dcsim.hardware.roofline import IterationModel
from dcsim.scenario.models import Engine
from dcsim.serving.capacity import Capacity, Estimator, LatencyTarget

CATALOGUE = load_catalogue()
TIMING = IterationModel(
    CATALOGUE.models["llama-3-70b"], CATALOGUE.gpus["a100-sxm-80gb"], 8, max_batch=256
)
MANY = 10_000_000
EASY = LatencyTarget(60.0, 60.0, 0.95)


def capacity(
    prompt: int, output: int, target: LatencyTarget = EASY, kv_tokens: int = MANY, **engine: int
) -> Capacity:
    """Of requests that are all alike."""
    sample = np.full(100, prompt), np.full(100, output)
    return Estimator(
        TIMING, Engine(**engine), kv_tokens, *sample, target, peers=1_000_000
    ).capacity()


def test_answers_without_prompts_are_bound_by_the_time_of_a_token() -> None:
    """Prompts of one token cost next to nothing: the batch is the one whose decode iteration takes
    the limit, and by Little's law the rate is batch / (tokens x limit)."""
    tpot_s = 0.03
    found = capacity(1, 1001, LatencyTarget(60.0, tpot_s))
    batch = np.arange(257)
    # Each sequence has, in the mean, half of its answer behind it.
    iteration_s = np.array(TIMING.decode_s) + TIMING.context_s * batch * (501.5 + 1)
    fits = np.interp(tpot_s, iteration_s, batch)
    assert found.binds == "tpot"
    assert found.at.batch == pytest.approx(fits, rel=0.03)
    assert found.requests_per_s == pytest.approx(fits / (1000 * tpot_s), rel=0.03)


def test_prompts_alone_fill_the_budget() -> None:
    """One-token answers: at most 2,048 prompt tokens an iteration, so many a second as iterations
    of that size allow."""
    found = capacity(2048, 1)
    full_s = TIMING.mixed_s(0, 0, 2048, 2048 * 1024, 3072, 1)
    assert found.binds in ("prefill", "ttft")
    assert found.requests_per_s == pytest.approx(1 / full_s, rel=0.02)


def test_a_small_batch_is_full_first() -> None:
    """Eight sequences of 20 ms a token: 8 / (answer x time a token), prompts' time added."""
    found = capacity(1, 1001, max_num_seqs=8)
    assert found.binds == "max_num_seqs"
    iteration_s = TIMING.decode_s[8] + TIMING.context_s * 8 * 502.5
    assert found.requests_per_s == pytest.approx(8 / (1000 * iteration_s), rel=0.03)


def test_a_small_cache_is_full_first() -> None:
    """Room for 20,000 tokens at a mean of 1,000 + 500 + half a block each: 13.3 sequences."""
    found = capacity(1000, 1001, kv_tokens=20_000)
    assert found.binds == "kv"
    assert found.at.batch == pytest.approx(20_000 / 1508.5, rel=0.05)
    assert found.at.kv_share == pytest.approx(1.0, rel=0.05)


def test_a_stricter_promise_leaves_less() -> None:
    loose = capacity(1000, 200, LatencyTarget(2.0, 0.1, 0.95, promised=True))
    strict = capacity(1000, 200, LatencyTarget(2.0, 0.05, 0.95, promised=True))
    assert 0.0 < strict.requests_per_s < loose.requests_per_s


def test_cached_prompts_leave_more() -> None:
    prompts, outputs = np.full(100, 4000), np.full(100, 100)
    rates = [
        Estimator(TIMING, Engine(), MANY, prompts, outputs, LatencyTarget(), 8, cached_share=share)
        .capacity()
        .requests_per_s
        for share in (0.0, 0.75)
    ]
    assert rates[1] > 2.0 * rates[0]
