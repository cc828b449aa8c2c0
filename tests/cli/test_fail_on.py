"""`dcsim run --fail-on`: what it fails on, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from tests.cli.test_run import SCENARIO

runner = CliRunner()
BREAKER = "rating: 5 kW, breaker: {curve: dynamo-rpp, rating: 2 kW}"
PROMISE = "tenants: [{name: all, slo: {ttft: 1 ms}}]\n"


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SCENARIO)
    return path


def told(scenario: Path, fail_on: str, *more: str) -> tuple[int, str]:
    done = runner.invoke(app, ["run", str(scenario), "--quiet", "--fail-on", fail_on, *more])
    return done.exit_code, done.stderr


def test_a_run_in_which_nothing_happened_is_well(scenario: Path) -> None:
    high = ("--set", "facility.row.rating=50 kW")
    assert told(scenario, "trip,overload", *high) == (0, "")


def test_a_trip_fails_and_results_are_kept(scenario: Path, tmp_path: Path) -> None:
    scenario.write_text(SCENARIO.replace("rating: 5 kW", BREAKER))
    out = tmp_path / "kept.h5"
    status, text = told(scenario, "trip", "--out", str(out))
    assert (status, text) == (3, "failed on trip: 1 trip: row\n")
    assert out.exists()


def test_a_load_above_its_rating_fails_and_is_named(scenario: Path) -> None:
    status, text = told(scenario, "overload", "--set", "facility.row.rating=2 kW")
    assert status == 3
    assert text.startswith("failed on overload: limits were not kept (1 of kind overload); above")
    assert "row 20.0 s" in text or "row 19." in text


def test_an_slo_is_held_to_its_attainment(scenario: Path) -> None:
    scenario.write_text(PROMISE + SCENARIO)
    status, text = told(scenario, "slo")
    assert status == 3
    assert "failed on slo: all had 0.0 % of its requests within its SLO, 99.0 %" in text
    easy = PROMISE.replace("1 ms", "1 h")
    scenario.write_text(easy + SCENARIO)
    assert told(scenario, "slo") == (0, "")


def test_all_that_happened_is_told(scenario: Path) -> None:
    scenario.write_text(PROMISE + SCENARIO.replace("rating: 5 kW", BREAKER))
    status, text = told(scenario, "slo,trip", "--fail-on", "overload")
    assert status == 3
    assert [line.split(":")[0] for line in text.splitlines()][:2] == [
        "failed on slo",
        "failed on trip",
    ]


@pytest.mark.parametrize(
    ("fail_on", "expected"), [("fire", "'fire' is not known"), ("slo", "no tenant")]
)
def test_what_cannot_fail_is_refused(scenario: Path, fail_on: str, expected: str) -> None:
    status, text = told(scenario, fail_on)
    assert status == 2
    assert expected in " ".join(text.replace("│", " ").split())
