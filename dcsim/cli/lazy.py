"""Commands that are imported when they are called, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("dcsim.cli.run:run", "Play a scenario and report the load of every level."),
    "validate": ("dcsim.cli.validate:validate", "Check a scenario file; name every problem."),
    "show": ("dcsim.cli.show:show", "Print a scenario with its defaults, and its power tree."),
    "new": ("dcsim.cli.new:new", "Write a commented scenario, after a few questions or flags."),
    "explain": ("dcsim.cli.explain:explain", "Document any key of a scenario file."),
    "catalogue": ("dcsim.cli.catalogue:app", "GPUs, models, servers, curves, losses: the names."),
    "schema": ("dcsim.cli.schema:schema", "Print the JSON Schema of scenario files, for editors."),
    "protection": ("dcsim.cli.protection:app", "Breakers: curves, and when a load trips one."),
    "export": ("dcsim.cli.export:export", "Results as parquet, CSV, pandapower or OpenDSS."),
    "data": ("dcsim.cli.data:app", "Public request traces: list them, fetch them."),
    "report": ("dcsim.cli.report:report", "Write a self-contained page of a run or a study."),
    "plot": ("dcsim.cli.plot:plot", "Draw a result as a picture: PNG, SVG or PDF."),
    "measure": ("dcsim.cli.measure:app", "Measure a GPU that serves: plan, run, check, import."),
    "study": ("dcsim.cli.studies:app", "The planner's questions: growth, sizing, sweep, ..."),
    "serving": ("dcsim.cli.serving:app", "What a site can serve within its SLO."),
    "power": ("dcsim.cli.power:app", "Power models: train, list and check them."),
}
"""Name: (module:attribute, one line of help). The attribute is a function or a typer app."""


class LazyGroup(TyperGroup):
    """Lists the commands of the table; imports the one that is invoked."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does it, after putting the real command in its stand-in's place."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = resolve(args[0])
        return super().resolve_command(ctx, args)


def resolve(name: str) -> Any:
    """The command of a name in the table, imported now."""
    home, help_line = COMMANDS[name]
    module, _, attribute = home.partition(":")
    command_or_app = getattr(import_module(module), attribute)
    app = command_or_app
    if not isinstance(command_or_app, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command(name)(command_or_app)
    command = get_command(app)
    command.name = name
    command.help = command.help or help_line
    return command


def stand_in(name: str) -> Callable[[], None]:
    """What is registered under a name until it is called; carries the line of help."""

    def command() -> None:
        raise RuntimeError(f"'{name}' was not resolved")  # LazyGroup replaces it before

    command.__doc__ = COMMANDS[name][1]
    return command
