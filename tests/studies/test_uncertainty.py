"""What is uncertain besides seeds, against what can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dcsim.arrays import FloatArray
from dcsim.facility.trip_ratio import Element
from dcsim.studies.heating import Heating
from dcsim.studies.risk import Exposure
from dcsim.studies.uncertainty import LoadUncertainty, peak_band_w, scaled, uncertainty_of

PARTS = [
    {"evidence": "extrapolated", "mean_w": 600.0, "error": 0.05},
    {"evidence": "fitted", "mean_w": 0.0, "error": None},
    {"evidence": "assumed", "mean_w": 300.0, "error": None},
    {"evidence": "assumed", "mean_w": 100.0, "error": None},
]


def test_the_level_by_what_the_watts_stand_on() -> None:
    """60 % off by 5 % in the median, which is 7.4 % as a standard deviation, and 40 % by a tenth:
    both together 6.0 %, and 1.645 times that with 95 %."""
    found = uncertainty_of({"evidence": {"parts": PARTS}})
    deviation = math.hypot(0.6 * 0.05 / 0.6745, 0.4 * 0.10)
    assert found.level == pytest.approx(1.6449 * deviation, rel=1e-3)
    assert found.parts == (
        "60 % of the watts extrapolated, off by 7.4 %",
        "40 % of the watts assumed, off by 10.0 %",
    )
    given = uncertainty_of({"evidence": {"parts": PARTS}}, 0.03, 0.05)
    assert (given.level, given.day, given.parts) == (0.03, 0.05, ())


def test_runs_of_any_day_above_a_limit() -> None:
    """One standard deviation below it: 15.87 %. Without days, the share of runs above it."""
    assert LoadUncertainty(0.0, 0.05).exceeding([math.exp(-0.05)] * 3) == pytest.approx(
        0.1587, abs=1e-4
    )
    assert LoadUncertainty(0.1, 0.0).exceeding([0.8, 0.95]) == 0.5


def exposure(loads: FloatArray, ratios: FloatArray) -> Exposure:
    """Of a row without a breaker, whose labels are unknown: loads and trip ratios by run."""
    runs = [
        {"row": Heating(tuple(ratio), tuple(load), 1.0, float(load.mean()), None)}
        for load, ratio in zip(loads, ratios, strict=True)
    ]
    return Exposure(runs, {"row": Element(1.0, None, 10.0)})


def test_the_trips_over_days_are_those_of_a_lognormal_day() -> None:
    """A load that is constant in a run: the chance is that of the day alone, by its normal tail.
    Runs that differ: days of spread 0 leave the runs' own bound."""
    constant = exposure(np.full((20, 5), 0.9), np.full((20, 1), 0.9))
    sure = LoadUncertainty(0.02, 0.03).trips_at_most(constant)
    assert sure == pytest.approx(stats.norm.sf(-math.log(0.9 * 1.02) / 0.03), rel=0.1)
    maxima = 0.8 + np.random.default_rng(3).gumbel(0.0, 0.01, (60, 1))
    differ = exposure(np.full((60, 5), 0.7) + maxima / 10, maxima)
    assert LoadUncertainty(0.0, 0.0).trips_at_most(differ) == differ.risk().per_run
    assert LoadUncertainty(0.0, 0.01).trips_at_most(differ) > differ.risk().per_run


def test_scaled_loads() -> None:
    """A quarter of the units: a quarter of the mean, half of what stood above it."""
    assert scaled(1200.0, 1000.0, 0.25) == 250.0 + 100.0


def test_a_peak_between_errors_of_level_and_days() -> None:
    low_w, high_w = peak_band_w(1000.0, LoadUncertainty(1.6449 * 0.03, 0.04))
    assert high_w == pytest.approx(1000.0 * (1 + 1.6449 * 0.05), rel=1e-4)
    assert low_w + high_w == pytest.approx(2000.0)
