"""The names of `import dcsim`: documented, importable, and free until they are used."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dcsim
from dcsim.errors import DcsimError, ScenarioError
from tests.engine.sites import HOLES, SITE

PAGE = Path("docs/reference/api.md")


def test_the_page_lists_all_public_names() -> None:
    page = PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^\| `dcsim\.(\w+)` \|", page, re.MULTILINE)
    assert len(set(listed)) == len(listed)
    assert set(listed) == set(dcsim.__all__)
    described = re.findall(r"^::: dcsim\.(\w+)$", page, re.MULTILINE)
    assert sorted(described) == sorted({*listed} - {"studies", "__version__"})
    assert set(dcsim.__all__) <= set(dir(dcsim))


@pytest.mark.parametrize("name", dcsim.__all__)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    if name == "__version__":
        return
    item = getattr(dcsim, name)
    doc = item.__doc__
    if not doc:  # a compiled class keeps its docstring in the source only
        module = importlib.import_module(item.__module__)
        source = Path(str(module.__file__).split(".cpython")[0]).with_suffix(".py")
        tree = ast.parse(source.read_text(encoding="utf-8"))
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        doc = ast.get_docstring(classes[name])
    assert doc


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="simulat0r"):
        _ = dcsim.simulat0r


def test_importing_dcsim_imports_nothing_heavy() -> None:
    code = "import sys, dcsim; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "pandas", "pydantic", "simpy", "scipy", "h5py", "torch", "yaml", "networkx"}
    assert not heavy & set(done.stdout.split())


def test_errors_of_the_front_door_have_one_root() -> None:
    errors = [getattr(dcsim, name) for name in dcsim.__all__ if name.endswith("Error")]
    assert len(errors) > 4
    assert all(issubclass(error, DcsimError) for error in errors)


def test_a_scenario_from_text_is_checked_as_a_file() -> None:
    assert dcsim.loads(SITE.format(**HOLES)).name == "small"
    wrong = SITE.format(**{**HOLES, "control": "[{policy: row-budget, nodes: row-9}]"})
    with pytest.raises(ScenarioError, match=r"^<text>:\d+: control\.0\.nodes: "):
        dcsim.loads(wrong)


def names_of(path: Path) -> tuple[set[str], set[str], dict[str, str]]:
    """What a module's `__all__` lists, what it uses itself, and where each import is from."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    listed: set[str] = set()
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dcsim"):
            imported |= {alias.asname or alias.name: str(node.module) for alias in node.names}
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = set(ast.literal_eval(node.value))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return listed, used, imported


@pytest.mark.parametrize(
    "path", sorted(Path("dcsim").rglob("__init__.py")), ids=lambda path: path.parent.as_posix()
)
def test_a_room_lists_what_it_imports_for_others(path: Path) -> None:
    """`__all__` has every import that the file itself does not use, and nothing that is not there;
    a room without `__all__` offers its modules only."""
    listed, used, imported = names_of(path)
    assert set(imported) - used <= listed
    module = importlib.import_module(".".join(path.parent.parts))
    assert not [name for name in listed if not hasattr(module, name)]


def test_public_names_are_looked_up_where_type_checkers_find_them() -> None:
    """Of the two statements of where a name is, the one that runs and the one that is read."""
    listed, _, imported = names_of(Path("dcsim/__init__.py"))
    homes = {name: home for name, home in imported.items() if name != "studies"}
    assert homes == dcsim._HOMES
    assert listed == {*homes, "studies", "__version__"}
