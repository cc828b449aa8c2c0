"""Arrival instants as lazy blocks: Poisson, and Poisson with a rate that follows the day."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dcsim.scenario.models import DiurnalArrivals, PoissonArrivals
from dcsim.workload.stream import BLOCK_REQUESTS


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

    A grid fine enough for the block brackets each time, then bisection: the rate may touch zero
    (amplitude 1), where Newton's method would not do.
    """
    reach = 2.0 * spec.amplitude * spec.period_s / (2 * math.pi) + 1.0
    high_s = max(low_s, float(counts[-1]) / spec.mean_rate_per_s + reach)
    grid_s = np.linspace(low_s, high_s, BLOCK_REQUESTS)
    at = np.clip(np.searchsorted(expected_count(spec, grid_s), counts), 1, len(grid_s) - 1)
    low, high = grid_s[at - 1], grid_s[at]
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = expected_count(spec, middle) < counts
        low = np.where(below, middle, low)
        high = np.where(below, high, middle)
        if float((high - low).max()) < 1e-9:
            break
    return np.maximum.accumulate(high)


def _unit_poisson(rng: np.random.Generator) -> Iterator[npt.NDArray[np.float64]]:
    """Arrival times of a unit-rate Poisson process, block by block, for ever."""
    total = 0.0
    while True:
        times = total + np.cumsum(rng.standard_exponential(BLOCK_REQUESTS))
        total = float(times[-1])
        yield times
