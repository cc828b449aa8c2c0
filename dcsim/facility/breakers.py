"""Breakers: how long each holds an overload, by its time-current curve and its memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dcsim.scenario.catalogue import Curve

COOLING_TIME_S = 600.0
"""Time constant with which a breaker below its pick-up forgets past overloads. Assumed: thermal
trip elements of moulded-case breakers cool within some ten minutes; not from a standard."""


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
    trips. Below pick-up the used share decays. A constant overload thus trips exactly when its
    curve says, and a varying one by the usual time-overcurrent integral (IEEE C37.112).
    """

    def __init__(self, curves: Sequence[Curve], rating_w: Sequence[float]) -> None:
        self.rating_w = np.array(rating_w, dtype=np.float64)
        self.used = np.zeros(len(curves))
        """Share of the way to a trip, 0 to 1."""
        self.open = np.zeros(len(curves), dtype=bool)
        self._curves = list(curves)
        self._pickup_w = self.rating_w * np.array([curve.points[0][0] for curve in curves])

    def __len__(self) -> int:
        return len(self.rating_w)

    def step(self, load_w: npt.NDArray[np.float64], step_s: float) -> npt.NDArray[np.int64]:
        """Age all breakers by one step at constant loads, shape (n,); indices that tripped."""
        over = (load_w >= self._pickup_w) & ~self.open
        if not over.any():
            if self.used.any():
                self.used *= np.exp(-step_s / COOLING_TIME_S)
            return np.zeros(0, dtype=np.int64)
        self.used[~over] *= np.exp(-step_s / COOLING_TIME_S)
        tripped = []
        for index in np.flatnonzero(over).tolist():
            multiple = load_w[index] / self.rating_w[index]
            self.used[index] += step_s / float(trip_time_s(self._curves[index], multiple))
            # A hair below 1: a hundred thousand additions must not cost a step.
            if self.used[index] >= 1.0 - 1e-9:
                self.open[index] = True
                tripped.append(index)
        return np.array(tripped, dtype=np.int64)

    def reset(self, index: int) -> None:
        """Close a breaker again, cold."""
        self.open[index] = False
        self.used[index] = 0.0
