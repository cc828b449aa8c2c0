"""Exit statuses of the commands, and how a command refuses its input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

import typer

from dcsim.errors import Problem

FAILED = 1
"""The input was right and the work could not be done, or what was checked is not good."""
WRONG_INPUT = 2
FAILED_ON = 3
"""`dcsim run --fail-on`: the run was played and does not keep what was asked."""
FAULT = 70
"""A fault in dcsim itself (`EX_SOFTWARE` of sysexits.h)."""
STOPPED = 130
"""After Ctrl-C, or when told to end: 128 and Ctrl-C's number, as shells have it."""


def refuse(*lines: object) -> NoReturn:
    """Print what is wrong with the input to stderr, one a line, and exit with `WRONG_INPUT`."""
    for line in lines:
        typer.echo(str(line), err=True)
    raise typer.Exit(WRONG_INPUT) from None


def refuse_problems(problems: Iterable[Problem]) -> NoReturn:
    """As `refuse`, for the problems of a file, with their number at the end."""
    lines = list(problems)
    refuse(*lines, f"{len(lines)} problem{'s' if len(lines) != 1 else ''}")
