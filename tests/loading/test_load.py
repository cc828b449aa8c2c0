"""`dcsim.load`, `dcsim.validate` and the command line check by one function."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import dcsim
from dcsim.cli import app
from dcsim.errors import ScenarioError
from dcsim.loading.load import validate
from dcsim.scenario.load import loads
from tests.engine.sites import HOLES, SITE

CONTROL = "[{policy: row-budget, nodes: row-9, budget: 20 kW}]"
NO_PACK = "{model: gru, pack: gru-h100}"


def write(folder: Path, **changes: object) -> Path:
    file = folder / "site.yaml"
    file.write_text(SITE.format(**{**HOLES, "duration": "5 s", **changes}), encoding="utf-8")
    return file


def line_of(file: Path, start: str) -> int:
    lines = file.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.lstrip().startswith(start))


def test_all_problems_come_with_file_and_line(tmp_path: Path) -> None:
    file = write(tmp_path, control=CONTROL, power=NO_PACK)
    with pytest.raises(ScenarioError) as caught:
        dcsim.load(file)
    power, control = caught.value.problems
    assert (power.file, power.path) == (str(file), "servers.0.power")
    assert power.line == line_of(file, "power:")
    assert control.path == "control.0.nodes"
    assert control.line == line_of(file, "control:")
    assert "row-9" in control.message
    assert validate(file) == [power, control]


def test_a_rows_fault_of_a_trace_names_the_trace(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("start,input_tokens,output_tokens\n1.0,10,5\n2.0,ten,5\n")
    file = write(tmp_path)
    text = file.read_text(encoding="utf-8")
    replay = "arrivals: {kind: replay, file: trace.csv, format: vllm}"
    old = "arrivals: {kind: poisson, rate: 4 req/s}\n    tokens: {kind: fit, name: azure-2023-conv}"
    assert old in text
    file.write_text(text.replace(old, replay), encoding="utf-8")
    (problem,) = validate(file)
    assert (problem.file, problem.line) == (str(trace), 3)
    with pytest.raises(ScenarioError, match=r"trace\.csv:3"):
        dcsim.load(file)


def test_an_override_is_named_in_place_of_the_file(tmp_path: Path) -> None:
    (problem,) = validate(write(tmp_path), [f"control={CONTROL}"])
    assert (problem.file, problem.line, problem.path) == ("--set", None, "control.0.nodes")


def test_the_command_line_prints_the_same_problems(tmp_path: Path) -> None:
    file = write(tmp_path, control=CONTROL, power=NO_PACK)
    expected = [*map(str, validate(file)), "2 problems"]
    for command in (["validate"], ["run"], ["serving", "capacity"], ["study", "growth"]):
        done = CliRunner().invoke(app, [*command, str(file)])
        assert (done.exit_code, done.stderr.splitlines()) == (2, expected), command


def test_a_scenario_made_in_python_is_checked_without_a_file() -> None:
    scenario = loads(SITE.format(**{**HOLES, "control": CONTROL}))
    (problem,) = validate(scenario)
    assert (problem.file, problem.line, problem.path) == ("<small>", None, "control.0.nodes")
    with pytest.raises(TypeError, match=r"replace"):
        validate(scenario, seed=3)


def test_simulate_raises_the_problems_of_a_scenario() -> None:
    scenario = loads(SITE.format(**{**HOLES, "control": CONTROL, "power": NO_PACK}))
    with pytest.raises(ScenarioError, match=r"<small>: control\.0\.nodes: .*row-9"):
        dcsim.simulate(scenario)
    group = scenario.servers[0].model_copy(update={"server": "dgx-9"})
    unchecked = scenario.model_copy(update={"servers": (group,), "control": ()})
    with pytest.raises(ScenarioError, match=r"<small>: servers\.0\.server: .*dgx-9"):
        dcsim.simulate(unchecked)


def test_seconds_may_be_given_as_a_number(tmp_path: Path) -> None:
    assert dcsim.load(write(tmp_path), duration=90.0) == dcsim.load(
        write(tmp_path), duration="1.5 min"
    )
