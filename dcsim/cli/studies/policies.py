"""`dcsim study policies`."""

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


def policies(
    scenario: ScenarioPath,
    policy: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=BLOCK",
            help="none, scenario, NAME=FILE.yaml or "
            "NAME='[{policy: admission-throttle, nodes: row}]'. Repeat it for each; differences "
            "are to the first.",
        ),
    ],
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
    """What does each policy hold, and who pays for it?"""
    checked = opened(scenario, set_)
    used, window_s = seeds_asked(seeds), seconds_asked("--window", window)

    from dcsim.studies.policies import policies as study
    from dcsim.studies.variants import parse_policies

    try:
        blocks = parse_policies(policy)
    except StudyError as error:
        refuse(*error.problems)
    answered(
        "policies",
        checked,
        Asked(scenario, out, runs, workers, scheduler, as_json, quiet),
        lambda runner: study(checked, blocks, seeds=used, window_s=window_s, runner=runner),
    )
