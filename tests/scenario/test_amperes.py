"""Ratings in amperes and volt-amperes, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dcsim.errors import ScenarioError
from dcsim.plant.topology import Topology
from dcsim.scenario.dump import dump
from dcsim.scenario.load import loads
from tests.scenario.sample import of_facility

TEXT = of_facility("""\
  - {name: site, kind: site}
  - {name: row, kind: row, parent: site, ROW}
  - {name: server, kind: server, parent: row, group: g, SERVER}
""")


def text(row: str, server: str = "power_factor: 0.95") -> str:
    return TEXT.replace("ROW", row).replace("SERVER", server)


def rated(row: str, server: str = "power_factor: 0.95") -> tuple[Any, float]:
    """The row, and its rating in W as loads are held to it."""
    scenario = loads(text(row, server))
    again = loads(dump(scenario))
    assert again.facility == scenario.facility
    topology = Topology.build(scenario.facility)
    return scenario.facility[1], float(topology.rating_w[1])


@pytest.mark.parametrize(
    ("row", "va"),
    [
        # The square root of 3 x 415 V x 800 A = 575.0 kVA; a 208 V, 175 A row 63.0 kVA.
        ("rating: 800 A, voltage: 415 V, phases: 3", math.sqrt(3) * 415 * 800),
        ("rating: 175 A at 208 V, phases: 3", math.sqrt(3) * 208 * 175),
        ("rating: 1.2 kA at 0.4 kV, phases: 3", math.sqrt(3) * 400 * 1200),
        # Two poles of 208 V, and one line of 230 V: V x A.
        ("rating: 30 A at 208 V, phases: 2", 6240.0),
        ("rating: 32 A, voltage: 230 V, phases: 1", 7360.0),
        ("rating: 750 kVA", 750e3),
    ],
)
def test_amperes_are_volt_amperes(row: str, va: float) -> None:
    node, rating_w = rated(row)
    assert node.apparent_rating_va == pytest.approx(va, rel=1e-12)
    assert node.rating_w is None
    assert rating_w == pytest.approx(0.95 * va)


def test_a_power_factor_beside_the_rating_makes_it_watts() -> None:
    """800 A at 415 V and 0.98: 563.5 kW."""
    node, rating_w = rated("rating: 800 A at 415 V, phases: 3, power_factor: 0.98", "count: 1")
    assert rating_w == pytest.approx(563.54e3, rel=1e-5)
    assert (node.power_factor, node.voltage_v) == (None, 415.0)


def test_a_breaker_of_a_rating_in_amperes() -> None:
    """175 A at 208 V, loaded to 80 %: the breaker carries 63.0 kVA, the row 50.4 kVA."""
    node, _ = rated(
        "rating: 140 A, voltage: 208 V, phases: 3, power_factor: 100 %, breaker: {rating: 175 A}"
    )
    assert node.rating_w == pytest.approx(50.44e3, rel=1e-4)
    assert node.breaker.rating_w == pytest.approx(63.05e3, rel=1e-4)


@pytest.mark.parametrize(
    ("row", "server", "told"),
    [
        ("rating: 800 A, phases: 3", "power_factor: 0.95", "give the `voltage` too"),
        ("rating: 800 A at 415 V", "power_factor: 0.95", "give `phases` too"),
        ("rating: 800 A at 415 V, phases: 3, voltage: 400 V", "power_factor: 1", "is 400 V"),
        ("rating: 800 A at 415 V, phases: 3", "count: 1", "1.rating: no server has a `power_f"),
        ("rating: 8 A at 4 V, phases: 3, power_factor: 2", "count: 1", "above 0, up to 1"),
        ("rating: 8 A at 4 V, phases: 3, power_factor: x", "count: 1", "expected a number"),
        ("rating: 8 kVA, apparent_rating: 8 kVA", "power_factor: 1", "two ratings"),
        ("rating: 8 kW, breaker: {rating: 8 kVA}", "power_factor: 1", "`power_factor`, such as"),
        ("rating: 8 kW, power_factor: 0.9", "power_factor: 1", "and ratings in A or VA"),
    ],
)
def test_what_is_missing_is_told(row: str, server: str, told: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        loads(text(row, server))
    assert told in " ".join(map(str, raised.value.problems))
