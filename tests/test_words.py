"""Names in the package: none of the words the glossary rules out, and one class of each name."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "dcsim"
GLOSSARY = PROJECT / "docs" / "glossary.md"


def ruled_out() -> frozenset[str]:
    """The words of the glossary's last section."""
    section = GLOSSARY.read_text(encoding="utf-8").split("## Words not used as identifiers")[1]
    paragraph = next(part for part in section.split("\n\n") if part.startswith("`"))
    return frozenset(re.findall(r"`(\w+)`", paragraph))


def names(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a module binds, and of every attribute it reaches for."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.Attribute(attr=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.alias(asname=str(name)):
                yield 0, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)):
                yield node.lineno, name


def test_the_reader_of_names_sees_every_kind_of_binding() -> None:
    source = """
import a as wish
def told(found, *, asked=0):
    one = self.own
    for each in found: pass
    match one:
        case [who, *some]: pass
class Deed:
    said: int = 0
"""
    seen = {name for _, name in names(source)}
    assert {"wish", "told", "found", "asked", "one", "own", "each", "who", "some", "Deed"} <= seen
    assert "said" in seen


def test_no_name_is_a_word_that_the_glossary_rules_out() -> None:
    words = ruled_out()
    assert len(words) == 22
    places = [
        f"{file.relative_to(PROJECT)}:{line}: {name}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for line, name in names(file.read_text(encoding="utf-8"))
        if name.strip("_").lower() in words
    ]
    assert not places, "\n".join(places)


def test_no_two_classes_have_one_name() -> None:
    count = Counter(
        node.name
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    twice = {name for name, times in count.items() if times > 1}
    assert not twice, f"class names used twice: {sorted(twice)}"
