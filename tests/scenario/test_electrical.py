"""What is wrong with an electrical site is told clearly, all of it at once."""

# ruff: noqa: E501

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.errors import ScenarioError
from dcsim.plant.topology import Topology
from dcsim.scenario import loads
from dcsim.scenario.dump import dump
from tests.scenario.sample import GOOD, only, problems
from tests.scenario.test_fuzz import VALUES, places

TWO_LINES: list[dict[str, Any]] = [
    {"name": "site", "kind": "site"},
    {"name": "ups-a", "kind": "ups", "parent": "site", "rating": "50 kW"},
    {"name": "ups-b", "kind": "ups", "parent": "site", "rating": "50 kW"},
    {"name": "row", "kind": "row", "feeds": ["ups-a", "ups-b"]},
    {"name": "rack", "kind": "rack", "parent": "row", "count": 2},
    {"name": "server", "kind": "server", "parent": "rack", "count": 2, "group": "a100"},
]


def text(*changes: tuple[int, dict[str, Any]], **top: Any) -> str:
    """The two lines with some rows changed (None takes a key away), and more keys at the top."""
    rows = [dict(row) for row in TWO_LINES]
    for index, keys in changes:
        for key, value in keys.items():
            if value is None:
                rows[index].pop(key)
            else:
                rows[index][key] = value
    data: dict[str, Any] = yaml.safe_load(GOOD)
    return yaml.safe_dump(data | {"facility": rows} | top, sort_keys=False)


@pytest.mark.parametrize(
    ("changes", "top", "path", "message"),
    [
        ([(1, {"parent": "row"})], {}, "facility.1.parent", "ups-a -> row -> ups-a"),
        ([(3, {"feeds": ["ups-a", "ups-c"]})], {}, "facility.3.feeds.1", "no facility row 'ups-c'"),
        ([(3, {"feeds": ["ups-a", "ups-a"]})], {}, "facility.3", "names a feed twice"),
        ([(3, {"feeds": ["ups-a"]})], {}, "facility.3", "needs two feeds or more"),
        ([(3, {"parent": "site"})], {}, "facility.3", "both `parent` and `feeds`"),
        ([(3, {"feeds": None, "transfer": "static", "parent": "ups-a"})], {}, "facility.3", "needs `feeds`"),
        ([(1, {"kind": "pdu"}), (3, {"kind": "ups"})], {}, "facility.3.feeds.0", "a ups cannot stand under a pdu"),
        ([(1, {"count": 3}), (2, {"count": 2})], {}, "facility.3.feeds", "3 and 2 copies"),
        ([(4, {"kind": "branch"}), (5, {"kind": "branch", "group": None})], {}, "facility.5.parent", "branch cannot stand under a branch"),
        ([(1, {"rating": None, "losses": "ups-eco"})], {}, "facility.1.losses", "there is no rating"),
        ([(1, {"losses": "ups-ecco"})], {}, "facility.1.losses", "no loss curve 'ups-ecco'"),
        ([(1, {"rating": None, "breaker": {}})], {}, "facility.1.breaker", "has no rating"),
        ([(1, {"breaker": {"curve": "quick"}})], {}, "facility.1.breaker.curve", "no time-current curve 'quick'"),
        ([(1, {"breaker": {"curve": "dynamo-rpp", "band": "drawn"}})], {}, "facility.1.breaker.band", "no earliest trips"),
        ([(1, {"breaker": {"points": [[1.2, 10], [2, 20]]}})], {}, "facility.1.breaker", "falling seconds"),
        ([(1, {"breaker": {"points": [[0.9, 30], [2, 20]]}})], {}, "facility.1.breaker", "begin below 1"),
        ([(1, {"breaker": {"electronic": {"short_pickup": 20}}})], {}, "facility.1.breaker.electronic", "`long_pickup` < `short_pickup`"),
        ([(1, {"apparent_rating": "60 kVA"})], {}, "facility.1.apparent_rating", "no server has a `power_factor`"),
        ([(1, {"apparent_rating": "60 kW"}), (5, {"power_factor": 0.9})], {}, "facility.1.apparent_rating", "750 kVA"),
        ([(1, {"breaker": {"points": [[1.2, 10]]}})], {}, "facility.1.breaker", "two points or more"),
        ([(4, {"power_factor": 0.9})], {}, "facility.4", "only servers have a `power_factor`"),
        ([(4, {"phase": "L1"})], {}, "facility.4", "needs `phases: 1`"),
        ([(4, {"phases": 1}), (5, {"phases": 3})], {}, "facility.5.phases", "three phases under 'rack'"),
        ([(4, {"phases": 2}), (5, {"phases": 1})], {}, "facility.5.phases", "one phase under 'rack', which has two"),
        ([(4, {"phases": 2, "phase": "L1"})], {}, "facility.4", "`phases: 2` on L1-L2"),
        ([(4, {"mode": "eco"})], {}, "facility.4", "only a UPS has a `mode`"),
        ([(4, {"winding": "delta-wye"})], {}, "facility.4", "only transformers and PDUs"),
        ([], {"faults": [{"at": "1 h", "restore": "ups-a", "with_bypass": True}]}, "faults.0", "goes with `fail`"),
        ([(4, {"phases": 1, "phase": "L1"}), (5, {"phases": 1, "phase": "L2"})], {}, "facility.5.phase", "which is on L1"),
        ([(1, {"mtbf": "10 h"})], {}, "facility.1", "`mtbf` and `mttr` go together"),
        ([(1, {"demand": [{"window": "1 min"}]})], {}, "facility.1.demand.0", "either `limit` or `contract`"),
        ([(1, {"demand": [{"window": "1 min", "contract": "none.csv"}]})], {}, "facility.1.demand.0.contract", "does not exist"),
        ([], {"faults": [{"at": "1 h", "fail": "ups-c"}]}, "faults.0.fail", "no node 'ups-c'"),
        ([], {"faults": [{"at": "1 h", "restore": "server-1"}]}, "faults.0.restore", "any of 2 nodes"),
        ([], {"faults": [{"at": "1 h"}]}, "faults.0", "either `fail` or `restore`"),
        ([], {"cooling": {"pue": 1.2, "at": "chiller"}}, "cooling.at", "no node 'chiller'"),
        ([], {"cooling": {"pue": 0.9}}, "cooling.pue", "greater than or equal to 1"),
        ([], {"cooling": {"by_load": [[0.1, 1.2]]}}, "cooling", "needs `design_load`"),
        ([], {"cooling": {"weather": "none.csv", "by_temperature": [[0, 1]]}}, "cooling.weather", "does not exist"),
        ([], {"cooling": {"temperature_c": 20}}, "cooling", "goes with"),
        ([(0, {"name": "row"}), (1, {"parent": "row"}), (2, {"parent": "row"})], {}, "facility.3.name", "is taken"),
    ],
)  # fmt: skip
def test_one_problem(
    changes: list[tuple[int, dict[str, Any]]], top: dict[str, Any], path: str, message: str
) -> None:
    found = problems(text(*changes, **top))
    assert [message in str(p) for p in found if p.path == path] == [True], list(map(str, found))


def test_all_at_once() -> None:
    broken = text(
        (1, {"losses": "ups-ecco"}),
        (2, {"rating": None, "breaker": {"curve": "quick"}}),
        (4, {"phases": 1, "phase": "L2"}),
        (5, {"phases": 1, "phase": "L3"}),
        faults=[{"at": "1 h", "fail": "ups-c"}, {"at": "2 h", "fail": "ups-d"}],
        cooling={"pue": 1.1, "at": "nowhere"},
    )
    assert sorted(p.path for p in problems(broken)) == [
        "cooling.at",
        "facility.1.losses",
        "facility.2.breaker",
        "facility.2.breaker.curve",
        "facility.5.phase",
        "faults.0.fail",
        "faults.1.fail",
    ]


def test_what_two_names_make() -> None:
    """A row fed twice is named from the site: so is this rack's row."""
    rows = [*TWO_LINES, {"name": "row-1", "kind": "row", "parent": "site"}]
    rows[3] = rows[3] | {"count": 2}
    data = yaml.safe_load(GOOD) | {"facility": rows}
    found = problems(yaml.safe_dump(data))
    assert any("row-1" in p.message and p.path.endswith("name") for p in found), found


def test_files_are_read_through(tmp_path: Path) -> None:
    (tmp_path / "limits.csv").write_text("time_s,limit_w\n0,100\n60,oops\n")
    broken = text((1, {"demand": [{"window": "1 min", "contract": "limits.csv"}]}))
    problem = only(broken, folder=tmp_path)
    assert "line 3: expected two numbers" in problem.message


def test_any_order_that_is_a_line_diagram() -> None:
    kinds = ["utility", "switchgear", "transformer", "switchgear", "ups", "pdu", "rpp", "busway"]
    kinds += ["row", "branch", "rack", "rack-pdu", "branch"]
    rows: list[dict[str, Any]] = [{"name": "top", "kind": "site"}]
    for number, kind in enumerate(kinds):
        above = rows[-1]["name"]
        rows.append({"name": f"n{number}", "kind": kind, "parent": above})
    last = rows[-1]["name"]
    rows.append({"name": "server", "kind": "server", "parent": last, "group": "a100"})
    assert problems(yaml.safe_dump(yaml.safe_load(GOOD) | {"facility": rows})) == []
    # A branch does not let what stands above it slip below.
    swapped = [*rows[:10], {"name": "b", "kind": "branch", "parent": "n8"}]
    swapped = [row for row in rows if row["name"] not in ("n9", "n10", "n11", "n12")]
    swapped[-1] = swapped[-1] | {"parent": "n8"}
    swapped += [
        {"name": "rack", "kind": "rack", "parent": "n8"},
        {"name": "b", "kind": "branch", "parent": "rack"},
        {"name": "low", "kind": "row", "parent": "b"},
    ]
    problem = only(yaml.safe_dump(yaml.safe_load(GOOD) | {"facility": swapped}))
    assert "a row cannot stand under a rack" in problem.message


def test_all_keys_survive_being_written_and_read() -> None:
    full = text(
        (1, {"losses": "ups-eco", "battery": {"energy": "5 kWh", "power": "50 kW"}}),
        (2, {"breaker": {"electronic": {"short_delay": "100 ms"}, "band": "drawn"}}),
        (3, {"transfer": "static", "transfer_time": "8 ms"}),
        (0, {"demand": [{"window": "15 min", "limit": "80 kW"}], "apparent_rating": "90 kVA"}),
        (4, {"phases": 1, "phase": "auto", "mtbf": "1000 h", "mttr": "2 h"}),
        (5, {"power_factor": 0.95}),
        faults=[{"at": "1 min", "fail": "ups-a", "repair_after": "1 min"}],
        cooling={"pue": 1.2, "at": "ups-a"},
        restart={"group": 3, "every": "5 s"},
    )
    scenario = loads(full)
    assert loads(dump(scenario)) == scenario


FULL = yaml.safe_load(
    text(
        (1, {"losses": "ups-eco", "battery": {"energy": "5 kWh", "power": "50 kW"}}),
        (
            2,
            {
                "breaker": {"points": [[1.1, 100], [2, 10]]},
                "ramp": {"change": "1 kW", "window": "1 s"},
            },
        ),
        (3, {"transfer": "static", "transfer_time": "8 ms"}),
        (0, {"demand": [{"window": "15 min", "limit": "80 kW"}], "apparent_rating": "90 kVA"}),
        (4, {"phases": 1, "phase": "L1", "breaker": {"electronic": {"long_pickup": 1.2}}}),
        (5, {"power_factor": 0.95, "mtbf": "1000 h", "mttr": "2 h"}),
        faults=[{"at": "1 min", "fail": "ups-a", "repair_after": "1 min"}],
        cooling={"by_load": [[0.1, 1.5], [1, 1.2]], "design_load": "80 kW", "at": "ups-a"},
        restart={"group": 3, "every": "5 s"},
    )
)
KEYS = ("facility", "faults", "cooling", "restart", "limits")
PLACES = [path for path in places(FULL) if path[0] in KEYS]
ODD = VALUES | st.sampled_from(
    ["ups-a", "row", "server", "branch", "L2", "drawn", "static", "50 kVA", ["ups-a", "row"], 3, 1]
)


@settings(max_examples=200, deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=3))
def test_whatever_is_written_is_a_scenario_or_its_problems(
    changes: list[tuple[tuple[Any, ...], Any]],
) -> None:
    data = copy.deepcopy(FULL)
    for path, value in changes:
        here = data
        with contextlib.suppress(KeyError, TypeError, IndexError):
            for step in path[:-1]:
                here = here[step]
            here[path[-1]] = value
    try:
        scenario = loads(yaml.safe_dump(data))
    except ScenarioError as error:
        assert error.problems
        return
    assert loads(dump(scenario)) == scenario
    if sum(node.count for node in scenario.facility) < 100:
        Topology.build(scenario.facility)
