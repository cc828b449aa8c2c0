"""What all commands that take a scenario share: its options, and how its problems are told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.exits import refuse_problems
from dcsim.errors import Problem, ScenarioError
from dcsim.scenario.load import load
from dcsim.scenario.models import Scenario
from dcsim.spec.document import read

ScenarioPath = Annotated[Path, typer.Argument(metavar="SCENARIO", help="Scenario file (YAML).")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a key, such as servers.a100.engine.max_num_seqs=64. May be repeated.",
    ),
]
Seed = Annotated[int | None, typer.Option(help="Use this seed instead of the file's.")]
Duration = Annotated[
    str | None, typer.Option(help="Use this duration instead of the file's, such as '1 h'.")
]


def open_scenario(
    path: Path,
    overrides: list[str] | None = None,
    seed: int | None = None,
    duration: str | None = None,
) -> Scenario:
    """The scenario; where it cannot be used, its problems go to stderr and the process exits
    with status 2."""
    try:
        return load(path, overrides or (), seed=seed, duration=duration)
    except ScenarioError as error:
        refuse_problems(error.problems)


def room_problems(path: Path, scenario: Scenario) -> list[Problem]:
    """What the file alone does not show: its traces read through, its policies and power
    packs asked. Each is told with the line that it is about."""
    from dcsim.engine.check import check_rooms

    told = check_rooms(scenario)
    document = read(path, str(path)) if told else None
    problems = trace_problems(scenario)
    for dotted, what in told:
        steps = tuple(int(step) if step.isdigit() else step for step in dotted.split("."))
        line = None if document is None else document.place(steps).line
        problems.append(Problem(str(path), line, dotted, what))
    return problems


def trace_problems(scenario: Scenario) -> list[Problem]:
    """What is wrong inside the files of the scenario's workload, read through. What is left out
    of them on the user's word is told on stderr."""
    from dcsim.workload import survey

    found = survey(scenario)
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    return found.problems
