"""Bounds hold as often as they say, by repetition with truths that are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from dcsim.studies.statistics import (
    at_most,
    mean_interval,
    peaks_sentence,
    quantile_interval,
    share_interval,
    share_mean_at_most,
    share_mean_interval,
    trials_to_show,
)

Draw = Callable[[np.random.Generator, int], np.ndarray]
LOSSES: dict[str, tuple[Draw, float]] = {
    "0.3 in 5 % of the runs": (lambda rng, n: 0.3 * (rng.random(n) < 0.05), 0.015),
    "0.6 in 2 % of the runs": (lambda rng, n: 0.6 * (rng.random(n) < 0.02), 0.012),
    "exponential, 2 %": (lambda rng, n: np.minimum(rng.exponential(0.02, n), 1.0), 0.02),
    "all or nothing, 30 %": (lambda rng, n: (rng.random(n) < 0.3).astype(float), 0.3),
    "uniform": (lambda rng, n: rng.random(n), 0.5),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("runs", [11, 59])
def test_a_mean_loss_is_bounded_whatever_its_distribution(name: str, runs: int) -> None:
    """Student's bound holds in 43 % and 20 % of the first two. Of 400 repetitions 95 % and 2.5
    standard errors below."""
    draw, mean = LOSSES[name]
    rng = np.random.default_rng(7)
    held = [share_mean_at_most(draw(rng, runs)) >= mean for _ in range(400)]
    assert np.mean(held) >= 0.95 - 2.5 * math.sqrt(0.05 * 0.95 / 400)


def test_zeros_are_no_certainty() -> None:
    """No run of 11 with a loss: a loss of all in 23.8 % of the runs would show none in 5 %."""
    for runs in (11, 59, 299):
        exact = 1.0 - 0.05 ** (1.0 / runs)
        assert exact <= share_mean_at_most(np.zeros(runs)) <= 1.02 * exact
    assert share_mean_at_most([]) == 1.0
    assert share_mean_at_most([1.0, 1.0]) == 1.0


def test_more_runs_bound_better_and_the_interval_holds_the_mean() -> None:
    rng = np.random.default_rng(3)
    losses = np.minimum(rng.exponential(0.02, 400), 1.0)
    bounds = [share_mean_at_most(losses[:n]) for n in (25, 100, 400)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < 0.04
    low, high = share_mean_interval(losses)
    assert 0.0 <= low < losses.mean() < high
    assert all(map(math.isnan, share_mean_interval([0.1, math.nan])))


@pytest.mark.parametrize("values", [[-0.1], [1.1], [math.nan]])
def test_what_is_no_share_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        share_mean_at_most(values)


def test_a_further_run_is_the_highest_as_often_as_is_told() -> None:
    """Whatever the distribution of peaks: three seeds, one in four."""
    rng = np.random.default_rng(4)
    for peaks in (rng.gumbel(size=(4000, 4)), rng.exponential(size=(4000, 4))):
        above = (peaks[:, 3] > peaks[:, :3].max(axis=1)).mean()
        assert above == pytest.approx(1 / 4, abs=0.02)
    assert "1 in 4" in peaks_sentence(3)


def test_a_share_has_clopper_and_pearsons_interval() -> None:
    """0 of 10 and 10 of 10 in closed form; 3 of 20 as Clopper and Pearson's tables have it."""
    assert share_interval(0, 10) == pytest.approx((0.0, 1.0 - 0.025**0.1), abs=1e-10)
    assert share_interval(10, 10) == pytest.approx((0.025**0.1, 1.0), abs=1e-10)
    assert share_interval(3, 20) == pytest.approx((0.0321, 0.3789), abs=5e-5)
    assert at_most(0, 59) == pytest.approx(1.0 - 0.05 ** (1 / 59), abs=1e-10)
    assert at_most(5, 5) == 1.0
    with pytest.raises(ValueError, match="one trial"):
        share_interval(0, 0)


def test_trials_that_show_a_bound() -> None:
    """Without a hit 59 runs show 5 % with 95 % confidence (the rule of three says 60)."""
    assert trials_to_show(0.05) == 59
    assert trials_to_show(0.05, hits=1) == 93


def test_a_mean_has_students_interval() -> None:
    """t(0.975, 3) = 3.182; the standard deviation of 1, 2, 3, 4 is 1.291."""
    half = 3.18245 * math.sqrt(5 / 3) / 2
    assert mean_interval([1, 2, 3, 4]) == pytest.approx((2.5 - half, 2.5 + half), abs=1e-4)
    assert mean_interval([7.0, 7.0, 7.0]) == (7.0, 7.0)
    assert all(map(math.isnan, mean_interval([1.0])))


def test_a_quantile_lies_between_order_statistics() -> None:
    """Of 20 values the median lies between the 6th and the 15th (96 %); of 5 the 99th percentile
    has no upper limit, and of none of them is the lowest a lower one for the first percentile."""
    values = np.random.default_rng(1).permutation(np.arange(1.0, 21.0))
    assert quantile_interval(values, 0.5) == (6.0, 15.0)
    assert quantile_interval([1, 2, 3, 4, 5], 0.99).high == math.inf
    assert quantile_interval([1, 2, 3, 4, 5], 0.01).low == -math.inf
