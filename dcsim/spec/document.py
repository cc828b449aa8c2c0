"""YAML text to plain data that remembers where each part was written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dcsim.errors import Problem

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_Base):  # type: ignore[misc] # whichever PyYAML was built with
    """YAML 1.1 without two of its traps: `19:00` is no number to the base of 60, a date is text."""


_LEFT = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp"}
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in _LEFT]
    for first, known in _Base.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(0b[01_]+|0[0-7_]*|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def yaml_value(text: str) -> Any:
    """A value written in YAML, as scenario files are read. Raises yaml.YAMLError, ValueError."""
    return yaml.load(text, Loader)


Steps = tuple[str | int, ...]
"""Keys and list indices from the top of the document."""

MAX_NODES = 200_000
"""A file whose aliases unfold to more parts than this is refused."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value came from: a file and line, or an option of the command line."""

    file: str
    line: int | None


class Finding(NamedTuple):
    """A problem of checked data; a `Document` knows its file and line."""

    path: Steps
    message: str
    hint: str = ""
    other: Steps = ()
    """An item of a list, and its key, that the message ends with."""

    @property
    def dotted(self) -> str:
        """The path as users write it."""
        return ".".join(map(str, self.path))

    def __str__(self) -> str:
        return f"{self.dotted}: {self.message}" + (f" ({self.hint})" if self.hint else "")


@dataclass(slots=True)
class Document:
    """Data, the places of its parts, and what is wrong so far."""

    file: str
    folder: Path
    """Relative paths of the file start here."""
    data: Any = None
    places: dict[Steps, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Steps) -> Place:
        """The place of a part, or of the nearest whole around it."""
        for length in range(len(path), -1, -1):
            place = self.places.get(path[:length])
            if place is not None:
                return place
        return Place(self.file, None)

    def report(self, finding: Finding) -> None:
        """Note a finding, with its place and that of the other part it speaks of."""
        message = finding.message
        if finding.other:
            line = self.place(finding.other).line
            message += f" {finding.other[0]}.{finding.other[1]}"
            message += "" if line is None else f", line {line}"
        self.add(finding.path, message, finding.hint)

    def add(self, path: Steps, message: str, hint: str = "") -> None:
        """Note a problem with the part at `path`."""
        place = self.place(path)
        dotted = ".".join(str(step) for step in path)
        self.problems.append(Problem(place.file, place.line, dotted, message, hint))


def read(path: Path, name: str) -> Document:
    """Read a scenario file; what is wrong with its form is in the document's problems, and its
    `data` is None where nothing can be made of it."""
    document = Document(name, path.parent)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        document.add((), "no such file")
    except UnicodeDecodeError as error:
        document.add((), f"not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}")
    except OSError as error:
        document.add((), f"cannot be read: {error.strerror}")
    else:
        parse(text, document)
    return document


def parse(text: str, document: Document) -> None:
    """Fill the document from YAML text."""
    loader = Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            document.add((), "the file is empty", "see `name`, `duration`, `workload`, ...")
            return
        for path, node in _parts(root):
            document.places[path] = Place(document.file, node.start_mark.line + 1)
        for path, first, again in _repeated_keys(root):
            line = again.start_mark.line + 1
            dotted = ".".join(str(step) for step in (*path, again.value))
            message = f"key given twice, first in line {first.start_mark.line + 1}"
            document.problems.append(Problem(document.file, line, dotted, message))
        data = loader.construct_document(root)
        if isinstance(data, dict):
            document.data = data
        else:
            document.add((), "expected lines of `key: value` at the top of the file")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        cause = " ".join(str(error.problem or error.context).split())
        line = None if mark is None else mark.line + 1
        document.problems.append(
            Problem(document.file, line, "", f"not YAML: {cause}", _yaml_hint(cause))
        )
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        # Beside YAML's own: aliases without end, impossible dates, lists as keys.
        document.problems.append(Problem(document.file, None, "", f"not YAML: {error}"))
    finally:
        loader.dispose()


def _yaml_hint(cause: str) -> str:
    if "cannot start any token" in cause:
        return "indent with spaces, not tabs, and quote values that start with a special character"
    if "mapping values are not allowed" in cause:
        return "quote a value that contains ': ', and check the indentation"
    return "check indentation, quotes and brackets here and just above"


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Keys and values of a mapping, those merged with `<<` first because its own win."""
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(merged, yaml.MappingNode):
                    yield from _pairs(merged)
    for key, value in node.value:
        if key.tag != "tag:yaml.org,2002:merge":
            yield key, value


def _parts(root: yaml.Node) -> Iterator[tuple[Steps, yaml.Node]]:
    """Every part of a document with its path; a mapping's values are placed at their key."""
    seen = 0
    stack: list[tuple[Steps, yaml.Node, yaml.Node, frozenset[int]]] = [
        ((), root, root, frozenset())
    ]
    while stack:
        path, mark, node, above = stack.pop()
        seen += 1
        if id(node) in above or seen > MAX_NODES:
            raise ValueError("an alias contains itself, or aliases unfold without end")
        yield path, mark
        inner = above | {id(node)}
        if isinstance(node, yaml.MappingNode):
            for key, value in reversed(list(_pairs(node))):
                step = key.value if isinstance(key, yaml.ScalarNode) else "?"
                stack.append(((*path, step), key, value, inner))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                stack.append(((*path, index), item, item, inner))


def _repeated_keys(root: yaml.Node) -> Iterator[tuple[Steps, yaml.Node, yaml.Node]]:
    """(path of the mapping, key, the same key again): YAML would silently take the last."""
    stack: list[tuple[Steps, yaml.Node]] = [((), root)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, yaml.MappingNode):
            keys: dict[str, yaml.Node] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if key.value in keys:
                    yield path, keys[key.value], key
                keys.setdefault(key.value, key)
                stack.append(((*path, key.value), value))
        elif isinstance(node, yaml.SequenceNode):
            stack.extend(((*path, index), item) for index, item in enumerate(node.value))
