"""`dcsim study savings`."""

from __future__ import annotations

from pathlib import Path
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
    Workers,
    answered,
    opened,
    seconds_asked,
    seeds_asked,
    watts_asked,
)
from dcsim.errors import StudyError


def savings(
    scenario: ScenarioPath,
    racks: Annotated[
        int | None,
        typer.Option(
            help="Number under one limit, from the oversubscription study; by default the file's."
        ),
    ] = None,
    under: Annotated[
        str | None,
        typer.Option(
            metavar="NODE",
            help="Node whose limit applies; by default the one that feeds the racks.",
        ),
    ] = None,
    count: Annotated[
        str | None, typer.Option(metavar="NODE", help="Kind of node to count; racks by default.")
    ] = None,
    limit: Annotated[
        str | None, typer.Option(help="Use this limit instead of the node's rating, e.g. '600 kW'.")
    ] = None,
    tariff: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Prices; see docs/studies/savings.md.")
    ] = None,
    capital_per_kw: Annotated[
        float | None, typer.Option(help="Price per kW of interconnection, transformer and feeder.")
    ] = None,
    interest: Annotated[
        float | None, typer.Option(help="Annual cost of capital, e.g. 0.08.")
    ] = None,
    years: Annotated[
        float | None, typer.Option(help="Years by which construction is deferred.")
    ] = None,
    invest: Annotated[
        float | None,
        typer.Option(help="One-time cost of oversubscription, e.g. meters and controls."),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(metavar="G|FILE.csv", help="g CO2e/kWh, or columns time_s and g_per_kwh."),
    ] = None,
    starts: Annotated[
        str | None,
        typer.Option(
            help="Time of the day at which the run starts, for prices and --grid by time "
            "[default: the scenario's start, else 0 h]",
        ),
    ] = None,
    seeds: Seeds = "1",
    set_: Overrides = None,
    out: Out = None,
    runs: Runs = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """What is capacity that need not be built worth, and what do energy and peaks cost?"""
    checked = opened(scenario, set_)
    used = seeds_asked(seeds)
    limit_w = None if limit is None else watts_asked("--limit", limit)
    start_s = None if starts is None else _time_of_day("--starts", starts)

    from dcsim.studies.savings import Money
    from dcsim.studies.savings import savings as study
    from dcsim.studies.tariff import read_tariff

    try:
        prices = None if tariff is None else read_tariff(tariff)
    except StudyError as error:
        refuse(*error.problems)
    answered(
        "savings",
        checked,
        Asked(scenario, out, runs, workers, scheduler, as_json, quiet),
        lambda runner: study(
            checked,
            count=racks,
            under=under,
            counted=count,
            limit_w=limit_w,
            tariff=prices,
            money=Money(capital_per_kw, interest, years, invest),
            grid=None if grid is None else _number_or_path(grid),
            start_s=start_s,
            seeds=used,
            runner=runner,
        ),
    )


def _time_of_day(option: str, text: str) -> float:
    return 0.0 if text.strip() in ("0 h", "0", "0:00", "00:00") else seconds_asked(option, text)


def _number_or_path(text: str) -> float | Path:
    try:
        return float(text)
    except ValueError:
        return Path(text)
