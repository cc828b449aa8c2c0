"""What commands share: exit statuses, refusing input, reading quantities, a console."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

import typer

from dcsim.errors import Problem

if TYPE_CHECKING:
    from rich.console import Console

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
        typer.echo(error_text(line), err=True)
    raise typer.Exit(WRONG_INPUT) from None


def error_text(error: object) -> str:
    """The message of an error; of one of the system, after its file: `out.h5: Is a directory`."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def quantity(option: str, text: str, unit: str, example: str, *, zero: bool = False) -> float:
    """The value of an option in SI units, above 0, or 0 where `zero`; else the process ends."""
    from dcsim.spec.units import parse_quantity

    try:
        value = parse_quantity(text, unit, example)
    except ValueError as error:  # worded for users by the models
        refuse(f"{option}: {error}")
    if value < 0 or (value == 0 and not zero):
        refuse(f"{option}: '{text}' must be {'0 or more' if zero else 'above 0'}")
    return value


def console(width: int) -> Console:
    """A console for tables on stdout, `width` columns wide where that is no terminal."""
    from rich.console import Console

    wide = Console(highlight=False)
    return wide if wide.is_terminal else Console(highlight=False, width=width)


def refuse_problems(problems: Iterable[Problem]) -> NoReturn:
    """As `refuse`, for the problems of a file, with their number at the end."""
    lines = list(problems)
    refuse(*lines, f"{len(lines)} problem{'s' if len(lines) != 1 else ''}")
