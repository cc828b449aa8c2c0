"""Breakers: how long each holds an overload, by its time-current curve and its memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dcsim.scenario.catalogue import Curve
from dcsim.scenario.models import Breaker, Electronic
from dcsim.scenario.overload import table_points

COOLING_TIME_S = 600.0
"""Time constant with which a breaker below its pick-up forgets past overloads. Assumed: thermal
trip elements of moulded-case breakers cool within some ten minutes; not from a standard."""
COLD = 1e-6
"""Used life below which a breaker counts as cold and is no longer cooled step by step."""
FULL = 1.0 - 1e-9
"""Used life at which it trips: a hundred thousand additions must not cost a step."""
INSTANT_S = 0.02
"""An instantaneous trip: about one 60 Hz cycle, with the time to clear."""
HAIR = 1.0 - 1e-9

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


def in_band(curve: Curve, place: float) -> Curve:
    """The curve at a place in its tolerance band: 0 the earliest trip, 1 the latest.

    At every trip time, the load lies between those of the two edges, in proportion of logarithms.
    A curve without an earliest edge is returned as it is.
    """
    if curve.earliest is None or place >= 1.0:
        return curve
    early, late = np.log(np.array(curve.earliest)), np.log(np.array(curve.points))
    times = np.union1d(early[:, 1], late[:, 1])[::-1]
    load = (1.0 - place) * np.interp(times, early[::-1, 1], early[::-1, 0])
    load += place * np.interp(times, late[::-1, 1], late[::-1, 0])
    # Where both edges are at their ends only the load of one is known: keep the first of equals.
    kept = np.concatenate([[True], np.diff(load) > 1e-12])
    points = tuple(zip(np.exp(load[kept]).tolist(), np.exp(times[kept]).tolist(), strict=True))
    return curve.model_copy(update={"points": points, "earliest": None})


def electronic_curve(unit: Electronic, place: float = 1.0) -> Curve:
    """Long-time, short-time and instantaneous regions of an electronic trip unit as one curve.

    I2t is constant in the long-time region. Makers state its delay as the latest, with a
    tolerance of commonly +0/-20 %: `place` is 0 at the earliest, 1 at the latest.
    """
    delay_s = unit.long_delay_s * (0.8 + 0.2 * place)

    def held_s(multiple: float) -> float:
        return max(delay_s * (6.0 / multiple) ** 2, short_s / HAIR)

    # Definite times as lines that fall by a hair: a curve must fall.
    short_s = unit.short_delay_s
    points = (
        (unit.long_pickup, held_s(unit.long_pickup) / HAIR),
        (unit.short_pickup * HAIR, held_s(unit.short_pickup)),
        (unit.short_pickup, short_s),
        (unit.instantaneous * HAIR, short_s * HAIR),
        (unit.instantaneous, min(INSTANT_S, short_s * HAIR**2)),
    )
    return Curve(
        name="electronic", title="electronic trip unit", points=points, source="the scenario"
    )


def curve_of(
    breaker: Breaker,
    curves: Mapping[str, Curve],
    draw: Callable[[], float] | None = None,
    *,
    ups: bool = False,
) -> Curve:
    """The curve that a breaker follows. `draw` gives the place in the band for `band: drawn`,
    0 to 1; `ups`: it is the overload table of a UPS unless it says otherwise. Raises KeyError for
    an unknown curve."""
    place = {"earliest": 0.0, "typical": 0.5, "latest": 1.0}.get(breaker.band)
    if place is None:
        place = 0.5 if draw is None else draw()
    if breaker.electronic is not None:
        return electronic_curve(breaker.electronic, place)
    if breaker.points is not None:
        points = table_points(breaker.points) if is_table(breaker, curves, ups) else breaker.points
        return Curve(name="own", title="", points=points, source="the scenario")
    return in_band(curves[breaker.curve], place)


def is_table(breaker: Breaker, curves: Mapping[str, Curve], ups: bool) -> bool:
    """Whether this is a maker's overload table rather than a breaker. Raises KeyError for an
    unknown curve."""
    if breaker.electronic is not None:
        return False
    if breaker.points is not None:
        return (breaker.reading or ("table" if ups else "line")) == "table"
    return curves[breaker.curve].reading == "table"


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
        self.warm = False
        """Whether any has used up some of its life."""
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
        if not (over.any() or self.warm):
            return NOBODY
        used = self.used
        over &= ~self.open
        used[~over] *= math.exp(-step_s / COOLING_TIME_S)
        if not over.any():
            if used.max() < COLD:
                used[:] = 0.0
                self.warm = False
            return NOBODY
        self.warm = True
        for members, log_multiple, log_time in self._alike:
            rows = members[over[members]]
            if len(rows):
                log_load = np.log(load_w[rows] / self.rating_w[rows])
                used[rows] += step_s * np.exp(-np.interp(log_load, log_multiple, log_time))
        tripped = np.flatnonzero(over & (used >= FULL))
        self.open[tripped] = True
        np.minimum(used, 1.0, out=used)
        return tripped

    def trip_in_s(self, load_w: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Seconds until each would trip if its load stayed so; infinite below pick-up or open."""
        found = np.full(len(self), np.inf)
        over = (load_w >= self._pickup_w) & ~self.open
        for members, log_multiple, log_time in self._alike:
            rows = members[over[members]]
            log_load = np.log(load_w[rows] / self.rating_w[rows])
            held_s = np.exp(np.interp(log_load, log_multiple, log_time))
            found[rows] = (1.0 - self.used[rows]) * held_s
        return found

    def reset(self, index: int, *, cold: bool = True) -> None:
        """Close a breaker again. Unless `cold`, it keeps what it remembers of past overloads: one
        closed right after its trip trips again at the first overload, as a real one does."""
        self.open[index] = False
        if cold:
            self.used[index] = 0.0
