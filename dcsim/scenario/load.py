"""A scenario file, with overrides, to a `Scenario` checked against itself and the catalogue.

What the traces, policies and power packs say of it is checked by `dcsim.loading.load`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dcsim.errors import Problem, ScenarioError
from dcsim.hardware.catalogue import load_catalogue
from dcsim.scenario import overrides
from dcsim.scenario.checks import check
from dcsim.scenario.dump import resolved
from dcsim.scenario.models import Scenario
from dcsim.spec.base import Spec
from dcsim.spec.document import Document, Finding, parse, read
from dcsim.spec.units import FROM_FILE, SECOND
from dcsim.spec.validation import validate_in_part

__all__ = [
    "as_document",
    "change",
    "check_document",
    "in_order",
    "load",
    "loads",
    "open_document",
    "open_text",
]


def load(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    duration: str | float | None = None,
) -> Scenario:
    """Read, override and check a scenario file.

    `overrides` are `path=value` texts such as `servers.a100.engine.max_num_seqs=64`; `duration`
    is a quantity such as "1 h", or seconds. Raises ScenarioError with every problem of the file.
    """
    return check_document(open_document(path, overrides, seed=seed, duration=duration))


def loads(
    text: str, overrides: Sequence[str] = (), *, folder: str | Path = ".", name: str = "<text>"
) -> Scenario:
    """As `load`, from text; relative paths start at `folder`."""
    return check_document(open_text(text, overrides, folder=folder, name=name))


def change(scenario: Scenario, changes: Mapping[str, Any], *, option: str = "--set") -> Scenario:
    """A copy of a scenario with some keys changed: `{"facility.row.rating": "700 kW"}`.

    Paths as in `overrides.apply`; values as YAML would give them, quantities as text. Raises
    ScenarioError, whose problems name `option` as their file.
    """
    document = as_document(scenario, option)
    for path, value in changes.items():
        overrides.put(document, path, value, option)
    return check_document(document)


def replaced(scenario: Scenario, changes: Mapping[str, Any]) -> Scenario:
    """As `change`, where quantities may be numbers in SI units and values may be specs."""
    name = f"<{scenario.name}>"
    document = as_document(scenario, name)
    for path, value in changes.items():
        overrides.put(document, path, _plain(value), name)
    return check_document(document, units=False)


def open_document(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    duration: str | float | None = None,
) -> Document:
    """A scenario file with its overrides, and where each part was written; not checked yet.

    Raises ScenarioError for a file of which nothing can be made.
    """
    document = _overridden(read(Path(path), str(path)), overrides)
    if seed is not None:
        _put(document, "seed", seed)
    if duration is not None:
        text = duration if isinstance(duration, str) else SECOND.format(duration)
        _put(document, "duration", text)
    return document


def open_text(
    text: str, overrides: Sequence[str] = (), *, folder: str | Path = ".", name: str = "<text>"
) -> Document:
    """As `open_document`, from text; relative paths start at `folder`."""
    document = Document(name, Path(folder))
    parse(text, document)
    return _overridden(document, overrides)


def as_document(scenario: Scenario, name: str) -> Document:
    """A scenario as if it had been read from a file of this name; paths in it are absolute."""
    document = Document(name, Path())
    document.data = resolved(scenario)
    return document


def check_document(document: Document, *, units: bool = True) -> Scenario:
    """The scenario of a document. Without `units`, numbers are quantities in SI units. Raises
    ScenarioError with every problem."""
    context = {**(FROM_FILE if units else {}), "folder": document.folder}
    scenario = validate_in_part(document, Scenario, context)
    if scenario is not None:
        for finding in check(scenario, load_catalogue()):
            document.report(_as_written(document, finding))
    if document.problems or scenario is None:
        raise ScenarioError(in_order(document.problems))
    return scenario


def _as_written(document: Document, finding: Finding) -> Finding:
    """A rating in A or VA is read as an `apparent_rating`."""
    *node, key = finding.path or ("",)
    rating = (*node, "rating")
    written = key == "apparent_rating" and finding.path not in document.places
    return finding._replace(path=rating) if written and rating in document.places else finding


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems, each once: those of the file by line, then those of options."""
    return sorted(set(problems), key=_order)


def _overridden(document: Document, changes: Sequence[str]) -> Document:
    if document.data is None:
        raise ScenarioError(document.problems)
    for text in changes:
        overrides.apply(document, text)
    return document


def _plain(value: Any) -> Any:
    """Specs, alone or in a list, as a file has them."""
    if isinstance(value, Spec):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _put(document: Document, key: str, value: Any) -> None:
    overrides.put(document, key, value, f"--{key}")


def _order(problem: Problem) -> tuple[bool, int, str, str]:
    line = -1 if problem.line is None else problem.line
    return problem.file.startswith("--"), line, problem.path, problem.message
