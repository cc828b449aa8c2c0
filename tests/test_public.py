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
