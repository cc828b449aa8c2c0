"""How near a load came to a trip: its ratio to the load of the same course that would have.

The trip ratio of a load is 1 where a breaker at the earliest edge of its band just trips, and
0.8 where the load would have to be a quarter higher at every moment: it grows in proportion to the
load, and is told below the pick-up too. It is found by playing the load on many breakers that
differ in rating alone (`dcsim.facility.breakers`), so that it is 1 or more exactly where one of
this rating trips. Before the first step a breaker has carried the root mean square of the same load
for good: a run stands for hours like it, one after another. An overload table starts from cold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import AnyFloatArray, FloatArray
from dcsim.facility.breakers import Breakers
from dcsim.facility.curves import ambient_factor
from dcsim.facility.inputs import SiteInputs
from dcsim.facility.limits import SiteLimits
from dcsim.hardware.curves import Curve
from dcsim.plant import Plant

RATINGS = 48
"""Breakers of rising rating that are played together."""
PASSES = (False, True, True)
"""The first divides all that is possible, the second what the pieces were found to have, the third
what the second left of the highest of them."""
HELD_S = 60.0
"""A breaker that holds the highest load so long sees nothing of what happens within a second."""

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Element:
    """What opens a node, or is taken to: a breaker at the earliest edge of its band, or, where
    there is none, a mean over a window above the rating."""

    rating_w: float
    """As the ambient temperature leaves it."""
    curve: Curve | None
    window_s: float
    """Of the mean, where there is no breaker."""

    @property
    def pickup(self) -> float:
        """Below this share of the rating a load never trips it."""
        return 1.0 if self.curve is None else float(self.curve.points[0][0])

    def trips_at(self, share: float) -> bool:
        """Whether a constant load, as a share of the rating, trips it sooner or later."""
        if self.curve is None:
            return share > 1.0 + ROUNDING
        return share >= self.pickup * (1.0 - ROUNDING)

    def hold_s(self, before: float, share: float) -> float:
        """How long it holds a constant load after it has carried another for good, both as shares
        of the rating; infinite where it always does."""
        if self.curve is None:
            if share <= 1.0:
                return math.inf
            return self.window_s * max(0.0, 1.0 - before) / (share - min(before, 1.0))
        breaker = Breakers([self.curve], [1.0], preload=[before])
        return float(breaker.trip_in_s(np.array([share]))[0])

    def ratios(self, load_w: AnyFloatArray, step_s: float, pieces: int) -> FloatArray:
        """Highest trip ratio in each of so many equal pieces of a load, (pieces,).

        Parameters:
            load_w: as the rating feels it, by steps of `step_s`, (steps,).
        """
        loads = np.asarray(load_w, dtype=np.float64)
        ends = np.linspace(0, len(loads), pieces + 1).round().astype(int)[1:]
        if self.curve is None:
            return self._mean_ratios(loads, step_s, ends)
        high = float(loads.max()) / (self.rating_w * self.pickup)
        if not high > 0.0:
            return np.zeros(pieces)
        starts = np.concatenate([[0], ends[:-1]])
        heats = np.add.reduceat(loads * loads, starts) / np.diff(ends, prepend=0)
        low = math.sqrt(float(heats.min())) / (self.rating_w * self.pickup)
        low = max(low, 1e-3 * high)
        if high - low <= 1e-9 * high:
            return np.full(pieces, high)
        merged, width_s = self._merged(loads, step_s, high / low)
        ends = np.maximum(1, (ends * (step_s / width_s) + 1e-9).astype(int))
        ratios = np.full(pieces, low)
        for top in PASSES:
            grid = np.geomspace(low, high, RATINGS)
            place = self._highest(merged, width_s, grid, ends)
            ratios = np.where(place < 0, ratios, grid[place])
            step = grid[1] / grid[0]
            low, high = float(ratios.max() if top else ratios.min()), float(ratios.max()) * step
        return ratios

    def _merged(self, loads: FloatArray, step_s: float, spread: float) -> tuple[FloatArray, float]:
        """Steps within a second as one of the same heat, where the breaker cannot tell."""
        steps = math.floor(1.0 / step_s + 1e-9)
        if steps < 2 or self.hold_s(0.0, self.pickup * spread) < HELD_S:
            return loads, step_s
        whole = len(loads) // steps * steps
        if not whole:
            return loads, step_s
        heat = (loads[:whole] ** 2).reshape(-1, steps).mean(axis=1)
        return np.sqrt(heat), steps * step_s

    def _highest(
        self, loads: FloatArray, step_s: float, grid: FloatArray, ends: np.ndarray
    ) -> np.ndarray:
        """By piece the number of the highest of rising ratios at which it trips; -1: at none."""
        assert self.curve is not None
        rms = math.sqrt(float((loads * loads).mean()))
        ratings = self.rating_w * grid
        breakers = Breakers(
            [self.curve] * len(grid), ratings.tolist(), preload=(rms / ratings).tolist()
        )
        warmth = breakers.warmth.copy()
        highest = np.full(len(ends), -1)
        piece = 0
        both = np.empty(len(grid))
        for step, load_w in enumerate(loads.tolist(), start=1):
            both.fill(load_w)
            tripped = breakers.step(both, step_s)
            if len(tripped):
                highest[piece] = max(int(highest[piece]), int(tripped.max()))
            while piece < len(ends) - 1 and step >= ends[piece]:
                piece += 1
                for row in np.flatnonzero(breakers.open).tolist():
                    breakers.reset(row, cold=False)
                    breakers.warmth[row] = warmth[row]
        return highest

    def _mean_ratios(self, loads: FloatArray, step_s: float, ends: np.ndarray) -> FloatArray:
        """By piece the highest mean over the window that ends in it."""
        width = max(1, min(len(loads), round(self.window_s / step_s)))
        sums = np.concatenate([[0.0], np.cumsum(loads)])
        means = (sums[width:] - sums[:-width]) / (width * self.rating_w)
        ratios = np.empty(len(ends))
        begun = 0
        for piece, end in enumerate(ends.tolist()):
            mine = means[max(0, begun - width) : max(1, end - width + 1)]
            ratios[piece] = mine.max() if len(mine) else means[0]
            begun = end + 1
        return ratios


def elements(limits: SiteLimits, names: Iterable[str], window_s: float) -> dict[str, Element]:
    """What opens each of some nodes, of those that have a breaker or a rating.

    `window_s`: over which a mean above the rating is taken for a trip where there is no breaker.
    """
    topology = limits.topology
    opens = {}
    for name in names:
        guard = limits.monitor.earliest(name)
        rating_w = float(topology.rating_w[topology.find(name)])
        if guard is not None:
            curve, breaker, breaker_w = guard
            breaker_w *= ambient_factor(curve, breaker.ambient_c)
            opens[name] = Element(breaker_w, curve, window_s)
        elif math.isfinite(rating_w):
            opens[name] = Element(rating_w, None, window_s)
    return opens


def stated_elements(plant: Plant, names: Iterable[str], window_s: float) -> dict[str, Element]:
    """`elements` of a plant, before anything is played. Raises SeriesError."""
    return elements(SiteLimits(SiteInputs.of_plant(plant)), names, window_s)
