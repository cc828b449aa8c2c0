"""`dcsim study growth`."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

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
    refuse_words,
    seconds_asked,
    seeds_asked,
)


def growth(
    scenario: ScenarioPath,
    factors: Annotated[
        str, typer.Option(help="Traffic as multiples of the file's: 1:2:0.1, or 1,1.5,2.")
    ] = "1:2:0.1",
    per_month: Annotated[
        float | None, typer.Option(help="Growth a month as a factor: 1.05 is 5 %.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Day on which the traffic is x1.")
    ] = None,
    max_slo_loss: Annotated[
        float, typer.Option(min=0, max=1, help="Share of requests that may miss their SLO.")
    ] = 0.01,
    fix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'NAME | COST | PATH=VALUE'",
            help="Something that could be done, and what it costs: "
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
    try:
        day = None if start is None else date.fromisoformat(start)
    except ValueError:
        refuse_words(f"--start: '{start}' is no day such as 2026-12-01")

    from dcsim.studies.answer import StudyError
    from dcsim.studies.fixes import Fix
    from dcsim.studies.growth import growth as study

    try:
        fixes = [Fix.parse(text) for text in fix or ()]
    except StudyError as error:
        refuse_words(*error.problems)
    answered(
        "growth",
        checked,
        Asked(scenario, out, runs, workers, scheduler, as_json, quiet),
        lambda crew: study(
            checked,
            grid,
            per_month=per_month,
            start=day,
            seeds=used,
            window_s=window_s,
            max_slo_loss=max_slo_loss,
            fixes=fixes,
            crew=crew,
        ),
    )
