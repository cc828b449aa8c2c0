"""Gaps of switches against what servers' power supplies hold, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dcsim.facility.hold_up import HoldUp
from dcsim.facility.inputs import SiteInputs
from dcsim.facility.site import ElectricalSite
from dcsim.plant.topology import Topology
from dcsim.scenario.models import FacilityNode, Fault, Restart
from tests.facility.diagrams import Play, catalogue, node

LOST = {"at": "1 s", "fail": "pdu-a"}


def on_a_switch(transfer: str, **switch: Any) -> list[FacilityNode]:
    return [
        node("site", "site"),
        node("pdu-a", "pdu", "site"),
        node("pdu-b", "pdu", "site"),
        node("rack", "rack", ["pdu-a", "pdu-b"], transfer=transfer, **switch),
        node("server", "server", "rack", count=2, group="g"),
    ]


def played(rows: list[FacilityNode], fault: dict[str, Any], held_s: list[float]) -> Play:
    """Two servers whose supplies hold so long, and come back at once."""
    hold = np.array(held_s)
    inputs = SiteInputs(
        Topology.build(rows),
        catalogue(),
        0.25,
        faults=[Fault.model_validate(fault)],
        restart=Restart.model_validate({"boot": "2 s", "inrush": 1.0}),
        hold_up=HoldUp(hold, hold, np.ones(2)),
    )
    return Play(ElectricalSite(inputs))


@pytest.mark.parametrize(
    ("transfer", "switch", "gap_s"),
    [
        ("primary", {}, 0.010),
        ("static", {}, 0.004),
        ("primary", {"transfer_time": "15 ms"}, 0.015),
        ("static", {"transfer_time": "100 ms"}, 0.1),
    ],
)
def test_a_gap_longer_than_the_hold_up_drops_the_server(
    transfer: str, switch: dict[str, Any], gap_s: float
) -> None:
    play = played(on_a_switch(transfer, **switch), LOST, [gap_s - 1e-4, gap_s + 1e-4])
    play.until(1.0, np.ones(2))
    assert play.site.powered.tolist() == [False, True]
    assert play.site.ready.tolist() == [False, True]
    (dark,) = [e for e in play.events if e.kind == "dark" and "lost power:" in e.message]
    assert (dark.time_s, dark.node) == (1.0, "rack")
    assert dark.message.startswith("1 server lost power: ")
    loads = play.step(np.ones(2))  # the switch has done its work long before the step is over
    assert loads["rack"] == 1.0
    assert play.site.powered.all()
    play.until(3.0, np.ones(2))
    assert play.site.ready.tolist() == [False, True]
    play.until(3.25, np.ones(2))
    assert play.site.ready.all()


def test_two_cords_know_no_gap() -> None:
    play = played(on_a_switch("share"), LOST, [0.0, 0.0])
    play.until(3.0, np.ones(2))
    assert play.site.ready.all()


@pytest.mark.parametrize("bridges", [True, False])
def test_a_ups_below_a_slow_switch_bridges_it(bridges: bool) -> None:
    battery = {"battery": {"energy": "1 kWh", "power": "1 kW"}} if bridges else {}
    rows = [
        node("site", "site"),
        node("in-a", "utility", "site"),
        node("in-b", "utility", "site"),
        node("board", "switchgear", ["in-a", "in-b"], transfer="primary", transfer_time="100 ms"),
        node("ups", "ups", "board", **battery),
        node("server", "server", "ups", count=2, group="g"),
    ]
    play = played(rows, {"at": "1 s", "fail": "in-a"}, [0.05, 0.05])
    play.until(1.0, np.ones(2))
    assert play.site.powered.all() == bridges


@pytest.mark.parametrize(
    ("mode", "keys", "held_s", "rides"),
    [
        ("double-conversion", {}, 0.0001, True),
        ("eco", {}, 0.005, True),
        ("eco", {}, 0.003, False),
        ("line-interactive", {}, 0.007, True),
        ("line-interactive", {}, 0.005, False),
        ("line-interactive", {"transfer_time": "12 ms"}, 0.010, False),
    ],
)
def test_modes_that_switch_to_the_battery_leave_a_gap(
    mode: str, keys: dict[str, Any], held_s: float, rides: bool
) -> None:
    rows = [
        node("site", "site"),
        node("utility", "utility", "site"),
        node(
            "ups", "ups", "utility", mode=mode, battery={"energy": "1 kWh", "power": "1 kW"}, **keys
        ),
        node("server", "server", "ups", count=2, group="g"),
    ]
    play = played(rows, {"at": "1 s", "fail": "utility"}, [held_s] * 2)
    play.until(1.0, np.ones(2))
    assert play.site.powered.all() == rides


def test_hold_up_by_load() -> None:
    """Intel's supplies: 12 ms at 70 % load, 10 ms at 100 %."""
    hold = HoldUp(np.full(5, 0.012), np.full(5, 0.010), np.full(5, 10e3))
    loads_w = np.array([1e3, 7e3, 8.5e3, 10e3, 12e3])
    assert hold.at(loads_w) == pytest.approx([0.012, 0.012, 0.011, 0.010, 0.010])


def test_inrush_counts_for_as_long_as_it_lasts() -> None:
    """Four times for 50 ms of a step of 250 ms: 1.6 times in its mean."""
    inputs = SiteInputs(
        Topology.build(on_a_switch("share")),
        catalogue(),
        0.25,
        faults=[Fault.model_validate({"at": "1 s", "fail": "site", "repair_after": "1 s"})],
        restart=Restart(),
    )
    site = ElectricalSite(inputs)
    play = Play(site)
    assert play.until(2.25, np.full(2, 100.0))["site"] == pytest.approx(320.0)
    assert play.step(np.full(2, 100.0))["site"] == pytest.approx(200.0)
    assert site.powered.all() and not site.booted.any()
    play.until(302.0, np.full(2, 100.0))
    assert site.booted.all()
