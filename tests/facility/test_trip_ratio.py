"""The trip ratio against breakers that are played by themselves, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcsim.arrays import FloatArray
from dcsim.facility.breakers import Breakers
from dcsim.facility.curves import electronic_curve, in_band
from dcsim.facility.trip_ratio import Element, stated_elements
from dcsim.hardware.catalogue import load_catalogue
from dcsim.hardware.curves import Curve
from dcsim.plant import Plant
from dcsim.scenario.models import Electronic
from tests.studies.small import small

CURVES = load_catalogue().curves
EARLIEST = {
    name: in_band(CURVES[name], 0.0) for name in ("ul-489-1000a", "thermal-magnetic", "dynamo-rpp")
} | {"electronic": electronic_curve(Electronic(), 0.0)}


def trips(curve: Curve, load_w: FloatArray, step_s: float, rating_w: float) -> bool:
    """Played alone, after the load's own root mean square for good."""
    rms_w = math.sqrt(float((load_w**2).mean()))
    breaker = Breakers([curve], [rating_w], preload=[rms_w / rating_w])
    return any(len(breaker.step(np.array([w]), step_s)) for w in load_w)


def wave(seed: int, steps: int) -> FloatArray:
    """A load that alternates and wanders, W."""
    rng = np.random.default_rng(seed)
    slow = np.repeat(rng.normal(0.0, 60.0, steps // 50 + 1), 50)[:steps]
    return np.asarray(500.0 + slow + rng.normal(0.0, 20.0, steps))


@pytest.mark.parametrize("name", EARLIEST)
@pytest.mark.parametrize("seed", [1, 3])
def test_it_is_one_where_a_breaker_just_trips(name: str, seed: int) -> None:
    """A breaker of a rating a little below the ratio's trips, one a little above holds."""
    load_w, step_s = wave(seed, 300), 4.0
    element = Element(400.0, EARLIEST[name], 900.0)
    ratio = float(element.ratios(load_w, step_s, 8).max())
    assert trips(EARLIEST[name], load_w, step_s, 400.0 * ratio * 0.998)
    assert not trips(EARLIEST[name], load_w, step_s, 400.0 * ratio * 1.002)


def test_it_grows_with_the_load() -> None:
    load_w = wave(4, 400)
    element = Element(1000.0, EARLIEST["ul-489-1000a"], 900.0)
    once = element.ratios(load_w, 1.0, 4)
    assert element.ratios(1.7 * load_w, 1.0, 4) == pytest.approx(1.7 * once, rel=1e-6)


def test_a_constant_load_is_its_share_of_the_pick_up() -> None:
    element = Element(100.0, EARLIEST["ul-489-1000a"], 900.0)
    assert element.ratios(np.full(50, 84.0), 1.0, 5) == pytest.approx(0.84 / 1.05)
    assert element.ratios(np.zeros(50), 1.0, 5) == pytest.approx(0.0)


def test_a_burst_counts_in_its_piece() -> None:
    """Ten seconds at eight times the rating, of which the magnetic trip knows, in the third of
    four pieces; 0.25 s steps within a second are not joined where the breaker would feel it."""
    load_w = np.full(400, 50.0)
    load_w[250:290] = 800.0
    ratios = Element(100.0, EARLIEST["ul-489-1000a"], 900.0).ratios(load_w, 0.25, 4)
    assert int(ratios.argmax()) == 2
    assert ratios[2] >= 8.0 / 5.0 * 0.999


def test_without_a_breaker_a_mean_over_the_window_counts() -> None:
    load_w = np.array([1.0, 1.0, 4.0, 6.0, 1.0, 1.0, 1.0, 1.0])
    element = Element(10.0, None, 2.0)
    assert element.ratios(load_w, 1.0, 2).tolist() == [0.5, pytest.approx(0.35)]
    assert element.hold_s(0.5, 2.0) == pytest.approx(2.0 * 0.5 / 1.5)
    assert math.isinf(element.hold_s(0.5, 1.0))


def test_what_a_breaker_holds_from_a_warm_start() -> None:
    """T (1 - ln(m2/(m2 - w)) / ln(m2/(m2 - p2))), the hot curve of IEC 60255-149."""
    element = Element(1.0, EARLIEST["ul-489-1000a"], 900.0)
    cold_s = element.hold_s(0.0, 2.0)
    assert cold_s == pytest.approx(30.0, rel=1e-6)
    warm = 1.0 - math.log(4.0 / (4.0 - 0.64)) / math.log(4.0 / (4.0 - 1.05**2))
    assert element.hold_s(0.8, 2.0) == pytest.approx(30.0 * warm, rel=1e-6)


def test_what_opens_the_nodes_of_a_site() -> None:
    found = stated_elements(Plant.build(small()), ["site", "row"], 60.0)
    assert set(found) == {"row"}  # the site has neither breaker nor rating
    assert (found["row"].curve, found["row"].rating_w, found["row"].window_s) == (None, 26e3, 60.0)
