"""The command line: one module a command, each thin. This file only lists them.

Exit status: 0 well, 1 a run that failed, 2 a scenario or a command line that is wrong, 3 a run
in which happened what `run --fail-on` names, 70 a fault of dcsim itself (its log is named), 130
stopped with Ctrl-C.
"""

from __future__ import annotations

from typing import Annotated

import typer

from dcsim import __version__
from dcsim.cli.lazy import COMMANDS, LazyGroup, stand_in
from dcsim.compiled import is_compiled

app = typer.Typer(
    name="dcsim",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _name in COMMANDS:
    app.command(_name)(stand_in(_name))


def _print_version(requested: bool) -> None:
    if requested:
        plain = "in plain Python, at half the speed (install again with a C compiler)"
        typer.echo(f"dcsim {__version__}, event loop {'compiled' if is_compiled() else plain}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    """Play an LLM inference site, request by request, and watch its watts at every level."""


def main() -> None:
    """Entry point of the `dcsim` command."""
    from dcsim.cli.guard import run_guarded

    run_guarded(app)
