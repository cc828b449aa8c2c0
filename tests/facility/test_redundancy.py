"""N-1 of paired feeds, against the same site with the feed really lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dcsim.scenario.models import FacilityNode
from tests.facility.diagrams import Play, node, site_of

COOLED = {"pue": 1.25}


def hall(rating: str = "12 kW", **ups: Any) -> list[FacilityNode]:
    rows = [node("site", "site")]
    for line in "ab":
        rows += [
            node(f"utility-{line}", "utility", "site", rating=rating),
            node(f"ups-{line}", "ups", f"utility-{line}", rating="12 kW", **ups),
        ]
    return [
        *rows,
        node("row", "row", ["ups-a", "ups-b"]),
        node("server", "server", "row", count=4, group="g"),
    ]


def short(name: str) -> str:
    return name.rsplit("/", maxsplit=1)[-1]


def test_both_feeds_at_55_percent_are_no_pair() -> None:
    """Each at 55 % of 12 kW and below every threshold, the survivor would be at 110 %."""
    play = Play(site_of(hall()))
    play.until(10.0, np.full(4, 13200.0 / 4))
    assert play.brief("warning", "overload") == []
    told = {(t, short(n)) for t, _, n in play.brief("redundancy-lost")}
    assert told == {(0.25, name) for name in ("utility-a", "utility-b", "ups-a", "ups-b")}
    assert len(play.brief("redundancy-lost")) == 4
    rows = {short(row["survivor"]): row for row in play.site.redundancy.rows()}
    assert short(rows["ups-b"]["node"]) in ("ups-a", "utility-a")
    assert rows["ups-b"]["would_carry_w"] == pytest.approx(13200.0)
    assert rows["ups-b"]["share"] == pytest.approx(1.1)
    assert rows["ups-b"]["over_s"] == pytest.approx(10.0)
    play.until(80.0, np.full(4, 2500.0))
    assert sorted(short(n) for t, _, n in play.brief("cleared") if t == 70.0) == sorted(rows)


def test_a_pair_that_holds_is_not_flagged() -> None:
    play = Play(site_of(hall()))
    play.until(10.0, np.full(4, 2900.0))
    assert play.brief("redundancy-lost") == []
    assert max(row["share"] for row in play.site.redundancy.rows()) == pytest.approx(11.6 / 12)


@pytest.mark.parametrize("cooling", [{}, COOLED, {**COOLED, "at": ["utility-a", "utility-b"]}])
@pytest.mark.parametrize("losses", [{}, {"losses": "ups-double-conversion"}])
@pytest.mark.parametrize("lost", ["utility-a", "ups-a"])
def test_what_it_says_is_what_comes(
    cooling: dict[str, Any], losses: dict[str, Any], lost: str
) -> None:
    """The same watts, to the loss curve's bend, as when the feed is really lost."""
    loads_w = np.array([1000.0, 1500.0, 2000.0, 2500.0])
    told = site_of(hall(**losses), cooling=cooling)
    Play(told).step(loads_w)
    redundancy, names = told.redundancy, told.topology.names
    fault = {"at": "250 ms", "fail": lost, "with_bypass": lost == "ups-a"}
    real = site_of(hall(**losses), cooling=cooling, faults=[fault])
    Play(real).until(1.0, loads_w)
    checked = 0
    for row, (node_lost, survivor) in enumerate(
        zip(redundancy._lost.tolist(), redundancy._survivor.tolist(), strict=True)
    ):
        if short(names[node_lost]) != lost:
            continue
        if lost == "ups-a" and cooling and "utility" in short(names[survivor]):
            continue  # the plant stays where it is until its utility is lost
        assert redundancy.would_w[row] == pytest.approx(real.felt_w[survivor], rel=0.01)
        checked += 1
    assert checked >= 1


@pytest.mark.parametrize("transfer", ["share", "primary", "static"])
def test_a_ring_and_a_reserve(transfer: str) -> None:
    """Three UPS and a reserve: losing one puts its load on the reserve, or on its partners."""
    rows = [
        node("site", "site"),
        node("ups", "ups", "site", count=2, rating="10 kW", bypass=False),
        node("reserve", "ups", "site", rating="10 kW", bypass=False),
        node("pdu", "pdu", ["ups", "reserve"], transfer=transfer),
        node("server", "server", "pdu", count=2, group="g"),
    ]
    loads_w = np.array([3000.0, 4000.0, 2000.0, 2500.0])
    site = site_of(rows)
    Play(site).step(loads_w)
    names = site.topology.names
    would = {
        (names[lost], names[survivor]): load_w
        for lost, survivor, load_w in zip(
            site.redundancy._lost, site.redundancy._survivor, site.redundancy.would_w, strict=True
        )
    }
    for lost in ("ups-1", "ups-2"):
        real = site_of(rows, faults=[{"at": "250 ms", "fail": lost}])
        found = Play(real).until(1.0, loads_w)
        assert would[lost, "reserve"] == pytest.approx(found["reserve"])


def test_after_the_loss_the_survivor_carries_what_it_carries() -> None:
    play = Play(site_of(hall(), faults=[{"at": "1 s", "fail": "utility-a"}]))
    play.until(2.0, np.full(4, 2000.0))
    redundancy, names = play.site.redundancy, play.site.topology.names
    found = {
        short(names[survivor]): load_w
        for lost, survivor, load_w in zip(
            redundancy._lost, redundancy._survivor, redundancy.would_w, strict=True
        )
        if short(names[lost]) == "utility-a"
    }
    assert found["ups-b"] == pytest.approx(8000.0)
    assert play.brief("redundancy-lost") == []


def test_a_tree_has_none() -> None:
    rows = [node("site", "site", rating="1 kW"), node("server", "server", "site", group="g")]
    site = site_of(rows)
    assert not site.redundancy.exists
    assert site.redundancy.rows() == []
