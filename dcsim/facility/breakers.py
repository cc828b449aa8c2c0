"""Breakers: how long each holds a load that varies, by its time-current curve and its heat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.facility.curves import ambient_factor, time_constant_s
from dcsim.hardware.curves import Curve

LEVELS = np.array(
    [1, 1.01, 1.02, 1.04, 1.06, 1.08, 1.1, 1.13, 1.17, 1.22, 1.28, 1.35, 1.45, 1.6, 1.8,
     2.1, 2.5, 3, 4, 6, 9, 14]
)  # fmt: skip
"""Loads above which a spell is followed, in multiples of the pick-up."""
SETTLING_S = 300.0
"""A breaker whose preload is not given has been in service before the run: its past is taken to be
like the first five minutes, at the most at its rating."""
FULL = 1.0 - 1e-9
"""Share of the time held at which it trips: a hundred thousand additions must not cost a step."""
ROUNDING_DOWN = 1.0 - 1e-12

NOBODY: IntArray = np.zeros(0, dtype=np.int64)


class _Edge:
    """How long breakers hold, at one edge of their bands. Arrays are (n,)."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        self.heat = np.array([curve.points[0][0] for curve in curves]) ** 2
        """Heat at pick-up: the square of its multiple."""
        # Breakers of one curve are looked up together.
        alike: dict[tuple[tuple[float, float], ...], list[int]] = {}
        for index, curve in enumerate(curves):
            alike.setdefault(curve.points, []).append(index)
        self._alike = [np.log(np.array(points)).T for points in alike]
        self._group = np.zeros(len(curves), dtype=np.int64)
        for number, members in enumerate(alike.values()):
            self._group[members] = number

    def held_s(self, rows: IntArray, heat: FloatArray, warmth: FloatArray) -> FloatArray:
        """Seconds held at a mean heat, in multiples of the rating squared, shape (rows, spells),
        by breakers of such a warmth before: T (1 - ln(m2/(m2 - w)) / ln(m2/(m2 - p2))), the hot
        curve of IEC 60255-149 upon the time T of the cold one. Infinite below pick-up."""
        pickup = self.heat[rows]
        seconds = np.full(heat.shape, np.inf)
        at, spell = (heat >= (pickup * ROUNDING_DOWN)[:, None]).nonzero()
        hot, top = heat[at, spell], pickup[at]
        log_multiple = 0.5 * np.log(hot)
        if len(self._alike) == 1:
            held = np.exp(np.interp(log_multiple, *self._alike[0]))
        else:
            held = np.empty(len(hot))
            group = self._group[rows][at]
            for number, points in enumerate(self._alike):
                here = group == number
                held[here] = np.exp(np.interp(log_multiple[here], *points))
        left = np.log1p(np.minimum(warmth[at, spell], top * FULL) / -hot)
        left /= np.log1p(-np.minimum(top / hot, FULL))
        held *= np.maximum(1.0 - left, 0.0)
        seconds[at, spell] = held
        return seconds


class Breakers:
    """The thermal state of `n` breakers, stepped together.

    Heat is the square of the load over the rating. Above its pick-up a breaker judges the mean
    heat of every spell, from the moment it began, by its curve: a constant load from cold trips
    when the curve says, to the step, and one that alternates when the curve says for its RMS. A
    spell is the longest time until now whose mean is above a level; there are many levels, so
    that a short and heavy overload within a long and light one is judged by itself.

    How warm it was when the spell began shortens what it holds (see `_Edge.held_s`). `warmth`
    follows the heat with the time constant of the curve, up to the heat at pick-up. An open
    breaker cools and does not trip again until it is reset.
    """

    def __init__(
        self,
        curves: Sequence[Curve],
        rating_w: Sequence[float],
        *,
        earliest: Sequence[Curve] | None = None,
        latest: Sequence[Curve] | None = None,
        ambient_c: Sequence[float] | None = None,
        preload: Sequence[float | None] | None = None,
    ) -> None:
        """
        Parameters:
            curves: how each trips; its place in the band is already chosen.
            earliest, latest: the edges of its band, where they differ.
            ambient_c: temperature around it; 40 degrees C if left out, at which it is rated.
            preload: load before the start as a share of the rating, 0 for cold; None: what it
                carries in its first minutes (SETTLING_S). If left out, all are cold.
        """
        count = len(curves)
        self.rating_w = np.array(rating_w, dtype=np.float64)
        factors = np.ones(count)
        if ambient_c is not None:
            factors[:] = [ambient_factor(c, t) for c, t in zip(curves, ambient_c, strict=True)]
        with np.errstate(divide="ignore"):
            self._closed_per_w = 1.0 / (self.rating_w * factors)
        self._per_w = self._closed_per_w.copy()
        """0 of the open ones: they carry nothing."""
        self.open = np.zeros(count, dtype=bool)
        self.warm = False
        """Whether any is above its earliest pick-up, or has been so in a spell that lasts."""
        self.latest_in_s = np.full(count, np.inf)
        """When a breaker has tripped: in how many seconds it would have at the latest."""
        self._edge = _Edge(curves)
        self._early = self._edge if earliest is None else _Edge(earliest)
        self._late = self._edge if latest is None else _Edge(latest)
        self._pickup = np.minimum(self._early.heat, self._edge.heat) * ROUNDING_DOWN
        self._held_warm = np.array([curve.kind == "overload-table" for curve in curves], dtype=bool)
        """Tables that hold from full load: only an overload that has ended a spell warms them."""
        self._aim = np.where(self._held_warm, 0.0, self._edge.heat)
        self._time_constant_s = np.array([time_constant_s(curve) for curve in curves])
        given = [0.0] * count if preload is None else preload
        self._unknown = np.array([share is None for share in given], dtype=bool) & ~self._held_warm
        self.warmth = np.array([(share or 0.0) ** 2 for share in given], dtype=np.float64)
        """Heat that each has taken up, in multiples of the rating squared."""
        np.minimum(self.warmth, self._aim, out=self.warmth)
        self._settled_s = 0.0 if self._unknown.any() else np.inf
        self._gain = (0.0, np.zeros(count))
        shape = (count, len(LEVELS))
        self._level = self._pickup[:, None] * LEVELS**2
        self._length_s = np.zeros(shape)
        self._heat_s = np.zeros(shape)
        self._before = np.zeros(shape)
        """Length, heat times seconds, and warmth before, of the spell above each level."""
        self._heat = np.zeros(count)

    def __len__(self) -> int:
        return len(self.rating_w)

    def step(self, load_w: FloatArray, step_s: float) -> IntArray:
        """Heat all breakers by one step at constant loads, shape (n,); indices that tripped."""
        heat = self._heat
        np.multiply(load_w, self._per_w, out=heat)
        np.multiply(heat, heat, out=heat)
        if self._settled_s == 0.0:
            self.warmth[self._unknown] = np.minimum(heat, 1.0)[self._unknown]
        over = heat >= self._pickup
        tripped = NOBODY
        if self.warm or over.any():
            tripped = self._spells(over, step_s)
        self._warm_up(step_s)
        if len(tripped):
            self.open[tripped] = True
            self._per_w[tripped] = 0.0
            self.warmth[tripped] = self._edge.heat[tripped]
            self._forget(tripped)
        return tripped

    def _spells(self, over: BoolArray, step_s: float) -> IntArray:
        """Lengthen the spells by a step, and judge them."""
        length_s, heat_s = self._length_s, self._heat_s
        np.copyto(self._before, self.warmth[:, None], where=length_s == 0.0)
        length_s += step_s
        heat_s += (self._heat * step_s)[:, None]
        lasts = heat_s >= self._level * length_s
        length_s *= lasts
        heat_s *= lasts
        self.warm = bool(lasts.any())
        rows = np.flatnonzero(over & (self._heat >= self._edge.heat * ROUNDING_DOWN))
        if not len(rows):
            return NOBODY
        tripped: IntArray = rows[self._due(self._edge, rows, 0.0)]
        if len(tripped):
            self.latest_in_s[tripped] = 0.0
            if self._late is not self._edge:
                self.latest_in_s[tripped] = self._trip_in_s(self._late, tripped)
        return tripped

    def _warm_up(self, step_s: float) -> None:
        if self._gain[0] != step_s:
            self._gain = (step_s, -np.expm1(-step_s / self._time_constant_s))
        gain = self._gain[1]
        aim = np.minimum(self._heat, self._aim)
        if self._settled_s < SETTLING_S:
            self._settled_s += step_s
            share = step_s / self._settled_s  # the mean so far
            gain = np.where(self._unknown, np.maximum(gain, share), gain)
            aim = np.where(self._unknown, np.minimum(aim, 1.0), aim)
        aim -= self.warmth
        aim *= gain
        self.warmth += aim

    def _due(self, edge: _Edge, rows: IntArray, after_s: float) -> BoolArray:
        """Whether breakers trip within a time if their loads stay as they are, shape (rows,)."""
        length_s = self._length_s[rows] + after_s
        heat_s = self._heat_s[rows]
        before = self._before[rows]
        if after_s:
            heat_s = heat_s + self._heat[rows, None] * after_s
            before = np.where(self._length_s[rows] == 0.0, self.warmth[rows, None], before)
            mean = heat_s / length_s
        else:
            mean = np.divide(heat_s, length_s, out=np.zeros_like(heat_s), where=length_s > 0.0)
        held_s = edge.held_s(rows, mean, before)
        return np.asarray((length_s >= held_s * FULL).any(axis=1))

    def due_within(self, after_s: float) -> BoolArray:
        """Which would trip within a time at the loads of the last step, at the earliest edge of
        their band, shape (n,)."""
        due = np.zeros(len(self), dtype=bool)
        rows = np.flatnonzero((self._heat >= self._early.heat * ROUNDING_DOWN) & ~self.open)
        if len(rows):
            due[rows] = self._due(self._early, rows, after_s)
        return due

    def trip_in_s(self, load_w: FloatArray) -> FloatArray:
        """Seconds until each would trip, at the earliest edge of its band, if its load stayed so;
        infinite below pick-up or open."""
        self._heat = (load_w * self._per_w) ** 2
        seconds = np.full(len(self), np.inf)
        rows = np.flatnonzero((self._heat >= self._early.heat * ROUNDING_DOWN) & ~self.open)
        if len(rows):
            seconds[rows] = self._trip_in_s(self._early, rows)
        return seconds

    def _trip_in_s(self, edge: _Edge, rows: IntArray) -> FloatArray:
        """The same by halving, at an edge."""
        cold = np.zeros((len(rows), 1))
        high = edge.held_s(rows, self._heat[rows, None], cold)[:, 0] * (2.0 - FULL)
        never = np.isinf(high)
        high[never] = 0.0
        low = np.zeros(len(rows))
        for _ in range(60):
            middle = 0.5 * (low + high)
            due = self._due_at(edge, rows, middle)
            high, low = np.where(due, middle, high), np.where(due, low, middle)
        high[never] = np.inf
        return high

    def _due_at(self, edge: _Edge, rows: IntArray, after_s: FloatArray) -> BoolArray:
        span = after_s[:, None]
        length_s = self._length_s[rows] + span
        heat_s = self._heat_s[rows] + self._heat[rows, None] * span
        fresh = self._length_s[rows] == 0.0
        before = np.where(fresh, self.warmth[rows, None], self._before[rows])
        with np.errstate(invalid="ignore"):
            mean = np.where(length_s > 0.0, heat_s / length_s, 0.0)
        return np.asarray((length_s >= edge.held_s(rows, mean, before)).any(axis=1))

    def way_to_trip(self) -> FloatArray:
        """Share of the time held that has passed, of the spell nearest to its end, shape (n,): 0
        below pick-up, 1 at the trip."""
        rows = np.arange(len(self))
        length_s, heat_s = self._length_s, self._heat_s
        mean = np.divide(heat_s, length_s, out=np.zeros_like(heat_s), where=length_s > 0.0)
        held_s = np.maximum(self._edge.held_s(rows, mean, self._before), 1e-9)
        share: FloatArray = np.minimum((length_s / held_s).max(axis=1), 1.0)
        return np.where(self.open, 1.0, share)

    def snapshot(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """The state, to ask `trip_since_s` of."""
        return (
            self._length_s.copy(), self._heat_s.copy(), self._before.copy(), self.warmth.copy()
        )  # fmt: skip

    def trip_since_s(
        self,
        before: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
        load_w: FloatArray,
        row: int,
        step_s: float,
    ) -> float:
        """How long after a snapshot a breaker tripped that did so in the step of `step_s` after it,
        at constant loads, shape (n,)."""
        now = self.snapshot()
        self._length_s, self._heat_s, self._before, self.warmth = before
        self._heat = (load_w * self._closed_per_w) ** 2
        in_s = float(self._trip_in_s(self._edge, np.array([row]))[0])
        self._length_s, self._heat_s, self._before, self.warmth = now
        return min(in_s, step_s)

    def _forget(self, rows: IntArray | int) -> None:
        self._length_s[rows] = 0.0
        self._heat_s[rows] = 0.0

    def reset(self, index: int, *, cold: bool = True) -> None:
        """Close a breaker again. Unless `cold`, it keeps what heat it has: one closed right after
        its trip trips again at the first overload, as a real one does."""
        self.open[index] = False
        self._per_w[index] = self._closed_per_w[index]
        self._forget(index)
        if cold:
            self.warmth[index] = 0.0
