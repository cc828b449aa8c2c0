"""`dcsim study growth`."""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated

import typer

from dcsim.cli.exits import refuse
from dcsim.cli.open import Overrides, ScenarioPath
from dcsim.cli.studies.common import (
    AsJson,
    Asked,
    Out,
    Quiet,
    Runs,
    Scheduler,
    Seeds,
    Window,
    Workers,
    answered,
    numbers_asked,
    opened,
    seconds_asked,
    seeds_asked,
)
from dcsim.errors import StudyError

MONTHS = {"month": 1, "quarter": 3, "year": 12}


def growth(
    scenario: ScenarioPath,
    factors: Annotated[
        str, typer.Option(help="Traffic as multiples of the file's: 1:2:0.1 or 1,1.5,2.")
    ] = "1:2:0.1",
    per_month: Annotated[
        str | None, typer.Option(help="Growth per month: '5 %', or the factor 1.05.")
    ] = None,
    per_quarter: Annotated[
        str | None, typer.Option(help="Growth per quarter: '10 %', or 1.10.")
    ] = None,
    per_year: Annotated[str | None, typer.Option(help="Growth per year: '40 %', or 1.40.")] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="Date at which the traffic equals the file's."),
    ] = None,
    max_slo_loss: Annotated[
        float, typer.Option(min=0, max=1, help="Share of requests that may miss their SLO.")
    ] = 0.01,
    fix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'NAME | COST | PATH=VALUE'",
            help="A measure that could be taken, and its cost: "
            "'bigger feeder | 40000 | facility.row.rating=700 kW'. May be repeated.",
        ),
    ] = None,
    seeds: Seeds = "3",
    window: Window = "1 min",
    set_: Overrides = None,
    out: Out = None,
    runs: Runs = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """When does more traffic meet a limit, which one first, and what would put it off?"""
    checked = opened(scenario, set_)
    grid, used = numbers_asked("--factors", factors), seeds_asked(seeds)
    window_s = seconds_asked("--window", window)
    pace = _pace({"month": per_month, "quarter": per_quarter, "year": per_year})
    try:
        day = None if start is None else date.fromisoformat(start)
    except ValueError:
        refuse(f"--start: '{start}' is no day such as 2026-12-01")

    from dcsim.studies.fixes import Fix
    from dcsim.studies.growth import growth as study

    try:
        fixes = [Fix.parse(text) for text in fix or ()]
    except StudyError as error:
        refuse(*error.problems)
    answered(
        "growth",
        checked,
        Asked(scenario, out, runs, workers, scheduler, as_json, quiet),
        lambda runner: study(
            checked,
            grid,
            per_month=pace,
            start=day,
            seeds=used,
            window_s=window_s,
            max_slo_loss=max_slo_loss,
            fixes=fixes,
            runner=runner,
        ),
    )


def _pace(asked: dict[str, str | None]) -> float | None:
    """Growth a month as a factor, from whichever span it was given for."""
    given = {name: text for name, text in asked.items() if text is not None}
    if not given:
        return None
    if len(given) > 1:
        refuse(f"{' and '.join(f'--per-{name}' for name in given)}: choose one")
    ((name, text),) = given.items()
    bare = text.strip()
    try:
        factor = 1.0 + float(bare[:-1]) / 100.0 if bare.endswith("%") else float(bare)
    except ValueError:
        refuse(f"--per-{name}: '{text}' is neither growth such as '5 %' nor a factor 1.05")
    if not 1.0 < factor < math.inf:
        refuse(f"--per-{name}: give growth above 0: '5 %', or as a factor 1.05")
    return float(factor ** (1.0 / MONTHS[name]))
