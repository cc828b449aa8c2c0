"""A maker's overload table of a UPS, read as it is stated: up to a load, for so long."""

from __future__ import annotations

from itertools import pairwise

Points = tuple[tuple[float, float], ...]

EDGE = 1.0 + 1e-9
"""A table's times step down; a curve in logarithms needs some room for it."""


def table_points(points: Points) -> Points:
    """The table as a time-current curve: between two rows the time of the higher load holds.

    `points` are (multiple of the rating, seconds): up to that multiple, for so long. Up to the
    rating a UPS carries its load for good, above the last multiple it has the last row's time. A
    table that begins with two equal times tells where it begins: up to its first multiple the load
    is carried for good.

    >>> table_points(((1.25, 600.0), (1.5, 60.0)))[0]
    (1.000000001, 600.0)
    """
    if points[0][0] <= EDGE and points[0][1] != points[1][1]:
        points = points[1:]  # the rating itself is carried for good
    begins = len(points) > 1 and points[0][1] == points[1][1]
    found = [(points[0][0] * EDGE if begins else EDGE, points[0][1])]
    for (low, slow), (high, fast) in pairwise(points):
        if low > found[-1][0]:
            found.append((low, slow))
        if low * EDGE > found[-1][0] and high > low * EDGE:
            found.append((low * EDGE, fast))
    last_multiple, last_s = points[-1]
    if last_multiple > found[-1][0]:
        found.append((last_multiple, last_s))
    return tuple(found)
