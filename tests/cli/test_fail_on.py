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
    """The exit status and what is said; figures of the whole run."""
    whole = ("--set", "warm_up=0 s")
    asked = ["run", str(scenario), "--quiet", "--fail-on", fail_on, *whole, *more]
    done = runner.invoke(app, asked)
    return done.exit_code, done.stderr


def test_a_run_in_which_nothing_happened_is_well(scenario: Path) -> None:
    high = ("--set", "facility.row.rating=50 kW")
    assert told(scenario, "trip,overload,limit", *high) == (0, "")


def test_a_trip_fails_and_results_are_kept(scenario: Path, tmp_path: Path) -> None:
    scenario.write_text(SCENARIO.replace("rating: 5 kW", BREAKER))
    out = tmp_path / "kept.h5"
    status, text = told(scenario, "trip", "--out", str(out))
    assert (status, text) == (3, "failed on trip: 1 trip: row\n")
    assert out.exists()


def test_a_load_above_its_rating_fails_and_is_named(scenario: Path) -> None:
    status, text = told(scenario, "overload", "--set", "facility.row.rating=2 kW")
    assert status == 3
    assert text.startswith("failed on overload: 1 limit was not kept: row, rating 2 kW, ")
    assert "above for 20 s" in text or "above for 19." in text


def test_a_rating_in_volt_amperes_or_amperes_is_one(scenario: Path) -> None:
    """By hand: two servers draw 8.4 kW at a power factor of 0.9; 9 kVA are 8.1 kW, and 25 A at
    208 V in three phases sqrt(3) x 208 x 25 x 0.9 = 8.106 kW, of which 80 % may last."""
    factor = (
        "--set",
        "servers.a100.power.model=board-limit",
        "--set",
        "facility.server.power_factor=0.9",
        "--set",
        "facility.row.phases=3",
    )
    for rating, rated in (("9 kVA", 8.1), ("25 A at 208 V", 8.106)):
        for kind, share in (("overload", 1.0), ("continuous", 0.8)):
            status, text = told(scenario, kind, *factor, "--set", f"facility.row.rating={rating}")
            assert status == 3
            assert f"{100 * 8.4 / (share * rated):.1f} % of it" in text


@pytest.mark.parametrize(
    ("fail_on", "changes", "sentence"),
    [
        # Two servers at 8 x 400 W + 1 kW: 8.4 kW, whatever the traffic.
        (
            "demand",
            ["facility.site.demand=[{window: 10 s, limit: 6 kW}]"],
            "1 limit was not kept: site, 10 s demand 6 kW, 140.0 % of it, above for 10.2 s",
        ),
        (
            "demand",
            ["facility.site.demand=[{window: 10 s, limit: 6 kW, windows: clock}]", "start=0:00:05"],
            "1 limit was not kept: site, 10 s demand by the clock 6 kW, 140.0 % of it, above for "
            "10 s",
        ),
        (
            "continuous",
            ["facility.row.rating=10 kW"],
            "1 limit was not kept: row, continuous 8 kW, 105.0 % of it, above for 20 s",
        ),
        (
            "ramp",
            ["facility.row.ramp={change: 1 kW, window: 5 s}"],
            "",
        ),
    ],
)
def test_a_limit_of_each_kind_by_its_name(
    scenario: Path, fail_on: str, changes: list[str], sentence: str
) -> None:
    """And by `limit`, which is any of them; of kinds not asked about nothing is said."""
    constant = ["servers.a100.power={model: board-limit}", "facility.row.rating=50 kW"]
    more = [part for change in [*constant, *changes] for part in ("--set", change)]
    expected = (3, f"failed on {fail_on}: {sentence}\n") if sentence else (0, "")
    assert told(scenario, fail_on, *more) == expected
    assert told(scenario, "limit", *more)[0] == expected[0]
    assert told(scenario, "overload,trip", *more) == (0, "")


def test_a_limit_that_could_not_be_judged_is_not_kept(scenario: Path) -> None:
    demand = "facility.site.demand=[{window: 15 min, limit: 1 kW}]"
    constant = "servers.a100.power={model: board-limit}"
    high = ("--set", "facility.row.rating=50 kW", "--set", constant)
    for kind in ("demand", "limit"):
        assert told(scenario, kind, "--set", demand, *high) == (3, SHORT)
    assert told(scenario, "overload,trip", "--set", demand, *high) == (0, "")


SHORT = (
    "not judged: site, 15 min demand 1 kW: no whole window in the 20 s measured, whose mean is "
    "8.4 kW; play at least 15 min\n"
)


def test_an_slo_without_a_request_is_not_kept(scenario: Path) -> None:
    scenario.write_text(PROMISE.replace("1 ms", "1 h") + SCENARIO)
    rare = ("--set", "workload.0.arrivals={kind: poisson, rate: 0.0001 req/s}")
    assert told(scenario, "slo", *rare) == (
        3,
        "not judged: slo: no request of all has ended; play longer\n",
    )


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
    ("fail_on", "expected"),
    [
        ("fire", "'fire' is not known"),
        ("slo", "no tenant"),
        ("demand", "demand: no node of the scenario has `demand`"),
        ("ramp", "ramp: no node of the scenario has `ramp`"),
    ],
)
def test_what_cannot_fail_is_refused(scenario: Path, fail_on: str, expected: str) -> None:
    status, text = told(scenario, fail_on)
    assert status == 2
    assert expected in " ".join(text.replace("│", " ").split())
