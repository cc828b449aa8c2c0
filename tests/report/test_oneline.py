"""The one-line diagram: nothing overlaps, nothing is lost, names are text."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.plant import Plant
from dcsim.report.oneline import draw, of_results, of_table
from dcsim.report.oneline.drawing import Paint
from dcsim.report.oneline.layout import Item, place
from dcsim.scenario.load import load, loads
from dcsim.scenario.models import Scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"
GAP = 10.0


@st.composite
def sites(draw_: st.DrawFn) -> list[Item]:
    """Items on layers, each fed by one or two of the layers above."""
    items = [Item("0", 0, draw_(st.floats(20, 200)), ())]
    for i in range(1, draw_(st.integers(1, 30))):
        feeds = draw_(st.lists(st.sampled_from(items), min_size=1, max_size=2, unique_by=id))
        layer = max(feed.layer for feed in feeds) + draw_(st.integers(1, 2))
        width = draw_(st.floats(20, 200))
        items.append(Item(str(i), layer, width, [feed.key for feed in feeds]))
    return items


@given(sites())
@settings(max_examples=80, deadline=None)
def test_boxes_never_overlap(items: list[Item]) -> None:
    wide = place(items, GAP)
    assert min(item.x - item.width / 2 for item in items) == pytest.approx(0, abs=1e-6)
    assert max(item.x + item.width / 2 for item in items) == pytest.approx(wide)
    for layer in {item.layer for item in items}:
        row = sorted((i for i in items if i.layer == layer), key=lambda item: item.x)
        for left, right in itertools.pairwise(row):
            assert right.x - right.width / 2 >= left.x + left.width / 2 + GAP - 1e-6


@given(sites())
@settings(max_examples=40, deadline=None)
def test_in_a_tree_parents_stand_over_the_middle_of_their_children(items: list[Item]) -> None:
    for item in items:
        item.feeds = item.feeds[:1]
    place(items, GAP)
    for item in items:
        if item.children:
            middle = (item.children[0].x + item.children[-1].x) / 2
            assert item.x == pytest.approx(middle, abs=1e-6)


def test_what_hangs_from_two_feeds_stands_between_them() -> None:
    top = Item("site", 0, 100, ())
    a, b = Item("a", 1, 100, ["site"]), Item("b", 1, 100, ["site"])
    row = Item("row", 2, 100, ["a", "b"])
    place([top, a, b, row], GAP)
    assert row.x == pytest.approx((a.x + b.x) / 2)
    assert top.x == pytest.approx((a.x + b.x) / 2, abs=1)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_row_of_a_shipped_scenario_is_drawn(path: Path) -> None:
    try:
        scenario = load(path)
    except ValueError as error:  # a replay without its trace
        pytest.skip(str(error).splitlines()[0])
    svg = draw(of_table(scenario))
    ET.fromstring(svg)
    for node in scenario.facility:
        assert f">{node.name}" in svg
    assert svg.count('class="feed') == sum(len(node.above) for node in scenario.facility)
    assert svg.count('class="cut"') == sum(
        len(node.above) for node in scenario.facility if node.breaker is not None
    )


def feed_loss() -> Scenario:
    return load(SCENARIOS / "feed-loss.yaml")


def test_counts_ratings_and_second_feeds_are_told() -> None:
    svg = draw(of_table(feed_loss(), {"rack-1": 26000.0}))
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert "rack-1 × 3" in texts
    assert "12 in all" in texts
    assert "50.0 kW" in texts and "400.0 kVA" in texts
    assert "nameplate 26.0 kW" in texts
    assert svg.count('class="feed b"') == 3  # the second feeds of three rows


def test_batteries_and_own_curves() -> None:
    text = (SCENARIOS / "quickstart.yaml").read_text()
    text = text.replace("curve: ul-489-1000a     #", "points: [[1.1, 60], [2, 1]] #").replace(
        "    rating: 750 kW ", "    battery: {energy: 5 kWh, power: 20 kW}\n    rating: 750 kW "
    )
    svg = draw(of_table(loads(text)))
    assert "battery 20.0 kW, 5.00 kWh" in svg
    assert "own points" in svg


def results_nodes(scenario: Scenario | None = None) -> pd.DataFrame:
    return Plant.build(scenario or feed_loss()).to_frame("nodes")


def test_every_node_of_a_run_can_be_found_and_alike_ones_are_bundled() -> None:
    nodes = results_nodes()
    paint = {name: Paint(0.4) for name in nodes.index}
    svg = draw(of_results(nodes, feed_loss().facility), paint, standalone=False)
    found = re.findall(r'data-node="([^"]+)"', svg)
    assert sorted(found) == sorted(nodes.index)
    assert "3 racks" in svg and "12 servers" in svg
    assert svg.count('class="feed b"') == 3
    without = draw(of_results(nodes), paint, standalone=False)
    assert without.count('class="feed b"') == 0  # only the preferred feeds are known


def test_shades_go_by_headroom_and_unknown_is_its_own() -> None:
    shades = [Paint(share).shade for share in (0.49, 0.5, 0.8, 1.0, 1.001, None, float("nan"))]
    assert shades == ["h0", "h1", "h2", "h2", "h3", "none", "none"]
    assert Paint(None).describe() == "load of rating unknown"
    assert Paint(1.2, 2).describe() == "peak 120.0 %, 2 trips"


def test_names_are_text() -> None:
    evil = '<script>alert("1")</script>'
    nodes = pd.DataFrame(
        {"kind": ["site", "row"], "parent": [None, "site"], "rating_w": [1e3, float("nan")]},
        index=pd.Index(["site", evil], name="node"),
    )
    svg = draw(of_results(nodes), {evil: Paint(None), "site": Paint(0.1)})
    assert "<script" not in svg
    tree = ET.fromstring(svg)
    assert any(part.get("data-node") == evil for part in tree.iter())


def test_a_large_site_has_few_boxes() -> None:
    kinds = ["site"] + ["row"] * 40 + ["rack"] * 400
    names = ["site"] + [f"r{i}" for i in range(40)] + [f"r{i // 10}/k{i}" for i in range(400)]
    parents = [None] + ["site"] * 40 + [f"r{i // 10}" for i in range(400)]
    nodes = pd.DataFrame({"kind": kinds, "parent": parents, "rating_w": 1e4}, index=names)
    diagram = of_results(nodes)
    assert [box.title for box in diagram.boxes] == ["site", "40 rows", "400 racks"]
