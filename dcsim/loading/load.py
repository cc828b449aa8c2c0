"""A scenario checked as a whole: its file, the traces it names, its policies and power packs.

`dcsim.scenario.load` reads a file and checks it against itself and the catalogue. What the other
rooms know of it is added here, each problem with its file and line. The command line and
`dcsim.load` check by this one function.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from dcsim.errors import Problem, ScenarioError
from dcsim.loading.rooms import check_rooms
from dcsim.plant import Plant
from dcsim.scenario.load import as_document, check_document, in_order, open_document, open_text
from dcsim.scenario.models import Scenario
from dcsim.spec.document import Document
from dcsim.workload import survey

logger = logging.getLogger(__name__)


def load(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    duration: str | float | None = None,
) -> Scenario:
    """Read a scenario file and check it as `dcsim validate` does, traces and policies included.

    Rows that a replay leaves out of its trace are logged, level INFO.

    Parameters
    ----------
    path
        Scenario file (YAML).
    overrides
        Changes as `--set` takes them: `path=value`, such as
        `servers.a100.engine.max_num_seqs=64` or `workload.0.arrivals.rate=4 req/s`.
    seed
        In place of the file's.
    duration
        In place of the file's: text such as "1 h", or seconds.

    Returns
    -------
    Scenario
        Complete: every default is filled in, quantities are in SI units.

    Raises
    ------
    ScenarioError
        With all problems of the first stage that has any: the file, then what it refers to.
    """
    scenario, notes = load_with_notes(path, overrides, seed=seed, duration=duration)
    for note in notes:
        logger.info("%s", note)
    return scenario


def loads(text: str, overrides: Sequence[str] = (), *, folder: str | Path = ".") -> Scenario:
    """As `load`, from YAML text.

    Parameters
    ----------
    text
        What a scenario file would hold.
    overrides
        As for `load`.
    folder
        Where relative paths in it start.

    Returns
    -------
    Scenario
        As from `load`.

    Raises
    ------
    ScenarioError
        As for `load`; problems name `<text>` in place of a file.
    """
    scenario, notes = _checked(open_text(text, overrides, folder=folder))
    for note in notes:
        logger.info("%s", note)
    return scenario


def load_with_notes(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    duration: str | float | None = None,
) -> tuple[Scenario, list[str]]:
    """As `load`; also what should be known of the traces although a run can be played, such as
    rows that are left out."""
    document = open_document(path, overrides, seed=seed, duration=duration)
    return _checked(document)


def validate(
    scenario: Scenario | str | Path,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    duration: str | float | None = None,
) -> list[Problem]:
    """Check a scenario as `load` does, and return its problems instead of raising them.

    Parameters
    ----------
    scenario
        A scenario file, or a scenario made or changed in Python.
    overrides, seed, duration
        As for `load` (a number is in seconds); for files only.

    Returns
    -------
    list of Problem
        Empty when all is well. Problems of a scenario made in Python name it as `<name>` in place
        of a file, and have no line.

    Raises
    ------
    TypeError
        For overrides, seed or duration together with a scenario made in Python.
    """
    try:
        if isinstance(scenario, Scenario):
            if overrides or seed is not None or duration is not None:
                raise TypeError(
                    "overrides, seed and duration are for files: change the scenario itself by "
                    "scenario.replace(...)"
                )
            _checked(as_document(scenario, f"<{scenario.name}>"))
        else:
            load_with_notes(scenario, overrides, seed=seed, duration=duration)
    except ScenarioError as error:
        return error.problems
    return []


def _checked(document: Document) -> tuple[Scenario, list[str]]:
    """The scenario of a document, and notes. Raises ScenarioError."""
    scenario = check_document(document)
    for finding in check_rooms(Plant.build(scenario)):
        document.report(finding)
    files = survey(scenario)
    if document.problems or files.problems:
        raise ScenarioError([*in_order(document.problems), *files.problems])
    return scenario, files.notes
