"""`dcsim study sizing`."""

from __future__ import annotations

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
    Workers,
    answered,
    opened,
    seconds_asked,
    seeds_asked,
)


def sizing(
    scenario: ScenarioPath,
    models: Annotated[
        str,
        typer.Option(
            help="Power models to compare: scenario (the file's own), nameplate, "
            "board-limit, mean, lut, ledger, gru."
        ),
    ] = "scenario",
    windows: Annotated[
        str, typer.Option(help="Averaging times to report in addition to the power step.")
    ] = "1 s, 1 min, 15 min",
    node: Annotated[str | None, typer.Option(help="Node to report; the site by default.")] = None,
    seeds: Seeds = "1",
    set_: Overrides = None,
    out: Out = None,
    runs: Runs = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """What size of interconnection, feeder or rack: peak, mean, ramps, coincidence by level."""
    checked = opened(scenario, set_)
    used = seeds_asked(seeds)
    windows_s = [seconds_asked("--windows", part) for part in windows.split(",")]
    asked_models = [part.strip() for part in models.split(",")]

    from dcsim.studies.sizing_study import sizing_study

    answered(
        "sizing",
        checked,
        Asked(scenario, out, runs, workers, scheduler, as_json, quiet),
        lambda runner: sizing_study(
            checked, asked_models, windows_s=windows_s, node=node, seeds=used, runner=runner
        ),
    )
