"""`dcsim study refresh`."""

from __future__ import annotations

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
    opened,
    seconds_asked,
    seeds_asked,
)
from dcsim.errors import StudyError


def refresh(
    scenario: ScenarioPath,
    change: Annotated[
        list[str],
        typer.Option(
            metavar="'NAME | PATH=VALUE'",
            help="A fleet to compare with the present one: "
            "'h100 | servers.a100.server=dgx-h100 | servers.a100.tensor_parallel=4'. May be "
            "repeated.",
        ),
    ],
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP=SHARE",
            help="Renew only this share of a server group, in every row of the facility: a100=0.5.",
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
    """Other GPUs, models or tensor parallelism in the fleet: load, latency, energy per token."""
    checked = opened(scenario, set_)
    used, window_s = seeds_asked(seeds), seconds_asked("--window", window)
    shares = dict(_share(text) for text in part or ())

    from dcsim.studies.refresh import Fleet
    from dcsim.studies.refresh import refresh as study

    try:
        fleets = [Fleet.parse(text) for text in change]
    except StudyError as error:
        refuse(*error.problems)
    answered(
        "refresh",
        checked,
        Asked(scenario, out, runs, workers, scheduler, as_json, quiet),
        lambda runner: study(
            checked, fleets, part=shares, seeds=used, window_s=window_s, runner=runner
        ),
    )


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        return name.strip(), float(share)
    except ValueError:
        refuse(f"--part: '{text}' is not GROUP=SHARE, such as a100=0.5")
