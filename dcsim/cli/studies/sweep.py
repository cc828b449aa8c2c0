"""`dcsim study sweep`."""

from __future__ import annotations

from typing import Annotated, Any

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


def sweep(
    scenario: ScenarioPath,
    over: Annotated[
        list[str],
        typer.Option(
            metavar="PATH=VALUES",
            help="A key and a YAML list of values, or a range: power_step=[250 ms, 1 s], "
            "workload.chat.arrivals.rate=[1 req/s, 2 req/s], seed=1:5:1. May be repeated.",
        ),
    ],
    paired: Annotated[
        bool,
        typer.Option(
            "--paired", help="Pair the lists by position instead of combining all values."
        ),
    ] = False,
    seeds: Seeds = "1",
    window: Window = "1 min",
    set_: Overrides = None,
    out: Out = None,
    runs: Runs = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Play a scenario over lists of values, every seed; one tidy table."""
    checked = opened(scenario, set_)
    lists = dict(_values(text) for text in over)
    if len(lists) < len(over):
        refuse("--over: a path is given twice")
    used, window_s = seeds_asked(seeds), seconds_asked("--window", window)

    from dcsim.studies.sweep import sweep as study

    answered(
        "sweep",
        checked,
        Asked(scenario, out, runs, workers, scheduler, as_json, quiet),
        lambda runner: study(
            checked,
            lists,
            seeds=used,
            pairing="paired" if paired else "cartesian",
            window_s=window_s,
            runner=runner,
        ),
    )


def _values(text: str) -> tuple[str, list[Any]]:
    import yaml

    from dcsim.spec.document import yaml_value

    path, equals, values = text.partition("=")
    path = path.strip()
    if not equals or not path:
        refuse(f"--over: '{text}' has no values (write PATH=[VALUE, VALUE] or PATH=1:5:1)")
    try:
        found = yaml_value(values)
    except (yaml.YAMLError, ValueError):
        found = None
    if isinstance(found, list):
        return path, found
    if isinstance(found, str) and found.count(":") == 2:
        numbers = numbers_asked(f"--over {path}", found)
        return path, [int(n) if n == int(n) else n for n in numbers]
    refuse(f"--over: '{values}' is no list (write [{values}, ...] or 1:5:1)")
