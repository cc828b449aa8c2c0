"""Time-current curves: how long a breaker holds a constant load from cold, and its band."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from dcsim.arrays import FloatArray
from dcsim.hardware.curves import Curve, table_points
from dcsim.scenario.models import Breaker, Electronic

INSTANT_S = 0.02
"""An instantaneous trip: about one 60 Hz cycle, with the time to clear."""
ROUNDING_DOWN = 1.0 - 1e-9
RATED_AT_C = 40.0
"""Ambient temperature at which thermal-magnetic breakers are rated (UL 489, IEC 60947-2)."""
BIMETAL_C = 140.0
"""Temperature at which a bimetal releases: that with which `ambient_factor` meets a maker's table
(Schneider Electric, Compact NS: 0.95 at 50, 0.90 at 60, 0.85 at 70 degrees) within 2 %."""
PICKUP_BAND = (1.05, 1.20)
"""Long-time pick-up of electronic trip units, in multiples of the setting: not below the first, at
the latest at the second, as makers state it."""


def trip_time_s(curve: Curve, multiple: npt.ArrayLike) -> FloatArray:
    """Seconds that a cold breaker holds a constant load of `multiple` x rating; infinite below
    pick-up.

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
    if place <= 0.0:
        return curve.model_copy(update={"points": curve.earliest, "earliest": None})
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

    I2t is constant in the long-time region. `place` is 0 at the earliest, 1 at the latest: the
    pick-up lies in PICKUP_BAND unless the unit has one of its own, and makers state the delay as
    the latest, with a tolerance of commonly +0/-20 %.
    """
    delay_s = unit.long_delay_s * (0.8 + 0.2 * place)
    pickup = unit.long_pickup
    if pickup is None:
        pickup = PICKUP_BAND[0] ** (1.0 - place) * PICKUP_BAND[1] ** place

    def held_s(multiple: float) -> float:
        return max(delay_s * (6.0 / multiple) ** 2, short_s / ROUNDING_DOWN)

    # Definite times as lines that fall by a hair: a curve must fall.
    short_s = unit.short_delay_s
    points = (
        (pickup, held_s(pickup) / ROUNDING_DOWN),
        (unit.short_pickup * ROUNDING_DOWN, held_s(unit.short_pickup)),
        (unit.short_pickup, short_s),
        (unit.instantaneous * ROUNDING_DOWN, short_s * ROUNDING_DOWN),
        (unit.instantaneous, min(INSTANT_S, short_s * ROUNDING_DOWN**2)),
    )
    return Curve(
        name="electronic", title="electronic trip unit", kind="electronic", points=points,
        source="the scenario",
    )  # fmt: skip


def curve_of(
    breaker: Breaker,
    curves: Mapping[str, Curve],
    draw: Callable[[], float] | None = None,
    *,
    ups: bool = False,
    band: str | None = None,
) -> Curve:
    """The curve that a breaker follows, cold.

    Parameters:
        draw: gives the place in the band for `band: drawn`, 0 to 1.
        ups: it is the overload table of a UPS unless it says otherwise.
        band: another place in its band than the breaker's own.

    Raises KeyError for an unknown curve.
    """
    place = {"earliest": 0.0, "typical": 0.5, "latest": 1.0}.get(band or breaker.band)
    if place is None:
        place = 0.5 if draw is None else draw()
    if breaker.electronic is not None:
        return electronic_curve(breaker.electronic, place)
    if breaker.points is not None:
        curve = Curve(name="own", title="", points=breaker.points, source="the scenario")
        if is_table(breaker, curves, ups):
            update = {"points": table_points(breaker.points), "kind": "overload-table"}
            return curve.model_copy(update=update)
        return curve
    return in_band(curves[breaker.curve], place)


def is_table(breaker: Breaker, curves: Mapping[str, Curve], ups: bool) -> bool:
    """Whether this is a maker's overload table rather than a breaker. Raises KeyError for an
    unknown curve."""
    if breaker.electronic is not None:
        return False
    if breaker.points is not None:
        return (breaker.reading or ("table" if ups else "line")) == "table"
    return curves[breaker.curve].reading == "table"


def ambient_factor(curve: Curve, ambient_c: float) -> float:
    """What an ambient temperature makes of a breaker's rating: 1 at RATED_AT_C.

    A bimetal releases when the load has heated it from the ambient to BIMETAL_C, and heating goes
    with the square of the load. Electronic units and overload tables do not feel the ambient.
    """
    if curve.kind != "thermal-magnetic":
        return 1.0
    return math.sqrt(max(BIMETAL_C - ambient_c, 0.0) / (BIMETAL_C - RATED_AT_C))


def time_constant_s(curve: Curve) -> float:
    """Time constant with which a breaker's element warms and cools, from its own curve.

    The shortest with which a steady load, taken partly as preload and partly as overload, never
    trips sooner than the curve says: the highest of r T / -ln(1 - r), where T is the trip time at a
    multiple and r the pick-up over it, squared. -ln(1 - r) is the trip time of a first-order
    element in time constants (IEC 60255-149). An electronic unit adds up I2t: the trip time at its
    pick-up, so that of a load that rises by steps the sum decides.
    """
    if curve.kind == "electronic":
        return curve.points[0][1]
    pickup, last = curve.points[0][0], curve.points[-1][0]
    multiple = np.geomspace(pickup * 1.002, max(last, pickup * 1.01), 400)
    r = (pickup / multiple) ** 2
    return float((r * trip_time_s(curve, multiple) / -np.log1p(-r)).max())
