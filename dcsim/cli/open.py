"""What all commands that take a scenario share: its options, and how its problems are reported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.exits import refuse_problems
from dcsim.errors import ScenarioError
from dcsim.scenario.load import load
from dcsim.scenario.models import Scenario

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
    """The scenario, fit to be played: checked by what `dcsim.load` checks it by. Its problems go
    to stderr and end the process with status 2; notes on its traces go to stderr."""
    from dcsim.loading.load import load_with_notes

    try:
        scenario, notes = load_with_notes(path, overrides or (), seed=seed, duration=duration)
    except ScenarioError as error:
        refuse_problems(error.problems)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    return scenario


def open_file(
    path: Path,
    overrides: list[str] | None = None,
    seed: int | None = None,
    duration: str | None = None,
) -> Scenario:
    """As `open_scenario`, without reading traces or asking policies and power packs: for commands
    that only show what the file says."""
    try:
        return load(path, overrides or (), seed=seed, duration=duration)
    except ScenarioError as error:
        refuse_problems(error.problems)
