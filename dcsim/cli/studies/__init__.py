"""`dcsim study NAME SCENARIO`: the planner's questions, one command each."""

from __future__ import annotations

import typer

from dcsim.cli.studies.growth import growth
from dcsim.cli.studies.oversubscription import oversubscription
from dcsim.cli.studies.policies import policies
from dcsim.cli.studies.savings import savings
from dcsim.cli.studies.sizing import sizing
from dcsim.cli.studies.sweep import sweep

app = typer.Typer(no_args_is_help=True, add_completion=False)
for command in (growth, oversubscription, policies, savings, sizing, sweep):
    app.command(command.__name__)(command)
