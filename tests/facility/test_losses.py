"""Losses, cooling and the balance of energies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dcsim.facility.cooling import CoolingLaw
from dcsim.facility.losses import LossLine
from dcsim.hardware.catalogue import load_catalogue
from dcsim.scenario.models import Cooling, FacilityNode
from tests.facility.diagrams import Play, alive, diagrams, node, site_of, two_lines

CURVES = load_catalogue().losses
ONE = np.array([1.0])


@pytest.mark.parametrize("name", sorted(CURVES))
def test_a_loss_line_meets_its_curve(name: str) -> None:
    line = LossLine(CURVES[name])
    for share, efficiency in CURVES[name].points:
        out = share * 5e5 * ONE
        lost = line.loss_w(out, 5e5 * ONE)
        assert (out / (out + lost))[0] == pytest.approx(efficiency, rel=1e-12)
    grid = np.linspace(0, 2, 500) * 5e5
    lost = line.loss_w(grid, np.full(500, 5e5))
    assert (lost >= 0).all()
    assert (np.diff(grid + lost) > 0).all()  # more out, more in


def test_transformers_lose_what_their_equation_says() -> None:
    """No-load plus load loss times load squared, equal at the point the law names (35 %): between
    the shipped points a straight line, so within 2 % of the loss."""
    at, efficiency = 0.35, 0.9923
    no_load = at * (1 / efficiency - 1) / 2
    share = np.linspace(0.1, 1.2, 100)
    lost = LossLine(CURVES["transformer-dry"]).loss_w(share, np.ones(100))
    assert lost == pytest.approx(no_load * (1 + (share / at) ** 2), rel=0.05)


def test_losses_stand_between_a_parent_and_its_children() -> None:
    rows = [
        node("site", "site"),
        node("ups", "ups", "site", rating="10 kW", losses="ups-double-conversion"),
        node("server", "server", "ups", count=2, group="g"),
    ]
    loads = Play(site_of(rows)).step(np.array([2000.0, 3000.0]))
    assert loads["ups"] == pytest.approx(5000 / 0.9645, rel=1e-12)  # 96.45 % at half load
    assert loads["site"] == loads["ups"]


def test_live_without_load_it_still_loses_and_dead_it_does_not() -> None:
    rows = two_lines(rating="10 kW", losses="ups-double-conversion")
    play = Play(site_of(rows, faults=[{"at": "1 s", "fail": "ups-a"}]))
    none = np.zeros(5)
    loads = play.until(1.0, none)
    assert loads["ups-a"] == loads["ups-b"] > 0
    loads = play.until(2.0, none)
    assert loads["ups-a"] == 0.0
    assert loads["site"] == loads["ups-b"] > 0


def test_losing_a_feed_doubles_the_other_less_what_losses_do() -> None:
    rows = two_lines(rating="10 kW", losses="ups-double-conversion")
    play = Play(site_of(rows, faults=[{"at": "1 s", "fail": "ups-a"}]))
    server_w = np.array([1000.0, 1100.0, 1200.0, 1300.0, 0.0])
    line = LossLine(CURVES["ups-double-conversion"])
    before, after = play.until(1.0, server_w)["ups-b"], play.until(2.0, server_w)["ups-b"]
    for drawn_w, out_w in ((before, 2300.0), (after, 4600.0)):
        assert drawn_w == pytest.approx(out_w + line.loss_w(out_w * ONE, 1e4 * ONE)[0], rel=1e-12)


@settings(deadline=None, max_examples=100)
@given(diagrams(lossy=True), st.data())
def test_energy_balances_at_every_node_and_over_the_run(
    rows: list[FacilityNode], data: st.DataObject
) -> None:
    """Random diagrams with losses, batteries, cooling, faults and repairs: at every step a node
    draws what its children, its loss, its own load and its battery take; over the run what came
    in is what went out, to 1e-9."""
    site = site_of(rows, cooling={"pue": 1.3})
    topology = site.topology
    assume(topology.server_count <= 40)
    names = topology.names
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    grid_j = out_j = 0.0
    stored_j = site.flow.batteries.stored_j.sum()
    play = Play(site)
    for _ in range(60):
        if rng.random() < 0.1:
            node_name = names[rng.integers(len(names))]
            site.switching.faults.plan(play.now_s, "fail", topology.index[node_name])
        if rng.random() < 0.05:
            site.restore(names[rng.integers(len(names))], play.now_s)
        server_w = rng.uniform(0, 6000, topology.server_count) * site.powered
        weight, fed = site.supply.weight.copy(), site.supply.fed.copy()
        loads = play.step(server_w)
        flow = site.flow
        below = np.zeros(len(names))
        for child, feeds in enumerate(topology.feeds):
            for slot, up in enumerate(feeds.tolist()):
                if up >= 0:
                    below[up] += weight[child, slot] * loads[names[child]]
        below[topology.server_nodes] += server_w
        want = below + flow.loss_w + flow.own_w + flow.battery_w
        got = np.array([loads[name] for name in names])
        assert got == pytest.approx(want, rel=1e-12, abs=1e-6)
        assert got[~fed] == pytest.approx(0.0, abs=1e-6)  # without supply nothing is drawn
        grid_j += got[0] * 0.25
        out_j += (server_w.sum() + flow.loss_w.sum() + flow.own_w.sum()) * 0.25
    batteries = site.flow.batteries
    figures = site.figures()
    charged_j = (figures["charged_wh"] or 0.0) * 3600
    discharged_j = (figures["discharged_wh"] or 0.0) * 3600
    assert grid_j + discharged_j == pytest.approx(out_j + charged_j, rel=1e-9, abs=1e-6)
    assert (figures["grid_wh"] or 0.0) * 3600 == pytest.approx(grid_j, rel=1e-9, abs=1e-3)
    gained_j = batteries.stored_j.sum() - stored_j
    assert gained_j == pytest.approx(0.9 * charged_j - discharged_j, rel=1e-9, abs=1e-3)


# --- cooling ---------------------------------------------------------------------------------


def test_constant_pue_is_a_load_of_the_site() -> None:
    play = Play(site_of(two_lines(), cooling={"pue": 1.25}))
    loads = play.step(np.full(5, 1000.0))
    assert loads["ups-a"] + loads["ups-b"] == 5000.0
    assert loads["site"] == 6250.0
    assert play.site.figures()["pue"] == pytest.approx(1.25)


def test_the_plant_hangs_where_the_scenario_says() -> None:
    play = Play(site_of(two_lines(), cooling={"pue": 1.1, "at": "ups-b"}))
    loads = play.step(np.full(5, 1000.0))
    assert loads["ups-b"] == pytest.approx(2000.0 + 500.0)
    assert loads["site"] == pytest.approx(5500.0)


def test_pue_by_load_and_weather(tmp_path: Path) -> None:
    weather = tmp_path / "weather.csv"
    weather.write_text("time_s,temperature_c\n0,10\n100,20\n200,40\n")
    keys: dict[str, Any] = {
        "by_load": [[0.2, 1.6], [0.6, 1.2]],
        "design_load": "10 kW",
        "by_temperature": [[10, 0.5], [30, 1.5]],
        "weather": str(weather),
    }
    cooling = CoolingLaw(Cooling.model_validate(keys))
    assert cooling.pue(0.0, 6000.0) == pytest.approx(1 + 0.2 * 0.5)
    assert cooling.pue(100.0, 4000.0) == pytest.approx(1 + 0.4 * 1.0)
    assert cooling.pue(50.0, 4000.0) == pytest.approx(1 + 0.4 * 0.75)  # 15 C
    assert cooling.pue(1e6, 100.0) == pytest.approx(1 + 0.6 * 1.5)  # the ends are held
    assert cooling.load_w(100.0, 4000.0) == pytest.approx(1600.0)


def test_weather_by_the_clock(tmp_path: Path) -> None:
    """A day of weather, read at the time of day, each day anew; longer ones from the first midnight
    on; without a start, from the start of the run."""
    weather = tmp_path / "weather.csv"
    weather.write_text("time_s,temperature_c\n0,10\n36000,10\n50400,30\n86400,10\n")
    keys: dict[str, Any] = {
        "pue": 1.2,
        "by_temperature": [[10, 0.5], [30, 1.5]],
        "weather": str(weather),
    }
    spec = Cooling.model_validate(keys)
    assert CoolingLaw(spec, 50400.0).pue(0.0, 1.0) == pytest.approx(1.3)
    assert CoolingLaw(spec, 36000.0).pue(14400.0, 1.0) == pytest.approx(1.3)
    assert CoolingLaw(spec, 50400.0).pue(86400.0, 1.0) == pytest.approx(1.3)
    assert CoolingLaw(spec).pue(0.0, 1.0) == pytest.approx(1.1)
    weather.write_text("time_s,temperature_c\n0,10\n100000,10\n100001,30\n")
    assert CoolingLaw(Cooling.model_validate(keys), 50400.0).pue(60000.0, 1.0) == pytest.approx(1.3)


def test_a_dead_site_cools_nothing() -> None:
    play = Play(site_of(two_lines(), cooling={"pue": 1.5}, faults=[{"at": "1 s", "fail": "site"}]))
    play.until(1.0, np.full(5, 1000.0))
    assert alive(play.site, {"site"}) == set()
    assert play.step(np.full(5, 1000.0))["site"] == 0.0
