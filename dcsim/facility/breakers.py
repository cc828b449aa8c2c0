"""Breakers: how long each holds an overload, by its time-current curve and its memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dcsim.scenario.catalogue import Curve

COOLING_TIME_S = 600.0
"""Time constant with which a breaker below its pick-up forgets past overloads. Assumed: thermal
trip elements of moulded-case breakers cool within some ten minutes; not from a standard."""
COLD = 1e-6
"""Used life below which a breaker counts as cold and is no longer cooled step by step."""
FULL = 1.0 - 1e-9
"""Used life at which it trips: a hundred thousand additions must not cost a step."""

NOBODY: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)


def trip_time_s(curve: Curve, multiple: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Seconds that a constant load of `multiple` x rating is held; infinite below pick-up.

    Straight lines between the curve's points in logarithms; the last point's time holds beyond.
    """
    points = np.log(np.array(curve.points))
    given = np.asarray(multiple, dtype=np.float64)
    with np.errstate(divide="ignore"):
        times = np.exp(np.interp(np.log(given), points[:, 0], points[:, 1]))
    return np.where(given < curve.points[0][0], np.inf, times)


class Breakers:
    """The thermal state of `n` breakers, stepped together.

    Each second of overload uses up 1 / (trip time at that load) of a breaker's life; at 1 it
    trips. Below pick-up the used share decays with COOLING_TIME_S. A constant overload thus trips
    when its curve says, to the step, and a varying one by the usual time-overcurrent integral
    (IEEE C37.112). An open breaker cools and does not trip again until it is reset.
    """

    def __init__(self, curves: Sequence[Curve], rating_w: Sequence[float]) -> None:
        count = len(curves)
        self.rating_w = np.array(rating_w, dtype=np.float64)
        self.used = np.zeros(count)
        """Share of the way to a trip, 0 to 1."""
        self.open = np.zeros(count, dtype=bool)
        self._warm = False
        self._pickup_w = self.rating_w * np.array([curve.points[0][0] for curve in curves])
        self._over = np.zeros(count, dtype=bool)
        # Breakers of one curve are looked up together.
        alike: dict[tuple[tuple[float, float], ...], list[int]] = {}
        for index, curve in enumerate(curves):
            alike.setdefault(curve.points, []).append(index)
        self._alike = [
            (np.array(members, dtype=np.int64), *np.log(np.array(points)).T)
            for points, members in alike.items()
        ]

    def __len__(self) -> int:
        return len(self.rating_w)

    def step(self, load_w: npt.NDArray[np.float64], step_s: float) -> npt.NDArray[np.int64]:
        """Age all breakers by one step at constant loads, shape (n,); indices that tripped."""
        over = np.greater_equal(load_w, self._pickup_w, out=self._over)
        if not (over.any() or self._warm):
            return NOBODY
        used = self.used
        over &= ~self.open
        used[~over] *= math.exp(-step_s / COOLING_TIME_S)
        if not over.any():
            if used.max() < COLD:
                used[:] = 0.0
                self._warm = False
            return NOBODY
        self._warm = True
        for members, log_multiple, log_time in self._alike:
            rows = members[over[members]]
            if len(rows):
                log_load = np.log(load_w[rows] / self.rating_w[rows])
                used[rows] += step_s * np.exp(-np.interp(log_load, log_multiple, log_time))
        tripped = np.flatnonzero(over & (used >= FULL))
        self.open[tripped] = True
        np.minimum(used, 1.0, out=used)
        return tripped

    def reset(self, index: int, *, cold: bool = True) -> None:
        """Close a breaker again. Unless `cold`, it keeps what it remembers of past overloads: one
        closed right after its trip trips again at the first overload, as a real one does."""
        self.open[index] = False
        if cold:
            self.used[index] = 0.0
