"""What limits of all kinds have seen: figures by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.facility.inputs import SiteInputs
from dcsim.facility.site import ElectricalSite
from dcsim.plant.topology import Topology
from dcsim.scenario.models import FacilityNode, Limits
from tests.facility.diagrams import Play, catalogue, node, site_of

MW = 1e6


def site_with(*keys: dict[str, Any], **site: Any) -> list[FacilityNode]:
    """A site with one row and one server; `keys` are those of the site's demand limits."""
    return [
        node("site", "site", demand=list(keys), **site),
        node("row", "row", "site", rating="2 MW"),
        node("server", "server", "row", group="g"),
    ]


def built(rows: list[FacilityNode], step_s: float = 1.0, **options: Any) -> Play:
    limits = Limits.model_validate(options.pop("limits", {}))
    inputs = SiteInputs(Topology.build(rows), catalogue(), step_s, limits, **options)
    return Play(ElectricalSite(inputs), step_s)


def row_of(play: Play, kind: str, name: str = "site", at: int = 0) -> dict[str, Any]:
    """The `at`-th limit of a kind at a node."""
    found = [r for r in play.site.limits.rows() if (r["kind"], r["node"]) == (kind, name)]
    return found[at]


# --- demand windows --------------------------------------------------------------------------


def test_a_broken_contract_by_hand() -> None:
    """1 MW over 15 min, and 20 min at 1.2 MW between two hours of 0.6 MW. Sliding: the mean is
    0.6 + 0.6 t / 15 from when it begins, above 1 MW after 10 min; the highest is 1.2 MW, at
    15 min. It falls the same way: 1 MW is kept again 5 min after the load has fallen, so it was
    broken for 15 min, once."""
    play = built(site_with({"window": "15 min", "limit": "1 MW"}))
    for until_s, load_w in ((3600, 0.6 * MW), (4800, 1.2 * MW), (8400, 0.6 * MW)):
        play.until(until_s, np.array([load_w]))
    row = row_of(play, "demand")
    assert row["highest_w"] == pytest.approx(1.2 * MW)
    assert row["share"] == pytest.approx(1.2)
    assert row["highest_at_s"] == 3600 + 900
    assert row["over_s"] == pytest.approx(15 * 60, abs=2)
    assert row["crossings"] == 1
    assert (row["limit_w"], row["window_s"], row["windows"]) == (1 * MW, 900.0, "sliding")
    assert (row["measured_s"], row["partial_w"]) == (900.0, None)


def test_blocks_by_the_clock_by_hand() -> None:
    """The run starts at 18:52; 1.2 MW from 19:40 to 20:00, else 0.6 MW. The block from 18:45 began
    before the run. 19:30 to 19:45 has 5 min of 1.2 MW: 0.8 MW; 19:45 to 20:00 is 1.2 MW, broken,
    and known at 20:00."""
    clock_s = 18 * 3600 + 52 * 60
    demand = {"window": "15 min", "limit": "700 kW", "windows": "clock"}
    play = built(site_with(demand, {**demand, "limit": "1 MW"}), clock_s=float(clock_s))
    for clock, load_w in ((19 * 60 + 40, 0.6), (20 * 60, 1.2), (20 * 60 + 40, 0.6)):
        play.until(clock * 60 - clock_s, np.array([load_w * MW]))
    low, high = row_of(play, "demand", at=0), row_of(play, "demand", at=1)
    assert high["highest_w"] == pytest.approx(1.2 * MW)
    assert high["highest_at_s"] == 20 * 3600 - clock_s
    assert (high["over_s"], high["crossings"]) == (900.0, 1)
    assert (low["over_s"], low["crossings"]) == (1800.0, 2)  # 0.8 MW and 1.2 MW
    flags = [(e.time_s + clock_s, e.kind, e.limit_w) for e in play.events]
    assert flags == [
        (19 * 3600 + 45 * 60, "demand", 700e3),
        (20 * 3600, "demand", 1 * MW),
        (20 * 3600 + 15 * 60, "cleared", 700e3),
        (20 * 3600 + 15 * 60, "cleared", 1 * MW),
    ]
    assert "15 min" in play.events[0].message


def test_a_spike_across_two_blocks_breaks_the_sliding_window_alone() -> None:
    """A quarter hour of 1.2 MW, half in each of two blocks: each has 0.9 MW."""
    rows = site_with(
        {"window": "15 min", "limit": "1 MW"},
        {"window": "15 min", "limit": "1 MW", "windows": "clock"},
    )
    play = built(rows, clock_s=0.0)
    for until_s, load_w in ((1350, 0.6), (2250, 1.2), (3600, 0.6)):
        play.until(until_s, np.array([load_w * MW]))
    by = {r["windows"]: r for r in play.site.limits.rows() if r["kind"] == "demand"}
    assert by["sliding"]["highest_w"] == pytest.approx(1.2 * MW)
    assert by["clock"]["highest_w"] == pytest.approx(0.9 * MW)
    assert (by["clock"]["over_s"], by["clock"]["crossings"]) == (0.0, 0)


def test_blocks_without_a_clock_are_counted_from_the_start() -> None:
    demand = {"window": "10 s", "limit": "1 kW", "windows": "clock"}
    play = built(site_with(demand))
    play.until(10, np.array([1500.0]))
    row = row_of(play, "demand")
    assert (row["highest_at_s"], row["highest_w"]) == (10.0, 1500.0)
    assert "no `start` is given" in row["rule"]


@pytest.mark.parametrize("step_s", [0.1, 0.25, 0.3, 0.7])
def test_blocks_keep_the_clock_whatever_the_step(step_s: float) -> None:
    """Each block ends with the step in which its time runs out, for an hour."""
    demand = {"window": "1 min", "limit": "1 W", "windows": "clock"}
    play = built(site_with(demand), step_s, clock_s=30.0)
    play.until(3600, np.array([1000.0]))
    row = row_of(play, "demand")
    assert row["crossings"] == 59
    assert row["over_s"] == 59 * 60
    assert row["highest_w"] == pytest.approx(1000.0)


def test_a_contract_that_changes_is_judged_by_the_limit_in_force(tmp_path: Path) -> None:
    """75 W against 100 W, then against 50 W from 60 s to 120 s: the highest is 150 % though the
    load was higher before. With blocks, the limit is that of the block's beginning."""
    (tmp_path / "grid.csv").write_text("time_s,limit_w\n0,100\n60,50\n120,100\n")
    demand = {"window": "10 s", "contract": str(tmp_path / "grid.csv")}
    play = built(site_with(demand, {**demand, "windows": "clock"}), clock_s=0.0)
    play.until(40, np.array([90.0]))
    play.until(200, np.array([75.0]))
    by = {r["windows"]: r for r in play.site.limits.rows() if r["kind"] == "demand"}
    for row in by.values():
        assert row["share"] == pytest.approx(1.5)
        assert (row["limit_w"], row["highest_w"]) == (50.0, pytest.approx(75.0))
        assert row["rule"].endswith("contract grid.csv, by the clock")
    assert by["sliding"]["over_s"] == 60.0
    assert (by["clock"]["over_s"], by["clock"]["crossings"]) == (60.0, 6)


def test_a_contract_is_read_at_the_clock(tmp_path: Path) -> None:
    """A day's contract from midnight on: 50 W from 13:30 to 13:31, else 100 W. A run that starts at
    13:30 meets the 50 W at once, one without a start reads the file from its first row; one that
    starts a minute before midnight meets the first row again."""
    file = tmp_path / "day.csv"
    file.write_text("time_s,limit_w\n0,80\n60,100\n48600,50\n48660,100\n")
    demand = {"window": "1 s", "contract": str(file)}
    seen = {}
    for clock_s in (48_600.0, None, 86_340.0):
        play = built(site_with(demand), clock_s=clock_s)
        play.until(120, np.array([75.0]))
        row = row_of(play, "demand")
        seen[clock_s] = (row["limit_w"], row["share"], row["over_s"])
        by = "from the run's start" if clock_s is None else "by the clock"
        assert row["rule"] == f"sliding means, contract day.csv, {by}"
    assert seen[48_600.0] == (50.0, 1.5, pytest.approx(59.25, abs=1.0))
    assert seen[None] == (80.0, 75 / 80, 0.0)
    assert seen[86_340.0] == (80.0, 75 / 80, 0.0)
    # Of more than a day it is the first midnight that counts: no day is read twice.
    file.write_text("time_s,limit_w\n0,80\n86401,50\n")
    play = built(site_with(demand), clock_s=86_340.0)
    play.until(120, np.array([75.0]))
    assert row_of(play, "demand")["limit_w"] == 50.0


def test_a_window_that_never_filled_is_unknown_and_its_mean_is_told() -> None:
    for windows in ("sliding", "clock"):
        demand = {"window": "15 min", "limit": "1 MW", "windows": windows}
        play = built(site_with(demand))
        play.until(100, np.array([1.5 * MW]))
        play.until(300, np.array([1.8 * MW]))
        row = row_of(play, "demand")
        for key in ("highest_w", "highest_at_s", "share", "over_s", "crossings"):
            assert row[key] is None
        assert row["limit_w"] == 1 * MW
        assert (row["measured_s"], row["partial_w"]) == (300.0, pytest.approx(1.7 * MW))
        assert play.brief("demand") == []


# --- ratings and ramps -----------------------------------------------------------------------


def test_a_rating_has_its_highest_load_and_the_time_above_it() -> None:
    play = built(site_with())
    for until_s, load_w in ((10, 1.9), (13, 2.1), (20, 1.9), (22, 2.4), (30, 1.0)):
        play.until(until_s, np.array([load_w * MW]))
    row = row_of(play, "rating", "row")
    assert row["highest_w"] == pytest.approx(2.4 * MW)
    assert (row["highest_at_s"], row["over_s"], row["crossings"]) == (21.0, 5.0, 2)
    assert row["share"] == pytest.approx(1.2)
    assert (row["window_s"], row["windows"]) == (None, None)


def test_a_ramp_has_its_largest_move() -> None:
    play = built(site_with(ramp={"change": "100 kW", "window": "10 s"}))
    for until_s, load_w in ((20, 500e3), (40, 620e3), (60, 560e3)):
        play.until(until_s, np.array([load_w]))
    row = row_of(play, "ramp")
    assert row["highest_w"] == pytest.approx(120e3)
    assert (row["highest_at_s"], row["over_s"], row["crossings"]) == (21.0, 10.0, 1)
    assert (row["share"], row["window_s"]) == (pytest.approx(1.2), 10.0)


def test_what_is_before_the_count_begins_is_left_out() -> None:
    """A spike at 5 s with the count from 60 s: no kind of limit has seen it, and windows begin
    there; the flag of the rating is raised all the same."""
    rows = site_with(
        {"window": "30 s", "limit": "1 MW"},
        {"window": "30 s", "limit": "1 MW", "windows": "clock"},
        ramp={"change": "100 kW", "window": "10 s"},
    )
    play = built(rows, count_from_s=60.0, clock_s=0.0)
    for until_s, load_w in ((5, 500e3), (10, 9e6), (120, 500e3)):
        play.until(until_s, np.array([load_w]))
    play.site.finish(120.0)
    for row in play.site.limits.rows():
        assert row["over_s"] == 0.0
        assert row["crossings"] == 0
        assert row["highest_w"] == pytest.approx(0.0 if row["kind"] == "ramp" else 500e3)
    assert play.brief("overload") == [(6.0, "overload", "row")]


# --- continuous loads ------------------------------------------------------------------------


def rated(kind: str, **keys: Any) -> list[FacilityNode]:
    top = [] if kind == "site" else [node("site", "site")]
    above = None if kind == "site" else "site"
    return [
        *top,
        node("it", kind, above, rating="600 kW", **keys),
        node("server", "server", "it", group="g"),
    ]


@pytest.mark.parametrize(
    ("kind", "keys", "limits", "allowed_kw", "rule"),
    [
        ("row", {}, {}, 480, "NEC 210.20(A), 215.3"),
        ("row", {"continuous": "100 %"}, {}, 600, "100 %-rated"),
        ("row", {"continuous": 0.9}, {}, 540, "as the scenario says"),
        ("row", {}, {"continuous": "iec"}, 600, "IEC 60364-4-43"),
        ("switchgear", {}, {}, 480, "NEC"),
        ("ups", {}, {}, 600, "IEC 62040-3"),
        ("transformer", {}, {}, 600, "IEC 60076-11"),
        ("transformer", {"continuous": "80 %"}, {}, 480, "as the scenario says"),
        ("utility", {}, {}, 600, "supply"),
        ("utility", {"breaker": {}}, {}, 480, "NEC"),
    ],
)
def test_allowances_by_kind(
    kind: str, keys: dict[str, Any], limits: dict[str, Any], allowed_kw: float, rule: str
) -> None:
    play = built(rated(kind, **keys), 60.0, limits=limits)
    play.until(600.0, np.array([450e3]))
    assert play.site.finish(600.0) == []
    row = row_of(play, "continuous", "it")
    assert row["limit_w"] == pytest.approx(allowed_kw * 1e3)
    assert row["share"] == pytest.approx(450 / allowed_kw)
    assert rule in row["rule"]
    assert row["window_s"] == 3 * 3600.0
    assert row["measured_s"] == 600.0


def test_three_hours_by_hand() -> None:
    """600 kW at 80 %: 480 kW. From 420 kW to 540 kW at 3 h the mean over three hours passes 480 kW
    half a window later and stays there until half a window after the load has fallen at 9 h."""
    play = built(rated("row"), 10.0)
    h = 3600.0
    for until_s, load_w in ((3 * h, 420e3), (9 * h, 540e3), (15 * h, 420e3)):
        play.until(until_s, np.array([load_w]))
    assert play.site.finish(15 * h) == []
    row = row_of(play, "continuous", "it")
    assert row["highest_w"] == pytest.approx(540e3)
    assert row["highest_at_s"] == 6 * h
    assert row["over_s"] == pytest.approx(6 * h, abs=60.0)
    assert row["crossings"] == 1
    raised, cleared = (e for e in play.events if "continuous" in (e.kind, e.message[:10]))
    assert raised.time_s == pytest.approx(4.5 * h, abs=60.0)
    assert (raised.kind, raised.limit_w) == ("continuous", 480e3)
    assert cleared.kind == "cleared"
    assert "above it for 5.98 h" in cleared.message  # by the minute


def test_a_run_of_minutes_is_judged_by_its_mean_at_its_end() -> None:
    play = built(rated("row"), 1.0)
    play.until(95.0, np.array([400e3]))
    play.until(190.0, np.array([600e3]))
    (event,) = play.site.finish(190.0)
    assert (event.kind, event.load_w, event.limit_w) == ("continuous", pytest.approx(500e3), 480e3)
    row = row_of(play, "continuous", "it")
    assert row["highest_w"] == pytest.approx(500e3)
    assert (row["over_s"], row["crossings"]) == (190.0, 1)
    assert "less than 3 h" in row["rule"]


def test_servers_have_an_allowance_only_where_it_is_written() -> None:
    for keys, expected in (({}, []), ({"continuous": "90 %"}, ["server"])):
        rows = [
            node("site", "site"),
            node("server", "server", "site", group="g", rating="10 kW", **keys),
        ]
        play = built(rows)
        play.until(5.0, np.array([5e3]))
        found = [r["node"] for r in play.site.limits.rows() if r["kind"] == "continuous"]
        assert found == expected


def test_a_site_without_limits_has_none() -> None:
    play = Play(site_of([node("site", "site"), node("server", "server", "site", group="g")]))
    play.until(5.0, np.array([1.0]))
    assert play.site.finish(5.0) == []
    assert play.site.limits.rows() == []
