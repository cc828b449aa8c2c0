"""Studies as commands: the options of each are its fields, and all are played in one way."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from dcsim import registry
from dcsim.cli.exits import FAILED, STOPPED, refuse
from dcsim.cli.open import Overrides, ScenarioPath, open_scenario
from dcsim.errors import PluginError, RunFailedError, StudyError
from dcsim.scenario.describe import about
from dcsim.scenario.models import Scenario

if TYPE_CHECKING:
    from dcsim.studies.folder import StudyFolder
    from dcsim.studies.options import StudyOption
    from dcsim.studies.study import Study

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
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
COMMON: dict[str, tuple[Any, Any]] = {
    "set_": (Overrides, None),
    "out": (Out, None),
    "runs": (Runs, None),
    "workers": (Workers, None),
    "scheduler": (Scheduler, None),
    "as_json": (AsJson, False),
    "quiet": (Quiet, False),
}
"""Options of all studies, and their defaults."""
TAKEN = ("set", "out", "runs", "workers", "scheduler", "json", "quiet", "scenario", "help")


class StudyGroup(TyperGroup):
    """The studies of dcsim and of installed packages. A package is imported for its own command
    and for the list of all."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Those of dcsim first."""
        import_module("dcsim.studies")  # registers them
        return registry.names("studies")

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command without its options, for the list of all: making those takes time."""
        made = super().get_command(ctx, cmd_name)
        if made is not None or cmd_name not in self.list_commands(ctx):
            return made
        try:
            component = registry.find("studies", cmd_name)
            assert component is not None
            text = about(component.spec)
        except PluginError as error:
            text = f"Cannot be used. {error}"
        return _command(cmd_name, lambda: None, help=text)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, with its options; a study that cannot be used says so."""
        names = self.list_commands(ctx)
        if args and args[0] in names:
            component = registry.find("studies", args[0])
            assert component is not None
            self.commands[args[0]] = _command(args[0], study_command(component))
        else:  # so that the nearest name is suggested
            self.commands.update({name: self.get_command(ctx, name) for name in names})
        return super().resolve_command(ctx, args)


def _command(name: str, function: Callable[..., None], **settings: Any) -> Any:
    app = typer.Typer(add_completion=False)
    app.command(name, **settings)(function)
    return get_command(app)


def study_command(component: registry.Component) -> Callable[..., None]:
    """The function of a command, whose signature is made from the fields of the study.

    Raises PluginError for a class that is no study, and for a field whose option all studies have.
    """
    from dcsim.studies.options import options_of
    from dcsim.studies.study import Study

    name, study = component.name, component.spec
    if not issubclass(study, Study):
        raise PluginError(f"study '{name}' ({component.package}): not a dcsim.studies.Study")
    options = options_of(study)
    for option in options:
        if option.flag.removeprefix("--") in TAKEN:
            raise PluginError(
                f"study '{name}' ({component.package}): {option.flag} is of all studies"
            )

    def command(**given: Any) -> None:
        common = {key: given.pop(key) for key in COMMON}
        path: Path = given.pop("scenario")
        overrides = common.pop("set_")
        values = {key: value for key, value in given.items() if value not in (None, [])}
        try:
            asking = study.build(**values)
        except StudyError as error:
            refuse(*error.problems)
        _play(name, asking, open_scenario(path, overrides), path, **common)

    parameters = [Parameter("scenario", Parameter.KEYWORD_ONLY, annotation=ScenarioPath)]
    typed = {option.field: _typed(option) for option in options}
    for key, (annotation, default) in {**typed, **COMMON}.items():
        parameters.append(
            Parameter(key, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        )
    command.__doc__ = about(study)
    command.__annotations__ = {part.name: part.annotation for part in parameters}
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return command


def _typed(option: StudyOption) -> tuple[Any, Any]:
    """An option's annotation and default. Values are texts, which the study reads."""
    text = f"{option.text} (default: {option.instead})" if option.instead else option.text
    if option.switch:
        off = "--no-" + option.flag.removeprefix("--")
        flag = option.flag if option.default == "false" else f"{option.flag}/{off}"
        default = Parameter.empty if option.required else option.default == "true"
        return Annotated[bool, typer.Option(flag, help=text)], default
    kind: Any = list[str] if option.repeated else str
    how = typer.Option(option.flag, metavar=option.metavar, help=text)
    if option.required:
        return Annotated[kind, how], Parameter.empty
    return Annotated[kind | None, how], option.default


def _play(
    name: str,
    asking: Study,
    scenario: Scenario,
    path: Path,
    *,
    out: Path | None,
    runs: Path | None,
    workers: int | None,
    scheduler: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Play a study, print its answer and keep it. Exit status 2 for a question without an answer,
    1 for a run that failed, 130 when stopped: what was played is kept then."""
    from dcsim.report.answer import StudyProgress, render, to_dict
    from dcsim.studies.runner import Runner

    if workers is not None and scheduler is not None:
        refuse("--workers and --scheduler: choose one")
    with ExitStack() as stack:
        folder = None if out is None else _folder(out, name, scenario, path, runs)
        kept = runs if folder is None else folder.runs
        progress = stack.enter_context(StudyProgress(quiet))
        try:
            runner = stack.enter_context(
                Runner(kept, workers=workers, scheduler=scheduler, progress=progress)
            )
            answer = asking.answer(name, scenario, runner)
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
    if as_json:
        typer.echo(json.dumps(to_dict(answer), allow_nan=False))
        return
    render(answer)
    if folder is not None:
        typer.echo(f"Answer, tables and runs: {folder.folder}")


def _folder(out: Path, name: str, scenario: Scenario, path: Path, runs: Path | None) -> StudyFolder:
    from dcsim.studies.folder import StudyFolder

    try:
        return StudyFolder(out, name, scenario, str(path), runs)
    except OSError as error:
        refuse(f"--out: {error}")


def _end(folder: StudyFolder | None, status: str, error: str | None) -> None:
    if folder is not None:
        folder.status(status, error)
