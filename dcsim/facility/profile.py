"""When a breaker trips under a load of one's own: the earliest and the latest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.breakers import Breakers
from dcsim.facility.curves import electronic_curve, in_band
from dcsim.hardware.curves import Curve
from dcsim.scenario.models import Electronic

LONGEST_S = 600.0
"""A load that stays is played in steps of at most so long, for the picture's sake."""


@dataclass(frozen=True, slots=True)
class ProfileTrips:
    """What a load did to a breaker. Times in seconds of the profile; arrays are (steps,) and of the
    two edges, earliest first, (steps, 2)."""

    earliest_s: float | None
    """None where none of its kind would trip."""
    latest_s: float | None
    """None where one of its kind would hold."""
    time_s: FloatArray
    """Ends of the steps."""
    way: FloatArray
    """Share of the way to a trip: of the time that the load's RMS is held."""
    warmth: FloatArray
    """Heat taken up, as a share of that at pick-up."""


def edges(curve: Curve | None) -> tuple[Curve, Curve]:
    """The earliest and the latest curve; None is an electronic unit by its defaults."""
    if curve is None:
        return electronic_curve(Electronic(), 0.0), electronic_curve(Electronic(), 1.0)
    return in_band(curve, 0.0), in_band(curve, 1.0)


def profile_trips(
    time_s: FloatArray,
    load_w: FloatArray,
    curves: tuple[Curve, Curve],
    rating_w: float,
    *,
    preload: float = 0.0,
    ambient_c: float = 40.0,
) -> ProfileTrips:
    """Play a load upon both edges of a breaker's band.

    Parameters:
        time_s: rising, (rows,). Each load holds until the next row; the last row ends the profile.
        load_w: watts, (rows,).
        curves: its earliest and its latest.
        preload: what it carried for good before, as a share of its rating; 0: it is cold.

    After a trip at the earliest edge the load goes on for the latest, as if it had held.
    """
    breakers = Breakers(
        curves, [rating_w] * 2, ambient_c=[ambient_c] * 2, preload=[preload] * 2
    )  # fmt: skip
    trips_s: list[float | None] = [None, None]
    times, ways, warmths = [], [], []
    pickup = np.array([curve.points[0][0] ** 2 for curve in curves])
    for start_s, end_s, watts in zip(time_s[:-1], time_s[1:], load_w[:-1], strict=True):
        both_w = np.full(2, watts)
        parts = max(1, int(np.ceil((end_s - start_s) / LONGEST_S)))
        for part in range(parts):
            step_s = (end_s - start_s) / parts
            begun_s = start_s + part * step_s
            before = breakers.snapshot()
            for row in breakers.step(both_w, step_s).tolist():
                trips_s[row] = float(begun_s + breakers.trip_since_s(before, both_w, row, step_s))
            times.append(begun_s + step_s)
            ways.append(breakers.way_to_trip())
            warmths.append(breakers.warmth / pickup)
        if None not in trips_s:
            break
    return ProfileTrips(
        trips_s[0], trips_s[1], np.array(times), np.array(ways), np.minimum(np.array(warmths), 1.0)
    )
