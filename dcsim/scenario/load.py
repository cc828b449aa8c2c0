"""A scenario file, with overrides, to a checked `Scenario`; and back to text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dcsim.scenario import checks, overrides, paths, schema, tree
from dcsim.scenario.document import Document, parse, read
from dcsim.scenario.dump import dump
from dcsim.scenario.models import Scenario
from dcsim.scenario.problems import Problem, ScenarioError

__all__ = ["dump", "load", "loads"]


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
    scenario = schema.validate(document)
    checks.check(document)
    tree.check(document)
    if document.problems or scenario is None:
        raise ScenarioError(sorted(set(document.problems), key=_order))
    return scenario


def _order(problem: Problem) -> tuple[bool, int, str, str]:
    """Options of the command line last, the file by line."""
    line = -1 if problem.line is None else problem.line
    return problem.file.startswith("--"), line, problem.path, problem.message
