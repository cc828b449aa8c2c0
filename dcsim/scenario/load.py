"""A scenario file, with overrides, to a checked `Scenario`; and back to text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dcsim.errors import Problem, ScenarioError
from dcsim.hardware.catalogue import load_catalogue
from dcsim.scenario import checks, overrides, paths, tree
from dcsim.scenario.dump import resolved
from dcsim.scenario.models import Scenario
from dcsim.spec.document import Document, parse, read
from dcsim.spec.validation import validate_as

__all__ = ["change", "load", "loads"]


def load(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    duration: str | None = None,
) -> Scenario:
    """Read, override and check a scenario file.

    `overrides` are `path=value` texts such as `servers.a100.engine.max_num_seqs=64`; `duration`
    is a quantity such as "1 h". Raises ScenarioError with every problem that was found.
    """
    return _finish(read(Path(path), str(path)), overrides, seed, duration)


def loads(
    text: str, overrides: Sequence[str] = (), *, folder: str | Path = ".", name: str = "<text>"
) -> Scenario:
    """As `load`, from text; relative paths start at `folder`."""
    document = Document(name, Path(folder))
    parse(text, document)
    return _finish(document, overrides, None, None)


def change(scenario: Scenario, changes: Mapping[str, Any], *, option: str = "--set") -> Scenario:
    """A copy of a scenario with some keys changed: `{"facility.row.rating": "700 kW"}`.

    Paths as in `overrides.apply`; values as YAML would give them, quantities as text. Raises
    ScenarioError, whose problems name `option` as their file.
    """
    document = Document(option, Path())
    document.data = resolved(scenario)
    for path, value in changes.items():
        overrides.put(document, path, value, option)
    return _finish(document, (), None, None)


def _finish(
    document: Document, changes: Sequence[str], seed: int | None, duration: str | None
) -> Scenario:
    if document.data is None:
        raise ScenarioError(document.problems)
    for change in changes:
        overrides.apply(document, change)
    if seed is not None:
        overrides.put(document, "seed", seed, "--seed")
    if duration is not None:
        overrides.put(document, "duration", duration, "--duration")
    paths.resolve(document)
    scenario = validate_as(document, Scenario)
    catalogue = load_catalogue()
    checks.check(document, catalogue)
    tree.check(document, catalogue)
    if document.problems or scenario is None:
        raise ScenarioError(sorted(set(document.problems), key=_order))
    return scenario


def _order(problem: Problem) -> tuple[bool, int, str, str]:
    """Options of the command line last, the file by line."""
    line = -1 if problem.line is None else problem.line
    return problem.file.startswith("--"), line, problem.path, problem.message
