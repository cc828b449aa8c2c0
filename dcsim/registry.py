"""Components by kind and name: what a scenario file or a command can name, and how it is built.

A component is a name, a pydantic model of what a file may say of it (its spec), and a factory that
makes the object from such a spec. The rooms register their components here; so does other people's
code, in one of two ways:

- A package declares an entry point, whose name is the name in the file and whose object is the
  factory, usually a class, with the spec as its attribute `Spec`:

      [project.entry-points."dcsim.policies"]
      slow-rise = "slow_rise:SlowRise"

- A script calls `register("policies", "slow-rise", SlowRiseSpec, SlowRise)`.

A package is imported when its component is first named, so one that is broken spoils only what
names it. A factory is called with the spec and what its kind gives beside it:

- `routers`, named by `routing.policy`: `(spec, pool)` makes a `dcsim.serving.routers.Router`.
- `policies`, by `control.*.policy`: `(spec)` makes a `dcsim.control.policy.Policy`.
- `power_models`, by `servers.*.power.model`: `(spec, configs, catalogue)` makes a
  `dcsim.power.model.PowerModel`.
- `arrivals`, by `workload.*.arrivals.kind`: `(spec, context)` makes an iterator of blocks
  of arrival times; the context is a `dcsim.workload.arrivals.ArrivalContext`.
- `studies`, by `dcsim study NAME`: the class is a `dcsim.studies.Study`, which is its own spec.

The module stands below all rooms and imports none of them.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, get_args

from pydantic import BaseModel

from dcsim.errors import PluginError

Kind = Literal["routers", "policies", "power_models", "arrivals", "studies"]
KEYS: dict[Kind, str] = {
    "routers": "policy",
    "policies": "policy",
    "power_models": "model",
    "arrivals": "kind",
}
"""The key of a block that names its component; a study has none."""


@dataclass(frozen=True, slots=True)
class Component:
    """Something that a scenario file or a command can name."""

    kind: Kind
    name: str
    spec: type[BaseModel]
    """What may be said of it."""
    factory: Callable[..., Any]
    package: str = ""
    """Distribution and version that it comes from; empty for what was registered by a call."""


_registered: dict[tuple[Kind, str], Component] = {}


def register(
    kind: Kind, name: str, spec: type[BaseModel], factory: Callable[..., Any], package: str = ""
) -> Component:
    """Make a component known under a name.

    Parameters
    ----------
    kind, name
        What it is, and what files call it.
    spec
        Pydantic model of its block in the file. Unless it is a study's, its field for the key of
        the kind (`KEYS`) must be a `Literal` that holds the name.
    factory
        Called with a spec and what the kind gives beside it.
    package
        Distribution and version that it comes from, for messages and run keys.

    Returns
    -------
    Component
        As it is registered.

    Raises
    ------
    PluginError
        The spec does not name the component, or another has the name.
    """
    problem = _problem(kind, name, spec)
    if problem:
        raise PluginError(f"{kind}: '{name}' cannot be registered: {problem}")
    known = _registered.get((kind, name))
    if known is not None and (known.spec, known.factory) != (spec, factory):
        raise PluginError(f"{kind}: there is a '{name}' already ({known.factory!r})")
    component = Component(kind, name, spec, factory, package)
    _registered[kind, name] = component
    return component


def find(kind: Kind, name: str) -> Component | None:
    """A component by its name; None where neither a call nor an installed package gives it.

    Raises PluginError where the package that declares it cannot be used.
    """
    known = _registered.get((kind, name))
    if known is not None:
        return known
    declared = [point for point in _declared(kind) if point.name == name]
    if not declared:
        return None
    if len({_package(point) for point in declared}) > 1:
        both = " and ".join(sorted({_package(point) for point in declared}))
        raise PluginError(f"'{name}' of {_group(kind)} is declared by {both}: uninstall one")
    return _load(kind, declared[0])


def create(kind: Kind, name: str, spec: BaseModel, *context: Any) -> Any:
    """What a block of the file asks for. Raises KeyError for a name that is not known."""
    component = find(kind, name)
    if component is None:
        raise KeyError(f"{kind}: '{name}'")
    return component.factory(spec, *context)


def names(kind: Kind) -> list[str]:
    """What can be named of a kind as far as is known here; no package is imported for it."""
    called = [name for known, name in _registered if known == kind]
    return list(dict.fromkeys([*called, *sorted(point.name for point in _declared(kind))]))


def components(kind: Kind) -> list[Component]:
    """All of a kind, those of other packages too. One that cannot be used is warned of and left
    out."""
    usable = []
    for name in names(kind):
        try:
            component = find(kind, name)
        except PluginError as error:
            warnings.warn(str(error), UserWarning, stacklevel=2)
            continue
        if component is not None:
            usable.append(component)
    return usable


def packaged(spec: type[BaseModel]) -> Component | None:
    """The component that is not dcsim's own and whose blocks this model reads, if any."""
    for component in _registered.values():
        if component.spec is spec and not component.factory.__module__.startswith("dcsim."):
            return component
    return None


def culprit(error: BaseException) -> str:
    """The package in whose component an error was raised; empty where it was none."""
    frames = [
        frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    for component in _registered.values():
        if component.package and component.factory.__module__ in frames:
            return component.package
    return ""


def refresh() -> None:
    """Look entry points up anew, for a process in which packages have been installed since."""
    _declared.cache_clear()
    for key in [key for key, component in _registered.items() if component.package]:
        del _registered[key]


# --- entry points ----------------------------------------------------------------------------


def _group(kind: Kind) -> str:
    return f"dcsim.{kind}"


@lru_cache(maxsize=len(get_args(Kind)))
def _declared(kind: Kind) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=_group(kind)))


def _package(point: EntryPoint) -> str:
    return "a package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _load(kind: Kind, point: EntryPoint) -> Component:
    package = _package(point)
    where = f"{package}: entry point '{point.name} = {point.value}' of {_group(kind)}"
    try:
        factory = point.load()
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(f"{where} cannot be imported ({what})") from error
    spec: Any = factory if kind == "studies" else getattr(factory, "Spec", None)
    problem = "it is not callable" if not callable(factory) else _problem(kind, point.name, spec)
    if problem:
        raise PluginError(f"{where} cannot be used: {problem}")
    return register(kind, point.name, spec, factory, package)


def _problem(kind: Kind, name: str, spec: Any) -> str:
    """What is wrong with a spec; empty when all is well."""
    if not (isinstance(spec, type) and issubclass(spec, BaseModel)):
        return (
            "it must be a dcsim.studies.Study"
            if kind == "studies"
            else "its attribute `Spec` must be a pydantic model of what the file may say of it"
        )
    key = KEYS.get(kind)
    field = None if key is None else spec.model_fields.get(key)
    if key is not None and (field is None or name not in get_args(field.annotation)):
        return f"its Spec {spec.__name__} must have the field `{key}: Literal['{name}']`"
    return ""
