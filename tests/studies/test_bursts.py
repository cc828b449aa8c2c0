"""Bursts that no run has met: by hand, and by playing breakers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcsim.facility.breakers import Breakers
from dcsim.facility.curves import in_band
from dcsim.facility.trip_ratio import Element
from dcsim.hardware.catalogue import load_catalogue
from dcsim.studies.bursts import (
    correlation,
    independent,
    joined,
    pieces_to_trip,
    share_above,
    trips_per_piece,
)

CURVE = in_band(load_catalogue().curves["ul-489-1000a"], 0.0)
BREAKER = Element(600e3, CURVE, 900.0)


def test_how_many_pieces_are_above_the_highest_seen() -> None:
    """With 95 %, of 299 none of which was: 1 %, as Clopper and Pearson's bound. By repetition:
    the share of a law that is above the highest of n holds it as often as it says."""
    assert share_above(299, 0.95) == pytest.approx(0.01, rel=0.01)
    assert share_above(0, 0.95) == 1.0
    highest = np.random.default_rng(1).random((4000, 30)).max(axis=1)
    held = float((1.0 - highest <= share_above(30, 0.95)).mean())
    assert held == pytest.approx(0.95, abs=0.01)


def test_how_long_a_breaker_holds_what_the_labels_allow() -> None:
    """From 80 %, 160 % is held so long by its hot curve: pieces of 10 s on end, less what the usual
    ones beside them may add."""
    hold_s = BREAKER.hold_s(0.8, 1.6)
    alone = Breakers([CURVE], [1.0], preload=[0.8])
    steps = next(n for n in range(1, 10_000) if len(alone.step(np.array([1.6]), 0.1)))
    assert hold_s == pytest.approx(0.1 * steps, abs=0.2)
    assert pieces_to_trip(BREAKER, 0.8, 1.6, 10.0) == math.ceil(hold_s / 10.0 - 0.5)
    assert math.isinf(pieces_to_trip(BREAKER, 0.8, 1.04, 10.0))


def test_what_cannot_happen_and_what_cannot_be_said() -> None:
    assert trips_per_piece(BREAKER, 0.8, 1.04, 10.0, 0.5) == 0.0  # under the pick-up always
    assert trips_per_piece(BREAKER, 1.05, 1.6, 10.0, 1e-6) == 1.0  # above it as it is
    assert trips_per_piece(BREAKER, 0.8, 1.6, 1e4, 1e-3) >= 1e-3  # one piece is enough
    assert trips_per_piece(BREAKER, 0.8, 1.6, 10.0, 0.9) == 1.0


def test_without_a_breaker_a_mean_over_the_window() -> None:
    """A mean over 100 s, usual load 0.5, bursts of 2: a third of the window, so four pieces of 10 s
    less one for what stands at its edges, of the eleven that it touches."""
    element = Element(1.0, None, 100.0)
    count = pieces_to_trip(element, 0.5, 2.0, 10.0)
    assert count == math.ceil(100.0 / 3.0 / 10.0 - 2.0 / 16.0)
    exactly = sum(math.comb(11, k) * 0.01**k * 0.99 ** (11 - k) for k in range(int(count), 12))
    assert trips_per_piece(element, 0.5, 2.0, 10.0, 0.01) == pytest.approx(exactly, rel=1e-9)


@pytest.mark.parametrize(("usual", "ceiling", "share"), [(0.7, 2.0, 0.05), (0.6, 2.5, 0.03)])
def test_the_bound_is_above_what_breakers_do(usual: float, ceiling: float, share: float) -> None:
    """Loads as bad as the bound fears, played on 300 breakers: they trip no more often than that
    a piece. Each that trips is closed again as warm as its usual load leaves it."""
    piece_s, pieces, count = 5.0, 800, 300
    element = Element(1.0, CURVE, 900.0)
    bound = trips_per_piece(element, usual, ceiling, piece_s, share)
    rng = np.random.default_rng(2)
    breakers = Breakers([CURVE] * count, [1.0] * count, preload=[usual] * count)
    tripped = 0
    for _ in range(pieces):
        load = np.where(rng.random(count) < share, ceiling, usual)
        for row in breakers.step(load, piece_s).tolist():
            tripped += 1
            breakers.reset(row, cold=False)
            breakers.warmth[row] = usual**2
    assert tripped
    assert tripped / (pieces * count) <= bound < 1.0


def test_pieces_are_joined_until_neighbours_do_not_hang_together() -> None:
    rng = np.random.default_rng(3)
    white = 1.0 + 0.01 * rng.normal(size=(20, 128))
    assert independent(white, highest=False)[1] == 1
    noise = rng.normal(size=(20, 640))
    slow = np.zeros_like(noise)
    for at in range(1, 640):
        slow[:, at] = 0.9 * slow[:, at - 1] + noise[:, at]
    related, pairs = correlation(slow)
    assert (related, pairs) == (pytest.approx(0.9, abs=0.03), 20 * 639)
    found, count = independent(100.0 + slow, highest=False)
    assert count >= 32  # ten times their memory and more
    assert correlation(found)[0] < 0.15


def test_runs_that_differ_in_level_are_one_piece_each() -> None:
    """So do runs that follow a course."""
    rng = np.random.default_rng(4)
    level = rng.normal(size=(20, 1)) + 0.1 * rng.normal(size=(20, 64))
    assert independent(10.0 + level, highest=True)[0].shape == (20, 1)
    course = np.linspace(0.0, 1.0, 64) + 0.1 * rng.normal(size=(20, 64))
    assert independent(10.0 + course, highest=False)[0].shape == (20, 1)


def test_joined_pieces() -> None:
    values = np.array([[1.0, 7.0, 3.0, 4.0, 0.0]])
    assert joined(values, 2, highest=False).tolist() == [
        [math.sqrt((49 + 9) / 2), math.sqrt(16 / 2)]
    ]
    assert joined(values, 5, highest=True).tolist() == [[7.0]]
    assert joined(values, 8, highest=True).tolist() == [[7.0]]
