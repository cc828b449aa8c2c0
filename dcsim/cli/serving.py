"""`dcsim serving`: what a site can serve."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from dcsim.cli.exits import console, refuse
from dcsim.cli.open import Duration, Overrides, ScenarioPath, Seed, open_file, open_scenario
from dcsim.errors import TraceError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What a site can serve.")


@app.callback()
def _top() -> None:
    """What a site can serve."""


@app.command("capacity")
def capacity(
    scenario: ScenarioPath,
    set_: Overrides = None,
    seed: Seed = None,
    duration: Duration = None,
    at: Annotated[
        str,
        typer.Option(
            metavar="SHARES",
            help="Comma-separated shares of the capacity at which a server's power is simulated.",
        ),
    ] = "0.1,0.25,0.5,0.7,1",
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Print the estimate only; do not simulate.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the requests/s that each server group, and the site, can serve within the SLO, what
    keeps it from more, and what a server draws at shares of that."""
    # The estimate asks no power model and replays no trace to its end.
    opened = open_file if estimate else open_scenario
    checked = opened(scenario, set_, seed, duration)
    shares = () if estimate else _shares(at)
    from dcsim.studies.capacity_rows import capacity_rows

    try:
        rows = capacity_rows(checked, shares, played=not estimate)
    except TraceError as error:
        refuse(error)
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False))
        return
    _print(rows)


def _shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        shares = ()
    if not shares or min(shares) <= 0.0 or max(shares) > 2.0:
        refuse("--at: shares above 0 and up to 2, such as 0.25,0.5,1")
    return shares


def _print(rows: dict[str, Any]) -> None:
    from dcsim.report.load_lines import capacity_lines, capacity_tables

    wide = console(140)
    for table in capacity_tables(rows):
        wide.print(table)
    for line in capacity_lines(rows):
        wide.print(line, markup=False)
