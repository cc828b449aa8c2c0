"""`dcsim run`: play a scenario."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.exits import FAILED, FAILED_ON, STOPPED, error_text, refuse
from dcsim.cli.fail_on import failures, parse, unknown
from dcsim.cli.guard import interrupts_to
from dcsim.cli.open import Duration, Overrides, ScenarioPath, Seed, open_scenario
from dcsim.errors import ConfigurationError

PIPE_WIDTH = 120
"""Columns of the table where there is no terminal to ask."""


def run(
    scenario: ScenarioPath,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.h5", help="Write the results here; by default they are not kept."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite existing results at --out.")
    ] = False,
    set_: Overrides = None,
    seed: Seed = None,
    duration: Duration = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Show the site full-screen; q ends the run and keeps the results."
        ),
    ] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="trip|overload|continuous|demand|ramp|limit|redundancy|slo",
            help="Exit with 3 if this happened or could not be judged (limit: any kind of "
            "limit exceeded); repeat the option or give a comma-separated list.",
        ),
    ] = None,
) -> None:
    """Play a scenario: requests in, tokens out, watts at every level, limits flagged.

    Exit status 0 when the run ended, 1 when it failed, 2 when the scenario is wrong,
    3 when what --fail-on names has happened or could not be judged (the results are kept),
    130 when it was stopped.
    """
    checked = open_scenario(scenario, set_, seed, duration)
    fail_kinds = parse(fail_on, checked)
    if out is not None and not out.parent.is_dir():
        refuse(f"--out: there is no folder {out.parent}")
    if out is not None and out.exists() and not out.is_file():
        refuse(f"--out: {out} is not a regular file and will not be overwritten")
    if out is not None and out.exists() and not force:
        refuse(f"--out: {out} is there already; --force replaces it")

    # After the checks: these take most of a second to import.
    from rich.console import Console

    from dcsim.engine import simulate
    from dcsim.report.live import LiveView
    from dcsim.report.terminal import render
    from dcsim.report.watch import WatchView

    console = Console(stderr=True)
    duration_s = checked.duration_s

    try:
        with (
            (
                WatchView(checked.name, duration_s, console, quiet, checked.start)
                if watch
                else LiveView(duration_s, console, quiet, checked.start)
            ) as view,
            interrupts_to(view.stop),
            simulate(checked, out, view) as results,
        ):
            summary = results.summary
    except ConfigurationError as error:
        refuse(f"{scenario}: power: {error}")
    except OSError as error:
        typer.echo(f"the run failed: {error_text(error)}", err=True)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        typer.echo("stopped; no results were kept", err=True)
        raise typer.Exit(STOPPED) from None
    if view.stopped:
        typer.echo(f"stopped after {summary['simulated_s']:g} s of {duration_s:g} s", err=True)
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        console = Console()
        if not console.is_terminal:
            console.width = PIPE_WIDTH
        render(summary, console, list(view.first_flags.values()))
        if out is not None:
            console.print(f"Results: {out}", highlight=False, markup=False)
    failed = failures(summary, fail_kinds)
    for sentence in failed:
        typer.echo(f"failed on {sentence}", err=True)
    unjudged = unknown(summary, fail_kinds)
    for sentence in unjudged:
        typer.echo(f"not judged: {sentence}", err=True)
    if failed or unjudged:
        raise typer.Exit(FAILED_ON)
