"""The screen against closed forms, and its intervals against repetition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dcsim.studies.oversubscription.candidates import most_that_passes, waves
from dcsim.studies.oversubscription.screen import (
    floor_units,
    orders,
    screen,
    subset_peaks_w,
    window_means,
)


@given(
    unit_w=st.floats(100.0, 30_000.0),
    limit_w=st.floats(1_000.0, 600_000.0),
    units=st.integers(1, 80),
)
@settings(max_examples=60, deadline=None)
def test_constant_loads_fit_floor_of_limit_over_load(
    unit_w: float, limit_w: float, units: int
) -> None:
    pool = np.full((4, units), unit_w)
    found = screen([pool], limit_w * (1 + 1e-9), draws=3)
    expected = math.floor(limit_w * (1 + 1e-9) / unit_w)
    assert found.fits() == min(expected, 2 * units)
    assert floor_units(limit_w * (1 + 1e-9), unit_w) == expected


def test_rounding_costs_no_rack() -> None:
    assert floor_units(0.3, 0.1) == 3
    assert floor_units(598_000.0, 26_000.0) == 23


def test_normal_loads_give_the_analytic_quantile_within_the_interval() -> None:
    """The peak over `steps` of a sum of n independent normals is below x with probability
    Phi((x - n mean) / (sd sqrt n)) ** steps."""
    rng = np.random.default_rng(5)
    mean_w, sd_w, count, steps = 10_000.0, 1_500.0, 12, 40
    # Each draw has a pool of its own: draws are then as independent as the closed form wants.
    pools = [rng.normal(mean_w, sd_w, (steps, count)) for _ in range(400)]
    found = screen(pools, 1.0, longest=count, draws=400)
    at = stats.norm.ppf(0.95 ** (1.0 / steps))
    exact_w = count * mean_w + at * sd_w * math.sqrt(count)
    low_w, high_w = found.interval_w(count)
    assert low_w <= exact_w <= high_w
    assert high_w - low_w < 0.05 * exact_w


def test_the_interval_covers_as_often_as_it_says() -> None:
    """200 screens of random subsets of one pool; the truth is that of 40,000 subsets."""
    rng = np.random.default_rng(11)
    pool = rng.gamma(20.0, 500.0, (6, 40))
    count = 15
    many = orders(40, count, 40_000, np.random.default_rng(1))
    truth_w = float(np.quantile(pool[:, many].sum(axis=2).max(axis=0), 0.95))
    hits = 0
    for seed in range(200):
        found = screen([pool], 1.0, longest=count, draws=200, seed=1000 + seed)
        low_w, high_w = found.interval_w(count)
        hits += low_w <= truth_w <= high_w
    # Nominally 95 % or more: fewer than 182 of 200 has a probability below 1 %.
    assert stats.binom.cdf(181, 200, 0.95) < 0.01
    assert hits >= 182


def test_counts_from_the_interval_hold_the_truth() -> None:
    """The true count lies between the two that the interval of the quantile gives."""
    rng = np.random.default_rng(3)
    pool = rng.gamma(20.0, 500.0, (6, 60))
    many = orders(60, 60, 20_000, np.random.default_rng(1))
    sums = np.cumsum(pool[:, many], axis=2).max(axis=0)
    truth = int((np.quantile(sums, 0.95, axis=0) <= 400_000.0).sum())
    for seed in range(20):
        found = screen([pool], 400_000.0, draws=200, seed=seed)
        low, high = found.fits_between()
        assert low <= truth <= high
        assert low <= found.fits() <= high


@given(st.integers(1, 30), st.integers(1, 70), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_each_unit_is_taken_once_before_any_again(
    units: int, longest: int, draws: int, seed: int
) -> None:
    found = orders(units, longest, draws, np.random.default_rng(seed))
    again = orders(units, longest, draws, np.random.default_rng(seed))
    assert found.shape == (draws, longest)
    assert (found == again).all()
    for row in found:
        first = row[:units]
        assert len(set(first.tolist())) == len(first)
        assert row.min() >= 0 and row.max() < units


def test_peaks_are_of_sums_not_sums_of_peaks() -> None:
    pool = np.array([[1.0, 3.0], [3.0, 1.0]])
    peaks_w = subset_peaks_w([pool], np.array([[0, 1], [1, 0]]))
    assert peaks_w.tolist() == [[3.0, 4.0], [3.0, 4.0]]


def test_overhead_multiplies() -> None:
    pool = np.full((3, 50), 10.0)
    assert screen([pool], 300.0, draws=2).fits() == 30
    assert screen([pool], 300.0, draws=2, overhead=1.5).fits() == 20


def test_window_means() -> None:
    series = np.arange(10.0)[:, None]
    assert window_means(series, 4)[:, 0].tolist() == [1.5, 5.5]
    with pytest.raises(ValueError, match="shorter"):
        window_means(series, 11)


def test_recordings_must_be_alike() -> None:
    with pytest.raises(ValueError, match="same units"):
        screen([np.ones((2, 3)), np.ones((2, 4))], 1.0)
    with pytest.raises(ValueError, match="recordings"):
        screen([], 1.0)


@given(
    truth=st.integers(0, 60),
    guess=st.integers(-5, 90),
    least=st.just(1),
    most=st.integers(1, 50),
)
@settings(max_examples=200, deadline=None)
def test_the_search_finds_the_last_that_passes(
    truth: int, guess: int, least: int, most: int
) -> None:
    asked = []

    def passes(count: int) -> bool:
        assert least <= count <= most
        asked.append(count)
        return count <= truth

    assert most_that_passes(passes, guess, least, most, 1) == min(truth, most)
    assert len(asked) == len(set(asked))


@given(st.integers(0, 20), st.integers(1, 6), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_the_search_keeps_to_steps(truth: int, step: int, most_steps: int) -> None:
    """Ten racks at a time, where ten rows get one more each."""

    def passes(count: int) -> bool:
        assert count % step == 0
        return count <= truth * step

    found = most_that_passes(passes, 7, step, most_steps * step, step)
    assert found == min(truth, most_steps) * step


def test_a_good_guess_costs_two_candidates() -> None:
    asked: list[int] = []

    def passes(count: int) -> bool:
        asked.append(count)
        return count <= 54

    assert most_that_passes(passes, 54, 1, 92, 1) == 54
    assert asked == [54, 55]


@given(st.integers(1, 300))
@settings(max_examples=50, deadline=None)
def test_waves_cover_all_seeds_once(count: int) -> None:
    assert [i for wave in waves(count) for i in range(count)[wave]] == list(range(count))
