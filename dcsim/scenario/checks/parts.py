"""What the rules share: items with their paths, and the findings about names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from dcsim.spec.document import Finding, Steps
from dcsim.spec.nearest import suggestion

Item = TypeVar("Item")


def numbered(key: str, items: Sequence[Item]) -> Iterator[tuple[Steps, Item]]:
    """The items of a list at the top of the file, each with its path."""
    for index, item in enumerate(items):
        yield (key, index), item


def unknown(path: Steps, what: str, name: str, known: Iterable[str]) -> Finding:
    """A name that does not exist."""
    return Finding(path, f"there is no {what} '{name}'", suggestion(name, known))


def unique(key: str, items: Sequence[Any]) -> Iterator[Finding]:
    """Names that an earlier item of the list has."""
    first: dict[str, Steps] = {}
    for path, item in numbered(key, items):
        if item.name in first:
            message = f"the name '{item.name}' is taken by"
            yield Finding((*path, "name"), message, other=(*first[item.name], "name"))
        first.setdefault(item.name, path)


def missing_file(path: Steps, file: str | Path, what: str = "file") -> Iterator[Finding]:
    """A file that must be there."""
    if not Path(file).is_file():
        problem = "is a folder" if Path(file).is_dir() else "does not exist"
        yield Finding(path, f"{what} {file} {problem}")


def shipped(folder: str, suffix: str) -> list[str]:
    """Names of the data files that travel with the package, such as fits and packs."""
    try:
        entries = list(resources.files("dcsim").joinpath(*folder.split("/")).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(entry.name[: -len(suffix)] for entry in entries if entry.name.endswith(suffix))
