"""Batteries against closed forms: how long they carry, what they shave, what they take."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.scenario.models import FacilityNode
from tests.facility.diagrams import Play, node, site_of


def rows(**battery: object) -> list[FacilityNode]:
    """One server of 1 kW behind a UPS with a battery of 10 Wh: 36 s."""
    keys = {"energy": "10 Wh", "power": "2 kW", **battery}
    return [
        node("site", "site"),
        node("ups", "ups", "site", battery=keys),
        node("server", "server", "ups", group="g"),
    ]


KW = np.array([1000.0])
LOST = [{"at": "10 s", "fail": "site"}]


@pytest.mark.parametrize("step_s", [0.1, 0.25, 1.0])
@pytest.mark.parametrize("initial", [1.0, 0.5])
def test_it_carries_for_energy_over_load(step_s: float, initial: float) -> None:
    play = Play(site_of(rows(initial=initial), faults=LOST, step_s=step_s), step_s)
    loads = play.until(10.0 + step_s, KW)
    assert loads["site"] == loads["ups"] == 0.0
    play.until(100.0, KW)
    (carry, dark) = [e.time_s for e in play.events if e.kind in ("on-battery", "depleted")]
    assert carry == 10.0
    assert dark == pytest.approx(10.0 + 36.0 * initial, abs=step_s + 1e-9)
    assert not play.site.powered.any()


def test_asked_for_more_than_its_power_it_gives_up_at_once() -> None:
    play = Play(site_of(rows(power="900 W"), faults=LOST))
    play.until(20.0, KW)
    assert play.brief("depleted") == [(10.25, "depleted", "ups")]


def test_without_ride_through_it_does_not_carry() -> None:
    play = Play(site_of(rows(ride_through=False), faults=LOST))
    play.until(10.0, KW)
    assert not play.site.powered.any()


def test_back_on_supply_it_recharges_with_its_efficiency() -> None:
    faults = [{"at": "10 s", "fail": "site", "repair_after": "18 s"}]
    play = Play(site_of(rows(charge="500 W", efficiency=0.8), faults=faults))
    play.until(28.0, KW)
    assert play.site.flow.batteries.charge[0] == pytest.approx(0.5)
    assert play.step(KW)["site"] == 1500.0
    # 18 kJ are lacking, and 500 W store 400 W.
    play.until(28.0 + 45.0, KW)
    assert play.site.flow.batteries.charge[0] == pytest.approx(1.0)
    assert play.step(KW)["site"] == pytest.approx(1000.0)
    assert play.site.powered.all()


def test_it_shaves_to_its_threshold_down_to_its_reserve() -> None:
    play = Play(site_of(rows(shave_above="600 W", reserve=0.5)))
    loads = play.step(KW)
    assert loads["site"] == 600.0
    # 18 kJ above the reserve at 400 W: 45 s.
    shaved = 1
    while play.step(KW)["site"] < 999.0:
        shaved += 1
    assert shaved == 180
    assert play.site.flow.batteries.charge[0] == pytest.approx(0.5)


def test_shaving_never_gives_more_than_its_power() -> None:
    play = Play(site_of(rows(shave_above="100 W", power="300 W")))
    assert play.step(KW)["site"] == 700.0


def test_recharging_stays_below_the_threshold() -> None:
    play = Play(site_of(rows(shave_above="600 W", charge="5 kW", initial=0.0)))
    assert play.step(np.array([450.0]))["site"] == pytest.approx(600.0)


def test_a_battery_at_a_rack_carries_only_the_rack() -> None:
    diagram = [
        node("site", "site"),
        node("row", "row", "site"),
        node("rack-a", "rack", "row", battery={"energy": "10 Wh", "power": "2 kW"}),
        node("rack-b", "rack", "row"),
        node("server-a", "server", "rack-a", group="g"),
        node("server-b", "server", "rack-b", group="g"),
    ]
    play = Play(site_of(diagram, faults=[{"at": "1 s", "fail": "row"}]))
    play.until(2.0, np.array([1000.0, 1000.0]))
    assert play.site.powered.tolist() == [True, False]
