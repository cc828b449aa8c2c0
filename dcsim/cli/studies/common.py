"""What all studies have in common on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.exits import FAILED, STOPPED, refuse
from dcsim.cli.faults import insisting
from dcsim.cli.open import open_scenario
from dcsim.errors import RunFailedError, StudyError
from dcsim.scenario.models import Scenario

if TYPE_CHECKING:
    from dcsim.studies.answer import Answer
    from dcsim.studies.folder import StudyFolder
    from dcsim.studies.runner import Runner

MOST_VALUES = 10_000

Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write results here; rerunning with the same folder resumes."),
]
Runs = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Store runs here, so that several studies can share them."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Number of worker processes; by default one per core.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Run on this Dask scheduler instead, e.g. tcp://head:8786."
    ),
]
Seeds = Annotated[
    str,
    typer.Option(
        help="Number of seeds, counting up from the file's (5), or a list of them (1,2,9)."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Window = Annotated[str, typer.Option(help="Averaging time of the loads compared with limits.")]


@dataclass(frozen=True)
class Asked:
    """How a study is to be played, and where its answer goes."""

    path: Path
    out: Path | None = None
    runs: Path | None = None
    workers: int | None = None
    scheduler: str | None = None
    as_json: bool = False
    quiet: bool = False


def opened(path: Path, overrides: list[str] | None) -> Scenario:
    """The scenario, checked as `dcsim run` checks it; otherwise exit status 2."""
    return open_scenario(path, overrides)


def answered(name: str, scenario: Scenario, asked: Asked, ask: Callable[[Runner], Answer]) -> None:
    """Play a study, print its answer and keep it. Exit status 2 for a question without an answer,
    1 for a run that failed, 130 when stopped: what was played is kept then."""
    from dcsim.report.answer import StudyProgress, render, to_dict
    from dcsim.studies.runner import Runner

    if asked.workers is not None and asked.scheduler is not None:
        refuse("--workers and --scheduler: choose one")
    with ExitStack() as stack:
        folder = _folder(name, scenario, asked)
        kept = asked.runs if folder is None else folder.runs
        progress = stack.enter_context(StudyProgress(asked.quiet))
        try:
            runner = stack.enter_context(
                Runner(kept, workers=asked.workers, scheduler=asked.scheduler, progress=progress)
            )
            with insisting():
                answer = ask(runner)
        except StudyError as error:
            _end(folder, "failed", str(error))
            refuse(*error.problems)
        except (RunFailedError, OSError) as error:
            _end(folder, "failed", str(error))
            typer.echo(f"the study failed: {error}", err=True)
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            _end(folder, "stopped", None)
            typer.echo(
                "stopped" + ("" if kept is None else "; the same command goes on from here"),
                err=True,
            )
            raise typer.Exit(STOPPED) from None
        if folder is not None:
            folder.finish(answer, runner.executed + runner.cached)
    if asked.as_json:
        typer.echo(json.dumps(to_dict(answer), allow_nan=False))
        return
    render(answer)
    if folder is not None:
        typer.echo(f"Answer, tables and runs: {folder.folder}")


def seeds_asked(text: str) -> int | list[int]:
    """`5` is so many, `1,2,9` are these."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        refuse(f"--seeds: '{text}' is neither a number of seeds nor a list such as 1,2,9")
    if any(number < 0 for number in numbers):
        refuse("--seeds: a seed is 0 or more")
    return numbers if "," in text else numbers[0]


def seconds_asked(option: str, text: str) -> float:
    """A time such as `15 min`."""
    from dcsim.spec.units import SECOND, parse_quantity

    try:
        return parse_quantity(text.strip(), SECOND.name, "1 min")
    except ValueError as error:
        refuse(f"{option}: {error}")


def watts_asked(option: str, text: str) -> float:
    """A power such as `600 kW`."""
    from dcsim.spec.units import WATT, parse_quantity

    try:
        return parse_quantity(text.strip(), WATT.name, "600 kW")
    except ValueError as error:
        refuse(f"{option}: {error}")


def numbers_asked(option: str, text: str) -> list[float]:
    """`1,1.5,2`, or `1:2:0.1`: from, to and step, both ends included."""
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        first, last, step = (float(part) for part in text.split(":"))
        if not (step > 0 and last >= first and (last - first) / step < MOST_VALUES):
            raise ValueError
        count = int((last - first) / step + 1e-9) + 1
        return [round(first + i * step, 12) for i in range(count)]
    except ValueError:
        refuse(f"{option}: '{text}' is neither a list such as 1,1.5,2 nor a range 1:2:0.1")


def _folder(name: str, scenario: Scenario, asked: Asked) -> StudyFolder | None:
    from dcsim.studies.folder import StudyFolder

    if asked.out is None:
        return None
    try:
        return StudyFolder(asked.out, name, scenario, str(asked.path), asked.runs)
    except OSError as error:
        refuse(f"--out: {error}")


def _end(folder: StudyFolder | None, status: str, error: str | None) -> None:
    if folder is not None:
        folder.status(status, error)
