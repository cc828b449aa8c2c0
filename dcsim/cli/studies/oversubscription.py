"""`dcsim study oversubscription`."""

from __future__ import annotations

from enum import StrEnum
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
    Workers,
    answered,
    opened,
    seconds_asked,
    seeds_asked,
    watts_asked,
)
from dcsim.errors import StudyError


class Rule(StrEnum):
    """When so many racks fit."""

    BREAKER = "breaker"
    PAPER = "paper"


class Fill(StrEnum):
    """Up to where a node is filled."""

    CONTINUOUS = "continuous"
    RATING = "rating"


class Traffic(StrEnum):
    """What more servers have to do."""

    SCALED = "scaled"
    FIXED = "fixed"


def oversubscription(
    scenario: ScenarioPath,
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
    rule: Annotated[
        Rule,
        typer.Option(
            help="breaker: simulated, no trip and the continuous rating kept. paper: 95th "
            "percentile over 200 random subsets of the highest second."
        ),
    ] = Rule.BREAKER,
    models: Annotated[
        str,
        typer.Option(
            help="Power models to compare: scenario (the file's own), nameplate, "
            "board-limit, mean, lut, ledger, gru."
        ),
    ] = "nameplate,scenario",
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=BLOCK",
            help="Policies to compare: none, scenario, NAME=FILE.yaml or "
            "NAME='[{policy: admission-throttle, nodes: row}]'. May be repeated.",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="How many, or which: 1,2,9. 20, or as many as show --max-trip."),
    ] = None,
    fill: Annotated[
        Fill,
        typer.Option(help="Up to what nodes may carry for good (80 % of many breakers), or rated."),
    ] = Fill.CONTINUOUS,
    max_trips_per_year: Annotated[
        float, typer.Option(help="Most trips allowed in a year's busy hours, at 95 % confidence.")
    ] = 0.1,
    busy_hours: Annotated[
        float, typer.Option(help="Hours in a year that are as busy as the run.")
    ] = 1000.0,
    level_error: Annotated[
        float | None,
        typer.Option(
            help="Loads may be higher by this share, 95 % sure; by what the watts stand on if left "
            "out."
        ),
    ] = None,
    day_spread: Annotated[
        float | None,
        typer.Option(help="Standard deviation of a day's load as a share of it, e.g. 0.024."),
    ] = None,
    max_trip: Annotated[
        float | None,
        typer.Option(
            help="Criterion by counting runs instead: highest probability that a run fails."
        ),
    ] = None,
    max_slo_loss: Annotated[
        float, typer.Option(help="Largest share of requests that may miss their SLO.")
    ] = 0.01,
    window: Annotated[
        str, typer.Option(help="Averaging time of the load compared with the continuous rating.")
    ] = "15 min",
    traffic: Annotated[
        Traffic,
        typer.Option(help="Whether traffic grows with the servers or the site's total stays."),
    ] = Traffic.SCALED,
    draws: Annotated[int, typer.Option(help="Number of random subsets in the screening.")] = 200,
    quantile: Annotated[float, typer.Option(help="Quantile of the subsets' peaks to use.")] = 0.95,
    set_: Overrides = None,
    out: Out = None,
    runs: Runs = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """How many racks fit under a row, PDU or site limit, by power model and by policy?"""
    checked = opened(scenario, set_)
    used = None if seeds is None else seeds_asked(seeds)
    limit_w = None if limit is None else watts_asked("--limit", limit)
    window_s = seconds_asked("--window", window)

    from dcsim.studies.oversubscription import oversubscription as study
    from dcsim.studies.variants import parse_policies

    try:
        policies = parse_policies(policy or ())
    except StudyError as error:
        refuse(*error.problems)
    answered(
        "oversubscription",
        checked,
        Asked(scenario, out, runs, workers, scheduler, as_json, quiet),
        lambda runner: study(
            checked,
            under=under,
            counted=count,
            limit_w=limit_w,
            rule="paper" if rule is Rule.PAPER else "breaker",
            models=[part.strip() for part in models.split(",") if part.strip()],
            policies=policies,
            seeds=used,
            fill="rating" if fill is Fill.RATING else "continuous",
            max_trips_per_year=max_trips_per_year,
            busy_hours=busy_hours,
            level_error=level_error,
            day_spread=day_spread,
            max_trip=max_trip,
            max_slo_loss=max_slo_loss,
            window_s=window_s,
            traffic="fixed" if traffic is Traffic.FIXED else "scaled",
            draws=draws,
            quantile=quantile,
            runner=runner,
        ),
    )
