"""Intervals of one run's p99 and peak, held to what repetition shows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from dcsim.arrays import FloatArray
from dcsim.results.intervals import block_length, peak_interval, percentile_interval

STEADY = 1.0 / np.sqrt(1.0 - 0.9**2)
"""Standard deviation of the process below."""


def drifting(seed: int, count: int = 4000) -> FloatArray:
    """A first-order autoregression with a memory of ten steps, begun in its steady state."""
    noise = np.random.default_rng(seed).standard_normal(count + 200)
    return np.asarray(lfilter([1.0], [1.0, -0.9], noise))[200:]


def test_block_length_of_an_autoregression() -> None:
    """For AR(1) the optimum is ((2 G²) / (4/3 g²))^(1/3) n^(1/3), with G = sum |k| R(k) and
    g = sum R(k): with R(k) = a^|k|, G = 2a / (1 - a)² and g = (1 + a) / (1 - a)."""
    a, count = 0.9, 4000
    ratio = (2 * a / (1 - a) ** 2) / ((1 + a) / (1 - a))
    ideal = (1.5 * ratio**2 * count) ** (1 / 3)
    found = [block_length(drifting(seed)) for seed in range(30)]
    assert np.median(found) == pytest.approx(ideal, rel=0.2)
    assert block_length(np.random.default_rng(0).standard_normal(4000)) <= 3
    assert block_length(np.ones(100)) == 1


def test_the_interval_of_p99_holds_the_true_one_as_often_as_it_says() -> None:
    """The true p99 of the process is 2.326 standard deviations. Independent draws would claim an
    interval about three times too narrow, and hold it half as often."""
    true = 2.3263 * STEADY
    found = map(percentile_interval, map(drifting, range(100)))
    held = [low <= true <= high for low, high in found if not np.isnan(low)]
    assert 0.86 <= np.mean(held) <= 0.99


def test_the_interval_of_a_peak_holds_that_of_another_run_as_often_as_it_says() -> None:
    found = [(peak_interval(drifting(seed)), drifting(1000 + seed).max()) for seed in range(150)]
    told = [(low, high, other) for (low, high), other in found if not np.isnan(low)]
    assert len(told) > 120
    assert 0.90 <= np.mean([low <= other <= high for low, high, other in told]) <= 0.99


def test_what_a_run_cannot_tell_it_does_not() -> None:
    """A day's course, too few steps, what is no number; a constant load is what it is."""
    day = 100.0 - 20.0 * np.cos(np.linspace(0.0, 2.0 * np.pi, 4000)) + 0.2 * drifting(1)
    assert np.isnan(peak_interval(day)).all()
    assert np.isnan(peak_interval(drifting(1, 60))).all()
    assert np.isnan(percentile_interval(drifting(1, 60))).all()
    assert np.isnan(percentile_interval([1.0, np.nan])).all()
    assert tuple(peak_interval(np.full(50, 7.0))) == (7.0, 7.0)
    assert tuple(percentile_interval(np.full(50, 7.0))) == (7.0, 7.0)
