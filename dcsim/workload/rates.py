"""Rates that change: factors over time, their product, and time rescaled by it.

The rate is taken at corners and runs straight between them. Steps, ramps and tables are such lines
exactly; a cosine has a corner each 1/1440 of its period (a minute of a day), which is off by at
most 2.4e-6 of its amplitude, and exponential growth one each 1/1000 of its period.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.scenario.models import Growth, Ramp, Spike

CORNERS_AT_ONCE = 2048
UNBOUNDED_S = 1e12
"""Thirty thousand years: the last straight piece of a rate that changes no more."""
MIN_RATE_PER_S = 1.0 / UNBOUNDED_S
"""Less than one request in that time is none."""
WAVE_CORNERS = 1440
GROWTH_CORNERS = 1000


class Factor(Protocol):
    """Something that multiplies a rate, over seconds since the start of the run."""

    @property
    def grain_s(self) -> float:
        """Usual distance between corners that never end; infinite where there are few."""
        ...

    def corners_s(self, low_s: float, high_s: float) -> FloatArray:
        """Where it bends or jumps in [low_s, high_s)."""
        ...

    def over(self, start_s: FloatArray, end_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values at both ends of pieces of time without a corner inside."""
        ...


@dataclass(frozen=True, slots=True)
class Lines:
    """Straight pieces from `start_s` on, with jumps allowed between them. The first starts at 0.

    The last piece goes on for ever, or the whole comes again each `period_s`.
    """

    start_s: FloatArray
    value: FloatArray
    """At the start of each piece."""
    slope_per_s: FloatArray
    period_s: float = math.inf
    shift_s: float = 0.0
    """Place in the period at the start of the run."""

    @property
    def grain_s(self) -> float:
        return self.period_s / len(self.start_s)

    def corners_s(self, low_s: float, high_s: float) -> FloatArray:
        if not math.isfinite(self.period_s):
            corners_s = self.start_s - self.shift_s
        else:
            first = math.floor((low_s + self.shift_s) / self.period_s)
            last = math.floor((high_s + self.shift_s) / self.period_s)
            laps_s = np.arange(first, last + 1) * self.period_s - self.shift_s
            corners_s = (laps_s[:, None] + self.start_s).ravel()
        return corners_s[(corners_s >= low_s) & (corners_s < high_s)]

    def over(self, start_s: FloatArray, end_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        middle_s = 0.5 * (start_s + end_s)
        piece, into_s = self._piece(middle_s)
        middle = self.value[piece] + self.slope_per_s[piece] * into_s
        half = self.slope_per_s[piece] * 0.5 * (end_s - start_s)
        return middle - half, middle + half

    def at(self, time_s: FloatArray) -> FloatArray:
        """Values at single times; at a jump, the one after it."""
        piece, into_s = self._piece(time_s)
        return self.value[piece] + self.slope_per_s[piece] * into_s

    def _piece(self, time_s: FloatArray) -> tuple[IntArray, FloatArray]:
        place_s = time_s + self.shift_s
        if math.isfinite(self.period_s):
            place_s = np.mod(place_s, self.period_s)
        piece = np.maximum(np.searchsorted(self.start_s, place_s, side="right") - 1, 0)
        return piece, place_s - self.start_s[piece]


def lines(
    points: Sequence[tuple[float, float]], period_s: float = math.inf, shift_s: float = 0.0
) -> Lines:
    """Straight between (time_s, value) points, level outside; two points at one time are a jump.
    With a period, the last point is the first of the next."""
    known = [(0.0, points[0][1]), *points] if points[0][0] > 0 else list(points)
    time_s, value = np.array(known, dtype=np.float64).T
    width_s = np.diff(time_s)
    slope = np.divide(np.diff(value), width_s, out=np.zeros(len(width_s)), where=width_s > 0)
    if math.isinf(period_s):
        slope = np.append(slope, 0.0)
    else:
        time_s, value = time_s[:-1], value[:-1]
    return Lines(time_s, value, slope, period_s, shift_s)


def steps(width_s: float, values: Sequence[float], shift_s: float = 0.0) -> Lines:
    """Level for `width_s` at a time, again and again."""
    start_s = width_s * np.arange(len(values), dtype=np.float64)
    level = np.array(values, dtype=np.float64)
    return Lines(start_s, level, np.zeros(len(values)), width_s * len(values), shift_s)


@dataclass(frozen=True, slots=True)
class Smooth:
    """A smooth function, straight between points of a grid."""

    grain_s: float
    at: Callable[[FloatArray], FloatArray]

    def corners_s(self, low_s: float, high_s: float) -> FloatArray:
        grid_s = np.arange(math.ceil(low_s / self.grain_s), high_s / self.grain_s) * self.grain_s
        return grid_s[(grid_s >= low_s) & (grid_s < high_s)]

    def over(self, start_s: FloatArray, end_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.at(start_s), self.at(end_s)


def wave(amplitude: float, period_s: float, peak_s: float) -> Smooth:
    """1 + amplitude cos(2 pi (t - peak_s) / period_s)."""
    turn = 2 * math.pi / period_s
    return Smooth(
        period_s / WAVE_CORNERS, lambda time_s: 1.0 + amplitude * np.cos(turn * (time_s - peak_s))
    )


class DrawnLevels:
    """Levels that are drawn as time goes on, such as the states of a chain. Time may only go on:
    what lies before the last `corners_s` is forgotten."""

    def __init__(self, grain_s: float, drawn: Iterator[tuple[FloatArray, FloatArray]]) -> None:
        """`drawn` gives blocks of (end_s, level), for ever."""
        self.grain_s = grain_s
        self._drawn = drawn
        self._end_s = np.zeros(0)
        self._level = np.zeros(0)

    def corners_s(self, low_s: float, high_s: float) -> FloatArray:
        kept = self._end_s > low_s
        end_s, level = [self._end_s[kept]], [self._level[kept]]
        while not len(end_s[-1]) or end_s[-1][-1] < high_s:
            more_s, further = next(self._drawn)
            end_s.append(more_s)
            level.append(further)
        self._end_s, self._level = np.concatenate(end_s), np.concatenate(level)
        return self._end_s[(self._end_s >= low_s) & (self._end_s < high_s)]

    def over(self, start_s: FloatArray, end_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        middle_s = 0.5 * (start_s + end_s)
        level = self._level[np.searchsorted(self._end_s, middle_s, side="right")]
        return level, level


# --- from the scenario -----------------------------------------------------------------------


def spike(spec: Spike) -> Lines:
    """1, up to the factor and down again."""
    up_s = spec.at_s + spec.ramp_up_s
    down_s = up_s + spec.duration_s
    points = [(spec.at_s, 1.0), (up_s, spec.factor), (down_s, spec.factor)]
    return lines([*points, (down_s + spec.ramp_down_s, 1.0)])


def ramp(spec: Ramp) -> Lines:
    """1, then straight to the factor."""
    return lines([(spec.at_s, 1.0), (spec.at_s + spec.duration_s, spec.factor)])


MONTH_S = 365.25 / 12 * 86400.0


def growth(spec: Growth) -> Factor:
    """Steady growth, or a table's."""
    if spec.table:
        return lines([(point.at_s, point.factor) for point in spec.table])
    per, period_s = (
        (spec.per_day, 86400.0) if spec.per_day is not None else (spec.per_month, MONTH_S)
    )
    assert per is not None
    exponent = math.log(per) / period_s
    return Smooth(period_s / GROWTH_CORNERS, lambda time_s: np.exp(exponent * time_s))


# --- the product -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cells:
    """Consecutive straight pieces of a rate, and how many arrivals are expected by their ends."""

    start_s: FloatArray
    rate_per_s: FloatArray
    """At the start of each cell."""
    slope_per_s2: FloatArray
    count: FloatArray
    """Expected from the start of the first cell to the end of each."""

    @property
    def total(self) -> float:
        return float(self.count[-1])

    def times_s(self, counts: FloatArray) -> FloatArray:
        """When the expected count reaches each of the rising `counts`, from 0 to `total`."""
        if len(self.start_s) == 1 and self.slope_per_s2[0] == 0.0 < self.rate_per_s[0]:
            start_s, rate_per_s = float(self.start_s[0]), float(self.rate_per_s[0])
            return start_s + counts / rate_per_s
        cell = np.minimum(np.searchsorted(self.count, counts), len(self.count) - 1)
        before = np.where(cell > 0, self.count[cell - 1], 0.0)
        excess = counts - before
        rate = self.rate_per_s[cell]
        # Of both roots the one that does not cancel where the rate hardly changes.
        root = np.sqrt(np.maximum(rate * rate + 2.0 * self.slope_per_s2[cell] * excess, 0.0))
        whole = rate + root
        into_s = np.divide(2.0 * excess, whole, out=np.zeros(len(counts)), where=whole > 0)
        return self.start_s[cell] + into_s


@dataclass(frozen=True, slots=True)
class Profile:
    """A rate over time: a constant times factors."""

    rate_per_s: float
    factors: tuple[Factor, ...] = ()

    def chunk_s(self) -> float:
        """So much time has at most some thousands of corners."""
        grain_s = min((factor.grain_s for factor in self.factors), default=math.inf)
        return min(CORNERS_AT_ONCE * grain_s, UNBOUNDED_S)

    def cells(self, low_s: float, high_s: float) -> Cells:
        """The rate in [low_s, high_s) cut at its corners."""
        edges_s = np.array([low_s, high_s])
        if self.factors:
            corners_s = [factor.corners_s(low_s, high_s) for factor in self.factors]
            edges_s = np.unique(np.concatenate([edges_s, *corners_s]))
        start_s, end_s = edges_s[:-1], edges_s[1:]
        left = np.full(len(start_s), self.rate_per_s)
        right = left.copy()
        for factor in self.factors:
            starting, ending = factor.over(start_s, end_s)
            left *= starting
            right *= ending
        # A ramp to 0 must not round to less, nor to what is too little to divide by.
        left[left < MIN_RATE_PER_S] = 0.0
        right[right < MIN_RATE_PER_S] = 0.0
        width_s = end_s - start_s
        count = np.cumsum(0.5 * (left + right) * width_s)
        return Cells(start_s, left, (right - left) / width_s, count)


def rescaled(
    counts: Iterator[FloatArray], profile: Profile, horizon_s: float
) -> Iterator[FloatArray]:
    """Arrivals of a process of rate 1, moved to when `profile` expects as many: times before
    `horizon_s`, lazily, in the blocks in which they come (which may turn out empty).

    By the time-rescaling theorem the result has that rate; what the process does from one arrival
    to the next, and its random numbers, stay.
    """
    chunk_s = profile.chunk_s()
    number, before = 0, 0.0
    cells = profile.cells(0.0, chunk_s)
    for block in counts:
        times_s = []
        left = block
        while len(left):
            here = int(np.searchsorted(left, before + cells.total, side="right"))
            if here:
                times_s.append(cells.times_s(left[:here] - before))
            left = left[here:]
            if len(left):
                number += 1
                if number * chunk_s >= horizon_s:
                    break
                before += cells.total
                cells = profile.cells(number * chunk_s, (number + 1) * chunk_s)
        moved_s = np.concatenate(times_s) if len(times_s) > 1 else (times_s or [np.zeros(0)])[0]
        # Rounding may swap neighbours by a hair where the rate jumps.
        moved_s = np.maximum.accumulate(moved_s)
        ended = bool(len(left)) or (len(moved_s) > 0 and moved_s[-1] >= horizon_s)
        yield moved_s[moved_s < horizon_s]
        if ended:
            return
