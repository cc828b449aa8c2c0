"""Limits of all kinds in the studies that play runs, by hand on a site of constant load."""

from __future__ import annotations

import math

import pytest

from dcsim.scenario.models import Scenario
from dcsim.studies import (
    FleetVariant,
    Runner,
    Tariff,
    policies,
    refresh,
    savings,
    sizing_study,
    sweep,
)
from dcsim.studies.ask import variant
from tests.studies.small import small

SITE_KW = 4 * 4.2
"""Four servers at board limits: eight GPUs of 400 W and 1 kW each."""
DEMAND = "Limit not kept: site, 15 s demand 16.8 kW of 16 kW (105.0 %), above for "
CONTINUOUS = (
    "Limit not kept: row, continuous 16.8 kW of 15 kW (112.0 %, mean of 60 s, less than 3 h)"
)
UNJUDGED = (
    "Not judged: site, 15 min demand 10 kW: no whole window in the 1 min measured, whose mean is "
    "16.8 kW; play at least 15 min."
)


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner(workers=1)


def broken() -> Scenario:
    """The row is under its rating of 20 kW, above the 75 % that it may carry continuously; the
    site is above a demand limit of 15 s, and has one that the run is too short for."""
    return variant(
        small(),
        {
            "servers.0.power": {"model": "board-limit"},
            "facility.row.rating": "20 kW",
            "facility.row.continuous": "75 %",
            "facility.site.demand": [
                {"window": "15 s", "limit": "16 kW"},
                {"window": "15 min", "limit": "10 kW"},
            ],
        },
    )


def test_sizing_tells_them_in_its_headline(runner: Runner) -> None:
    found = sizing_study(broken(), windows_s=(1.0, 15.0), runner=runner)
    assert found.headline[1].startswith(CONTINUOUS)
    assert found.headline[2].startswith(DEMAND)
    assert UNJUDGED in found.uncertainty
    table = found.tables["limits"].frame
    assert table["limit"].tolist() == [
        "continuous 15 kW",
        "15 s demand 16 kW",
        "rating 20 kW",
        "15 min demand 10 kW",
    ]
    assert table["of_limit"].tolist()[:3] == pytest.approx([1.12, 1.05, 0.84])
    assert math.isnan(table["of_limit"].iloc[3]) and table["runs"].tolist() == [1, 1, 1, 0]


def test_policies_tell_time_over_each_kind(runner: Runner) -> None:
    found = policies(broken(), {"none": []}, seeds=2, runner=runner)
    row = found.frame.iloc[0]
    assert row["over_limit_s"] == 0.0
    assert row["over_continuous_s"] == 60.0
    # The first 15 s fill the window; the step that does counts.
    assert row["over_demand_s"] == 46.0
    assert math.isnan(row["over_ramp_s"])
    told = [line for line in found.reasons if line.startswith("none: Limit not kept: site")]
    assert told == [f"none: {DEMAND}46 s a run, in 2 of 2 runs."]
    assert UNJUDGED in found.uncertainty
    limits = found.tables["limits"].frame
    assert limits.loc[limits["limit"] == "15 s demand 16 kW", "runs_over"].tolist() == [2]


def test_sweep_has_columns_of_each_kind(runner: Runner) -> None:
    over = {"facility.row.continuous": ["75 %", "100 %"]}
    found = sweep(broken(), over, runner=runner)
    runs = found.tables["runs"].frame
    assert runs["over_continuous_s"].tolist() == [60.0, 0.0]
    assert runs["over_demand_s"].tolist() == [46.0, 46.0]
    assert runs["over_rating_s"].tolist() == [0.0, 0.0]
    assert runs["worst_limit"].tolist() == ["row", "site"]
    assert runs["worst_limit_what"].tolist() == ["continuous 15 kW", "15 s demand 16 kW"]
    assert runs["worst_limit_share"].tolist() == pytest.approx([1.12, 1.05])
    variants = found.tables["variants"].frame
    assert variants["runs_over_a_limit"].tolist() == [1, 1]
    assert variants["over_continuous_s"].tolist() == [60.0, 0.0]
    assert UNJUDGED in found.uncertainty


def test_refresh_and_savings_tell_them(runner: Runner) -> None:
    eased = FleetVariant("eased", {"facility.row.continuous": "100 %"})
    found = refresh(broken(), [eased], seeds=1, runner=runner)
    assert found.frame["over_continuous_s"].tolist() == [60.0, 0.0]
    assert any(line.startswith(f"as it is: {CONTINUOUS}") for line in found.reasons)
    assert not any(line.startswith("eased: Limit not kept: row") for line in found.reasons)
    assert UNJUDGED in found.uncertainty
    bill = savings(broken(), limit_w=20e3, tariff=Tariff(meter_s=15.0), runner=runner)
    assert any(line.startswith(DEMAND) for line in bill.reasons)
    assert UNJUDGED in bill.uncertainty
