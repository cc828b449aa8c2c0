"""`dcsim study NAME SCENARIO`: the planner's questions, one command each."""

from __future__ import annotations

import typer

from dcsim.cli.studies.command import StudyGroup
from dcsim.cli.studies.oversubscription import oversubscription

app = typer.Typer(cls=StudyGroup, no_args_is_help=True, add_completion=False)
COMMANDS = (oversubscription,)
for command in COMMANDS:
    app.command(command.__name__)(command)
