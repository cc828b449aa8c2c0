"""Studies tell how busy the fleet is, and what a busy one draws."""

from __future__ import annotations

import pytest

from dcsim.engine import simulate
from dcsim.scenario.models import Scenario
from dcsim.studies import sizing_study
from dcsim.studies.ask import variant
from dcsim.studies.busy import (
    busy_sentences,
    busy_servers,
    far_from_busy_sentences,
    watts_sentences,
)
from dcsim.studies.jobs import job
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.runner import Runner
from tests.engine.sites import site


def outcome(scenario: Scenario) -> list[RunOutcome]:
    return Runner(workers=1).play([job(scenario, 1)])


def test_an_idle_fleet_is_called_one() -> None:
    """Eight servers of some 5.9 requests/s each at 4 requests/s: 9 %."""
    scenario = site()
    found = outcome(scenario)
    (line,) = busy_sentences(found)
    assert "8 % of the 46.9" in line or "9 % of the 46.9" in line
    assert "TTFT p95 2 s, TPOT 100 ms (default)" in line
    (warning,) = far_from_busy_sentences(scenario, found)
    assert "Far from busy: a server of a100" in warning
    assert warning.endswith("What fits here may not fit then.")
    constant = variant(site(), {"servers.0.power": {"model": "board-limit"}})
    (note,) = far_from_busy_sentences(constant, outcome(constant))
    assert note.endswith("it draws 4.20 kW (played), as much as here.")
    # Of each server's watts 1,000 are the catalogue's constant.
    assumed = 100 * 8000 / found[0].summary["nodes"][0]["mean_w"]
    assert watts_sentences(found) == (
        f"Of the watts {100 - assumed:.0f} % fitted, {assumed:.0f} % assumed.",
    )


def test_the_busy_server_draws_what_a_busy_run_draws() -> None:
    """The same site played at that rate, whole: facility, router and all."""
    scenario = site(rate=2)
    found = outcome(scenario)
    capacity_per_s = found[0].summary["serving"][-1]["capacity_per_s"]
    ((name, drawn_w, busy_w),) = busy_servers(scenario, found)
    mean_w = found[0].summary["nodes"][0]["mean_w"]
    assert name == "a100"
    assert drawn_w == pytest.approx(mean_w / 8)
    with simulate(site(rate=0.7 * capacity_per_s, duration="3 min")) as results:
        load_w = results.load_w("site")["site"]
        assert busy_w == pytest.approx(load_w[load_w.index > 60].mean() / 8, rel=0.02)
    assert busy_w > 1.1 * drawn_w


def test_a_busy_fleet_is_left_alone() -> None:
    scenario = site(rate=25)
    assert far_from_busy_sentences(scenario, outcome(scenario)) == ()


def test_answers_carry_the_load_and_the_warning() -> None:
    """Sizing by a fleet that is far from busy says so in its headline, with the load in its
    reasons and the share of watts in how sure it is."""
    answer = sizing_study(site(duration="1 min"), windows_s=[1.0])
    assert "Far from busy" in answer.headline[-1]
    assert any("requests running a replica" in line for line in answer.reasons)
    assert any(line.startswith("Of the watts ") for line in answer.uncertainty)
    assert answer.evidence[0]["watts"].endswith("% assumed")
    busy = sizing_study(site(duration="1 min", rate=25), windows_s=[1.0])
    assert not any("Far from busy" in line for line in busy.headline)
