"""Studies of other packages as commands: the options of each are the fields of its spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError
from typer.core import TyperGroup
from typer.main import get_command

from dcsim import registry
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
)
from dcsim.errors import PluginError

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
    """The built-in studies, and those that installed packages declare. A package is imported for
    its own command and for the list of all."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Built-in names first."""
        return list(dict.fromkeys([*super().list_commands(ctx), *registry.names("studies")]))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One that cannot be used says so when it is called."""
        known = super().get_command(ctx, cmd_name)
        if known is not None or cmd_name not in registry.names("studies"):
            return known
        app = typer.Typer(add_completion=False)
        try:
            component = registry.find("studies", cmd_name)
            assert component is not None
            app.command(cmd_name)(study_command(component))
        except PluginError as error:
            anything = {"ignore_unknown_options": True, "allow_extra_args": True}
            text = f"Cannot be used. {error}"
            app.command(cmd_name, context_settings=anything, help=text)(_refuser(error))
        return get_command(app)


def _refuser(error: PluginError) -> Callable[[], None]:
    def broken() -> None:
        raise error

    return broken


def study_command(component: registry.Component) -> Callable[..., None]:
    """The function of a command, whose signature is made from the study's spec.

    Raises PluginError for a field whose option all studies have.
    """
    from dcsim.scenario.describe import about, keys_of

    name, spec = component.name, component.spec
    keys = {key.name: key for key in keys_of(spec)}
    for key in keys:
        if key in TAKEN:
            raise PluginError(f"study '{name}' ({component.package}): --{key} is of all studies")
    options = {
        field: _option(spec, field, keys[info.alias or field])
        for field, info in spec.model_fields.items()
    }

    def command(**given: Any) -> None:
        common = {key: given.pop(key) for key in COMMON}
        path: Path = given.pop("scenario")
        question = _spec(spec, given)
        checked = opened(path, common.pop("set_"))

        def ask(runner: Any) -> Any:
            answer = component.factory(question).answer(checked, runner)
            inputs = question.model_dump(mode="json", by_alias=True)
            return replace(answer, study=name, inputs={**inputs, **answer.inputs})

        answered(name, checked, Asked(path, **common), ask)

    parameters = [Parameter("scenario", Parameter.KEYWORD_ONLY, annotation=ScenarioPath)]
    for key, (annotation, default) in {**options, **COMMON}.items():
        parameters.append(
            Parameter(key, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        )
    command.__doc__ = about(spec)
    command.__annotations__ = {part.name: part.annotation for part in parameters}
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return command


def _option(spec: type[BaseModel], field: str, key: Any) -> tuple[Any, Any]:
    """An option's annotation and default. Values are texts as a scenario file has them, which the
    spec reads; None leaves the field at its default."""
    from dcsim.spec.registered import bare, is_list

    info = spec.model_fields[field]
    kind: Any = str
    if is_list(info.annotation):
        kind = list[str]
    elif bare(info.annotation) is bool:
        kind = bool
    notes = [", ".join(key.choices)] if key.choices else []
    if not key.required and key.default != "none":
        notes.append(f"default: {key.default}")
    text = f"{key.meaning} ({'; '.join(notes)})" if notes else key.meaning
    flag = "--" + key.name.replace("_", "-")
    if kind is bool:
        flag += f"/--no-{flag[2:]}"
    if key.required:
        return Annotated[kind, typer.Option(flag, help=text)], Parameter.empty
    return Annotated[kind | None, typer.Option(flag, help=text, show_default=False)], None


def _spec(spec: type[BaseModel], given: dict[str, Any]) -> BaseModel:
    """The study's spec of what was typed; problems end the process with status 2."""
    from dcsim.spec.document import Document
    from dcsim.spec.validation import tell

    document = Document("options", Path())
    document.data = {
        spec.model_fields[field].alias or field: value
        for field, value in given.items()
        if value not in (None, [])
    }
    try:
        return spec.model_validate(document.data)
    except ValidationError as errors:
        tell(document, errors, spec)
    words = []
    for problem in document.problems:
        hint = f" ({problem.hint})" if problem.hint else ""
        where = f"--{problem.path.replace('_', '-')}: " if problem.path else ""
        words.append(f"{where}{problem.message}{hint}")
    refuse(*words)
