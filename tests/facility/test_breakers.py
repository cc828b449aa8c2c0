"""Breakers against closed forms: constant overloads, stages, cooling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.facility.breakers import COOLING_TIME_S, Breakers, trip_time_s
from dcsim.scenario.catalogue import Curve, load_catalogue

CURVES = load_catalogue().curves
# A straight line in logarithms has a closed form: seconds = 100 x multiple^-3.
CUBIC = Curve(
    name="cubic", title="", points=((1.1, 100 * 1.1**-3), (10.0, 0.1)), source="this test"
)
STEP_S = 0.25


def steps_to_trip(breakers: Breakers, load_w: float, step_s: float = STEP_S) -> int:
    """Steps until the only breaker opens at a constant load."""
    for step in range(1, 10**6):
        if len(breakers.step(np.array([load_w]), step_s)):
            return step
    raise AssertionError("no trip")


def test_curve_between_its_points_is_a_power_law() -> None:
    multiples = np.array([1.1, 1.5, 2.0, 7.0])
    assert trip_time_s(CUBIC, multiples) == pytest.approx(100 * multiples**-3)
    assert trip_time_s(CUBIC, [0.0, 1.0, 1.0999]).tolist() == [math.inf] * 3
    assert float(trip_time_s(CUBIC, 50.0)) == pytest.approx(0.1)  # the last time holds beyond


@pytest.mark.parametrize("name", sorted(CURVES))
def test_shipped_curves_fall_and_meet_their_points(name: str) -> None:
    curve = CURVES[name]
    multiples, times = np.array(curve.points).T
    assert trip_time_s(curve, multiples) == pytest.approx(times)
    grid = np.linspace(multiples[0], multiples[-1], 1000)
    falls = np.diff(trip_time_s(curve, grid))
    assert (falls <= 1e-9).all() if curve.reading == "table" else (falls < 0).all()


@settings(deadline=None)
@given(st.sampled_from(sorted(CURVES)), st.floats(1.05, 12.0), st.floats(1.0, 400.0))
def test_a_constant_overload_trips_when_the_curve_says(
    name: str, multiple: float, steps: float
) -> None:
    held_s = float(trip_time_s(CURVES[name], multiple))
    breakers = Breakers([CURVES[name]], [1000.0])
    if multiple < CURVES[name].points[0][0]:
        assert held_s == math.inf
        return
    taken = steps_to_trip(breakers, 1000.0 * multiple, held_s / steps)
    assert steps - 1e-6 <= taken < steps + 1 + 1e-6


@pytest.mark.parametrize("steps", [1, 3, 7, 49, 100, 1000, 10_000])
def test_adding_up_costs_no_step(steps: int) -> None:
    """Shares of 1/49 add up to a hair less than 1: it trips at the 49th all the same."""
    breakers = Breakers([CUBIC], [1000.0])
    assert steps_to_trip(breakers, 2000.0, 12.5 / steps) == steps


def test_life_used_up_is_used_up() -> None:
    """Far beyond its trip, a breaker cools from 1."""
    breakers = Breakers([CUBIC], [1000.0])
    breakers.step(np.array([9000.0]), 3600.0)
    assert breakers.used.tolist() == [1.0]
    breakers.step(np.array([9000.0]), COOLING_TIME_S)  # open: it carries nothing
    assert breakers.used[0] == pytest.approx(math.exp(-1))


def test_two_stages_add_up_by_the_integral() -> None:
    """At 1.5 x for 20 s of its 29.63 s, the rest at 2 x: 12.5 s x (1 - 20 / 29.63)."""
    breakers = Breakers([CUBIC], [1000.0])
    for _ in range(80):
        assert not len(breakers.step(np.array([1500.0]), STEP_S))
    used = 20 / (100 * 1.5**-3)
    assert breakers.used[0] == pytest.approx(used)
    remaining_s = (1 - used) * 100 * 2.0**-3
    assert steps_to_trip(breakers, 2000.0) == math.ceil(remaining_s / STEP_S)


def test_below_pickup_it_never_trips() -> None:
    breakers = Breakers([CUBIC], [1000.0])
    for _ in range(10_000):
        assert not len(breakers.step(np.array([1099.9]), 3600.0))
    assert breakers.used[0] == 0.0


def test_cooling_forgets_with_its_time_constant() -> None:
    breakers = Breakers([CUBIC], [1000.0])
    breakers.step(np.array([2000.0]), 6.0)
    assert breakers.used[0] == pytest.approx(6 / 12.5)
    for _ in range(1200):
        breakers.step(np.array([1000.0]), STEP_S)
    assert breakers.used[0] == pytest.approx(6 / 12.5 * math.exp(-300 / COOLING_TIME_S))
    for _ in range(4 * 9000):
        breakers.step(np.array([0.0]), STEP_S)
    assert breakers.used[0] == 0.0  # cold in the end, and cheap to step again


def test_interrupted_overloads_add_up_less_what_has_cooled() -> None:
    """8 s at 2 x, a pause of p, again 2 x: u = 8/12.5 e^(-p/600) is left, so it trips after
    12.5 (1 - u)."""
    for pause_s in (0.0, 300.0, 6000.0):
        breakers = Breakers([CUBIC], [1000.0])
        breakers.step(np.array([2000.0]), 8.0)
        breakers.step(np.array([0.0]), pause_s)
        left_s = 12.5 * (1 - 8 / 12.5 * math.exp(-pause_s / COOLING_TIME_S))
        assert steps_to_trip(breakers, 2000.0) == math.ceil(left_s / STEP_S)


loads = st.lists(st.lists(st.floats(0, 3), min_size=4, max_size=4), min_size=1, max_size=40)


@settings(deadline=None)
@given(loads)
def test_breakers_do_not_feel_each_other(series: list[list[float]]) -> None:
    """Stepped together or alone, with mixed curves and ratings: the same trips."""
    curves = [CUBIC, CURVES["dynamo-rpp"], CUBIC, CURVES["thermal-magnetic"]]
    rating_w = [100.0, 200.0, 300.0, 400.0]
    together = Breakers(curves, rating_w)
    alone = [Breakers([curve], [w]) for curve, w in zip(curves, rating_w, strict=True)]
    for multiples in series:
        load_w = np.array(multiples) * rating_w
        tripped = together.step(load_w, 5.0).tolist()
        assert tripped == [
            i for i, breaker in enumerate(alone) if len(breaker.step(load_w[i : i + 1], 5.0))
        ]
    used = np.concatenate([breaker.used for breaker in alone])
    # One forgets what is below 1e-6 only once all have cooled so far.
    assert together.used == pytest.approx(used, abs=1e-6)


def test_open_stays_open_until_reset() -> None:
    breakers = Breakers([CUBIC, CUBIC], [1000.0, 1000.0])
    load_w = np.array([2000.0, 0.0])
    tripped = [breakers.step(load_w, 5.0).tolist() for _ in range(6)]
    assert tripped == [[], [], [0], [], [], []]
    assert breakers.open.tolist() == [True, False]
    breakers.reset(0)
    tripped = [breakers.step(load_w, 5.0).tolist() for _ in range(3)]
    assert tripped == [[], [], [0]]


def test_closed_while_hot_it_trips_at_once() -> None:
    breakers = Breakers([CUBIC], [1000.0])
    steps_to_trip(breakers, 2000.0)
    breakers.reset(0, cold=False)
    assert not len(breakers.step(np.array([900.0]), STEP_S))  # below pick-up nothing happens
    assert steps_to_trip(breakers, 2000.0) == 1
