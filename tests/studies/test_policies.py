"""Policies side by side."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.errors import StudyError
from dcsim.scenario.models import Scenario
from dcsim.studies import Runner, policies
from dcsim.studies.ask import variant
from tests.studies.small import small

THROTTLE = [{"policy": "admission-throttle", "nodes": "row", "above": 0.5, "below": 0.4}]


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner(workers=1)


def tight() -> Scenario:
    """Four servers on a row whose rating they are above whenever they are busy."""
    return variant(
        small(),
        {
            "facility.row.rating": "9 kW",
            "workload.chat.arrivals.rate": "3 req/s",
            "tenants": [{"name": "web", "slo": {"ttft": "2 s", "tpot": "100 ms"}}],
            "workload.chat.tenants": ["web"],
        },
    )


def test_a_policy_that_turns_requests_away_costs_requests_and_saves_watts(runner: Runner) -> None:
    found = policies(tight(), {"none": [], "throttle": THROTTLE}, seeds=2, runner=runner)
    table = found.frame.set_index("policy")
    none, throttle = table.loc["none"], table.loc["throttle"]
    assert throttle["site_peak_w"] < none["site_peak_w"]
    assert throttle["over_limit_s"] < none["over_limit_s"]
    assert none["worst_node"] == "row"
    assert throttle["slo_loss"] > none["slo_loss"]
    assert throttle["completed_per_s"] < none["completed_per_s"]
    assert throttle["energy_wh"] < none["energy_wh"]
    # No breaker is there: none of two runs tripped, and that is all two runs can say.
    assert (table["trip_probability"] == 0).all()
    assert table["trip_high"].tolist() == pytest.approx([1 - 0.025**0.5] * 2)
    tenants = found.tables["tenants"].frame.set_index("policy")
    assert tenants.loc["throttle", "goodput_per_s"] < tenants.loc["none", "goodput_per_s"]
    nodes = found.tables["nodes"].frame
    assert nodes["node"].unique().tolist() == ["row"]


def test_the_same_policy_twice_differs_in_nothing(runner: Runner) -> None:
    found = policies(small(), {"scenario": None, "none": []}, seeds=2, runner=runner)
    first, second = (row.drop("policy") for _, row in found.frame.iterrows())
    assert first.equals(second)
    assert "peak +0.0 kW" in found.reasons[0]
    assert np.isnan(first["over_limit_s"]) or first["over_limit_s"] == 0.0


def test_refusals(runner: Runner) -> None:
    with pytest.raises(StudyError, match="--policy: name one"):
        policies(small(), {}, runner=runner)
    with pytest.raises(StudyError, match="give --seeds 5"):
        policies(small(), {"none": []}, seeds=0, runner=runner)
    with pytest.raises(StudyError, match="--policy x"):
        policies(small(), {"x": [{"policy": "admission-throtle"}]}, runner=runner)
