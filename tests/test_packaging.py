"""What is installed, and with which extra: pyproject.toml, setup.py and the files that ship."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import dcsim
from dcsim.compiled import stale_warning
from dcsim.errors import MissingExtraError
from dcsim.extras import EXTRAS, PACKAGES, optional
from dcsim.scenario.examples import examples

PROJECT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
OPTIONAL = PYPROJECT["project"]["optional-dependencies"]
ABSENT = ("torch", "sklearn", "plotly", "distributed", "dask", "matplotlib", "pyarrow", "aiohttp")
BLOCKER = f"""
from importlib.machinery import PathFinder
found = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.partition(".")[0] in {ABSENT} else found(name, path, target)
)
"""
COMMANDS = """
import json, sys
from dcsim.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv[:] = ["dcsim", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def light(folder: Path, *commands: list[str]) -> subprocess.CompletedProcess[str]:
    """Commands in one process, where no optional library can be imported, nor in its workers."""
    (folder / "sitecustomize.py").write_text(BLOCKER)
    path = os.pathsep.join([str(folder), str(PROJECT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(commands)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def distributions(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[;]", requirement)[0] for requirement in requirements}


def test_every_optional_library_is_in_its_extra_and_not_in_the_light_set() -> None:
    always = distributions(PYPROJECT["project"]["dependencies"])
    for library, extra in EXTRAS.items():
        name = PACKAGES.get(library, library)
        assert name in distributions(OPTIONAL[extra])
        assert name not in always


def test_one_version() -> None:
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == dcsim.__version__


def test_a_module_of_serving_is_compiled_or_says_why_not() -> None:
    mark = re.compile(r"# (compiled by mypyc$|not compiled: \w)")
    assert 'COMPILED = "# compiled by mypyc"' in (PROJECT / "setup.py").read_text(encoding="utf-8")
    for path in (PROJECT / "dcsim/serving").rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        marks = sum(mark.match(line) is not None for line in lines)
        assert marks == (path.name != "__init__.py"), path


def test_an_absent_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.mixture", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError) as caught:
        optional("sklearn.mixture", "training")
    assert str(caught.value) == (
        "training needs scikit-learn, which is not installed: pip install 'dcsim[train]'"
    )


def test_runs_studies_and_pages_need_no_optional_library(tmp_path: Path) -> None:
    site = str(tmp_path / "site.yaml")
    run = str(tmp_path / "run.h5")
    study = str(tmp_path / "study")
    short = ["--set", "duration=10 s"]
    commands = [
        ["new", site, "--from", "quickstart"],
        ["validate", site],
        ["show", site],
        ["run", site, "--duration", "10 s", "--out", run, "--quiet"],
        ["report", run],
        ["study", "sweep", site, *short, "--over", "seed=[1, 2]", "--workers", "2", "--out", study],
        ["report", study],
    ]  # fmt: skip
    done = light(tmp_path, *commands)
    assert done.returncode == 0, done.stderr
    assert "Report: " in done.stdout


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["plot", "run.h5", "-o", "a.png"], "plots"),
        (["power", "train", ".", "--out", "a.h5"], "train"),
        (["study", "sweep", "SITE", "--over", "seed=[1]", "--scheduler", "tcp://a:1"], "cluster"),
    ],
)
def test_commands_that_need_an_extra_name_it(
    tmp_path: Path, command: list[str], extra: str
) -> None:
    site = str(examples()["quickstart"])
    done = light(tmp_path, [site if word == "SITE" else word for word in command])
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"pip install 'dcsim[{extra}]'" in done.stderr


def test_importing_dcsim_imports_little() -> None:
    code = "import sys; before = set(sys.modules); import dcsim; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert len(modules) < 30, modules
    assert not {"numpy", "pandas", "scipy", "pydantic", "simpy"} & set(modules)


def test_examples_are_the_scenarios_of_the_repository() -> None:
    assert {path.name for path in examples().values()} == {
        path.name for path in (PROJECT / "scenarios").glob("*.yaml")
    }


def test_an_edit_after_compiling_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only in a checkout, and only for a source younger than its compiled module."""
    package = tmp_path / "dcsim"
    (package / "serving").mkdir(parents=True)
    for name in ("old", "new"):
        source, library = package / f"serving/{name}.py", package / f"serving/{name}.abi3.so"
        source.touch()
        library.touch()
        os.utime(source, (1e9, 1e9 + (1 if name == "new" else -1)))
        os.utime(library, (1e9, 1e9))
    monkeypatch.setattr("dcsim.compiled.PACKAGE", package)
    assert stale_warning() is None
    (tmp_path / "setup.py").touch()
    assert (stale_warning() or "").startswith("dcsim/serving/new.py changed after being compiled")
