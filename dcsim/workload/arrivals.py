"""Arrival instants as lazy blocks: Poisson, and Poisson with a rate that follows the day."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dcsim.scenario.models import DiurnalArrivals, PoissonArrivals
from dcsim.workload.stream import BLOCK_REQUESTS

SETTLED_S = 1e-9
"""Step below which the search for an arrival ends. A day in float64 resolves 1.5e-11 s, half a
year only 2e-9 s: beyond some days the search ends at what float64 resolves."""


def poisson(
    spec: PoissonArrivals, horizon_s: float, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.float64]]:
    """Blocks of arrival times in [0, horizon_s), gaps exponential with mean 1 / rate."""
    for unit_s in _unit_poisson(rng):
        times_s = unit_s / spec.rate_per_s
        if times_s[-1] >= horizon_s:
            yield times_s[times_s < horizon_s]
            return
        yield times_s


def diurnal(
    spec: DiurnalArrivals, horizon_s: float, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.float64]]:
    """Blocks of arrival times of the non-homogeneous Poisson process with `rate_per_s(spec, t)`.

    Time is rescaled: unit-rate arrivals at the expected count L(t) are arrivals at t. That is
    exact, wastes no draw, and keeps the luck of a seed when the rate is scaled.
    """
    low_s = 0.0
    for counts in _unit_poisson(rng):
        times_s = _invert(spec, counts, low_s)
        low_s = float(times_s[-1])
        if low_s >= horizon_s:
            yield times_s[times_s < horizon_s]
            return
        yield times_s


def rate_per_s(spec: DiurnalArrivals, time_s: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Arrival rate at seconds since the start of the run."""
    phase = 2 * math.pi * (np.asarray(time_s) + spec.start_at_s - spec.peak_at_s) / spec.period_s
    return spec.mean_rate_per_s * (1.0 + spec.amplitude * np.cos(phase))


def expected_count(spec: DiurnalArrivals, time_s: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Expected arrivals between the start of the run and `time_s`: the rate's integral."""
    turn = 2 * math.pi / spec.period_s
    shift_s = spec.start_at_s - spec.peak_at_s
    wave = np.sin(turn * (np.asarray(time_s) + shift_s)) - math.sin(turn * shift_s)
    return spec.mean_rate_per_s * (np.asarray(time_s) + spec.amplitude / turn * wave)


def _invert(
    spec: DiurnalArrivals, counts: npt.NDArray[np.float64], low_s: float
) -> npt.NDArray[np.float64]:
    """Times at which `expected_count` reaches the rising `counts`, none before `low_s`.

    A grid brackets each time, then Newton's method closes in, with bisection where it would leave
    the bracket: the rate may touch zero (amplitude 1).
    """
    reach_s = 2.0 * spec.amplitude * spec.period_s / (2 * math.pi) + 1.0
    high_s = max(low_s, float(counts[-1]) / spec.mean_rate_per_s + reach_s)
    grid_s = np.linspace(low_s, high_s, BLOCK_REQUESTS)
    at = np.clip(np.searchsorted(expected_count(spec, grid_s), counts), 1, len(grid_s) - 1)
    low, high = grid_s[at - 1], grid_s[at]
    times_s = 0.5 * (low + high)
    settled_s = max(SETTLED_S, 8 * float(np.spacing(high_s)))
    for _ in range(100):
        excess = expected_count(spec, times_s) - counts
        low = np.where(excess < 0, times_s, low)
        high = np.where(excess < 0, high, times_s)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton_s = times_s - excess / rate_per_s(spec, times_s)
        inside = (newton_s >= low) & (newton_s <= high)
        better_s = np.where(inside, newton_s, 0.5 * (low + high))
        moved_s = float(np.abs(better_s - times_s).max())
        times_s = better_s
        if moved_s < settled_s:
            break
    return np.maximum.accumulate(np.maximum(times_s, low_s))


def _unit_poisson(rng: np.random.Generator) -> Iterator[npt.NDArray[np.float64]]:
    """Arrival times of a unit-rate Poisson process, block by block, for ever."""
    total = 0.0
    while True:
        times = total + np.cumsum(rng.standard_exponential(BLOCK_REQUESTS))
        total = float(times[-1])
        yield times
