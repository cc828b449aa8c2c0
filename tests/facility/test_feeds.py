"""Several feeds: who carries what, who goes dark, against hand sums and networkx."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dcsim.plant.topology import Topology
from dcsim.scenario.expand import FeedMismatchError, Row, expand, named
from dcsim.scenario.models import FacilityNode
from tests.facility.diagrams import Play, alive, diagrams, node, site_of, two_lines

LOADS_W = np.array([1000.0, 1100.0, 1200.0, 1300.0, 700.0])


def test_losing_one_of_two_feeds_doubles_the_other_to_the_watt() -> None:
    play = Play(site_of(two_lines(), faults=[{"at": "1 s", "fail": "ups-a"}]))
    before = play.until(1.0, LOADS_W)
    assert before["ups-b"] == 2300.0
    assert before["ups-a"] == 2300.0 + 700.0
    assert before["site"] == LOADS_W.sum()
    after = play.until(2.0, LOADS_W)
    assert after["ups-b"] == 2 * before["ups-b"]
    assert after["ups-a"] == 0.0
    assert after["site"] == after["row"] == 4600.0


def test_a_single_cord_goes_dark_and_comes_back() -> None:
    play = Play(
        site_of(two_lines(), faults=[{"at": "1 s", "fail": "ups-a", "repair_after": "2 s"}])
    )
    play.until(1.0, LOADS_W)
    assert play.site.changed
    assert play.site.powered.tolist() == [True] * 4 + [False]
    loads = play.until(3.0, LOADS_W)
    assert loads["ups-a/single"] == 0.0  # in the dark it draws nothing, whatever it is said to
    assert play.site.powered.all()
    assert play.brief("fault", "dark", "repaired", "restored") == [
        (1.0, "fault", "ups-a"),
        (1.0, "dark", "ups-a"),
        (3.0, "repaired", "ups-a"),
        (3.0, "restored", "ups-a"),
    ]
    assert play.events[1].message == "1 server lost power"
    assert play.step(LOADS_W)["ups-a"] == 3000.0


@pytest.mark.parametrize(
    ("above", "servers", "lost", "back"),
    [
        ("ups", 1200, "1,200 servers lost power", "power is back for 1,200 servers"),
        ("ups", 1, "1 server lost power", "power is back for 1 server"),
        (["ups", "site"], 2, "lost power; no server below did", "power is back"),
    ],
)
def test_events_of_lost_and_restored_power_count_the_servers(
    above: str | list[str], servers: int, lost: str, back: str
) -> None:
    """Many, one, or none, where the servers have another feed: counted by hand."""
    rows = [
        node("site", "site"),
        node("ups", "ups", "site", bypass=False),
        node("row", "row", above),
        node("server", "server", "row", count=servers, group="g"),
    ]
    play = Play(site_of(rows, faults=[{"at": "1 s", "fail": "ups", "repair_after": "1 s"}]))
    play.until(3.0, np.full(servers, 100.0))
    changes = [(e.time_s, e.node, e.message) for e in play.events if e.kind in ("dark", "restored")]
    assert changes == [(1.0, "ups", lost), (2.0, "ups", back)]


def test_both_feeds_lost() -> None:
    faults = [{"at": "1 s", "fail": "ups-a"}, {"at": "2 s", "fail": "ups-b"}]
    play = Play(site_of(two_lines(), faults=faults))
    play.until(2.0, LOADS_W)
    assert not play.site.powered.any()
    assert play.step(LOADS_W)["site"] == 0.0
    assert [e.message for e in play.events if e.kind == "dark"] == [
        "1 server lost power",
        "4 servers lost power",
    ]


def blocks(transfer: str, **keys: object) -> list[FacilityNode]:
    """Two UPS blocks and one reserve that catches either."""
    return [
        node("site", "site"),
        node("ups", "ups", "site", count=2, bypass=False),
        node("reserve", "ups", "site", bypass=False),
        node("pdu", "pdu", ["ups", "reserve"], transfer=transfer, **keys),
        node("server", "server", "pdu", count=2, group="g"),
    ]


def test_a_reserve_catches_the_block_that_fails() -> None:
    server_w = np.array([10.0, 20.0, 300.0, 400.0])
    faults = [{"at": "1 s", "fail": "ups-2", "repair_after": "1 s"}]
    for transfer, back_w in (("primary", 0.0), ("static", 700.0)):
        play = Play(site_of(blocks(transfer), faults=faults))
        before = play.until(1.0, server_w)
        assert (before["ups-1"], before["ups-2"], before["reserve"]) == (30.0, 700.0, 0.0)
        during = play.until(2.0, server_w)
        assert (during["ups-1"], during["ups-2"], during["reserve"]) == (30.0, 0.0, 700.0)
        assert play.step(server_w)["reserve"] == back_w  # static stays, primary goes back
        assert play.site.powered.all()  # milliseconds are bridged by the servers
        moves = [(1.0, "transfer", "pdu-2")] + ([(2.0, "transfer", "pdu-2")] if not back_w else [])
        assert play.brief("transfer") == moves


def test_a_slow_transfer_is_felt() -> None:
    rows = blocks("primary", transfer_time="1 s")
    play = Play(site_of(rows, faults=[{"at": "1 s", "fail": "ups-2", "repair_after": "5 s"}]))
    server_w = np.full(4, 100.0)
    dark = []
    while play.now_s < 8.0:
        play.step(server_w)
        if not play.site.powered.all():
            dark.append(play.now_s)
            assert play.site.powered.tolist() == [True, True, False, False]
    assert dark == [1.0, 1.25, 1.5, 1.75]  # going back to a feed that lives takes no time


def test_a_reserve_that_was_lost_before_cannot_catch() -> None:
    faults = [{"at": "1 s", "fail": "reserve"}, {"at": "2 s", "fail": "ups-1"}]
    play = Play(site_of(blocks("primary"), faults=faults))
    play.until(2.0, np.ones(4))
    assert play.site.powered.tolist() == [False, False, True, True]


@settings(deadline=None, max_examples=150)
@given(diagrams(), st.data())
def test_power_reaches_whoever_a_path_reaches(
    rows: list[FacilityNode], data: st.DataObject
) -> None:
    """Fail random nodes one after the other: who has power is what networkx finds reachable, and
    without losses what the site draws is what those servers draw, each parent the sum of the
    shares of its children."""
    site = site_of(rows)
    topology = site.topology
    assume(topology.server_count <= 40)
    play = Play(site)
    server_w = np.arange(1.0, topology.server_count + 1.0)
    down: set[str] = set()
    for _ in range(data.draw(st.integers(0, 4))):
        name = data.draw(st.sampled_from(topology.names))
        if name in down and data.draw(st.booleans()):
            down.discard(name)
            site.restore(name, play.now_s)
        else:
            down.add(name)
            site.switching.faults.plan(play.now_s, "fail", topology.index[name])
        play.step(server_w)
        loads = play.step(server_w)
        live = alive(site, down)
        on = {n for n, up in zip(topology.names, site.supply.energised, strict=True) if up}
        assert on == live
        drawn = {topology.names[i]: w for i, w in zip(topology.server_nodes, server_w, strict=True)}
        assert loads[topology.names[0]] == pytest.approx(
            sum(w for name, w in drawn.items() if name in live), rel=1e-12
        )
        below = np.zeros(len(topology.names))
        for child, feeds in enumerate(topology.feeds):
            for slot, up in enumerate(feeds.tolist()):
                if up >= 0:
                    weight = site.supply.weight[child, slot]
                    below[up] += weight * loads[topology.names[child]]
        for index, name in enumerate(topology.names):
            if topology.kinds[index] != "server":
                assert loads[name] == pytest.approx(below[index], rel=1e-12, abs=1e-9)


@settings(deadline=None, max_examples=100)
@given(diagrams())
def test_what_hangs_from_a_node_is_what_the_graph_says(rows: list[FacilityNode]) -> None:
    topology = Topology.build(rows)
    assume(topology.server_count <= 40)
    ones = np.ones(topology.server_count)
    assert topology.sum_loads(ones)[0] == pytest.approx(topology.server_count)
    for name in topology.names:
        reach = alive(site_of(rows), set()) & _below(topology, name)
        found = {topology.names[topology.server_nodes[i]] for i in topology.servers_under(name)}
        assert found == {n for n in reach if topology.graph.nodes[n]["kind"] == "server"}


def _below(topology: Topology, name: str) -> set[str]:
    found, todo = {name}, [name]
    while todo:
        for child in topology.graph.successors(todo.pop()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def test_copies_of_feeds_are_matched_in_order() -> None:
    rows = [
        Row("site", 1, ()),
        Row("a", 4, ("site",)),
        Row("r", 2, ("site",)),
        Row("pdu", 2, ("a", "r")),
        Row("rack", 1, ("pdu",)),
    ]
    found = [(copy.name, copy.above) for copy in expand(rows)]
    assert found[7:11] == [
        ("pdu-1", ("a-1", "r-1")),
        ("pdu-2", ("a-1", "r-1")),
        ("pdu-3", ("a-2", "r-1")),
        ("pdu-4", ("a-2", "r-1")),
    ]
    assert ("pdu-8", ("a-4", "r-2")) in found
    assert found[-1] == ("pdu-8/rack", ("pdu-8",))
    with pytest.raises(FeedMismatchError, match="4 and 3 copies"):
        list(expand([*rows[:2], Row("r", 3, ("site",)), rows[3]]))


def test_feeds_within_one_branch_keep_its_name() -> None:
    rows = [
        Row("site", 1, ()),
        Row("hall", 2, ("site",)),
        Row("a", 1, ("hall",)),
        Row("b", 1, ("hall",)),
        Row("row", 2, ("a", "b")),
    ]
    assert [copy.name for copy in expand(rows)][-4:] == [
        "hall-1/row-1",
        "hall-1/row-2",
        "hall-2/row-1",
        "hall-2/row-2",
    ]


def test_short_names() -> None:
    names = ["site", "u/ups-b", "v/ups-b", "v/ups-a", "ups-a"]
    assert named(names, "ups-a") == ["ups-a"]
    assert named(names, "ups-b") == ["u/ups-b", "v/ups-b"]
    assert named(names, "v/ups-b") == ["v/ups-b"]
    assert named(names, "b") == []


def test_each_cord_may_have_a_rating_of_its_own() -> None:
    """Servers on two rack PDUs each, one of each pair on either line: losing a line overloads the
    other cord, by name."""
    rows = [
        node("site", "site"),
        node("pdu-a", "pdu", "site"),
        node("pdu-b", "pdu", "site"),
        node("strip-a", "rack-pdu", "pdu-a", count=2, rating="2 kW"),
        node("strip-b", "rack-pdu", "pdu-b", count=2, rating="2 kW"),
        node("server", "server", ["strip-a", "strip-b"], count=2, group="g"),
    ]
    play = Play(site_of(rows, faults=[{"at": "1 s", "fail": "pdu-a"}]))
    server_w = np.array([1200.0, 1100.0, 500.0, 600.0])
    loads = play.until(1.0, server_w)
    assert (loads["pdu-a/strip-a-1"], loads["pdu-b/strip-b-2"]) == (1150.0, 550.0)
    play.until(2.0, server_w)
    assert play.brief("overload") == [(1.25, "overload", "pdu-b/strip-b-1")]
