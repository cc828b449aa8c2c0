"""Loads that vary are judged by their heat: RMS, noise, preload, ambient; on every curve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.arrays import FloatArray
from dcsim.facility.breakers import SETTLING_S, Breakers
from dcsim.facility.curves import ambient_factor, electronic_curve, in_band, trip_time_s
from dcsim.hardware.catalogue import load_catalogue
from dcsim.hardware.curves import Curve
from dcsim.scenario.models import Electronic

SHIPPED = load_catalogue().curves
CURVES = {name: curve.model_copy(update={"earliest": None}) for name, curve in SHIPPED.items()}
CURVES |= {f"{n} early": in_band(c, 0.0) for n, c in SHIPPED.items() if c.earliest is not None}
CURVES |= {f"electronic {at}": electronic_curve(Electronic(), at) for at in (0.0, 1.0)}
UL = CURVES["thermal-magnetic"]


def first_trip_s(
    curve: Curve, spans: list[tuple[float, float]], most_s: float, preload: float = 0.0
) -> float:
    """When a breaker trips to whom spans of (multiple, seconds) come round and round."""
    breakers = Breakers([curve], [1000.0], preload=[preload])
    now_s = 0.0
    while now_s < most_s:
        for multiple, span_s in spans:
            now_s += span_s
            if len(breakers.step(np.array([1000.0 * multiple]), span_s)):
                return now_s
    return math.inf


@pytest.mark.parametrize(
    ("high", "low", "half_s", "minutes"),
    [
        (1.6, 0.99, 0.25, 67.7),
        (1.6, 0.99, 30.0, 67.7),
        (1.5, 1.04, 0.25, 87.0),
        (1.5, 1.04, 30.0, 87.0),
    ],
)
def test_a_load_that_alternates_is_judged_by_its_rms(
    high: float, low: float, half_s: float, minutes: float
) -> None:
    """The curve says 3600 s x (1.35 / 1.05)^8.27 ... at the RMS of 1.330 and 1.291: by hand."""
    rms = math.sqrt((high**2 + low**2) / 2)
    slope = math.log(28800 / 3600) / math.log(1.35 / 1.05)
    assert 60.0 * (rms / 1.35) ** -slope == pytest.approx(minutes, rel=0.002)
    found_s = first_trip_s(UL, [(high, half_s), (low, half_s)], 20_000.0)
    assert found_s == pytest.approx(60 * minutes, rel=0.01)


@pytest.mark.parametrize("name", sorted(CURVES))
@pytest.mark.parametrize(
    ("over", "duty", "low", "turns"),
    [(1.05, 0.5, 0.9, 60), (1.05, 0.2, 0.0, 200), (1.2, 0.8, 0.5, 40), (1.2, 0.3, 0.9, 100)],
)
def test_so_is_every_curve_at_any_duty(
    name: str, over: float, duty: float, low: float, turns: int
) -> None:
    """An RMS of `over` x the pick-up, its load high for a share `duty` of the time; the time that
    the curve says is that of `turns` turns. Late by a turn's low part at most, early where a turn
    ends high."""
    curve = CURVES[name]
    rms = over * curve.points[0][0]
    high = math.sqrt((rms**2 - (1 - duty) * low**2) / duty)
    want_s = float(trip_time_s(curve, rms))
    turn_s = want_s / turns
    if float(trip_time_s(curve, high)) < 6 * duty * turn_s:
        pytest.skip("so high a load trips by itself within a few turns")
    spans = [(high, duty * turn_s), (low, (1 - duty) * turn_s)]
    assert first_trip_s(curve, spans, 3 * want_s) == pytest.approx(want_s, rel=0.06, abs=turn_s)


@pytest.mark.parametrize("name", sorted(CURVES))
@pytest.mark.parametrize(("duty", "low"), [(0.5, 0.2), (0.2, 0.8), (0.8, 0.0)])
def test_an_rms_below_the_pick_up_never_trips(name: str, duty: float, low: float) -> None:
    curve = CURVES[name]
    if name == "ups-overload":
        duty = 0.8  # one that is higher for less time is cut off at once: above 1.5
    high = math.sqrt((0.9604 * curve.points[0][0] ** 2 - (1 - duty) * low**2) / duty)
    assert first_trip_s(curve, [(high, 1.0 * duty), (low, 1.0 - duty)], 3000.0) == math.inf


def test_noise_about_the_pick_up_does_not_reset_it() -> None:
    """A row panel at 1.06 with 2 % of noise trips at 26 min, as at a constant 1.06."""
    curve = CURVES["dynamo-rpp"]
    want_s = 1760.0 * (1.06 / 1.05) ** -(math.log(1760 / 1020) / math.log(1.1 / 1.05))
    assert want_s == pytest.approx(26.2 * 60, rel=0.01)
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(1.06, 0.0212, 12_000)
        breakers = Breakers([curve], [1000.0])
        steps = next(
            n for n, m in enumerate(noise, 1) if len(breakers.step(np.array([1e3 * m]), 0.25))
        )
        assert 0.25 * steps == pytest.approx(want_s, rel=0.04)


@pytest.mark.parametrize(
    ("preload", "least_s", "most_s"), [(1.0, 516, 1225), (0.8, 1923, 2309), (0.0, 3600, 3600)]
)
def test_preload_shortens_the_trip(preload: float, least_s: float, most_s: float) -> None:
    """At 135 % after hours at a load: a first-order element that trips cold after an hour and picks
    up at 1.05 to 1.13 holds ln((m2 - w) / (m2 - p2)) / ln(m2 / (m2 - p2)) of its hour."""
    for pickup, want_s in ((1.05, least_s), (1.13, most_s)):
        square = 1.35**2
        share = math.log((square - preload**2) / (square - pickup**2))
        assert 3600 * share / math.log(square / (square - pickup**2)) == pytest.approx(
            want_s, rel=1e-3
        )
    settled_s = first_trip_s(UL, [(1.35, 1.0)], 4000.0, preload=preload)
    assert settled_s == pytest.approx(least_s, abs=1.0)
    breakers = Breakers([UL], [1000.0])
    for _ in range(4 * 60):
        breakers.step(np.array([1000.0 * preload]), 60.0)  # four hours from cold
    held_s = float(breakers.trip_in_s(np.array([1350.0]))[0])
    assert least_s - 1e-3 <= held_s <= most_s + 1e-3


def test_a_breaker_in_service_begins_warm() -> None:
    """Without a preload it has carried before what it carries in its first minutes."""
    for before in (0.6, 0.9):
        known = Breakers([UL], [1000.0], preload=[before])
        found = Breakers([UL], [1000.0], preload=[None])
        found.step(np.array([300.0]), 0.25)  # a run begins empty
        for _ in range(4 * round(SETTLING_S)):
            found.step(np.array([1000.0 * before]), 0.25)
        at = np.array([1350.0])
        assert found.trip_in_s(at) == pytest.approx(known.trip_in_s(at), rel=0.002)


def test_overloaded_from_its_first_step_it_was_at_its_rating_before() -> None:
    warm = Breakers([UL], [1000.0], preload=[None])
    warm.step(np.array([1350.0]), 1.0)
    assert warm.trip_in_s(np.array([1350.0]))[0] == pytest.approx(516.0 - 1.0, abs=0.5)


def test_ambient_heat_derates_a_bimetal() -> None:
    """Schneider Electric's table for Compact NS, by temperature; electronic units feel nothing."""
    table = {40: 1.0, 45: 0.975, 50: 0.95, 55: 0.925, 60: 0.90, 65: 0.875, 70: 0.85}
    for celsius, factor in table.items():
        assert ambient_factor(UL, celsius) == pytest.approx(factor, abs=0.016)
    assert ambient_factor(electronic_curve(Electronic()), 60.0) == 1.0
    assert ambient_factor(CURVES["ups-overload"], 60.0) == 1.0
    hot = Breakers([UL], [1000.0], ambient_c=[60.0])
    want_s = float(trip_time_s(UL, 1.35 / math.sqrt(0.8)))
    assert hot.trip_in_s(np.array([1350.0]))[0] == pytest.approx(want_s)
    assert want_s < 3600 / 2


multiples = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=30)


def when(curve: Curve, load: FloatArray, preload: float = 0.0) -> int:
    """The step of 20 s in which it trips; one beyond the last where it does not."""
    breakers = Breakers([curve], [1.0], preload=[preload])
    for step, value in enumerate(load):
        if len(breakers.step(np.array([value]), 20.0)):
            return step
    return len(load)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(CURVES)), multiples, st.floats(1.02, 1.5))
def test_a_higher_load_never_trips_later(name: str, shares: list[float], factor: float) -> None:
    load = np.repeat(shares, 8)
    assert when(CURVES[name], load * factor) <= when(CURVES[name], load)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(CURVES)), multiples, st.floats(0, 1), st.floats(0, 1))
def test_more_preload_never_trips_later(
    name: str, shares: list[float], one: float, other: float
) -> None:
    load = np.repeat(shares, 8)
    low, high = sorted((one, other))
    assert when(CURVES[name], load, high) <= when(CURVES[name], load, low)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(CURVES)), multiples)
def test_the_earliest_edge_trips_no_later_than_the_latest(name: str, shares: list[float]) -> None:
    base = name.split(" ", maxsplit=1)[0]
    if base not in SHIPPED or SHIPPED[base].earliest is None:
        return
    load = np.repeat(shares, 8)
    curve = SHIPPED[base]
    assert when(in_band(curve, 0.0), load) <= when(in_band(curve, 1.0), load)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(CURVES)), multiples, st.floats(1.0, 3.0))
def test_the_way_to_a_trip_ends_at_it(name: str, shares: list[float], last: float) -> None:
    """The forecast and the way agree with what happens."""
    curve = CURVES[name]
    breakers = Breakers([curve], [1.0])
    for value in np.repeat(shares, 8):
        tripped = breakers.step(np.array([value]), 20.0)
        way = float(breakers.way_to_trip()[0])
        assert 0.0 <= way <= 1.0
        if len(tripped):
            return
    in_s = float(breakers.trip_in_s(np.array([last]))[0])
    if last < curve.points[0][0]:
        assert in_s == math.inf
        return
    assert 0.0 <= in_s <= float(trip_time_s(curve, last)) * (1 + 1e-6)
    assert len(breakers.step(np.array([last]), in_s * (1 + 1e-6) + 1e-9))


def test_reset_cold_forgets_and_hot_does_not() -> None:
    at = np.array([1350.0])
    breakers = Breakers([UL, UL], [1000.0, 1000.0])
    breakers.step(np.array([2000.0, 2000.0]), 3600.0)
    assert breakers.open.all()
    breakers.reset(0)
    breakers.reset(1, cold=False)
    assert breakers.trip_in_s(at.repeat(2)) == pytest.approx([3600.0, 0.0], abs=1e-3)
