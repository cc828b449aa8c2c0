"""The exception tree: one root, names that say what they are, and passage between processes."""

from __future__ import annotations

import ast
import builtins
import errno
import pickle
from pathlib import Path

import pytest

from dcsim import errors
from dcsim.errors import (
    DcsimError,
    PolicyError,
    Problem,
    ScenarioError,
    StudyError,
    TraceError,
    UnreadableError,
)

PACKAGE = Path(__file__).parents[1] / "dcsim"


def bases() -> dict[str, set[str]]:
    """The names of the base classes of every class of the package."""
    known: dict[str, set[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
                known.setdefault(node.name, set()).update(names)
    return known


def ancestors(name: str, known: dict[str, set[str]]) -> set[str]:
    above = known.get(name, set())
    return above.union(*(ancestors(base, known) for base in above if base != name))


def is_builtin_exception(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def test_every_exception_derives_from_the_root_and_is_named_an_error() -> None:
    known = bases()
    above = {name: ancestors(name, known) for name in known}
    exceptions = {
        name
        for name in known
        if any(map(is_builtin_exception, above[name])) and not issubclass_of_warning(above[name])
    }
    assert {"DcsimError", "ScenarioError", "DraftError", "RowError"} <= exceptions
    strangers = {n for n in exceptions if n != "DcsimError" and "DcsimError" not in above[n]}
    assert strangers == set()
    assert {name for name in exceptions if not name.endswith("Error")} == set()


def issubclass_of_warning(above: set[str]) -> bool:
    return any(name.endswith("Warning") for name in above)


@pytest.mark.parametrize(
    "error",
    [
        ScenarioError([Problem("a.yaml", 3, "servers.0", "no such server", "dgx-h100?")]),
        TraceError(Path("t.csv"), 7, "tokens", -1, "a whole number from 0"),
        PolicyError("nodes", "no node row-9"),
        StudyError("one", "two"),
        UnreadableError(errno.EINVAL, "is no text", "a.csv"),
        errors.OfflineError("example.org cannot be reached"),
    ],
)
def test_an_error_of_a_worker_arrives_whole(error: DcsimError) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_errors_are_also_of_pythons_kinds() -> None:
    problem = Problem("site.yaml", 4, "limits.0", "is below 0", "give watts")
    with pytest.raises(ValueError, match=r"^site\.yaml:4: limits\.0: is below 0 \(give watts\)$"):
        raise ScenarioError([problem])
    with pytest.raises(OSError) as caught:
        raise UnreadableError(errno.EINVAL, "is no text", "a.csv")
    assert (caught.value.strerror, caught.value.filename) == ("is no text", "a.csv")
