"""`dcsim study failover`."""

from __future__ import annotations

from typing import Annotated

import typer

from dcsim.cli.open import Overrides, ScenarioPath, Seed
from dcsim.cli.studies.common import (
    AsJson,
    Asked,
    Out,
    Quiet,
    Runs,
    Scheduler,
    Window,
    Workers,
    answered,
    opened,
    seconds_asked,
)


def failover(
    scenario: ScenarioPath,
    node: Annotated[
        list[str] | None,
        typer.Option(
            help="Node or kind of node that may be lost; every utility, transformer, "
            "switchgear, UPS and PDU if left out. May be repeated."
        ),
    ] = None,
    redistribute_only: Annotated[
        bool,
        typer.Option(
            "--redistribute-only",
            help="Only redistribute loads; do not simulate each loss at its worst instant.",
        ),
    ] = False,
    window: Window = "1 min",
    seed: Seed = None,
    set_: Overrides = None,
    out: Out = None,
    runs: Runs = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """At which instants would the site survive the loss of each feed, UPS and PDU?"""
    checked = opened(scenario, set_)
    window_s = seconds_asked("--window", window)

    from dcsim.studies.failover import failover as study

    answered(
        "failover",
        checked,
        Asked(scenario, out, runs, workers, scheduler, as_json, quiet),
        lambda runner: study(
            checked,
            node or (),
            window_s=window_s,
            seed=seed,
            played=not redistribute_only,
            runner=runner,
        ),
    )
