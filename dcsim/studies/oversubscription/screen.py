"""The cheap screen: recorded units (racks, servers) drawn at random and summed.

Nothing is simulated here. It tells what placement and independent variation do to the sum of loads
that were recorded once; it cannot tell what breakers, policies or queues would do about it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import AnyFloatArray, BoolArray, FloatArray, IntArray
from dcsim.studies.statistics import CONFIDENCE, Interval, quantile_interval

Pools = Sequence[AnyFloatArray]
"""Recorded loads in W, one array (intervals, units) a run."""


def orders(units: int, longest: int, draws: int, rng: np.random.Generator) -> IntArray:
    """Common random numbers: in which order each draw takes units, shape (draws, longest).

    The first n of a row are a random subset of n. Every unit is taken once before any is taken
    again; beyond `units`, they are drawn with replacement.
    """
    rows = np.empty((draws, longest), dtype=np.int64)
    for row in rows:
        first = rng.permutation(units)[:longest]
        row[: len(first)] = first
        row[len(first) :] = rng.integers(units, size=longest - len(first))
    return rows


def subset_peaks_w(pools: Pools, order: IntArray) -> FloatArray:
    """Highest sum over time of the first n units of each draw, W, shape (draws, longest).

    Draws go to the pools in turn. Column n - 1 is of n units, so a row shows what each further
    unit adds to the same subset: candidates are compared on the same random numbers.
    """
    peaks_w = np.empty(order.shape)
    # Units in rows: each is then read from memory that lies together, ten times as fast.
    rows = [np.ascontiguousarray(pool.T) for pool in pools]
    for draw, units in enumerate(order):
        pool = rows[draw % len(rows)]
        total = np.zeros(pool.shape[1])
        for place, unit in enumerate(units):
            total += pool[unit]
            peaks_w[draw, place] = total.max()
    return peaks_w


def window_means(load_w: AnyFloatArray, width: int) -> FloatArray:
    """Means over whole intervals of `width` steps, shape (intervals, units). Raises ValueError
    for a series shorter than one."""
    whole = len(load_w) // width
    if whole < 1:
        raise ValueError("the series is shorter than the averaging time")
    cut = load_w[: whole * width]
    return np.asarray(
        cut.reshape(whole, width, load_w.shape[1]).mean(axis=1, dtype=np.float64), dtype=np.float64
    )


@dataclass(frozen=True)
class Screen:
    """What the peaks of random subsets say about a limit."""

    peaks_w: FloatArray
    """Shape (draws, longest): highest load of n = 1, 2, ... units."""
    limit_w: float
    quantile: float = 0.95
    confidence: float = CONFIDENCE

    @property
    def longest(self) -> int:
        """Most units that were tried."""
        return int(self.peaks_w.shape[1])

    def peak_w(self, count: int) -> float:
        """The quantile over draws of the peak of so many units, W; 0 for none of them."""
        if count == 0:
            return 0.0
        return float(np.quantile(self.peaks_w[:, count - 1], self.quantile))

    def interval_w(self, count: int) -> Interval:
        """Between which that quantile lies, whatever the distribution of peaks; infinite on a
        side where there are too few draws to tell."""
        return quantile_interval(self.peaks_w[:, count - 1], self.quantile, self.confidence)

    def exceeding(self, count: int) -> float:
        """Share of draws whose peak is above the limit."""
        return float((self.peaks_w[:, count - 1] > self.limit_w).mean()) if count else 0.0

    def fits(self, higher: float = 0.0) -> int:
        """Most units whose peak, at the quantile over draws, is at most the limit, if all loads are
        higher by that share. `longest` means that more may fit."""
        peaks_w = np.quantile(self.peaks_w, self.quantile, axis=0) * (1.0 + higher)
        return _last(peaks_w <= self.limit_w)

    def fits_between(self) -> tuple[int, int]:
        """The same from the two ends of the quantile's interval: fewest and most units."""
        ends = [self.interval_w(count) for count in range(1, self.longest + 1)]
        low = _last(np.array([end.high <= self.limit_w for end in ends]))
        high = _last(np.array([end.low <= self.limit_w for end in ends]))
        return low, high


def screen(
    pools: Pools,
    limit_w: float,
    *,
    longest: int | None = None,
    draws: int = 200,
    quantile: float = 0.95,
    confidence: float = CONFIDENCE,
    seed: int = 42,
    overhead: float = 1.0,
) -> Screen:
    """Draw random subsets of recorded units and find their peaks.

    `longest` is the most units to try; None: as many as the limit could hold, but twice the
    recorded at most. `overhead` multiplies loads, for what the limit's node draws beside its
    units, such as cooling. The same `seed` draws the same subsets of any recording with as many
    units, so that power models and policies are compared on equal draws. Raises ValueError for no
    pools, or such with different units.
    """
    if not pools or len({pool.shape[1] for pool in pools}) != 1:
        raise ValueError("a screen needs recordings, all with the same units")
    units = pools[0].shape[1]
    if longest is None:
        least_w = min(float(pool.mean(axis=0).min()) for pool in pools) * overhead
        most = math.ceil(limit_w / least_w) + 1 if least_w > 0 else 2 * units
        longest = max(1, min(2 * units, most))
    taken = orders(units, longest, draws, np.random.default_rng(seed))
    peaks_w = overhead * subset_peaks_w(pools, taken)
    return Screen(peaks_w, limit_w, quantile, confidence)


def floor_units(limit_w: float, unit_w: float) -> int:
    """How many constant loads fit: floor(limit / unit), forgiving rounding of the last digit."""
    return math.floor(limit_w / unit_w * (1.0 + 1e-12))


def _last(good: BoolArray) -> int:
    """Count how many are good from the start on."""
    return len(good) if good.all() else int(np.argmin(good))
