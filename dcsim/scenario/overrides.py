"""`--set path=value`: changes to a scenario's data before it is checked."""

from __future__ import annotations

from typing import Any

import yaml

from dcsim.errors import Problem
from dcsim.spec.document import Document, Place, Steps, yaml_value
from dcsim.spec.nearest import suggestion

SYNTAX = "write path=value, such as servers.a100.engine.max_num_seqs=64"


def apply(document: Document, override: str, option: str = "--set") -> None:
    """Change `document.data` in place.

    A path is dotted; an item of a list is named by its index from 0 or by its `name`. The value
    is read as YAML. Keys that do not exist are made, so that defaults can be overridden; whether
    they may exist is for the later checks. Problems name `option` as their file.
    """
    path, equals, text = override.partition("=")
    path = path.strip()
    if not equals or not path:
        document.problems.append(Problem(option, None, path, f"'{override}' has no value", SYNTAX))
        return
    try:
        value = yaml_value(text)
    except (yaml.YAMLError, ValueError):
        message = f"'{text}' is not a YAML value"
        document.problems.append(Problem(option, None, path, message, "quote it"))
        return
    put(document, path, value, option)


def put(document: Document, path: str, value: Any, option: str) -> None:
    """Set the part at a dotted path; see `apply`."""
    parts = path.split(".")
    steps: Steps = ()
    here: Any = document.data
    try:
        while True:
            step, used = _step(here, parts)
            parts = parts[used:]
            steps = (*steps, step)
            if not parts:
                break
            if isinstance(here, dict) and here.get(step) is None:
                here[step] = {}
                document.places[steps] = Place(option, None)
            here = here[step]
    except LookupError as error:
        hint = str(error.args[1]) if len(error.args) > 1 else ""
        document.problems.append(Problem(option, None, path, str(error.args[0]), hint))
        return
    here[step] = value
    for known in [known for known in document.places if known[: len(steps)] == steps]:
        del document.places[known]
    document.places[steps] = Place(option, None)


def _step(here: Any, parts: list[str]) -> tuple[str | int, int]:
    """The next key or index from `here`, and how many dotted parts it takes.

    Raises LookupError(message, hint).
    """
    if isinstance(here, dict):
        return parts[0], 1
    if not isinstance(here, list):
        raise LookupError(f"nothing lies below '{here}'")
    names = [item.get("name") if isinstance(item, dict) else None for item in here]
    # Names may contain dots, so the longest match wins.
    for used in range(len(parts), 0, -1):
        name = ".".join(parts[:used])
        if name in names:
            return names.index(name), used
    if parts[0].isdigit():
        index = int(parts[0])
        if index < len(here):
            return index, 1
        raise LookupError(f"no item {index}: the list has {len(here)}, counted from 0")
    known = [name for name in names if isinstance(name, str)]
    raise LookupError(f"no item named '{parts[0]}'", suggestion(parts[0], known))
