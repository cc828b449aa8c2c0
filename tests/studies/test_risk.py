"""Which way bounds the trips of runs, and what it then says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcsim.arrays import FloatArray
from dcsim.facility.curves import in_band
from dcsim.facility.trip_ratio import Element
from dcsim.hardware.catalogue import load_catalogue
from dcsim.scenario.load import loads
from dcsim.studies.heating import Heating
from dcsim.studies.risk import EACH_CONFIDENCE, Exposure, PolicyHold, held_by_policies
from dcsim.studies.tail import chance_above
from tests.studies.small import TEXT

CURVE = in_band(load_catalogue().curves["ul-489-1000a"], 0.0)
RATING_W = 600e3
ROW = {"row": Element(RATING_W, CURVE, 900.0)}
LABELS = 1.6


def exposure(
    series: FloatArray,
    *,
    ceiling: float | None = LABELS,
    held: PolicyHold | None = None,
    controlled: bool = False,
) -> Exposure:
    """Loads of the row by run and second, as shares of its rating."""
    runs = []
    for load in series:
        heat = (load.reshape(10, -1) ** 2).mean(axis=1)
        ratios = np.sqrt(heat) / 1.05  # what a breaker in equilibrium makes of a load that stays
        rms = float(np.sqrt((load**2).mean()))
        runs.append({"row": Heating(tuple(ratios), tuple(load), 1.0, rms, ceiling)})
    return Exposure(runs, ROW, None if held is None else {"row": held}, controlled=controlled)


def white(runs: int = 20, level: float = 0.8) -> FloatArray:
    rng = np.random.default_rng(1)
    return level + 0.004 * rng.normal(size=(runs, 300))


def piled() -> FloatArray:
    """What caps leave: each run at a level of its own, most just below the budget."""
    rng = np.random.default_rng(2)
    level = np.where(rng.random(20) < 0.7, 0.0, rng.exponential(0.001, 20))
    return 0.751 + level[:, None] + 1e-4 * rng.normal(size=(20, 300))


def test_a_load_under_the_pick_up_at_its_labels_cannot_trip() -> None:
    found = exposure(white(), ceiling=1.04).risk()
    assert (found.per_run, found.way) == (0.0, "labels")
    assert exposure(white(), ceiling=1.06).risk().way != "labels"


def test_a_constant_load_trips_or_does_not() -> None:
    below, above = (exposure(np.full((2, 50), share)) for share in (1.04, 1.05))
    assert (below.risk().per_run, below.risk().way, below.constant) == (0.0, "constant", True)
    assert above.risk().per_run == 1.0
    assert below.risk(level=1.02).per_run == 1.0


def test_bursts_that_no_run_met_would_have_to_come_by_the_hundred() -> None:
    """1 s pieces without memory, labels at 160 % that a breaker holds for a minute and more."""
    found = exposure(white()).risk()
    assert found.way == "bursts"
    assert found.per_run < 1e-12
    assert "none of 6,000 pieces of 1 s was above 48" in found.basis
    assert "even the labels' 960 kW it would carry" in found.basis


def test_runs_that_differ_in_level_have_nothing_but_their_tail() -> None:
    rng = np.random.default_rng(3)
    series = 0.8 + 0.004 * rng.gumbel(size=(60, 1)) + 1e-5 * rng.normal(size=(60, 300))
    found = exposure(series)
    assert math.isinf(found.by_bursts())
    risk = found.risk()
    assert risk.way == "tail"
    highest = series.mean(axis=1) / 1.05
    assert risk.per_run == pytest.approx(
        chance_above(highest, 1.0, EACH_CONFIDENCE).at_most, rel=0.05
    )


def test_what_a_policy_holds_is_bounded_by_how_soon_it_acts() -> None:
    """Piled up below a budget of 475 kW the runs say nothing, not even to a tail; that the policy
    acts above 470 kW, and within seconds, does."""
    alone = exposure(piled(), controlled=True).risk()
    assert (alone.way, math.isinf(alone.per_run)) == ("", True)
    held = exposure(piled(), held=PolicyHold(470e3, 7.0), controlled=True).risk()
    assert held.way == "bursts"
    assert held.per_run < 1e-6
    assert "above 470.0 kW (or where its policy acts)" in held.basis
    slow = exposure(piled(), held=PolicyHold(470e3, 120.0), controlled=True).risk()
    assert not slow.per_run < 1e-2  # slower than the breaker: one late reaction would trip it


def test_without_labels_bursts_are_unbounded() -> None:
    assert math.isinf(exposure(white(), ceiling=None).by_bursts())


def test_few_runs_say_nothing() -> None:
    found = exposure(white(9)).risk()
    assert (found.way, found.basis[:18]) == ("", "9 runs tell nothin")


def test_more_units_and_higher_loads_come_nearer() -> None:
    found = exposure(white())
    near = [found.by_bursts(level=level) for level in (1.0, 1.1, 1.2, 1.25)]
    assert near == sorted(near)
    assert found.by_bursts(factor=1.2) > near[0]
    assert math.isinf(found.by_bursts(level=1.4))


def test_what_policies_hold() -> None:
    """Caps are in force within a period, the age of what it sees and what a command takes, twice:
    one may be on its way."""
    text = TEXT + (
        "control:\n"
        "  - {policy: row-budget, budget: 20 kW, delay: 1 s, actuation_delay: 2 s, period: 3 s}\n"
    )
    found = held_by_policies(loads(text))
    assert (found["row"].above_w, found["row"].react_s) == (pytest.approx(19_800.0), 9.0)
    # All servers of the site hang from the row, none but its own from a rack.
    assert set(found) == {"row", "site"}
    assert (found["site"].below, found["site"].react_s) == (("row",), 9.0)
    assert held_by_policies(loads(TEXT)) == {}
