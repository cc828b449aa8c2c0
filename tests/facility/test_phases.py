"""Three phases by hand: lines, imbalance, apparent power, and the worst pole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dcsim.arrays import FloatArray
from dcsim.facility.phases import Phases
from dcsim.facility.site import ElectricalSite
from dcsim.scenario.models import FacilityNode
from tests.facility.diagrams import Play, diagrams, line_w, node, site_of


def phases_of(site: ElectricalSite) -> Phases:
    found = site.flow.phases
    assert found is not None
    return found


def racks(count: int, **keys: object) -> list[FacilityNode]:
    return [
        node("site", "site"),
        node("row", "row", "site", **keys),
        node("rack", "rack", "row", count=count, phases=1, phase="auto"),
        node("server", "server", "rack", group="g", power_factor=0.8),
    ]


def imbalance(phases: Phases) -> FloatArray:
    """Largest deviation of a line's current from the mean of the three, over the mean (NEMA MG 1);
    0 for nodes on one line or two."""
    current = np.abs(phases.spread)
    mean = current.mean(axis=0)
    uneven: FloatArray = np.abs(current - mean).max(axis=0) / mean
    return np.where(phases.line >= 0, 0.0, uneven)


def test_racks_are_dealt_out_and_lines_add_up() -> None:
    play = Play(site_of(racks(4)))
    play.step(np.array([100.0, 200.0, 300.0, 400.0]))
    phases, topology = phases_of(play.site), play.site.topology
    lines_w = line_w(phases, play.site.flow.node_w)
    row = topology.index["row"]
    assert lines_w[row].tolist() == pytest.approx([500.0, 200.0, 300.0])
    assert lines_w[topology.index["row/rack-2"]].tolist() == [0.0, 200.0, 0.0]
    assert lines_w[topology.index["row/rack-2/server"]].tolist() == [0.0, 200.0, 0.0]
    # The mean is 333.3 W; L1 is half as much again.
    assert imbalance(phases)[row] == pytest.approx(0.5)
    assert imbalance(phases)[topology.index["row/rack-1"]] == 0.0
    # 1,000 W at 0.8 are 1,250 VA.
    assert phases.apparent_va(play.site.flow.node_w)[0] == pytest.approx(1250.0)


def test_a_line_of_ones_own() -> None:
    rows = racks(1)
    rows[2] = node("rack", "rack", "row", count=2, phases=1, phase="L3")
    play = Play(site_of(rows))
    play.step(np.array([100.0, 200.0]))
    assert line_w(phases_of(play.site), play.site.flow.node_w)[0].tolist() == [0.0, 0.0, 300.0]


def test_three_phase_servers_load_all_lines_alike() -> None:
    rows = [node("site", "site"), node("s", "server", "site", group="g", power_factor=0.9)]
    play = Play(site_of(rows))
    play.step(np.array([900.0]))
    assert line_w(phases_of(play.site), play.site.flow.node_w)[0] == pytest.approx([300.0] * 3)


def test_a_rating_must_bear_the_fullest_line() -> None:
    """Two racks of 400 W on L1 and L2 of a row rated 900 W: 300 W a line, 400 W on it. The sum is
    under the rating, the pole is not, and the breaker of twice that trips as at 4/3."""
    rows = racks(2, rating="900 W", breaker={"preload": 0, "points": [[1.3, 20], [1.5, 10]]})
    play = Play(site_of(rows))
    play.until(60.0, np.array([400.0, 400.0]))
    assert [e[1] for e in play.brief("overload", "trip")] == ["overload", "trip"]
    held_s = float(np.exp(np.interp(np.log(4 / 3), np.log([1.3, 1.5]), np.log([20, 10]))))
    assert play.brief("trip")[0][0] == pytest.approx(held_s, abs=0.25)
    balanced = Play(site_of(racks(3, rating="900 W")))
    balanced.until(60.0, np.array([266.0] * 3))
    assert balanced.brief("overload", "trip") == []


def test_apparent_ratings_feel_the_power_factor() -> None:
    rows = [
        node("site", "site", apparent_rating="1 kVA"),
        node("s", "server", "site", group="g", power_factor=0.8),
    ]
    play = Play(site_of(rows))
    assert play.site.topology.rating_w[0] == pytest.approx(800.0)
    play.step(np.array([790.0]))
    assert play.brief("overload") == []
    play.step(np.array([810.0]))
    assert play.brief("overload") == [(0.5, "overload", "site")]


@settings(deadline=None, max_examples=60)
@given(diagrams(lossy=True), st.lists(st.sampled_from(["auto", "L1", "L2", "L3"]), min_size=20))
def test_lines_sum_to_the_load_everywhere(rows: list[FacilityNode], deal: list[str]) -> None:
    single = [
        row.model_copy(update={"phases": 1, "phase": deal[i % 20]}) if row.kind == "rack" else row
        for i, row in enumerate(rows)
    ]
    assume(any(row.kind == "rack" for row in single))
    site = site_of(single, cooling={"pue": 1.2})
    assume(site.topology.server_count <= 40)
    play = Play(site)
    rng = np.random.default_rng(0)
    for _ in range(3):
        play.step(rng.uniform(0, 5000, site.topology.server_count))
        phases = phases_of(site)
        node_w = site.flow.node_w
        assert line_w(phases, node_w).sum(axis=1) == pytest.approx(node_w, rel=1e-12, abs=1e-9)
        assert (line_w(phases, node_w) >= -1e-9).all()
        assert (phases.worst_pole_w(node_w) >= node_w - 1e-9).all()
