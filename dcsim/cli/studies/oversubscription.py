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
        typer.Option(metavar="NODE", help="Whose limit; what feeds the racks if left out."),
    ] = None,
    count: Annotated[
        str | None, typer.Option(metavar="NODE", help="What is counted; racks if left out.")
    ] = None,
    limit: Annotated[
        str | None, typer.Option(help="Instead of the node's rating, such as '600 kW'.")
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
            help="Power models to put side by side: scenario (the file's own), nameplate, "
            "board-limit, mean, lut, ledger, gru."
        ),
    ] = "nameplate,scenario",
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=BLOCK",
            help="Policies to put side by side: none, scenario, NAME=FILE.yaml or "
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
        float, typer.Option(help="Most trips in a year's busy hours, 95 % sure.")
    ] = 0.1,
    busy_hours: Annotated[
        float, typer.Option(help="Hours of a year that are as busy as the run.")
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
        typer.Option(help="Standard deviation of a day's load, as a share of it; 0.024."),
    ] = None,
    max_trip: Annotated[
        float | None,
        typer.Option(help="Instead: highest probability that a run fails, by counting runs."),
    ] = None,
    max_slo_loss: Annotated[
        float, typer.Option(help="Highest share of requests that miss their SLO.")
    ] = 0.01,
    window: Annotated[
        str, typer.Option(help="The continuous rating is held to means over this.")
    ] = "15 min",
    traffic: Annotated[
        Traffic, typer.Option(help="Each server keeps its share, or the site's traffic stays.")
    ] = Traffic.SCALED,
    draws: Annotated[int, typer.Option(help="Random subsets of the screen.")] = 200,
    quantile: Annotated[float, typer.Option(help="Of the peaks of those subsets.")] = 0.95,
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
        lambda crew: study(
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
            crew=crew,
        ),
    )
