"""`dcsim study NAME SCENARIO`: the planner's questions, a command for each registered study."""

from __future__ import annotations

import typer

from dcsim.cli.studies.command import StudyGroup

app = typer.Typer(cls=StudyGroup, no_args_is_help=True, add_completion=False)


@app.callback()
def _studies() -> None:
    """The planner's questions, answered by playing a scenario."""
