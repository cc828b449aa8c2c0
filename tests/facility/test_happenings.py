"""Faults by list and by chance, staged restart, demand windows and ramps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.errors import SeriesError
from dcsim.facility.faults import Faults
from dcsim.plant.topology import Topology
from dcsim.scenario.models import FacilityNode
from dcsim.scenario.series import read_series
from tests.facility.diagrams import Play, node, site_of


def row_of(servers: int, **keys: Any) -> list[FacilityNode]:
    return [
        node("site", "site", **keys),
        node("row", "row", "site"),
        node("server", "server", "row", count=servers, group="g"),
    ]


# --- faults ----------------------------------------------------------------------------------


def test_two_faults_of_one_node_need_two_repairs() -> None:
    faults = [
        {"at": "1 s", "fail": "row", "repair_after": "5 s"},
        {"at": "2 s", "fail": "row", "repair_after": "2 s"},
    ]
    play = Play(site_of(row_of(1), faults=faults))
    play.until(10.0, np.ones(1))
    assert play.brief("dark", "restored") == [(1.0, "dark", "row"), (6.0, "restored", "row")]


def test_restoring_ends_all_faults() -> None:
    faults = [
        {"at": "1 s", "fail": "row"},
        {"at": "2 s", "fail": "row"},
        {"at": "4 s", "restore": "row"},
    ]
    play = Play(site_of(row_of(1), faults=faults))
    play.until(10.0, np.ones(1))
    assert play.brief("repaired", "restored") == [
        (4.0, "repaired", "row"),
        (4.0, "restored", "row"),
    ]


def calendar(rows: list[FacilityNode], seed: int, until_s: float) -> dict[str, list[float]]:
    topology = Topology.build(rows)
    faults = Faults(topology, [], np.random.SeedSequence(seed))
    found: dict[str, list[float]] = {}
    for due in faults.due(until_s):
        found.setdefault(topology.names[due.node], []).append(due.time_s)
    while more := faults.due(until_s):  # what was drawn for within the time
        for due in more:
            found.setdefault(topology.names[due.node], []).append(due.time_s)
    return found


def test_random_failures_have_their_means_and_alternate() -> None:
    rows = row_of(1)
    rows[1] = node("row", "row", "site", mtbf="10 h", mttr="2 h")
    times = np.array(calendar(rows, 3, 3600.0 * 24000)["row"])
    gaps = np.diff(np.concatenate([[0.0], times]))
    up, down = gaps[::2], gaps[1::2]
    assert len(up) > 1500
    # Exponential: the standard error of the mean is mean / sqrt(n).
    assert up.mean() == pytest.approx(36000.0, rel=4 / len(up) ** 0.5)
    assert down.mean() == pytest.approx(7200.0, rel=4 / len(down) ** 0.5)
    assert np.std(up) == pytest.approx(36000.0, rel=0.15)


def test_luck_is_by_seed_and_name() -> None:
    rows = row_of(1)
    rows[1] = node("row", "row", "site", mtbf="10 h", mttr="2 h")
    alone = calendar(rows, 3, 1e7)
    more = calendar([*rows, node("other", "row", "site", mtbf="1 h", mttr="1 h")], 3, 1e7)
    assert more["row"] == alone["row"]
    assert calendar(rows, 4, 1e7) != alone


# --- restart ---------------------------------------------------------------------------------


def test_servers_come_back_in_groups_with_inrush_and_boot() -> None:
    play = Play(
        site_of(
            row_of(5),
            faults=[{"at": "1 s", "fail": "row", "repair_after": "1 s"}],
            restart={
                "group": 2,
                "every": "2 s",
                "inrush": 3.0,
                "inrush_for": "500 ms",
                "boot": "3 s",
            },
        )
    )
    load_w, powered, ready = {}, {}, {}
    while play.now_s < 12.0:
        row_w = play.step(np.full(5, 100.0))["row"]
        load_w[play.now_s] = row_w
        powered[play.now_s] = int(play.site.powered.sum())
        ready[play.now_s] = int(play.site.ready.sum())
    assert [powered[t] for t in (0.75, 1.0, 1.75, 2.0, 3.75, 4.0, 6.0, 10.0)] == [
        5, 0, 0, 2, 2, 4, 5, 5,
    ]  # fmt: skip
    assert [ready[t] for t in (2.0, 4.75, 5.0, 6.75, 7.0, 8.75, 9.0)] == [0, 0, 2, 2, 4, 4, 5]
    assert [load_w[t] for t in (1.0, 1.25, 2.0, 2.25, 2.5, 2.75, 4.0, 4.25, 4.75)] == [
        500.0, 0.0, 0.0, 600.0, 600.0, 200.0, 200.0, 800.0, 400.0,
    ]  # fmt: skip


def test_lost_again_while_coming_back() -> None:
    faults = [
        {"at": "1 s", "fail": "row", "repair_after": "1 s"},
        {"at": "3 s", "fail": "row", "repair_after": "1 s"},
    ]
    play = Play(site_of(row_of(4), faults=faults, restart={"group": 1, "every": "1 s"}))
    counts = {}
    while play.now_s < 9.0:
        play.step(np.ones(4))
        counts[play.now_s] = int(play.site.powered.sum())
    assert [counts[t] for t in (2.0, 2.75, 3.0, 3.75, 4.0, 5.0, 6.0, 7.0)] == [
        1, 1, 0, 0, 1, 2, 3, 4,
    ]  # fmt: skip


def test_without_a_rule_all_are_back_at_once() -> None:
    play = Play(site_of(row_of(4), faults=[{"at": "1 s", "fail": "row", "repair_after": "1 s"}]))
    play.until(2.0, np.ones(4))
    assert play.site.powered.all()
    assert play.site.ready.all()


# --- demand and ramps ------------------------------------------------------------------------


@pytest.mark.parametrize("step_s", [0.1, 0.25, 1.0])
@pytest.mark.parametrize("window_s", [1.0, 60.0, 900.0])
def test_a_mean_crosses_its_limit_when_the_ramp_says(window_s: float, step_s: float) -> None:
    """From 100 W to 300 W at 2 windows: the mean rises as 100 + 200 x / window, above 200 W half
    a window later."""
    demand = [{"window": f"{window_s} s", "limit": "200 W"}]
    play = Play(site_of(row_of(1, demand=demand), step_s=step_s), step_s)
    play.until(2 * window_s, np.array([100.0]))
    play.until(4 * window_s, np.array([300.0]))
    play.until(6 * window_s, np.array([100.0]))
    ((raised_s, _, _),) = play.brief("demand")
    assert raised_s == pytest.approx(2.5 * window_s, abs=2 * step_s)
    ((cleared_s, _, _),) = play.brief("cleared")
    # Below 98 % of 200 W: 52 % of the window at 100 W.
    assert cleared_s == pytest.approx(4.52 * window_s, abs=2 * step_s)


def test_a_window_is_judged_once_it_has_filled() -> None:
    play = Play(site_of(row_of(1, demand=[{"window": "10 s", "limit": "1 W"}])))
    play.until(20.0, np.array([5.0]))
    assert play.brief("demand") == [(10.0, "demand", "site")]
    assert play.events[0].load_w == pytest.approx(5.0)


def test_sums_do_not_drift() -> None:
    """Against plain means of the same loads."""
    play = Play(site_of(row_of(1, demand=[{"window": "5 s", "limit": "1 GW"}])))
    loads = np.random.default_rng(0).uniform(0, 1e6, 500)
    for i, load in enumerate(loads, 1):
        play.step(np.array([load]))
        if i >= 20:
            (window,) = play.site.limits.demand
            assert window.mean_w[0] == pytest.approx(loads[i - 20 : i].mean(), rel=1e-12)


def test_a_contract_is_a_time_series(tmp_path: Path) -> None:
    file = tmp_path / "contract.csv"
    file.write_text("time_s,limit_w\n0,100\n60,50\n120,100\n")
    demand = [{"window": "1 s", "contract": str(file)}]
    play = Play(site_of(row_of(1, demand=demand)))
    play.until(200.0, np.array([75.0]))
    assert [e[:2] for e in play.brief("demand", "cleared")] == [
        (60.0, "demand"),
        (120.0, "cleared"),
    ]
    assert play.events[0].limit_w == 50.0


def test_moves_beyond_the_ramp_limit_up_and_down() -> None:
    ramp = {"change": "100 W", "window": "10 s"}
    play = Play(site_of(row_of(1, ramp=ramp)))
    for time_s, load_w in ((20, 500.0), (40, 590.0), (60, 700.0), (80, 590.0)):
        play.until(time_s, np.array([load_w]))
    assert [e[:2] for e in play.brief("ramp", "cleared")] == [
        (40.25, "ramp"),
        (50.25, "cleared"),
        (60.25, "ramp"),
        (70.25, "cleared"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_s,watts\n0,1\n", "no column limit_w"),
        ("time_s,limit_w\n0,1\n0,2\n", "line 3: times must rise"),
        ("time_s,limit_w\n0,one\n", "line 2: expected two numbers"),
        ("time_s,limit_w\n0,nan\n", "line 2: expected finite"),
        ("time_s,limit_w\n0\n", "line 2: expected two numbers"),
        ("time_s,limit_w\n", "no rows"),
        ("", "no column"),
    ],
)
def test_bad_series(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "series.csv"
    file.write_text(text)
    with pytest.raises(SeriesError, match=message):
        read_series(file, "limit_w")
