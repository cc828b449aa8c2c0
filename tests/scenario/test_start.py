"""The run's start by the clock: what may be written, and what the clock then shows."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
import yaml

from dcsim.errors import ScenarioError
from dcsim.scenario.dump import dump
from dcsim.scenario.load import change, loads
from dcsim.scenario.models import Scenario
from dcsim.scenario.start import parse_start
from dcsim.workload.open import by_the_clock

TEXT = """
name: small
START
duration: 1 min
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {kind: diurnal, mean_rate: 1 req/s, KEYS}
    tokens: {kind: fixed, prompt: 10, output: 10}
servers: [{name: g, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8}]
facility:
  - {name: site, kind: site}
  - {name: server, kind: server, parent: site, group: g}
"""


def scenario(start: str = "", keys: str = "amplitude: 0.5") -> Scenario:
    return loads(TEXT.replace("START", start).replace("KEYS", keys))


def problems(start: str, keys: str) -> list[str]:
    with pytest.raises(ScenarioError) as raised:
        scenario(start, keys)
    return [str(problem) for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("19:00", "19:00:00"),
        ("7:05:30", "07:05:30"),
        ("2026-12-01", "2026-12-01 00:00:00"),
        ("2026-12-01 19:00", "2026-12-01 19:00:00"),
        ("2026-12-01T19:00:05Z", "2026-12-01 19:00:05 Z"),
        ("2026-12-01 19:00 Europe/Berlin", "2026-12-01 19:00:00 Europe/Berlin"),
        ("2026-12-01 19:00+01:00", "2026-12-01 19:00:00 +01:00"),
    ],
)
def test_what_may_be_written(written: str, canonical: str) -> None:
    """Quoted or not: YAML 1.1 would read 19:00 as 1140, and dates as dates."""
    for quoted in (written, f'"{written}"'):
        read = scenario(f"start: {quoted}")
        assert str(read.start) == canonical
    again = loads(dump(read))
    assert again.start == read.start
    assert change(read, {"start": written}).start == read.start
    data = yaml.safe_load(dump(read))  # as other tools read the results' scenario
    assert data["start"] == canonical


def test_hours_as_elsewhere_in_a_scenario() -> None:
    assert str(parse_start("19 h")) == "19:00:00"
    assert str(parse_start("13.75h")) == "13:45:00"


def test_dates_of_python_are_taken() -> None:
    assert str(parse_start(date(2026, 12, 1))) == "2026-12-01 00:00:00"
    moment = datetime(2026, 12, 1, 19, tzinfo=UTC)
    assert parse_start(moment).iso(60.0) == "2026-12-01T19:01:00+00:00"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("25:00", "'25:00' is no time of a day"),
        ("19:60", "is no time of a day"),
        ("1140", "'1140' is no time such as '19:00'"),
        ("7 pm", "'7 pm' is no time such as '19:00'"),
        ("2026-13-01", "is no time such as"),
        ("2026-12-01 19:00 Mars/Olympus", "'Mars/Olympus' is no time zone"),
        ("19:00 Europe/Berlin", "is no time such as"),
        ("25 h", "'25 h' is no time of a day"),
        ("2026-03-29 02:30 Europe/Berlin", "clocks go forward then; 03:30:00 follows"),
    ],
)
def test_what_is_no_start(written: str, told: str) -> None:
    (problem,) = problems(f"start: {written}", "amplitude: 0.5")
    assert told in problem
    assert ":3: start: " in problem


def test_the_clock_across_midnight() -> None:
    start = parse_start("23:59:30")
    assert [start.at(t) for t in (0.0, 29.9, 30.0, 86400.0, 90000.0)] == [
        "23:59:30", "23:59:59", "00:00:00 +1d", "23:59:30 +1d", "00:59:30 +2d",
    ]  # fmt: skip
    dated = parse_start("2026-12-31 23:59:30")
    assert dated.at(30.0) == "2027-01-01 00:00:00"
    assert dated.iso(30.0) == "2027-01-01T00:00:00"


def test_the_clock_of_a_zone_where_clocks_change() -> None:
    """On 25 October 2026 Berlin goes back from 3:00 +02:00 to 2:00 +01:00; on 29 March 2026 it
    goes forward from 2:00 to 3:00."""
    back = parse_start("2026-10-25 02:30 Europe/Berlin")
    assert back.iso(0.0) == "2026-10-25T02:30:00+02:00"
    assert back.iso(3600.0) == "2026-10-25T02:30:00+01:00"
    forward = parse_start("2026-03-29 01:30 Europe/Berlin")
    assert forward.iso(3600.0) == "2026-03-29T03:30:00+02:00"
    assert forward.at(3600.0) == "2026-03-29 03:30:00"


# --- streams ---------------------------------------------------------------------------------


def played(read: Scenario) -> tuple[float | None, str | None]:
    process = by_the_clock(read, read.workload[0]).arrivals
    return process.start_at_s, process.start_day  # type: ignore[union-attr]


def test_streams_start_when_the_run_does() -> None:
    assert played(scenario("start: 19:00")) == (68400.0, None)
    assert played(scenario("start: 2026-12-01 19:00")) == (68400.0, "tue")
    assert played(scenario()) == (None, None)
    same = scenario("start: 2026-12-01 19:00", "start_at: 19 h, start_day: tue")
    assert played(same) == (68400.0, "tue")
    assert played(change(scenario("start: 19:00"), {"start": "20:00"})) == (72000.0, None)


@pytest.mark.parametrize("written", ["20 h", "20:00", '"20:00"', '"20:00:00"', "1200 min"])
def test_times_of_day_as_people_write_them(written: str) -> None:
    process = scenario("", f"peak_at: {written}, start_at: {written}").workload[0].arrivals
    assert (process.peak_at_s, process.start_at_s) == (72000.0, 72000.0)  # type: ignore[union-attr]


def test_a_stream_that_disagrees_is_refused_with_a_remedy() -> None:
    (problem,) = problems("start: 20:00", "start_at: 19:00")
    assert "workload.0.arrivals.start_at" in problem
    assert "this stream starts at 19:00, the run at 20:00:00, by `start`" in problem
    assert "leave it out here" in problem
    (problem,) = problems("start: 2026-12-01 20:00", "start_day: mon")
    assert "starts on a mon, the run on a tue" in problem
    # A stream whose day has another length keeps a time of its own.
    scenario("start: 20:00", "period: 1 h, start_at: 10 min")


def test_a_wrong_time_of_day_is_told_in_words() -> None:
    (problem,) = problems("", "peak_at: 8 pm")
    assert "'8 pm' is not a quantity" in problem
    (problem,) = problems("", "peak_at: 26:00")
    assert "'26:00' is no time of a day" in problem
