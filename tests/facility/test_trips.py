"""Trip times of whole sites against closed forms: constant, stepped and cycling loads from cold;
bands, electronic units, predictions, reclosing."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.facility.breakers import Breakers
from dcsim.facility.curves import (
    curve_of,
    electronic_curve,
    in_band,
    time_constant_s,
    trip_time_s,
)
from dcsim.facility.inputs import SiteInputs
from dcsim.hardware.catalogue import load_catalogue
from dcsim.hardware.curves import Curve
from dcsim.plant import Topology
from dcsim.scenario.models import Breaker, Electronic, FacilityNode
from tests.facility.diagrams import QUICK, STEP_S, Play, catalogue, node, site_of

CURVES = load_catalogue().curves
BANDED = sorted(name for name, curve in CURVES.items() if curve.earliest is not None)


# Trips when the heat, seconds times multiples squared, has come to 40.
I2T = {"long_pickup": 1.5, "long_delay": f"{40 / 36} s"}


def rack(**breaker: Any) -> list[FacilityNode]:
    """A rack of 1 kW whose breaker is cold at the start."""
    breaker = {"preload": 0, **breaker}
    return [
        node("site", "site"),
        node("rack", "rack", "site", rating="1 kW", breaker=breaker),
        node("server", "server", "rack", group="g"),
    ]


def load(multiple: float) -> Any:
    return np.array([1000.0 * multiple])


@pytest.mark.parametrize("step_s", [0.05, 0.25, 1.0])
@pytest.mark.parametrize("multiple", [1.5, 1.6, 1.8, 2.0, 3.0])
def test_constant(multiple: float, step_s: float) -> None:
    """Within 1 % of the curve, or a step; so the power step moves it by a step at most."""
    play = Play(site_of(rack(curve="quick"), step_s=step_s), step_s)
    play.until(60.0, load(multiple))
    ((time_s, _, _),) = play.brief("trip")
    want_s = float(trip_time_s(QUICK, multiple))
    assert want_s - 1e-9 <= time_s <= want_s + step_s + 1e-9
    assert not play.site.powered.any()


@pytest.mark.parametrize("step_s", [0.05, 0.25, 1.0])
def test_stepped(step_s: float) -> None:
    """8 s at 1.5 x give 18 of the 40 that trip it; at 2 x, which gives 4 a second, the rest."""
    play = Play(site_of(rack(electronic=I2T, band="latest"), step_s=step_s), step_s)
    play.until(8.0, load(1.5))
    play.until(60.0, load(2.0))
    ((time_s, _, _),) = play.brief("trip")
    assert time_s == pytest.approx(8.0 + (40.0 - 18.0) / 4.0, abs=step_s + 1e-9)


@pytest.mark.parametrize("step_s", [0.1, 0.25, 0.5])
def test_cycling(step_s: float) -> None:
    """1 s at 2.5 x, 1 s at 0.5 x: 3.25 a second in the mean, so it trips at 40 / 3.25 = 12.3 s, in
    the turn from 12 to 13 s, of which 38 + 6.25 t = 40 is reached after 0.16 s."""
    play = Play(site_of(rack(electronic=I2T, band="latest"), step_s=step_s), step_s)
    while not play.brief("trip") and play.now_s < 100.0:
        play.until(play.now_s + 1.0, load(2.5))
        if not play.brief("trip"):
            play.until(play.now_s + 1.0, load(0.5))
    ((time_s, _, _),) = play.brief("trip")
    assert time_s == pytest.approx(12.16, abs=step_s + 1e-6)


def test_cycling_below_the_pick_up_in_the_mean_never_trips() -> None:
    """2 s at 2 x, 10 s at 0.5 x: an RMS of 0.94 heats no more than that."""
    play = Play(site_of(rack(electronic=I2T, band="latest")))
    for _ in range(50):
        play.until(play.now_s + 2.0, load(2.0))
        play.until(play.now_s + 10.0, load(0.5))
    assert play.brief("trip") == []


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from([*sorted(CURVES), "electronic"]),
    st.sampled_from(["earliest", "typical", "latest"]),
    st.lists(st.floats(0.0, 0.9999), min_size=1, max_size=20),
)
def test_never_below_the_continuous_rating(name: str, band: str, shares: list[float]) -> None:
    keys: dict[str, Any] = {"electronic": {}} if name == "electronic" else {"curve": name}
    breakers = Breakers([curve_of(Breaker(**keys, band=band), CURVES)], [1000.0])
    for share in shares:
        for step_s in (0.25, 3600.0, 86400.0):
            assert not len(breakers.step(load(share), step_s))
    assert not breakers.warm


@pytest.mark.parametrize("name", BANDED)
def test_bands_lie_between_their_edges(name: str) -> None:
    curve = CURVES[name]
    assert curve.earliest is not None
    early, late = in_band(curve, 0.0), in_band(curve, 1.0)
    assert late == curve
    grid = np.geomspace(1.0, 30.0, 200)
    times = [trip_time_s(in_band(curve, place), grid) for place in (0.0, 0.25, 0.5, 0.75, 1.0)]
    for sooner, later in pairwise(times):
        assert (sooner <= later * (1 + 1e-9)).all()
    multiples, seconds = np.array(curve.earliest).T
    assert trip_time_s(early, multiples * (1 + 1e-12)) == pytest.approx(seconds, rel=1e-6)


def test_midway_is_midway_in_logarithms() -> None:
    """At 60 s, the edges of IEC type C are at about 1.4 and at 2.55 times."""
    curve = CURVES["iec-60898-c"]
    assert curve.earliest is not None
    sooner = float(np.interp(-np.log(60), *_reversed(curve.earliest)))
    typical = in_band(curve, 0.5)
    held_s = float(trip_time_s(typical, math.exp(0.5 * (sooner + math.log(2.55)))))
    assert held_s == pytest.approx(60.0, rel=1e-6)


def _reversed(points: tuple[tuple[float, float], ...]) -> tuple[Any, Any]:
    multiples, seconds = np.log(np.array(points)).T
    return -seconds, multiples


def test_standard_points() -> None:
    """IEC 60898-1, type B up to 32 A: 1 h at 1.45, 1 to 60 s at 2.55, at once from 3 to 5."""
    early, late = in_band(CURVES["iec-60898-b"], 0.0), CURVES["iec-60898-b"]
    assert trip_time_s(early, [1.12, 2.55, 3.0]) == pytest.approx([math.inf, 1.0, 0.02])
    assert trip_time_s(late, [1.44, 1.45, 2.55, 5.0]) == pytest.approx([math.inf, 3600, 60, 0.1])
    # UL 489: 1 h at 135 %, 2 min at 200 %. Dynamo: 17 min at 110 %, 1 min at 140 %.
    assert trip_time_s(CURVES["thermal-magnetic"], [1.35, 2.0]) == pytest.approx([3600, 120])
    assert trip_time_s(CURVES["dynamo-rpp"], [1.1, 1.4]) == pytest.approx([1020, 60])


@given(st.floats(1.1, 5.99))
def test_an_electronic_unit_holds_i2t(multiple: float) -> None:
    unit = Electronic()
    want_s = 10.0 * (6.0 / multiple) ** 2
    late_s = float(trip_time_s(electronic_curve(unit), multiple))
    assert late_s == (math.inf if multiple < 1.2 else pytest.approx(want_s, rel=1e-6))
    early_s = float(trip_time_s(electronic_curve(unit, 0.0), multiple))
    assert early_s == pytest.approx(0.8 * want_s, rel=1e-6)


def test_the_pick_up_of_an_electronic_unit_has_a_band() -> None:
    assert electronic_curve(Electronic(), 0.0).points[0][0] == 1.05
    assert electronic_curve(Electronic(), 0.5).points[0][0] == pytest.approx(math.sqrt(1.05 * 1.2))
    assert electronic_curve(Electronic(), 1.0).points[0][0] == 1.2
    tested = Electronic(long_pickup=1.08)
    assert {electronic_curve(tested, p).points[0][0] for p in (0.0, 0.5, 1.0)} == {1.08}


def test_short_time_and_instantaneous() -> None:
    curve = electronic_curve(Electronic(long_pickup=1.1))
    found = trip_time_s(curve, [1.09, 6.0, 8.0, 9.99, 10.0, 30.0])
    assert found == pytest.approx([math.inf, 0.3, 0.3, 0.3, 0.02, 0.02], rel=1e-6)


def test_drawn_breakers_differ_and_are_the_seeds() -> None:
    def held(seed: int) -> list[float]:
        rows = [
            node("site", "site"),
            node(
                "rack",
                "rack",
                "site",
                count=8,
                rating="1 kW",
                breaker={"curve": "iec-60898-c", "band": "drawn"},
            ),
            node("server", "server", "rack", group="g"),
        ]
        inputs = SiteInputs(
            Topology.build(rows), catalogue(), STEP_S, seed=np.random.SeedSequence(seed)
        )
        return [inputs.band_place(f"rack-{i}") for i in range(1, 9)]

    assert held(1) == held(1)
    assert held(1) != held(2)
    assert len(set(held(1))) == 8
    assert all(0 <= place < 1 for place in held(1))
    curve = CURVES["iec-60898-c"]
    spread = curve_of(Breaker(band="drawn", curve=curve.name), CURVES, lambda: 0.3)
    assert spread == in_band(curve, 0.3)


def test_own_points() -> None:
    play = Play(site_of(rack(points=[[1.2, 30], [2.4, 6]])))
    play.until(60.0, load(2.4))
    assert play.brief("trip") == [(6.0, "trip", "rack")]


def test_a_trip_is_predicted_and_the_forecast_holds() -> None:
    play = Play(site_of(rack(curve="quick")))
    play.until(4.0, load(2.0))
    assert play.brief("predicted") == [(0.25, "predicted", "rack")]
    (event,) = [event for event in play.events if event.kind == "predicted"]
    assert event.message == "trip in 10 s at this load"
    play.until(60.0, load(2.0))
    assert play.brief("trip") == [(10.0, "trip", "rack")]


def test_a_prediction_ends_when_the_load_has_fallen() -> None:
    play = Play(site_of(rack(curve="quick")))
    play.until(4.0, load(2.0))
    play.until(100.0, load(0.7))
    cleared = [e for e in play.events if e.kind == "cleared" and "trip" in e.message]
    assert [e.time_s for e in cleared] == pytest.approx([4.0 + 60.0], abs=1.0)


def test_far_trips_are_not_predicted() -> None:
    play = Play(site_of(rack(curve="thermal-magnetic"), limits={"predict_within": "30 s"}))
    play.until(60.0, load(1.5))  # trips after 6 min at the earliest
    assert play.brief("predicted") == []


def test_a_prediction_is_of_the_earliest_edge_whatever_is_played() -> None:
    """At 1.5 x, UL 489 up to 30 A trips from 361 s on, a quarter of the latest 1445 s; foretold
    300 s before, 61 s after the start."""
    play = Play(site_of(rack(curve="thermal-magnetic", band="latest")))
    play.until(120.0, load(1.5))
    early_s = 900.0 * (1.5 / 1.35) ** -(math.log(900 / 30) / math.log(2.0 / 1.35))
    assert play.brief("predicted")[0][0] == pytest.approx(early_s - 300.0, abs=1.0)


@pytest.mark.parametrize(("band", "said"), [("earliest", "at the latest 90 s"), ("latest", "")])
def test_a_trip_tells_how_late_it_might_have_been(band: str, said: str) -> None:
    """At 2 x: 30 s at the earliest, 120 s at the latest."""
    play = Play(site_of(rack(curve="thermal-magnetic", band=band)))
    play.until(130.0, load(2.0))
    (trip,) = [event for event in play.events if event.kind == "trip"]
    assert trip.time_s == (30.0 if band == "earliest" else 120.0)
    assert (said in trip.message) if said else ("latest" not in trip.message)


def test_it_recloses_after_its_repair_and_remembers() -> None:
    """Tripped at 10 s with the heat of its pick-up, closed again at 14 s with e^(-4 s / tau) of it:
    by the hot curve of IEC 60255-149 it then holds 1 - ln(4 / (4 - w)) / ln(4 / (4 - 1.5^2)) of
    its 10 s at twice the rating."""
    play = Play(site_of(rack(curve="quick", repair_after="4 s")))
    play.until(30.0, load(2.0))
    warmth = 1.5**2 * math.exp(-4.0 / time_constant_s(QUICK))
    held_s = 10.0 * (1.0 - math.log(4.0 / (4.0 - warmth)) / math.log(4.0 / (4.0 - 1.5**2)))
    assert 2.0 < held_s < 8.0
    trips = play.brief("trip")
    assert [t for t, _, _ in trips][:2] == pytest.approx([10.0, 14.0 + held_s], abs=0.26)
    assert play.brief("reclosed")[0] == (14.0, "reclosed", "rack")
    assert play.brief("restored")[0] == (14.0, "restored", "rack")


def test_a_flagged_trip_takes_nobody_down() -> None:
    play = Play(site_of(rack(curve="quick", on_trip="flag")))
    play.until(30.0, load(2.0))
    assert play.brief("trip", "dark") == [(10.0, "trip", "rack")]
    assert play.site.powered.all()


def test_what_the_limits_have_seen() -> None:
    play = Play(site_of(rack(curve="quick")))
    play.until(30.0, load(2.0))
    rows: list[dict[str, Any]] = [{} for _ in play.site.topology.names]
    play.site.limits.annotate(rows)
    assert rows[1] == {
        "trips": 1, "time_over_limit_s": 10.0, "min_margin_w": -1000.0, "binding": "rack",
    }  # fmt: skip
    assert rows[0]["binding"] is None
    assert rows[2]["binding"] == "rack"


def test_a_curve_that_rises_is_refused() -> None:
    with pytest.raises(ValueError, match="falling seconds"):
        Breaker(points=((1.2, 10.0), (2.0, 20.0)))
    with pytest.raises(ValueError, match="below 1"):
        Breaker(points=((0.9, 100.0), (2.0, 20.0)))
    with pytest.raises(ValueError, match="falling"):
        Curve(name="x", title="", points=((2.0, 9.0), (1.5, 8.0)), source="")
