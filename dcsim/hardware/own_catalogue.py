"""A user's own catalogue: a folder, named by DCSIM_CATALOGUE, whose files add to the shipped ones.

It may have gpus.yaml, models.yaml, servers.yaml, curves.yaml and losses.yaml, written as those in
`dcsim/hardware/data/`. Entries add; a shipped one cannot be replaced, or the same name would
mean two things in two results.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dcsim.errors import ScenarioError
from dcsim.spec.document import Document, read
from dcsim.spec.units import FROM_FILE
from dcsim.spec.validation import tell

VARIABLE = "DCSIM_CATALOGUE"


def own_folder() -> str:
    """The folder that the environment names, absolute; empty where it names none."""
    named = os.environ.get(VARIABLE, "")
    return os.path.abspath(os.path.expanduser(named)) if named else ""


def own_entries(
    folder: str, kinds: Mapping[str, type[BaseModel]], shipped: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The folder's entries by table and name, checked. `kinds` and `shipped` are by table.

    Raises ScenarioError with every problem, each with its file and line.
    """
    if not Path(folder).is_dir():
        document = Document(VARIABLE, Path("."))
        document.add((), f"there is no folder {folder}")
        raise ScenarioError(document.problems)
    problems = []
    tables: dict[str, dict[str, Any]] = {}
    for table, kind in kinds.items():
        path = Path(folder) / f"{table}.yaml"
        if not path.is_file():
            continue
        document = read(path, str(path))
        tables[table] = {}
        for name, row in (document.data or {}).items():
            if name in shipped[table]:
                document.add((name,), "is in the shipped catalogue already", "choose another name")
            elif not isinstance(row, dict):
                document.add((name,), "expected a block of `key: value` lines")
            else:
                entry = _entry(document, name, row, kind)
                if entry is not None:
                    tables[table][name] = entry
        problems += document.problems
    if problems:
        raise ScenarioError(problems)
    return tables


def own_sha256() -> str | None:
    """Of the folder's files, to name them in results; None where there is no such folder."""
    folder = own_folder()
    if not folder:
        return None
    total = hashlib.sha256()
    for path in sorted(Path(folder).glob("*.yaml")):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def _entry(document: Document, name: str, row: dict[str, Any], kind: type[BaseModel]) -> Any:
    try:
        return kind.model_validate({"name": name, **row}, context=FROM_FILE)
    except ValidationError as errors:
        tell(document, errors, kind, at=(name,))
    return None
