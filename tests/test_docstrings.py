"""Docstrings of what others call or implement: numpydoc sections, and units of quantities.

Read from the sources, since compiled classes keep no docstrings.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

import dcsim

CONTRACTS = {
    "dcsim.control.policy": (
        "Policy",
        "Site",
        "Telemetry",
        "Command",
        "ServerCommand",
        "Admit",
        "LimitFrequency",
        "CapGpus",
        "CapServers",
        "LimitBatch",
        "Shed",
        "Shave",
    ),
    "dcsim.ledger": ("WorkLedger", "ReplicaConfig"),
    "dcsim.plant.columns": ("Nodes", "Servers", "Replicas"),
    "dcsim.power.model": ("PowerModel", "Provenance"),
    "dcsim.registry": ("register",),
    "dcsim.serving.routers.base": ("Router", "Pool"),
    "dcsim.studies.answer": ("Answer", "Table", "Plot", "Card"),
    "dcsim.studies.runner": ("Runner",),
    "dcsim.studies.study": ("Study", "publish"),
    "dcsim.workload.arrivals": ("ArrivalContext",),
}
"""What packages of others implement or are given, by module; beside the names of `import dcsim`."""
SECTION = re.compile(r"^ *(Parameters|Returns|Yields|Raises|Attributes)\n *-{3,}\n", re.MULTILINE)
UNIT_IN_NAME = re.compile(
    r"_(s|w|va|wh|kw|j|bytes|tokens|util|fraction|share|root|per_gpu|per_s)$|^(seconds|gpus)$"
)
UNIT_IN_TEXT = re.compile(
    r"(?i)\b(units?|seconds?|s|W|watts|kW|J|VA|Wh|share|fraction|ratio|multipl\w+|number|indices|FLOP|bytes?|"
    r"requests|tokens|counts?|codes?)\b"
)
QUANTITY = re.compile(r"\bfloat\b|FloatArray")


@dataclass(frozen=True)
class Documented:
    """A function, method, class or property of the public interface."""

    place: str
    node: ast.FunctionDef | ast.ClassDef

    @property
    def doc(self) -> str:
        return ast.get_docstring(self.node) or ""

    @property
    def sections(self) -> dict[str, str]:
        parts = SECTION.split(self.doc)
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    @property
    def decorators(self) -> set[str]:
        return {ast.unparse(item).partition("(")[0] for item in self.node.decorator_list}


def _source(module: ModuleType) -> ast.Module:
    path = Path(str(module.__file__).split(".cpython")[0]).with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def _places() -> Iterator[tuple[str, str]]:
    for name in dcsim.__all__:
        item = getattr(dcsim, name)
        if not isinstance(item, str | ModuleType):
            yield item.__module__, name
    for module, names in CONTRACTS.items():
        for name in names:
            yield module, name


def _documented() -> Iterator[Documented]:
    for module, name in dict.fromkeys(_places()):
        tree = _source(importlib.import_module(module))
        [node] = [
            item
            for item in tree.body
            if isinstance(item, ast.FunctionDef | ast.ClassDef) and item.name == name
        ]
        yield Documented(f"{module}.{name}", node)
        for method in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                yield Documented(f"{module}.{name}.{method.name}", method)
            elif _is_worth_a_text(method) and not name.endswith("Error"):
                yield Documented(f"{module}.{name}.__init__", method)


def _is_worth_a_text(method: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    """A constructor that takes something."""
    return (
        isinstance(method, ast.FunctionDef)
        and method.name == "__init__"
        and len(method.args.args) > 1
    )


ALL = list(_documented())
CLASSES = [item for item in ALL if isinstance(item.node, ast.ClassDef)]
PROPERTIES = [item for item in ALL if "property" in item.decorators]
FUNCTIONS = [item for item in ALL if item not in CLASSES and item not in PROPERTIES]


def _parameters(node: ast.FunctionDef) -> dict[str, str]:
    """Annotation of each parameter."""
    args = node.args
    every = [*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg]
    return {
        arg.arg: ast.unparse(arg.annotation) if arg.annotation else ""
        for arg in every
        if arg is not None and arg.arg not in ("self", "cls")
    }


def _described(section: str) -> dict[str, str]:
    """Text under each name of a section."""
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc("\n" + section).splitlines():
        if line and not line.startswith(" "):
            names = [name.strip(" *") for name in line.partition(" : ")[0].split(",")]
            texts |= dict.fromkeys(names, "")
        for name in names:
            texts[name] += f" {line.strip()}"
    return texts


def _has_unit(name: str, annotation: str, text: str) -> bool:
    return (
        not QUANTITY.search(annotation)
        or UNIT_IN_NAME.search(name) is not None
        or UNIT_IN_TEXT.search(text) is not None
    )


def test_each_has_a_summary() -> None:
    """But for properties that override one which has."""
    bare = [item for item in ALL if not item.doc and item not in PROPERTIES]
    assert not [item.place for item in bare]


def test_parameters_are_described_with_their_units() -> None:
    wrong = []
    for item in FUNCTIONS:
        assert isinstance(item.node, ast.FunctionDef)
        parameters = _parameters(item.node)
        texts = _described(item.sections.get("Parameters", ""))
        if list(texts) != list(parameters):
            wrong.append(f"{item.place}: {list(parameters)} are described as {list(texts)}")
            continue
        wrong += [
            f"{item.place}: unit of {name}"
            for name, annotation in parameters.items()
            if not _has_unit(name, annotation, texts[name])
        ]
    assert not wrong


def test_what_is_returned_is_described_with_its_unit() -> None:
    wrong = []
    for item in FUNCTIONS:
        assert isinstance(item.node, ast.FunctionDef)
        annotation = ast.unparse(item.node.returns) if item.node.returns else "None"
        text = item.sections.get("Returns", "") + item.sections.get("Yields", "")
        if bool(text) != (annotation != "None"):
            wrong.append(f"{item.place}: returns {annotation}")
        elif not _has_unit(item.node.name, annotation, text):
            wrong.append(f"{item.place}: unit of what it returns")
    assert not wrong


def test_errors_are_a_section() -> None:
    """And those that the function itself raises are in it."""
    wrong = []
    for item in FUNCTIONS:
        raised = {
            ast.unparse(part.exc.func)
            for part in ast.walk(item.node)
            if isinstance(part, ast.Raise) and isinstance(part.exc, ast.Call)
        }
        if not raised <= set(re.findall(r"\w+", item.sections.get("Raises", ""))):
            wrong.append(f"{item.place}: raises {raised}")
        if re.search(r"\bRaises? [A-Z]\w+Error", SECTION.split(item.doc)[0]):
            wrong.append(f"{item.place}: errors in the summary")
    assert not wrong


def test_quantities_of_classes_have_units() -> None:
    """Fields: by their name, the text below them, or the section Attributes; and properties."""
    wrong = []
    for item in CLASSES:
        listed = _described(item.sections.get("Attributes", ""))
        for field, after in pairwise([*item.node.body, None]):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            name, text = field.target.id, listed.get(field.target.id, "")
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                text += str(after.value.value)
            if not name.startswith("_") and not _has_unit(
                name, ast.unparse(field.annotation), text
            ):
                wrong.append(f"{item.place}.{name}")
    for item in PROPERTIES:
        assert isinstance(item.node, ast.FunctionDef)
        annotation = ast.unparse(item.node.returns) if item.node.returns else ""
        if item.doc and not _has_unit(item.node.name, annotation, item.doc):
            wrong.append(item.place)
    assert not wrong
