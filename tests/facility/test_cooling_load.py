"""Where the cooling plant hangs, who feels it, and what its loss is called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dcsim.scenario.models import Cooling, FacilityNode
from tests.facility.diagrams import Play, node, site_of

LOADS_W = np.array([1000.0, 1000.0, 1000.0, 1000.0, 800.0])
"""Four servers on two cords, one on line A alone: A carries 2,800 W, B 2,000 W."""


def hall(**ups: Any) -> list[FacilityNode]:
    rows = [node("site", "site")]
    for line in "ab":
        rows += [
            node(f"utility-{line}", "utility", "site"),
            node(f"ups-{line}", "ups", f"utility-{line}", **ups),
        ]
    return [
        *rows,
        node("row", "row", ["ups-a", "ups-b"]),
        node("server", "server", "row", count=4, group="g"),
        node("single", "server", "ups-a", group="g"),
    ]


def loads(
    cooling: dict[str, Any], *faults: dict[str, Any], until_s: float = 1.0
) -> dict[str, float]:
    play = Play(site_of(hall(), cooling={"pue": 1.25, **cooling}, faults=list(faults)))
    found = play.until(until_s, LOADS_W)
    return {name.split("/")[-1]: load_w for name, load_w in found.items()}


def test_by_default_the_utilities_feel_it_as_they_carry() -> None:
    found = loads({})
    assert found["utility-a"] == pytest.approx(2800 * 1.25)
    assert found["utility-b"] == pytest.approx(2000 * 1.25)
    assert found["ups-a"] == 2800.0
    assert found["site"] == pytest.approx(4800 * 1.25)


@pytest.mark.parametrize(
    ("at", "a_w"),
    [
        ("utility-b", 0.0),
        (["utility-a"], 1200.0),
        (["utility-a", "utility-b"], 1200.0 * 2800 / 4800),
        ({"utility-a": 0.25, "utility-b": 0.75}, 300.0),
        ({"utility-b": 1.0}, 0.0),
    ],
)
def test_several_nodes_with_shares(at: Any, a_w: float) -> None:
    found = loads({"at": at})
    assert found["utility-a"] - 2800.0 == pytest.approx(a_w)
    assert found["utility-b"] - 2000.0 == pytest.approx(1200.0 - a_w)


@pytest.mark.parametrize("at", [None, {"utility-a": 0.75, "utility-b": 0.25}])
def test_the_survivor_takes_all_of_it(at: Any) -> None:
    fault = {"at": "1 s", "fail": "utility-a"}
    found = loads({} if at is None else {"at": at}, fault, until_s=2.0)
    assert found["utility-a"] == 0.0
    assert found["utility-b"] == pytest.approx(4000 * 1.25)


def test_the_lowest_source_is_meant() -> None:
    rows = [
        node("site", "site"),
        node("utility", "utility", "site", rating="100 kW"),
        node("t", "transformer", "utility", count=2),
        node("server", "server", "t", count=2, group="g"),
    ]
    site = site_of(rows, cooling={"pue": 1.5})
    found = Play(site).step(np.array([100.0, 200.0, 300.0, 400.0]))
    assert (found["utility/t-1"], found["utility/t-2"]) == (450.0, 1050.0)
    assert found["utility"] == 1500.0
    plain = [node("site", "site"), node("server", "server", "site", group="g")]
    assert Play(site_of(plain, cooling={"pue": 1.5})).step(np.array([100.0]))["site"] == 150.0


def test_a_plant_without_power_is_told_and_no_saving() -> None:
    """UPS carry the servers, nothing carries the plant: 1.25 stays 1.25."""
    battery = {"energy": "1 kWh", "power": "9 kW"}
    faults = [
        {"at": "10 s", "fail": "utility-a", "repair_after": "10 s"},
        {"at": "10 s", "fail": "utility-b", "repair_after": "20 s"},
    ]
    play = Play(site_of(hall(battery=battery), cooling={"pue": 1.25}, faults=faults))
    play.until(40.0, LOADS_W)
    told = [(t, k) for t, k, n in play.brief("cooling-lost", "cleared")]
    assert told == [(10.25, "cooling-lost"), (20.25, "cleared")]
    (lost,) = [e for e in play.events if e.kind == "cooling-lost"]
    assert "4.8 kW" in lost.message
    figures = play.site.figures()
    assert figures["pue"] == pytest.approx(1.25)
    assert figures["cooling_lost_s"] == pytest.approx(10.0)


def test_a_battery_that_carries_is_no_saving_either() -> None:
    """What it gives was drawn before: the PUE is of what is used, not of what comes in."""
    rows = [
        node("site", "site"),
        node("ups", "ups", "site", battery={"energy": "1 kWh", "power": "9 kW"}),
        node("server", "server", "ups", group="g"),
    ]
    play = Play(site_of(rows, faults=[{"at": "10 s", "fail": "site"}]))
    play.until(100.0, np.array([1000.0]))
    figures = play.site.figures()
    assert figures["pue"] == pytest.approx(1.0)
    assert figures["cooling_lost_s"] is None
    assert (figures["grid_wh"] or 0.0) == pytest.approx(1000 * 10 / 3600)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ([], "names no node"),
        (["a", "a"], "names a node twice"),
        ({"a": 0.5, "b": 0.4}, "must sum to 1"),
    ],
)
def test_places_that_cannot_be_meant(at: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cooling.model_validate({"pue": 1.2, "at": at})
