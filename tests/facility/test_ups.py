"""UPS by hand: rated at the output, overload tables, static bypass, and even lines at the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dcsim.facility.curves import trip_time_s
from dcsim.facility.losses import LossLine
from dcsim.hardware.catalogue import load_catalogue
from dcsim.hardware.curves import table_points
from dcsim.scenario.models import FacilityNode
from tests.facility.diagrams import Play, diagrams, line_w, node, site_of

CURVES = load_catalogue().curves
LOSSES = load_catalogue().losses
TABLE = [[1.1, 40], [1.25, 20], [1.5, 10], [2.0, 1]]


def behind_a_ups(**ups: Any) -> list[FacilityNode]:
    keys = {"rating": "10 kW", "breaker": {"points": TABLE}, **ups}
    return [
        node("site", "site"),
        node("utility", "utility", "site"),
        node("ups", "ups", "utility", **keys),
        node("server", "server", "ups", group="g"),
    ]


UPS = "utility/ups"


def kw(load: float) -> np.ndarray:
    return np.array([1e3 * load])


# --- rated at its output ---------------------------------------------------------------------


def test_a_ups_is_rated_at_its_output() -> None:
    """9.7 kW out of 10 kW is no overload, whatever it draws with its losses and its charging."""
    battery = {"energy": "10 kWh", "power": "12 kW", "charge": "2 kW", "initial": 0.5}
    play = Play(site_of(behind_a_ups(losses="ups-double-conversion", battery=battery)))
    loads = play.until(120.0, kw(9.7))
    assert loads[UPS] > 12000.0
    assert play.brief("overload", "trip") == []
    play.until(130.0, kw(10.3))
    assert play.brief("overload") == [(120.25, "overload", UPS)]
    assert play.events[-1].load_w == pytest.approx(10300.0)


def test_a_transformer_is_rated_at_its_output() -> None:
    rows = [
        node("site", "site"),
        node("t", "transformer", "site", rating="10 kW", losses="transformer-dry"),
        node("server", "server", "t", group="g"),
    ]
    play = Play(site_of(rows))
    assert play.until(5.0, kw(9.95))["t"] > 10000.0
    assert play.brief("overload") == []
    play.step(kw(10.05))
    assert len(play.brief("overload")) == 1


# --- overload tables -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("multiple", "held_s"),
    [
        (1.0, np.inf),
        (1.01, 3600.0),
        (1.1, 3600.0),
        (1.11, 600.0),
        (1.15, 600.0),
        (1.25, 600.0),
        (1.26, 60.0),
        (1.5, 60.0),
        (1.51, 0.2),
        (9.0, 0.2),
    ],
)
def test_the_shipped_table_is_read_up_to(multiple: float, held_s: float) -> None:
    assert float(trip_time_s(CURVES["ups-overload"], multiple)) == pytest.approx(held_s)


@settings(deadline=None)
@given(
    st.lists(st.floats(1.01, 4.0), min_size=2, max_size=6, unique_by=lambda m: round(m, 3)),
    st.lists(st.floats(0.1, 5000.0), min_size=6, max_size=6),
    st.floats(0.5, 5.0),
)
def test_a_table_holds_the_time_of_the_next_higher_load(
    multiples: list[float], times: list[float], load: float
) -> None:
    rows = list(zip(sorted(multiples), sorted(times, reverse=True), strict=False))
    assume(all(abs(load / multiple - 1) > 1e-6 for multiple, _ in [*rows, (1.0, 0.0)]))
    curve = CURVES["ups-overload"].model_copy(update={"points": table_points(tuple(rows))})
    begins = rows[0][0] if rows[0][1] == rows[1][1] else 1.0
    if load < begins:
        expected = np.inf
    else:
        expected = next((held for multiple, held in rows if load < multiple), rows[-1][1])
    assert float(trip_time_s(curve, load)) == pytest.approx(expected, rel=1e-9)


def test_plateaus_are_taken_and_read() -> None:
    """Up to 125 % one minute, up to 150 % half, entered as plateaus, as some makers draw them."""
    points = [[1.02, 60], [1.25, 60], [1.251, 30], [1.5, 30], [1.51, 0.2]]
    for load, held_s in ((1.15, 60.0), (1.02, np.inf), (1.2505, 30.0), (1.4, 30.0)):
        play = Play(site_of(behind_a_ups(breaker={"points": points})))
        play.until(70.0, kw(10 * load))
        trips = [time_s for time_s, _, _ in play.brief("trip")]
        assert trips == ([held_s] if np.isfinite(held_s) else [])


def test_a_line_may_be_asked_for_and_is_the_rule_elsewhere() -> None:
    points = [[1.1, 40], [1.5, 10]]
    between = float(np.exp(np.interp(np.log(1.3), np.log([1.1, 1.5]), np.log([40, 10]))))
    asked = behind_a_ups(breaker={"points": points, "reading": "line", "preload": 0})
    row = [
        node("site", "site"),
        node("ups", "row", "site", rating="10 kW", breaker={"points": points, "preload": 0}),
        node("server", "server", "ups", group="g"),
    ]
    for rows in (asked, row):
        play = Play(site_of(rows))
        play.until(60.0, kw(13))
        ((trip_s, _, _),) = play.brief("trip")
        assert trip_s == pytest.approx(between, abs=0.25)


# --- bypass ----------------------------------------------------------------------------------


def test_an_overload_in_line_mode_goes_to_the_bypass_and_comes_back() -> None:
    losses = "ups-double-conversion"
    play = Play(site_of(behind_a_ups(losses=losses)))
    play.until(20.0, kw(12))
    assert play.brief("trip", "bypass", "dark") == [
        (20.0, "trip", UPS),
        (20.0, "bypass", UPS),
    ]
    # On the bypass path it loses what the economy mode does.
    loads = play.step(kw(12))
    line = LossLine(LOSSES["ups-eco"])
    around_w = float(line.loss_w(kw(12), kw(10))[0])
    assert loads[UPS] == pytest.approx(12000.0 + around_w)
    assert loads["utility/ups/server"] == 12000.0
    play.until(30.0, kw(12))
    play.until(89.75, kw(9))
    assert bool(play.site.supply.bypass.any())
    play.until(92.0, kw(9))
    assert not play.site.supply.bypass.any()
    assert (90.0, "cleared", UPS) in play.brief("cleared")
    assert play.site.powered.all()


@pytest.mark.parametrize("bypass", [True, False])
def test_on_battery_an_overload_drops_the_load_at_the_tables_time(bypass: bool) -> None:
    """140 % for 10 s by its table, with the utility lost; then nothing until the supply is back."""
    battery = {"energy": "10 kWh", "power": "20 kW"}
    rows = behind_a_ups(battery=battery, bypass=bypass)
    faults = [{"at": "5 s", "fail": "utility", "repair_after": "200 s"}]
    play = Play(site_of(rows, faults=faults))
    play.until(5.0, kw(7))
    loads = play.until(15.0, kw(14))
    assert loads[UPS] == 0.0  # the battery carries
    assert [(t, k) for t, k, _ in play.brief("overload", "trip")] == [
        (5.25, "overload"),
        (15.0, "trip"),
    ]
    assert not play.site.powered.any()
    play.until(204.0, kw(14))
    assert not play.site.powered.any()
    play.until(206.0, kw(7))
    # The supply is back: the bypass feeds the load; without one somebody must close it.
    assert play.site.powered.all() == bypass


def test_a_fault_goes_to_the_bypass_where_there_is_one() -> None:
    fault = {"at": "1 s", "fail": "ups", "repair_after": "10 s"}
    battery = {"energy": "10 kWh", "power": "20 kW"}
    play = Play(site_of(behind_a_ups(battery=battery), faults=[fault]))
    play.until(12.0, kw(5))
    assert [(t, k) for t, k, _ in play.brief("fault", "bypass", "repaired", "cleared", "dark")] == [
        (1.0, "fault"),
        (1.0, "bypass"),
        (11.0, "repaired"),
        (11.0, "cleared"),
    ]
    for whole in ({"bypass": False}, {"mode": "line-interactive"}, {}):
        broken = {**fault, "with_bypass": not whole}
        play = Play(site_of(behind_a_ups(battery=battery, **whole), faults=[broken]))
        play.until(2.0, kw(5))
        assert not play.site.powered.any()
        play.until(12.0, kw(5))
        assert [k for _, k, _ in play.brief("bypass", "repaired")] == ["repaired"]


def test_on_its_bypass_a_ups_rides_through_nothing() -> None:
    faults = [{"at": "1 s", "fail": "ups"}, {"at": "2 s", "fail": "utility", "repair_after": "2 s"}]
    battery = {"energy": "10 kWh", "power": "20 kW", "charge": "1 kW", "initial": 0.5}
    play = Play(site_of(behind_a_ups(battery=battery), faults=faults))
    play.until(1.0, kw(5))
    stored_j = play.site.flow.batteries.stored_j.copy()
    play.until(2.0, kw(5))
    assert not play.site.powered.any()
    play.until(5.0, kw(5))
    assert play.site.powered.all()
    assert play.site.flow.batteries.stored_j.tolist() == stored_j.tolist()


# --- lines -----------------------------------------------------------------------------------


def lines_above(rows: list[FacilityNode], name: str, server_w: np.ndarray) -> list[float]:
    site = site_of(rows)
    Play(site).step(server_w)
    phases, topology = site.flow.phases, site.topology
    assert phases is not None
    at = next(i for i, own in enumerate(topology.names) if own.split("/")[-1] == name)
    return line_w(phases, site.flow.node_w)[at].tolist()


def single_phase(above: str, **ups: Any) -> list[FacilityNode]:
    return [
        node("site", "site"),
        node("utility", "utility", "site", rating="90 kW"),
        node("ups", "ups", "utility", rating="100 kW", **ups),
        node("rack", "rack", "ups", count=3, phases=1),
        node("server", "server", "rack", group="g"),
    ]


def test_a_double_conversion_ups_draws_evenly() -> None:
    """30 + 30 + 0 kW below: 62.5 kW at 96 %, even, above; the output still feels 90 kW."""
    loads = np.array([30e3, 30e3, 0.0])
    losses = {"losses": "ups-double-conversion"}
    input_w = 60e3 + float(LossLine(LOSSES["ups-double-conversion"]).loss_w(kw(60), kw(100))[0])
    assert lines_above(single_phase("ups", **losses), "utility", loads) == pytest.approx(
        [input_w / 3] * 3
    )
    site = site_of(single_phase("ups", **losses))
    Play(site).step(loads)
    felt = dict(zip(site.topology.names, site.felt_w.tolist(), strict=True))
    assert felt["utility"] == pytest.approx(input_w)
    assert felt[UPS] == pytest.approx(90e3)
    for passing in ({"mode": "eco"}, {"mode": "line-interactive"}):
        assert lines_above(single_phase("ups", **passing), "utility", loads) == [30e3, 30e3, 0.0]


def test_on_its_bypass_it_passes_its_lines_on() -> None:
    site = site_of(single_phase("ups"), faults=[{"at": "1 s", "fail": "ups"}])
    play = Play(site)
    loads = np.array([30e3, 30e3, 0.0])
    play.until(1.0, loads)
    assert site.felt_w[1] == pytest.approx(60e3)
    play.until(2.0, loads)
    assert site.felt_w[1] == pytest.approx(90e3)


def test_vars_end_at_a_double_conversion_ups() -> None:
    rows = [
        node("site", "site", apparent_rating="100 kVA"),
        node("ups", "ups", "site", apparent_rating="10 kVA"),
        node("server", "server", "ups", group="g", power_factor=0.8),
    ]
    site = site_of(rows)
    Play(site).step(kw(8))
    assert site.flow.phases is not None
    assert site.flow.phases.apparent_va(site.flow.node_w).tolist() == pytest.approx(
        [8000.0, 10000.0, 10000.0]
    )


def below_a_transformer(phases: int, phase: str, **keys: Any) -> list[FacilityNode]:
    return [
        node("site", "site"),
        node("t", "transformer", "site", **keys),
        node("rack", "rack", "t", phases=phases, phase=phase),
        node("server", "server", "rack", group="g"),
    ]


def current(rows: list[FacilityNode], name: str) -> list[float]:
    """Line currents of a node, as multiples of one load's watts over the line's voltage."""
    site = site_of(rows)
    Play(site).step(kw(1))
    phases = site.flow.phases
    assert phases is not None
    at = next(i for i, own in enumerate(site.topology.names) if own.split("/")[-1] == name)
    return np.abs(phases.spread[:, at]).tolist()


def test_a_two_pole_load_lies_between_its_lines() -> None:
    """P between two lines: P / (√3 V) on each, half of the watts on each."""
    rows = below_a_transformer(2, "L2-L3", winding="wye-wye")
    assert lines_above(rows, "site", kw(1)) == pytest.approx([0.0, 500.0, 500.0], abs=1e-9)
    assert current(rows, "site") == pytest.approx([0.0, 3**-0.5, 3**-0.5], abs=1e-12)
    # Three alike, one on each pair, are a balanced load.
    site = site_of(
        [
            node("site", "site", rating="3 kW"),
            node("rack", "rack", "site", count=3, phases=2),
            node("server", "server", "rack", group="g"),
        ]
    )
    Play(site).step(np.full(3, 1000.0))
    assert site.felt_w[0] == pytest.approx(3000.0)


def test_a_delta_winding_turns_what_is_below() -> None:
    """A line-to-neutral load of the wye is one between two lines of the delta; one between two
    lines gives currents of 1 : 2 : 1."""
    single = below_a_transformer(1, "L1")
    assert lines_above(single, "site", kw(1)) == pytest.approx([500.0, 500.0, 0.0], abs=1e-9)
    assert current(single, "site") == pytest.approx([3**-0.5, 3**-0.5, 0.0], abs=1e-12)
    pair = current(below_a_transformer(2, "L1-L2"), "site")
    assert pair == pytest.approx([1 / 3, 2 / 3, 1 / 3])


# --- whatever happens ------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(diagrams(lossy=True), st.integers(0, 1000))
def test_modes_of_supply(rows: list[FacilityNode], seed: int) -> None:
    """On line, on battery, on bypass, off: no load without a path, nothing drawn by what is off, a
    battery gives only on battery or when it shaves, and no output outlasts the table's time."""
    rows = [
        row.model_copy(
            update={
                "breaker": type(row.breaker or behind_a_ups()[2].breaker).model_validate(  # type: ignore[union-attr]
                    {"points": [[1.2, 4], [2.0, 1]]}
                )
            }
        )
        if row.kind == "ups"
        else row
        for row in rows
    ]
    site = site_of(rows)
    topology = site.topology
    assume(topology.server_count <= 30 and "ups" in topology.kinds)
    play, rng = Play(site), np.random.default_rng(seed)
    ups = topology.level("ups")
    over_s = np.zeros(len(ups))
    for _ in range(80):
        if rng.random() < 0.1:
            site.switching.faults.plan(play.now_s, "fail", int(rng.integers(len(topology.names))))
        if rng.random() < 0.1:
            site.restore(topology.names[rng.integers(len(topology.names))], play.now_s)
            over_s[:] = 0.0
        supply = site.supply
        fed, on, bypass = supply.fed.copy(), supply.energised.copy(), supply.bypass.copy()
        weight = supply.weight.copy()
        loads = play.step(rng.uniform(0, 30e3, topology.server_count) * site.powered)
        flow = site.flow
        output_w = flow.output_w
        node_w = np.array(list(loads.values()))
        assert (output_w[~on] < 1e-6).all()
        assert (node_w[~fed] < 1e-6).all()
        assert not (on & bypass & ~fed).any()
        for child, feeds in enumerate(topology.feeds):
            for slot, up in enumerate(feeds.tolist()):
                if up >= 0 and weight[child, slot] > 0:
                    assert on[up]
        given_w = flow.batteries.given_w
        assert (given_w[bypass[flow.battery_nodes]] == 0.0).all()
        # A load held above 120 % of the rating: one second, to the step, on the inverter.
        high = (output_w[ups] > 1.2 * 30e3) & ~bypass[ups]
        over_s = np.where(high, over_s + 0.25, 0.0)
        assert (over_s <= 1.0 + 1e-9).all()
