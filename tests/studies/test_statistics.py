"""Bounds hold as often as they say, by repetition with truths that are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from dcsim.studies.statistics import share_mean_at_most, share_mean_interval, told_peaks

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
    assert "1 in 4" in told_peaks(3)
