"""Trip times of whole sites against closed forms: constant, stepped and cycling loads; bands,
electronic units, predictions, reclosing."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.facility.breakers import (
    COOLING_TIME_S,
    Breakers,
    curve_of,
    electronic_curve,
    in_band,
    trip_time_s,
)
from dcsim.scenario.catalogue import Curve, load_catalogue
from dcsim.scenario.models import Breaker, Electronic, FacilityNode
from tests.facility.diagrams import QUICK, Play, node, site_of

CURVES = load_catalogue().curves
BANDED = sorted(name for name, curve in CURVES.items() if curve.earliest is not None)


def rack(**breaker: Any) -> list[FacilityNode]:
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
    """8 s of 20 s at 1.5 x, then what is left of 10 s at 2 x."""
    play = Play(site_of(rack(curve="quick"), step_s=step_s), step_s)
    play.until(8.0, load(1.5))
    play.until(60.0, load(2.0))
    ((time_s, _, _),) = play.brief("trip")
    assert time_s == pytest.approx(8.0 + 10.0 * (1 - 8 / 20), abs=step_s + 1e-9)


@pytest.mark.parametrize("step_s", [0.1, 0.25, 1.0])
def test_cycling(step_s: float) -> None:
    """2 s on at 2 x (a fifth of its life), 120 s off: cooled by d each time, the life used after
    n turns is (1 - d^n) / (1 - d) / 5, and it trips in the first turn that reaches 1."""
    on_s, off_s = 2.0, 120.0
    decay = math.exp(-off_s / COOLING_TIME_S)
    used = [0.2 * (1 - decay**n) / (1 - decay) for n in range(50)]
    turn = next(n for n, value in enumerate(used) if value >= 1.0)
    want_s = (turn - 1) * (on_s + off_s) + (1.0 - used[turn - 1] * decay) * 10.0
    play = Play(site_of(rack(curve="quick"), step_s=step_s), step_s)
    while not play.brief("trip"):
        play.until(play.now_s + on_s, load(2.0))
        if not play.brief("trip"):
            play.until(play.now_s + off_s, load(0.5))
    ((time_s, _, _),) = play.brief("trip")
    assert time_s == pytest.approx(want_s, abs=step_s + 1e-6)
    assert time_s == pytest.approx(want_s, rel=0.01)


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from([*sorted(CURVES), "electronic"]),
    st.sampled_from(["earliest", "typical", "latest"]),
    st.lists(st.floats(0.0, 0.9999), min_size=1, max_size=20),
)
def test_never_below_the_continuous_rating(name: str, band: str, shares: list[float]) -> None:
    keys: dict[str, Any] = {"electronic": {}} if name == "electronic" else {"curve": name}
    breakers = Breakers([curve_of(Breaker(**keys, band=band), CURVES)], [1000.0])  # type: ignore[arg-type]
    for share in shares:
        for step_s in (0.25, 3600.0, 86400.0):
            assert not len(breakers.step(load(share), step_s))
    assert breakers.used[0] == 0.0


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
    assert float(trip_time_s(electronic_curve(unit), multiple)) == pytest.approx(want_s, rel=1e-6)
    early_s = float(trip_time_s(electronic_curve(unit, 0.0), multiple))
    assert early_s == pytest.approx(0.8 * want_s, rel=1e-6)


def test_short_time_and_instantaneous() -> None:
    curve = electronic_curve(Electronic())
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
        site = site_of(rows)
        site._seed = np.random.SeedSequence(seed)
        return [site._draw(f"rack-{i}") for i in range(1, 9)]

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
    assert play.site.trip_in_s() == {"rack": pytest.approx(6.0)}
    play.until(60.0, load(2.0))
    assert play.brief("trip") == [(10.0, "trip", "rack")]


def test_a_prediction_ends_when_the_load_has_fallen() -> None:
    play = Play(site_of(rack(curve="quick")))
    play.until(4.0, load(2.0))
    play.until(100.0, load(0.7))
    cleared = [e for e in play.events if e.kind == "cleared" and "trip" in e.message]
    assert [e.time_s for e in cleared] == [4.0 + 60.0]
    assert play.site.trip_in_s() == {"rack": math.inf}


def test_far_trips_are_not_predicted() -> None:
    play = Play(site_of(rack(curve="thermal-magnetic"), limits={"predict_within": "30 s"}))
    play.until(60.0, load(1.5))  # trips after 24 min
    assert play.brief("predicted") == []


def test_it_recloses_after_its_repair_and_remembers() -> None:
    """Tripped at 10 s, closed again at 70 s with e^-0.1 of its life used: at twice the rating it
    then holds (1 - e^-0.1) of its 10 s."""
    play = Play(site_of(rack(curve="quick", repair_after="60 s")))
    play.until(90.0, load(2.0))
    trips = play.brief("trip")
    assert [t for t, _, _ in trips] == pytest.approx(
        [10.0, 70.0 + 10.0 * (1 - math.exp(-0.1))], abs=0.26
    )
    assert play.brief("reclosed")[0] == (70.0, "reclosed", "rack")
    assert play.brief("restored")[0] == (70.0, "restored", "rack")


def test_a_flagged_trip_takes_nobody_down() -> None:
    play = Play(site_of(rack(curve="quick", on_trip="flag")))
    play.until(30.0, load(2.0))
    assert play.brief("trip", "dark") == [(10.0, "trip", "rack")]
    assert play.site.powered.all()


def test_what_the_limits_have_seen() -> None:
    play = Play(site_of(rack(curve="quick")))
    play.until(30.0, load(2.0))
    rows: list[dict[str, Any]] = [{} for _ in play.site.topology.names]
    play.site.annotate(rows)
    assert rows[1] == {
        "trips": 1, "time_over_limit_s": 10.0, "min_margin_w": -1000.0, "binding": "rack",
    }  # fmt: skip
    assert rows[0]["binding"] is None
    assert rows[2]["binding"] == "rack"
    assert play.site.binding(0) == ("rack", 1000.0)


def test_a_curve_that_rises_is_refused() -> None:
    with pytest.raises(ValueError, match="falling seconds"):
        Breaker(points=((1.2, 10.0), (2.0, 20.0)))
    with pytest.raises(ValueError, match="below 1"):
        Breaker(points=((0.9, 100.0), (2.0, 20.0)))
    with pytest.raises(ValueError, match="falling"):
        Curve(name="x", title="", points=((2.0, 9.0), (1.5, 8.0)), source="")
